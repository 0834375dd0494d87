//! The built `spank_mig.so` as a shared object: what it exports and needs, and its hooks under a stand-in for
//! slurmstepd (`fake_slurm.c`).
//!
//! Device cgroups have no part in this: the devices are the system's own `/dev/null` and the like, open to
//! everybody, as on a node without `ConstrainDevices`. Real limits are tested inside a real Slurm.

mod exports;
mod host;
mod tasks;
mod told;
