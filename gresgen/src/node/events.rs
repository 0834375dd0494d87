//! What a change says while it is made, and what stops it.

use std::time::Duration;

use super::error::ApplyError;
use crate::apply::steps::Step;
use crate::inventory::Gpu;
use crate::wait::Stop;

/// What happens, for a progress display.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A step begins: its number, of how many.
    Begin(usize, usize, &'a Step, &'a Gpu),
    /// The step has ended well.
    End,
    /// A GPU is being reset.
    Reset(&'a Gpu),
    /// Something is waited for.
    Waiting(&'a Waiting<'a>),
    /// Something beside the change went wrong.
    Warning(&'a str),
    /// Something failed and what was done is being undone.
    RollingBack(&'a ApplyError),
}

/// A wait, as it is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting<'a> {
    /// What is waited for, as `n1 to have no jobs`.
    pub what: &'a str,
    /// How long already.
    pub since: Duration,
    /// How long at most.
    pub limit: Duration,
    /// Why it is not there yet.
    pub why: &'a str,
}

/// Who is told, and what tells to stop.
pub(crate) struct Events<'a> {
    /// Told what happens.
    pub show: &'a mut dyn FnMut(Event<'_>),
    /// Looked at between steps and in every wait.
    pub stop: Stop,
}
