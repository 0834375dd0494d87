//! Whether requests wait for what is not cut.
//!
//! Of a type of which nothing is cut every record of a node on request is gated, and slurmctld refuses what no node could serve.
//! A node without a gate that has the type lets it wait, whatever its own state is.

use std::collections::BTreeSet;

use super::{Facts, Link, SlurmFacts, few};
use crate::site::is_missing;
use crate::slurm::control::NodeView;
use crate::slurm::slots::GUARD;

pub(super) fn judge(facts: &Facts, slurm: &SlurmFacts, view: &NodeView) -> Option<Link> {
    const NAME: &str = "catalog";
    let names = facts.catalog.as_ref()?;
    let table = facts.table.as_ref().filter(|table| table.form.is_some())?;
    if view.partitions.is_empty() {
        return None;
    }
    let types = || table.types.iter().map(|(name, _)| name.to_string()).filter(|name| name != GUARD);
    let waits = |partition: &String, name: &str| {
        slurm.nodes.iter().any(|node| {
            let has = node.gpus.iter().any(|(other, count)| other == name && *count > 0);
            node.form.is_none() && has && node.partitions.contains(partition)
        })
    };
    let unknown = facts.catalog_is_written && is_missing(Some(names), &slurm.nodes);
    let lack = |partition| types().filter(move |name| !waits(partition, name));
    let refused: BTreeSet<String> = view.partitions.iter().flat_map(lack).collect();
    let restart = format!("restart slurmctld, once slurm.conf has the line of {names} in gresgen-node.conf");
    if refused.is_empty() && unknown {
        let what = format!("slurmctld does not know {names}, and requests wait on other nodes");
        return Some(Link::warn(NAME, what, restart));
    }
    if refused.is_empty() {
        return Some(Link::pass(NAME, "requests wait for what is not cut"));
    }
    let where_refused: Vec<&String> = view.partitions.iter().filter(|p| lack(*p).next().is_some()).collect();
    let refused: Vec<String> = refused.into_iter().collect();
    let what = format!(
        "in {} slurmctld refuses requests for {} while none is cut",
        few(&where_refused),
        few(&refused)
    );
    let fix = match (facts.catalog_is_written, unknown) {
        (true, true) => {
            format!("{restart}, and Nodes= of the partition {names}: slurmctld does not know them yet")
        }
        (true, false) => format!("Nodes= of the partition has to have {names}, which slurmctld knows"),
        _ => format!(
            "slurm.catalog: {names}, whose line gresgen writes to gresgen-node.conf; slurm.conf has to have it, and Nodes= of \
             the partition {names}; then restart slurmctld"
        ),
    };
    Some(Link::warn(NAME, what, fix))
}
