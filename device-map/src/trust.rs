//! Loading a map only when nobody but root can have written it.
//!
//! The map decides which device a job uses, so it is opened without following a link, checked on the open
//! descriptor, and every directory above it must be one that only root can change: those of the path as it is
//! written, and those it leads to where a directory is a link (`/var/run`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::fs::{FileType, Stat, fstat, lstat, stat};
use rustix::io::Errno;

use crate::{BOOT_ID, DeviceMap, ParseError, file};

/// Largest map that is read, in bytes: 1024 records of three device files each stay well below it.
pub const MAX_BYTES: u64 = 1 << 20;

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Why a map was not loaded.
#[derive(Debug)]
pub enum LoadError {
    /// It could not be opened or read.
    Io(PathBuf, io::Error),
    /// Somebody but root could have written it: the object and what is wrong with it.
    Untrusted(PathBuf, String),
    /// Its text is no device map.
    Parse(PathBuf, ParseError),
    /// It is of another boot, so its instances are gone.
    Stale(PathBuf),
    /// Which boot is running cannot be told.
    Boot(io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            LoadError::Untrusted(path, what) => write!(f, "{}: {what}", path.display()),
            LoadError::Parse(path, error) => write!(f, "{}: {error}", path.display()),
            LoadError::Stale(path) => write!(
                f,
                "{}: written before the last boot; run gresgen apply, then restart slurmd",
                path.display()
            ),
            LoadError::Boot(error) => write!(f, "{BOOT_ID}: {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads the map at `path`.
///
/// # Errors
/// [`LoadError`], which names the object at fault: the map or a directory above it.
pub fn load(path: &Path) -> Result<DeviceMap, LoadError> {
    text(path)?.parse().map_err(|error| LoadError::Parse(path.to_owned(), error))
}

/// The text of a file of at most [`MAX_BYTES`] that nobody but root can have written.
///
/// # Errors
/// [`LoadError`], as of [`load`].
pub fn text(path: &Path) -> Result<String, LoadError> {
    read(path, 0)
}

/// The text of `path`, when only `owner` can have written it.
fn read(path: &Path, owner: u32) -> Result<String, LoadError> {
    let io = |error: Errno| LoadError::Io(path.to_owned(), error.into());
    if !path.as_os_str().as_bytes().starts_with(b"/") {
        return Err(LoadError::Untrusted(path.to_owned(), "is not an absolute path".into()));
    }
    above(path, owner)?;
    let file = file::open(path).map_err(|error| match error {
        Errno::LOOP => LoadError::Untrusted(path.to_owned(), "is a symbolic link".into()),
        _ => io(error),
    })?;
    let status = fstat(&file).map_err(io)?;
    let untrusted = |what: String| Err(LoadError::Untrusted(path.to_owned(), what));
    if !FileType::from_raw_mode(status.st_mode).is_file() {
        return untrusted("is not a regular file".into());
    }
    check(path, &status, owner, false)?;
    let size = status.st_size as u64;
    if size > MAX_BYTES {
        return untrusted(format!("has {size} bytes, more than {MAX_BYTES}"));
    }
    file::text(&file, size as usize).map_err(|error| LoadError::Io(path.to_owned(), error))
}

/// Whether nobody but root and `owner` can change the directories above an absolute path, as it is written and as links
/// lead.
///
/// # Errors
/// [`LoadError`], which names the directory at fault.
pub fn above(path: &Path, owner: u32) -> Result<(), LoadError> {
    let io = |error: Errno| LoadError::Io(path.to_owned(), error.into());
    let mut linked = false;
    for directory in directories(path) {
        let status = lstat(directory).map_err(io)?;
        if FileType::from_raw_mode(status.st_mode).is_symlink() {
            linked = true;
        } else {
            check_directory(directory, &status, owner)?;
        }
    }
    if linked {
        let parent = path.parent().unwrap_or(path);
        let real = parent.canonicalize().map_err(|error| LoadError::Io(path.to_owned(), error))?;
        for directory in real.ancestors() {
            check_directory(directory, &stat(directory).map_err(io)?, owner)?;
        }
    }
    Ok(())
}

/// The directories above `path` as it is written, from the nearest to the root. Not `Path::ancestors`: that is library
/// code which slurmstepd would otherwise not touch (docs/benchmarks.md).
fn directories(path: &Path) -> impl Iterator<Item = &Path> {
    let bytes = path.as_os_str().as_bytes();
    let slashes = (0..bytes.len()).rev().filter(|at| bytes[*at] == b'/');
    slashes.map(|at| Path::new(OsStr::from_bytes(&bytes[..at.max(1)])))
}

fn check_directory(path: &Path, status: &Stat, owner: u32) -> Result<(), LoadError> {
    // In a sticky directory (/tmp) others can add names but neither rename nor remove ours.
    check(path, status, owner, status.st_mode & STICKY != 0)
}

fn check(path: &Path, status: &Stat, owner: u32, sticky: bool) -> Result<(), LoadError> {
    let mode = status.st_mode;
    let what = if status.st_uid != 0 && status.st_uid != owner {
        format!("belongs to user {}, not to root", status.st_uid)
    } else if mode & WRITABLE_BY_OTHERS != 0 && !sticky {
        format!("can be written by others (mode {:04o})", mode & 0o7777)
    } else {
        return Ok(());
    };
    Err(LoadError::Untrusted(path.to_owned(), what))
}

#[cfg(test)]
mod tests;
