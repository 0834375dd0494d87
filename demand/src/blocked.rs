//! What an instance stands in the way of, and for how long: places of larger ones, which cannot be had before whoever has it
//! ends.
//!
//! A place beside somebody who stays for long blocks little that is not blocked anyway. That tells places apart which leave the
//! same room, and it is what keeps GPUs free for large requests: by replay it takes more off the waits than any order in which
//! Slurm could take records (docs/benchmarks.md, "GPUs on request").

use crate::cluster::Model;
use crate::masks::{Masks, bits};

/// Seconds that whoever comes is taken to stay: who will have an instance is not known when it is made or opened.
const STAY: u64 = 7200;

/// Of each place on offer, what is not blocked yet of the time that somebody who comes stays.
pub(crate) struct Blocked<'a> {
    masks: &'a Masks,
    free: Vec<(usize, u64)>,
}

impl<'a> Blocked<'a> {
    /// Of a GPU with these instances, of which the `ends` are known; what else `stays` is about to be had.
    pub(crate) fn new(model: &'a Model, stays: u128, ends: &[(u128, u64)], now: u64) -> Self {
        let masks = &model.masks;
        let until = now.saturating_add(STAY);
        let known = ends.iter().fold(0, |known, (bit, _)| known | bit);
        let coming = stays & !known;
        let free = |place: usize| {
            let beside = masks.excluded(1 << place);
            let ends = ends.iter().filter(|(bit, _)| bit & beside != 0).map(|(_, until)| *until);
            let from = if coming & beside == 0 { ends.max().unwrap_or(0).max(now) } else { until };
            (place, until.saturating_sub(from))
        };
        Blocked { masks, free: bits(model.offered()).map(free).collect() }
    }

    /// Seconds for which these stand in the way of places larger than one of them, each as often as it has placement units.
    pub(crate) fn by(&self, create: u128) -> u64 {
        let larger = |place: usize| {
            let beside = bits(self.masks.excluded(1 << place) & create);
            beside
                .map(|bit| self.masks.units(1 << bit))
                .min()
                .is_some_and(|least| least < self.masks.units(1 << place))
        };
        let all = self.free.iter().filter(|(place, _)| larger(*place));
        all.map(|(place, seconds)| u64::from(self.masks.units(1 << place)) * seconds).sum()
    }
}
