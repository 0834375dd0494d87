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

impl Nodes {
    pub(crate) fn new(slots: &[u32]) -> Self {
        Nodes {
            slots: slots.to_vec(),
            free: slots.to_vec(),
            running: vec![BTreeMap::new(); slots.len()],
            known: vec![(0, 0); slots.len()],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
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
        self.set(node, 0);
    }

    /// Opens a closed node on which nothing runs.
    pub(crate) fn open(&mut self, node: usize, slots: u32) {
        self.set(node, slots);
    }

    fn set(&mut self, node: usize, slots: u32) {
        self.slots[node] = slots;
        self.free[node] = slots;
        self.known[node].0 = 0;
    }

    /// The node has so many slots that jobs may use, of which so many are free; whether more are free than before.
    pub(crate) fn adjust(&mut self, node: usize, slots: u32, free: u32) -> bool {
        let more = free > self.free[node];
        if (self.slots[node], self.free[node]) != (slots, free) {
            (self.slots[node], self.free[node]) = (slots, free);
            self.known[node].0 = 0;
        }
        more
    }

    pub(crate) fn is_idle(&self, node: usize) -> bool {
        self.running[node].is_empty()
    }

    /// When a node will have `count` slots free, by the time limits of its jobs; 0 if it has them now, `u32::MAX` if
    /// never.
    pub(crate) fn ready(&mut self, node: usize, count: u32) -> u32 {
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
        self.known[node].1
    }
}
