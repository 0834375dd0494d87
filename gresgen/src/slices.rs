//! The GPU types of a cluster as its users need them: what there is, what is free, what it costs. From slurmctld and the
//! tables of models alone, so that a login node can ask.

mod figures;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use figures::{Figure, Figures};

use crate::slurm::SlurmError;
use crate::slurm::billing;
use crate::slurm::control::{Control, NodeView, Waiting};
use crate::slurm::names::Names;
use crate::slurm::slots::GUARD;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slice {
    /// GRES type; empty for GPUs without one.
    pub name: String,
    /// What its devices have.
    pub figure: Figure,
    /// Devices on all nodes.
    pub total: u64,
    /// Those that jobs have.
    pub used: u64,
    /// Those that a job could have now: on nodes that take jobs, and not used.
    pub free: u64,
    /// How many waiting jobs ask for.
    pub pending: u64,
    /// Nodes that have some.
    pub nodes: u64,
    /// Billing weights, one or as many as partitions differ, in thousandths.
    pub costs: BTreeSet<u64>,
}

/// Everything that is asked of slurmctld.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    pub nodes: Vec<NodeView>,
    pub waiting: Waiting,
    /// Billing weights of partitions.
    pub weights: Vec<String>,
}

impl Answers {
    /// Asks slurmctld, once for each.
    pub(crate) fn ask(control: Control) -> Result<Self, SlurmError> {
        Ok(Answers {
            nodes: control.nodes_in_use()?,
            waiting: control.waiting()?,
            weights: control.billing_weights()?,
        })
    }

    /// Nodes with GPUs that are cut on request: slurmctld has a record of every instance they can have.
    pub(crate) fn on_request(&self) -> usize {
        self.nodes.iter().filter(|node| node.form.is_some()).count()
    }
}

/// The types of all nodes, the smallest memory first, those of unknown memory last.
pub(crate) fn slices(answers: &Answers, names: &Names<'_>) -> Vec<Slice> {
    let mut found: BTreeMap<&str, Slice> = BTreeMap::new();
    let figures = Figures::new(names);
    for node in answers.nodes.iter().filter(|node| !node.is_never_up()) {
        let takes_jobs = node.takes_jobs();
        let mut seen = BTreeSet::new();
        let used: BTreeMap<&str, u64> =
            node.used_types.iter().fold(BTreeMap::new(), |mut sum, (name, count)| {
                *sum.entry(name.as_str()).or_default() += u64::from(*count);
                sum
            });
        // Nobody is given a guard, and a type of none is there to have records read (`Action::ReadAnew`).
        let offered = |name: &str, count: u32| node.form.is_none() || count > 0 && name != GUARD;
        for (name, count) in node.gpus.iter().filter(|(name, count)| offered(name, *count)) {
            let slice = found.entry(name).or_insert_with(|| Slice {
                name: name.clone(),
                figure: figures.of(name),
                pending: answers.waiting.types.get(name).copied().unwrap_or_default(),
                costs: costs(&answers.weights, name),
                ..Slice::default()
            });
            // A type may stand twice in Gres=; what is used of it is one number.
            let first = seen.insert(name.as_str());
            let used = used.get(name.as_str()).copied().filter(|_| first).unwrap_or_default();
            slice.total += u64::from(*count);
            slice.used += used;
            slice.free += if takes_jobs { u64::from(*count).saturating_sub(used) } else { 0 };
            slice.nodes += u64::from(first);
        }
    }
    let mut slices: Vec<Slice> = found.into_values().collect();
    slices
        .sort_by_key(|s| (s.figure.memory_mib.is_none(), s.figure.memory_mib, s.figure.sms, s.name.clone()));
    slices
}

/// The smallest type that surely has so much memory, in bytes.
pub(crate) fn fitting(slices: &[Slice], bytes: u64) -> Option<&Slice> {
    let fits = |slice: &&Slice| {
        slice.figure.memory_mib.is_some_and(|(least, _)| u128::from(least) << 20 >= u128::from(bytes))
    };
    slices.iter().find(fits)
}

/// What partitions bill one device of a type, in thousandths: its own weight, and that of all GPUs beside it.
fn costs(weights: &[String], name: &str) -> BTreeSet<u64> {
    let thousandths = |weight: &str| {
        let number = weight.parse::<f64>().ok().filter(|number| (0.0..1e12).contains(number))?;
        Some((number * 1000.0).round() as u64)
    };
    let cost = |line: &String| {
        let own =
            billing::read_line(line).find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, weight)| weight);
        let all = line.split(',').filter_map(|entry| entry.trim().split_once('='));
        let all = all.filter(|(of, _)| of.eq_ignore_ascii_case("GRES/gpu")).map(|(_, weight)| weight).next();
        let found: Vec<u64> = own.into_iter().chain(all).filter_map(thousandths).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    };
    weights.iter().filter_map(cost).collect()
}

#[cfg(test)]
mod tests;
