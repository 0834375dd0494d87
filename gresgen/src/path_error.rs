//! A file that stands in the way, whoever reads, makes or writes it.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a file or directory of the node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct PathError {
    pub path: PathBuf,
    /// What is wrong: the system's words, or those of whoever looked into it.
    pub what: String,
}

impl PathError {
    /// A file with other contents, or of another kind, than it must have.
    pub fn new(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        PathError { path: path.into(), what: what.into() }
    }

    /// Where the system refuses.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| PathError::new(path, error.to_string())
    }

    /// Where the system refuses to do something, such as `cannot be made`.
    pub fn doing(path: &Path, what: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| PathError::new(path, format!("{what}: {error}"))
    }
}
