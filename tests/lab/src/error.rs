//! What can go wrong with a lab.

use std::{io, path::PathBuf};

/// Why a lab, or something in it, failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// This machine cannot run a lab whose judge means anything: not root, no namespaces, no device controller.
    #[error("lab: unavailable on this machine: {0}")]
    Unavailable(String),
    /// A root filesystem could not be made.
    #[error("root filesystem {suite}: {what}")]
    Rootfs {
        /// The Debian suite.
        suite: &'static str,
        /// What failed and where its log is.
        what: String,
    },
    /// A daemon did not come up, or a node did not become idle.
    #[error("{what}\n{logs}")]
    Slurm {
        /// What was waited for.
        what: String,
        /// The end of every daemon's log.
        logs: String,
    },
    /// A command in the lab did not start or failed where it must not.
    #[error("{command}: {what}")]
    Command {
        /// The command line.
        command: String,
        /// Its standard error, or why it did not run.
        what: String,
    },
    /// A file of the host could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl LabError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
