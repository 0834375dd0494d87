//! The cheapest regions of a node for slices that it lacks: exact, by a fold over its GPUs as in `mig`'s planner.

use mig::Profile;

use crate::blocked::Blocked;
use crate::cluster::Model;
use crate::masks::bits;

/// What a region costs. Less is better, field by field in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cost {
    /// When the last who are on it are due to have ended; 0 for one that is idle.
    pub(crate) until: u64,
    /// For how long what is larger than it could not be cut, see [`Blocked`].
    pub(crate) blocked: u64,
    /// What could have been cut beside what stays and now cannot: packed counts by profile, the largest first.
    pub(crate) room: u128,
    /// Placement units of what goes beyond those of what comes.
    pub(crate) spill: u32,
    /// Instances that go.
    pub(crate) gone: u32,
}

impl Cost {
    fn and(self, other: Cost) -> Cost {
        Cost {
            until: self.until.max(other.until),
            blocked: self.blocked + other.blocked,
            room: self.room + other.room,
            spill: self.spill + other.spill,
            gone: self.gone + other.gone,
        }
    }
}

/// A GPU that may be cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) gpu: usize,
    pub(crate) model: &'a Model,
    /// What stays, whoever has it.
    pub(crate) stays: u128,
    /// What may go, idle or not. Idle ones of the kinds needed are not among it: those are had without a cut.
    pub(crate) loose: u128,
    /// When those who have instances end.
    pub(crate) ends: &'a [(u128, u64)],
    /// The time now, or a little before.
    pub(crate) now: u64,
}

/// A part of a region: on one GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) gpu: usize,
    pub(crate) create: u128,
    pub(crate) gone: u128,
}

/// A region, with what it costs.
pub(crate) type Region = (Cost, Vec<Part>);

/// Combinations of counts that are told apart; a request with more is not served.
const COMBINATIONS: usize = 4096;

/// Sets of places that are looked at for one request on all GPUs of a node: more than any GPUs have that exist. Who says what GPUs a
/// node has may make some up of which there is no end; a request for these is not served.
const SETS: usize = 1 << 18;

/// The last step on the way to a combination: what a GPU adds, and the step before it.
type Step = (Part, Option<usize>);

/// The cheapest way to have `need` on these GPUs; `None` if there is none.
pub(crate) fn cheapest(sites: &[Site<'_>], need: &[(Profile, u32)]) -> Option<Region> {
    let mut radix = vec![1usize];
    for (_, count) in need {
        let next = radix.last()?.checked_mul(*count as usize + 1).filter(|all| *all <= COMBINATIONS)?;
        radix.push(next);
    }
    let all = radix.pop()?;
    let mut steps: Vec<Step> = Vec::new();
    let mut best: Vec<Option<(Cost, Option<usize>)>> = vec![None; all];
    best[0] = Some((Cost::default(), None));
    let mut left = SETS;
    for site in sites {
        let choices = choices(site, need, &radix, all, &mut left)?;
        let before = best.clone();
        for (counts, (cost, part)) in choices {
            for (from, known) in before.iter().enumerate() {
                let Some((sum, last)) = *known else { continue };
                let Some(to) = added(from, counts, need, &radix) else { continue };
                let total = sum.and(cost);
                if best[to].is_none_or(|(other, _)| total < other) {
                    best[to] = Some((total, Some(steps.len())));
                    steps.push((part, last));
                }
            }
        }
    }
    let (cost, mut at) = best.pop()??;
    let mut parts = Vec::new();
    while let Some((part, before)) = at.map(|step| steps[step]) {
        parts.push(part);
        at = before;
    }
    parts.reverse();
    Some((cost, parts))
}

/// The sum of two combinations; `None` beyond what is needed.
fn added(a: usize, b: usize, need: &[(Profile, u32)], radix: &[usize]) -> Option<usize> {
    let digit = |of: usize, at: usize| of / radix[at] % (need[at].1 as usize + 1);
    let fits = |at: usize| digit(a, at) + digit(b, at) <= need[at].1 as usize;
    (0..need.len()).all(fits).then_some(a + b)
}

/// The cheapest way to have every combination on one GPU; `None` where more sets of places would have to be looked at than are `left`.
fn choices(
    site: &Site<'_>,
    need: &[(Profile, u32)],
    radix: &[usize],
    all: usize,
    left: &mut usize,
) -> Option<Vec<(usize, (Cost, Part))>> {
    let masks = &site.model.masks;
    let kinds: Vec<(u128, usize, u32)> = need
        .iter()
        .zip(radix)
        .map(|((profile, count), step)| (masks.profile(*profile), *step, *count))
        .collect();
    let mut best: Vec<Option<(Cost, Part)>> = vec![None; all];
    let standing = masks.excluded(site.stays);
    let mut free_room = None;
    let mut blocked = None;
    // What is created, the combination that it is, what it excludes, when that is idle, and the place from which to go on.
    let mut todo = vec![(0u128, 0usize, 0u128, 0u64, 0usize)];
    while let Some((create, counts, excluded, until, from)) = todo.pop() {
        *left = left.checked_sub(1)?;
        // One that falls idle later costs more, whatever else it costs.
        if create != 0 && best[counts].as_ref().is_none_or(|(other, _)| until <= other.until) {
            // A busy instance of the kind wanted is waited for, and stays.
            let gone = excluded & site.loose & !create;
            let before = *free_room.get_or_insert_with(|| site.model.room(site.stays));
            let cost = Cost {
                until,
                blocked: blocked
                    .get_or_insert_with(|| Blocked::new(site.model, site.stays, site.ends, site.now))
                    .by(create),
                // Of each profile no more fits beside more.
                room: before - site.model.room(site.stays | create),
                spill: masks.units(gone).saturating_sub(masks.units(create)),
                gone: gone.count_ones(),
            };
            if best[counts].as_ref().is_none_or(|(other, _)| cost < *other) {
                best[counts] = Some((cost, Part { gpu: site.gpu, create, gone }));
            }
        }
        for &(places, step, count) in &kinds {
            if counts / step % (count as usize + 1) == count as usize {
                continue;
            }
            let free = places & !standing & !excluded & u128::MAX.checked_shl(from as u32).unwrap_or(0);
            todo.extend(bits(free).map(|bit| {
                let more = masks.excluded(1 << bit);
                let until = until.max(idle_from(site, more));
                (create | 1 << bit, counts + step, excluded | more, until, bit + 1)
            }));
        }
    }
    Some(best.into_iter().enumerate().filter_map(|(counts, choice)| Some((counts, choice?))).collect())
}

/// When all who have something of these places are due to have ended; 0 where nobody has.
fn idle_from(site: &Site<'_>, places: u128) -> u64 {
    let busy = places & site.loose;
    let ends = site.ends.iter().filter(|(bit, _)| bit & busy != 0).map(|(_, until)| *until);
    ends.max().map_or(0, |until| until.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::masks::Masks;
    use mig::{BOARDS, Geometry};

    /// How many sets of these places have none that exclude each other, the empty one among them.
    fn sets(masks: &Masks, places: u128) -> usize {
        let with = |bit: usize| {
            let behind = u128::MAX.checked_shl(bit as u32 + 1).unwrap_or(0);
            sets(masks, places & behind & !masks.excluded(1 << bit))
        };
        1 + bits(places).map(with).sum::<usize>()
    }

    fn region(geometry: &Geometry, need: &[(Profile, u32)]) -> Option<Region> {
        let menu: Vec<Profile> = geometry.specs.iter().map(|spec| spec.profile).collect();
        let model = Model::new(geometry, &menu, &[]).unwrap();
        let site = |gpu| Site { gpu, model: &model, stays: 0, loose: 0, ends: &[], now: 0 };
        cheapest(&(0..64).map(site).collect::<Vec<_>>(), need)
    }

    /// Twice as many GPUs of any board as Slurm has on a node are looked at to the end, whatever is asked of them.
    #[test]
    fn no_board_has_more_sets_than_are_looked_at() {
        for board in BOARDS.iter().filter(|board| !board.rows.is_empty()) {
            let geometry = board.geometry();
            let masks = Masks::new(&geometry).unwrap();
            let every = geometry.specs.iter().fold(0, |all, spec| all | masks.profile(spec.profile));
            assert!(sets(&masks, every) * 64 <= SETS, "{}", board.key);
        }
    }

    #[test]
    fn a_gpu_without_an_end_serves_nobody() {
        let board = BOARDS.iter().find(|board| board.key == "a100-40gb").unwrap();
        let mut geometry = board.geometry();
        let small: Vec<(Profile, u32)> =
            ["1g.5gb", "2g.10gb", "3g.20gb"].map(|name| (name.parse().unwrap(), 5)).into();
        assert!(region(&geometry, &small).is_some());
        geometry.units = 16;
        for spec in &mut geometry.specs {
            (spec.size, spec.starts) = (1, (0..16).collect());
        }
        geometry.specs.retain(|spec| small.iter().any(|(profile, _)| *profile == spec.profile));
        assert!(region(&geometry, &small).is_none());
    }
}
