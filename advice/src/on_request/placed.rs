//! How long jobs wait where every idle region is cut as whoever comes next wants it, at once and at the best place.

use std::collections::HashMap;

use mig::{Demand, Geometry, Placement, Profile};
use replay::{Job, Recut, Rules, Slots};

use super::{Outcome, profile, replayed};
use crate::demand::{Class, Request};
use crate::kinds::Kinds;
use crate::layout::Fleet;

/// Seconds that whoever comes is taken to stay.
const STAY: u32 = 7200;

/// Replays jobs on nodes on which cuts take no time: a job starts when a GPU has a place for what it asks for beside what others
/// have, and gets the place that stands least in the way of larger ones, by the time limits of those beside it. Instances stay
/// where they are, and nothing is kept for jobs that wait. Of equal nodes it is the first with room that a job gets; with
/// all GPUs on one, the best of all.
pub fn placed(
    geometry: &Geometry,
    kinds: &Kinds,
    rules: Rules,
    fleet: Fleet,
    classes: &[Class],
    jobs: &[Request],
) -> Outcome {
    let profiles: Vec<Option<Profile>> =
        (0..kinds.all.len()).map(|kind| profile(geometry, kinds, kind)).collect();
    let wanted: Vec<Profile> = classes.iter().filter_map(|class| profiles[class.need]).collect();
    let places = geometry.placements().filter(|place| wanted.contains(&place.profile)).collect();
    let busy = vec![vec![Vec::new(); fleet.gpus as usize]; fleet.nodes as usize];
    let placed = Placed { geometry, profiles, places, busy, on: HashMap::new(), rooms: HashMap::new() };
    replayed(geometry, kinds, rules, fleet, classes, jobs, placed)
}

struct Placed<'a> {
    geometry: &'a Geometry,
    /// Of each kind.
    profiles: Vec<Option<Profile>>,
    /// Places of all that is asked for.
    places: Vec<Placement>,
    /// Of each GPU of each node, what jobs have and when they end at the latest.
    busy: Vec<Vec<Vec<(Placement, u32)>>>,
    /// What a job has on a node.
    on: HashMap<(u32, usize), Vec<(usize, Placement)>>,
    /// What fits beside what, as it was found.
    rooms: HashMap<Vec<Placement>, Demand>,
}

impl Placed<'_> {
    fn publish(&mut self, node: usize, slots: &mut Slots<'_>) {
        let Placed { geometry, rooms, .. } = self;
        let mut free = Demand::new();
        let mut held = Demand::new();
        for busy in &self.busy[node] {
            let mut busy: Vec<Placement> = busy.iter().map(|(place, _)| *place).collect();
            busy.sort_unstable();
            busy.iter().for_each(|place| *held.entry(place.profile).or_default() += 1);
            let room = rooms.entry(busy).or_insert_with_key(|busy| mig::room(geometry, busy));
            room.iter().for_each(|(profile, count)| *free.entry(*profile).or_default() += count);
        }
        for (pool, profile) in self.profiles.iter().enumerate() {
            let of = |counts: &Demand| profile.and_then(|p| counts.get(&p)).copied().unwrap_or(0);
            slots.set(pool, node, of(&free) + of(&held), of(&free));
        }
    }

    /// The place on a node that stands least in the way of larger ones, each for as long as it had been free, by its units.
    fn best(&self, node: usize, profile: Profile, now: u32) -> Option<(usize, Placement)> {
        let spec = self.geometry.spec(profile)?;
        let units =
            |place: Placement| u64::from(self.geometry.spec(place.profile).map_or(0, |spec| spec.size));
        let mut best: Option<(u64, usize, Placement)> = None;
        for (gpu, busy) in self.busy[node].iter().enumerate() {
            let beside = |place: Placement| {
                busy.iter()
                    .filter(move |(other, _)| self.geometry.conflict(*other, place))
                    .map(|(_, end)| *end)
            };
            for place in spec.placements().filter(|place| beside(*place).next().is_none()) {
                let larger = self
                    .places
                    .iter()
                    .filter(|other| units(**other) > units(place) && self.geometry.conflict(**other, place));
                let blocked = |other: &Placement| {
                    let from = beside(*other).max().unwrap_or(0).max(now);
                    units(*other) * u64::from((now + STAY).saturating_sub(from))
                };
                let blocks = larger.map(blocked).sum();
                if best.is_none_or(|(least, ..)| blocks < least) {
                    best = Some((blocks, gpu, place));
                }
            }
        }
        best.map(|(_, gpu, place)| (gpu, place))
    }
}

impl Recut for Placed<'_> {
    fn started(&mut self, now: u32, number: u32, job: &Job, nodes: &[usize], slots: &mut Slots<'_>) {
        let Some(profile) = self.profiles[usize::from(job.pool)] else { return };
        for &node in nodes {
            let mut taken = Vec::new();
            for _ in 0..job.count {
                let Some((gpu, place)) = self.best(node, profile, now) else { continue };
                self.busy[node][gpu].push((place, now.saturating_add(job.limit)));
                taken.push((gpu, place));
            }
            self.on.insert((number, node), taken);
            self.publish(node, slots);
        }
    }

    fn ended(&mut self, _: u32, number: u32, node: usize, slots: &mut Slots<'_>) {
        for (gpu, place) in self.on.remove(&(number, node)).unwrap_or_default() {
            self.busy[node][gpu].retain(|(other, _)| *other != place);
        }
        self.publish(node, slots);
    }

    fn advance(&mut self, now: u32, slots: &mut Slots<'_>) {
        if now == 0 {
            (0..self.busy.len()).for_each(|node| self.publish(node, slots));
        }
    }
}
