//! Jobs that wait for one pool, grouped by what they ask for: where one of a group does not fit, none does.

use std::cmp::Reverse;
use std::collections::VecDeque;

use crate::Job;

/// A waiting job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Its number in the trace.
    pub(crate) index: u32,
    pub(crate) job: Job,
}

impl Waiting {
    /// What jobs are ordered by: the least comes first.
    pub(crate) fn rank(&self) -> (Reverse<u32>, u32) {
        (Reverse(self.job.priority), self.index)
    }
}

/// Jobs that ask for the same.
#[derive(Debug)]
pub(crate) struct Group {
    /// Slots on each node.
    pub(crate) count: u32,
    /// Nodes.
    pub(crate) nodes: u32,
    /// By rank.
    pub(crate) jobs: VecDeque<Waiting>,
}

/// Everything that waits for a pool.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) groups: Vec<Group>,
}

impl Queue {
    pub(crate) fn push(&mut self, waiting: Waiting) {
        let Job { count, nodes, .. } = waiting.job;
        let same = |group: &Group| group.count == count && group.nodes == nodes;
        let at = self.groups.iter().position(same).unwrap_or_else(|| {
            self.groups.push(Group { count, nodes, jobs: VecDeque::new() });
            self.groups.len() - 1
        });
        let jobs = &mut self.groups[at].jobs;
        // Most jobs come behind the last one.
        match jobs.back() {
            Some(last) if last.rank() > waiting.rank() => {
                let place = jobs.partition_point(|other| other.rank() < waiting.rank());
                jobs.insert(place, waiting);
            }
            _ => jobs.push_back(waiting),
        }
    }

    /// The group whose first job comes first of all.
    pub(crate) fn first(&self) -> Option<usize> {
        let fronts = self.groups.iter().enumerate().filter_map(|(i, g)| Some((g.jobs.front()?.rank(), i)));
        fronts.min().map(|(_, group)| group)
    }

    /// All that wait, for a pool that will never serve them.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Waiting> + '_ {
        self.groups.iter_mut().flat_map(|group| group.jobs.drain(..))
    }
}
