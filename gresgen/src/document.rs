//! An [`Inventory`] as JSON: what `gresgen status --json` prints and `gresgen render --inventory` reads.
//!
//! It says enough to plan and render for a node elsewhere: geometry and placements, CPUs and cores, device
//! files. Fields are added without another version; a reader ignores those it does not know.

mod geometry;
mod gpu;
mod instance;

use std::collections::BTreeMap;

use device_map::MAX_RECORDS;
use serde::{Deserialize, Serialize};

use crate::inventory::Inventory;
use crate::slurm::cores::{Topology, ranges};
use crate::slurm::hostlist;
pub use geometry::SpecDocument;
use gpu::GpuDocument;
pub use instance::HolderDocument;

/// Version of [`Document`]: it changes when an older reader would misunderstand.
pub const VERSION: u32 = 1;

/// Largest inventory that is read, in bytes. One of 16 GPUs with 112 slices and 512 CPUs has 120 kB.
pub const MAX_BYTES: u64 = 4 << 20;

/// CPUs are numbered below this: Linux has at most 8192 (NR_CPUS), Slurm counts them in 16 bits
/// (Slurm src/common/slurm_protocol_defs.h, `cpus`).
const MAX_CPUS: u32 = 1 << 16;

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
            return Err(DocumentError::Version { node: shown(&node), version });
        }
        let mut document = serde_json::from_str::<Document>(text)?;
        let indexes = std::mem::take(&mut document.gres_index);
        check_indexes(&indexes).map_err(|what| DocumentError::Value { node: shown(&node), what })?;
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
        let fail = |what: String| DocumentError::Value { node: shown(&node), what };
        if !hostlist::is_name(&node) {
            return Err(fail("not a node name".to_owned()));
        }
        for (what, value) in [("boot", &boot), ("driver", &driver)] {
            line(what, value).map_err(fail)?;
        }
        if partial {
            return Err(fail(
                "only some of its GPUs are in this inventory; run gresgen status --json without naming GPUs"
                    .to_owned(),
            ));
        }
        let topology = topology(&cores).map_err(fail)?;
        let gpus: Result<Vec<_>, String> = gpus
            .into_iter()
            .map(|gpu| gpu.read().map_err(|(uuid, what)| format!("{}: {what}", shown(&uuid))))
            .collect();
        let gpus = gpus.map_err(fail)?;
        Ok(Inventory { node, boot, driver, topology, gpus })
    }
}

/// Every CPU once, and below [`MAX_CPUS`]: a range is a few bytes here and would be gigabytes in memory.
fn topology(cores: &[String]) -> Result<Topology, String> {
    let mut pairs = BTreeMap::new();
    for (core, cpus) in (0..).zip(cores) {
        for range in cpus.split(',') {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let bounds = low.parse::<u32>().ok().zip(high.parse::<u32>().ok());
            let (low, high) =
                bounds.ok_or_else(|| format!("cores: {:?} is no list of CPUs such as 0,64", shown(cpus)))?;
            if high >= MAX_CPUS || high < low {
                return Err(format!("cores: {range}: CPUs are ranges upwards below {MAX_CPUS}"));
            }
            for cpu in low..=high {
                if pairs.insert(cpu, core).is_some() {
                    return Err(format!("cores: CPU {cpu} stands twice"));
                }
            }
        }
    }
    Ok(Topology::of_cores(pairs))
}

/// Slurm's indexes are places, of which each holds one device.
fn check_indexes(indexes: &BTreeMap<String, usize>) -> Result<(), String> {
    let mut seen: BTreeMap<usize, &str> = BTreeMap::new();
    for (device, &index) in indexes {
        if index >= MAX_RECORDS {
            return Err(format!("gres_index: {index} of {} is not below {MAX_RECORDS}", shown(device)));
        }
        if let Some(other) = seen.insert(index, device) {
            return Err(format!("gres_index: {} and {} both have {index}", shown(other), shown(device)));
        }
    }
    Ok(())
}

/// Most characters of a text that somebody else sent, in a message or a value.
const MAX_TEXT: usize = 256;

/// The beginning of a text.
fn shown(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// A text of one line that a person reads.
fn line(what: &str, text: &str) -> Result<(), String> {
    let wild = |c: char| c.is_control() || is_unseen(c);
    match text.contains(wild) || text.chars().count() > MAX_TEXT {
        true => Err(format!("{what} {:?} is not a line of text", shown(text))),
        false => Ok(()),
    }
}

/// A text that goes into Slurm's files and the device map as one word.
fn word(what: &str, text: &str) -> Result<(), String> {
    let breaks = |c: char| c.is_whitespace() || c.is_control() || is_unseen(c) || ",=#[]\"\\".contains(c);
    match text.is_empty() || text.contains(breaks) || text.chars().count() > MAX_WORD {
        true => Err(format!("{what} {:?} is not one word", shown(text))),
        false => Ok(()),
    }
}

/// Most characters of a device file (Linux PATH_MAX).
const MAX_WORD: usize = 4096;

/// Characters that turn the direction of the text around them.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{61C}')
}

/// A UUID as NVML has them.
fn uuid(prefix: &str, text: &str) -> Result<(), String> {
    word("UUID", text)?;
    match text.starts_with(prefix) && text.is_ascii() {
        true => Ok(()),
        false => Err(format!("UUID {:?} does not begin with {prefix}", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted_before_they_are_kept() {
        let read = |cores: &[&str]| topology(&cores.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["0,64", "1,65-67"]).unwrap().count(), 2);
        for (cores, what) in [
            (&["0-4294967295"][..], "cores: 0-4294967295: CPUs are ranges upwards below 65536"),
            (&["3-1"], "cores: 3-1: CPUs are ranges upwards below 65536"),
            (&["0-4", "4"], "cores: CPU 4 stands twice"),
            (&["0,0"], "cores: CPU 0 stands twice"),
            (&["x"], "cores: \"x\" is no list of CPUs such as 0,64"),
        ] {
            assert_eq!(read(cores).unwrap_err(), what);
        }
    }

    #[test]
    fn an_index_belongs_to_one_device() {
        let check = |pairs: &[(&str, usize)]| {
            check_indexes(&pairs.iter().map(|(uuid, index)| ((*uuid).to_owned(), *index)).collect())
        };
        assert_eq!(check(&[("MIG-a", 0), ("MIG-b", 1)]), Ok(()));
        assert_eq!(
            check(&[("MIG-a", 0), ("MIG-b", 0)]).unwrap_err(),
            "gres_index: MIG-a and MIG-b both have 0"
        );
        assert!(check(&[("MIG-a", usize::MAX)]).is_err());
    }
}
