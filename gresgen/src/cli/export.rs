//! `gresgen export`: what the node has, as a configuration in mig-parted's grammar.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use mig::Profile;
use serde_json::{Map, Value, json};

use super::gpus::Only;
use super::progress::warning;
use super::report::{Exit, Outcome};
use super::session::Session;
use super::{Global, out};
use crate::apply::Wish;
use crate::apply::steps::steps;
use crate::apply::wish::Layout;
use crate::config::Config;
use crate::inventory::{Gpu, Inventory};
use crate::slurm::here;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    only: Only,
    /// Label of the layout
    #[arg(long, value_name = "NAME", default_value = "current")]
    label: String,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let mut inventory = session.driver()?.inventory(&here::host_name())?;
    args.only.keep(&mut inventory)?;
    let entries = entries(&inventory);
    if !global.quiet {
        for gpu in unsaid(&inventory, &text(&entries, &args.label), &args.label) {
            warning(format_args!(
                "GPU {gpu}: holds what a configuration cannot say; applying this one changes it"
            ));
        }
    }
    if global.json {
        out::json(&document(&entries, &args.label))?
    } else {
        out::text(&text(&entries, &args.label))?
    }
    Ok(Exit::Ok)
}

/// GPUs that the configuration would change: an instance without compute instances has no name in it, nor have
/// compute instances that are spread over more instances than it takes.
fn unsaid(inventory: &Inventory, text: &str, label: &str) -> BTreeSet<u32> {
    let Ok(config) = Config::parse("export", text) else { return BTreeSet::new() };
    let Ok(targets) = (Layout { config: &config, label }).targets(inventory) else { return BTreeSet::new() };
    steps(inventory, &targets).iter().map(|step| inventory.gpus[step.gpu()].index).collect()
}

/// GPUs that hold the same.
struct Entry {
    gpus: Vec<u32>,
    /// What each holds; `None` with MIG off.
    content: Option<BTreeMap<Profile, u32>>,
}

/// The GPUs by what they hold, in the order of the first of each.
fn entries(inventory: &Inventory) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for gpu in &inventory.gpus {
        let content = gpu.mode.is_on().then(|| counts(gpu));
        match entries.iter_mut().find(|entry| entry.content == content) {
            Some(entry) => entry.gpus.push(gpu.index),
            None => entries.push(Entry { gpus: vec![gpu.index], content }),
        }
    }
    entries
}

fn counts(gpu: &Gpu) -> BTreeMap<Profile, u32> {
    let mut counts = BTreeMap::new();
    for compute in gpu.instances.iter().flat_map(|i| &i.compute) {
        *counts.entry(compute.profile).or_default() += 1;
    }
    counts
}

fn document(entries: &[Entry], label: &str) -> Value {
    let entry = |entry: &Entry| {
        let mut fields = Map::new();
        fields.insert("devices".to_owned(), json!(entry.gpus));
        fields.insert("mig-enabled".to_owned(), json!(entry.content.is_some()));
        if let Some(counts) = &entry.content {
            let counts = counts.iter().map(|(profile, n)| (profile.to_string(), json!(n)));
            fields.insert("mig-devices".to_owned(), Value::Object(counts.collect()));
        }
        Value::Object(fields)
    };
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    json!({"version": "v1", "mig-configs": {label: entries}})
}

fn text(entries: &[Entry], label: &str) -> String {
    let mut out = format!("version: v1\nmig-configs:\n  {}:\n", key(label));
    for Entry { gpus, content } in entries {
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

/// A label as a YAML key: as it is where YAML cannot take it for anything else, else in quotes, which JSON and YAML
/// share.
fn key(label: &str) -> String {
    let plain = label.starts_with(|c: char| c.is_ascii_alphabetic())
        && label.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&&*label.to_ascii_lowercase());
    if plain { label.to_owned() } else { Value::from(label).to_string() }
}
