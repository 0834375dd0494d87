//! What `gresgen advise` reads and writes: jobs as Slurm's accounting or a trace has them, nodes, and advice as a
//! configuration and a picture. The advice itself is the crate [`advice`].
//!
//! Jobs are read line by line and kept as a few numbers each. What users can write (names, comments) is never looked at; a
//! line that cannot be read is counted and skipped.

pub mod assign;
mod error;
pub mod fleet;
mod jobstats;
pub(crate) mod layouts;
mod lines;
pub(crate) mod picture;
pub(crate) mod queue;
pub mod record;
pub(crate) mod sacct;
pub mod trace;
