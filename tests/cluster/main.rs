//! `gresgen` beside real Slurm daemons: what it refuses, what it leaves to do, and that doing it does no harm.
//!
//! A node with simulated GPUs runs the Slurm of `LAB_RELEASES` (22.05 where it is not set) on the files `gresgen`
//! wrote. The judge of a job is the devices its cgroup lets it open beside the UUIDs it was given.
#![forbid(unsafe_code)]

mod arbiter;
mod boot;
mod catalog;
mod check;
mod configless;
mod containers;
mod counts;
mod demand;
mod drain;
mod fence;
mod held;
mod here;
mod init;
mod jobs;
mod life;
mod monitoring;
mod node;
mod occupancy;
mod on_request;
mod orders;
mod reserved;
mod steer;
mod systemd;
mod waits;
