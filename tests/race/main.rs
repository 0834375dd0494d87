//! Jobs without pause against layouts that change: no job ever runs on a slice that went.
//!
//! Jobs of several types, arrays among them, are submitted as fast as Slurm takes them while `gresgen apply` goes from
//! layout to layout, with creation and destruction as slow as on a driver. A job tells which device it was given and
//! which it could open, from when to when; when which instance existed is told by the simulator's state, watched all
//! along. In the end the node takes jobs. A mode kills `apply` at any moment.
//!
//! `RACE_ROUNDS` says how many layouts are applied, `RACE_SEED` repeats a run; `make race` runs many.
#![forbid(unsafe_code)]

#[path = "../shared/history.rs"]
mod history;
mod jobs;
mod node;
mod random;
mod rounds;

use lab::Release;

use rounds::{Ending, race};

#[test]
fn no_job_runs_on_a_slice_that_went() {
    Release::selected().into_iter().for_each(|release| race(release, Ending::Own));
}

#[test]
fn no_job_runs_on_a_slice_that_went_under_an_apply_that_was_killed() {
    Release::selected().into_iter().for_each(|release| race(release, Ending::Killed));
}
