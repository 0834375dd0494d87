//! `gresgen render`: Slurm's files, of this node or of a whole cluster.

use std::path::PathBuf;

use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, out};
use crate::apply::lock::Lock;
use crate::document::Document;
use crate::files::{Comparison, Output, stage, state_directory};
use crate::inventory::Inventory;
use crate::publish;
use crate::render::{Context, ContextError, RenderError, Templates, device_map, digest, slurm_files};
use crate::root::Root;
use crate::slurm::links::Links;
use crate::slurm::{GresTable, Settings};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Inventories of nodes, as `gresgen status --json` prints them; without any, this node's GPUs are read
    #[arg(long, value_name = "FILE", num_args = 1..)]
    inventory: Vec<PathBuf>,
    /// Show what would change, and write nothing
    #[arg(long)]
    diff: bool,
    /// Print what templates see, as JSON, and write nothing
    #[arg(long, conflicts_with = "diff")]
    context: bool,
    /// Make the links below /dev/gresgen that gres.conf names with `stable-links`
    #[arg(long, conflicts_with_all = ["diff", "context", "inventory"])]
    links: bool,
    /// Take over files that gresgen did not write; a backup is kept
    #[arg(long)]
    adopt: bool,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let settings = session.settings(global)?;
    let root = &session.root;
    let nodes = match args.inventory.is_empty() {
        true => vec![session.driver()?.inventory(&session.node_name(&settings))?],
        false => args.inventory.iter().map(read).collect::<Result<_, _>>()?,
    };
    let (context, tables) = context(&nodes, &settings, root).map_err(usage)?;
    if args.context {
        out::json(&context)?;
        return Ok(Exit::Ok);
    }
    if args.links {
        let made = Links::new(&tables[0], &nodes[0]).make(root);
        made.map_err(|(path, error)| Failure::new(Exit::Failure, format!("{}: {error}", path.display())))?;
    }
    let outputs = outputs(&nodes, &tables, &context, &settings, args, root).map_err(usage)?;
    if args.diff {
        let comparison = Comparison::new(outputs, args.adopt).map_err(publish::PublishError::from)?;
        out::text(&comparison.diff())?;
        return Ok(Exit::Ok);
    }
    let _lock = Lock::node(root)?;
    let staged = stage(outputs, args.adopt, &state_directory(root)).map_err(publish::PublishError::from)?;
    let committed = staged.commit().map_err(publish::PublishError::from)?;
    let written = committed.written.iter().map(|path| format!("wrote {}\n", path.display()));
    let text: String = written.collect();
    out::text(if text.is_empty() { "nothing to change\n" } else { &text })?;
    Ok(Exit::Ok)
}

/// The facts given were wrong, not this node.
fn usage(error: impl Into<publish::PublishError>) -> Failure {
    Failure { exit: Exit::Usage, ..Failure::from(error.into()) }
}

fn read(path: &PathBuf) -> Result<Inventory, Failure> {
    let fail = |what: String| Failure::new(Exit::Usage, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    Document::read(&text).map_err(|e| fail(e.to_string()))
}

/// What templates see of these nodes, and the table of each. Indexes of this node are kept; those of nodes read
/// from files are whatever their inventories make.
fn context(
    nodes: &[Inventory],
    settings: &Settings,
    root: &Root,
) -> Result<(Context, Vec<GresTable>), publish::PublishError> {
    let release = publish::release(settings);
    let tables: Result<Vec<GresTable>, _> = nodes.iter().map(|n| publish::table(n, settings, root)).collect();
    let tables = tables?;
    let context = match nodes {
        [node] => Context::of_node(node, &tables[0], settings, release, root),
        nodes => Context::of_cluster(nodes.iter().zip(&tables), settings, release, root),
    };
    Ok((context.map_err(|e: ContextError| RenderError::from(e))?, tables))
}

/// Slurm's files, and the device map where they are this node's own.
fn outputs(
    nodes: &[Inventory],
    tables: &[GresTable],
    context: &Context,
    settings: &Settings,
    args: &Args,
    root: &Root,
) -> Result<Vec<Output>, publish::PublishError> {
    let templates = Templates::load(&root.path(Root::TEMPLATES)).map_err(RenderError::from)?;
    let mut outputs = slurm_files(&templates, context, settings, root).map_err(RenderError::from)?;
    if args.inventory.is_empty() {
        let map = tables[0].map(&nodes[0], digest(&outputs[0].text));
        outputs.push(device_map(&map, root));
    }
    Ok(outputs)
}
