//! `gresgen plan`

use std::fmt::Write;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::apply::open;
use super::change::warn;
use super::gpus::LeftOut;
use super::paint::{Cell, Painted, Role, table};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{out, picture, screen, steps_text};
use crate::apply::preview::{GpuPreview, Preview};
use crate::hooks::Hooks;
use crate::node::{FileChange, Options, Prepared, Write as Change};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    left_out: LeftOut,
    /// Show the plan of an apply that takes over files which gresgen did not write
    #[arg(long)]
    adopt: bool,
    /// Show the plan of an apply --open
    #[arg(long)]
    open: bool,
    /// Do not ask slurmctld who holds slices: no job runs on this node
    #[arg(long)]
    offline: bool,
    /// End with 10 where there is something to do, and with 0 where there is nothing
    #[arg(long)]
    detailed_exitcode: bool,
    /// Write the slices before and after as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What `--json` says.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report<'a> {
    /// Whether GPUs or files become others.
    changed: bool,
    gpus: &'a [GpuPreview],
    /// What becomes closed to Slurm or open to it, in words.
    gates: &'a [String],
    files: &'a [FileChange],
    /// What is in the way; an apply is refused for it as things are.
    blocked: &'a [String],
    /// Whether Slurm starts no jobs on the node while it changes.
    drains: bool,
    /// What is then to be done in Slurm, as shell lines in order.
    slurm_pending: Vec<String>,
    /// What an apply that was cut off had set out to do.
    interrupted: Option<&'a str>,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let config = session.config()?;
    let desired = if args.open { open(session, &config)? } else { session.desired(&config)? };
    let mut node = session.node_with(&config.slurm, session.driver()?)?;
    node.site.asks_slurmctld &= !args.offline;
    let hooks = Hooks::new(session.hooks()?, None, &session.root)?;
    let options = Options {
        without: &args.left_out.without,
        adopt: args.adopt,
        hooks: Some(&hooks),
        ..Options::default()
    };
    let picture = node.read(&options)?;
    warn(&picture, desired, session);
    let prepared = node.prepare(picture, desired, &options)?;
    let preview = Preview::new(&prepared.before, &prepared.steps);
    let pending: Vec<String> = prepared.pending_actions.actions.iter().map(ToString::to_string).collect();
    if let Some(path) = &args.svg {
        picture::write(path, &picture::of_change(&prepared.before, &preview))?;
    }
    if args.svg.as_deref() == Some(Path::new("-")) {
        // The picture is what is printed.
    } else if session.global.json {
        out::json(&Report {
            changed: prepared.changes(),
            gpus: &preview.gpus,
            gates: &prepared.gates,
            files: &prepared.files,
            blocked: &prepared.blocked,
            drains: prepared.fenced,
            slurm_pending: pending,
            interrupted: prepared.interrupted.as_ref().map(|intent| &*intent.what),
        })?
    } else {
        out::painted(&text(&prepared, &preview, &pending))?
    }
    let nothing = prepared.is_nothing();
    match prepared.refusal {
        // Who is in the way is part of the plan; everything else that would refuse it is an error.
        Some(refusal) => {
            let failure = Failure::from(refusal);
            if failure.exit == Exit::InUse { Ok(failure.exit) } else { Err(failure) }
        }
        None if args.detailed_exitcode && !nothing => Ok(Exit::Changes),
        None => Ok(Exit::Ok),
    }
}

/// The whole plan for a person.
fn text(prepared: &Prepared, preview: &Preview, pending: &[String]) -> Painted {
    let mut text = Painted::default();
    if let Some(intent) = &prepared.interrupted {
        let _ = writeln!(text, "finishes what was interrupted: {}", intent.what);
    }
    if !prepared.changes() {
        text.push("nothing to change\n");
    }
    if preview.changed {
        text.append(&steps_text::gpus(&prepared.before, preview));
    }
    for gate in &prepared.gates {
        let _ = writeln!(text, "{gate}");
    }
    let files: Vec<Vec<Cell>> = prepared.files.iter().map(row).collect();
    text.append_rows(&table(&files, "", screen::line()));
    for line in prepared.blocked.iter().flat_map(|what| what.lines()) {
        const BLOCKED: &str = "blocked";
        let line = screen::output(&format!("{BLOCKED}: {line}\n"), 2);
        text.paint(Role::Warning, BLOCKED);
        text.push(&line[BLOCKED.len()..]);
    }
    if prepared.fenced {
        let _ = writeln!(text, "{}: takes no new jobs meanwhile", prepared.before.node);
    }
    text.push(&steps_text::in_slurm("left to do in Slurm", pending));
    text
}

fn row(file: &FileChange) -> Vec<Cell> {
    let (role, verb) = match file.change {
        Change::Create => (Role::New, "create"),
        Change::Change => (Role::Busy, "change"),
        Change::Adopt => (Role::Busy, "adopt"),
        Change::Foreign => (Role::Gone, "foreign"),
    };
    let what = if file.certain {
        file.what.clone()
    } else {
        format!("{}, if the new instances have other device numbers", file.what)
    };
    vec![Cell::new(role, verb), file.path.display().to_string().into(), what.into()]
}
