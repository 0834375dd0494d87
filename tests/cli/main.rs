//! `gresgen` as a process on simulated GPUs: what it does, what it says, how it ends.

mod advise;
mod alone;
mod catalog;
mod errors;
mod examples;
mod history;
mod hooks;
mod init;
mod life;
mod models;
mod moments;
mod node;
mod orders;
mod pictures;
#[path = "../shared/plain.rs"]
mod plain;
mod planned;
mod shared;
mod shells;
mod terminal;
mod waits;
