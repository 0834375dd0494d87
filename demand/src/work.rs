//! Nodes during one look: what is still to be had, and who has been promised what.

use std::collections::HashMap;

use mig::Profile;

use crate::cluster::{Cluster, Gpu, Model, Node, Resources, State};
use crate::job::{Share, Want};
use crate::masks::bits;
use crate::policy::Policy;
use crate::region::{Cost, Part, Region, Site, cheapest};

/// A GPU during one look. Every mask is of places of its model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desk {
    pub(crate) model: usize,
    /// It may be cut.
    pub(crate) cuttable: bool,
    /// Idle, open, promised to nobody.
    pub(crate) open: u128,
    /// Idle, closed, promised to nobody.
    pub(crate) closed: u128,
    /// Places promised in this look, whether an instance stands there yet or not.
    pub(crate) stays: u128,
    /// Idle, made a moment ago, and wanted by a job that can have them as they are.
    pub(crate) spared: u128,
    /// Somebody has it.
    pub(crate) busy: u128,
    /// When those who have busy ones end. What is closed already counts as free sooner, so that a cordon does not wander.
    pub(crate) ends: Vec<(u128, u64)>,
    /// Busy and closed.
    pub(crate) draining: u128,
    /// Closed, or to be closed, for a job of this look.
    pub(crate) kept: u128,
    /// Made or given back so recently that somebody may still be about to have it.
    pub(crate) fresh: u128,
    /// Open for so long that Slurm would have given it to a job that can have it.
    pub(crate) stale: u128,
    /// When any of it last changed.
    pub(crate) changed: u64,
    /// An order under way makes it: it can be had and not destroyed.
    pub(crate) coming: u128,
    /// Everything on it, idle or not.
    pub(crate) held: u128,
}

/// A node during one look.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) desks: Vec<Desk>,
    pub(crate) usable: bool,
    pub(crate) free: Resources,
    pub(crate) reachable: Resources,
    /// It takes no order of this sort any more.
    pub(crate) cut: bool,
    pub(crate) cordoned: bool,
    pub(crate) underway: bool,
    pub(crate) worn: bool,
    /// Counts changes, so that what was found out before one is known to be old.
    pub(crate) version: u32,
}

/// What was taken of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) node: usize,
    pub(crate) gpus: Vec<(usize, u128)>,
}

/// How a share could be served on a node.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) cost: Cost,
    /// Open ones that it uses, by GPU.
    pub(crate) open: Vec<(usize, u128)>,
    /// Closed ones that it uses.
    pub(crate) closed: Vec<(usize, u128)>,
    pub(crate) parts: Vec<Part>,
}

/// Why a node does not serve a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hindrance {
    Place,
    UnderWay,
    Worn,
    Resources,
}

/// Which regions are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regions {
    Idle,
    /// Busy ones, too.
    Any,
}

pub(crate) struct Work<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) tables: Vec<Table>,
    room: HashMap<(usize, u128), u128>,
}

/// A time that has no known end.
pub(crate) const FAR: u64 = u64::MAX / 4;

impl<'a> Work<'a> {
    pub(crate) fn new(cluster: &'a Cluster, policy: &Policy, now: u64) -> Self {
        let table = |node: &Node| Table {
            desks: node.gpus.iter().map(|gpu| desk(&cluster.models[gpu.model], gpu, policy, now)).collect(),
            usable: node.usable,
            free: node.free,
            reachable: node.reachable,
            cut: false,
            cordoned: false,
            underway: node.underway,
            worn: node.cuts >= policy.cuts_per_hour,
            version: 0,
        };
        Work { cluster, tables: cluster.nodes.iter().map(table).collect(), room: HashMap::new() }
    }

    /// The same state, to try something out.
    pub(crate) fn fork(&self) -> Work<'a> {
        Work { cluster: self.cluster, tables: self.tables.clone(), room: HashMap::new() }
    }

    pub(crate) fn model(&self, desk: &Desk) -> &'a Model {
        &self.cluster.models[desk.model]
    }

    /// Takes what is open on a node for one share, as Slurm would: by ascending index. `None` where it is not all there.
    pub(crate) fn take(&mut self, node: usize, share: &Share) -> Option<Taken> {
        let table = &self.tables[node];
        if !table.usable || !share.resources.within(table.free) {
            return None;
        }
        let mut open: Vec<u128> = table.desks.iter().map(|desk| desk.open).collect();
        let mut gpus: Vec<(usize, u128)> = Vec::new();
        for want in &share.want {
            let (found, got) = self.pick(node, *want, &mut open);
            if found < want.count {
                return None;
            }
            gpus.extend(got);
        }
        let table = &mut self.tables[node];
        for &(gpu, mask) in &gpus {
            table.desks[gpu].open &= !mask;
            table.desks[gpu].stays |= mask;
        }
        table.spend(share.resources);
        Some(Taken { node, gpus })
    }

    /// Gives back what [`Work::take`] took.
    pub(crate) fn give_back(&mut self, taken: &Taken, share: &Share) {
        let table = &mut self.tables[taken.node];
        for &(gpu, mask) in &taken.gpus {
            table.desks[gpu].open |= mask;
            table.desks[gpu].stays &= !mask;
        }
        for all in [&mut table.free, &mut table.reachable] {
            all.cpus += share.resources.cpus;
            all.memory_mib += share.resources.memory_mib;
        }
    }

    /// Some of what is wanted out of `from`, one mask per GPU, and how many they are.
    fn pick(&self, node: usize, want: Want, from: &mut [u128]) -> (u32, Vec<(usize, u128)>) {
        let (mut found, mut got) = (0, Vec::new());
        for (gpu, desk) in self.tables[node].desks.iter().enumerate() {
            let all = want.profile.map_or(u128::MAX, |profile| self.model(desk).masks.profile(profile));
            let mut mask = 0u128;
            for bit in bits(from[gpu] & all).take((want.count - found) as usize) {
                mask |= 1 << bit;
            }
            if mask != 0 {
                found += mask.count_ones();
                from[gpu] &= !mask;
                got.push((gpu, mask));
            }
        }
        (found, got)
    }

    /// The cheapest way to serve a share on a node, or what hinders it.
    pub(crate) fn offer(&mut self, node: usize, share: &Share, regions: Regions) -> Result<Offer, Hindrance> {
        let table = &self.tables[node];
        if !table.usable {
            return Err(Hindrance::Place);
        }
        let enough = match regions {
            Regions::Idle => share.resources.within(table.free),
            Regions::Any => share.resources.within(table.reachable),
        };
        let mut open: Vec<u128> = table.desks.iter().map(|desk| desk.open).collect();
        let mut closed: Vec<u128> = table.desks.iter().map(|desk| desk.closed).collect();
        let (mut uses_open, mut uses_closed) = (Vec::new(), Vec::new());
        let mut need: Vec<(Profile, u32)> = Vec::new();
        for want in &share.want {
            let (found, got) = self.pick(node, *want, &mut open);
            uses_open.extend(got);
            let rest = Want { count: want.count - found, ..*want };
            let (more, got) = self.pick(node, rest, &mut closed);
            uses_closed.extend(got);
            if rest.count > more {
                let profile = want.profile.or_else(|| self.smallest(node)).ok_or(Hindrance::Place)?;
                need.push((profile, rest.count - more));
            }
        }
        let mut offer =
            Offer { cost: Cost::default(), open: uses_open, closed: uses_closed, parts: Vec::new() };
        if !need.is_empty() {
            let (cost, parts) = self.region(node, &need, &offer, regions).ok_or(Hindrance::Place)?;
            (offer.cost, offer.parts) = (cost, parts);
        }
        // All of it is idle, and something else lacks: keeping it would help nobody.
        let enough = enough && (regions == Regions::Idle || offer.cost.until > 0);
        let table = &self.tables[node];
        if table.underway && !(offer.parts.is_empty() && offer.closed.is_empty()) {
            return Err(Hindrance::UnderWay);
        }
        if !offer.parts.is_empty() && offer.cost.until == 0 && (table.worn || table.cut) {
            return Err(if table.worn { Hindrance::Worn } else { Hindrance::UnderWay });
        }
        if !enough {
            return Err(Hindrance::Resources);
        }
        Ok(offer)
    }

    /// The smallest profile that the node can be cut into.
    fn smallest(&self, node: usize) -> Option<Profile> {
        let mut desks = self.tables[node].desks.iter().filter(|desk| desk.cuttable);
        desks.find_map(|desk| self.model(desk).menu.last().copied())
    }

    fn region(
        &mut self,
        node: usize,
        need: &[(Profile, u32)],
        used: &Offer,
        regions: Regions,
    ) -> Option<Region> {
        let Work { cluster, tables, room, .. } = self;
        let desks = &tables[node].desks;
        let mut sites = Vec::new();
        for (gpu, desk) in desks.iter().enumerate() {
            let model = &cluster.models[desk.model];
            if !desk.cuttable || !need.iter().any(|(profile, _)| model.menu.contains(profile)) {
                continue;
            }
            let uses = used.open.iter().chain(&used.closed).filter(|(other, _)| *other == gpu);
            let stays = uses.fold(desk.stays | desk.spared | desk.coming, |stays, (_, mask)| stays | mask);
            let idle = (desk.open | desk.closed) & !stays;
            let (loose, stays) = match regions {
                Regions::Idle => (idle, stays | desk.busy),
                Regions::Any => (idle | desk.busy, stays),
            };
            sites.push(Site { gpu, masks: &model.masks, stays, loose, ends: &desk.ends });
        }
        cheapest(&sites, need, |site, mask| {
            let model = desks[site.gpu].model;
            *room.entry((model, mask)).or_insert_with(|| cluster.models[model].room(mask))
        })
    }

    /// Promises what an offer uses to a job: nobody after it gets it in this look.
    ///
    /// Cores and memory that are free go to it only if it can start `now`: until then others may have them.
    pub(crate) fn promise(&mut self, node: usize, offer: &Offer, share: &Share, now: bool) {
        let table = &mut self.tables[node];
        for &(gpu, mask) in offer.open.iter().chain(&offer.closed) {
            let desk = &mut table.desks[gpu];
            desk.open &= !mask;
            desk.closed &= !mask;
            desk.stays |= mask;
        }
        for part in &offer.parts {
            let desk = &mut table.desks[part.gpu];
            let gone = part.gone | part.create;
            desk.open &= !gone;
            desk.closed &= !gone;
            desk.busy &= !gone;
            // What goes is there until it has gone: nothing is cut beside it that it excludes.
            desk.stays |= gone;
        }
        let free = table.free;
        table.spend(share.resources);
        if !now {
            table.free = free;
        }
    }
}

impl Table {
    /// Cores and memory promised to a job.
    fn spend(&mut self, resources: Resources) {
        for all in [&mut self.free, &mut self.reachable] {
            all.cpus = all.cpus.saturating_sub(resources.cpus);
            all.memory_mib = all.memory_mib.saturating_sub(resources.memory_mib);
        }
        self.version += 1;
    }
}

fn desk(model: &Model, gpu: &Gpu, policy: &Policy, now: u64) -> Desk {
    let mut desk = Desk { model: gpu.model, cuttable: !gpu.fixed, ..Desk::default() };
    for instance in &gpu.instances {
        // What stands where the model knows no place is left alone, and what is beside it, too.
        let Some(bit) = model.masks.bit(instance.placement) else {
            desk.cuttable = false;
            continue;
        };
        let bit = 1 << bit;
        desk.held |= bit;
        desk.changed = desk.changed.max(instance.since.unwrap_or(0));
        let age = instance.since.map_or(u64::MAX, |since| now.saturating_sub(since));
        match instance.state {
            State::Coming => {
                desk.open |= bit;
                desk.coming |= bit;
            }
            State::Idle if instance.closed => desk.closed |= bit,
            State::Idle => {
                desk.open |= bit;
                desk.fresh |= if age < policy.dwell { bit } else { 0 };
                desk.stale |= if age >= policy.grace { bit } else { 0 };
            }
            State::Busy { until } => {
                let margin = if instance.closed { policy.margin } else { 0 };
                let until = until.map_or(FAR + policy.margin, |until| until.max(now));
                desk.ends.push((bit, until.saturating_sub(margin).max(1)));
                desk.busy |= bit;
                desk.draining |= if instance.closed { bit } else { 0 };
            }
        }
    }
    desk
}
