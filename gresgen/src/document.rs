//! An [`Inventory`] as JSON: what `gresgen status --json` prints and `gresgen render --inventory` reads.
//!
//! It says enough to plan and render for a node elsewhere: geometry and placements, CPUs and cores, device
//! files. Fields are added without another version; a reader ignores those it does not know.

mod geometry;
mod gpu;
mod instance;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::inventory::Inventory;
use crate::slurm::cores::{Topology, ranges};
pub use geometry::SpecDocument;
use gpu::GpuDocument;
pub use instance::HolderDocument;

/// Version of [`Document`]: it changes when an older reader would misunderstand.
pub const VERSION: u32 = 1;

/// One node at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// [`VERSION`].
    pub version: u32,
    /// Slurm's name of the node.
    pub node: String,
    /// Boot id the facts belong to.
    pub boot: String,
    /// Driver version.
    pub driver: String,
    /// Whether GPUs of the node are missing here, because only some were asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// CPUs of each core, in Slurm's order of cores, as `0,64`; empty where it was not read.
    pub cores: Vec<String>,
    /// GPUs by NVML index.
    pub gpus: Vec<GpuDocument>,
    /// Slurm's index of each device of the node's map, by UUID; `status` writes it.
    #[serde(default, skip_serializing)]
    pub gres_index: BTreeMap<String, usize>,
}

/// Why a text is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is not JSON, or not of this shape.
    #[error("not an inventory as `gresgen status --json` prints it: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error(
        "node {node}: its inventory has version {version}, this gresgen reads {VERSION}; use the same release on all nodes"
    )]
    Version {
        /// The node.
        node: String,
        /// Its version.
        version: u32,
    },
    /// A value that contradicts another or its own grammar.
    #[error("node {node}: {what}")]
    Value {
        /// The node.
        node: String,
        /// What is wrong.
        what: String,
    },
}

impl Document {
    /// Reads the JSON of one inventory.
    ///
    /// # Errors
    /// [`DocumentError`], which names the node when there is one.
    pub fn read(text: &str) -> Result<Inventory, DocumentError> {
        Ok(Self::read_indexed(text)?.0)
    }

    /// The same with Slurm's indexes of the devices, by UUID, as far as the node had a device map.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn read_indexed(text: &str) -> Result<(Inventory, BTreeMap<String, usize>), DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
            node: String,
        }
        // Another version may have another shape, so the version is looked at before anything else.
        let Head { version, node } = serde_json::from_str(text)?;
        if version != VERSION {
            return Err(DocumentError::Version { node, version });
        }
        let mut document = serde_json::from_str::<Document>(text)?;
        let indexes = std::mem::take(&mut document.gres_index);
        Ok((Inventory::try_from(document)?, indexes))
    }
}

impl From<&Inventory> for Document {
    fn from(inventory: &Inventory) -> Self {
        let mut cores: BTreeMap<u32, std::collections::BTreeSet<u32>> = BTreeMap::new();
        for (cpu, core) in inventory.topology.iter() {
            cores.entry(core).or_default().insert(cpu);
        }
        Document {
            version: VERSION,
            node: inventory.node.clone(),
            boot: inventory.boot.clone(),
            driver: inventory.driver.clone(),
            partial: false,
            cores: cores.values().map(ranges).collect(),
            gpus: inventory.gpus.iter().map(GpuDocument::from).collect(),
            gres_index: BTreeMap::new(),
        }
    }
}

impl TryFrom<Document> for Inventory {
    type Error = DocumentError;

    fn try_from(document: Document) -> Result<Self, DocumentError> {
        let Document { node, boot, driver, cores, gpus, partial, .. } = document;
        let fail = |what: String| DocumentError::Value { node: node.clone(), what };
        if partial {
            return Err(fail(
                "only some of its GPUs are in this inventory; run gresgen status --json without naming GPUs"
                    .to_owned(),
            ));
        }
        let topology = topology(&cores).map_err(fail)?;
        let gpus: Result<Vec<_>, String> = gpus
            .into_iter()
            .map(|gpu| gpu.read().map_err(|(uuid, what)| format!("{uuid}: {what}")))
            .collect();
        let gpus = gpus.map_err(fail)?;
        Ok(Inventory { node, boot, driver, topology, gpus })
    }
}

fn topology(cores: &[String]) -> Result<Topology, String> {
    let mut pairs = Vec::new();
    for (core, cpus) in (0..).zip(cores) {
        for range in cpus.split(',') {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let bounds = low.parse::<u32>().ok().zip(high.parse::<u32>().ok());
            let (low, high) =
                bounds.ok_or_else(|| format!("cores: {cpus:?} is no list of CPUs such as 0,64"))?;
            pairs.extend((low..=high.min(low.saturating_add(4096))).map(|cpu| (cpu, core)));
        }
    }
    Ok(Topology::of_cores(pairs))
}
