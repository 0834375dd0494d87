//! The C side: what clients of `libnvidia-ml.so.1` link to. All `unsafe` of this crate is below here.
//!
//! [`mod@pointer`] wraps the raw pointers of C callers, [`handle`] packs handles into numbers, [`structs`]
//! fills the versioned structs, [`gate`] is what every call passes through, [`exports`] are the calls, [`absent`]
//! those that no simulated GPU has an answer to, [`mod@table`] and [`mod@reset`] those of nvidia-smi alone; and [`device`], [`health`],
//! [`instance`] and [`compute`] what they do where it takes more than a line. [`client`] is the other side: it asks.
#![allow(unsafe_code)]

mod absent;
pub mod client;
mod compute;
mod device;
mod exports;
mod gate;
mod handle;
mod health;
mod instance;
mod pointer;
mod reset;
mod structs;
mod table;

/// Every exported function that gives a return code: what a fault can be ordered for.
fn names() -> impl Iterator<Item = &'static str> {
    exports::NAMES.iter().chain(absent::NAMES).copied().chain([table::NAME, reset::NAME])
}
