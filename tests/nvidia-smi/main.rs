//! NVIDIA's own `nvidia-smi`, from Debian's component non-free, on the simulator and beside `gresgen`.
//!
//! It is a program that this project did not write, made for real drivers, so what it prints here may be laid beside
//! what it prints on real boards. Two releases far apart take part: 470, and 550, the last of the component. Those
//! between, and 450, the first with MIG, were run by hand. They are fetched once and never installed;
//! `NVML_SIM_SKIP_JUDGES=1` passes them over.
#![forbid(unsafe_code)]

#[path = "../shared/fetched.rs"]
mod fetched;
#[path = "../cli/node.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod node;
#[path = "../shared/plain.rs"]
mod plain;

mod beside;
mod errors;
mod lists;
mod sessions;
mod smi;
