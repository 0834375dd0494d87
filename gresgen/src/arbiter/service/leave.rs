//! The end by a signal: what is closed is opened, since nobody is there then who would do so when it is no longer wanted.
//!
//! One that is killed opens nothing, and who comes next goes on: that is what a crash, or another program of the same name, comes to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Running, now};
use crate::arbiter::event::{Event, Kind};
use crate::wait::Stop;

/// How long nodes are waited for. The unit's `TimeoutStopSec` is longer.
const PATIENCE: Duration = Duration::from_secs(45);

/// Orders to a node that refuses: it may be changed by somebody just then.
const TRIES: u32 = 4;

/// How long it takes at most to see another signal, or that a node may be tried again.
const BREATH: Duration = Duration::from_millis(100);

impl Running<'_, '_> {
    /// Has everything opened that is known to be closed, and says what stays so. `again` is set by a second signal, after which
    /// nothing is waited for. Whether nothing stays closed, as far as is known.
    pub(super) fn leave(&mut self, again: &Stop) -> bool {
        let end = Instant::now() + PATIENCE;
        let mut tries: BTreeMap<String, u32> = BTreeMap::new();
        // What was not seen yet may be what one before it has closed.
        self.due.retain(|node| self.nodes.inventory(node).is_none());
        while Instant::now() < end && !again.is_set() {
            let now = now();
            self.look(now);
            let closed = self.nodes.closed();
            let left = closed.iter().any(|(node, _)| tries.get(node).is_none_or(|tries| *tries < TRIES));
            if !left && self.due.is_empty() && self.errands.looks() + self.errands.orders() == 0 {
                break;
            }
            for (node, order) in closed {
                let tries = tries.entry(node.clone()).or_default();
                if *tries < TRIES && self.errands.room_for_orders() > 0 && self.nodes.takes_order(&node, now)
                {
                    *tries += 1;
                    self.order(&node, order, now);
                }
            }
            if let Some((node, outcome)) = self.errands.ended(Some(Instant::now() + BREATH)) {
                self.ended(&node, outcome);
            }
        }
        self.last_words()
    }

    fn last_words(&mut self) -> bool {
        let hint = "`gresgen apply --open` on the node opens them";
        let mut left: Vec<Event> = Vec::new();
        for (node, order) in self.nodes.closed() {
            let count: usize = order.gpus.values().map(|changes| changes.open.len()).sum();
            let slices = if count == 1 { "slice stays" } else { "slices stay" };
            left.push(Event::of_node(Kind::Node, &node, format!("{count} {slices} closed; {hint}")));
        }
        for node in self.nodes.unseen() {
            let what = format!("was not seen: slices that are closed there stay so; {hint}");
            left.push(Event::of_node(Kind::Node, node, what));
        }
        if self.nodes.names().next().is_none() && self.whole == 0 {
            let says = "has not answered: what is closed on its nodes is not known, and stays so";
            left.push(Event::new(Kind::Slurmctld, says));
        }
        let nothing = left.is_empty();
        left.into_iter().for_each(|event| self.say(event));
        let says = if nothing { "nothing is closed" } else { "something stays closed" };
        self.say(Event::new(Kind::Arbiter, format!("ends by a signal; {says}")));
        nothing
    }
}
