//! One pass: from what slurmctld says and what is known of nodes to what they are ordered, without doing any of it.

use std::collections::{BTreeMap, BTreeSet};

use ::demand::{
    Cluster, Gpu, Instance, Instances, Job, Memory, Node, Order, Policy, Reason, Resources, Share, State,
    Verdict, Want, is_open,
};
use mig::{Placement, Profile};

use super::event::Event;
use super::nodes::{Age, Nodes};
use super::recall::Recall;
use super::recount::Counts;
use super::wire::{Changes, NodeOrder, shown};
use crate::config::Config;
use crate::demand::{self, Answers, Cannot, Kinds, Sheets, Stock, Waiting, is_on_request};
use crate::inventory::Inventory;
use crate::site::is_of_order;
use crate::slurm::control::NodeView;
use crate::slurm::{Names, Settings, hostlist};

/// What a site says.
pub(crate) struct Site<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) names: Names<'a>,
    /// The cut of idle GPUs.
    pub(crate) layout: Option<(&'a Config, &'a str)>,
    pub(crate) policy: Policy,
}

/// What a pass leaves to the next one, so that it takes less time. It changes no answer.
pub(super) struct Kept<'a> {
    sheets: Sheets<'a>,
    memory: Memory,
}

impl<'a> Kept<'a> {
    pub(super) fn new(site: &Site<'a>) -> Self {
        let sheets = Sheets::new(site.settings, site.names.clone(), site.layout);
        Kept { sheets, memory: Memory::default() }
    }
}

/// What comes of a pass.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Orders by node.
    pub(super) orders: BTreeMap<String, NodeOrder>,
    /// What each order is, for people.
    pub(super) events: Vec<Event>,
    /// Jobs that wait for GPUs, in Slurm's order, with what is said of each.
    pub(super) jobs: Vec<(Waiting, Said)>,
    /// Something is closed on some node.
    pub(super) closed: bool,
    /// Jobs that slurmctld holds and would not hold if it looked at them now, each with its user.
    pub(super) again: Vec<(String, u32)>,
    /// What slurmctld counts in use and no job has.
    pub(super) counts: Counts,
}

/// What is said of a job.
pub(super) type Said = Result<Verdict, Cannot>;

/// Nodes of which slurmctld says that their GPUs are on request.
pub(super) fn on_request(answers: &Answers) -> BTreeSet<String> {
    // Its name becomes a word of a command, for which one that begins so is an option: a node that names itself (slurmd -Z) could
    // say one.
    let is_word = |name: &str| hostlist::is_name(name) && !name.starts_with('-');
    let is = |view: &&NodeView| is_on_request(view) && is_word(&view.name);
    answers.nodes.iter().filter(is).map(|view| view.name.clone()).collect()
}

/// Words of a state in which nobody answers on a node, or it is not there (slurm.conf(5), scontrol(1)).
const AWAY: [&str; 6] = ["DOWN", "FUTURE", "NOT_RESPONDING", "POWERED_DOWN", "POWERING_DOWN", "POWERING_UP"];

/// Nodes that it makes no sense to ask.
pub(super) fn away(answers: &Answers) -> BTreeSet<&str> {
    let is = |view: &&NodeView| AWAY.iter().any(|word| view.is(word));
    answers.nodes.iter().filter(is).map(|view| view.name.as_str()).collect()
}

/// Looks at what waits and what there is, once. To no more than `room` nodes there is an order.
pub(super) fn step(
    mut answers: Answers,
    nodes: &mut Nodes,
    policy: &Policy,
    kept: &mut Kept<'_>,
    recall: &Recall,
    room: usize,
) -> Step {
    let now = answers.now;
    let fenced = fenced(&mut answers, nodes);
    let left = nodes.fenced(&fenced, now);
    // Before a node has registered with it slurmctld shows what slurm.conf says.
    for view in answers.nodes.iter().filter(|view| view.registered) {
        nodes.shows(&view.name, &view.listed, now);
    }
    let Kept { sheets, memory } = kept;
    let taken = demand::take(&answers, nodes.sheets(sheets));
    sheets.forget();
    let Stock { nodes: mut stock, gpus, kinds, models, unknown, unexplained } = taken;
    let counts = stock.iter().zip(unexplained);
    let counts = counts.filter_map(|(node, devices)| Some((node.name.clone(), devices?))).collect();
    let mut step = Step { counts, events: left, ..Step::default() };
    for (why, names) in &unknown {
        // It may quote what the node said.
        let why = shown(why);
        for name in names {
            let offers_other = nodes.offers_other(name, |gpu| sheets.ordered(name, gpu));
            let why = if offers_other { OTHER_OFFERS } else { &why };
            step.events.extend(nodes.contradicted(name, why, now));
        }
    }
    for (node, indexes) in stock.iter_mut().zip(&gpus) {
        nodes.agreed(&node.name);
        let is_fenced = fenced.contains(&node.name);
        prepare(node, indexes, nodes, is_fenced, (now, policy.dwell));
        step.closed |= node.gpus.iter().any(|gpu| gpu.instances.iter().any(|instance| instance.closed));
    }
    let (waiting, sets) = demand::waiting(&answers, &stock, &kinds);
    let mut cluster = Cluster { models, nodes: stock, sets };
    let held = waiting.iter().filter(|job| job.held && !recall.rests(job.id, now));
    step.again = held.filter(|job| would_wait(&cluster, job)).map(|job| (job.user.clone(), job.id)).collect();
    let mut jobs: Vec<Job> = waiting.iter().filter_map(|job| asked(job, recall, now)).collect();
    if policy.steer {
        jobs.extend(waiting.iter().filter(|job| job.demand.is_err()).map(|job| choiceless(job, &kinds)));
    }
    let (mut verdicts, mut free) = (Vec::new(), None);
    let mut cut_for: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // Elements of an array on one node each need nothing of each other.
    let together: BTreeSet<&String> = jobs.iter().filter(|job| job.nodes() > 1).map(|job| &job.id).collect();
    let mut tried: BTreeSet<String> = nodes.tried().filter(|job| together.contains(job)).cloned().collect();
    for _ in 0..ROUNDS {
        let decision = memory.decide(&cluster, &jobs, policy, now);
        verdicts = decision.verdicts;
        // What the first decision says there is was seen, what later ones say is to come.
        free.get_or_insert(decision.free);
        let refused = |order: &&Order| nodes.has_refused(&cluster.nodes[order_node(order)].name);
        let wanted = decision.orders.iter().filter(refused).filter_map(cut_for_job);
        tried.extend(wanted.filter(|job| together.contains(job)).cloned());
        let mut cut = false;
        for order in decision.orders {
            let at = order_node(&order);
            let node = &mut cluster.nodes[at];
            // A node that has refused is asked first, and alone: what else the job needs would be closed or cut for nothing.
            if takes_for(&order).is_some_and(|job| tried.contains(job)) && !nodes.has_refused(&node.name) {
                continue;
            }
            // What is decided beside an order under way waits for its answer.
            let Some((inventory, _)) = nodes.inventory(&node.name).filter(|_| !node.underway) else {
                continue;
            };
            // What is more than can be ordered at once the next pass decides: it knows better what there is then.
            if step.orders.len() >= room && !step.orders.contains_key(&node.name) {
                continue;
            }
            if let Order::Cut(one) = &order {
                cut = true;
                if let Some(job) = &one.job {
                    cut_for.entry(job.clone()).or_default().insert(node.name.clone());
                }
                node.cuts = node.cuts.saturating_add(1);
            }
            let all = step.orders.entry(node.name.clone()).or_default();
            add(all, order, node, inventory, &gpus[at]);
        }
        if !cut || step.orders.len() >= room {
            break;
        }
    }
    let names = |node: usize| cluster.nodes[node].name.as_str();
    nodes.are_free(&free.unwrap_or_default().into_iter().map(names).collect(), now);
    step.orders.values_mut().for_each(settle);
    step.orders.retain(|_, order| !order.gpus.is_empty());
    let mut verdicts = verdicts.into_iter();
    let offered = |name: &str| {
        answers.nodes.iter().any(|view| is_on_request(view) && view.types().any(|other| other == name))
    };
    let said = |job: Waiting| {
        let said = match &job.demand {
            Ok(demand) => {
                let last = verdicts.next().unwrap_or(Verdict::Depth);
                Ok(match (cut_for.remove(&demand.id), last) {
                    (Some(nodes), _) => Verdict::Cut(nodes.into_iter().collect()),
                    // There was no room for its order.
                    (None, Verdict::Cut(_)) => Verdict::UnderWay,
                    (None, Verdict::Never) => job.never(),
                    (None, last) => last,
                })
            }
            // Of no node that is known now: slurmctld has one that is being cut, or does not answer.
            Err(Cannot::Type(name)) if offered(name) => Ok(job.never()),
            Err(why) => Err(why.clone()),
        };
        (job, said)
    };
    step.jobs = waiting.into_iter().map(said).collect();
    step
}

/// Whether slurmctld, if it looked now, would have a job that it holds wait for its turn.
fn would_wait(cluster: &Cluster, job: &Waiting) -> bool {
    match (&job.demand, &job.least) {
        (Ok(demand), _) => is_open(cluster, demand),
        (Err(_), Some(least)) => is_open(cluster, &unlooked(job, least.clone())),
        (Err(_), None) => false,
    }
}

/// A job as the decision takes it. One that slurmctld has held again, though all was open for it, is served by nothing for a while.
fn asked(job: &Waiting, recall: &Recall, now: u64) -> Option<Job> {
    let mut demand = job.demand.as_ref().ok()?.clone();
    let rests = match demand.reason {
        Reason::Held => recall.rests(job.id, now),
        Reason::Turn => recall.doubts(job.id, now),
        _ => false,
    };
    if rests {
        demand.reason = Reason::Other(::demand::job::HELD.to_owned());
    }
    Some(demand)
}

/// A job that is not looked at, as one that may have no other nodes than it needs: nothing is closed beside it that it may wait for.
/// Where that cannot be read, it may be anything.
fn choiceless(job: &Waiting, kinds: &Kinds) -> Job {
    let share = |want: Vec<Want>| {
        let resources = Resources::default();
        Share { want, nodes: u32::MAX, set: usize::MAX, resources }
    };
    let wants: BTreeSet<Profile> = kinds.values().flat_map(BTreeMap::keys).copied().collect();
    let any = || wants.iter().map(|profile| vec![Want { profile: Some(*profile), count: 1 }]).collect();
    let wants: Vec<Vec<Want>> = match &job.least {
        Some(least) => least.iter().map(|share| share.want.clone()).collect(),
        None => any(),
    };
    unlooked(job, wants.into_iter().map(share).collect())
}

fn unlooked(job: &Waiting, shares: Vec<Share>) -> Job {
    let reason = Reason::Other("not looked at".to_owned());
    Job { id: job.id.to_string(), shares, array: None, waited: job.waited, reason }
}

/// Why a node is not what it was taken for where its configuration is not the one here.
const OTHER_OFFERS: &str = "offers other profiles than the configuration here says, which was read at the start: make the two alike, \
                            then systemctl restart gresgen-arbiter";

/// Decisions at most that follow each other in a pass, each on what those before it make. A node has one cut in each, and all of
/// them are one order.
const ROUNDS: usize = 16;

fn order_node(order: &Order) -> usize {
    match order {
        Order::Cut(cut) => cut.node,
        Order::Close(instances) | Order::Open(instances) => instances.node,
    }
}

/// The job that something is taken from others for: cut, or closed.
fn takes_for(order: &Order) -> Option<&String> {
    match order {
        Order::Cut(cut) => cut.job.as_ref(),
        Order::Close(instances) => instances.job.as_ref(),
        Order::Open(_) => None,
    }
}

/// The job that a cut is for.
fn cut_for_job(order: &Order) -> Option<&String> {
    takes_for(order).filter(|_| matches!(order, Order::Cut(_)))
}

/// Nodes that a fence of this program stands around. A job must not be told that such a node is not for it, since it is again in
/// a moment: so the reservations are left out of what slurmctld says.
fn fenced(answers: &mut Answers, nodes: &Nodes) -> BTreeSet<String> {
    let names: BTreeSet<&str> = nodes.names().map(String::as_str).collect();
    let mut fenced = answers.take_fences(|name| names.contains(name));
    let drained = answers.nodes.iter().filter(|view| is_of_order(view));
    fenced.extend(drained.map(|view| view.name.clone()));
    fenced
}

/// Adds to a node what slurmctld and its inventory do not say.
fn prepare(node: &mut Node, indexes: &[u32], nodes: &mut Nodes, is_fenced: bool, (now, dwell): (u64, u64)) {
    let inventory = nodes.inventory(&node.name).map(|(inventory, _)| uuids(inventory));
    let (Some(uuids), Some(state)) = (inventory, nodes.state_mut(&node.name)) else { return };
    state.forgive(now);
    node.cuts = state.cuts_in_an_hour(now);
    node.underway = is_fenced || state.is_underway(now);
    node.refuses = state.refuses(now);
    node.usable |= is_fenced;
    let before = std::mem::take(&mut state.ages);
    let first = before.is_empty();
    let order = state.order().cloned();
    for (gpu, index) in node.gpus.iter_mut().zip(indexes) {
        let uuid = uuids.get(index);
        let offer = uuid.and_then(|uuid| state.offers.get(uuid));
        gpu.fixed |= offer.is_none();
        for instance in &mut gpu.instances {
            let busy = matches!(instance.state, State::Busy { .. });
            let age = match before.get(&(*index, instance.placement)) {
                Some(age) if age.busy && !busy => Age { since: Some(now), busy },
                Some(age) => Age { busy, ..*age },
                // What was there before this process is no younger than that, and Slurm may be about to give it out.
                None if first => Age { since: Some(now.saturating_sub(dwell)), busy },
                None => Age { since: Some(now), busy },
            };
            state.ages.insert((*index, instance.placement), age);
            instance.since = age.since;
        }
        if let Some(changes) = uuid.and_then(|uuid| order.as_ref()?.gpus.get(uuid)) {
            foresee(gpu, changes);
        }
    }
}

fn uuids(inventory: &Inventory) -> BTreeMap<u32, String> {
    inventory.gpus.iter().map(|gpu| (gpu.index, gpu.uuid.clone())).collect()
}

/// What an order under way makes of a GPU.
fn foresee(gpu: &mut Gpu, changes: &Changes) {
    gpu.instances.retain(|instance| !changes.destroy.contains(&instance.placement));
    for instance in &mut gpu.instances {
        let placement = &instance.placement;
        let opens = changes.open.contains(placement);
        instance.closed = (instance.closed || changes.close.contains(placement)) && !opens;
        if (opens || changes.create.contains(placement)) && instance.state == State::Idle {
            instance.state = State::Coming;
        }
    }
    let there: BTreeSet<Placement> = gpu.instances.iter().map(|instance| instance.placement).collect();
    let coming = changes.create.iter().filter(|placement| !there.contains(placement));
    let new = |&placement: &Placement| {
        let closed = changes.close.contains(&placement);
        Instance { placement, state: State::Coming, closed, since: None }
    };
    gpu.instances.extend(coming.map(new));
}

/// Adds an order to what its node is asked, and does to the node what it will do.
fn add(all: &mut NodeOrder, order: Order, node: &mut Node, inventory: &Inventory, indexes: &[u32]) {
    let (job, each): (Option<String>, Vec<(usize, Changes)>) = match order {
        Order::Close(Instances { gpus, job, .. }) => (
            job,
            gpus.into_iter().map(|(gpu, close)| (gpu, Changes { close, ..Changes::default() })).collect(),
        ),
        Order::Open(Instances { gpus, job, .. }) => {
            (job, gpus.into_iter().map(|(gpu, open)| (gpu, Changes { open, ..Changes::default() })).collect())
        }
        Order::Cut(cut) => {
            // A cut names the job that the order is for, whatever is closed and opened beside it.
            all.job = if all.cuts() { all.job.take() } else { None };
            let change = |::demand::Change { gpu, destroy, create, wanted }| {
                let close = if cut.open { Vec::new() } else { wanted };
                (gpu, Changes { destroy, create, close, ..Changes::default() })
            };
            (cut.job, cut.gpus.into_iter().map(change).collect())
        }
    };
    all.job = all.job.take().or(job);
    let uuids = uuids(inventory);
    for (gpu, changes) in each {
        let known = indexes.get(gpu).and_then(|index| Some((*index, uuids.get(index)?)));
        let Some((index, uuid)) = known else { continue };
        foresee(&mut node.gpus[gpu], &changes);
        let sum = all.gpus.entry(uuid.clone()).or_default();
        sum.index = index;
        // What is decided last counts.
        sum.open.retain(|placement| !changes.close.contains(placement));
        sum.close.retain(|placement| !changes.open.contains(placement));
        sum.destroy.extend(changes.destroy);
        sum.create.extend(changes.create);
        sum.close.extend(changes.close);
        sum.open.extend(changes.open);
    }
}

/// Says nothing twice and nothing that another part of the order makes void, which a node refuses.
fn settle(order: &mut NodeOrder) {
    for Changes { destroy, create, close, open, .. } in order.gpus.values_mut() {
        for list in [&mut *destroy, &mut *create, &mut *close, &mut *open] {
            list.sort_unstable();
            list.dedup();
        }
        close.retain(|placement| !destroy.contains(placement));
        open.retain(|placement| ![&*destroy, &*create, &*close].iter().any(|list| list.contains(placement)));
    }
    order.gpus.retain(|_, changes| !changes.is_empty());
}

#[cfg(test)]
mod tests;
