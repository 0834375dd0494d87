//! Nodes during one look: what is still to be had, and who has been promised what.

use std::rc::Rc;

use crate::cluster::{Cluster, Gpu, Model, Node, Resources, State};
use crate::job::Share;
use crate::memory::Memory;
use crate::offer::{Board, Offer, ROUND, Regions, Seat, Shape, pick};
use crate::policy::Policy;

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
    /// Of these, what a job can have as it is.
    pub(crate) taken: u128,
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
    /// Idle, and wanted by a job that lacks something else.
    pub(crate) claimed: u128,
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
    /// It refuses to be cut.
    pub(crate) refuses: bool,
    /// Counts changes, so that what was found out before one is known to be old.
    pub(crate) version: u32,
    /// Its GPUs as they are, where they have been looked at so.
    board: Option<(Rc<Board>, usize)>,
    /// Its GPUs with nobody on them, where they have been looked at so.
    bare: Option<(Rc<Board>, usize)>,
}

/// What was taken of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) node: usize,
    pub(crate) gpus: Vec<(usize, u128)>,
}

/// Why a node does not serve a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hindrance {
    Place,
    UnderWay,
    Worn,
    Resources,
}

pub(crate) struct Work<'a> {
    pub(crate) cluster: &'a Cluster,
    now: u64,
    pub(crate) tables: Vec<Table>,
    /// Of each node, at least the places that are open on one of its GPUs, whatever their models.
    open: Vec<u128>,
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
            refuses: node.refuses,
            version: 0,
            board: None,
            bare: None,
        };
        let tables: Vec<Table> = cluster.nodes.iter().map(table).collect();
        Work { cluster, now, open: tables.iter().map(Table::open).collect(), tables }
    }

    /// The same state, to try something out.
    pub(crate) fn fork(&self) -> Work<'a> {
        Work { cluster: self.cluster, now: self.now, tables: self.tables.clone(), open: self.open.clone() }
    }

    /// The time now, as far as it counts how long others stay.
    pub(crate) fn now(&self) -> u64 {
        self.now / ROUND * ROUND
    }

    pub(crate) fn model(&self, desk: &Desk) -> &'a Model {
        &self.cluster.models[desk.model]
    }

    /// Takes what is open on a node for one share, as Slurm would: by ascending index. `None` where it is not all there.
    pub(crate) fn take(&mut self, node: usize, shape: &Shape<'_>) -> Option<Taken> {
        // Most nodes have nothing of it, which is to be seen at once.
        if shape.places.iter().any(|places| self.open[node] & places == 0) {
            return None;
        }
        let Shape { share, .. } = shape;
        let table = &self.tables[node];
        if !table.usable || !share.resources.within(table.free) {
            return None;
        }
        let mut open: Vec<u128> = table.desks.iter().map(|desk| desk.open).collect();
        let mut gpus: Vec<(usize, u128)> = Vec::new();
        for want in &share.want {
            let of = table.desks.iter().map(|desk| desk.model);
            let (found, got) = pick(&self.cluster.models, of, *want, &mut open);
            if found < want.count {
                return None;
            }
            gpus.extend(got);
        }
        let table = &mut self.tables[node];
        for &(gpu, mask) in &gpus {
            let desk = &mut table.desks[gpu];
            desk.open &= !mask;
            desk.stays |= mask;
            desk.taken |= mask;
        }
        table.spend(share.resources);
        self.open[node] = table.open();
        Some(Taken { node, gpus })
    }

    /// Gives back what [`Work::take`] took.
    pub(crate) fn give_back(&mut self, taken: &Taken, share: &Share) {
        let table = &mut self.tables[taken.node];
        for &(gpu, mask) in &taken.gpus {
            let desk = &mut table.desks[gpu];
            desk.open |= mask;
            desk.stays &= !mask;
            desk.taken &= !mask;
        }
        for all in [&mut table.free, &mut table.reachable] {
            all.cpus += share.resources.cpus;
            all.memory_mib += share.resources.memory_mib;
        }
        table.board = None;
        self.open[taken.node] = table.open();
    }

    /// Notes that a job which lacks something else waits for what it was given back.
    pub(crate) fn claim(&mut self, taken: &Taken) {
        for &(gpu, mask) in &taken.gpus {
            self.tables[taken.node].desks[gpu].claimed |= mask;
        }
    }

    /// The cheapest way to serve a share on a node, or what hinders it.
    pub(crate) fn offer(
        &mut self,
        node: usize,
        shape: &Shape<'_>,
        regions: Regions,
        memory: &mut Memory,
    ) -> Result<Rc<Offer>, Hindrance> {
        let resources = shape.share.resources;
        let now = self.now();
        let table = &mut self.tables[node];
        if !table.usable {
            return Err(Hindrance::Place);
        }
        let enough = match regions {
            Regions::Idle => resources.within(table.free),
            Regions::Any => resources.within(table.reachable),
        };
        let (board, number) = table.board.get_or_insert_with(|| {
            memory.board(Board { seats: table.desks.iter().map(Desk::seat).collect(), now })
        });
        let offer = memory.offer((board, *number), (&shape.share.want, shape.want), regions);
        let offer = offer.ok_or(Hindrance::Place)?;
        // Where all of it is idle, keeping it while something else lacks would help nobody.
        let enough = enough && (offer.cost.until > 0 || resources.within(table.free));
        let cuts = !offer.parts.is_empty() && offer.cost.until == 0;
        if table.refuses && !offer.parts.is_empty() || table.worn && cuts {
            return Err(Hindrance::Worn);
        }
        if cuts && regions == Regions::Idle && (table.underway || table.cut) {
            return Err(Hindrance::UnderWay);
        }
        if !enough {
            return Err(Hindrance::Resources);
        }
        Ok(offer)
    }

    /// Whether a node could serve a share if nobody were on it.
    pub(crate) fn could(&mut self, node: usize, shape: &Shape<'_>, memory: &mut Memory) -> bool {
        let models = &self.cluster.models;
        let table = &mut self.tables[node];
        let (board, number) = table.bare.get_or_insert_with(|| {
            let seats = table.desks.iter().map(|desk| desk.bare(&models[desk.model])).collect();
            memory.board(Board { seats, now: 0 })
        });
        memory.offer((board, *number), (&shape.share.want, shape.want), Regions::Idle).is_some()
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
        self.open[node] = table.open();
    }
}

impl Desk {
    fn seat(&self) -> Seat {
        let Desk { model, cuttable, open, closed, busy, .. } = *self;
        let stays = self.stays | self.spared | self.coming;
        Seat { model, cuttable, open, closed, stays, busy, ends: self.ends.clone() }
    }

    /// With nobody on it. What orders do not cut, or make again, stands as it is.
    fn bare(&self, model: &Model) -> Seat {
        let open = if self.cuttable { self.held & !model.offered() } else { self.held };
        let Desk { model, cuttable, .. } = *self;
        Seat { model, cuttable, open, closed: 0, stays: 0, busy: 0, ends: Vec::new() }
    }
}

impl Table {
    /// Places that are open on one of its GPUs.
    fn open(&self) -> u128 {
        self.desks.iter().fold(0, |open, desk| open | desk.open)
    }

    /// Notes that these instances of a GPU are spared.
    pub(crate) fn spare(&mut self, gpu: usize, mask: u128) {
        self.desks[gpu].spared = mask;
        self.board = None;
    }

    /// Cores and memory promised to a job.
    fn spend(&mut self, resources: Resources) {
        for all in [&mut self.free, &mut self.reachable] {
            all.cpus = all.cpus.saturating_sub(resources.cpus);
            all.memory_mib = all.memory_mib.saturating_sub(resources.memory_mib);
        }
        self.version += 1;
        self.board = None;
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
