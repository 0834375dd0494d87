//! What still fits on a GPU beside what it holds.

use std::collections::BTreeSet;

use crate::geometry::{Geometry, Placement, Spec};
use crate::goal::Demand;

/// How many more instances of each profile fit beside `placed`, each profile taken alone.
///
/// Profiles of which none fits are listed with 0.
pub fn room(geometry: &Geometry, placed: &[Placement]) -> Demand {
    geometry.specs.iter().map(|spec| (spec.profile, more(geometry, spec, placed))).collect()
}

/// How many more of one profile fit.
///
/// Spans of one profile have one length, so taking the first free one again and again gives the most.
fn more(geometry: &Geometry, spec: &Spec, placed: &[Placement]) -> u32 {
    let present = placed.iter().filter(|p| p.profile == spec.profile).count();
    let limit = u32::from(spec.max).saturating_sub(u32::try_from(present).unwrap_or(u32::MAX));
    let mut count = 0;
    let mut last: Option<Placement> = None;
    for next in spec.placements() {
        let free = || last.iter().chain(placed).all(|&p| !geometry.conflict(p, next));
        if count < limit && free() {
            count += 1;
            last = Some(next);
        }
    }
    count
}

/// Every combination of counts one GPU can hold while `kept` stay where they are.
pub fn possible(geometry: &Geometry, kept: &[Placement]) -> BTreeSet<Demand> {
    let all: Vec<Placement> = geometry.placements().collect();
    let mut found = BTreeSet::new();
    let mut layout = kept.to_vec();
    grow(geometry, &all, &mut layout, &mut found);
    found
}

fn grow(geometry: &Geometry, rest: &[Placement], layout: &mut Vec<Placement>, found: &mut BTreeSet<Demand>) {
    found.insert(counts(layout));
    for (i, &next) in rest.iter().enumerate() {
        if layout.iter().all(|&p| !geometry.conflict(p, next)) {
            layout.push(next);
            grow(geometry, &rest[i + 1..], layout, found);
            layout.pop();
        }
    }
}

/// How many instances of each profile a layout holds.
pub fn counts(placed: &[Placement]) -> Demand {
    let mut demand = Demand::new();
    for placement in placed {
        *demand.entry(placement.profile).or_default() += 1;
    }
    demand
}
