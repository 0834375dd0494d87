//! What was found out about equal requests during one look.
//!
//! What is to be had only becomes less while jobs are looked at one after the other, and a region only dearer. So a request
//! that cannot be served stays so for all jobs that ask for the same, and the cheapest of all nodes is found by asking
//! anew only those that have changed, in the order of what they cost before.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::job::Share;
use crate::region::Cost;
use crate::work::{Hindrance, Offer, Regions, Taken, Work};

/// Everything known of requests, by number.
#[derive(Default)]
pub(crate) struct Shapes<'a> {
    numbers: HashMap<&'a Share, usize>,
    known: Vec<Known>,
    /// Requests for which regions were looked for.
    pub(crate) looked: usize,
}

#[derive(Default)]
struct Known {
    /// Nodes of the set that have nothing open for it, from the first on.
    cursor: usize,
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
    /// The number of a request.
    pub(crate) fn number(&mut self, share: &'a Share) -> usize {
        let next = self.known.len();
        let number = *self.numbers.entry(share).or_insert(next);
        if number == next {
            self.known.push(Known::default());
        }
        number
    }

    /// Takes a share on as many nodes as it wants out of what is open.
    pub(crate) fn take(
        &mut self,
        number: usize,
        share: &Share,
        work: &mut Work<'_>,
        taken: &mut Vec<Taken>,
    ) -> bool {
        let known = &mut self.known[number];
        if known.untakeable {
            return false;
        }
        let set = work.cluster.sets.get(share.set).map_or(&[][..], Vec::as_slice);
        let before = taken.len();
        let mut at = known.cursor;
        let mut from_the_first = true;
        while taken.len() - before < share.nodes as usize {
            let Some(&node) = set.get(at) else { break };
            match work.take(node, share) {
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

    /// Whether regions for it have been looked for.
    pub(crate) fn is_looked(&self, number: usize) -> bool {
        self.known[number].idle.asked
    }

    /// The cheapest node for a share, other than those it has.
    pub(crate) fn cheapest(
        &mut self,
        number: usize,
        share: &Share,
        regions: Regions,
        except: &[usize],
        work: &mut Work<'_>,
    ) -> Option<(usize, Offer)> {
        let Known { idle, any, hindrance, .. } = &mut self.known[number];
        let ranking = if regions == Regions::Idle { idle } else { any };
        let mut ask = |node: usize, work: &mut Work<'_>| match work.offer(node, share, regions) {
            Ok(offer) if regions == Regions::Idle || !work.tables[node].cordoned => Some(offer),
            Ok(_) => None,
            Err(why) => {
                *hindrance = (*hindrance).max(Some(why));
                None
            }
        };
        if !ranking.asked {
            ranking.asked = true;
            self.looked += usize::from(regions == Regions::Idle);
            for &node in work.cluster.sets.get(share.set).map_or(&[][..], Vec::as_slice) {
                if let Some(offer) = ask(node, work) {
                    ranking.heap.push(Reverse((offer.cost, node, work.tables[node].version)));
                }
            }
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
