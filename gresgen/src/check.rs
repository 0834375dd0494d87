//! Drift, and the whole chain from the driver to a job, link by link.
//!
//! [`gather`] reads the world into [`Facts`]; [`evaluate`] judges them and touches nothing. What was not
//! gathered is not judged: `--quick` gathers what can be known without the driver and slurmctld.

mod catalog;
mod clients;
mod device;
pub(crate) mod gather;
mod hardware;
mod plugstack;
mod shared;
mod silence;
mod slurm;

use std::path::PathBuf;
use std::time::Duration;

use device_map::DeviceMap;
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use device::{Node, Seen};

use crate::inventory::Inventory;
use crate::slurm::control::{Config, NodeView};
use crate::slurm::hardware::Hardware;
use crate::slurm::plugstack::Line;
use crate::slurm::{GresTable, Release};

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It holds.
    Pass,
    /// It holds, and something may hurt.
    Warn,
    /// It does not hold: jobs get no device, a wrong one, or the node is out of service.
    Fail,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Link {
    /// What it is about, as `device map`.
    pub name: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, as a phrase.
    pub what: String,
    /// What to do; empty when nothing is.
    pub fix: String,
}

impl Link {
    fn pass(name: &'static str, what: impl Into<String>) -> Self {
        Link { name, verdict: Verdict::Pass, what: what.into(), fix: String::new() }
    }

    fn warn(name: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Link { name, verdict: Verdict::Warn, what: what.into(), fix: fix.into() }
    }

    fn fail(name: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Link { name, verdict: Verdict::Fail, what: what.into(), fix: fix.into() }
    }
}

/// What is known of a node. `None` is not gathered; an error is what the reader said.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The driver's picture.
    pub inventory: Option<Result<Inventory, String>>,
    /// Steps that an apply would take, in words; an error is a layout that cannot be.
    pub drift: Option<Result<Vec<String>, String>>,
    /// What the node should offer to Slurm, from the driver's picture.
    pub table: Option<GresTable>,
    /// Types of the node that Slurm would take for those of other models, in words.
    pub rivals: Vec<String>,
    /// Types that stand for several models, in words.
    pub mixed: Vec<String>,
    /// GRES, beside GPUs, that gres.conf gives this node.
    pub other_gres: Vec<String>,
    /// Directories that others can write, or users cannot read, with their modes.
    pub directories: Vec<(PathBuf, u32)>,
    /// What the configuration says of the node's CPUs and memory.
    pub configured: Option<Hardware>,
    /// What the host has, as slurmd finds it.
    pub host: Option<Hardware>,
    /// Boot id now.
    pub boot: String,
    /// The device map.
    pub map: Option<Result<DeviceMap, String>>,
    /// The copy slurmd made when it started; `None` inside when there is none.
    pub loaded: Option<Option<Result<DeviceMap, String>>>,
    /// Digest of the gres.conf on disk; `None` inside when there is no such file.
    pub gres_digest: Option<Option<String>>,
    /// The gres.conf that slurmd reads, where that is another file than the node writes, and whether it gives this node
    /// the same GPUs in the same order.
    pub shared_gres_conf: Option<(PathBuf, bool)>,
    /// What the map's device files are.
    pub nodes: Vec<Node>,
    /// Stable links that are missing or point elsewhere; `None` when they are not used.
    pub bad_links: Option<Vec<PathBuf>>,
    /// Files that an apply would write, or why they cannot be rendered.
    pub stale_files: Option<Result<Vec<PathBuf>, String>>,
    /// Text of cgroup.conf; empty without one.
    pub cgroup_conf: Option<String>,
    /// Lines of plugstack.conf with those it includes.
    pub plugstack: Option<Vec<Line>>,
    /// File name of the plugin, and whether it is where its line says; `None` inside where slurmctld would have to
    /// say which directory that is.
    pub plugin: Option<(String, Option<bool>)>,
    /// What slurmctld says.
    pub slurm: Option<Result<SlurmFacts, String>>,
    /// Whether cgroup v2 is the only hierarchy.
    pub unified_cgroup: bool,
    /// Names of the nodes that let requests wait for what is not cut; `None` where nobody wants them to.
    pub catalog: Option<String>,
    /// Whether the configuration says these names, so that gresgen-node.conf has a line of them.
    pub catalog_is_written: bool,
    /// How many instances orders have closed, and for how long nobody who gives orders was heard, where that is long.
    pub silence: Option<(usize, Duration)>,
    /// Services that a change stopped and did not start again.
    pub stopped: Vec<String>,
    /// Processes, modules and settings that are known to block repartitioning, each with what to do before MIG mode or
    /// instances change.
    pub clients: Option<Vec<(String, &'static str)>>,
}

/// What slurmctld says.
#[derive(Debug)]
pub(crate) struct SlurmFacts {
    /// Its configuration.
    pub config: Config,
    /// Its picture of this node, or why there is none.
    pub node: Result<NodeView, String>,
    /// GPU types of all nodes, each once.
    pub types: Vec<String>,
    /// Its picture of all nodes.
    pub nodes: Vec<NodeView>,
    /// Its release; `None` for one this program does not know.
    pub release: Option<Release>,
}

/// Judges what was gathered, from the driver to the job.
pub(crate) fn evaluate(facts: &Facts) -> Vec<Link> {
    let mut links = Vec::new();
    hardware::judge(facts, &mut links);
    device::judge(facts, &mut links);
    slurm::judge(facts, &mut links);
    links.extend(silence::judge(facts));
    clients::judge(facts, &mut links);
    links
}

/// The worst of all; a chain of no links holds.
pub(crate) fn worst(links: &[Link]) -> Verdict {
    links.iter().map(|link| link.verdict).max().unwrap_or(Verdict::Pass)
}

/// A few of many, for a phrase.
fn few<T: std::fmt::Display>(items: &[T]) -> String {
    crate::words::few(items, 3)
}

#[cfg(test)]
mod tests;
