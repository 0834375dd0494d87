//! Why nothing was rendered.

use crate::path_error::PathError;
use crate::slurm::hostlist::HostlistError;
use crate::slurm::names::Clash;
use crate::slurm::release::CgroupKey;
use crate::slurm::{GresError, Release};

/// Why nothing was rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A name that Slurm cannot hold, or no weight of a type.
    #[error(transparent)]
    Gres(#[from] GresError),
    /// Two types of the cluster that Slurm takes for one.
    #[error(transparent)]
    Clash(#[from] Clash),
    /// A text in `slurm.nodes` that is no host list.
    #[error("slurm.nodes: {0}")]
    Hostlist(#[from] HostlistError),
    /// An attribute that is ours, or would break the line.
    #[error("slurm.nodes {names:?}: {what}")]
    Attribute { names: String, what: String },
    /// A key of `slurm.cgroup` that the release does not read.
    #[error("slurm.cgroup {key}: {}", .verdict.phrase(*.release))]
    Cgroup {
        key: String,
        /// What the release does with it.
        verdict: CgroupKey,
        release: Release,
    },
    /// A node name that Slurm cannot hold.
    #[error("node {0:?}: not a node name; set slurm.node")]
    Node(String),
    /// A node that slurm.nodes has and no inventory.
    #[error(
        "node {0}: named in slurm.nodes, but there is no inventory of it; its NodeName line would be gone: give its \
         inventory, an older one too, or take it out of slurm.nodes"
    )]
    Missing(String),
    /// A node that has an inventory and is not in slurm.nodes.
    #[error(
        "node {0}: no entry of slurm.nodes names it with its CPUs, so slurmctld would take it for a node of one CPU"
    )]
    Unnamed(String),
    /// A node whose cores are not known, with GPUs on request.
    #[error("node {0}: its cores are not in the inventory, and records of GPUs on request need them")]
    Cores(String),
    /// A catalog that would not do what it is for.
    #[error("slurm.catalog: {0}")]
    Catalog(String),
    /// The same node in two inventories.
    #[error("node {0}: stands in two inventories")]
    Duplicate(String),
    /// A template that does not parse, or names what the context does not have.
    #[error("{place}:{line}: {what}\n  | {source_line}")]
    Template {
        /// The site's file, or the name of the embedded template.
        place: String,
        /// Line, from 1.
        line: usize,
        what: String,
        /// The line at fault.
        source_line: String,
    },
    /// A template that cannot be read, or a device map that the plugin would not read.
    #[error(transparent)]
    Path(#[from] PathError),
}
