//! An [`Inventory`] as JSON: what `gresgen status --json` prints and `gresgen render --inventory` reads.
//!
//! It says enough to plan and render for a node elsewhere: geometry and placements, CPUs and cores, device
//! files. Fields are added without another version; a reader ignores those it does not know.

use std::collections::BTreeMap;

use device_map::MAX_RECORDS;
use mig::Profile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cores::{MAX_CPUS, Topology};
use crate::inventory::{Gpu, Inventory};
use crate::slurm::hostlist;
use crate::words::turns_text;

/// Version of [`Document`]: it changes when an older reader would misunderstand.
pub const VERSION: u32 = 1;

/// Largest inventory that is read, in bytes. One of 16 GPUs with 112 slices and 512 CPUs has 120 kB.
pub const MAX_BYTES: u64 = 4 << 20;

/// An inventory with its version.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document<'a> {
    version: u32,
    #[serde(flatten)]
    inventory: &'a Inventory,
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
    Version { node: String, version: u32 },
    /// A value that contradicts another or its own grammar.
    #[error("node {node}: {what}")]
    Value { node: String, what: String },
}

impl<'a> From<&'a Inventory> for Document<'a> {
    fn from(inventory: &'a Inventory) -> Self {
        Document { version: VERSION, inventory }
    }
}

/// Reads the JSON of one inventory.
///
/// # Errors
/// [`DocumentError`], which names the node when there is one.
pub fn read(text: &str) -> Result<Inventory, DocumentError> {
    Ok(read_indexed(text)?.0)
}

/// The same with Slurm's indexes of the devices, by UUID, as far as the node had a device map. `status` writes them.
///
/// # Errors
/// As [`read`].
pub fn read_indexed(text: &str) -> Result<(Inventory, BTreeMap<String, usize>), DocumentError> {
    // Another version may have another shape, so the version is looked at before anything else.
    #[derive(Deserialize)]
    struct Head {
        version: u32,
        node: String,
        #[serde(default)]
        gres_index: Option<Value>,
    }
    let Head { version, node, gres_index } = serde_json::from_str(text)?;
    let node = beginning(&node);
    if version != VERSION {
        return Err(DocumentError::Version { node, version });
    }
    let inventory = serde_json::from_str::<Inventory>(text).map_err(|error| match misspelt(text) {
        Some(what) => DocumentError::Value { node: node.clone(), what },
        None => error.into(),
    })?;
    let gres_index: BTreeMap<String, usize> =
        gres_index.map(serde_json::from_value).transpose()?.unwrap_or_default();
    let checked = check_indexes(&gres_index).and_then(|()| check(&inventory));
    checked.map_err(|what| DocumentError::Value { node, what })?;
    Ok((inventory, gres_index))
}

/// Of JSON that is no inventory: what is no profile or no list of CPUs, with its GPU. A line and a column would be all
/// that the parser says of it, and an inventory is often one line.
fn misspelt(text: &str) -> Option<String> {
    let document: Value = serde_json::from_str(text).ok()?;
    let list = |value: &Value, key| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    if let Ok(cores) = Vec::<String>::deserialize(&document["cores"])
        && let Err(what) = Topology::try_from(cores)
    {
        return Some(what);
    }
    list(&document, "gpus").iter().find_map(|gpu| {
        let profiles = list(&gpu["geometry"], "profiles");
        let mut names: Vec<Value> = profiles.iter().map(|profile| profile["name"].clone()).collect();
        for instance in list(gpu, "instances") {
            names.push(instance["profile"].clone());
            names.extend(list(&instance, "compute").iter().map(|compute| compute["profile"].clone()));
        }
        let error = names.iter().filter_map(Value::as_str).find_map(|name| name.parse::<Profile>().err())?;
        Some(format!("{}: {error}", beginning(gpu["uuid"].as_str().unwrap_or_default())))
    })
}

/// What the types of the values do not say: names that go into files and onto terminals are harmless, and what
/// refers to something else finds it.
fn check(inventory: &Inventory) -> Result<(), String> {
    let Inventory { node, boot, driver, partial, gpus, .. } = inventory;
    if !hostlist::is_name(node) {
        return Err("not a node name".to_owned());
    }
    line("boot", boot)?;
    line("driver", driver)?;
    if *partial {
        return Err(
            "only some of its GPUs are in this inventory; run gresgen status --json without naming GPUs"
                .to_owned(),
        );
    }
    gpus.iter().try_for_each(|gpu| check_gpu(gpu).map_err(|what| format!("{}: {what}", beginning(&gpu.uuid))))
}

fn check_gpu(gpu: &Gpu) -> Result<(), String> {
    uuid("GPU-", &gpu.uuid)?;
    line("PCI address", &gpu.pci)?;
    line("model", &gpu.model)?;
    if let Some(cpu) = gpu.cpus.iter().find(|&&cpu| cpu >= MAX_CPUS) {
        return Err(format!("cpus: {cpu} is not below {MAX_CPUS}"));
    }
    if let Some(capabilities) = &gpu.capabilities {
        let directory = capabilities.directory.display().to_string();
        word("capabilities: directory", &directory)?;
        if !capabilities.directory.is_absolute() {
            return Err(format!("capabilities: directory {}: is not absolute", beginning(&directory)));
        }
    }
    let mut files = vec![&gpu.file];
    for instance in &gpu.instances {
        let profile = instance.placement.profile;
        if !gpu.geometry.specs.iter().any(|spec| spec.profile == profile) {
            return Err(format!("instance {}: no profile {profile} in its geometry", instance.gi));
        }
        for compute in &instance.compute {
            uuid("MIG-", &compute.uuid)?;
            files.extend(&compute.files);
        }
    }
    files.iter().try_for_each(|file| word("device file", &file.path.display().to_string()))
}

/// Slurm's indexes are places, of which each holds one device.
fn check_indexes(indexes: &BTreeMap<String, usize>) -> Result<(), String> {
    let mut seen: BTreeMap<usize, &str> = BTreeMap::new();
    for (device, &index) in indexes {
        if index >= MAX_RECORDS {
            return Err(format!("gres_index: {index} of {} is not below {MAX_RECORDS}", beginning(device)));
        }
        if let Some(other) = seen.insert(index, device) {
            return Err(format!(
                "gres_index: {} and {} both have {index}",
                beginning(other),
                beginning(device)
            ));
        }
    }
    Ok(())
}

/// Most characters of a text that somebody else sent, in a message or a value.
const MAX_TEXT: usize = 256;

/// The beginning of a text.
fn beginning(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// A text of one line that a person reads.
fn line(what: &str, text: &str) -> Result<(), String> {
    let wild = |c: char| c.is_control() || turns_text(c);
    if text.contains(wild) || text.chars().count() > MAX_TEXT {
        Err(format!("{what} {:?} is not a line of text", beginning(text)))
    } else {
        Ok(())
    }
}

/// A text that goes into Slurm's files and the device map as one word.
fn word(what: &str, text: &str) -> Result<(), String> {
    let breaks = |c: char| c.is_whitespace() || c.is_control() || turns_text(c) || ",=#[]\"\\".contains(c);
    if text.is_empty() || text.contains(breaks) || text.chars().count() > MAX_WORD {
        Err(format!("{what} {:?} is not one word", beginning(text)))
    } else {
        Ok(())
    }
}

/// Most characters of a device file (Linux PATH_MAX).
const MAX_WORD: usize = 4096;

/// A UUID as NVML has them.
fn uuid(prefix: &str, text: &str) -> Result<(), String> {
    word("UUID", text)?;
    if text.starts_with(prefix) && text.is_ascii() {
        Ok(())
    } else {
        Err(format!("UUID {:?} does not begin with {prefix}", beginning(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
