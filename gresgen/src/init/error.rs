//! Why there is no first configuration.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::files::FileError;
use crate::slurm::conf::ConfLine;

/// Why a node's first configuration, or the edits that go with it, are not made. Nothing has been changed then.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A configuration is there.
    #[error("{}: is there already", .0.display())]
    Exists(PathBuf),
    /// A line of Slurm's files that cannot be edited.
    #[error("{}:{line}: {what}", file.display())]
    Line {
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is in the way, as a phrase.
        what: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A file in the place of ours that is about other nodes.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that a link leads to, out of the root that was asked for.
    #[error("{}: is not below --root, as a link leads out of it", .0.display())]
    Outside(PathBuf),
    /// What slurm.conf includes is not there, so that it is not known what it says.
    #[error("{}: is included by slurm.conf and cannot be read: {why}", path.display())]
    Missing { path: PathBuf, why: String },
    /// Nothing says how many CPUs a node has.
    #[error("node {0}: slurm.conf has no line for it, and slurmd -C says nothing of it")]
    Unknown(String),
    /// A cluster's nodes are those of a slurm.conf.
    #[error("slurm.conf: none is found on this host")]
    NoSlurm,
    /// There is nothing to cut.
    #[error("node {0}: no GPU of it can be cut with MIG")]
    NoGpu(String),
    /// The text of a configuration cannot be made, which no node brings about.
    #[error(transparent)]
    Template(#[from] minijinja::Error),
    /// What was found makes no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl InitError {
    /// Where the system refuses a file.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| InitError::Io { path: path.clone(), source }
    }

    /// A line that cannot be edited, and why, as a phrase.
    pub(super) fn line(said: &ConfLine, what: impl Into<String>) -> Self {
        InitError::Line { file: said.file.clone(), line: said.number, what: what.into() }
    }
}
