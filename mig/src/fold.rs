//! One goal solved: a (min,+) fold of what each of its GPUs can provide.
//!
//! A state of the fold is the counts provided so far with the least cost that provides them. Counts and
//! costs are sums over GPUs and costs are ordered lexicographically, so the least cost of a sum is the
//! sum of least costs and the fold is exact. States from which the remaining GPUs can no longer provide
//! exactly the rest are dropped.

use crate::counts_map::{CountsMap, CountsSet};
use crate::geometry::Placement;
use crate::goal::{Demand, Goal, GpuState, Want};
use crate::options::{Scale, Table};
use crate::profile::Profile;
use crate::room;
use crate::shortage::{Infeasible, Reason};

/// A goal with the options of its GPUs.
pub(crate) struct Problem {
    scale: Scale,
    tables: Vec<Table>,
    /// GPUs of the goal, equal ones side by side.
    order: Vec<Member>,
}

/// What is asked of a problem.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The best layouts.
    Solve,
    /// Only whether there are any.
    Check,
}

/// A GPU of the goal: its position there, and its table.
#[derive(Clone, Copy)]
struct Member {
    gpu: usize,
    table: usize,
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
    pub(crate) fn new(gpus: &[GpuState<'_>], goal: &Goal, purpose: Purpose) -> Result<Self, Box<Infeasible>> {
        let members: Vec<&GpuState<'_>> = goal.gpus.iter().map(|&g| &gpus[g]).collect();
        let (demand, fixed) = wanted(&members, &goal.want);
        // Of an empty GPU: an instance in use may have a place of its own that the driver no longer lists.
        if let Some(&gpu) = goal.gpus.iter().find(|&&g| !gpus[g].geometry.legal(fixed)) {
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
        Self::build(&members, &demand, fixed, purpose)
            .ok_or_else(|| Infeasible::plain(goal, Reason::TooManyProfiles))
    }

    fn build(
        members: &[&GpuState<'_>],
        demand: &Demand,
        fixed: &[Placement],
        purpose: Purpose,
    ) -> Option<Self> {
        let scale = Scale::new(members, demand, purpose == Purpose::Solve)?;
        let mut sorted: Vec<(usize, Key<'_>)> = members.iter().map(|g| Key::of(g)).enumerate().collect();
        // Stable: equal GPUs keep the order of the goal.
        sorted.sort_by(|a, b| a.1.cmp(&b.1));
        let mut tables = Vec::new();
        let mut order: Vec<Member> = Vec::new();
        for (i, (gpu, key)) in sorted.iter().enumerate() {
            if i == 0 || sorted[i - 1].1 != *key {
                tables.push(Table::new(members[*gpu], fixed, &scale)?);
            }
            order.push(Member { gpu: *gpu, table: tables.len() - 1 });
        }
        Some(Problem { scale, tables, order })
    }

    /// The best layouts, in the order of the goal's GPUs.
    ///
    /// Both halves of the GPUs are folded by themselves and then joined, which spares the stages in the
    /// middle with the most states.
    pub(crate) fn solve(&self) -> Option<Vec<Vec<Placement>>> {
        let (left, right) = self.halves();
        let tables = |half: &[Member]| half.iter().map(|m| m.table).collect::<Vec<_>>();
        let first = self.stages(&left, &right)?;
        let second = if tables(&left) == tables(&right) { None } else { Some(self.stages(&right, &left)?) };
        let second = second.as_ref().unwrap_or(&first);
        let by_counts: CountsMap<usize> = second.last()?.iter().map(|s| s.counts).zip(0..).collect();
        // Counts are exact: a state of one half has at most one partner, the rest of the target.
        let joined = first.last()?.iter().enumerate().filter_map(|(at, state)| {
            let other = *by_counts.get(&(self.scale.target - state.counts))?;
            Some((state.cost + second.last()?[other].cost, at, other))
        });
        let (_, at, other) = joined.min()?;
        let mut layouts = vec![Vec::new(); self.order.len()];
        // Each state names the one it came from: back from the last GPU of a half to its first.
        for (half, stages, mut at) in [(&left, &first, at), (&right, second, other)] {
            for (stage, member) in stages[1..].iter().zip(half).rev() {
                layouts[member.gpu] = self.tables[member.table].layout(stage[at].choice);
                at = stage[at].from;
            }
        }
        Some(layouts)
    }

    /// Every other GPU, so that equal ones are spread evenly.
    fn halves(&self) -> (Vec<Member>, Vec<Member>) {
        let (left, right): (Vec<_>, Vec<_>) = self.order.iter().enumerate().partition(|(i, _)| i % 2 == 0);
        let strip = |half: Vec<(usize, &Member)>| half.into_iter().map(|(_, m)| *m).collect();
        (strip(left), strip(right))
    }

    /// The states before and after each GPU of one half; `None` when a GPU can provide nothing at all.
    fn stages(&self, half: &[Member], other: &[Member]) -> Option<Vec<Vec<State>>> {
        let reach = self.reach(&[half, other].concat())?;
        let mut stages = vec![vec![State { counts: 0, weight: 0, cost: 0, from: 0, choice: 0 }]];
        for (member, reach) in half.iter().zip(&reach[1..]) {
            stages.push(self.advance(stages.last()?, &self.tables[member.table], reach));
        }
        Some(stages)
    }

    /// Whether the problem's own demand can be met, whatever it costs.
    pub(crate) fn is_feasible(&self) -> bool {
        self.reaches(self.scale.target)
    }

    /// Whether a demand can be met, whatever it costs. It may ask for less than the problem's own, but
    /// for no other profiles.
    ///
    /// Instances beyond the demand could be left out again, so the fullest choices suffice and counts
    /// beyond the target are as good as the target.
    pub(crate) fn feasible(&self, demand: &Demand) -> bool {
        self.scale.pack(demand).is_some_and(|target| self.reaches(target))
    }

    fn reaches(&self, target: u128) -> bool {
        let Some(reach) = self.reach(&self.order) else { return false };
        let counts = &self.scale.counts;
        if !counts.within(reach[0].least, target) {
            return false;
        }
        let fullest: Vec<Vec<u128>> = self.tables.iter().map(|t| self.fullest(t)).collect();
        let mut states = CountsSet::from_iter([0]);
        for (member, reach) in self.order.iter().zip(&reach[1..]) {
            let sums = states.iter().flat_map(|&state| fullest[member.table].iter().map(move |c| state + c));
            let clipped = sums.map(|sum| counts.least(sum, target));
            states = clipped.filter(|&sum| counts.within(target - sum, reach.most)).collect();
            states.retain(|&sum| self.scale.weigh(target - sum) <= reach.most_weight);
        }
        states.contains(&target)
    }

    /// Counts to which no other choice adds anything.
    fn fullest(&self, table: &Table) -> Vec<u128> {
        let all = || table.choices.iter().map(|c| c.counts);
        all().filter(|&a| !all().any(|b| a != b && self.scale.counts.within(a, b))).collect()
    }

    /// The states after one more GPU.
    fn advance(&self, states: &[State], table: &Table, reach: &Reach) -> Vec<State> {
        let counts = &self.scale.counts;
        let target = self.scale.target;
        let mut next: Vec<State> = Vec::new();
        let mut known: CountsMap<usize> = CountsMap::default();
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

    /// What the GPUs from each position on can provide; `None` when one can provide nothing at all, or all
    /// together hold more than the target.
    fn reach(&self, order: &[Member]) -> Option<Vec<Reach>> {
        let lanes = self.scale.counts.len();
        let limits: Vec<u32> = (0..lanes).map(|l| self.scale.counts.get(self.scale.target, l)).collect();
        let (mut least, mut most) = (vec![0u32; lanes], vec![0u32; lanes]);
        let (mut least_weight, mut most_weight) = (0, 0);
        let mut reach = Vec::new();
        for position in (0..=order.len()).rev() {
            if let Some(member) = order.get(position) {
                let choices = &self.tables[member.table].choices;
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
pub(crate) fn wanted<'a>(members: &[&GpuState<'_>], want: &'a Want) -> (Demand, &'a [Placement]) {
    let (mut demand, fixed) = match want {
        Want::Exactly(demand) => (demand.clone(), &[][..]),
        Want::Including { places, demand } => (demand.clone(), &places[..]),
        Want::At(places) => {
            let mut demand = Demand::new();
            let on = members.iter().filter(|g| g.geometry.legal(places)).count();
            for (profile, count) in room::counts(places) {
                demand.insert(profile, count.saturating_mul(u32::try_from(on).unwrap_or(u32::MAX)));
            }
            (demand, &places[..])
        }
    };
    demand.retain(|_, count| *count > 0);
    (demand, fixed)
}

fn offered(members: &[&GpuState<'_>], profile: Profile) -> bool {
    members.iter().any(|g| g.geometry.spec(profile).is_some())
}

/// All that planning looks at in a GPU: GPUs with equal keys are interchangeable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    shape: Vec<(Profile, u8, &'a [u8], u8)>,
    busy: Vec<Placement>,
    idle: Vec<Placement>,
}

impl<'a> Key<'a> {
    fn of(gpu: &'a GpuState<'_>) -> Self {
        let specs = &gpu.geometry.specs;
        Key {
            shape: sorted(specs.iter().map(|s| (s.profile, s.size, &s.starts[..], s.max)).collect()),
            busy: sorted(gpu.busy.clone()),
            idle: sorted(gpu.idle.clone()),
        }
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list
}
