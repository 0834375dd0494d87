//! Partition NVIDIA GPUs with MIG and write the Slurm configuration that goes with it.
//!
//! Data flows one way:
//!
//! ```text
//! config + Inventory -> Goals -> Plan -> Steps -> (execute) -> fresh Inventory
//!        -> GresTable -> { DeviceMap, Context -> files } -> commit
//! ```
//!
//! Only reading, executing and committing touch the world; everything between takes values and returns values.
#![deny(unsafe_code)]

pub mod advise;
mod alike;
mod apply;
mod arbiter;
mod atomic;
mod check;
pub mod cli;
mod command;
pub mod config;
pub mod cores;
mod demand;
mod devices;
mod diff;
pub mod document;
pub mod files;
mod forms;
mod history;
mod holders;
mod hooks;
mod init;
pub mod inventory;
mod lock;
mod metrics;
mod node;
mod note;
mod nvml;
mod open;
pub mod order;
mod path_error;
mod pci;
mod publish;
mod read;
pub mod render;
pub mod root;
mod schema;
mod site;
mod slices;
pub mod slurm;
mod svg;
pub mod users;
mod uuid;
mod wait;
mod words;
