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
pub mod apply;
pub mod atomic;
pub mod check;
pub mod cli;
pub mod command;
pub mod config;
pub mod cores;
pub mod devices;
pub mod document;
pub mod files;
pub mod history;
pub mod holders;
pub mod hooks;
pub mod init;
pub mod inventory;
pub mod lock;
pub mod metrics;
pub mod node;
pub mod nvml;
pub mod open;
pub mod path_error;
pub mod publish;
pub mod read;
pub mod render;
pub mod root;
mod schema;
pub mod site;
pub mod slices;
pub mod slurm;
pub mod svg;
pub mod users;
pub mod wait;
pub mod words;
