//! Layouts as they are written into a configuration: what GPUs hold, told by their indexes.

use std::collections::BTreeMap;
use std::fmt::Write;

use mig::{Demand, Profile};
use serde_json::Value;

use crate::alike::groups;
use crate::inventory::{Gpu, Inventory};

/// GPUs that hold the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LayoutEntry {
    /// Their indexes; none at all stand for `all`.
    pub gpus: Vec<u32>,
    /// What each holds; `None` with MIG off.
    pub content: Option<Demand>,
}

/// GPUs by what they hold, in the order of the first of each.
pub(crate) fn fold(gpus: impl IntoIterator<Item = (u32, Option<Demand>)>) -> Vec<LayoutEntry> {
    let entry = |group: Vec<(u32, Option<Demand>)>| {
        let content = group[0].1.clone();
        LayoutEntry { gpus: group.into_iter().map(|(gpu, _)| gpu).collect(), content }
    };
    groups(gpus, |(_, one), (_, other)| one == other).into_iter().map(entry).collect()
}

/// The GPUs by what they hold now.
pub(crate) fn current(inventory: &Inventory) -> Vec<LayoutEntry> {
    fold(inventory.gpus.iter().map(|gpu| (gpu.index, content_of(gpu))))
}

/// What a GPU holds now, by the names of its compute instances; `None` with MIG off.
pub(crate) fn content_of(gpu: &Gpu) -> Option<Demand> {
    let mut counts: BTreeMap<Profile, u32> = BTreeMap::new();
    for compute in gpu.instances.iter().flat_map(|i| &i.compute) {
        *counts.entry(compute.profile).or_default() += 1;
    }
    gpu.mode.is_on().then_some(counts)
}

/// The entries of a label, below its line.
pub(crate) fn entries(entries: &[LayoutEntry]) -> String {
    let mut out = String::new();
    for LayoutEntry { gpus, content } in entries {
        let list: Vec<String> = gpus.iter().map(ToString::to_string).collect();
        let list = if list.is_empty() { "all".to_owned() } else { format!("[{}]", list.join(", ")) };
        let _ = writeln!(out, "    - devices: {list}");
        let _ = writeln!(out, "      mig-enabled: {}", content.is_some());
        match content {
            Some(counts) if !counts.is_empty() => {
                out.push_str("      mig-devices:\n");
                for (profile, count) in counts.iter().rev() {
                    let _ = writeln!(out, "        \"{profile}\": {count}");
                }
            }
            Some(_) => out.push_str("      mig-devices: {}\n"),
            None => {}
        }
    }
    out
}

/// A word of YAML: as it is where YAML cannot take it for anything else, else in quotes, which JSON and YAML share.
pub(crate) fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&&*text.to_ascii_lowercase());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
