//! The C side: what clients of `libnvidia-ml.so.1` link to. All `unsafe` of this crate is below here.
//!
//! [`pointer`] wraps the raw pointers of C callers, [`handle`] packs handles into numbers, [`structs`]
//! fills the versioned structs, [`gate`] is what every call passes through, [`exports`] are the calls.
#![allow(unsafe_code)]

mod calls;
mod exports;
mod gate;
mod handle;
mod pointer;
mod structs;
