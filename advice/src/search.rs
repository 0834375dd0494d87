//! The best shares of cuts, where kinds do not hinder each other.

use crate::curve::{Curves, Served};
use crate::kinds::{Cut, KindIndex};
use crate::layout::Shares;

/// Shares of cuts, and what they cost.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Whole GPUs first.
    pub(crate) shares: Shares,
    /// Mean waiting, in seconds.
    pub(crate) cost: f64,
    /// Whether every other way was looked at.
    pub(crate) exact: bool,
}

/// Steps towards the best bound.
const STEPS: u32 = 300;

/// Ways to share GPUs among cuts that are all looked at.
const ALL: u64 = 200_000;

/// The best for every set of kinds on offer, best first, and what none can cost less than.
pub(crate) fn search(curves: &Curves<'_>) -> (Vec<Found>, f64) {
    let wanted = curves.wanted();
    let mut found = Vec::new();
    let mut bound = f64::INFINITY;
    for set in 1u32..1 << wanted.len().min(MOST_KINDS) {
        let bits = wanted.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
        let on_offer: Vec<KindIndex> = bits.map(|(_, kind)| *kind).collect();
        let Some(task) = Task::new(curves, &on_offer) else { continue };
        let best = task.run();
        bound = bound.min(if best.exact { best.cost } else { task.bound(&best) });
        found.push(best);
    }
    found.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    (found, bound)
}

/// Kinds of which every set is tried: more than any model has profiles without media engines.
const MOST_KINDS: usize = 12;

/// The search with some kinds on offer.
struct Task<'a> {
    curves: &'a Curves<'a>,
    served: Vec<Served>,
    cuts: Vec<Cut>,
    gpus: u32,
}

impl<'a> Task<'a> {
    /// `None` where that leaves jobs out that could run on whole GPUs.
    fn new(curves: &'a Curves<'a>, on_offer: &[KindIndex]) -> Option<Self> {
        let (served, all) = curves.served(on_offer);
        let mut cuts = curves.kinds.cuts_of(|kind| on_offer.contains(&kind));
        cuts.sort_by_key(|cut| std::cmp::Reverse(*cut == curves.kinds.uncut()));
        all.then_some(Task { curves, served, cuts, gpus: curves.fleet.total() })
    }

    fn cost(&self, counts: &[u32]) -> f64 {
        let slots = |kind: KindIndex| self.cuts.iter().zip(counts).map(|(cut, n)| cut[kind] * n).sum();
        self.served.iter().map(|served| self.curves.about(served, slots(served.kind))).sum()
    }

    fn run(&self) -> Found {
        let few = ways(u64::from(self.gpus), self.cuts.len() as u64) <= ALL;
        let (counts, cost) = if few { self.all() } else { self.descend() };
        let shares = self.cuts.iter().cloned().zip(counts).filter(|(_, count)| *count > 0).collect();
        Found { shares, cost, exact: few }
    }

    /// What no way to share the GPUs can cost less than: the Lagrangian relaxation that buys each slot at a price and
    /// sells the GPUs for the best cut at these prices. Any prices give a bound; Polyak's steps find good ones.
    fn bound(&self, best: &Found) -> f64 {
        let most = |kind: KindIndex| self.gpus * self.cuts.iter().map(|cut| cut[kind]).max().unwrap_or(0);
        let mut prices = vec![0.0; self.served.len()];
        let mut highest = 0.0f64;
        for _ in 0..STEPS {
            let value = |cut: &Cut| -> f64 {
                self.served.iter().zip(&prices).map(|(s, price)| f64::from(cut[s.kind]) * price).sum()
            };
            let dearest = self.cuts.iter().max_by(|a, b| value(a).total_cmp(&value(b)));
            let Some(cut) = dearest else { return 0.0 };
            let mut bound = -f64::from(self.gpus) * value(cut);
            let mut missing = Vec::new();
            for (served, price) in self.served.iter().zip(&prices) {
                let (cost, slots) = self.curves.least(served, most(served.kind), *price);
                bound += cost;
                missing.push(f64::from(slots) - f64::from(self.gpus * cut[served.kind]));
            }
            highest = highest.max(bound);
            let length: f64 = missing.iter().map(|m| m * m).sum();
            if length == 0.0 || highest >= best.cost {
                break;
            }
            let step = (best.cost - bound) / length;
            prices.iter_mut().zip(&missing).for_each(|(price, m)| *price = (*price + step * m).max(0.0));
        }
        highest.min(best.cost)
    }

    /// Looks at every way to share the GPUs.
    fn all(&self) -> (Vec<u32>, f64) {
        let mut best = (vec![0; self.cuts.len()], f64::INFINITY);
        let mut counts = vec![0; self.cuts.len()];
        self.fill(0, self.gpus, &mut counts, &mut best);
        best
    }

    fn fill(&self, at: usize, rest: u32, counts: &mut Vec<u32>, best: &mut (Vec<u32>, f64)) {
        if at + 1 == counts.len() {
            counts[at] = rest;
            let cost = self.cost(counts);
            if cost < best.1 {
                *best = (counts.clone(), cost);
            }
            return;
        }
        for count in 0..=rest {
            counts[at] = count;
            self.fill(at + 1, rest - count, counts, best);
        }
    }

    /// From each cut alone, moves GPUs from one cut to another as long as that helps, many at first, one at last.
    fn descend(&self) -> (Vec<u32>, f64) {
        let starts = (0..self.cuts.len()).map(|cut| {
            let mut counts = vec![0; self.cuts.len()];
            counts[cut] = self.gpus;
            counts
        });
        let ends = starts.map(|counts| self.descend_from(counts));
        ends.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((Vec::new(), f64::INFINITY))
    }

    fn descend_from(&self, mut counts: Vec<u32>) -> (Vec<u32>, f64) {
        let mut cost = self.cost(&counts);
        let mut block = self.gpus.next_power_of_two() / 2;
        while block > 0 {
            let mut best: Option<(usize, usize, f64)> = None;
            for (from, to) in (0..counts.len()).flat_map(|from| (0..counts.len()).map(move |to| (from, to))) {
                if from == to || counts[from] < block {
                    continue;
                }
                let mut next = counts.clone();
                next[from] -= block;
                next[to] += block;
                let next = self.cost(&next);
                if next < best.map_or(cost, |(.., best)| best) {
                    best = Some((from, to, next));
                }
            }
            match best {
                Some((from, to, next)) => {
                    counts[from] -= block;
                    counts[to] += block;
                    cost = next;
                }
                None => block /= 2,
            }
        }
        (counts, cost)
    }
}

/// How many ways there are to share GPUs among cuts, up to a number beyond [`ALL`].
fn ways(gpus: u64, cuts: u64) -> u64 {
    let mut ways: u64 = 1;
    for i in 1..cuts {
        ways = ways.saturating_mul(gpus + i) / i;
        if ways > ALL * 1000 {
            return ways;
        }
    }
    ways
}
