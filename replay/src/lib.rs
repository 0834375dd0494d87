//! When would these jobs have started on that cluster? A discrete-event model of Slurm's scheduling of GRES.
//!
//! A *pool* is one GRES type; slots are its devices, and each node has some. Jobs ask for slots of one pool, a number on
//! each of some nodes. The model is that of `select/cons_tres` with `sched/backfill`:
//!
//! * Jobs are looked at by priority, then by submission (Slurm src/slurmctld/job_scheduler.c, `sort_job_queue2`).
//! * The first job of a pool that does not fit has a reservation: the earliest time, by the time limits of what runs, at
//!   which it will. Jobs behind it start if they do not delay it (EASY backfill). Slurm gives reservations to every
//!   waiting job it looks at (src/plugins/sched/backfill/backfill.c); with one type per job that differs only for
//!   jobs of several devices of one type.
//! * Pools do not hinder each other: a job that waits for one type holds nothing of another.
//! * At most [`DEPTH`] jobs behind a reservation are looked at in one pass.
//! * Each job takes the first nodes that have room, and keeps its slots until it ends.
//!
//! What the model leaves out: CPUs and memory of nodes, fair share that changes with time, preemption, and the
//! scheduler's own pace (`bf_interval`, 30 s by default).
//!
//! Times are whole seconds from any origin. Nothing here performs I/O, reads a clock or draws random numbers.
#![forbid(unsafe_code)]

mod engine;
mod nodes;
mod queue;
mod summary;

pub use engine::{Cluster, Job, Shift, Start, replay};
pub use summary::Waits;

/// Jobs that one backfill pass looks at: `bf_max_job_test` (slurm.conf(5), SchedulerParameters: "Default: 500").
pub const DEPTH: usize = 500;
