//! The planner against a search that tries everything, and measures room by trial.
//!
//! The plain tests take every state of an A30 and a sample of the larger GPUs;
//! `cargo test --release -p mig --test plans -- --ignored --nocapture` takes every reachable state with
//! every subset in use, to everything the GPU can hold.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use mig::{Cost, Demand, Geometry, Goal, GpuState, Placement, Reason, Want, counts, plan, possible, room};

/// All layouts of a GPU with what they provide and the room they leave.
struct Atlas {
    geometry: Geometry,
    layouts: Vec<(Vec<Placement>, Demand, Demand)>,
    demands: Vec<Demand>,
}

impl Atlas {
    fn new(geometry: Geometry) -> Self {
        let layouts: Vec<_> = layouts(&geometry)
            .into_iter()
            .map(|l| {
                let (provides, room) = (counts(&l), room_by_trial(&geometry, &l));
                (l, provides, room)
            })
            .collect();
        let demands: BTreeSet<Demand> = layouts.iter().map(|l| l.1.clone()).collect();
        Atlas { geometry, demands: demands.into_iter().collect(), layouts }
    }

    /// The least cost of each demand that can be met from a state; the whole search in ten lines.
    fn best(&self, state: &GpuState<'_>) -> BTreeMap<&Demand, Cost> {
        let mut best: BTreeMap<&Demand, Cost> = BTreeMap::new();
        for (layout, provides, room) in &self.layouts {
            if state.busy.iter().all(|p| layout.contains(p)) {
                let cost = cost(state, layout, room);
                best.entry(provides).and_modify(|b| *b = cost.clone().min(b.clone())).or_insert(cost);
            }
        }
        best
    }

    /// Plans demands from one state and compares, of impossible ones every n-th. Returns how many.
    fn check(&self, state: &GpuState<'_>, demands: &[Demand], impossible: usize) -> usize {
        let best = self.best(state);
        let mut turn = state.busy.len();
        let mut compared = 0;
        for demand in demands {
            turn += usize::from(!best.contains_key(demand));
            if !best.contains_key(demand) && !turn.is_multiple_of(impossible) {
                continue;
            }
            compared += 1;
            let goal = Goal { gpus: vec![0], want: Want::Exactly(demand.clone()) };
            match (plan(std::slice::from_ref(state), &[goal]), best.get(demand)) {
                (Ok(plan), Some(cost)) => {
                    assert_eq!(&plan.cost, cost, "{state:?} to {demand:?}");
                    assert!(self.geometry.legal(&plan.layouts[0]));
                    assert_eq!(counts(&plan.layouts[0]), *demand);
                    assert!(state.busy.iter().all(|p| plan.layouts[0].contains(p)));
                }
                (Err(error), None) => self.check_shortage(&error, state, demand, &best),
                (Ok(plan), None) => panic!("{plan:?} for {state:?}: {demand:?} is impossible"),
                (Err(error), Some(cost)) => panic!("{error} for {state:?} to {demand:?}, {cost:?}"),
            }
        }
        compared
    }

    /// The nearest layout is as near as any, and the instances in the way are in the way.
    fn check_shortage(
        &self,
        error: &mig::Infeasible,
        state: &GpuState<'_>,
        demand: &Demand,
        possible: &BTreeMap<&Demand, Cost>,
    ) {
        let nearest = error.nearest.as_ref().expect("a demand for a GPU has a nearest layout");
        assert!(possible.contains_key(&nearest.holds), "{state:?} cannot hold {:?}", nearest.holds);
        assert_eq!(nearest.distance, distance(&nearest.holds, demand));
        let best = possible.keys().map(|held| distance(held, demand)).min();
        assert_eq!(Some(nearest.distance), best, "{state:?} to {demand:?}");
        let without = |skip: Option<usize>| {
            let keep: Vec<Placement> = state
                .busy
                .iter()
                .filter(|p| {
                    !error.blockers.iter().enumerate().any(|(i, b)| b.placement == **p && Some(i) != skip)
                })
                .copied()
                .collect();
            let state = GpuState { busy: keep, idle: vec![], ..state.clone() };
            self.layouts
                .iter()
                .any(|(l, provides, _)| provides == demand && state.busy.iter().all(|p| l.contains(p)))
        };
        if error.reason == Reason::TooMuch {
            assert!(!self.layouts.iter().any(|l| &l.1 == demand));
        } else {
            assert!(without(None), "releasing the blockers makes room: {error}");
            assert!((0..error.blockers.len()).all(|i| !without(Some(i))), "each blocks: {error}");
        }
    }

    /// Every state with the subsets of instances in use that `busy` takes, given its number.
    fn sweep(
        &self,
        busy: impl Fn(usize, u32) -> bool,
        mut check: impl FnMut(&GpuState<'_>) -> usize,
    ) -> usize {
        let mut compared = 0;
        for (number, (layout, ..)) in self.layouts.iter().enumerate() {
            for subset in (0u32..1 << layout.len()).filter(|&s| busy(number, s)) {
                let (busy, idle) = split(layout, subset);
                compared += check(&GpuState { geometry: &self.geometry, busy, idle });
            }
        }
        compared
    }
}

fn split(layout: &[Placement], busy: u32) -> (Vec<Placement>, Vec<Placement>) {
    let numbered: (Vec<_>, Vec<_>) =
        layout.iter().copied().enumerate().partition(|(i, _)| busy >> i & 1 == 1);
    let strip = |list: Vec<(usize, Placement)>| list.into_iter().map(|(_, p)| p).collect();
    (strip(numbered.0), strip(numbered.1))
}

fn surplus(a: &Demand, b: &Demand) -> u32 {
    a.iter().map(|(p, &n)| n.saturating_sub(b.get(p).copied().unwrap_or(0))).sum()
}

fn distance(a: &Demand, b: &Demand) -> u32 {
    surplus(a, b) + surplus(b, a)
}

#[test]
fn known_numbers_of_states() {
    let states = |geometry: &Geometry| (layouts(geometry).len(), possible(geometry, &[]).len());
    let base = geometry_of("a100-40gb", &["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]);
    assert_eq!(states(&base), (298, 38));
    assert_eq!(states(&geometry("a100-40gb")), (2319, 128));
    assert_eq!(states(&geometry("h100-80gb-sxm")), (2319, 128));
    assert_eq!(states(&geometry_of("a30-24gb", &["1g.6gb", "2g.12gb", "4g.24gb"])), (26, 10));
    assert_eq!(states(&geometry("a30-24gb")), (76, 20));
}

#[test]
fn room_is_what_can_be_added() {
    for key in ["a100-40gb", "a30-24gb", "h100-80gb-sxm", "rtx-pro-6000-blackwell-96gb"] {
        let geometry = geometry(key);
        for layout in layouts(&geometry) {
            assert_eq!(room(&geometry, &layout), room_by_trial(&geometry, &layout), "{key} {layout:?}");
        }
    }
}

#[test]
fn every_state_of_an_a30_to_every_demand() {
    let atlas = Atlas::new(geometry("a30-24gb"));
    assert_eq!(atlas.sweep(|_, _| true, |state| atlas.check(state, &atlas.demands, 1)), 431 * 20);
}

/// Every reachable state, with one subset in use, to a demand in turn.
#[test]
fn every_state_of_large_gpus_to_some_demand() {
    for key in ["a100-40gb", "h100-80gb-sxm"] {
        let atlas = Atlas::new(geometry(key));
        let mut turn = 0;
        // 37 has no divisor in common with the 128 demands, so all of them have their turn.
        let mut next = || {
            turn += 37;
            std::slice::from_ref(&atlas.demands[turn % atlas.demands.len()])
        };
        let compared =
            atlas.sweep(|n, subset| one_subset(&atlas, n) == subset, |state| atlas.check(state, next(), 1));
        assert_eq!(compared, 2319);
    }
}

/// A subset of the instances of a layout that changes from layout to layout (Knuth's multiplicative hash).
fn one_subset(atlas: &Atlas, number: usize) -> u32 {
    let bits = (number as u32).wrapping_mul(2_654_435_761) >> 25;
    bits & ((1 << atlas.layouts[number].0.len()) - 1)
}

/// 47,375 pairs of state and instances in use on each large GPU, to every demand that can be met and to
/// some that cannot.
#[test]
#[ignore = "takes minutes, in a release build"]
fn everything() {
    for key in ["a30-24gb", "a100-40gb", "h100-80gb-sxm"] {
        let atlas = Atlas::new(geometry(key));
        let mut states = 0;
        let compared = atlas.sweep(
            |_, _| true,
            |state| {
                states += 1;
                atlas.check(state, &atlas.demands, 97)
            },
        );
        println!("{key}: {compared} plans from {states} states equal to exhaustive search");
    }
}
