//! Slices on request: what to cut anew for the jobs that wait, and what to leave alone.
//!
//! Slurm decides who runs; this decides what there is to be given. It looks at the nodes as they are and at the queue in
//! Slurm's order, and answers with orders and with a word on every job:
//!
//! * [`cluster`] is what there is: models with a menu, nodes, GPUs, instances with who has them and until when.
//! * [`job`] is what waits: slices on nodes, for how long, and why.
//! * [`policy`] is how patient and how restless the answer may be.
//! * [`decide`](mod@decide) is one look. It takes what Slurm can start out of what is free, job by job, and serves the others from what
//!   nobody has: the cheapest region first (`region`), or where none is idle a *cordon*, which lets one fall idle.
//! * [`order`] is the answer, in values and in words.
//!
//! An answer follows from its input alone. Nothing that counts is remembered from one look to the next ([`memory`] only saves
//! time): how long a job has waited is Slurm's to say, what is closed and how old an instance is the node's. So whoever asks can be killed at any moment and
//! asks again. For the same reason a closed instance belongs to no job: the first in Slurm's order that can use it has it.
//!
//! Nothing here performs I/O, reads a clock or draws random numbers. Times are whole seconds since any origin.
#![forbid(unsafe_code)]

mod blocked;
pub mod cluster;
pub mod decide;
pub mod job;
mod masks;
pub mod memory;
mod offer;
mod open;
pub mod order;
pub mod policy;
mod region;
mod shapes;
mod work;

pub use cluster::{Cluster, Gpu, Instance, Model, ModelError, Node, Resources, State};
pub use decide::{Decision, decide};
pub use job::{Array, Job, Reason, Share, Want};
pub use memory::Memory;
pub use open::is_open;
pub use order::{Change, Cut, Instances, Order, Verdict};
pub use policy::Policy;
