//! The course of events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::DEPTH;
use crate::nodes::{Nodes, Reservation};
use crate::queue::{Queue, Waiting};

/// A job, as the scheduler sees it, with its real run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// When it may first start, in seconds.
    pub submit: u32,
    /// How long it runs, in seconds.
    pub run: u32,
    /// Its time limit, in seconds; a job that runs longer is expected to end at any moment.
    pub limit: u32,
    /// Higher goes first.
    pub priority: u32,
    /// The pool it asks for.
    pub pool: u16,
    /// Slots on each node.
    pub count: u32,
    /// Nodes.
    pub nodes: u32,
}

/// What jobs run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Of each pool, the slots of each node. All pools have the same nodes, unless there are no shifts.
    pub pools: Vec<Vec<u32>>,
}

/// A node gets other slots: it takes no job from `at` on, and opens with the new slots so many seconds after its last
/// job has ended, as with `gresgen apply --drain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// When it closes, in seconds.
    pub at: u32,
    /// The node.
    pub node: usize,
    /// Its slots of each pool afterwards.
    pub slots: Vec<u32>,
    /// Seconds from its last job's end to its return.
    pub takes: u32,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It started, at this second.
    At(u32),
    /// The cluster has never had room for it.
    Never,
}

/// Replays jobs, which come by ascending submission; `started` hears of each, with its number, as it starts.
///
/// Shifts come by ascending time; one whose node is still closed for an earlier one takes its place.
///
/// # Panics
/// When a job or a shift names a pool or node that the cluster lacks.
pub fn replay(
    cluster: &Cluster,
    shifts: &[Shift],
    jobs: impl IntoIterator<Item = Job>,
    mut started: impl FnMut(u32, &Job, Start),
) {
    let mut engine = Engine::new(cluster, shifts);
    let mut jobs = (0u32..).zip(jobs).peekable();
    loop {
        let arrival = jobs.peek().map(|(_, job)| job.submit);
        let Some(now) = [arrival, engine.next_end(), engine.next_shift()].into_iter().flatten().min() else {
            break;
        };
        engine.now = now;
        engine.end_jobs();
        engine.shift();
        while let Some((index, job)) = jobs.next_if(|(_, job)| job.submit <= now) {
            engine.arrive(Waiting { index, job }, &mut started);
        }
        engine.schedule(&mut started);
    }
    for queue in &mut engine.queues {
        queue.drain().for_each(|waiting| started(waiting.index, &waiting.job, Start::Never));
    }
}

/// Something that happens by itself: a job ends, or a node opens.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at: u32,
    pool: u16,
    node: u32,
    count: u32,
    due: u32,
}

struct Engine<'a> {
    now: u32,
    pools: Vec<Nodes>,
    queues: Vec<Queue>,
    /// Pools where something has changed.
    touched: Vec<bool>,
    ends: BinaryHeap<Reverse<End>>,
    shifts: std::iter::Peekable<std::slice::Iter<'a, Shift>>,
    /// Nodes that wait for their last job, each with what follows.
    closing: Vec<&'a Shift>,
    opening: BinaryHeap<Reverse<(u32, usize, Vec<u32>)>>,
    /// Of each pool, every number of slots a node ever has, with the nodes that have it: most first.
    ever: Vec<Vec<u32>>,
    chosen: Vec<usize>,
}

impl<'a> Engine<'a> {
    fn new(cluster: &Cluster, shifts: &'a [Shift]) -> Self {
        let mut ever = cluster.pools.clone();
        for shift in shifts {
            for (pool, &slots) in shift.slots.iter().enumerate() {
                ever[pool][shift.node] = ever[pool][shift.node].max(slots);
            }
        }
        ever.iter_mut().for_each(|pool| pool.sort_unstable_by_key(|&slots| Reverse(slots)));
        Engine {
            now: 0,
            pools: cluster.pools.iter().map(|slots| Nodes::new(slots)).collect(),
            queues: cluster.pools.iter().map(|_| Queue::default()).collect(),
            touched: vec![false; cluster.pools.len()],
            ends: BinaryHeap::new(),
            shifts: shifts.iter().peekable(),
            closing: Vec::new(),
            opening: BinaryHeap::new(),
            ever,
            chosen: Vec::new(),
        }
    }

    fn next_end(&self) -> Option<u32> {
        self.ends.peek().map(|Reverse(end)| end.at)
    }

    fn next_shift(&mut self) -> Option<u32> {
        let opens = self.opening.peek().map(|Reverse((at, ..))| *at);
        let closes = self.shifts.peek().map(|shift| shift.at);
        [opens, closes].into_iter().flatten().min()
    }

    fn end_jobs(&mut self) {
        while self.ends.peek().is_some_and(|Reverse(end)| end.at <= self.now) {
            let Some(Reverse(end)) = self.ends.pop() else { break };
            let pool = usize::from(end.pool);
            self.pools[pool].give_back(end.node as usize, end.count, end.due);
            self.touched[pool] = true;
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
        self.opening.extend(idle.into_iter().map(|s| Reverse((self.now + s.takes, s.node, s.slots.clone()))));
        while self.opening.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, node, slots))) = self.opening.pop() else { break };
            for (pool, slots) in slots.into_iter().enumerate() {
                self.pools[pool].open(node, slots);
                self.touched[pool] = true;
            }
        }
    }

    fn arrive(&mut self, waiting: Waiting, started: &mut impl FnMut(u32, &Job, Start)) {
        let Job { pool, count, nodes, .. } = waiting.job;
        let pool = usize::from(pool);
        let enough = (nodes as usize).checked_sub(1).and_then(|last| self.ever[pool].get(last));
        if count == 0 || enough.is_none_or(|&slots| slots < count) {
            started(waiting.index, &waiting.job, Start::Never);
            return;
        }
        self.queues[pool].push(waiting);
        self.touched[pool] = true;
    }

    fn schedule(&mut self, started: &mut impl FnMut(u32, &Job, Start)) {
        for pool in 0..self.pools.len() {
            if std::mem::take(&mut self.touched[pool]) {
                self.schedule_pool(pool, started);
            }
        }
    }

    fn schedule_pool(&mut self, pool: usize, started: &mut impl FnMut(u32, &Job, Start)) {
        while let Some(group) = self.queues[pool].first() {
            let first = &mut self.queues[pool].groups[group];
            let (count, nodes) = (first.count, first.nodes);
            if !self.pools[pool].first_fit(count, nodes, |_| true, &mut self.chosen) {
                return self.backfill(pool, group, started);
            }
            let waiting = first.jobs.pop_front();
            waiting.into_iter().for_each(|waiting| self.start(waiting, started));
        }
    }

    /// Starts what does not delay the first job of the group.
    fn backfill(&mut self, pool: usize, head: usize, started: &mut impl FnMut(u32, &Job, Start)) {
        let groups = &self.queues[pool].groups;
        let (count, nodes) = (groups[head].count, groups[head].nodes);
        let mut chosen = std::mem::take(&mut self.chosen);
        let mut fits = |group: usize| {
            let group = &self.queues[pool].groups[group];
            !group.jobs.is_empty()
                && self.pools[pool].first_fit(group.count, group.nodes, |_| true, &mut chosen)
        };
        // Of each group that fits now, the next job to be looked at.
        let mut next: Vec<(usize, usize)> = (0..groups.len()).filter(|g| fits(*g)).map(|g| (g, 0)).collect();
        if !next.is_empty() {
            // Where nothing is due to free enough, as while nodes are closed, nothing can be delayed.
            let mut reserved = self.pools[pool].reserve(count, nodes, self.now);
            for _ in 0..DEPTH {
                let rank = |&(group, at): &(usize, usize)| {
                    Some((self.queues[pool].groups[group].jobs.get(at)?.rank(), group))
                };
                let Some((_, group)) = next.iter().filter_map(rank).min() else { break };
                let Some(cursor) = next.iter_mut().find(|(g, _)| *g == group) else { break };
                let waiting = self.queues[pool].groups[group].jobs[cursor.1];
                if !self.harmless(&waiting.job, reserved.as_ref(), &mut chosen) {
                    cursor.1 += 1;
                    continue;
                }
                self.queues[pool].groups[group].jobs.remove(cursor.1);
                let due = self.now.saturating_add(waiting.job.limit);
                if let Some(reserved) = reserved.as_mut().filter(|reserved| due > reserved.at) {
                    for (_, spare) in reserved.spare.iter_mut().filter(|(node, _)| chosen.contains(node)) {
                        *spare -= waiting.job.count;
                    }
                }
                self.chosen.clone_from(&chosen);
                self.start(waiting, started);
            }
        }
        self.chosen = chosen;
    }

    /// Whether the job fits now without delaying a reservation, and where.
    fn harmless(&self, job: &Job, reserved: Option<&Reservation>, chosen: &mut Vec<usize>) -> bool {
        let allowed = |node: usize| {
            let Some(reserved) = reserved else { return true };
            let spare = reserved.spare.iter().find(|(other, _)| *other == node);
            let ends_before = self.now.saturating_add(job.limit) <= reserved.at;
            ends_before || spare.is_none_or(|(_, spare)| *spare >= job.count)
        };
        self.pools[usize::from(job.pool)].first_fit(job.count, job.nodes, allowed, chosen)
    }

    /// Starts a job on the nodes chosen.
    fn start(&mut self, waiting: Waiting, started: &mut impl FnMut(u32, &Job, Start)) {
        let Job { pool, count, run, limit, .. } = waiting.job;
        let due = self.now.saturating_add(limit);
        for &node in &self.chosen {
            self.pools[usize::from(pool)].take(node, count, due);
            let at = self.now.saturating_add(run);
            self.ends.push(Reverse(End { at, pool, node: node as u32, count, due }));
        }
        started(waiting.index, &waiting.job, Start::At(self.now));
    }
}
