//! `spank_mig.so`: gives every Slurm job, step and task the UUIDs of its MIG devices.
//!
//! A Slurm without NVML sets `CUDA_VISIBLE_DEVICES` to numbers that CUDA cannot use for MIG. This plugin puts
//! the UUIDs there. The way of a task through the modules:
//!
//! * `slurm_spank_init` in slurmstepd: [`args`] reads the line of plugstack.conf, [`step`] what Slurm says the
//!   step was given, [`node`] the device map slurmd was started with.
//!   [`leftover`] takes away the limits that an earlier run of the job has left.
//! * `slurm_spank_task_init`, in the forked task under its final device cgroup: [`access`] asks the kernel which
//!   devices the task may open, [`resolve`] decides from all of it which devices are the task's, [`publish`]
//!   sets the variables. Where there is no certain answer the task is ended before its program starts.
//! * `slurm_spank_init` in slurmd: [`node`] keeps a copy of the map that matches the `gres.conf` slurmd loads.
//! * for exporters of GPU metrics, by [`exporters`]: `slurm_spank_init` in slurmstepd writes which devices the step has,
//!   `slurm_spank_task_post_fork` tells them before a task runs, and `slurm_spank_exit` takes it back.
//! * in `srun`, `sbatch` and `salloc`: [`options`] only.
#![forbid(unsafe_code)]

pub mod access;
pub mod args;
pub mod exporters;
pub mod hooks;
pub mod leftover;
pub mod names;
pub mod node;
pub mod options;
pub mod publish;
pub mod resolve;
pub mod step;

/// The default one; said here, it is compiled into this crate's own code, which saves each process that loads the
/// plugin a page of the standard library's.
#[global_allocator]
static ALLOCATOR: std::alloc::System = std::alloc::System;

// A test executable has no Slurm around it to resolve the symbols from.
#[cfg(not(test))]
spank::plugin!(
    "spank_mig",
    slurm_spank_init => hooks::init,
    slurm_spank_task_post_fork => hooks::task_post_fork,
    slurm_spank_task_init => hooks::task_init,
    slurm_spank_exit => hooks::exit,
);
