//! `gresgen` as a process on simulated GPUs: what it does, what it says, how it ends.

mod advise;
mod errors;
mod examples;
mod life;
mod models;
mod moments;
mod node;
mod planned;
mod shared;
mod terminal;
