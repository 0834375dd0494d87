//! Why a text says nothing of jobs or nodes.

use std::io;

use crate::slurm::hostlist::HostlistError;

/// Why a text says nothing of jobs or nodes.
#[derive(Debug, thiserror::Error)]
pub enum AdviseError {
    /// It could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A column is missing from sacct's answer or a trace.
    #[error("no column {0} in the heading")]
    Column(String),
    /// It is not nodes with their GPUs.
    #[error("{0:?}: not nodes with their GPUs, such as gpu[01-16]=8xa100-40gb")]
    Form(String),
    /// There is no such model.
    #[error("{0}: no such GPU model")]
    Model(String),
    /// Its host list is none.
    #[error(transparent)]
    Nodes(#[from] HostlistError),
}
