//! How much jobs of one kind wait, by how many slots there are.
//!
//! Where jobs of different kinds do not hinder each other, all waiting is a sum over the kinds on offer, each a function
//! of its own number of slots. These functions are found by replaying the jobs of one kind alone, at some numbers of slots; between
//! them lie straight lines.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use replay::{Cluster, Job, Rules, Start, replay};

use crate::demand::{Class, Request};
use crate::judge::NEVER;
use crate::kinds::{KindIndex, Kinds};
use crate::layout::Fleet;

/// Where kinds do not hinder each other, it is of little weight how many waiting jobs are planned.
const RULES: Rules = Rules { interval: 30, depth: 500, window: 24 * 3600, resolution: 60, reserve: 1 };

/// A set of classes, as bits.
type Classes = Vec<u64>;

/// Curves of all kinds, for whatever is on offer beside them.
pub(crate) struct Curves<'a> {
    pub(crate) kinds: &'a Kinds,
    pub(crate) fleet: Fleet,
    classes: &'a [Class],
    samples: &'a [Vec<Request>],
    /// Jobs of all samples.
    jobs: f64,
    curves: RefCell<Vec<Curve>>,
    known: RefCell<HashMap<(KindIndex, Classes), usize>>,
}

/// Waiting of the jobs of some classes on one kind, in seconds over all samples, and [`NEVER`] for each that cannot run.
#[derive(Clone, Debug, Default)]
struct Curve {
    /// Found by replay.
    points: BTreeMap<u32, f64>,
    /// Slots of this kind that the jobs keep busy on average.
    busy: f64,
    /// Whether each job wants one slot, so that it does not matter which node has it.
    single: bool,
    any: bool,
}

/// What a kind serves when some kinds are on offer.
pub(crate) struct Served {
    /// The kind.
    pub(crate) kind: KindIndex,
    classes: Classes,
    /// Position of its curve.
    curve: usize,
}

impl<'a> Curves<'a> {
    pub(crate) fn new(
        kinds: &'a Kinds,
        fleet: Fleet,
        classes: &'a [Class],
        samples: &'a [Vec<Request>],
    ) -> Self {
        let jobs = samples.iter().map(Vec::len).sum::<usize>().max(1) as f64;
        Curves { kinds, fleet, classes, samples, jobs, curves: RefCell::default(), known: RefCell::default() }
    }

    /// Kinds that some job needs, and the whole GPU.
    pub(crate) fn wanted(&self) -> Vec<KindIndex> {
        let present = |kind: KindIndex| {
            kind == self.kinds.whole() || self.classes.iter().any(|class| class.need == kind)
        };
        (0..self.kinds.all.len()).filter(|kind| present(*kind)).collect()
    }

    /// What each kind serves when these are on offer, and how many classes none serves.
    pub(crate) fn served(&self, on_offer: &[KindIndex]) -> (Vec<Served>, bool) {
        let mut served: Vec<Served> = on_offer
            .iter()
            .map(|&kind| Served { kind, classes: vec![0; self.classes.len().div_ceil(64)], curve: 0 })
            .collect();
        let mut all = true;
        for (number, class) in self.classes.iter().enumerate() {
            let given = self.kinds.given(class.need, |kind| on_offer.contains(&kind));
            match served.iter_mut().find(|served| Some(served.kind) == given) {
                Some(served) => served.classes[number / 64] |= 1 << (number % 64),
                None => all = false,
            }
        }
        for served in &mut served {
            let key = (served.kind, served.classes.clone());
            let mut curves = self.curves.borrow_mut();
            served.curve = *self.known.borrow_mut().entry(key).or_insert_with(|| {
                curves.push(self.curve(served));
                curves.len() - 1
            });
        }
        (served, all)
    }

    /// Mean waiting that the jobs served add to that of all jobs, in seconds, with so many slots.
    pub(crate) fn about(&self, served: &Served, slots: u32) -> f64 {
        let curve = &mut self.curves.borrow_mut()[served.curve];
        if !curve.any {
            return 0.0;
        }
        let (low, high) = curve.around(slots);
        let mut point = |slots: u32| match curve.points.get(&slots) {
            Some(cost) => *cost,
            None => {
                let cost = self.replay(served, slots, curve.single);
                curve.points.insert(slots, cost);
                cost
            }
        };
        let (a, b) = (point(low), point(high));
        let part = if high > low { f64::from(slots - low) / f64::from(high - low) } else { 0.0 };
        (a + (b - a) * part) / self.jobs
    }

    /// The least that `about` can give for any number of slots plus `price` for each, and that number. Between two
    /// replays the jobs wait no less than with the larger number of slots.
    pub(crate) fn least(&self, served: &Served, most: u32, price: f64) -> (f64, u32) {
        let ends = [0, most].map(|slots| self.about(served, slots));
        let curve = &self.curves.borrow()[served.curve];
        let mut least = (ends[0], 0);
        let mut next = u32::from(!curve.any);
        for (&slots, cost) in curve.points.range(next..=most) {
            let value = cost / self.jobs + price * f64::from(next);
            if value < least.0 {
                least = (value, next);
            }
            next = slots + 1;
        }
        least
    }

    fn curve(&self, served: &Served) -> Curve {
        let mut curve = Curve { single: true, ..Curve::default() };
        for (_, class) in self.served_classes(served) {
            curve.single &= class.count == 1 && class.nodes == 1;
        }
        for sample in self.samples {
            let span = crate::demand::Demand::span(sample).max(1);
            let jobs = sample.iter().filter(|job| served.has(job.class));
            let (count, work) = jobs.fold((0u64, 0.0), |(count, work), job| {
                let class = self.classes[usize::from(job.class)];
                let slots = f64::from(class.count) * f64::from(class.nodes);
                (count + 1, work + f64::from(job.run) * slots)
            });
            curve.any |= count > 0;
            curve.busy = curve.busy.max(work / f64::from(span));
        }
        curve
    }

    fn served_classes<'b>(&'b self, served: &'b Served) -> impl Iterator<Item = (u16, &'b Class)> + 'b {
        (0u16..).zip(self.classes).filter(|(number, _)| served.has(*number))
    }

    /// Replays the jobs served on so many slots, as few nodes as can be.
    fn replay(&self, served: &Served, slots: u32, single: bool) -> f64 {
        let most = self.kinds.cuts.iter().map(|cut| cut[served.kind]).max().unwrap_or(0);
        let per_node = (most * self.fleet.gpus).max(1);
        let pool = if single {
            vec![slots]
        } else {
            let mut pool = vec![per_node; (slots / per_node) as usize];
            pool.extend(Some(slots % per_node).filter(|rest| *rest > 0));
            pool
        };
        let cluster = Cluster { pools: vec![pool] };
        let mut cost = 0.0;
        for sample in self.samples {
            let jobs = sample.iter().filter(|job| served.has(job.class)).map(|job| {
                let Class { count, nodes, .. } = self.classes[usize::from(job.class)];
                let Request { submit, run, limit, priority, .. } = *job;
                Job { submit, run, limit, priority, pool: 0, count, nodes }
            });
            replay(&cluster, RULES, &[], jobs, |_, job, start| match start {
                Start::At(start) => cost += f64::from(start - job.submit),
                Start::Never => cost += NEVER,
            });
        }
        cost
    }
}

impl Served {
    fn has(&self, class: u16) -> bool {
        self.classes[usize::from(class) / 64] >> (class % 64) & 1 == 1
    }
}

impl Curve {
    /// The numbers of slots nearest to this one at which replays are made: all where it matters, few where there is far too little or
    /// far too much.
    fn around(&self, slots: u32) -> (u32, u32) {
        let matters = f64::from(slots) > self.busy * 0.8 && f64::from(slots) < self.busy * 2.5 + 16.0;
        let fine = if slots > 200 { 16 } else { 48 };
        // Powers of two, so that one number of slots leads to the same replays as the next.
        let step = 1 << (slots / if matters { fine } else { 4 }).max(1).ilog2();
        let low = slots / step * step;
        (low, if low == slots { slots } else { low + step })
    }
}
