//! Nodes that are never up and could have every type of the GPUs on request.
//!
//! slurmctld refuses a request that could not run "if all configured nodes available" (`_pick_best_nodes` in
//! src/slurmctld/node_scheduler.c). A type of which nothing is cut is gated on every node, so such a node is what lets a request for
//! it wait.
//!
//! The template gives them an address at which every host refuses at once. Of names that do not resolve slurmctld makes nodes
//! that nobody sees (FUTURE), each after 10 s of asking (`_validate_slurmd_addr` in src/slurmctld/read_config.c, `get_addr_info`,
//! from 23.11 `xgetaddrinfo`, in src/common/util-net.c; seen on 22.05.8).

use std::collections::{BTreeMap, BTreeSet};

use super::{CatalogContext, NodeContext};
use crate::render::RenderError;
use crate::slurm::hostlist;
use crate::slurm::settings::Attributes;
use crate::slurm::slots::{Form, GUARD};

/// Attributes of slurm.conf(5) that say how a node's CPUs lie: they are of one node, because a mixture could be none.
const TOPOLOGY: [&str; 7] =
    ["CPUs", "Boards", "Sockets", "SocketsPerBoard", "CoresPerSocket", "ThreadsPerCore", "CoreSpecCount"];

/// Attributes of which more serves more.
const AMOUNTS: [&str; 2] = ["RealMemory", "TmpDisk"];

/// The catalog of these nodes; `None` where none of them has GPUs on request.
///
/// # Errors
/// [`RenderError::Duplicate`] for a node that has a name of the catalog's, [`RenderError::Catalog`] where the nodes' CPUs are not
/// known.
pub(super) fn catalog(names: &str, nodes: &[NodeContext]) -> Result<Option<CatalogContext>, RenderError> {
    for name in nodes.iter().flat_map(|node| hostlist::expand(&node.names).unwrap_or_default()) {
        if hostlist::has(names, &name) {
            return Err(RenderError::Catalog(format!("a node has the name {name}; choose others")));
        }
    }
    let nodes: Vec<&NodeContext> = nodes.iter().filter(|node| !node.gates.is_empty()).collect();
    if nodes.is_empty() {
        return Ok(None);
    }
    let attributes = attributes(nodes.iter().map(|node| node.attributes.as_str())).ok_or_else(|| {
        RenderError::Catalog(
            "no entry of slurm.nodes says which CPUs the nodes on request have, and its nodes would have one CPU"
                .to_owned(),
        )
    })?;
    let gres = gres(nodes.iter().map(|node| node.gres.as_str()));
    Ok(Some(CatalogContext { names: names.to_owned(), attributes, gres }))
}

/// What the nodes have at most. `None` where not one says its CPUs.
fn attributes<'a>(nodes: impl Iterator<Item = &'a str>) -> Option<String> {
    let said: Vec<Attributes> =
        nodes.map(|rest| Attributes { rest: rest.to_owned(), gres: String::new() }).collect();
    // Threads tell nodes of equal cores apart, which CPUs= counts.
    let size = |node: &Attributes| (node.cores(), node.number("CPUs"));
    let largest = said.iter().filter(|node| node.have_cpus()).max_by_key(|node| size(node))?;
    let pairs = |node: &Attributes| -> Vec<(String, String)> {
        let pairs = node.rest.split_whitespace().filter_map(|word| word.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let is = |key: &str, one: &str| key.eq_ignore_ascii_case(one);
    let mut words: Vec<String> = pairs(largest)
        .iter()
        .filter(|(key, _)| TOPOLOGY.iter().any(|one| is(key, one)))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for key in AMOUNTS {
        let most = said.iter().filter_map(|node| node.number(key)).max();
        words.extend(most.map(|most| format!("{key}={most}")));
    }
    let features: BTreeSet<String> = said
        .iter()
        .flat_map(pairs)
        .filter(|(key, _)| is(key, "Feature") || is(key, "Features"))
        .flat_map(|(_, value)| value.split(',').map(str::to_owned).collect::<Vec<_>>())
        .filter(|feature| !feature.is_empty())
        .collect();
    if !features.is_empty() {
        words.push(format!("Feature={}", features.into_iter().collect::<Vec<_>>().join(",")));
    }
    Some(words.join(" "))
}

/// Of every GRES that the nodes have and a job can be given, the most.
fn gres<'a>(nodes: impl Iterator<Item = &'a str>) -> String {
    let mut order: Vec<&str> = Vec::new();
    let mut most: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for entry in nodes.flat_map(|gres| gres.split(',')).filter(|entry| !entry.is_empty()) {
        let counted = entry.rsplit_once(':').and_then(|(name, count)| Some((name, count, number(count)?)));
        let (name, count, number) = counted.unwrap_or((entry, "", 0));
        if entry == Form::GATE || name == format!("gpu:{GUARD}") {
            continue;
        }
        let now = most.entry(name).or_insert_with(|| {
            order.push(name);
            (number, count)
        });
        *now = (*now).max((number, count));
    }
    let entry = |name: &&str| match most[name] {
        (_, "") => (*name).to_owned(),
        (_, count) => format!("{name}:{count}"),
    };
    order.iter().map(entry).collect::<Vec<_>>().join(",")
}

/// A count of slurm.conf's `Gres=`, which may end in a unit of 1,024 (slurm.conf(5), Gres).
fn number(count: &str) -> Option<u64> {
    let digits = count.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match &count[digits.len()..] {
        "" => 0,
        unit => "kmgtp".find(unit.to_ascii_lowercase().as_str()).filter(|_| unit.len() == 1)? as u32 + 1,
    };
    digits.parse::<u64>().ok()?.checked_mul(1024_u64.checked_pow(power)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_has_the_most_that_any_node_has() {
        let nodes = [
            "CPUs=64 RealMemory=500000 Feature=a100,nvlink Weight=5 State=UNKNOWN",
            "cpus=128 Sockets=2 CoresPerSocket=32 ThreadsPerCore=2 RealMemory=250000 Features=h100 NodeAddr=x",
            "RealMemory=1000 TmpDisk=7",
        ];
        let due = "cpus=128 Sockets=2 CoresPerSocket=32 ThreadsPerCore=2 RealMemory=500000 TmpDisk=7 Feature=a100,h100,nvlink";
        assert_eq!(attributes(nodes.into_iter()).as_deref(), Some(due));
        assert_eq!(attributes(["RealMemory=5", ""].into_iter()), None);
    }

    #[test]
    fn of_every_gres_there_is_the_most() {
        let nodes = [
            "gpu:1g.5gb:14,gpu:3g.20gb:4,gpu:guard:4,gresgen:gate:2,nvme:2,lustre:no_consume:4G",
            "gpu:3g.20gb:10,gpu:a100:2,gpu:guard:7,gresgen:gate:2,nvme:1,lustre:no_consume:900M,craynetwork",
            "",
        ];
        let due = "gpu:1g.5gb:14,gpu:3g.20gb:10,nvme:2,lustre:no_consume:4G,gpu:a100:2,craynetwork";
        assert_eq!(gres(nodes.into_iter()), due);
    }

    #[test]
    fn counts_are_read_as_slurm_does() {
        for (count, due) in [
            ("14", Some(14)),
            ("4k", Some(4096)),
            ("2G", Some(2 << 30)),
            ("3g.20gb", None),
            ("kg", None),
            ("1kg", None),
            ("", None),
            ("99999999999999999999", None),
            ("9999999999P", None),
        ] {
            assert_eq!(number(count), due, "{count}");
        }
    }
}
