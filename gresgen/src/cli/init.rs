//! `gresgen init`

use std::io::{ErrorKind, IsTerminal, stdout};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::export::not_expressible;
use super::progress::message;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{out, render};
use crate::init::{self, FirstConfig, Found, InitError, LayoutOf, patch, write};
use crate::lock::Lock;
use crate::root::Root;
use crate::slurm::Settings;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The layout that is meant [default: current where a GPU is cut already or jobs have shares of GPUs, else balanced]
    #[arg(long, value_name = "LAYOUT", conflicts_with = "inventory")]
    layout_of: Option<LayoutOf>,
    /// Edit slurm.conf and plugstack.conf too, keeping copies; without it the edits are printed as a patch
    #[arg(long)]
    write: bool,
    /// Replace a configuration that is there; a copy is kept
    #[arg(long)]
    force: bool,
    /// Make the configuration of a cluster, on the host of its slurm.conf, from inventories that `gresgen status --json`
    /// wrote on its nodes
    #[arg(long, value_name = "[NODE=]FILE", num_args = 1..)]
    inventory: Vec<PathBuf>,
}

/// What `--json` says.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report {
    /// Files that were written.
    files: Vec<PathBuf>,
    /// Copies of those that were there.
    backups: Vec<PathBuf>,
    /// The layout that is meant.
    layout: Option<&'static str>,
    /// What is left to edit, as a unified patch.
    patch: String,
    /// What is left for a person.
    notes: Vec<String>,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    if session.global.config.as_deref() == Some(Path::new("-")) {
        return Err(Failure::usage("--config -: init writes a file").hint("name it: --config FILE"));
    }
    let root = &session.root;
    let found = Found::read(root)?;
    let is_cluster = !args.inventory.is_empty();
    let first = if is_cluster {
        cluster(&args.inventory, found.as_ref(), root)?
    } else {
        node(session, found.as_ref(), args)?
    };
    let default = if is_cluster { Root::CLUSTER } else { Root::CONFIG };
    let path = session.global.config.clone().unwrap_or_else(|| root.path(default));
    let _lock = Lock::node(root)?;
    let config = write::config(path, &first.config, args.force)?;
    let (made, left) = if args.write { (&first.edits[..], &[][..]) } else { (&[][..], &first.edits[..]) };
    // The configuration comes last: where an edit fails, the same command can be given again.
    let edits: Vec<init::Edit> = made.iter().cloned().chain([config]).collect();
    let wrote = write::write(&edits, root)?;
    let patch = patch::unified(left, root);
    if session.global.json {
        let layout = first.layout.map(LayoutOf::label);
        let patch = String::from_utf8_lossy(&patch).into_owned();
        let report = Report { files: wrote.files, backups: wrote.backups, layout, patch, notes: first.notes };
        return out::json(&report).map(|()| Exit::Ok);
    }
    if !session.global.quiet {
        say(&first, &wrote, &patch, is_cluster, root);
    }
    print(&patch)?;
    Ok(Exit::Ok)
}

fn node(session: &Session, found: Option<&Found>, args: &Args) -> Result<FirstConfig, Failure> {
    let inventory = session.driver()?.inventory(&session.node_name(&Settings::default())?)?;
    let first = init::node(&inventory, found, args.layout_of, &session.root)?;
    if first.layout == Some(LayoutOf::Current) {
        for gpu in not_expressible(&inventory, &first.config, LayoutOf::Current.label()) {
            session.warn(format_args!("GPU {gpu}: holds what a configuration cannot say; apply changes it"));
        }
    }
    Ok(first)
}

fn cluster(files: &[PathBuf], found: Option<&Found>, root: &Root) -> Result<FirstConfig, Failure> {
    let read = |file: &PathBuf| Ok(render::read(file, false).map_err(Failure::usage)?.0);
    let nodes: Vec<_> = files.iter().map(read).collect::<Result<_, Failure>>()?;
    Ok(init::cluster(&nodes, found, root)?)
}

/// What was done, and what comes next.
fn say(first: &FirstConfig, wrote: &write::WrittenFiles, patch: &[u8], is_cluster: bool, root: &Root) {
    for file in &wrote.files {
        message(format_args!("wrote {}", file.display()));
    }
    for backup in &wrote.backups {
        message(format_args!("kept the previous one as {}", backup.display()));
    }
    for note in &first.notes {
        message(format_args!("note: {note}"));
    }
    if let Some(layout) = first.layout {
        message(format_args!("layout: {}, see the file for others", layout.label()));
    }
    if !patch.is_empty() {
        let folder = root.prefix().display();
        message(format_args!(
            "Slurm's files are yours to edit, as below: gresgen init --write does it, and so does patch -p0 in {folder}"
        ));
    }
    if is_cluster {
        message("next: gresgen --config FILE render --inventory ..., see gresgen.md")
    } else {
        message("next: gresgen plan, gresgen apply")
    }
}

/// Prints the patch. For a program it is printed byte by byte, as files may be in any encoding.
fn print(patch: &[u8]) -> Result<(), Failure> {
    if stdout().is_terminal() {
        return out::text(&String::from_utf8_lossy(patch));
    }
    out::bytes(patch)
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        let hint = match &error {
            InitError::Exists(_) => {
                "--force replaces it and keeps a copy; gresgen plan shows what it comes to"
            }
            InitError::File(_) => "nothing was written",
            InitError::Outside(_) => {
                "edit it where it belongs, or put a copy of it in the place of the link; nothing was written"
            }
            InitError::Line { .. } => "mend that line, then try again; nothing was written",
            InitError::Missing { .. } => "mend the include, then try again; nothing was written",
            InitError::Unknown(_) => {
                "run it where slurmd is installed, or give slurm.conf a NodeName line with CPUs="
            }
            InitError::NoSlurm => "run it on the host of slurmctld, or set SLURM_CONF",
            InitError::NoGpu(_) => "gresgen profiles --models lists the GPUs that can be cut",
            InitError::Config(_) | InitError::Template(_) => {
                "Slurm's files say what a configuration cannot: mend it there, then try again; nothing was written"
            }
            InitError::Io { source, .. } => match source.kind() {
                ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::FileTooLarge => {
                    "a file of text belongs there: move away what is there, then try again"
                }
                _ => "mend that, then give the same command again: it makes what is left",
            },
        };
        let exit = if matches!(error, InitError::Io { .. }) { Exit::Failure } else { Exit::Usage };
        Failure::new(exit, error).hint(hint)
    }
}
