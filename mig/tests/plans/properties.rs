//! What holds of every plan, on random nodes; and small nodes against everything they could be.

use crate::common::*;
use mig::{Cost, Demand, Geometry, Goal, GpuState, Placement, Want, counts, plan};
use proptest::prelude::*;
use proptest::sample::Index;

const KEYS: [&str; 5] =
    ["a30-24gb", "a100-40gb", "a100-80gb", "h100-80gb-sxm", "rtx-pro-6000-blackwell-96gb"];

/// A GPU as numbers: board, places to try in turn, and which of the placed are in use.
type Draw = (usize, Vec<Index>, u32);

fn draws(gpus: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Draw>> {
    let places = proptest::collection::vec(any::<Index>(), 0..9);
    proptest::collection::vec((0..KEYS.len(), places, any::<u32>()), gpus)
}

/// A legal layout: every drawn place that is still free.
fn grown(geometry: &Geometry, kept: &[Placement], drawn: &[Index]) -> Vec<Placement> {
    let all: Vec<Placement> = geometry.placements().collect();
    let mut layout = kept.to_vec();
    for index in drawn {
        layout.push(*index.get(&all));
        if !geometry.legal(&layout) {
            layout.pop();
        }
    }
    layout
}

fn states<'a>(geometries: &'a [Geometry], draws: &[Draw]) -> Vec<GpuState<'a>> {
    let state = |(board, places, used): &Draw| {
        let layout = grown(&geometries[*board], &[], places);
        let in_use = |i: &usize| used >> i & 1 == 1;
        let pick = |wanted: bool| {
            layout.iter().enumerate().filter(|(i, _)| in_use(i) == wanted).map(|(_, p)| *p).collect()
        };
        GpuState { geometry: &geometries[*board], busy: pick(true), idle: pick(false) }
    };
    draws.iter().map(state).collect()
}

fn sum(demands: impl IntoIterator<Item = Demand>) -> Demand {
    let mut all = Demand::new();
    for (profile, count) in demands.into_iter().flatten() {
        *all.entry(profile).or_default() += count;
    }
    all
}

fn held(layouts: &[Vec<Placement>]) -> Demand {
    sum(layouts.iter().map(|layout| counts(layout)))
}

fn everything(gpus: &[GpuState<'_>], demand: Demand) -> Goal {
    Goal { gpus: (0..gpus.len()).collect(), want: Want::Exactly(demand) }
}

fn geometries() -> Vec<Geometry> {
    KEYS.iter().map(|key| geometry(key)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A demand that some layout beside the instances in use provides is met, exactly and legally.
    #[test]
    fn a_demand_that_fits_is_met((now, next) in (1usize..5).prop_flat_map(|n| (draws(n), draws(n)))) {
        let geometries = geometries();
        let gpus = states(&geometries, &now);
        let target: Vec<Vec<Placement>> =
            gpus.iter().zip(&next).map(|(g, (_, places, _))| grown(g.geometry, &g.busy, places)).collect();
        let goal = everything(&gpus, held(&target));
        let planned = plan(&gpus, std::slice::from_ref(&goal)).unwrap();

        let mut cost = Cost::default();
        for (gpu, layout) in gpus.iter().zip(&planned.layouts) {
            prop_assert!(gpu.geometry.legal(layout));
            prop_assert!(layout.is_sorted());
            prop_assert!(gpu.busy.iter().all(|p| layout.contains(p)), "in use stays");
            cost += mig::plan::cost(gpu, layout);
        }
        prop_assert_eq!(held(&planned.layouts), held(&target));
        prop_assert_eq!(&planned.cost, &cost);
        let mut given = Cost::default();
        for (gpu, layout) in gpus.iter().zip(&target) {
            given += mig::plan::cost(gpu, layout);
        }
        prop_assert!(planned.cost <= given, "no worse than the layout the demand was taken from");

        // Carried out, the plan leaves nothing to do; and the way back is as exact.
        let after: Vec<GpuState<'_>> = gpus
            .iter()
            .zip(&planned.layouts)
            .map(|(g, l)| GpuState {
                idle: l.iter().filter(|p| !g.busy.contains(p)).copied().collect(),
                ..g.clone()
            })
            .collect();
        prop_assert_eq!(&plan(&after, &[goal]).unwrap().layouts, &planned.layouts);
        let back: Vec<Goal> =
            (0..gpus.len()).map(|i| Goal { gpus: vec![i], want: Want::At(gpus[i].placed()) }).collect();
        let returned = plan(&after, &back).unwrap();
        for (gpu, layout) in gpus.iter().zip(&returned.layouts) {
            prop_assert_eq!(&gpu.placed(), layout);
        }
        prop_assert_eq!(returned.cost.destroyed, planned.cost.created);
        prop_assert_eq!(returned.cost.created, planned.cost.destroyed);
    }

    #[test]
    fn what_a_node_holds_is_what_it_keeps(now in draws(1..6)) {
        let geometries = geometries();
        let gpus = states(&geometries, &now);
        let layouts: Vec<Vec<Placement>> = gpus.iter().map(GpuState::placed).collect();
        let planned = plan(&gpus, &[everything(&gpus, held(&layouts))]).unwrap();
        prop_assert_eq!(planned.layouts, layouts);
    }

    /// Listed in another order, each GPU gets the same layout, up to exchanges among equal ones.
    #[test]
    fn the_order_of_gpus_does_not_matter(
        (now, next, shift) in (2usize..5).prop_flat_map(|n| (draws(n), draws(n), 1..n)),
    ) {
        let geometries = geometries();
        let gpus = states(&geometries, &now);
        let target: Vec<Vec<Placement>> =
            gpus.iter().zip(&next).map(|(g, (_, places, _))| grown(g.geometry, &g.busy, places)).collect();
        let goal = everything(&gpus, held(&target));
        let mut turned = gpus.clone();
        turned.rotate_left(shift);
        turned.reverse();
        let (a, b) = (plan(&gpus, std::slice::from_ref(&goal)).unwrap(), plan(&turned, &[goal]).unwrap());
        prop_assert_eq!(&a.cost, &b.cost);
        let sorted = |gpus: &[GpuState<'_>], layouts: &[Vec<Placement>]| {
            let key = |g: &GpuState<'_>| (g.geometry.specs.clone().len(), g.busy.clone(), g.idle.clone());
            let named = |g: &GpuState<'_>| g.geometry.specs[0].profile;
            let mut all: Vec<_> = gpus.iter().zip(layouts).map(|(g, l)| (named(g), key(g), l.clone())).collect();
            all.sort();
            all
        };
        prop_assert_eq!(sorted(&gpus, &a.layouts), sorted(&turned, &b.layouts));
    }

    /// The table of a board and a driver list profiles in different orders: a plan made with one holds with the other.
    #[test]
    fn the_order_of_profiles_does_not_matter(
        (now, next, relisted) in (1usize..4).prop_flat_map(|n| (draws(n), draws(n), any::<[bool; 4]>())),
    ) {
        let geometries = geometries();
        let others: Vec<Geometry> = geometries.iter().map(|g| {
            let specs = g.specs.iter().rev().cloned().collect();
            Geometry { specs, ..g.clone() }
        }).collect();
        let gpus = states(&geometries, &now);
        let target: Vec<Vec<Placement>> =
            gpus.iter().zip(&next).map(|(g, (_, places, _))| grown(g.geometry, &g.busy, places)).collect();
        let goal = everything(&gpus, held(&target));
        let turned: Vec<GpuState<'_>> = gpus.iter().zip(&now).zip(relisted).map(|((g, draw), other)| {
            if other { GpuState { geometry: &others[draw.0], ..g.clone() } } else { g.clone() }
        }).collect();
        let planned = |gpus: &[GpuState<'_>]| plan(gpus, std::slice::from_ref(&goal)).unwrap().layouts;
        prop_assert_eq!(planned(&gpus), planned(&turned));
    }

    /// Two GPUs against every pair of layouts, demands that do not fit included.
    #[test]
    fn small_nodes_are_planned_as_by_trying_everything(
        now in draws(2), wanted in proptest::collection::vec(prop_oneof![Just(0u32), 0..3u32, 0..6u32], 5), mixed in any::<bool>(),
    ) {
        let a30 = geometry("a30-24gb");
        let rtx = geometry_of("rtx-pro-6000-blackwell-96gb", &["1g.24gb-me", "1g.24gb+me.all", "2g.48gb"]);
        let geometries = [&a30, if mixed { &rtx } else { &a30 }];
        let gpus: Vec<GpuState<'_>> = geometries
            .iter()
            .zip(&now)
            .map(|(g, (_, places, used))| states(std::slice::from_ref(*g), &[(0, places.clone(), *used)]).remove(0))
            .map(|g| GpuState { geometry: geometries.iter().find(|o| **o == g.geometry).unwrap(), ..g })
            .collect();
        let offered: Vec<_> = sum(gpus.iter().map(|g| mig::room(g.geometry, &[]))).into_keys().collect();
        let demand: Demand = offered.into_iter().zip(wanted).filter(|(_, n)| *n > 0).collect();

        let keeping = |g: &GpuState<'_>| -> Vec<(Demand, Cost)> {
            layouts(g.geometry)
                .into_iter()
                .filter(|l| g.busy.iter().all(|p| l.contains(p)))
                .map(|l| (counts(&l), cost(g, &l, &room_by_trial(g.geometry, &l))))
                .collect()
        };
        let (first, second) = (keeping(&gpus[0]), keeping(&gpus[1]));
        let mut best: Option<Cost> = None;
        let mut nearest = u32::MAX;
        for (a, x) in &first {
            for (b, y) in &second {
                let both = sum([a.clone(), b.clone()]);
                let far = |a: &Demand, b: &Demand| -> u32 {
                    a.iter().map(|(p, n)| n.saturating_sub(b.get(p).copied().unwrap_or(0))).sum()
                };
                nearest = nearest.min(far(&both, &demand) + far(&demand, &both));
                if both == demand {
                    let mut cost = x.clone();
                    cost += y.clone();
                    best = Some(best.map_or(cost.clone(), |b| b.min(cost)));
                }
            }
        }
        match (plan(&gpus, &[everything(&gpus, demand)]), best) {
            (Ok(planned), Some(best)) => prop_assert_eq!(planned.cost, best),
            (Err(error), None) => prop_assert_eq!(error.nearest.unwrap().distance, nearest),
            (planned, best) => prop_assert!(false, "{:?} where {:?} is possible", planned, best),
        }
    }

    /// Two large GPUs: no combination that the instances in use allow is nearer than the one told.
    #[test]
    fn the_nearest_layout_is_the_nearest(
        now in draws(2), board in 1usize..4, wanted in proptest::collection::vec(0u32..5, 7),
    ) {
        let geometry = geometry(KEYS[board]);
        let now: Vec<Draw> = now.into_iter().map(|(_, places, used)| (0, places, used)).collect();
        let gpus = states(std::slice::from_ref(&geometry), &now);
        let profiles: Vec<_> = mig::room(&geometry, &[]).into_keys().collect();
        let vector = |d: &Demand| -> Vec<u32> { profiles.iter().map(|p| d.get(p).copied().unwrap_or(0)).collect() };
        let provided = |g: &GpuState<'_>| -> Vec<Vec<u32>> {
            mig::possible(&geometry, &g.busy).iter().map(vector).collect()
        };
        let (first, second) = (provided(&gpus[0]), provided(&gpus[1]));
        let far = |a: &[u32], b: &[u32]| -> u32 { (0..7).map(|i| (a[i] + b[i]).abs_diff(wanted[i])).sum() };
        let nearest = first.iter().flat_map(|a| second.iter().map(move |b| far(a, b))).min();
        let demand: Demand = profiles.iter().copied().zip(wanted.iter().copied()).collect();
        match plan(&gpus, &[everything(&gpus, demand)]) {
            Ok(_) => prop_assert_eq!(nearest, Some(0)),
            Err(error) => prop_assert_eq!(error.nearest.map(|n| n.distance), nearest),
        }
    }
}
