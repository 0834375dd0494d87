//! Which nodes reservations keep from a job, as slurmctld has it (`job_test_resv`, src/slurmctld/reservation.c of 22.05, 24.11 and 26.05).
//!
//! A job is not started on a node that is reserved for others before the job would have to end, however long before: that of
//! maintenance in two days keeps it from jobs of three days from now on.

use std::collections::{HashMap, HashSet};

use crate::demand::answers::Answers;
use crate::slurm::control::Reservation;

/// When a reservation begins, in seconds since 1970; 0 of one that holds now.
pub(super) type Last = u64;

/// Seconds that a cut and Slurm's next look at the queue take.
const SOON: u64 = 60;

/// Reservations that hold now, or will.
pub(super) struct Reserved<'a> {
    now: u64,
    all: Vec<One<'a>>,
    /// When those to come begin, ascending.
    begin: Vec<u64>,
}

struct One<'a> {
    of: &'a Reservation,
    /// It takes its nodes whole.
    whole: bool,
    /// Where its nodes cannot be read, any may be one of them.
    nodes: Option<HashSet<&'a str>>,
}

impl One<'_> {
    fn has(&self, node: &str) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(node))
    }

    /// Whether it lets its own jobs have a node. A flexible one binds them to neither its nodes nor its time.
    fn opens(&self, node: &str) -> bool {
        let One { of, .. } = self;
        of.is("FLEX") || of.begins.is_none() && (of.is("ANY_NODES") || self.has(node))
    }

    /// Whether its jobs leave alone what another takes.
    fn yields_to(&self, other: &One<'_>) -> bool {
        let One { of, .. } = self;
        other.whole
            && other.of.name != of.name
            && !of.is("MAINT")
            && (!of.is("OVERLAP") || other.of.is("MAINT"))
    }
}

impl<'a> Reserved<'a> {
    pub(super) fn new(answers: &'a Answers) -> Self {
        let cpus: HashMap<&str, u64> =
            answers.nodes.iter().map(|view| (view.name.as_str(), view.cpus_usable)).collect();
        // Of one that takes cores (CoreCnt, TRES) others have what it leaves. slurmctld does not say which it is; from 24.11 on it names
        // the cores.
        let is_whole = |reservation: &Reservation| {
            let names = reservation.nodes.iter().flatten();
            let all: Option<u64> = names.map(|name| cpus.get(name.as_str()).copied()).sum();
            !matches!((reservation.cpus, all), (Some(takes), Some(all)) if takes < all)
        };
        let all = &answers.reservations;
        let mut begin: Vec<u64> = all.iter().filter_map(|reservation| reservation.begins).collect();
        begin.sort_unstable();
        let one = |of: &'a Reservation| {
            let nodes = of.nodes.as_ref().map(|nodes| nodes.iter().map(String::as_str).collect());
            One { of, whole: is_whole(of), nodes }
        };
        let all = all.iter().map(one).collect();
        Reserved { now: answers.now, all, begin }
    }

    /// When the last begins that begins before a job would have to end that starts soon.
    pub(super) fn last(&self, lasts: u64) -> Last {
        let end = self.now.saturating_add(lasts).saturating_add(SOON);
        let before = self.begin.partition_point(|begins| *begins < end);
        before.checked_sub(1).map_or(0, |at| self.begin[at])
    }

    /// Whether a node is reserved for others until then, for a job in the reservations that it names; `None` for one of none of them.
    pub(super) fn takes(&self, node: &str, own: &str, last: Last) -> Option<bool> {
        let holds = |other: &&One<'_>| other.of.begins.is_none_or(|begins| begins <= last) && other.has(node);
        let here = self.all.iter().filter(holds);
        if own.is_empty() {
            // What cores there are beside one that holds now is not known.
            return Some(here.clone().any(|other| other.whole || other.of.begins.is_none()));
        }
        let is_own = |one: &&One<'_>| own.split(',').any(|name| name == one.of.name) && one.opens(node);
        // It starts in any of them.
        let mut taken =
            self.all.iter().filter(is_own).map(|own| here.clone().any(|other| own.yields_to(other)));
        let first = taken.next()?;
        Some(first && taken.all(|taken| taken))
    }
}
