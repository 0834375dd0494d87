//! Loading a map only when nobody but root can have written it.
//!
//! The map decides which device a job uses, so it is opened without following a link, checked on the open
//! descriptor, and every directory above it must be one that only root can change: those of the path as it is
//! written, and those it leads to where a directory is a link (`/var/run`).

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::{DeviceMap, ParseError};

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
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            LoadError::Untrusted(path, what) => write!(f, "{}: {what}", path.display()),
            LoadError::Parse(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads the map at `path`.
///
/// # Errors
/// [`LoadError`], which names the object at fault: the map or a directory above it.
pub fn load(path: &Path) -> Result<DeviceMap, LoadError> {
    read(path, 0)?.parse().map_err(|error| LoadError::Parse(path.to_owned(), error))
}

/// The text of `path`, when only `owner` can have written it.
fn read(path: &Path, owner: u32) -> Result<String, LoadError> {
    let io = |error| LoadError::Io(path.to_owned(), error);
    if !path.is_absolute() {
        return Err(LoadError::Untrusted(path.to_owned(), "is not an absolute path".into()));
    }
    let parent = path.parent().unwrap_or(path);
    let mut linked = false;
    for directory in parent.ancestors() {
        let metadata = directory.symlink_metadata().map_err(io)?;
        if metadata.is_symlink() {
            linked = true;
        } else {
            check_directory(directory, &metadata, owner)?;
        }
    }
    if linked {
        for directory in parent.canonicalize().map_err(io)?.ancestors() {
            check_directory(directory, &directory.metadata().map_err(io)?, owner)?;
        }
    }
    // O_NONBLOCK: opening a fifo put in the map's place must not hang a job.
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| {
        match error.raw_os_error() {
            Some(libc::ELOOP) => LoadError::Untrusted(path.to_owned(), "is a symbolic link".into()),
            _ => io(error),
        }
    })?;
    let metadata = file.metadata().map_err(io)?;
    let untrusted = |what: String| Err(LoadError::Untrusted(path.to_owned(), what));
    if !metadata.is_file() {
        return untrusted("is not a regular file".into());
    }
    check(path, &metadata, owner, false)?;
    if metadata.len() > MAX_BYTES {
        return untrusted(format!("has {} bytes, more than {MAX_BYTES}", metadata.len()));
    }
    text(file, metadata.len()).map_err(io)
}

/// What stands in `file`, which had `size` bytes and may have grown since.
fn text(file: File, size: u64) -> io::Result<String> {
    // Room for one more byte: the end of the file is then seen without growing.
    let mut text = String::with_capacity(size as usize + 1);
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn check_directory(path: &Path, metadata: &Metadata, owner: u32) -> Result<(), LoadError> {
    // In a sticky directory (/tmp) others can add names but neither rename nor remove ours.
    check(path, metadata, owner, metadata.mode() & STICKY != 0)
}

fn check(path: &Path, metadata: &Metadata, owner: u32, sticky: bool) -> Result<(), LoadError> {
    let mode = metadata.mode();
    let what = if metadata.uid() != 0 && metadata.uid() != owner {
        format!("belongs to user {}, not to root", metadata.uid())
    } else if mode & WRITABLE_BY_OTHERS != 0 && !sticky {
        format!("can be written by others (mode {:04o})", mode & 0o7777)
    } else {
        return Ok(());
    };
    Err(LoadError::Untrusted(path.to_owned(), what))
}

#[cfg(test)]
mod tests;
