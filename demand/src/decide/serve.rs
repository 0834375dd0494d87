//! Serving a job that Slurm cannot start as things are.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{Asked, Look};
use crate::job::{Job, Share};
use crate::masks::Masks;
use crate::offer::{Offer, Regions};
use crate::order::{Change, Cut, Instances, Order, Verdict};
use crate::work::{Desk, FAR, Hindrance};

/// One node of a job.
struct Piece<'a> {
    share: &'a Share,
    node: usize,
    offer: Rc<Offer>,
}

impl Piece<'_> {
    /// All of it is there and open.
    fn is_open(&self) -> bool {
        self.offer.parts.is_empty() && self.offer.closed.is_empty()
    }
}

impl<'a> Look<'a> {
    /// Orders what the job lacks, or says why not.
    pub(super) fn serve(&mut self, asked: Asked<'_>) -> Verdict {
        let job = asked.job;
        for &number in asked.numbers {
            if !self.shapes.is_looked(number) && self.shapes.looked >= self.policy.depth {
                return Verdict::Depth;
            }
        }
        let idle = match self.pieces(asked, false) {
            Ok(pieces) => return self.cut(job, pieces),
            Err(hindrance) => hindrance,
        };
        if idle == Hindrance::Place
            && let Some(verdict) = self.impossible(asked)
        {
            return verdict;
        }
        if job.waited < self.policy.cordon_after {
            let busy = Verdict::Busy(self.policy.cordon_after - job.waited);
            return if idle == Hindrance::Worn { self.refused(asked).unwrap_or(busy) } else { busy };
        }
        match self.pieces(asked, true) {
            Ok(pieces) => self.cordon(job, pieces),
            Err(Hindrance::Resources) => Verdict::Resources,
            Err(Hindrance::Worn) => self.refused(asked).unwrap_or(Verdict::Limit),
            Err(Hindrance::UnderWay) => Verdict::UnderWay,
            Err(Hindrance::Place) => self.impossible(asked).unwrap_or_else(|| self.behind(asked)),
        }
    }

    /// What is said where too few of its nodes could be cut so whoever had ended, or too few of those take jobs.
    fn impossible(&mut self, asked: Asked<'_>) -> Option<Verdict> {
        let mut out = BTreeSet::new();
        for (number, share) in asked.shares() {
            let could = self.shapes.could(number, &mut self.work);
            let wanted = share.nodes as usize;
            if could.len() < wanted {
                return Some(Verdict::Never);
            }
            let away = could.iter().filter(|&&node| !self.work.tables[node].usable);
            if could.len() - away.clone().count() < wanted {
                out.extend(away.copied());
            }
        }
        let names: Vec<String> =
            out.into_iter().map(|node: usize| self.work.cluster.nodes[node].name.clone()).collect();
        (!names.is_empty()).then_some(Verdict::Out(names))
    }

    /// What is said where there is no region for it, and its nodes could be cut so.
    fn behind(&mut self, asked: Asked<'_>) -> Verdict {
        let numbers = asked.numbers.iter();
        let nodes: BTreeSet<usize> =
            numbers.flat_map(|&number| self.shapes.could(number, &mut self.work).to_vec()).collect();
        let tables = || nodes.iter().map(|&node| &self.work.tables[node]);
        let any = |of: fn(&Desk) -> u128| tables().any(|table| table.desks.iter().any(|desk| of(desk) != 0));
        if any(|desk| desk.stays | desk.spared | desk.kept) {
            Verdict::Behind
        } else if tables().any(|table| table.underway) {
            Verdict::UnderWay
        } else if any(|desk| desk.busy) {
            // On GPUs that orders do not reach: they are not kept for it.
            Verdict::Ends(None)
        } else {
            Verdict::Busy(0)
        }
    }

    /// What is said where a node that takes no cut has refused it.
    fn refused(&self, asked: Asked<'_>) -> Option<Verdict> {
        let sets = asked.shares().filter_map(|(_, share)| self.work.cluster.sets.get(share.set));
        let nodes: BTreeSet<usize> = sets.flatten().copied().collect();
        let refuses =
            nodes.into_iter().map(|node| &self.work.cluster.nodes[node]).filter(|node| node.refuses);
        let names: Vec<String> = refuses.map(|node| node.name.clone()).collect();
        (!names.is_empty()).then_some(Verdict::Refused(names))
    }

    /// The cheapest nodes for all that the job wants, each once; busy regions only where no idle one is left.
    fn pieces<'j>(&mut self, asked: Asked<'j>, busy: bool) -> Result<Vec<Piece<'j>>, Hindrance> {
        let mut pieces: Vec<Piece<'j>> = Vec::new();
        let alone = asked.numbers.len() == 1;
        for (number, share) in asked.shares() {
            if self.shapes.is_hopeless(number, busy) {
                return Err(self.shapes.hindrance(number));
            }
            for _ in 0..share.nodes {
                let except: Vec<usize> = pieces.iter().map(|piece| piece.node).collect();
                let mut cheapest = |regions| self.shapes.cheapest(number, regions, &except, &mut self.work);
                let found = match cheapest(Regions::Idle) {
                    None if busy => cheapest(Regions::Any),
                    found => found,
                };
                let Some((node, offer)) = found else {
                    if alone {
                        self.shapes.give_up(number, busy);
                    }
                    return Err(self.shapes.hindrance(number));
                };
                pieces.push(Piece { share, node, offer });
            }
        }
        Ok(pieces)
    }

    /// Everything the job wants is there or can be made at once.
    fn cut(&mut self, job: &Job, pieces: Vec<Piece<'_>>) -> Verdict {
        let lacking: Vec<&Piece<'_>> = pieces.iter().filter(|piece| !piece.is_open()).collect();
        let cuts = pieces.iter().any(|piece| !piece.offer.parts.is_empty());
        // The last that lacks may open as it is made.
        let pending = pieces.iter().any(|piece| self.work.tables[piece.node].underway);
        let open = lacking.len() == 1 && lacking[0].offer.closed.is_empty() && !pending;
        let mut nodes = Vec::new();
        for piece in &pieces {
            let Piece { share, node, offer } = piece;
            if !cuts && !pending {
                self.order(*node, &offer.closed, Some(&job.id), Order::Open);
            } else if !open {
                // What an order under way still makes or opens is waited for, and the rest stays as it is.
                self.keep(*node, &offer.closed);
                if cuts {
                    self.close(*node, offer.open.clone(), &job.id);
                }
            }
            if !offer.parts.is_empty() {
                let changes =
                    offer.parts.iter().map(|part| self.change(*node, part.gpu, part.create, part.gone));
                let gpus = changes.collect();
                self.orders.push(Order::Cut(Cut { node: *node, gpus, job: Some(job.id.clone()), open }));
                let gone: Vec<(usize, u128)> = offer.parts.iter().map(|part| (part.gpu, part.gone)).collect();
                self.keep(*node, &gone);
                self.work.tables[*node].cut = true;
                nodes.push(self.work.cluster.nodes[*node].name.clone());
            }
            self.work.promise(*node, offer, share, true);
        }
        match (cuts, pending) {
            (true, _) => Verdict::Cut(nodes),
            (false, true) => Verdict::UnderWay,
            (false, false) => Verdict::Opens,
        }
    }

    /// What a cut does to a GPU. What the wanted instances leave of it is filled, so that the next small one needs no cut.
    fn change(&self, node: usize, gpu: usize, create: u128, gone: u128) -> Change {
        let desk = &self.work.tables[node].desks[gpu];
        let model = self.work.model(desk);
        let masks = &model.masks;
        let filling = model.rest(desk.held & !gone | desk.stays | create);
        Change {
            gpu,
            destroy: masks.placements(gone),
            create: masks.placements(create | filling),
            wanted: masks.placements(create),
        }
    }

    /// Keeps for the job what is idle of its regions, until the rest is.
    fn cordon(&mut self, job: &Job, pieces: Vec<Piece<'_>>) -> Verdict {
        let until = pieces.iter().map(|piece| piece.offer.cost.until).max().unwrap_or(0);
        let far = until > self.now.saturating_add(self.policy.reach);
        if far && job.waited < self.policy.reach {
            return Verdict::Busy(self.policy.reach - job.waited);
        }
        let (mut nodes, mut draining) = (Vec::new(), false);
        for Piece { share, node, offer } in &pieces {
            let table = &self.work.tables[*node];
            let mut region = offer.open.clone();
            for part in &offer.parts {
                let desk = &table.desks[part.gpu];
                region.push((part.gpu, part.gone & (desk.open | desk.busy & !desk.draining)));
                draining |= desk.draining & part.gone != 0;
            }
            region.retain(|(_, mask)| *mask != 0);
            let gone = offer.parts.iter().map(|part| (part.gpu, part.gone));
            let kept: Vec<(usize, u128)> = gone.chain(offer.closed.iter().copied()).collect();
            if !region.is_empty() || kept.iter().any(|(_, mask)| *mask != 0) {
                self.work.tables[*node].cordoned = true;
                nodes.push(self.work.cluster.nodes[*node].name.clone());
            }
            self.keep(*node, &kept);
            self.close(*node, region, &job.id);
            self.work.promise(*node, offer, share, false);
        }
        if until == 0 {
            return Verdict::UnderWay;
        }
        // What drains already counted as free sooner.
        let until = until + if draining { self.policy.margin } else { 0 };
        let until = Some(until).filter(|until| *until < FAR);
        if nodes.is_empty() { Verdict::Ends(until) } else { Verdict::Cordon { nodes, until } }
    }

    /// Closes what is open, or lets who has it keep it and no other follow.
    fn close(&mut self, node: usize, masks: Vec<(usize, u128)>, job: &str) {
        if !self.work.tables[node].underway {
            self.keep(node, &masks);
            self.order(node, &masks, Some(job), Order::Close);
        }
    }

    /// What is closed of these stays so.
    fn keep(&mut self, node: usize, masks: &[(usize, u128)]) {
        for &(gpu, mask) in masks {
            self.work.tables[node].desks[gpu].kept |= mask;
        }
    }

    /// Gives the order about these, unless they are none.
    pub(super) fn order(
        &mut self,
        node: usize,
        masks: &[(usize, u128)],
        job: Option<&str>,
        order: fn(Instances) -> Order,
    ) {
        let table = &self.work.tables[node];
        let places = |masks: &'a Masks, mask: u128| masks.placements(mask);
        let mut gpus: Vec<(usize, u128)> = Vec::new();
        for &(gpu, mask) in masks.iter().filter(|(_, mask)| *mask != 0) {
            match gpus.iter_mut().find(|(other, _)| *other == gpu) {
                Some((_, all)) => *all |= mask,
                None => gpus.push((gpu, mask)),
            }
        }
        gpus.sort_unstable_by_key(|(gpu, _)| *gpu);
        let named =
            |(gpu, mask): (usize, u128)| (gpu, places(&self.work.model(&table.desks[gpu]).masks, mask));
        if !gpus.is_empty() {
            let gpus = gpus.into_iter().map(named).collect();
            self.orders.push(order(Instances { node, gpus, job: job.map(str::to_owned) }));
        }
    }
}
