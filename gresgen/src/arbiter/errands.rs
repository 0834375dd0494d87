//! Errands under way: looks and orders, each in a thread of its own, and what comes of them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::reach::{self, Errand, Outcome};

/// Looks and orders at once. One that hangs takes its place for minutes; an ssh takes some megabytes while it waits.
const MOST_LOOKS: usize = 32;
const MOST_ORDERS: usize = 32;

/// What is under way.
#[derive(Debug)]
pub(super) struct Errands {
    sender: Sender<(String, Outcome)>,
    receiver: Receiver<(String, Outcome)>,
    looks: usize,
    orders: usize,
}

impl Default for Errands {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Errands { sender, receiver, looks: 0, orders: 0 }
    }
}

impl Errands {
    /// How many looks are under way.
    pub(super) fn looks(&self) -> usize {
        self.looks
    }

    /// How many orders are under way.
    pub(super) fn orders(&self) -> usize {
        self.orders
    }

    /// Whether another look may begin.
    pub(super) fn has_room_for_look(&self) -> bool {
        self.looks < MOST_LOOKS
    }

    /// How many orders may begin.
    pub(super) fn room_for_orders(&self) -> usize {
        MOST_ORDERS.saturating_sub(self.orders)
    }

    /// Lets a thread run an errand. `command` gives an order to this node.
    pub(super) fn send(&mut self, node: &str, command: Vec<String>, errand: Errand) {
        match errand {
            Errand::Look => self.looks += 1,
            Errand::Order(_) => self.orders += 1,
        }
        let (name, task, sender) = (node.to_owned(), errand.clone(), self.sender.clone());
        let begun = thread::Builder::new().spawn(move || {
            let outcome = reach::run(&name, &command, &task);
            sender.send((name, outcome))
        });
        if let Err(error) = begun {
            let outcome = Outcome::none(&errand, &format!("no thread can be made here: {error}"));
            // The receiver is this one's own.
            let _ = self.sender.send((node.to_owned(), outcome));
        }
    }

    /// What came of the next errand that ends, with its node; `None` where none does until then.
    pub(super) fn ended(&mut self, until: Option<Instant>) -> Option<(String, Outcome)> {
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        // Nothing disconnects it: the other end is kept beside it.
        let (node, outcome) = self.receiver.recv_timeout(left).ok()?;
        let count = if outcome.order.is_some() { &mut self.orders } else { &mut self.looks };
        *count = count.saturating_sub(1);
        Some((node, outcome))
    }
}
