//! `gresgen render`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::changed::wrote;
use super::paint::{Painted, Role};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, out};
use crate::document::{self, MAX_BYTES};
use crate::files::{self, Comparison, Output, state_directory};
use crate::inventory::Inventory;
use crate::lock::Lock;
use crate::publish;
use crate::read;
use crate::render::context::Cluster;
use crate::render::{self, Context, Templates};
use crate::root::Root;
use crate::slurm::links::Links;
use crate::slurm::{GresTable, PreviousOrder, Settings, hostlist, slots};
use crate::users::Offer;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Render for these nodes instead of this one: files that `gresgen status --json` wrote on each, named after it
    /// (n1.json), or with its name before them (n1=FILE)
    #[arg(long, value_name = "[NODE=]FILE", num_args = 1..)]
    inventory: Vec<PathBuf>,
    /// Show what would change in which file, and change nothing
    #[arg(long, conflicts_with = "context")]
    diff: bool,
    /// Print what templates see, as JSON, and change nothing
    #[arg(long)]
    context: bool,
    /// Print a text for users or about them, and change nothing
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["context", "diff", "adopt"])]
    print: Option<Print>,
    /// Take over files that gresgen did not write; a backup is kept
    #[arg(long)]
    adopt: bool,
}

/// What is made of the cluster's types beside Slurm's files.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Print {
    /// Rules for requests: Lua for job_submit and cli_filter
    Submit,
    /// A page for users, in Markdown
    Users,
    /// The attributes of a form of Open OnDemand
    Ondemand,
    /// A list of profiles for JupyterHub with batchspawner
    Jupyterhub,
}

impl Print {
    fn template(self) -> &'static str {
        match self {
            Print::Submit => "mig_submit.lua.j2",
            Print::Users => "users.md.j2",
            Print::Ondemand => "ondemand.yml.j2",
            Print::Jupyterhub => "jupyterhub.py.j2",
        }
    }
}

/// What `--json` says of a render.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report {
    changed: bool,
    files: Vec<PathBuf>,
    backups: Vec<PathBuf>,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let settings = session.settings()?;
    let root = &session.root;
    let Rendered { context, templates, outputs, links } = if args.inventory.is_empty() {
        this_node(session, &settings)?
    } else {
        cluster(&args.inventory, args.context, &settings, root)?
    };
    if args.context {
        return out::json(&context).map(|()| Exit::Ok);
    }
    if let Some(what) = args.print {
        return print_offer(what, &context, &settings, &templates, &session.global).map(|()| Exit::Ok);
    }
    let adopt = args.adopt || settings.adopt;
    if args.diff {
        let comparison = Comparison::new(outputs, adopt).map_err(publish::PublishError::from)?;
        return out::painted(&coloured(&comparison.diff())).map(|()| Exit::Ok);
    }
    let _lock = Lock::node(root)?;
    let staged = files::stage(outputs, adopt, &state_directory(root)).map_err(publish::PublishError::from)?;
    let linked = links.map(|links| publish::make_links(&links, root)).transpose();
    let linked = linked.map_err(publish::PublishError::from)?;
    let mut committed = staged.commit().map_err(publish::PublishError::from)?;
    committed.written.extend(linked.flatten());
    let report = Report {
        changed: !committed.written.is_empty(),
        files: committed.written,
        backups: committed.backups,
    };
    print(&report, &session.global)?;
    Ok(if report.changed && session.runs_slurm() { Exit::SlurmPending } else { Exit::Ok })
}

/// A diff with its colours. Its lines are those of the files, however long: patch(1) reads them.
fn coloured(diff: &str) -> Painted {
    let mut text = Painted::default();
    for line in diff.split_inclusive('\n') {
        let role = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Role::Title,
            [b'+', ..] => Role::New,
            [b'-', ..] => Role::Gone,
            [b'@', ..] => Role::Faint,
            _ => Role::Plain,
        };
        let end = line.trim_end_matches('\n').len();
        text.paint(role, &line[..end]);
        text.push(&line[end..]);
    }
    text
}

/// Files, and what they were rendered from.
struct Rendered {
    context: Context,
    templates: Templates,
    outputs: Vec<Output>,
    /// Links of this node that the files name; those of other nodes are made there.
    links: Option<Links>,
}

fn this_node(session: &Session, settings: &Settings) -> Result<Rendered, Failure> {
    let mut inventory = session.driver()?.inventory(&session.node_name(settings)?)?;
    slots::complete(&mut inventory, settings, &session.root);
    slots::check_entries(&inventory, settings).map_err(publish::PublishError::from)?;
    let release = publish::release(settings)?;
    publish::check_line(&inventory, settings, &session.root)?;
    let (table, outputs) = publish::outputs(&inventory, settings, &session.root, release, None)?;
    let context =
        Context::of_node(&inventory, &table, settings, release, &session.root).map_err(Failure::usage)?;
    let links = publish::stable_links(&inventory, &table, settings);
    Ok(Rendered { context, templates: templates(&session.root)?, outputs, links })
}

/// What is only looked at may come from anybody.
fn cluster(files: &[PathBuf], look: bool, settings: &Settings, root: &Root) -> Result<Rendered, Failure> {
    let usage = Failure::usage;
    let release = publish::release(settings)?;
    let mut cluster = Cluster::new(settings, release, root).map_err(|error| usage(error.to_string()))?;
    for file in files {
        let named = |error: String| usage(format!("{}: {error}", sender(file).1.display()));
        let (inventory, indexes) = read(file, look).map_err(usage)?;
        let table = |previous: &PreviousOrder| {
            GresTable::new(&inventory, settings, previous).map_err(|e| named(e.to_string()))
        };
        slots::check_entries(&inventory, settings).map_err(|e| named(e.to_string()))?;
        let fresh = table(&PreviousOrder::default())?;
        let table = table(&PreviousOrder::of_indexes(&fresh, &indexes))?;
        cluster.add(&inventory, &table).map_err(|e| named(e.to_string()))?;
    }
    cluster.complete().map_err(|error| usage(error.to_string()))?;
    let context = cluster.finish().map_err(|error| usage(error.to_string()))?;
    let templates = templates(root)?;
    let outputs = render::slurm_files(&templates, &context, settings, root)
        .map_err(|error| usage(error.to_string()))?;
    Ok(Rendered { context, templates, outputs, links: None })
}

fn templates(root: &Root) -> Result<Templates, Failure> {
    Templates::load(&root.path(Root::TEMPLATES)).map_err(|error| Failure::usage(error.to_string()))
}

fn print_offer(
    what: Print,
    context: &Context,
    settings: &Settings,
    templates: &Templates,
    global: &Global,
) -> Result<(), Failure> {
    let usage = Failure::usage;
    let offer = Offer::new(context, settings).map_err(|error| usage(error.to_string()))?;
    if global.json {
        return out::json(&offer);
    }
    let text = templates.make(what.template(), &offer, offer.types.len() as u64);
    out::text(&text.map_err(|error| usage(error.to_string()))?)
}

/// Reads the inventory of the node that the file is named after: what a node sends speaks for no other node.
pub(super) fn read(file: &Path, anybody: bool) -> Result<(Inventory, BTreeMap<String, usize>), String> {
    let (node, file) = sender(file);
    let name = file.display();
    let text = read::text(file, MAX_BYTES).map_err(|error| format!("{name}: {error}"))?;
    let (inventory, indexes) = document::read_indexed(&text).map_err(|error| format!("{name}: {error}"))?;
    if inventory.node != node && !anybody {
        let is = &inventory.node;
        return Err(format!(
            "{name}: is the inventory of node {is}, not of {node}; name the file {is}.json, or say {is}={name} where it \
             did come from {is}"
        ));
    }
    Ok((inventory, indexes))
}

/// The node that an argument is about, and its file.
pub(super) fn sender(argument: &Path) -> (String, &Path) {
    let named = argument.to_str().and_then(|text| text.split_once('='));
    match named.filter(|(node, _)| hostlist::is_name(node)) {
        Some((node, file)) => (node.to_owned(), Path::new(file)),
        None => (argument.file_stem().unwrap_or_default().to_string_lossy().into_owned(), argument),
    }
}

fn print(report: &Report, global: &Global) -> Result<(), Failure> {
    if global.json {
        return out::json(report);
    }
    if global.quiet { Ok(()) } else { out::text(&wrote(report.changed, &report.files, &report.backups)) }
}
