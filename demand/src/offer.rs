//! The cheapest way to have something of the GPUs of a node: what is open, what is closed, and for the rest a region.

use std::collections::BTreeMap;

use mig::Profile;

use crate::cluster::Model;
use crate::job::{Share, Want};
use crate::masks::bits;
use crate::region::{Cost, Part, Region, Site, cheapest};

/// The GPUs of a node, as far as an offer follows from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Board {
    pub(crate) seats: Vec<Seat>,
    /// The time now, as what is found out of it is kept for a while: rounded down to [`ROUND`].
    pub(crate) now: u64,
}

/// Seconds that the time is rounded to where it tells nothing but how long others stay.
pub(crate) const ROUND: u64 = 600;

/// A GPU. Every mask is of places of its model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    pub(crate) model: usize,
    /// It may be cut.
    pub(crate) cuttable: bool,
    /// Idle, open, promised to nobody.
    pub(crate) open: u128,
    /// Idle, closed, promised to nobody.
    pub(crate) closed: u128,
    /// Places that stay as they are, whether an instance stands there or not.
    pub(crate) stays: u128,
    /// Somebody has it.
    pub(crate) busy: u128,
    /// When those who have busy ones end.
    pub(crate) ends: Vec<(u128, u64)>,
}

/// A request, whoever has it.
pub(crate) struct Shape<'a> {
    pub(crate) share: &'a Share,
    /// The number of what it wants of a node.
    pub(crate) want: usize,
    /// Places of each kind that it wants, on a GPU of any model.
    pub(crate) places: Vec<u128>,
}

/// How a share could be served on a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    pub(crate) cost: Cost,
    /// Open ones that it uses, by GPU.
    pub(crate) open: Vec<(usize, u128)>,
    /// Closed ones that it uses.
    pub(crate) closed: Vec<(usize, u128)>,
    pub(crate) parts: Vec<Part>,
}

/// Which regions are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Regions {
    Idle,
    /// Busy ones, too.
    Any,
}

/// Some of what is wanted out of `from`, which has a mask for each GPU, as its model `of` it is: one mask per GPU, and how many
/// they are.
pub(crate) fn pick(
    models: &[Model],
    of: impl Iterator<Item = usize>,
    want: Want,
    from: &mut [u128],
) -> (u32, Vec<(usize, u128)>) {
    let (mut found, mut got) = (0, Vec::new());
    for (gpu, (model, from)) in of.zip(from).enumerate() {
        if found == want.count {
            break;
        }
        let all = models[model].places(want.profile);
        let some = bits(*from & all).take((want.count - found) as usize);
        let mask: u128 = some.fold(0, |mask, bit| mask | 1 << bit);
        if mask != 0 {
            found += mask.count_ones();
            *from &= !mask;
            got.push((gpu, mask));
        }
    }
    (found, got)
}

impl Board {
    /// The cheapest way to have what is wanted; `None` if there is none.
    pub(crate) fn offer(&self, models: &[Model], want: &[Want], regions: Regions) -> Option<Offer> {
        let offer = self.keeping(models, want, regions);
        // What is there of one kind may stand in the only place of another.
        offer.or_else(|| (want.len() > 1).then(|| self.moving(models, want, regions))?)
    }

    /// With what is there taken as it is, and a region for the rest.
    fn keeping(&self, models: &[Model], want: &[Want], regions: Regions) -> Option<Offer> {
        let seats = &self.seats;
        let mut open: Vec<u128> = seats.iter().map(|seat| seat.open).collect();
        let mut closed: Vec<u128> = seats.iter().map(|seat| seat.closed).collect();
        let mut need: Vec<(Profile, u32)> = Vec::new();
        let mut offer = Offer::default();
        for want in want {
            let of = || seats.iter().map(|seat| seat.model);
            let (found, got) = pick(models, of(), *want, &mut open);
            offer.open.extend(got);
            let rest = Want { count: want.count - found, ..*want };
            let (more, got) = pick(models, of(), rest, &mut closed);
            offer.closed.extend(got);
            if rest.count > more {
                need.push((want.profile.or_else(|| self.smallest(models))?, rest.count - more));
            }
        }
        if !need.is_empty() {
            (offer.cost, offer.parts) = self.region(models, &need, &offer, regions)?;
        }
        Some(offer)
    }

    /// With a region for all of it, in which what is there stays only where it is in no other's way.
    fn moving(&self, models: &[Model], want: &[Want], regions: Regions) -> Option<Offer> {
        let mut need: BTreeMap<Profile, u32> = BTreeMap::new();
        for want in want {
            *need.entry(want.profile.or_else(|| self.smallest(models))?).or_default() += want.count;
        }
        let need: Vec<(Profile, u32)> = need.into_iter().collect();
        let mut offer = Offer::default();
        let (cost, parts) = self.region(models, &need, &offer, regions)?;
        offer.cost = cost;
        for Part { gpu, create, gone } in parts {
            let seat = &self.seats[gpu];
            let there = |idle: u128| Some((gpu, create & idle)).filter(|(_, mask)| *mask != 0);
            offer.open.extend(there(seat.open));
            offer.closed.extend(there(seat.closed));
            let part = Part { gpu, create: create & !(seat.open | seat.closed), gone };
            offer.parts.extend(Some(part).filter(|part| part.create | part.gone != 0));
        }
        Some(offer)
    }

    /// The smallest profile that the node can be cut into.
    fn smallest(&self, models: &[Model]) -> Option<Profile> {
        let mut seats = self.seats.iter().filter(|seat| seat.cuttable);
        seats.find_map(|seat| models[seat.model].menu.last().copied())
    }

    fn region(
        &self,
        models: &[Model],
        need: &[(Profile, u32)],
        used: &Offer,
        regions: Regions,
    ) -> Option<Region> {
        let mut sites = Vec::new();
        for (gpu, seat) in self.seats.iter().enumerate() {
            let model = &models[seat.model];
            if !seat.cuttable || !need.iter().any(|(profile, _)| model.menu.contains(profile)) {
                continue;
            }
            let uses = used.open.iter().chain(&used.closed).filter(|(other, _)| *other == gpu);
            let stays = uses.fold(seat.stays, |stays, (_, mask)| stays | mask);
            let idle = (seat.open | seat.closed) & !stays;
            let (loose, stays) = match regions {
                Regions::Idle => (idle, stays | seat.busy),
                Regions::Any => (idle | seat.busy, stays),
            };
            sites.push(Site { gpu, model, stays, loose, ends: &seat.ends, now: self.now });
        }
        cheapest(&sites, need)
    }
}
