//! When slurmctld is asked to count anew what jobs have: where it goes on counting devices in use that no job has, and somebody waits.
//!
//! What it counts is cut for nobody, and nobody on a node would see to it: no cut is decided there, so no order comes. Counting anew
//! is not free. slurmctld holds its locks of configuration and nodes meanwhile and gives up a backfill cycle that is under way, and a
//! job that it counts wrongly while it runs is counted wrongly again. So it is asked seldom, and less often where that changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Event, Kind};
use super::wire::shown;
use crate::slurm::control::{Control, Devices};

/// Devices by node that slurmctld counts in use and no job has, none of them too. A node of which that cannot be said is not among them.
pub(super) type Counts = BTreeMap<String, Devices>;

/// What was seen, and when slurmctld was last asked.
#[derive(Debug, Default)]
pub(super) struct Recount {
    seen: BTreeMap<String, Seen>,
    /// Nodes for which it was done last, but those that have been seen without such a count since.
    tried: BTreeSet<String>,
    /// When it was done last, in seconds since 1970.
    last: Option<u64>,
    /// How long it is not done again for nodes that were tried, in seconds.
    pause: u64,
    /// Why it could not be done the last time.
    failure: Option<String>,
}

/// Devices of a node that nobody had in each of some passes.
#[derive(Debug)]
struct Seen {
    devices: Devices,
    since: u64,
    last: u64,
    passes: u32,
}

/// Passes at least in which the same device is counted. A job that starts or ends between two answers of slurmctld is in one.
const PASSES: u32 = 5;

/// Seconds at least between the first of them and the last.
const LONG: u64 = 10;

/// What was seen longer ago, in seconds, says nothing of now.
const OLD: u64 = 300;

/// Seconds at least between two times.
const PAUSE: u64 = 600;

/// Longest pause, in seconds, where the same nodes come back.
const LONGEST: u64 = 4 * 3600;

impl Recount {
    /// Takes in what one pass saw, and has slurmctld count anew where somebody waits and it is due; what there is to be said of it.
    pub(super) fn pass(&mut self, counts: Counts, awaited: bool, now: u64) -> Vec<Event> {
        if !awaited {
            // It matters to nobody what is counted.
            self.seen.clear();
            return Vec::new();
        }
        let due = self.due(counts, now);
        if due.is_empty() {
            return Vec::new();
        }
        let says = "slurmctld counts devices in use that no job has, and is asked to count anew";
        let mut events: Vec<Event> = due.iter().map(|node| Event::of_node(Kind::Node, node, says)).collect();
        let failure = Control::connect().and_then(Control::count_anew).err();
        events.extend(self.done(failure.map(|error| shown(&error.to_string()))));
        events
    }

    /// Takes in what one pass saw while somebody waits, and says for which nodes slurmctld is to count anew now. It is then taken for done.
    fn due(&mut self, counts: Counts, now: u64) -> Vec<String> {
        for (node, devices) in counts {
            self.see(node, devices, now);
        }
        self.seen.retain(|_, seen| now.saturating_sub(seen.last) <= OLD);
        let lasts =
            |seen: &Seen| seen.last == now && seen.passes >= PASSES && now.saturating_sub(seen.since) >= LONG;
        let due = self.seen.iter().filter(|(_, seen)| lasts(seen)).map(|(node, _)| node.clone());
        let due: BTreeSet<String> = due.collect();
        // A node that is new among them need not wait as long as one for which it was of no use.
        let pause = if due.is_subset(&self.tried) { self.pause } else { PAUSE };
        if due.is_empty() || self.last.is_some_and(|last| now.saturating_sub(last) < pause) {
            return Vec::new();
        }
        let again = !due.is_disjoint(&self.tried);
        self.pause = if again { self.pause.saturating_mul(2).min(LONGEST) } else { PAUSE };
        self.last = Some(now);
        self.seen.clear();
        self.tried.clone_from(&due);
        due.into_iter().collect()
    }

    fn see(&mut self, node: String, devices: Devices, now: u64) {
        if devices.is_empty() {
            self.seen.remove(&node);
            self.tried.remove(&node);
            return;
        }
        if let Some(seen) = self.seen.get_mut(&node)
            && let Some(same) = same(&seen.devices, &devices)
        {
            *seen = Seen { devices: same, last: now, passes: seen.passes.saturating_add(1), ..*seen };
            return;
        }
        self.seen.insert(node, Seen { devices, since: now, last: now, passes: 1 });
    }

    /// Notes what came of it. The same failure is said once.
    fn done(&mut self, failure: Option<String>) -> Option<Event> {
        let new = failure != self.failure;
        self.failure = failure;
        let why = self.failure.as_ref().filter(|_| new)?;
        Some(Event::new(Kind::Slurmctld, format!("does not count anew: {why}")))
    }

    /// The clock was set back to this time: no pause lasts longer than it would have.
    pub(super) fn set_back(&mut self, now: u64) {
        self.last = self.last.map(|last| last.min(now));
        for seen in self.seen.values_mut() {
            (seen.since, seen.last) = (seen.since.min(now), seen.last.min(now));
        }
    }
}

/// Devices that are in both; of lists that are cut, nobody knows that there is none.
fn same(one: &Devices, other: &Devices) -> Option<Devices> {
    match (one, other) {
        (Devices::Listed(one), Devices::Listed(other)) => {
            let both: BTreeSet<usize> = one.intersection(other).copied().collect();
            (!both.is_empty()).then_some(Devices::Listed(both))
        }
        (Devices::Unlisted, Devices::Unlisted) => Some(Devices::Unlisted),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn counts<const N: usize>(node: &str, devices: [usize; N]) -> Counts {
        Counts::from([(node.to_owned(), Devices::Listed(devices.into()))])
    }

    /// Passes a second apart, from a time to another; when slurmctld counted anew.
    fn times(recount: &mut Recount, times: std::ops::Range<u64>, saw: impl Fn(u64) -> Counts) -> Vec<u64> {
        times.filter(|now| !recount.due(saw(*now), *now).is_empty()).collect()
    }

    #[test]
    fn what_lasts_is_counted_anew_once_and_less_often_where_it_comes_back() {
        let mut recount = Recount::default();
        let lasting = |_| counts("n1", [3, 4]);
        assert_eq!(times(&mut recount, 1000..1600, lasting), [1010]);
        let later = times(&mut recount, 1600..100_000, lasting);
        let gaps: Vec<u64> = std::iter::once(&1010).chain(&later).zip(&later).map(|(a, b)| b - a).collect();
        assert_eq!(gaps, [600, 1200, 2400, 4800, 9600, 14400, 14400, 14400, 14400, 14400]);
        // It has helped: the next time is as the first.
        assert_eq!(recount.due(counts("n1", NONE), 100_000), NONE.map(|_| String::new()));
        assert_eq!(times(&mut recount, 120_000..120_700, lasting), [120_010, 120_610]);
    }

    #[test]
    fn another_node_waits_for_the_shortest_pause_alone() {
        let mut recount = Recount::default();
        let first = |_| counts("n1", [3]);
        assert_eq!(times(&mut recount, 1000..3000, first), [1010, 1610, 2810]);
        let both = |_| counts("n1", [3]).into_iter().chain(counts("n2", [0])).collect();
        assert_eq!(times(&mut recount, 3000..3500, both), [3410]);
        assert_eq!(recount.tried, ["n1", "n2"].map(str::to_owned).into());
        // One for which it was of no use does not make it sooner.
        assert_eq!(times(&mut recount, 3500..8300, both), [8210]);
    }

    #[test]
    fn what_comes_and_goes_is_jobs_that_start_and_end() {
        let mut recount = Recount::default();
        // Another device each time, and one that is not counted every ninth second.
        assert!(times(&mut recount, 0..100, |now| counts("n1", [now as usize % 14])).is_empty());
        let gaps = |now: u64| if now.is_multiple_of(9) { counts("n1", NONE) } else { counts("n1", [2]) };
        assert!(times(&mut recount, 100..200, gaps).is_empty());
        // A list that is cut now and then.
        let cut = |now: u64| match now % 7 {
            0 => Counts::from([("n1".to_owned(), Devices::Unlisted)]),
            _ => counts("n1", [2]),
        };
        assert!(times(&mut recount, 200..300, cut).is_empty());
        let always = |_| Counts::from([("n1".to_owned(), Devices::Unlisted)]);
        assert_eq!(times(&mut recount, 300..400, always).len(), 1);
    }

    #[test]
    fn passes_of_which_nothing_can_be_said_count_for_nothing() {
        let mut recount = Recount::default();
        // A job is completing there most of the time.
        let seldom = |now: u64| if now.is_multiple_of(20) { counts("n1", [2]) } else { Counts::new() };
        assert_eq!(times(&mut recount, 0..100, seldom), [80]);
        assert!(recount.due(Counts::new(), 10_000).is_empty());
        // Too long ago.
        let rare = |now: u64| if now.is_multiple_of(400) { counts("n1", [2]) } else { Counts::new() };
        assert!(times(&mut recount, 10_000..20_000, rare).is_empty());
        // Nobody waits meanwhile.
        assert!(times(&mut recount, 20_000..20_010, |_| counts("n1", [2])).is_empty());
        assert_eq!(recount.pass(counts("n1", [2]), false, 20_010), []);
        assert_eq!(times(&mut recount, 20_010..20_030, |_| counts("n1", [2])), [20_020]);
    }

    #[test]
    fn a_few_slow_passes_are_not_enough() {
        let mut recount = Recount::default();
        let slow: Vec<u64> = (0..6).map(|pass| pass * 60).collect();
        let done: Vec<u64> =
            slow.into_iter().filter(|now| !recount.due(counts("n1", [2]), *now).is_empty()).collect();
        assert_eq!(done, [240]);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_no_pause_and_makes_none_longer() {
        let mut recount = Recount::default();
        let lasting = |_| counts("n1", [2]);
        assert_eq!(times(&mut recount, 50_000..50_100, lasting), [50_010]);
        recount.set_back(1000);
        assert_eq!(times(&mut recount, 1000..2000, lasting), [1600]);
    }

    #[test]
    fn a_failure_is_said_once() {
        let mut recount = Recount::default();
        let denied = || Some("Access/permission denied".to_owned());
        let said = Some("slurmctld: does not count anew: Access/permission denied".to_owned());
        let mut done = |failure| recount.done(failure).map(|event| event.to_string());
        assert_eq!(done(denied()), said);
        assert_eq!(done(denied()), None);
        assert_eq!(done(None), None);
        assert_eq!(done(denied()), said);
    }
}
