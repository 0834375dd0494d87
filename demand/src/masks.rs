//! Places of a GPU as bits of one number, so that a region is compared by one operation.

use mig::{Geometry, Placement, Profile};

/// The places of a geometry, and which of them exclude each other, as [`Geometry::conflict`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Masks {
    places: Vec<Placement>,
    /// The places of each profile.
    profiles: Vec<(Profile, u128)>,
    /// Of each place, those it cannot be beside, itself among them.
    conflicts: Vec<u128>,
    units: Vec<u32>,
}

impl Masks {
    /// `None` for more than 128 places.
    pub(crate) fn new(geometry: &Geometry) -> Option<Self> {
        let mut places: Vec<Placement> = geometry.placements().collect();
        places.sort_unstable();
        places.dedup();
        if places.len() > 128 {
            return None;
        }
        let excluded = |&place: &Placement| {
            let conflicting =
                places.iter().enumerate().filter(|(_, other)| geometry.conflict(place, **other));
            conflicting.fold(0, |mask, (bit, _)| mask | 1 << bit)
        };
        let conflicts = places.iter().map(excluded).collect();
        let units = places.iter().map(|&place| geometry.span(place).len() as u32).collect();
        let mut profiles: Vec<(Profile, u128)> = Vec::new();
        for (bit, place) in places.iter().enumerate() {
            match profiles.iter_mut().find(|(profile, _)| *profile == place.profile) {
                Some((_, mask)) => *mask |= 1 << bit,
                None => profiles.push((place.profile, 1 << bit)),
            }
        }
        Some(Masks { conflicts, units, profiles, places })
    }

    /// `None` where one of them is no place of the geometry.
    pub(crate) fn of(&self, placements: &[Placement]) -> Option<u128> {
        placements.iter().try_fold(0, |mask, &placement| Some(mask | 1 << self.bit(placement)?))
    }

    pub(crate) fn bit(&self, placement: Placement) -> Option<usize> {
        self.places.binary_search(&placement).ok()
    }

    /// The places of a profile.
    pub(crate) fn profile(&self, profile: Profile) -> u128 {
        self.profiles.iter().find(|(known, _)| *known == profile).map_or(0, |(_, mask)| *mask)
    }

    pub(crate) fn placements(&self, mask: u128) -> Vec<Placement> {
        bits(mask).map(|bit| self.places[bit]).collect()
    }

    /// What cannot be beside one of these, these among it.
    pub(crate) fn excluded(&self, mask: u128) -> u128 {
        bits(mask).fold(0, |excluded, bit| excluded | self.conflicts[bit])
    }

    /// Placement units of these together.
    pub(crate) fn units(&self, mask: u128) -> u32 {
        bits(mask).map(|bit| self.units[bit]).sum()
    }

    /// Those of `wanted` that can stand beside `present` and each other, taken in order.
    pub(crate) fn filling(&self, wanted: u128, present: u128) -> u128 {
        let mut all = present;
        bits(wanted).fold(0, |filled, bit| {
            let free = self.conflicts[bit] & all == 0;
            all |= u128::from(free) << bit;
            filled | u128::from(free) << bit
        })
    }
}

/// The bits of a mask, ascending.
pub(crate) fn bits(mut mask: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < u128::BITS).then_some(bit as usize)
    })
}
