//! What was found out about equal requests during one look.
//!
//! What is to be had only becomes less while jobs are looked at one after the other, and a region only dearer. So a request
//! that cannot be served stays so for all jobs that ask for the same, and the cheapest of all nodes is found by asking
//! anew only those that have changed, in the order of what they cost before.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use crate::cluster::Model;
use crate::job::{Job, Share};
use crate::memory::Memory;
use crate::offer::{Offer, Regions, Shape};
use crate::region::Cost;
use crate::work::{Hindrance, Taken, Work};

/// Everything known of requests, by number.
pub(crate) struct Shapes<'a> {
    shapes: Vec<Shape<'a>>,
    known: Vec<Known>,
    /// Requests for which regions were looked for.
    pub(crate) looked: usize,
    memory: &'a mut Memory,
}

#[derive(Default)]
struct Known {
    /// Whether as many nodes as it wants have it or could be cut into it.
    possible: Option<bool>,
    /// Nodes of the set that have nothing open for it, from the first on.
    cursor: usize,
    /// Nodes of the set that could serve it with nobody on them.
    could: Option<Rc<[usize]>>,
    /// There is nothing open for it.
    untakeable: bool,
    idle: Ranking,
    any: Ranking,
    /// There are too few nodes for it, with idle regions and with any.
    hopeless: [bool; 2],
    /// A node failed for this.
    hindrance: Option<Hindrance>,
}

/// Nodes by what they cost when last asked.
#[derive(Default)]
struct Ranking {
    asked: bool,
    heap: BinaryHeap<Reverse<(Cost, usize, u32)>>,
}

impl<'a> Shapes<'a> {
    /// Numbers what jobs ask for; also gives the numbers of the shares of each job.
    pub(crate) fn new(jobs: &'a [Job], models: &[Model], memory: &'a mut Memory) -> (Self, Vec<Vec<usize>>) {
        let mut shapes: Vec<Shape<'a>> = Vec::new();
        let mut numbers: HashMap<&Share, usize> = HashMap::new();
        let mut number = |share: &'a Share| {
            *numbers.entry(share).or_insert_with(|| {
                let all = |profile| models.iter().fold(0, |all, model| all | model.places(profile));
                let want = memory.want(&share.want);
                let wants = share.want.iter().filter(|want| want.count > 0);
                shapes.push(Shape { share, want, places: wants.map(|want| all(want.profile)).collect() });
                shapes.len() - 1
            })
        };
        let of_jobs = jobs.iter().map(|job| job.shares.iter().map(&mut number).collect()).collect();
        let known = shapes.iter().map(|_| Known::default()).collect();
        (Shapes { shapes, known, looked: 0, memory }, of_jobs)
    }

    /// Forgets all that was found out.
    pub(crate) fn begin_again(&mut self) {
        self.known.fill_with(Known::default);
        self.looked = 0;
    }

    /// Takes a share on as many nodes as it wants out of what is open, on none of those that others of its job have.
    pub(crate) fn take(
        &mut self,
        number: usize,
        work: &mut Work<'_>,
        except: &[usize],
        taken: &mut Vec<Taken>,
    ) -> bool {
        let (known, shape) = (&mut self.known[number], &self.shapes[number]);
        if known.untakeable {
            return false;
        }
        let share = shape.share;
        let set = work.cluster.sets.get(share.set).map_or(&[][..], Vec::as_slice);
        let before = taken.len();
        let mut at = known.cursor;
        let mut from_the_first = true;
        while taken.len() - before < share.nodes as usize {
            let Some(&node) = set.get(at) else { break };
            if except.contains(&node) {
                from_the_first = false;
                at += 1;
                continue;
            }
            match work.take(node, shape) {
                Some(one) => {
                    taken.push(one);
                    from_the_first = false;
                }
                None if from_the_first => known.cursor = at + 1,
                None => {}
            }
            at += 1;
        }
        let all = taken.len() - before == share.nodes as usize;
        if !all {
            known.untakeable = true;
            taken.drain(before..).for_each(|one| work.give_back(&one, share));
        }
        all
    }

    /// Whether it could be served at all, which `find` finds out.
    pub(crate) fn is_possible(&mut self, number: usize, find: impl FnOnce(&Share) -> bool) -> bool {
        *self.known[number].possible.get_or_insert_with(|| find(self.shapes[number].share))
    }

    /// Nodes that could serve a share with nobody on them.
    pub(crate) fn could(&mut self, number: usize, work: &mut Work<'_>) -> Rc<[usize]> {
        let Shapes { shapes, known, memory, .. } = self;
        let shape = &shapes[number];
        let could = known[number].could.get_or_insert_with(|| {
            let set = work.cluster.sets.get(shape.share.set).map_or(&[][..], Vec::as_slice);
            set.iter().copied().filter(|node| work.could(*node, shape, memory)).collect()
        });
        Rc::clone(could)
    }

    /// Whether regions for it have been looked for.
    pub(crate) fn is_looked(&self, number: usize) -> bool {
        self.known[number].idle.asked
    }

    /// The cheapest node for a share, other than those it has.
    pub(crate) fn cheapest(
        &mut self,
        number: usize,
        regions: Regions,
        except: &[usize],
        work: &mut Work<'_>,
    ) -> Option<(usize, Rc<Offer>)> {
        let Shapes { shapes, known, looked, memory } = self;
        let shape = &shapes[number];
        let Known { idle, any, hindrance, .. } = &mut known[number];
        let ranking = if regions == Regions::Idle { idle } else { any };
        let mut ask = |node: usize, work: &mut Work<'_>| match work.offer(node, shape, regions, memory) {
            Ok(offer) if regions == Regions::Idle || !work.tables[node].cordoned => Some(offer),
            Ok(_) => None,
            Err(why) => {
                *hindrance = (*hindrance).max(Some(why));
                None
            }
        };
        if !ranking.asked {
            ranking.asked = true;
            *looked += usize::from(regions == Regions::Idle);
            let set = work.cluster.sets.get(shape.share.set).map_or(&[][..], Vec::as_slice);
            let asked = set.iter().filter_map(|&node| {
                let offer = ask(node, work)?;
                Some(Reverse((offer.cost, node, work.tables[node].version)))
            });
            ranking.heap = asked.collect();
        }
        let mut passed = Vec::new();
        let mut found = None;
        while let Some(Reverse((cost, node, version))) = ranking.heap.pop() {
            if except.contains(&node) {
                passed.push(Reverse((cost, node, version)));
                continue;
            }
            let Some(offer) = ask(node, work) else { continue };
            let entry = Reverse((offer.cost, node, work.tables[node].version));
            if version == work.tables[node].version {
                passed.push(entry);
                found = Some((node, offer));
                break;
            }
            ranking.heap.push(entry);
        }
        ranking.heap.extend(passed);
        found
    }

    /// What came nearest to serving it.
    pub(crate) fn hindrance(&self, number: usize) -> Hindrance {
        self.known[number].hindrance.unwrap_or(Hindrance::Place)
    }

    /// Whether too few nodes were found for it before.
    pub(crate) fn is_hopeless(&self, number: usize, busy: bool) -> bool {
        self.known[number].hopeless[usize::from(busy)]
    }

    /// Notes that too few nodes were found.
    pub(crate) fn give_up(&mut self, number: usize, busy: bool) {
        self.known[number].hopeless[usize::from(busy)] = true;
    }

    /// Looks at what is open for it from the beginning again.
    pub(crate) fn forget(&mut self, number: usize) {
        self.known[number].cursor = 0;
        self.known[number].untakeable = false;
    }
}
