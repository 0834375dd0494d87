//! Nodes on request of which no inventory is known: they are down, not reached, or not seen yet. What could be cut there is not known,
//! so a job that may have one does not wait for good, whatever the others are.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use ::demand::{Node, Verdict};
use mig::{Attribute, Profile};

use super::Wants;
use super::nodes::Nodes;
use crate::demand::answers::Answers;
use crate::demand::stock::Kinds;
use crate::slurm::control::{NodeView, Queued, Request};
use crate::slurm::hostlist;
use crate::slurm::slots::GUARD;

/// Those that a job may have, and that have what it asks for as slurmctld shows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Absent {
    /// They take no jobs.
    out: Vec<String>,
    unseen: Vec<String>,
    /// Others are reserved for other jobs.
    pub(super) reserved: bool,
}

impl Absent {
    /// What is said of the job where no known node serves it; `None` where there is no other.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let some = |names: &Vec<String>| Some(names.clone()).filter(|names| !names.is_empty());
        some(&self.unseen).map(Verdict::Unseen).or_else(|| some(&self.out).map(Verdict::Out))
    }
}

/// All of them.
pub(super) struct Others<'a> {
    views: &'a [&'a NodeView],
    nodes: Nodes<'a>,
    /// By the sets that a job may have, and whether something is left out of these.
    found: HashMap<(BTreeSet<usize>, bool), Rc<Absent>>,
}

impl<'a> Others<'a> {
    /// Those that the decision does not know, and which of them has which type. What a type is cut as there does not matter.
    pub(super) fn listed(answers: &'a Answers, known: &[Node]) -> (Vec<&'a NodeView>, Kinds) {
        let known: BTreeSet<&str> = known.iter().map(|node| node.name.as_str()).collect();
        let is = |view: &&NodeView| {
            let could_be_known = is_on_request(view) && hostlist::is_name(&view.name) && !view.is_never_up();
            could_be_known && !known.contains(view.name.as_str())
        };
        let views: Vec<&NodeView> = answers.nodes.iter().filter(is).collect();
        let any = Profile::new(1, 1, Attribute::None);
        let mut kinds = Kinds::new();
        for (number, view) in views.iter().enumerate() {
            for name in view.types() {
                kinds.entry(name.to_owned()).or_default().entry(any).or_default().insert(number);
            }
        }
        (views, kinds)
    }

    pub(super) fn new(views: &'a [&'a NodeView], kinds: &'a Kinds, answers: &'a Answers) -> Self {
        let nodes = Nodes::new(views.to_vec(), kinds, answers);
        Others { views, nodes, found: HashMap::new() }
    }

    /// Those that a job may have for any of its parts.
    pub(super) fn of(&mut self, parts: &[(&'a Queued, &'a Request)], asks: &[Vec<Wants>]) -> Rc<Absent> {
        if self.views.is_empty() {
            return Rc::default();
        }
        let (mut sets, mut reserved) = (BTreeSet::new(), false);
        for ((job, request), asks) in parts.iter().zip(asks) {
            let Some(place) = &job.place else { continue };
            let (shares, left_out) = self.nodes.shares(job, request, place, asks, false).unwrap_or_default();
            sets.extend(shares.iter().map(|share| share.set));
            reserved |= left_out.any;
        }
        let key = (sets, reserved);
        if let Some(found) = self.found.get(&key) {
            return Rc::clone(found);
        }
        let numbers: BTreeSet<usize> = key.0.iter().flat_map(|set| &self.nodes.sets[*set]).copied().collect();
        let views = numbers.into_iter().map(|number| self.views[number]);
        let (unseen, out): (Vec<&NodeView>, Vec<&NodeView>) = views.partition(|view| view.takes_jobs());
        let [out, unseen] = [out, unseen].map(|views| views.iter().map(|view| view.name.clone()).collect());
        let found = Rc::new(Absent { out, unseen, reserved });
        self.found.insert(key, Rc::clone(&found));
        found
    }
}

/// Whether slurmctld says that a node's GPUs are on request.
pub(crate) fn is_on_request(view: &NodeView) -> bool {
    view.form.is_some() && view.types().any(|name| name == GUARD)
}
