//! What backfill has planned in one pass: from when to when nodes are kept for jobs that wait.

use crate::model::Job;
use crate::nodes::Nodes;

/// How often a plan for several nodes is moved to a later time before it is given up.
const TRIES: u32 = 64;

/// Kept times of every node.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    /// First and last second that it is kept.
    kept: Vec<Vec<(u32, u32)>>,
}

impl Plans {
    /// Forgets everything.
    pub(crate) fn clear(&mut self, nodes: usize) {
        self.kept.iter_mut().for_each(Vec::clear);
        self.kept.resize(nodes, Vec::new());
    }

    /// Whether a job that starts at `at` and runs to its limit leaves alone what is kept of a node.
    pub(crate) fn allow(&self, node: usize, at: u32, limit: u32) -> bool {
        self.clash(node, at, limit).is_none()
    }

    /// The end of a kept time in the way. Slurm counts one that begins just as the job is due to end (`begin_time <=
    /// end_time`).
    fn clash(&self, node: usize, at: u32, limit: u32) -> Option<u32> {
        let end = at.saturating_add(limit);
        let in_the_way = |&&(from, until): &&(u32, u32)| from <= end && until > at;
        self.kept[node].iter().find(in_the_way).map(|&(_, until)| until)
    }

    /// The earliest second, not before `from`, at which the job can start on the node.
    fn earliest(&self, pool: &mut Nodes, node: usize, job: &Job, from: u32) -> u32 {
        let mut at = pool.ready(node, job.count).max(from);
        while at < u32::MAX
            && let Some(until) = self.clash(node, at, job.limit)
        {
            at = until;
        }
        at
    }

    /// Keeps the first nodes on which the job can start soonest, unless that is after `horizon`; whether it has. Times are kept in
    /// whole multiples of `resolution`, as `_set_slot_time` in backfill.c does.
    pub(crate) fn plan(
        &mut self,
        pool: &mut Nodes,
        job: &Job,
        now: u32,
        horizon: u32,
        resolution: u32,
    ) -> bool {
        let Some(last) = (job.nodes as usize).checked_sub(1).filter(|last| *last < pool.len()) else {
            return false;
        };
        let mut at = now;
        for _ in 0..TRIES {
            let mut times: Vec<u32> =
                (0..pool.len()).map(|node| self.earliest(pool, node, job, at)).collect();
            let (_, &mut due, _) = times.select_nth_unstable(last);
            if due > horizon {
                return false;
            }
            if due == at {
                break;
            }
            at = due;
        }
        let able: Vec<usize> = (0..pool.len())
            .filter(|&node| self.earliest(pool, node, job, at) == at)
            .take(job.nodes as usize)
            .collect();
        let round = |time: u32| time / resolution * resolution;
        let kept = (round(at), round(at.saturating_add(job.limit).saturating_add(resolution - 1)));
        able.into_iter().for_each(|node| self.keep(node, kept));
        true
    }

    /// Adds a kept time; what touches is one, for nothing fits between.
    fn keep(&mut self, node: usize, (mut from, mut until): (u32, u32)) {
        self.kept[node].retain(|other| {
            let touches = other.0 <= until && from <= other.1;
            if touches {
                (from, until) = (from.min(other.0), until.max(other.1));
            }
            !touches
        });
        self.kept[node].push((from, until));
    }
}
