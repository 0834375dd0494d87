//! The slots of one pool, node by node.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Nodes of a pool: what they have, what is free, and when jobs that run are due to end.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// Slots that jobs may use; 0 while a node is closed.
    slots: Vec<u32>,
    free: Vec<u32>,
    /// Of each node, when jobs are due to end and how many slots they give back then.
    running: Vec<BTreeMap<u32, u32>>,
    /// Of each node, the latest answer of [`Nodes::ready`]: for how many slots, and when.
    known: Vec<(u32, u32)>,
}

/// When and where a job that waits will start at the latest.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// When, in seconds.
    pub(crate) at: u32,
    /// Of each node that it will use, how many slots will be free beside it then.
    pub(crate) spare: Vec<(usize, u32)>,
}

impl Nodes {
    pub(crate) fn new(slots: &[u32]) -> Self {
        Nodes {
            slots: slots.to_vec(),
            free: slots.to_vec(),
            running: vec![BTreeMap::new(); slots.len()],
            known: vec![(0, 0); slots.len()],
        }
    }

    /// Puts into `chosen` the first nodes with room; whether there are enough.
    pub(crate) fn first_fit(
        &self,
        count: u32,
        nodes: u32,
        allowed: impl Fn(usize) -> bool,
        chosen: &mut Vec<usize>,
    ) -> bool {
        chosen.clear();
        let mut from = 0;
        while chosen.len() < nodes as usize {
            let Some(next) = self.free[from..].iter().position(|&free| free >= count) else { return false };
            let node = from + next;
            if allowed(node) {
                chosen.push(node);
            }
            from = node + 1;
        }
        true
    }

    /// Takes slots of a node for a job that is due to end at `due`.
    pub(crate) fn take(&mut self, node: usize, count: u32, due: u32) {
        self.free[node] -= count;
        *self.running[node].entry(due).or_default() += count;
        self.known[node].0 = 0;
    }

    /// Gives back what [`Nodes::take`] took.
    pub(crate) fn give_back(&mut self, node: usize, count: u32, due: u32) {
        if let Entry::Occupied(mut taken) = self.running[node].entry(due) {
            *taken.get_mut() -= count;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
        if self.slots[node] > 0 {
            self.free[node] += count;
        }
        self.known[node].0 = 0;
    }

    /// No job starts on the node from now on.
    pub(crate) fn close(&mut self, node: usize) {
        self.slots[node] = 0;
        self.free[node] = 0;
        self.known[node].0 = 0;
    }

    /// Opens a closed node on which nothing runs.
    pub(crate) fn open(&mut self, node: usize, slots: u32) {
        self.slots[node] = slots;
        self.free[node] = slots;
        self.known[node].0 = 0;
    }

    pub(crate) fn is_idle(&self, node: usize) -> bool {
        self.running[node].is_empty()
    }

    /// When a node will have `count` slots free, by the time limits of its jobs; `u32::MAX` if never.
    fn ready(&mut self, node: usize, count: u32, now: u32) -> u32 {
        if self.slots[node] < count {
            return u32::MAX;
        }
        if self.known[node].0 != count {
            let mut free = self.free[node];
            let mut at = 0;
            for (&due, slots) in &self.running[node] {
                if free >= count {
                    break;
                }
                free += slots;
                at = due;
            }
            self.known[node] = (count, at);
        }
        // A job beyond its limit may end at any moment.
        self.known[node].1.max(now)
    }

    /// The earliest time at which `count` slots will be free on `nodes` nodes at once; `None` if never.
    pub(crate) fn reserve(&mut self, count: u32, nodes: u32, now: u32) -> Option<Reservation> {
        let all = 0..self.slots.len();
        let mut ready: Vec<(u32, usize)> = all.map(|node| (self.ready(node, count, now), node)).collect();
        let last = (nodes as usize).checked_sub(1).filter(|last| *last < ready.len())?;
        ready.select_nth_unstable(last);
        let at = Some(ready[last].0).filter(|at| *at < u32::MAX)?;
        let spare = ready[..=last].iter().map(|&(_, node)| (node, self.free_at(node, at) - count)).collect();
        Some(Reservation { at, spare })
    }

    fn free_at(&self, node: usize, at: u32) -> u32 {
        self.free[node] + self.running[node].range(..=at).map(|(_, slots)| slots).sum::<u32>()
    }
}
