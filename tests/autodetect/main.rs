//! Slurm's own ways to learn the UUIDs of MIG devices, beside gresgen's device map and plugin.
//!
//! Up to 25.05 there are two: its NVML plugin (`AutoDetect=nvml`), which asks the driver's library, here the
//! simulator; and `fake_gpus.conf`, a file of its own tests that takes the place of detection. Both name the
//! devices of a job in `CUDA_VISIBLE_DEVICES`, so both say, without any code of this project, what a job must see.
//!
//! `models` has the NVML plugin of three releases (Debian's component contrib) on every model; jobs run under it on
//! 22.05, the release of Debian 12. It comes by network once; `NVML_SIM_SKIP_JUDGES=1` passes over what needs it. What
//! needs `fake_gpus.conf` alone runs on the releases that `LAB_RELEASES` names, too.
#![forbid(unsafe_code)]

#[path = "../cli/node.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod cli;
#[path = "../shared/fetched.rs"]
#[allow(dead_code, reason = "shared with other judges")]
mod fetched;
#[path = "../shared/plain.rs"]
mod plain;

mod both;
mod fake;
mod models;
mod node;
mod nvml;
mod sorted;
