//! `gresgen export`: what the node has, as a configuration in mig-parted's grammar.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::gpus::Only;
use super::report::Outcome;
use super::session::Session;
use crate::apply::DesiredState;
use crate::apply::steps::steps;
use crate::config::Config;
use crate::config::written::{self, LayoutEntry};
use crate::inventory::Inventory;
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

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let mut inventory = session.driver()?.inventory(&here::host_name())?;
    args.only.keep(&mut inventory)?;
    let entries = written::current(&inventory);
    for gpu in not_expressible(&inventory, &text(&entries, &args.label), &args.label) {
        session.warn(format_args!(
            "GPU {gpu}: holds what a configuration cannot say; applying this one changes it"
        ));
    }
    session.print(&document(&entries, &args.label), || text(&entries, &args.label))
}

/// GPUs that the configuration would change: an instance without compute instances has no name in it, nor have
/// compute instances that are spread over more instances than it takes.
pub(super) fn not_expressible(inventory: &Inventory, text: &str, label: &str) -> BTreeSet<u32> {
    let Ok(config) = Config::parse("export", text) else { return BTreeSet::new() };
    let Ok(targets) = DesiredState::Layout(&config, label).targets(inventory) else { return BTreeSet::new() };
    steps(inventory, &targets).iter().map(|step| inventory.gpus[step.gpu()].index).collect()
}

fn document(entries: &[LayoutEntry], label: &str) -> Value {
    let entry = |entry: &LayoutEntry| {
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

fn text(entries: &[LayoutEntry], label: &str) -> String {
    format!("version: v1\nmig-configs:\n  {}:\n{}", written::word(label), written::entries(entries))
}
