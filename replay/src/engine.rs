//! The course of events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::model::{Cluster, Job, Rules, Shift, Start};
use crate::nodes::Nodes;
use crate::plans::Plans;
use crate::recut::{Recut, Slots};

/// Replays jobs, which come by ascending submission; `started` hears of each, with its number, as it starts.
///
/// Shifts come by ascending time; one whose node is still closed for an earlier one takes its place.
///
/// # Panics
/// When a job or a shift names a pool or node that the cluster lacks.
pub fn replay(
    cluster: &Cluster,
    rules: Rules,
    shifts: &[Shift],
    jobs: impl IntoIterator<Item = Job>,
    started: impl FnMut(u32, &Job, Start),
) {
    run(Engine::new(cluster, rules, shifts, (), started), jobs);
}

/// Replays jobs, which come by ascending submission, while somebody recuts the nodes. `ever` has the most slots of each pool that
/// each node can have.
///
/// # Panics
/// When a job names a pool that the cluster lacks.
pub fn replay_recut(
    ever: &Cluster,
    rules: Rules,
    recut: impl Recut,
    jobs: impl IntoIterator<Item = Job>,
    started: impl FnMut(u32, &Job, Start),
) {
    run(Engine::new(ever, rules, &[], recut, started), jobs);
}

fn run<R: Recut, F: FnMut(u32, &Job, Start)>(
    mut engine: Engine<'_, R, F>,
    jobs: impl IntoIterator<Item = Job>,
) {
    let mut jobs = (0u32..).zip(jobs).peekable();
    loop {
        let arrival = jobs.peek().map(|(_, job)| job.submit);
        let Some(now) = [arrival, engine.next()].into_iter().flatten().min() else { break };
        engine.now = now;
        engine.end_jobs();
        engine.shift();
        while let Some((index, job)) = jobs.next_if(|(_, job)| job.submit <= now) {
            engine.arrive(index, job);
        }
        engine.advance();
        engine.schedule();
        engine.look();
    }
    engine.finish();
}

/// A job ends on a node.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at: u32,
    pool: u16,
    node: u32,
    count: u32,
    due: u32,
    job: u32,
}

/// What jobs that wait are ordered by: priority, then number.
type Rank = (Reverse<u32>, u32);

/// What a job asks for: pool, slots on each node, nodes.
type Want = (u16, u32, u32);

impl Job {
    fn want(&self) -> Want {
        (self.pool, self.count, self.nodes)
    }
}

struct Engine<'a, R, F> {
    now: u32,
    rules: Rules,
    pools: Vec<Nodes>,
    waiting: BTreeMap<Rank, Job>,
    /// How many jobs wait for what.
    wanted: Vec<(Want, usize)>,
    ends: BinaryHeap<Reverse<End>>,
    shifts: std::iter::Peekable<std::slice::Iter<'a, Shift>>,
    /// Shifts whose nodes wait for their last job.
    closing: Vec<&'a Shift>,
    /// When which shift will be done.
    opening: BinaryHeap<Reverse<(u32, usize, &'a [u32])>>,
    /// Of each pool, the most slots that each node ever has, in descending order.
    ever: Vec<Vec<u32>>,
    /// Something has changed since the last pass of backfill.
    changed: bool,
    /// When the next pass is.
    pass: Option<u32>,
    plans: Plans,
    chosen: Vec<usize>,
    recut: R,
    /// When whoever recuts looks again.
    again: Option<u32>,
    started: F,
}

impl<'a, R: Recut, F: FnMut(u32, &Job, Start)> Engine<'a, R, F> {
    fn new(cluster: &Cluster, rules: Rules, shifts: &'a [Shift], mut recut: R, started: F) -> Self {
        let mut ever = cluster.pools.clone();
        for shift in shifts {
            for (pool, &slots) in shift.slots.iter().enumerate() {
                ever[pool][shift.node] = ever[pool][shift.node].max(slots);
            }
        }
        ever.iter_mut().for_each(|pool| pool.sort_unstable_by_key(|&slots| Reverse(slots)));
        let mut pools: Vec<Nodes> = cluster.pools.iter().map(|slots| Nodes::new(slots)).collect();
        recut.advance(0, &mut Slots::new(&mut pools));
        Engine {
            now: 0,
            rules,
            pools,
            waiting: BTreeMap::new(),
            wanted: Vec::new(),
            ends: BinaryHeap::new(),
            shifts: shifts.iter().peekable(),
            closing: Vec::new(),
            opening: BinaryHeap::new(),
            ever,
            changed: false,
            pass: None,
            plans: Plans::default(),
            chosen: Vec::new(),
            recut,
            again: None,
            started,
        }
    }

    /// When something happens next, arrivals aside.
    fn next(&mut self) -> Option<u32> {
        let end = self.ends.peek().map(|Reverse(end)| end.at);
        let opens = self.opening.peek().map(|Reverse((at, ..))| *at);
        let closes = self.shifts.peek().map(|shift| shift.at);
        [end, opens, closes, self.pass, self.again].into_iter().flatten().min()
    }

    fn end_jobs(&mut self) {
        while self.ends.peek().is_some_and(|Reverse(end)| end.at <= self.now) {
            let Some(Reverse(end)) = self.ends.pop() else { break };
            self.pools[usize::from(end.pool)].give_back(end.node as usize, end.count, end.due);
            self.recut.ended(self.now, end.job, end.node as usize, &mut Slots::new(&mut self.pools));
            self.changed = true;
        }
    }

    /// Closes nodes whose time has come, and opens those that are idle and recut.
    fn shift(&mut self) {
        while let Some(shift) = self.shifts.next_if(|shift| shift.at <= self.now) {
            self.closing.retain(|other| other.node != shift.node);
            self.opening.retain(|Reverse((_, node, _))| *node != shift.node);
            self.pools.iter_mut().for_each(|pool| pool.close(shift.node));
            self.closing.push(shift);
        }
        let idle = |shift: &&Shift| self.pools.iter().all(|pool| pool.is_idle(shift.node));
        let (idle, busy): (Vec<_>, Vec<_>) = self.closing.drain(..).partition(idle);
        self.closing = busy;
        let done = |shift: &'a Shift| {
            Reverse((self.now.saturating_add(shift.takes), shift.node, shift.slots.as_slice()))
        };
        self.opening.extend(idle.into_iter().map(done));
        while self.opening.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, node, slots))) = self.opening.pop() else { break };
            self.pools.iter_mut().zip(slots).for_each(|(pool, &slots)| pool.open(node, slots));
            self.changed = true;
        }
    }

    fn arrive(&mut self, index: u32, job: Job) {
        let enough = (job.nodes as usize)
            .checked_sub(1)
            .and_then(|last| self.ever[usize::from(job.pool)].get(last))
            .is_some_and(|&slots| job.count > 0 && slots >= job.count);
        if !enough {
            (self.started)(index, &job, Start::Never);
            return;
        }
        self.waiting.insert((Reverse(job.priority), index), job);
        match self.wanted.iter_mut().find(|(want, _)| *want == job.want()) {
            Some((_, jobs)) => *jobs += 1,
            None => self.wanted.push((job.want(), 1)),
        }
        self.changed = true;
    }

    /// What whoever recuts has done by now.
    fn advance(&mut self) {
        let mut slots = Slots::new(&mut self.pools);
        self.recut.advance(self.now, &mut slots);
        self.changed |= slots.more;
    }

    /// Lets whoever recuts look at what still waits.
    fn look(&mut self) {
        let mut waiting = self.waiting.iter().map(|(rank, job)| (rank.1, *job));
        let mut slots = Slots::new(&mut self.pools);
        self.again = self.recut.look(self.now, &mut waiting, &mut slots).map(|at| at.max(self.now + 1));
        self.changed |= slots.more;
    }

    fn schedule(&mut self) {
        if !self.changed && self.pass.is_none_or(|at| at > self.now) {
            return;
        }
        self.start_in_turn();
        match self.rules.interval {
            _ if self.waiting.is_empty() => self.pass = None,
            0 => self.backfill(),
            _ if self.pass.is_some_and(|at| at <= self.now) => {
                self.pass = None;
                self.backfill();
            }
            interval if self.changed && self.pass.is_none() => {
                self.pass = (self.now / interval + 1).checked_mul(interval);
            }
            _ => {}
        }
        self.changed = false;
    }

    /// Starts jobs in their order up to one that does not fit.
    fn start_in_turn(&mut self) {
        while let Some((&rank, &job)) = self.waiting.first_key_value() {
            let pool = &self.pools[usize::from(job.pool)];
            if !pool.first_fit(job.count, job.nodes, |_| true, &mut self.chosen) {
                break;
            }
            self.start(rank, job);
        }
    }

    /// Starts what delays nobody before it.
    fn backfill(&mut self) {
        // What does not fit is only planned, and only for the sake of jobs behind it that do.
        let mut fit: Vec<Want> = Vec::new();
        for &((pool, count, nodes), _) in self.wanted.iter().filter(|(_, jobs)| *jobs > 0) {
            if self.pools[usize::from(pool)].first_fit(count, nodes, |_| true, &mut self.chosen) {
                fit.push((pool, count, nodes));
            }
        }
        if fit.is_empty() {
            return;
        }
        let queue: Vec<(Rank, Job)> =
            self.waiting.iter().take(self.rules.depth).map(|(rank, job)| (*rank, *job)).collect();
        let Some(last) = queue.iter().rposition(|(_, job)| fit.contains(&job.want())) else { return };
        let queue = &queue[..=last];
        let shortest = shortest(queue, &fit);
        let mut plans = std::mem::take(&mut self.plans);
        plans.clear(self.pools.iter().map(Nodes::len).max().unwrap_or(0));
        let horizon = self.now.saturating_add(self.rules.window);
        let mut left = if self.rules.reserve == 0 { u32::MAX } else { self.rules.reserve };
        for (at, &(rank, job)) in queue.iter().enumerate() {
            let allowed = |node| plans.allow(node, self.now, job.limit);
            let pool = &mut self.pools[usize::from(job.pool)];
            if pool.first_fit(job.count, job.nodes, allowed, &mut self.chosen) {
                self.start(rank, job);
            } else if left > 0 && plans.plan(pool, &job, self.now, horizon, self.rules.resolution) {
                left -= 1;
                // Further plans matter as long as somebody behind could start.
                let behind = &shortest[(at + 1) * fit.len()..][..fit.len()];
                if !fit.iter().zip(behind).any(|(want, &limit)| self.could_start(*want, limit, &plans)) {
                    break;
                }
            }
        }
        self.plans = plans;
    }

    /// Whether a job with this limit, `u32::MAX` for none, could start now beside what is planned.
    fn could_start(&mut self, (pool, count, nodes): Want, limit: u32, plans: &Plans) -> bool {
        let allowed = |node| plans.allow(node, self.now, limit);
        limit < u32::MAX && self.pools[usize::from(pool)].first_fit(count, nodes, allowed, &mut self.chosen)
    }

    /// Starts a job that waits on the nodes chosen.
    fn start(&mut self, rank: Rank, job: Job) {
        self.waiting.remove(&rank);
        self.wanted.iter_mut().filter(|(want, _)| *want == job.want()).for_each(|(_, jobs)| *jobs -= 1);
        let Job { pool, count, run, limit, .. } = job;
        let due = self.now.saturating_add(limit);
        for &node in &self.chosen {
            self.pools[usize::from(pool)].take(node, count, due);
            let at = self.now.saturating_add(run);
            self.ends.push(Reverse(End { at, pool, node: node as u32, count, due, job: rank.1 }));
        }
        self.recut.started(self.now, rank.1, &job, &self.chosen, &mut Slots::new(&mut self.pools));
        (self.started)(rank.1, &job, Start::At(self.now));
    }

    /// Says of those that still wait, when nothing happens any more, that they never start.
    fn finish(mut self) {
        for ((_, index), job) in std::mem::take(&mut self.waiting) {
            (self.started)(index, &job, Start::Never);
        }
    }
}

/// For each job of a queue, and its end, the shortest limit among those from there on that want each of `wants`; `u32::MAX`
/// where nobody does.
fn shortest(queue: &[(Rank, Job)], wants: &[Want]) -> Vec<u32> {
    let mut shortest = vec![u32::MAX; (queue.len() + 1) * wants.len()];
    for (at, (_, job)) in queue.iter().enumerate().rev() {
        let (here, behind) = shortest[at * wants.len()..][..2 * wants.len()].split_at_mut(wants.len());
        for ((here, behind), want) in here.iter_mut().zip(behind).zip(wants) {
            *here = if *want == job.want() { job.limit.min(*behind) } else { *behind };
        }
    }
    shortest
}
