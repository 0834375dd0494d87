//! `gresgen export`: what the node has, as a configuration in mig-parted's grammar.

use std::collections::BTreeMap;
use std::fmt::Write;

use mig::Profile;

use super::out;
use super::report::{Exit, Outcome};
use super::session::Session;
use crate::inventory::{Gpu, Inventory};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Label of the layout
    #[arg(long, value_name = "NAME", default_value = "current")]
    label: String,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let inventory = session.driver()?.inventory(&session.node())?;
    out::text(&config(&inventory, &args.label))?;
    Ok(Exit::Ok)
}

/// What a GPU holds; `None` with MIG off.
type Content = Option<BTreeMap<Profile, u32>>;

/// GPUs that hold the same share one entry, in the order of their first one.
pub(crate) fn config(inventory: &Inventory, label: &str) -> String {
    let mut groups: Vec<(Content, Vec<u32>)> = Vec::new();
    for gpu in &inventory.gpus {
        let content = gpu.mode.is_on().then(|| counts(gpu));
        match groups.iter_mut().find(|(other, _)| *other == content) {
            Some((_, gpus)) => gpus.push(gpu.index),
            None => groups.push((content, vec![gpu.index])),
        }
    }
    let mut out = format!("version: v1\nmig-configs:\n  {label}:\n");
    for (content, gpus) in groups {
        let gpus: Vec<String> = gpus.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "    - devices: [{}]", gpus.join(", "));
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

fn counts(gpu: &Gpu) -> BTreeMap<Profile, u32> {
    let mut counts = BTreeMap::new();
    for compute in gpu.instances.iter().flat_map(|i| &i.compute) {
        *counts.entry(compute.profile).or_default() += 1;
    }
    counts
}
