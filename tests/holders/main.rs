//! Every way to hold a device times every verb that changes a node: the device stays, the verb ends with 4, and the
//! holder is named.
//!
//! A node with simulated GPUs runs a real Slurm of `LAB_RELEASES` (22.05 where it is not set) on the files that
//! `gresgen` wrote. What a task holds is told by the task itself, which opens every device node before and after
//! (`witness.c`); what became of the GPUs is told by the simulator's state, in which an instance that was made anew
//! has another birth, and by its log of calls. Nothing here reads what Slurm says of a job's GRES.
//!
//! `HOLDERS=TEXT` runs the holders alone whose name has the text.
#![forbid(unsafe_code)]

mod arrays;
mod judge;
mod launch;
mod places;
mod planned;
mod processes;
mod shares;
mod site;
mod stages;
mod states;
mod table;
mod text;
mod verbs;
