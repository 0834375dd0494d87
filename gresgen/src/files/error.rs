//! Why files are not written.

use std::path::PathBuf;

use crate::path_error::PathError;

/// Why a file is not written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Files of somebody else.
    #[error("{}: not written by gresgen; --adopt takes {} over and keeps a backup", names(.0), if .0.len() == 1 { "it" } else { "them" })]
    Foreign(Vec<PathBuf>),
    /// A line of the site that says what we say, or what the daemons do not take.
    #[error("{}:{line}: this kept line {what}: {text}", path.display())]
    Kept {
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
        text: String,
    },
    /// A line of an included file that says what we say.
    #[error(
        "{}:{line}: has GPUs of this node, and {} includes it, so slurmd would read both; take the line, or the node \
         out of it, away: {text}", path.display(), by.display()
    )]
    Included {
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        text: String,
        /// The file that is to be written.
        by: PathBuf,
    },
    /// A file of ours with lines about other nodes.
    #[error(
        "{}: has lines about {nodes}, which would be gone: it is written by several nodes; write it for all of them at \
         once with gresgen render --inventory, give each node a file of its own by slurm.paths, or remove it where that \
         is an earlier name of this node", path.display()
    )]
    OfOthers {
        path: PathBuf,
        /// The nodes, as a host list.
        nodes: String,
    },
    /// The system refuses.
    #[error(transparent)]
    Path(#[from] PathError),
}

fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
