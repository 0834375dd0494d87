//! What still fits on a GPU beside what it holds.

use std::collections::BTreeSet;

use crate::geometry::{Geometry, Placed};
use crate::goal::Demand;

/// How many more instances of each profile fit beside `placed`, each profile taken alone.
///
/// Profiles of which none fits are listed with 0.
pub fn room(geometry: &Geometry, placed: &[Placed]) -> Demand {
    let free = |new: Placed| placed.iter().all(|&p| !geometry.conflict(p, new));
    (0u8..)
        .zip(&geometry.specs)
        .map(|(index, spec)| {
            let present = placed.iter().filter(|p| p.spec == index).count();
            (spec.profile, u32::from(more(geometry, index, present, free)))
        })
        .collect()
}

/// How many more of one profile fit where `free` allows, when `present` exist already.
///
/// Spans of one profile have one length, so taking the first free one again and again gives the most.
pub(crate) fn more(geometry: &Geometry, spec: u8, present: usize, free: impl Fn(Placed) -> bool) -> u8 {
    let limit =
        geometry.specs[usize::from(spec)].max.saturating_sub(u8::try_from(present).unwrap_or(u8::MAX));
    let mut count = 0;
    let mut last: Option<Placed> = None;
    for &start in &geometry.specs[usize::from(spec)].starts {
        let next = Placed { spec, start };
        if count < limit && last.is_none_or(|last| !geometry.conflict(last, next)) && free(next) {
            count += 1;
            last = Some(next);
        }
    }
    count
}

/// Every combination of counts one GPU can hold while `kept` stay where they are.
pub fn possible(geometry: &Geometry, kept: &[Placed]) -> BTreeSet<Demand> {
    let all: Vec<Placed> = geometry.placements().collect();
    let mut found = BTreeSet::new();
    let mut layout = kept.to_vec();
    grow(geometry, &all, &mut layout, &mut found);
    found
}

fn grow(geometry: &Geometry, rest: &[Placed], layout: &mut Vec<Placed>, found: &mut BTreeSet<Demand>) {
    found.insert(counts(geometry, layout));
    for (i, &next) in rest.iter().enumerate() {
        if layout.iter().all(|&p| !geometry.conflict(p, next)) {
            layout.push(next);
            grow(geometry, &rest[i + 1..], layout, found);
            layout.pop();
        }
    }
}

/// How many instances of each profile a layout holds.
pub fn counts(geometry: &Geometry, placed: &[Placed]) -> Demand {
    let mut demand = Demand::new();
    for &instance in placed {
        *demand.entry(geometry.spec(instance).profile).or_default() += 1;
    }
    demand
}
