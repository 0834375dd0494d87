//! Who waits for which slice, what would be cut for it, and why not: one look at Slurm's queue from where slurmctld can be asked.
//!
//! ```text
//! slurmctld: jobs, nodes -> Answers \
//! nodes: inventories ------> Stock   -> wants -> ::demand::decide -> Look
//! ```
//!
//! Nothing is changed. Which instances there are is the nodes' to say, who has them slurmctld's; a node of which either is not
//! known is named and takes no cut.

mod answers;
mod arrays;
mod sheet;
mod stock;
mod wants;

use std::collections::{BTreeSet, HashMap};

use ::demand::{Cluster, Instance, Job, Memory, Node, Order, Policy, State, Verdict};
use mig::Placement;

pub(crate) use answers::Answers;
pub(crate) use sheet::{Known, Sheet, Sheets};
pub(crate) use stock::{Kinds, Stock, take};
pub(crate) use wants::{Cannot, Waiting, Wants, is_on_request, waiting};

/// What one look says.
#[derive(Debug)]
pub(crate) struct Look {
    /// Jobs that wait for GPUs, in Slurm's order.
    pub(crate) jobs: Vec<(Waiting, Said)>,
    /// What would be cut, one entry for each GPU.
    pub(crate) cuts: Vec<Cut>,
    /// Nodes that take no cut, by why.
    pub(crate) unknown: Vec<(String, Vec<String>)>,
    /// Lines of squeue that are no job.
    pub(crate) unread: u64,
}

/// What is said of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Cuts on these nodes give it what it asks for; of an array all that may run now, or not all of it.
    Cut { nodes: BTreeSet<String>, all: bool },
    /// What has it now gives it to nobody else any more: it is closed on these nodes, and free by then at the latest, if known.
    Kept { nodes: Vec<String>, until: Option<u64> },
    /// What was decided, other than a cut.
    Decided(Verdict),
    /// It was not looked at.
    Cannot(Cannot),
}

/// What would change on a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) node: String,
    /// NVML index.
    pub(crate) gpu: u32,
    pub(crate) destroy: Vec<Placement>,
    pub(crate) create: Vec<Placement>,
    /// Number of the job that it is for.
    pub(crate) job: String,
}

/// How decisions are made: as the library has it by default, but for what a look cannot know. When a GPU fell idle and how often a
/// node was cut is the nodes' history, so none goes back to its default cut and none was cut too often.
fn policy() -> Policy {
    Policy { linger: u64::MAX, cuts_per_hour: u32::MAX, ..Policy::default() }
}

/// Looks at most that follow each other. A node has one cut in each.
const ROUNDS: usize = 32;

/// Looks at what waits and what there is. As many looks follow each other as have something to cut, each on what those before
/// it leave: what is said is what comes of all of them, if nothing else happens.
pub(crate) fn look(answers: &mut Answers, mut stock: Stock) -> Look {
    let fenced = answers.take_fences(|name| stock.nodes.iter().any(|node| node.name == name));
    stock.nodes.iter_mut().filter(|node| fenced.contains(&node.name)).for_each(|node| node.underway = true);
    let Stock { nodes, gpus, kinds, models, unknown, unexplained: _ } = stock;
    let answers = &*answers;
    let (waiting, sets) = wants::waiting(answers, &nodes, &kinds);
    let mut cluster = Cluster { models, nodes, sets };
    let jobs: Vec<Job> = waiting.iter().filter_map(|job| job.demand.as_ref().ok().cloned()).collect();
    let mut cuts = Vec::new();
    let mut memory = Memory::default();
    let mut last = memory.decide(&cluster, &jobs, &policy(), answers.now);
    for _ in 0..ROUNDS {
        let before = cuts.len();
        for order in std::mem::take(&mut last.orders) {
            let Order::Cut(cut) = order else { continue };
            carry_out(&mut cluster.nodes[cut.node], &cut, answers.now);
            let node = &cluster.nodes[cut.node].name;
            cuts.extend(cut.gpus.into_iter().map(|change| Cut {
                node: node.clone(),
                gpu: gpus[cut.node][change.gpu],
                destroy: change.destroy,
                create: change.create,
                job: cut.job.clone().unwrap_or_default(),
            }));
        }
        if cuts.len() == before {
            break;
        }
        last = memory.decide(&cluster, &jobs, &policy(), answers.now);
    }
    // A job that has not waited long is not told where its place will be; who asks wants to know.
    let eager = Policy { cordon_after: 0, reach: u64::MAX / 4, ..policy() };
    let eager = memory.decide(&cluster, &jobs, &eager, answers.now);
    let mut cut_for: HashMap<&str, BTreeSet<String>> = HashMap::new();
    for Cut { node, job, .. } in &cuts {
        cut_for.entry(job).or_default().insert(node.clone());
    }
    let closing: BTreeSet<&str> = eager.orders.iter().filter_map(closes_for).collect();
    let mut verdicts = last.verdicts.into_iter().zip(eager.verdicts);
    let said = |job: Waiting| {
        let said = match &job.demand {
            Err(why) => Said::Cannot(why.clone()),
            Ok(demand) => {
                let (last, eager) = verdicts.next().unwrap_or((Verdict::Depth, Verdict::Depth));
                let rest = if matches!(last, Verdict::Busy(_)) { eager } else { last };
                let rest = if rest == Verdict::Never { job.never() } else { rest };
                let nodes = cut_for.get(demand.id.as_str()).cloned().unwrap_or_default();
                match (nodes.is_empty(), rest) {
                    (true, Verdict::Cordon { nodes, until }) if !closing.contains(&*demand.id) => {
                        Said::Kept { nodes, until }
                    }
                    (true, rest) => Said::Decided(rest),
                    (false, Verdict::There | Verdict::NotStarted(_)) => Said::Cut { nodes, all: true },
                    (false, _) => Said::Cut { nodes, all: false },
                }
            }
        };
        (job, said)
    };
    let jobs = waiting.into_iter().map(said).collect();
    Look { jobs, cuts, unknown: unknown.into_iter().collect(), unread: answers.unread }
}

/// The job for which something would be closed.
fn closes_for(order: &Order) -> Option<&str> {
    match order {
        Order::Close(instances) => instances.job.as_deref(),
        _ => None,
    }
}

/// What a node is after a cut.
fn carry_out(node: &mut Node, cut: &::demand::Cut, now: u64) {
    for change in &cut.gpus {
        let instances = &mut node.gpus[change.gpu].instances;
        instances.retain(|instance| !change.destroy.contains(&instance.placement));
        let new = |&placement: &Placement| Instance {
            placement,
            state: State::Idle,
            closed: false,
            since: Some(now),
        };
        instances.extend(change.create.iter().map(new));
    }
}

#[cfg(test)]
mod tests;
