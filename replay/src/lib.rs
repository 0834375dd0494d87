//! When would these jobs have started on that cluster? A discrete-event model of Slurm's scheduling of GRES.
//!
//! A *pool* is one GRES type; slots are its devices, and each node has some. Jobs ask for slots of one pool, a number on
//! each of some nodes. The model is that of `sched/backfill` with `select/cons_tres` in one partition:
//!
//! * Jobs are ordered by priority, then by submission (Slurm src/slurmctld/job_scheduler.c, `sort_job_queue2`).
//! * As jobs come and go the first one starts, then the next, up to one that does not fit (there, `_schedule`: a job that
//!   cannot start closes its partition for those behind it).
//! * All others are left to backfill, which looks at the first of them now and then ([`Rules`]). A job that fits starts
//!   unless that would delay one before it. One that does not is planned at the earliest time that limits of running
//!   jobs and the plans before it allow, and then *its nodes are closed to others from that time on, whole*, for
//!   plans are kept by node (src/plugins/sched/backfill/backfill.c, `_add_reservation`). So a job that waits for a whole
//!   GPU keeps long jobs off free slices of the node it will run on.
//! * A job takes the first nodes that have room, and keeps its slots until it ends.
//!
//! The model leaves out CPUs and memory of nodes, several partitions, fair share that changes with time, preemption and
//! advance reservations.
//!
//! Times are whole seconds from any origin. Nothing here performs I/O, reads a clock or draws random numbers.
#![forbid(unsafe_code)]

mod engine;
mod model;
mod nodes;
mod plans;
mod recut;
mod summary;

pub use engine::{replay, replay_recut};
pub use model::{Cluster, Job, Rules, Shift, Start};
pub use recut::{Recut, Slots};
pub use summary::Waits;
