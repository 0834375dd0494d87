//! Whoever recuts nodes while jobs wait.

use crate::model::Job;
use crate::nodes::Nodes;

/// Somebody who looks at nodes and queue whenever something has happened, and changes what nodes have. What it does shows in
/// [`Slots`] at once: which slots of a node a job has is its own affair.
pub trait Recut {
    /// A job has started on these nodes.
    fn started(&mut self, now: u32, number: u32, job: &Job, nodes: &[usize], slots: &mut Slots<'_>);

    /// A job has ended on a node.
    fn ended(&mut self, now: u32, number: u32, node: usize, slots: &mut Slots<'_>);

    /// Before the scheduler looks: what was begun and is done by now. First called at second 0, before anything else.
    fn advance(&mut self, now: u32, slots: &mut Slots<'_>);

    /// After the scheduler has looked: what waits, in its order, with its numbers. Says when it wants to be asked again at the
    /// latest, if something is still to come. Nothing is done for those who wait unless it is written.
    fn look(
        &mut self,
        _now: u32,
        _waiting: &mut dyn Iterator<Item = (u32, Job)>,
        _slots: &mut Slots<'_>,
    ) -> Option<u32> {
        None
    }
}

/// Nobody recuts.
impl Recut for () {
    fn started(&mut self, _: u32, _: u32, _: &Job, _: &[usize], _: &mut Slots<'_>) {}

    fn ended(&mut self, _: u32, _: u32, _: usize, _: &mut Slots<'_>) {}

    fn advance(&mut self, _: u32, _: &mut Slots<'_>) {}
}

/// The slots of all nodes.
#[derive(Debug)]
pub struct Slots<'a> {
    pools: &'a mut [Nodes],
    /// Some node has more than before.
    pub(crate) more: bool,
}

impl<'a> Slots<'a> {
    pub(crate) fn new(pools: &'a mut [Nodes]) -> Self {
        Slots { pools, more: false }
    }

    /// A node has so many slots of a pool that jobs may use, and so many of them are free.
    pub fn set(&mut self, pool: usize, node: usize, slots: u32, free: u32) {
        self.more |= self.pools[pool].adjust(node, slots, free);
    }
}
