//! What templates see. This is a public interface: strings and integers only, and fields are added, never
//! renamed or given another meaning. `gresgen render --context` prints it as JSON.

mod build;
mod catalog;
mod near;

use schemars::JsonSchema;
use serde::Serialize;

use super::RenderError;
use crate::inventory::Inventory;
use crate::root::Root;
use crate::slurm::billing::Weights;
use crate::slurm::names::clashes;
use crate::slurm::settings::on_request::GATE;
use crate::slurm::slots::GUARD;
use crate::slurm::{GresTable, Release, Settings};
use build::{Fold, NodeLines, cgroup, plugin};

/// Version of [`Context`]: it changes when a template written for an older one would render something else.
pub(crate) const SCHEMA: u32 = 1;

/// Everything templates see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Context {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Slurm release the files are for; templates see `22.05.8`.
    #[schemars(with = "String")]
    pub release: Release,
    /// Value of `GresTypes=`; empty when the site's slurm.conf says it.
    pub gres_types: String,
    /// 1 when accounting by type was asked for, else 0.
    pub accounting: u32,
    /// Value of `AccountingStorageTRES=` for all types; empty without types.
    pub accounting_tres: String,
    /// Value of `TRESBillingWeights=`; empty unless asked for.
    pub billing_weights: String,
    /// Lines of cgroup.conf.
    pub cgroup: Vec<KeyValue>,
    pub plugin: PluginContext,
    /// Nodes; alike ones are one entry.
    pub nodes: Vec<NodeContext>,
    /// Nodes that are never up and let requests wait for types of which nothing is cut; none unless asked for, one entry else.
    pub catalog: Vec<CatalogContext>,
}

/// The nodes of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CatalogContext {
    /// A host list.
    pub names: String,
    /// Value of the other attributes in slurm.conf: those of the largest node.
    pub attributes: String,
    /// Value of `Gres=`: of each type as many as any node can have.
    pub gres: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

/// The SPANK plugin's line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PluginContext {
    /// File of the plugin, as plugstack.conf names it.
    pub path: String,
    pub arguments: Vec<KeyValue>,
}

/// One node, or several alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct NodeContext {
    /// Its name, or a host list.
    pub names: String,
    /// What slurm.conf says about it beside `Gres=`, as `CPUs=64 RealMemory=515000`; may be empty.
    pub attributes: String,
    /// Value of `Gres=`; empty when it has no devices.
    pub gres: String,
    /// GRES types in Slurm's order.
    pub types: Vec<TypeContext>,
    /// Devices in Slurm's index order.
    pub devices: Vec<DeviceContext>,
    /// Lines of the GRES `gresgen`, by which slurmctld shows what it has read; none without GPUs on request.
    pub gates: Vec<GateContext>,
}

/// A line of the GRES `gresgen`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct GateContext {
    /// Its type.
    pub r#type: String,
    /// Its device files.
    pub file: String,
    /// Value of `Cores=`.
    pub cores: String,
}

/// A GRES type of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct TypeContext {
    pub name: String,
    /// How many devices have it.
    pub count: u32,
}

/// One device: a MIG device or a whole GPU. Figures are of the GPU instance unless said, and null when the
/// driver does not tell them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct DeviceContext {
    /// Slurm's index.
    pub index: u32,
    /// GRES type.
    pub r#type: String,
    /// MIG profile, as `1g.5gb`; empty for a whole GPU.
    pub profile: String,
    /// Product name of the GPU.
    pub model: String,
    /// NVML index of the GPU.
    pub gpu: u32,
    /// UUID; empty where alike nodes are one entry. `void-`, `guard-` or `pad-` and the index for a record that is no device.
    pub uuid: String,
    /// UUID of the GPU; empty where alike nodes are one entry.
    pub parent: String,
    /// Device files: the GPU, then the capabilities of GPU instance and compute instance.
    pub files: Vec<String>,
    /// Cores near it in Slurm's numbers, as `0-15`; empty when unknown for any device of the node; `""` for a record that
    /// nobody is given.
    pub cores: String,
    /// First placement unit of the GPU instance; null for a whole GPU, and where alike nodes are one entry.
    pub start: Option<u32>,
    /// Streaming multiprocessors of the compute instance, or of the largest GPU instance for a whole GPU.
    pub sms: Option<u32>,
    pub memory_mib: Option<u64>,
    pub copy_engines: Option<u32>,
    /// Video decoders (NVDEC).
    pub decoders: Option<u32>,
    /// Video encoders (NVENC).
    pub encoders: Option<u32>,
    pub jpeg_decoders: Option<u32>,
    /// Optical flow accelerators (OFA).
    pub optical_flow: Option<u32>,
}

impl Context {
    /// The context of one node.
    pub fn of_node(
        inventory: &Inventory,
        table: &GresTable,
        settings: &Settings,
        release: Release,
        root: &Root,
    ) -> Result<Self, RenderError> {
        let mut alone = Cluster::new(settings, release, root)?;
        let node = alone.node(inventory, table)?;
        alone.assemble(vec![node])
    }

    /// The context of a cluster: alike nodes share an entry.
    ///
    /// # Errors
    /// As [`Cluster`].
    pub fn of_cluster<'a>(
        nodes: impl IntoIterator<Item = (&'a Inventory, &'a GresTable)>,
        settings: &Settings,
        release: Release,
        root: &Root,
    ) -> Result<Self, RenderError> {
        let mut cluster = Cluster::new(settings, release, root)?;
        nodes.into_iter().try_for_each(|(inventory, table)| cluster.add(inventory, table))?;
        cluster.finish()
    }
}

/// The value of `GresTypes=`, with the GRES that nodes with GPUs on request have beside.
fn gres_types(settings: &Settings) -> String {
    let mut types: Vec<&str> = settings.gres_types.0.iter().map(String::as_str).collect();
    if !settings.on_request.is_empty() && !types.is_empty() && !types.contains(&GATE) {
        types.push(GATE);
    }
    types.join(",")
}

/// A cluster's context, node by node: alike nodes share an entry at once, so that thousands fit in memory.
pub(crate) struct Cluster<'a> {
    settings: &'a Settings,
    lines: NodeLines<'a>,
    release: Release,
    root: &'a Root,
    weights: Weights,
    fold: Fold,
}

impl<'a> Cluster<'a> {
    /// A cluster without nodes.
    ///
    /// # Errors
    /// [`RenderError::Hostlist`] for nodes in the settings that are no host list.
    pub(crate) fn new(settings: &'a Settings, release: Release, root: &'a Root) -> Result<Self, RenderError> {
        let lines = NodeLines::new(settings)?;
        Ok(Cluster { settings, lines, release, root, weights: Weights::default(), fold: Fold::default() })
    }

    /// One more node.
    ///
    /// # Errors
    /// [`RenderError`]: those of one node, and one that stands twice.
    pub(crate) fn add(&mut self, inventory: &Inventory, table: &GresTable) -> Result<(), RenderError> {
        let node = self.node(inventory, table)?;
        self.fold.add(node)
    }

    /// Whether the nodes that were added are those of `slurm.nodes`, where it names any.
    ///
    /// # Errors
    /// [`RenderError::Missing`], [`RenderError::Unnamed`].
    pub(crate) fn complete(&self) -> Result<(), RenderError> {
        let (missing, unnamed) = self.lines.unlike(self.fold.names());
        match (missing.is_empty(), unnamed.is_empty()) {
            (false, _) => Err(RenderError::Missing(missing)),
            (_, false) => Err(RenderError::Unnamed(unnamed)),
            _ => Ok(()),
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// [`RenderError::Clash`] for two types of the cluster that Slurm takes for one.
    pub(crate) fn finish(mut self) -> Result<Context, RenderError> {
        let nodes = std::mem::take(&mut self.fold).finish();
        self.assemble(nodes)
    }

    fn assemble(self, nodes: Vec<NodeContext>) -> Result<Context, RenderError> {
        let Cluster { settings, release, root, weights, .. } = self;
        let mut types: Vec<&str> = nodes.iter().flat_map(|n| &n.types).map(|t| t.name.as_str()).collect();
        types.sort_unstable();
        types.dedup();
        if let Some(clash) = clashes(types.iter().copied()).into_iter().next() {
            return Err(clash.into());
        }
        // Nobody is given a guard, so there is nothing to account for.
        let guards = nodes.iter().any(|node| !node.gates.is_empty());
        types.retain(|name| !guards || *name != GUARD);
        let catalog = match &settings.catalog {
            Some(names) => catalog::catalog(names, &nodes)?,
            None => None,
        };
        let mut tres = vec!["gres/gpu".to_owned()];
        tres.extend(types.iter().map(|name| format!("gres/gpu:{name}")));
        Ok(Context {
            schema: SCHEMA,
            release,
            gres_types: gres_types(settings),
            accounting: settings.accounting.into(),
            accounting_tres: if types.is_empty() { String::new() } else { tres.join(",") },
            billing_weights: weights.line(),
            cgroup: cgroup(settings, release)?,
            plugin: plugin(settings, root),
            nodes,
            catalog: catalog.into_iter().collect(),
        })
    }
}
