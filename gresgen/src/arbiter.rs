//! Has GPUs on request cut for jobs that wait: joins what slurmctld says with what nodes are, and gives nodes orders.
//!
//! ```text
//! slurmctld -> Answers \
//! nodes: looks -> Nodes -> step -> orders -> (reach) -> nodes
//! ```
//!
//! It decides and asks; what is safe each node decides for itself, with the look at who holds what that every change there has. A
//! wrong or late order is refused. So nothing is remembered that could not be forgotten: what runs, waits and is held is
//! slurmctld's, what stands and what is closed the nodes'. Killed at any moment, it loses the age of instances and how often a
//! node was cut in the last hour, which begin anew.
//!
//! What nodes answer is hostile: who is root on one may say anything, for that node alone.

mod errands;
mod event;
mod figures;
mod nodes;
mod reach;
mod recall;
mod recount;
mod remarks;
mod service;
mod shelf;
mod step;
mod wire;

pub(crate) use event::{Event, Kind};
pub(crate) use service::Service;
pub(crate) use step::Site;
