//! What is known of nodes on request: by looks alone, and by what this process saw itself.
//!
//! Nothing of it has to outlive the process. What stands on a node and what is closed is asked of it at the start; only
//! the age of instances and the number of cuts begin anew.

mod doubt;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use device_map::DeviceFile;
use mig::{Placement, Profile};

use super::event::{Event, Kind};
use super::reach::{Errand, Outcome};
use super::shelf::Shelf;
use super::wire::{Answer, Changes, NodeOrder, Seen};
use crate::demand::{Known, Sheet, Sheets};
use crate::inventory::{Compute, Gpu, Instance, Inventory};
use crate::order::Code;
use doubt::Doubt;

/// All nodes on request.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// Their inventories, in no order.
    shelf: Shelf,
    states: BTreeMap<String, NodeState>,
}

/// A node.
#[derive(Debug, Default)]
pub(super) struct NodeState {
    /// Position of its inventory; `None` where it was not seen yet.
    at: Option<usize>,
    /// Profiles that may be ordered of each GPU, by UUID.
    pub(super) offers: BTreeMap<String, BTreeSet<Profile>>,
    /// When it was last seen.
    seen: Option<u64>,
    /// It is to be seen before its age asks for it.
    stale: bool,
    /// Nobody answered there in the last pass.
    away: bool,
    doubt: Doubt,
    /// An admin, or an order of before, changes it now.
    running: bool,
    /// Something of a change is left to be done: its journal or its fence is there, or an answer said so.
    unfinished: bool,
    /// It said that it has finished that. Whether it has shows in the next look and in what slurmctld says next.
    finished: bool,
    /// What goes on: a look or an order.
    errand: Option<Errand>,
    /// With looks, with orders, with what slurmctld says of it.
    looks: Trouble,
    orders: Trouble,
    views: Trouble,
    /// With cuts, which it refused: what only opens or closes says nothing of them.
    refusals: Trouble,
    /// When it was cut.
    cuts: VecDeque<u64>,
    /// Instances that were seen, by NVML index and place.
    pub(super) ages: BTreeMap<(u32, Placement), Age>,
}

/// Failures in a row, after which there is a pause that grows.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    until: u64,
    /// What was said of the last one, so that it is said once.
    said: Option<String>,
}

impl Trouble {
    /// 2, 4, 8 ... seconds. Whether there is something new to be said.
    fn failed(&mut self, why: &str, now: u64) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.until = now.saturating_add(1u64.checked_shl(self.failures).unwrap_or(LONGEST).min(LONGEST));
        self.said.replace(why.to_owned()).as_deref() != Some(why)
    }

    /// The clock was set back to this time.
    fn set_back(&mut self, now: u64) {
        self.until = self.until.min(now);
    }

    /// Whether there were failures.
    fn over(&mut self) -> bool {
        std::mem::take(self).failures > 0
    }
}

/// How old an instance is, as far as this process saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age {
    /// When it was made or given back.
    pub(super) since: Option<u64>,
    /// Whether somebody had it when it was last seen.
    pub(super) busy: bool,
}

/// Seconds after which a node is seen anew, where nothing asks for it sooner: somebody may have cut it. Where there are more nodes
/// than that, one is seen each second: every look costs slurmctld the list of all jobs, which the node asks for.
const OLD: u64 = 180;

/// Longest pause after failures in a row, in seconds.
const LONGEST: u64 = 300;

/// Refusals of cuts in a row over which nothing is opened that was closed for one: half a minute.
const PATIENT: u32 = 4;

/// Seconds between two looks at a node, and between two orders to it, that somebody else changes.
const RUNNING: u64 = 2;

const HOUR: u64 = 3600;

impl Nodes {
    /// What the inventories of all that were seen say, as `sheets` makes it.
    pub(super) fn sheets(&mut self, sheets: &mut Sheets<'_>) -> impl Iterator<Item = &Sheet> {
        self.shelf.sheets(sheets)
    }

    /// The inventory of a node.
    pub(super) fn inventory(&self, node: &str) -> Option<&Known> {
        self.shelf.get(self.states.get(node)?.at?)
    }

    pub(super) fn state_mut(&mut self, node: &str) -> Option<&mut NodeState> {
        self.states.get_mut(node)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.states.keys()
    }

    /// How many of them are not known, or take no order for now because something is wrong.
    pub(super) fn troubled(&self) -> usize {
        let is_wrong = |state: &&NodeState| {
            let troubles = [&state.looks, &state.orders, &state.views, &state.refusals];
            state.seen.is_none() || troubles.iter().any(|trouble| trouble.failures > 0)
        };
        self.states.values().filter(is_wrong).count()
    }

    /// Whether one was looked at last without being seen.
    pub(super) fn has_unreached(&self) -> bool {
        self.states.values().any(|state| state.looks.failures > 0)
    }

    /// The clock was set back to this time: nothing was later, and no pause lasts longer than it would have.
    pub(super) fn set_back(&mut self, now: u64) {
        for state in self.states.values_mut() {
            let NodeState { looks, orders, views, refusals, .. } = state;
            [looks, orders, views, refusals].into_iter().for_each(|trouble| trouble.set_back(now));
            state.seen = state.seen.map(|seen| seen.min(now));
            state.doubt.set_back(now);
            state.cuts.iter_mut().for_each(|at| *at = (*at).min(now));
            state.ages.values_mut().for_each(|age| age.since = age.since.map(|since| since.min(now)));
        }
    }

    /// Whether something is going on, or left, that the next pass has to see to. What a node is left alone with is not.
    pub(super) fn unsettled(&self, now: u64) -> bool {
        self.states.values().any(|state| state.running || state.unfinished && now >= state.orders.until)
    }

    /// Whether the last cut that a node was asked for was refused.
    pub(super) fn has_refused(&self, node: &str) -> bool {
        self.states.get(node).is_some_and(|state| state.refusals.failures > 0)
    }

    /// Jobs for which nodes that refused the last cut are tried once more now.
    pub(super) fn tried(&self) -> impl Iterator<Item = &String> {
        let refused = self.states.values().filter(|state| state.refusals.failures > 0);
        refused.filter_map(|state| state.order()?.job.as_ref())
    }

    /// Takes these for all there are.
    pub(super) fn keep(&mut self, names: &BTreeSet<String>) {
        // One that an errand is at stays until that is over.
        let gone: Vec<String> = self
            .states
            .iter()
            .filter(|(name, state)| !names.contains(*name) && state.errand.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            if let Some(at) = self.states.remove(&name).and_then(|state| state.at)
                && let Some(state) = self.shelf.remove(at).and_then(|moved| self.states.get_mut(moved))
            {
                state.at = Some(at);
            }
        }
        for name in names.iter().filter(|name| !self.states.contains_key(*name)).cloned().collect::<Vec<_>>()
        {
            self.states.insert(name, NodeState::default());
        }
    }

    /// Nodes to be seen now, those that were never seen or not for the longest time first.
    pub(super) fn to_see(&self, now: u64) -> Vec<String> {
        let old = OLD.max(self.states.len() as u64);
        let is_due = |state: &NodeState| {
            let age = state.seen.map_or(u64::MAX, |seen| now.saturating_sub(seen));
            let due = state.stale || state.running && age >= RUNNING || age >= old;
            due && state.errand.is_none() && now >= state.looks.until
        };
        let mut due: Vec<(&String, &NodeState)> =
            self.states.iter().filter(|(_, state)| is_due(state)).collect();
        due.sort_by_key(|(name, state)| (state.seen, *name));
        due.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Nodes on which something of a change is left that nobody goes on with: the next order finishes it, whatever it says.
    pub(super) fn to_finish(&self, now: u64) -> Vec<String> {
        let is_due = |state: &NodeState| {
            state.unfinished && state.seen.is_some() && !state.running && state.is_free(now)
        };
        self.states.iter().filter(|(_, state)| is_due(state)).map(|(name, _)| name.clone()).collect()
    }

    /// Nodes on which something is closed, as they were last seen, each with the order that opens it.
    pub(super) fn closed(&self) -> Vec<(String, NodeOrder)> {
        let one = |(name, state): (&String, &NodeState)| {
            let (inventory, _) = self.shelf.get(state.at?)?;
            let closed = |gpu: &Gpu| {
                let closed = gpu.instances.iter().filter(|instance| instance.closed);
                let open: Vec<Placement> = closed.map(|instance| instance.placement).collect();
                Changes { index: gpu.index, open, ..Changes::default() }
            };
            let mine = inventory.gpus.iter().filter(|gpu| state.offers.contains_key(&gpu.uuid));
            let gpus = mine.map(|gpu| (gpu.uuid.clone(), closed(gpu)));
            let gpus: BTreeMap<String, Changes> = gpus.filter(|(_, changes)| !changes.is_empty()).collect();
            (!gpus.is_empty()).then(|| (name.clone(), NodeOrder { job: None, gpus }))
        };
        self.states.iter().filter_map(one).collect()
    }

    /// Nodes that were never seen, and could have been.
    pub(super) fn unseen(&self) -> impl Iterator<Item = &str> {
        let is_unseen = |state: &NodeState| state.at.is_none() && !state.away;
        self.states.iter().filter(move |(_, state)| is_unseen(state)).map(|(name, _)| name.as_str())
    }

    /// Whether an order may be given to a node, as far as nothing goes on there.
    pub(super) fn takes_order(&self, node: &str, now: u64) -> bool {
        self.states.get(node).is_some_and(|state| state.is_free(now))
    }

    /// Whether a node lets other profiles be ordered of its GPUs than `menu` has.
    pub(super) fn offers_other(&self, node: &str, menu: impl Fn(&Gpu) -> Option<BTreeSet<Profile>>) -> bool {
        let (Some(state), Some((inventory, _))) = (self.states.get(node), self.inventory(node)) else {
            return false;
        };
        inventory.gpus.iter().any(|gpu| state.offers.get(&gpu.uuid) != menu(gpu).as_ref())
    }

    /// What slurmctld says contradicts the last look at a node.
    pub(super) fn contradicted(&mut self, node: &str, why: &str, now: u64) -> Option<Event> {
        let state = self.states.get_mut(node)?;
        if state.seen.is_none() || state.stale || state.errand.is_some() || now < state.views.until {
            return None;
        }
        state.stale = true;
        let new = state.views.failed(why, now);
        // Slurm may have read before the node was seen; what is so twice is worth a word.
        let twice = state.views.failures == 2 || new && state.views.failures > 2;
        twice.then(|| Event::of_node(Kind::Node, node, why))
    }

    /// Takes in the `Gres=` that slurmctld shows of a node: one that has changed beside this process is seen at once.
    pub(super) fn shows(&mut self, node: &str, gres: &str, now: u64) {
        if let Some(state) = self.states.get_mut(node) {
            let is_idle = state.seen.is_some() && !state.stale && state.errand.is_none();
            state.stale |= state.doubt.shows(gres, is_idle, now);
        }
    }

    /// Takes in on which nodes there is, as they were seen, what a job waits for that Slurm does not start. One of them is seen anew
    /// where that lasts, the one that was not for the longest time.
    pub(super) fn are_free(&mut self, names: &BTreeSet<&str>, now: u64) {
        let mut due: Option<&mut NodeState> = None;
        for (name, state) in &mut self.states {
            let Some(seen) = state.seen.filter(|_| !state.stale && state.errand.is_none()) else { continue };
            let sooner = due.as_ref().is_none_or(|other| state.seen < other.seen);
            if state.doubt.is_free(names.contains(name.as_str()), seen, now) && sooner {
                due = Some(state);
            }
        }
        if let Some(state) = due {
            state.stale = true;
        }
    }

    /// On these nobody answers for now. What one is when it is back has to be seen: it may have rebooted.
    pub(super) fn are_away(&mut self, names: &BTreeSet<String>) {
        for (name, state) in &mut self.states {
            state.away = names.contains(name);
            state.stale |= state.away && state.seen.is_some();
        }
    }

    /// slurmctld agrees with the last look at a node.
    pub(super) fn agreed(&mut self, node: &str) {
        if let Some(state) = self.states.get_mut(node).filter(|state| !state.stale) {
            state.views.over();
        }
    }

    /// A fence of this program stands around these nodes. That is left to be done where no order of this process made it.
    pub(super) fn fenced(&mut self, nodes: &BTreeSet<String>, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for (name, state) in self.states.iter_mut().filter(|(_, state)| state.errand.is_none()) {
            if nodes.contains(name) {
                events.extend(
                    state.is_left("its fence stands", now).map(|why| Event::of_node(Kind::Node, name, why)),
                );
            } else if state.finished && !state.stale {
                state.finished = false;
                state.orders.over();
            }
        }
        events
    }

    /// Notes that an errand has begun.
    pub(super) fn began(&mut self, node: &str, errand: Errand, now: u64) {
        let Some(state) = self.states.get_mut(node) else { return };
        state.doubt.began(matches!(errand, Errand::Order(_)));
        if let Errand::Order(order) = &errand {
            if order.cuts() {
                state.cuts.push_back(now);
            }
            if let Some(inventory) = state.at.and_then(|at| self.shelf.change(at)) {
                foresee(inventory, order);
            }
        }
        state.errand = Some(errand);
    }

    /// Takes over what an errand came to.
    pub(super) fn ended(&mut self, node: &str, outcome: Outcome, now: u64) -> Vec<Event> {
        let Nodes { shelf, states } = self;
        let Some(state) = states.get_mut(node) else { return Vec::new() };
        let mut events = Vec::new();
        if let (Some(answer), Some(Errand::Order(order))) = (&outcome.order, state.errand.take()) {
            events.push(answered(node, &order, answer));
            let seen = outcome.look.as_ref().ok().and_then(|answer| answer.look.as_ref());
            let is_so = seen.is_none_or(|seen| order.is_seen(&seen.known.0));
            if !is_so && matches!(answer, Ok(Answer { code: Code::Done, .. })) {
                events.push(Event::of_node(
                    Kind::Node,
                    node,
                    "says that it is done, and is not as it was ordered",
                ));
            }
            state.answered(&order, answer, is_so, &events[0].says, now);
            let Trouble { failures, until, .. } = state.refusals;
            if order.cuts() && is_refusal(answer) && failures > 1 {
                let left = until.saturating_sub(now);
                let says =
                    format!("has refused {failures} cuts in a row, and is left alone with them for {left} s");
                events.push(Event::of_node(Kind::Node, node, says));
            }
        }
        match outcome.look {
            Ok(Answer { look: Some(seen), .. }) => {
                if state.seen.is_none() {
                    events.push(Event::of_node(Kind::Node, node, summary(&seen)));
                } else if state.looks.failures > 0 {
                    events.push(Event::of_node(Kind::Node, node, "is seen again"));
                }
                state.looks.over();
                let left = state.take(shelf, *seen, now);
                events.extend(left.map(|why| Event::of_node(Kind::Node, node, why)));
            }
            Ok(Answer { code, error, .. }) => {
                let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                let why = match code {
                    Code::Done | Code::Nothing => "answers without saying what it is".to_owned(),
                    code => format!("does not let itself be seen, {}{error}", code.word()),
                };
                events.extend(state.unseen(node, &why, now));
            }
            Err(error) => events.extend(state.unseen(node, &format!("is not reached: {error}"), now)),
        }
        events
    }
}

fn is_refusal(answer: &Result<Answer, String>) -> bool {
    matches!(answer, Ok(Answer { code: Code::InUse | Code::Refused, .. }))
}

/// Makes an inventory what an order under way makes the node: Slurm may have given it out before the node is seen again. The names
/// are nobody's.
fn foresee(inventory: &mut Inventory, order: &NodeOrder) {
    for gpu in &mut inventory.gpus {
        let Some(changes) = order.gpus.get(&gpu.uuid) else { continue };
        gpu.instances.retain(|instance| !changes.destroy.contains(&instance.placement));
        for (number, &placement) in changes.create.iter().enumerate() {
            if gpu.instances.iter().any(|instance| instance.placement == placement) {
                continue;
            }
            let uuid = format!("MIG-coming-{}-{number}", gpu.index);
            // A device of its own, as the order of records wants it; number 0 is none (Linux, devices.txt).
            let path = format!("/dev/{uuid}").into();
            let files = vec![DeviceFile { path, major: 0, minor: gpu.index << 16 | number as u32 }];
            let compute = vec![Compute { ci: 0, profile: placement.profile, start: 0, uuid, files }];
            let gi = u32::MAX - u32::try_from(number).unwrap_or(0);
            gpu.instances.push(Instance { gi, placement, compute, holders: Vec::new(), closed: false });
        }
    }
}

fn answered(node: &str, order: &NodeOrder, answer: &Result<Answer, String>) -> Event {
    let says = match answer {
        Ok(Answer { code, error: None, .. }) => code.word().to_owned(),
        Ok(Answer { code, error: Some(error), .. }) => format!("{}: {error}", code.word()),
        Err(error) => format!("no answer: {error}"),
    };
    Event::of_node(Kind::Answer, node, says).for_job(order.job.as_deref())
}

fn summary(seen: &Seen) -> String {
    let gpus = &seen.known.0.gpus;
    let take = gpus.iter().filter(|gpu| seen.offers.contains_key(&gpu.uuid)).count();
    match take {
        0 => "is known, and none of its GPUs takes orders (slurm.on-request, orders: true)".to_owned(),
        take => format!("is known, {take} of its {} GPUs take orders", gpus.len()),
    }
}

impl NodeState {
    /// Whether no order is given to it now.
    pub(super) fn is_underway(&self, now: u64) -> bool {
        // What is closed for a cut that was refused stays so for the next try: a job that ends, or somebody who looks at a device,
        // is no reason to begin anew. Where it goes on for longer, others may have it meanwhile.
        let once_more = self.refuses(now) && self.refusals.failures <= PATIENT;
        self.running
            || self.unfinished
            || self.stale
            || once_more
            || now < self.looks.until
            || !self.is_free(now)
    }

    /// Whether it is left alone with cuts, which it refused.
    pub(super) fn refuses(&self, now: u64) -> bool {
        now < self.refusals.until
    }

    /// A refusal that is long over says nothing of the next cut.
    pub(super) fn forgive(&mut self, now: u64) {
        if self.refusals.failures > 0 && now > self.refusals.until.saturating_add(LONGEST) {
            self.refusals.over();
        }
    }

    /// Whether nothing goes on, and it need not be left alone after what went wrong.
    fn is_free(&self, now: u64) -> bool {
        self.errand.is_none() && now >= self.orders.until
    }

    /// The order that is carried out on it.
    pub(super) fn order(&self) -> Option<&NodeOrder> {
        match &self.errand {
            Some(Errand::Order(order)) => Some(order),
            _ => None,
        }
    }

    /// How often it was cut during the last hour.
    pub(super) fn cuts_in_an_hour(&mut self, now: u64) -> u32 {
        while self.cuts.front().is_some_and(|at| now.saturating_sub(*at) >= HOUR) {
            self.cuts.pop_front();
        }
        u32::try_from(self.cuts.len()).unwrap_or(u32::MAX)
    }

    fn answered(
        &mut self,
        order: &NodeOrder,
        answer: &Result<Answer, String>,
        is_so: bool,
        says: &str,
        now: u64,
    ) {
        let code = answer.as_ref().ok().map(|answer| answer.code);
        if order.cuts() && matches!(code, Some(Code::Done | Code::Pending)) {
            self.refusals.over();
        }
        self.unfinished = match code {
            Some(Code::Done | Code::Nothing) => false,
            // Nothing was changed: what was left to be done before still is.
            Some(Code::Invalid | Code::Refused | Code::Stale | Code::InUse | Code::Locked) => self.unfinished,
            _ => true,
        };
        match code {
            // One that has not finished would be ordered the same again at once, and for ever.
            Some(Code::Done | Code::Nothing) if order.gpus.is_empty() => {
                self.finished = true;
                false
            }
            // Nor one that is not so.
            Some(Code::Done) if is_so => self.orders.over(),
            // It may still open what others wait for.
            _ if order.cuts() && is_refusal(answer) => self.refusals.failed(says, now),
            // Somebody else's change is nobody's failure, and ends.
            Some(Code::Locked) => {
                self.orders.until = now.saturating_add(RUNNING);
                false
            }
            _ => self.orders.failed(says, now),
        };
    }

    /// Takes over what was seen. What there is to be said of it.
    fn take(&mut self, shelf: &mut Shelf, seen: Seen, now: u64) -> Option<String> {
        let Seen { known, offers, running, interrupted } = seen;
        self.at = Some(shelf.put(self.at, known));
        (self.offers, self.running) = (offers, running);
        (self.seen, self.stale) = (Some(now), false);
        self.doubt.was_seen();
        if interrupted { self.is_left("its journal is there", now) } else { None }
    }

    /// Something of a change is left, which this shows. Where it said that it has finished that, the order failed, and there may be
    /// something to be said.
    fn is_left(&mut self, shows: &str, now: u64) -> Option<String> {
        self.unfinished = true;
        let why = format!("says that it has finished what was cut off, and {shows} still");
        (std::mem::take(&mut self.finished) && self.orders.failed(&why, now)).then_some(why)
    }

    /// It could not be seen. What it was before takes no order.
    fn unseen(&mut self, node: &str, why: &str, now: u64) -> Option<Event> {
        self.stale = true;
        self.looks.failed(why, now).then(|| Event::of_node(Kind::Node, node, why))
    }
}

#[cfg(test)]
mod tests;
