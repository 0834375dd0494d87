//! Why a record or what follows from it is not there.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::io::Errno;

/// What could not be written or read, and why.
#[derive(Debug)]
pub struct HoldingError(PathBuf, io::Error);

impl fmt::Display for HoldingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.display(), self.1)
    }
}

impl std::error::Error for HoldingError {}

pub(super) fn failed(path: &Path, error: Errno) -> HoldingError {
    let error = match error {
        // What `Directory::open` says of one.
        Errno::PERM => io::Error::other("belongs to another user than root, or can be written by others"),
        Errno::NOENT => io::Error::other("is not there; slurmd makes it when it starts"),
        Errno::WOULDBLOCK => io::Error::other("is held by another process"),
        error => error.into(),
    };
    HoldingError(path.to_owned(), error)
}
