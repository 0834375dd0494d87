//! One lock for whoever changes GPUs or files, and one per slice for `gresgen run`.
//!
//! Locks are flock(2): the kernel drops them with their process, so none is ever left behind.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::root::Root;

/// Why a lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{}: held by process {holder}", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote: its process id.
        holder: String,
    },
    /// The file cannot be opened.
    #[error("{}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A lock, held until dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// The lock of everything this program changes under `root`.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another process has it: nobody waits on a GPU change.
    pub fn node(root: &Root) -> Result<Lock, LockError> {
        take(&root.path(Root::LOCK))
    }

    /// The lock of one slice, by its MIG UUID.
    ///
    /// # Errors
    /// [`LockError::Held`] when the slice is in use by `gresgen run`.
    pub fn slice(root: &Root, uuid: &str) -> Result<Lock, LockError> {
        take(&slice_path(root, uuid))
    }

    /// The file behind it, for a child that shall keep holding it across `exec`.
    pub fn file(&self) -> &File {
        &self.0
    }
}

/// Process id of whoever is changing GPUs or files now.
pub fn node_holder(root: &Root) -> Option<u32> {
    held_by(&root.path(Root::LOCK))
}

/// Process id of the `gresgen run` that holds a slice.
pub fn slice_holder(root: &Root, uuid: &str) -> Option<u32> {
    held_by(&slice_path(root, uuid))
}

fn held_by(path: &Path) -> Option<u32> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => holder(&mut file).parse().ok(),
        _ => None,
    }
}

fn slice_path(root: &Root, uuid: &str) -> PathBuf {
    root.path("/run/gresgen/slices").join(uuid)
}

fn take(path: &Path) -> Result<Lock, LockError> {
    let io = |source| LockError::Io { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(io)?;
    }
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = options.map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LockError::Held { path: path.to_owned(), holder: holder(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(io)?;
    Ok(Lock(file))
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    if text.is_empty() { "unknown".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_learns_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        let first = Lock::node(&root).unwrap();
        let error = Lock::node(&root).unwrap_err().to_string();
        assert!(error.ends_with(&format!("held by process {}", std::process::id())), "{error}");
        assert_eq!(node_holder(&root), Some(std::process::id()));
        drop(first);
        assert_eq!(node_holder(&root), None);
        Lock::node(&root).unwrap();
    }

    #[test]
    fn a_slice_is_held_only_while_locked() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        assert_eq!(slice_holder(&root, "MIG-a"), None);
        let lock = Lock::slice(&root, "MIG-a").unwrap();
        assert_eq!(slice_holder(&root, "MIG-a"), Some(std::process::id()));
        drop(lock);
        assert_eq!(slice_holder(&root, "MIG-a"), None);
    }
}
