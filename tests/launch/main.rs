//! The plugin inside real Slurm daemons: every way a job can start, and every way a node can be broken.
//!
//! The judge is `lab-probe`, run as the task: it opens the device nodes. Releases: `LAB_RELEASES`, 22.05 by default.
#![forbid(unsafe_code)]

#[path = "../shared/cases.rs"]
mod cases;
mod contained;
mod containers;
mod faults;
#[path = "../shared/fetched.rs"]
#[allow(dead_code, reason = "no judge here comes from PyPI")]
mod fetched;
mod fixture;
mod limits;
mod modes;
mod soak;
mod table;
mod told;
mod window;
mod wishes;
