//! One lock for whoever changes GPUs or files, and one per slice for `gresgen run`.
//!
//! Locks belong to open files: the kernel drops them with the last process that has the file open, so none is ever
//! left behind. Whoever takes one holds flock(2) against others who take it, and on the same open file a lock of
//! fcntl(2) that can be asked for without taking anything (`F_OFD_GETLK`): looking never stands in the way of changing.
//!
//! The files are root's alone (0600): flock(2) asks for no right but to open, so that every user who can read a lock
//! file can hold it. On a machine without Slurm that is wanted of slices: root makes their files, in a directory of its
//! own, and users may read them (0644). A user's lock is no more than a claim to the slice: root looks whether there is
//! one, and names who has it, but never waits for it, and reads nothing that a user wrote.

mod holder;

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use thiserror::Error;

use crate::atomic;
use crate::read::{self, open_own};
use crate::root::Root;
use holder::{holder, is_held};

pub(crate) use holder::{SliceHolder, kernel_locks, node_holder, slice_holder};

/// Why a lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{}: held by {holder}", path.display())]
    Held {
        path: PathBuf,
        /// The process that has it, as words.
        holder: String,
    },
    /// The file cannot be opened.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// A lock, held until dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// The lock of everything this program changes under `root`.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another process has it: nobody waits on a GPU change.
    pub(crate) fn node(root: &Root) -> Result<Lock, LockError> {
        directories(root)?;
        take(&root.path(Root::LOCK), MODE)
    }

    /// The lock of the one arbiter of a host, who need not be root where the file is elsewhere.
    ///
    /// # Errors
    /// As [`Lock::node`].
    pub(crate) fn arbiter(path: &Path) -> Result<Lock, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        path.parent().map_or(Ok(()), atomic::directory).map_err(io)?;
        take(path, MODE)
    }

    /// The lock of one slice, by its MIG UUID.
    ///
    /// # Errors
    /// [`LockError::Held`] when the slice is in use by `gresgen run`; [`LockError::Io`] for a text that is no name
    /// of a file.
    pub(crate) fn slice(root: &Root, uuid: &str) -> Result<Lock, LockError> {
        let file = slice_file(root, uuid)?;
        directories(root)?;
        take(&file, FOR_USERS)
    }

    /// The same for a user who is not root, where the slice's file was made for users ([`let_users_hold`]).
    ///
    /// # Errors
    /// As [`Lock::slice`]; [`LockError::Io`] where there is no such file, or it is root's alone.
    pub(crate) fn slice_as_user(root: &Root, uuid: &str) -> Result<Lock, LockError> {
        let path = slice_file(root, uuid)?;
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut file = open_own(&path, OpenOptions::new().read(true)).map_err(io)?;
        exclude(&mut file, &path)?;
        // A file that is open for reading takes a lock for reading alone, which is in the way of those for writing.
        let shared = libc::flock { l_type: libc::F_RDLCK as _, ..whole() };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&shared)).map_err(|error| io(error.into()))?;
        Ok(Lock(file))
    }

    /// The file behind it, for a child that shall keep holding it across `exec`.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

/// Lets users hold these slices, or, where they may not, nobody but root: a file that users could open goes, because
/// whoever opened it can lock it still. Where somebody holds it, it stays until the next time, closed.
///
/// # Errors
/// [`LockError::Io`].
pub(crate) fn let_users_hold<'a>(
    root: &Root,
    uuids: impl IntoIterator<Item = &'a str>,
    allowed: bool,
) -> Result<(), LockError> {
    let mode = if allowed { FOR_USERS } else { MODE };
    if allowed {
        directories(root)?;
    }
    for uuid in uuids {
        let path = slice_file(root, uuid)?;
        let io = |source| LockError::Io { path: path.clone(), source };
        let made = open_own(&path, OpenOptions::new().read(true).write(true).create(allowed).mode(mode));
        let Some(file) = read::if_there(made).map_err(io)? else { continue };
        file.set_permissions(Permissions::from_mode(mode)).map_err(io)?;
        // Held while it goes, so that nobody takes the lock of a file that has no name any more.
        if !allowed && file.try_lock().is_ok() && !is_held(&file) {
            std::fs::remove_file(&path).map_err(io)?;
        }
    }
    Ok(())
}

fn slice_file(root: &Root, uuid: &str) -> Result<PathBuf, LockError> {
    slice_path(root, uuid).ok_or_else(|| LockError::Io {
        path: uuid.into(),
        source: io::Error::new(ErrorKind::InvalidInput, "is not a UUID"),
    })
}

/// A MIG UUID comes from the driver, and names a file of root's: it must not lead out of the directory.
fn slice_path(root: &Root, uuid: &str) -> Option<PathBuf> {
    let plain = uuid.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    // Drivers before R470 name MIG devices MIG-GPU-UUID/GI/CI.
    let name = uuid.replace('/', "_");
    (plain && uuid.starts_with("MIG-")).then(|| root.path(Root::SLICES).join(name))
}

const MODE: u32 = 0o600;

/// Mode of a slice's file that users may lock.
const FOR_USERS: u32 = 0o644;

fn directories(root: &Root) -> Result<(), LockError> {
    for directory in [Root::RUN, Root::SLICES].map(|directory| root.path(directory)) {
        atomic::own_directory(&directory).map_err(|source| LockError::Io { path: directory, source })?;
    }
    Ok(())
}

/// Takes a lock of root's. A file that has more rights than `allowed` is closed.
fn take(path: &Path, allowed: u32) -> Result<Lock, LockError> {
    let io = |source| LockError::Io { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    let mut file = open_own(path, options.read(true).write(true).create(true).mode(MODE)).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & !allowed != 0 || mode & MODE != MODE {
        file.set_permissions(Permissions::from_mode(MODE)).map_err(io)?;
    }
    exclude(&mut file, path)?;
    if !is_at(&file, path) {
        // Whoever closes slices to users removed it in between: a lock of a file without a name keeps nobody out.
        return Err(LockError::Held { path: path.to_owned(), holder: "a change that ends now".to_owned() });
    }
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole())).map_err(|error| io(error.into()))?;
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(io)?;
    Ok(Lock(file))
}

/// Takes the lock that takers exclude each other by, or names who has it.
fn exclude(file: &mut File, path: &Path) -> Result<(), LockError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder = match holder(file) {
                Some(pid) => format!("process {pid}"),
                None => "a process that cannot be told".to_owned(),
            };
            Err(LockError::Held { path: path.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(LockError::Io { path: path.to_owned(), source }),
    }
}

/// Whether a name is that of an open file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |status: std::fs::Metadata| (status.dev(), status.ino());
    let (one, other) = (file.metadata().map(identity), path.symlink_metadata().map(identity));
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

/// A write lock of a whole file (fcntl(2)).
fn whole() -> libc::flock {
    libc::flock { l_type: libc::F_WRLCK as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 }
}

#[cfg(test)]
mod tests;
