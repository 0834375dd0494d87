//! One goal solved: a (min,+) fold of what each of its GPUs can provide.
//!
//! A state of the fold is the counts provided so far with the least cost that provides them. Counts and
//! costs are sums over GPUs and costs are ordered lexicographically, so the least cost of a sum is the
//! sum of least costs and the fold is exact. States from which the remaining GPUs can no longer provide
//! exactly the rest are dropped.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::geometry::{Geometry, Placed};
use crate::options::{Scale, Table};
use crate::plan::{Demand, Goal, GpuState, Want};
use crate::profile::Profile;
use crate::room;
use crate::shortage::{Infeasible, Reason};

/// A goal with the options of its GPUs.
pub(crate) struct Problem {
    scale: Scale,
    tables: Vec<Table>,
    /// GPUs of the goal in the order of the fold: position in the goal, and table.
    order: Vec<(usize, usize)>,
}

/// One state of the fold.
struct State {
    counts: u128,
    weight: u32,
    cost: u128,
    /// State of the GPU before, and this GPU's choice.
    from: usize,
    choice: usize,
}

/// What the GPUs from some position on can provide at least and at most.
struct Reach {
    least: u128,
    most: u128,
    least_weight: u32,
    most_weight: u32,
}

impl Problem {
    /// # Errors
    /// What is wrong with the goal whatever the GPUs hold: profiles they lack, places that cannot be.
    pub(crate) fn new(gpus: &[GpuState<'_>], goal: &Goal) -> Result<Self, Box<Infeasible>> {
        let members: Vec<&GpuState<'_>> = goal.gpus.iter().map(|&g| &gpus[g]).collect();
        let (demand, fixed) = wanted(&members, &goal.want);
        if let Some(&gpu) = goal.gpus.iter().find(|&&g| !places_exist(gpus[g].geometry, fixed)) {
            return Err(Infeasible::plain(goal, Reason::Places { gpu }));
        }
        let unknown: Vec<Profile> = demand.keys().copied().filter(|&p| !offered(&members, p)).collect();
        if !unknown.is_empty() {
            let mut valid: Vec<Profile> =
                members.iter().flat_map(|g| g.geometry.specs.iter().map(|s| s.profile)).collect();
            valid.sort_unstable();
            valid.dedup();
            return Err(Infeasible::plain(goal, Reason::Unknown { profiles: unknown, valid }));
        }
        Self::build(&members, &demand, fixed).ok_or_else(|| Infeasible::plain(goal, Reason::TooManyProfiles))
    }

    fn build(members: &[&GpuState<'_>], demand: &Demand, fixed: &[Placed]) -> Option<Self> {
        let scale = Scale::new(members, demand)?;
        let mut sorted: Vec<(usize, Key<'_>)> = members.iter().map(|g| Key::of(g)).enumerate().collect();
        // Stable: equal GPUs keep the order of the goal.
        sorted.sort_by(|a, b| a.1.cmp(&b.1));
        let mut tables = Vec::new();
        let mut order: Vec<(usize, usize)> = Vec::new();
        for (i, (gpu, key)) in sorted.iter().enumerate() {
            if i == 0 || sorted[i - 1].1 != *key {
                tables.push(Table::new(members[*gpu], fixed, &scale)?);
            }
            order.push((*gpu, tables.len() - 1));
        }
        Some(Problem { scale, tables, order })
    }

    /// The best layouts, in the order of the goal's GPUs.
    pub(crate) fn solve(&self) -> Option<Vec<Vec<Placed>>> {
        let reach = self.reach()?;
        let start = State { counts: 0, weight: 0, cost: 0, from: 0, choice: 0 };
        let mut stages = vec![vec![start]];
        for (&(_, table), reach) in self.order.iter().zip(&reach[1..]) {
            stages.push(self.advance(stages.last()?, &self.tables[table], reach));
        }
        // The last reach is zero, so what is left is the target alone.
        let mut at = 0;
        let mut layouts = vec![Vec::new(); self.order.len()];
        for (stage, &(gpu, table)) in stages[1..].iter().zip(&self.order).rev() {
            let state = stage.get(at)?;
            layouts[gpu] = self.tables[table].layout(state.choice);
            at = state.from;
        }
        Some(layouts)
    }

    /// The states after one more GPU.
    fn advance(&self, states: &[State], table: &Table, reach: &Reach) -> Vec<State> {
        let counts = &self.scale.counts;
        let target = self.scale.target;
        let mut next: Vec<State> = Vec::new();
        let mut known: HashMap<u128, usize, BuildHasherDefault<CountsHasher>> = HashMap::default();
        for (from, state) in states.iter().enumerate() {
            for (choice, option) in table.choices.iter().enumerate() {
                let sum = state.counts + option.counts;
                let weight = state.weight + option.weight;
                if !counts.within(sum, target) {
                    continue;
                }
                let rest = target - sum;
                let rest_weight = self.scale.weight - weight;
                if !(reach.least_weight..=reach.most_weight).contains(&rest_weight)
                    || !counts.within(rest, reach.most)
                    || !counts.within(reach.least, rest)
                {
                    continue;
                }
                let reached = State { counts: sum, weight, cost: state.cost + option.cost, from, choice };
                let slot = *known.entry(sum).or_insert(next.len());
                if slot == next.len() {
                    next.push(reached);
                } else if reached.cost < next[slot].cost {
                    next[slot] = reached;
                }
            }
        }
        next
    }

    /// What the GPUs from each position on can provide; `None` when some GPU can provide nothing at all.
    fn reach(&self) -> Option<Vec<Reach>> {
        let lanes = self.scale.counts.len();
        let limits: Vec<u32> = (0..lanes).map(|l| self.scale.counts.get(self.scale.target, l)).collect();
        let (mut least, mut most) = (vec![0u32; lanes], vec![0u32; lanes]);
        let (mut least_weight, mut most_weight) = (0, 0);
        let mut reach = Vec::new();
        for position in (0..=self.order.len()).rev() {
            if let Some(&(_, table)) = self.order.get(position) {
                let choices = &self.tables[table].choices;
                for lane in 0..lanes {
                    let range = choices.iter().map(|c| self.scale.counts.get(c.counts, lane));
                    least[lane] += range.clone().min()?;
                    most[lane] = (most[lane] + range.max()?).min(limits[lane]);
                }
                least_weight += choices.iter().map(|c| c.weight).min()?;
                most_weight += choices.iter().map(|c| c.weight).max()?;
            }
            if least.iter().zip(&limits).any(|(least, limit)| least > limit) {
                return None;
            }
            reach.push(Reach {
                least: self.scale.counts.pack(least.iter().copied()),
                most: self.scale.counts.pack(most.iter().copied()),
                least_weight,
                most_weight,
            });
        }
        reach.reverse();
        Some(reach)
    }
}

/// The counts a goal wants in all, and the places it fixes on each GPU.
pub(crate) fn wanted<'a>(members: &[&GpuState<'_>], want: &'a Want) -> (Demand, &'a [Placed]) {
    let (mut demand, fixed) = match want {
        Want::Exactly(demand) => (demand.clone(), &[][..]),
        Want::Including { places, demand } => (demand.clone(), &places[..]),
        Want::At(places) => {
            let mut demand = Demand::new();
            for gpu in members.iter().filter(|g| places_exist(g.geometry, places)) {
                for (profile, count) in room::counts(gpu.geometry, places) {
                    *demand.entry(profile).or_default() += count;
                }
            }
            (demand, &places[..])
        }
    };
    demand.retain(|_, count| *count > 0);
    (demand, fixed)
}

/// Whether these can stand together on an empty GPU. What an instance in use may have of its own, a place
/// the driver no longer lists, is not judged here.
fn places_exist(geometry: &Geometry, places: &[Placed]) -> bool {
    places.iter().all(|p| usize::from(p.spec) < geometry.specs.len()) && geometry.legal(places)
}

fn offered(members: &[&GpuState<'_>], profile: Profile) -> bool {
    members.iter().any(|g| g.geometry.specs.iter().any(|s| s.profile == profile))
}

/// All that planning looks at in a GPU: GPUs with equal keys are interchangeable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    shape: Vec<(Profile, u8, &'a [u8], u8)>,
    busy: Vec<Placed>,
    idle: Vec<Placed>,
}

impl<'a> Key<'a> {
    fn of(gpu: &'a GpuState<'_>) -> Self {
        let sorted = |placed: &[Placed]| {
            let mut placed = placed.to_vec();
            placed.sort_unstable();
            placed
        };
        let specs = &gpu.geometry.specs;
        Key {
            shape: specs.iter().map(|s| (s.profile, s.size, &s.starts[..], s.max)).collect(),
            busy: sorted(&gpu.busy),
            idle: sorted(&gpu.idle),
        }
    }
}

/// Packed counts need no defence against chosen keys, and the default hasher costs more than the fold.
#[derive(Default)]
struct CountsHasher(u64);

impl Hasher for CountsHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u128(u128::from(byte));
        }
    }

    /// Multiplication by 2^64 over the golden ratio spreads the low bits; the fold brings the high ones down.
    fn write_u128(&mut self, value: u128) {
        let mixed = (self.0 ^ (value as u64) ^ (value >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
    }
}
