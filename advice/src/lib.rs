//! Which MIG layout would have made these jobs wait least?
//!
//! * [`kinds`] is what a GPU model can be given out as, and how one is cut.
//! * [`demand`] is what jobs asked for, and parts and samples of it.
//! * [`layout`] says which GPUs of which nodes are cut how.
//! * [`judge`] replays jobs on a layout.
//! * [`advise`](mod@advise) learns a layout from some jobs and judges it by others: `search` finds what is best where kinds do
//!   not hinder each other, from the waiting times in `curve`; the replay decides, and `refine` changes what it chose GPU by
//!   GPU.
//! * [`calendar`](mod@calendar) does so with two layouts that take turns.
//!
//! Everything is about one group of equal nodes. Nothing here performs I/O or reads a clock; random numbers depend on a
//! seed alone, so that the same jobs give the same advice.
#![forbid(unsafe_code)]

pub mod advise;
pub mod calendar;
mod curve;
pub mod demand;
pub mod judge;
pub mod kinds;
pub mod layout;
pub mod on_request;
mod question;
pub mod random;
mod refine;
mod search;
pub mod synthetic;

pub use question::Question;
