//! What the planner's tests share: boards by key, demands by name, and a planner that tries everything.

use mig::{Board, Cost, Demand, Geometry, Goal, GpuState, Placement, Profile, Spec, Want};

pub(crate) fn geometry(key: &str) -> Geometry {
    Board::by_key(key).unwrap_or_else(|| panic!("no board {key}")).geometry()
}

/// The same board with these profiles only.
pub(crate) fn geometry_of(key: &str, profiles: &[&str]) -> Geometry {
    let mut geometry = geometry(key);
    geometry.specs.retain(|s| profiles.contains(&s.profile.to_string().as_str()));
    assert_eq!(geometry.specs.len(), profiles.len(), "{key} has all of {profiles:?}");
    geometry
}

/// `demand("3g.20gb:1 1g.5gb:3")`.
pub(crate) fn demand(text: &str) -> Demand {
    text.split_whitespace()
        .map(|part| {
            let (profile, count) = part.split_once(':').expect("profile:count");
            (profile.parse().expect("a profile"), count.parse().expect("a count"))
        })
        .collect()
}

/// `placed(&geometry, "3g.20gb@4 1g.5gb@0")`.
pub(crate) fn placed(geometry: &Geometry, text: &str) -> Vec<Placement> {
    text.split_whitespace()
        .map(|part| {
            let (profile, start) = part.split_once('@').expect("profile@start");
            let profile: Profile = profile.parse().expect("a profile");
            assert!(geometry.spec(profile).is_some(), "{profile} is one of the board");
            Placement { profile, start: start.parse().expect("a start") }
        })
        .collect()
}

pub(crate) fn state<'a>(geometry: &'a Geometry, busy: &str, idle: &str) -> GpuState<'a> {
    GpuState { geometry, busy: placed(geometry, busy), idle: placed(geometry, idle) }
}

pub(crate) fn exactly(gpus: &[usize], text: &str) -> Goal {
    Goal { gpus: gpus.to_vec(), want: Want::Exactly(demand(text)) }
}

/// Every legal layout, each sorted, the empty one first.
pub(crate) fn layouts(geometry: &Geometry) -> Vec<Vec<Placement>> {
    fn grow(
        geometry: &Geometry,
        rest: &[Placement],
        layout: &mut Vec<Placement>,
        found: &mut Vec<Vec<Placement>>,
    ) {
        found.push(layout.clone());
        for (i, &next) in rest.iter().enumerate() {
            layout.push(next);
            if geometry.legal(layout) {
                grow(geometry, &rest[i + 1..], layout, found);
            }
            layout.pop();
        }
    }
    let mut all: Vec<Placement> = geometry.placements().collect();
    all.sort_unstable();
    let mut found = Vec::new();
    grow(geometry, &all, &mut Vec::new(), &mut found);
    found
}

/// How many more of each profile fit, found by trying every set of further places of that profile.
pub(crate) fn room_by_trial(geometry: &Geometry, layout: &[Placement]) -> Demand {
    fn most(geometry: &Geometry, layout: &mut Vec<Placement>, spec: &Spec, from: usize) -> u32 {
        let mut best = 0;
        for (i, placement) in spec.placements().enumerate().skip(from) {
            layout.push(placement);
            if geometry.legal(layout) {
                best = best.max(1 + most(geometry, layout, spec, i + 1));
            }
            layout.pop();
        }
        best
    }
    let most = |spec: &Spec| (spec.profile, most(geometry, &mut layout.to_vec(), spec, 0));
    geometry.specs.iter().map(most).collect()
}

/// What it costs to bring one GPU from `state` to `layout`, room measured beforehand.
pub(crate) fn cost(state: &GpuState<'_>, layout: &[Placement], room: &Demand) -> Cost {
    let held = state.placed();
    let count = |a: &[Placement], b: &[Placement]| a.iter().filter(|p| !b.contains(p)).count() as u32;
    Cost { destroyed: count(&held, layout), created: count(layout, &held), room: room.clone() }
}
