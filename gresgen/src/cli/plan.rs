//! `gresgen plan`

use std::fmt::Write;

use serde::Serialize;

use super::change::warn;
use super::gpus::LeftOut;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, draw, out};
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
    /// Do not ask slurmctld who holds slices: no job runs on this node
    #[arg(long)]
    offline: bool,
    /// End with 10 where there is something to do, and with 0 where there is nothing
    #[arg(long)]
    detailed_exitcode: bool,
}

/// What `--json` says.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether GPUs or files become others.
    changed: bool,
    gpus: &'a [GpuPreview],
    files: &'a [FileChange],
    /// What is in the way; an apply is refused for it as things are.
    blocked: Vec<String>,
    /// Whether Slurm starts no jobs on the node while it changes.
    drains: bool,
    /// What is then to be done in Slurm, as shell lines in order.
    slurm_pending: Vec<String>,
    /// What an apply that was cut off had set out to do.
    interrupted: Option<&'a str>,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let config = session.config(global)?;
    let layout = session.layout(&config, global)?;
    let mut node = session.node_with(&config.slurm, session.driver()?)?;
    node.site.asked &= !args.offline;
    let hooks = Hooks::new(session.hooks(global)?, None, &session.root)?;
    let options = Options {
        without: &args.left_out.without,
        adopt: args.adopt,
        hooks: Some(&hooks),
        ..Options::default()
    };
    let picture = node.read(&options)?;
    warn(&picture, &layout, global);
    let prepared = node.prepare(picture, &layout, &options)?;
    let preview = Preview::new(&prepared.before, &prepared.steps);
    let pending: Vec<String> = prepared.left.actions.iter().map(ToString::to_string).collect();
    let blocked: Vec<String> = prepared.blocked.iter().map(ToString::to_string).collect();
    if global.json {
        out::json(&Report {
            changed: prepared.changes(),
            gpus: &preview.gpus,
            files: &prepared.files,
            blocked,
            drains: prepared.fenced,
            slurm_pending: pending,
            interrupted: prepared.interrupted.as_ref().map(|intent| &*intent.what),
        })?
    } else {
        out::text(&text(&prepared, &preview, &blocked, &pending))?
    }
    let nothing = prepared.is_nothing();
    match prepared.refusal {
        // Who is in the way is part of the plan; everything else that would refuse it is an error.
        Some(refusal) => {
            let failure = Failure::from(refusal);
            if blocked_alone(&failure) { Ok(failure.exit) } else { Err(failure) }
        }
        None if args.detailed_exitcode && !nothing => Ok(Exit::Changes),
        None => Ok(Exit::Ok),
    }
}

fn blocked_alone(failure: &Failure) -> bool {
    failure.exit == Exit::InUse
}

/// The whole plan for a person.
fn text(prepared: &Prepared, preview: &Preview, blocked: &[String], pending: &[String]) -> String {
    let mut out = String::new();
    if let Some(intent) = &prepared.interrupted {
        let _ = writeln!(out, "finishes what was interrupted: {}", intent.what);
    }
    if !prepared.changes() {
        out.push_str("nothing to change\n");
    }
    if preview.changed {
        out.push_str(&draw::change(&prepared.before, preview));
    }
    out.push_str(&out::table(&prepared.files.iter().map(row).collect::<Vec<_>>()));
    for line in blocked.iter().flat_map(|what| what.lines()) {
        let _ = writeln!(out, "blocked: {line}");
    }
    if prepared.fenced {
        let _ = writeln!(out, "{}: takes no new jobs meanwhile", prepared.before.node);
    }
    out.push_str(&draw::left_to_do(pending));
    out
}

fn row(file: &FileChange) -> Vec<String> {
    let verb = match file.change {
        Change::Create => "create",
        Change::Change => "change",
        Change::Adopt => "adopt",
        Change::Foreign => "foreign",
    };
    let what = if file.certain {
        file.what.clone()
    } else {
        format!("{}, if the new instances have other device numbers", file.what)
    };
    vec![verb.to_owned(), file.path.display().to_string(), what]
}
