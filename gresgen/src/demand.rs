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
mod stock;
mod wants;

use ::demand::{Cluster, Order, Policy, Verdict, decide};
use mig::Placement;

pub(crate) use answers::Answers;
pub(crate) use stock::{Known, Stock, take};
pub(crate) use wants::{Cannot, Waiting, Wants};

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
    /// What was decided.
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

/// How decisions are made: as the library has it by default, but for what a look cannot know. When a GPU fell idle and how often a node was
/// cut is the nodes' history, so none goes back to its default cut and none was cut too often.
pub(crate) fn policy() -> Policy {
    Policy { linger: u64::MAX, cuts_per_hour: u32::MAX, ..Policy::default() }
}

/// Looks at what waits and what there is.
pub(crate) fn look(answers: &Answers, stock: Stock) -> Look {
    let Stock { nodes, gpus, kinds, models, unknown } = stock;
    let (waiting, sets) = wants::waiting(answers, &nodes, &kinds);
    let cluster = Cluster { models, nodes, sets };
    let jobs: Vec<::demand::Job> =
        waiting.iter().filter_map(|job| job.demand.as_ref().ok().cloned()).collect();
    let decision = decide(&cluster, &jobs, &policy(), answers.now);
    let mut verdicts = decision.verdicts.into_iter();
    let said = |job: Waiting| {
        let said = match &job.demand {
            Ok(_) => Said::Decided(verdicts.next().unwrap_or(Verdict::Depth)),
            Err(why) => Said::Cannot(why.clone()),
        };
        (job, said)
    };
    let jobs = waiting.into_iter().map(said).collect();
    let mut cuts = Vec::new();
    for order in decision.orders {
        let Order::Cut(cut) = order else { continue };
        cuts.extend(cut.gpus.into_iter().map(|change| Cut {
            node: cluster.nodes[cut.node].name.clone(),
            gpu: gpus[cut.node][change.gpu],
            destroy: change.destroy,
            create: change.create,
            job: cut.job.clone().unwrap_or_default(),
        }));
    }
    Look { jobs, cuts, unknown: unknown.into_iter().collect(), unread: answers.unread }
}

#[cfg(test)]
mod tests;
