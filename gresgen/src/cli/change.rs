//! What `apply`, `clear` and `mode` share: the lock, the engine, progress, files, the exit code.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, out, plan};
use crate::apply::lock::Lock;
use crate::apply::preview::Preview;
use crate::apply::steps::Step;
use crate::apply::{Applied, Engine, Event, Options, Wish, name};
use crate::inventory::Inventory;
use crate::nvml::Driver;
use crate::publish::Publication;
use crate::slurm::Settings;

/// Options of every verb that changes GPUs.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ChangeArgs {
    /// Reset a GPU where its MIG mode needs it (Ampere); ends everything that runs on that GPU
    #[arg(long)]
    reset: bool,
    /// Take over files that gresgen did not write; a backup is kept
    #[arg(long)]
    adopt: bool,
}

/// One change of the node.
pub(super) struct Change<'a> {
    session: &'a Session,
    settings: &'a Settings,
    driver: Driver,
}

/// What `--json` says of a change.
#[derive(Serialize)]
struct Report {
    changed: bool,
    preview: Preview,
    files: Vec<PathBuf>,
    backups: Vec<PathBuf>,
    /// UUIDs of GPUs whose MIG mode waits for a reset or reboot.
    reset_pending: Vec<String>,
}

impl<'a> Change<'a> {
    pub(super) fn new(session: &'a Session, settings: &'a Settings) -> Result<Self, Failure> {
        Ok(Change { session, settings, driver: session.driver()? })
    }

    /// What a wish comes to, without doing it.
    pub(super) fn prepare(mut self, wish: &dyn Wish) -> Result<(Inventory, Vec<Step>), Failure> {
        let node = self.session.node_name(self.settings);
        let options = Options { node: &node, what: "plan", reset: false, annotate: &|_| {} };
        let mut silent = |_: Event<'_>| {};
        let engine = engine(&mut self.driver, self.session, &mut silent)?;
        let inventory = engine.read(&options)?;
        let steps = engine.prepare(&inventory, wish)?;
        Ok((inventory, steps))
    }

    /// Does it: hardware, then files.
    pub(super) fn run(mut self, wish: &dyn Wish, what: &str, args: &ChangeArgs, global: &Global) -> Outcome {
        let root = &self.session.root;
        let _lock = Lock::node(root)?;
        let node = self.session.node_name(self.settings);
        let options = Options { node: &node, what, reset: args.reset, annotate: &|_| {} };
        let mut progress = progress(global.quiet);
        let mut engine = engine(&mut self.driver, self.session, &mut progress)?;

        let before = engine.read(&options)?;
        let preview = Preview::new(&before, &engine.prepare(&before, wish)?);
        // What would refuse the files afterwards must refuse the change beforehand.
        Publication::stage(&before, self.settings, root, args.adopt)?;
        let applied = engine.apply(wish, &options)?;

        let publication = Publication::stage(&applied.inventory, self.settings, root, args.adopt)?;
        let committed = publication.commit().map_err(crate::publish::PublishError::from)?;
        let report = Report {
            changed: applied.steps > 0 || !committed.written.is_empty(),
            preview,
            files: committed.written,
            backups: committed.backups,
            reset_pending: applied.pending.iter().map(|(gpu, _)| gpu.clone()).collect(),
        };
        report.print(&before, &applied, global)?;
        Ok(self.exit(&report))
    }

    fn exit(&self, report: &Report) -> Exit {
        if !report.reset_pending.is_empty() {
            Exit::ResetPending
        } else if !report.files.is_empty() && self.session.runs_slurm() {
            Exit::SlurmPending
        } else {
            Exit::Ok
        }
    }
}

impl Report {
    fn print(&self, before: &Inventory, applied: &Applied, global: &Global) -> Result<(), Failure> {
        if global.json {
            return out::json(self);
        }
        if global.quiet {
            return Ok(());
        }
        if !self.changed {
            return out::text("nothing to change\n");
        }
        let mut text = String::new();
        if self.preview.changed {
            text.push_str(&plan::text(before, &self.preview));
        }
        for file in &self.files {
            text.push_str(&format!("wrote {}\n", file.display()));
        }
        for backup in &self.backups {
            text.push_str(&format!("kept the previous one as {}\n", backup.display()));
        }
        for (gpu, code) in &applied.pending {
            text.push_str(&format!("{gpu}: MIG mode is pending: {code}\n"));
        }
        out::text(&text)
    }
}

fn engine<'a>(
    driver: &'a mut Driver,
    session: &'a Session,
    events: &'a mut dyn FnMut(Event<'_>),
) -> Result<Engine<'a>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|e| Failure::new(Exit::Failure, e))?;
    }
    Ok(Engine { driver, root: &session.root, events, stop })
}

/// A line on standard error per step; on a terminal the next step takes the place of the one before.
fn progress(quiet: bool) -> impl FnMut(Event<'_>) {
    let terminal = stderr().is_terminal();
    move |event| {
        if quiet {
            return;
        }
        match event {
            Event::Begin(number, of, step, gpu) => {
                let what = match step {
                    Step::Mode { on, .. } => {
                        format!("GPU {} MIG mode {}", gpu.index, if *on { "on" } else { "off" })
                    }
                    Step::Destroy { slice, .. } => format!("destroy {}", name(gpu, slice)),
                    Step::Create { slice, .. } => format!("create {}", name(gpu, slice)),
                    Step::Recut { slice, .. } => format!("divide {}", name(gpu, slice)),
                };
                match terminal {
                    true => eprint!(
                        "\r\x1b[K[{number}/{of}] {what}{}",
                        if number == of { "\r\x1b[K" } else { "" }
                    ),
                    false => eprintln!("[{number}/{of}] {what}"),
                }
            }
            Event::Reset(gpu) => eprintln!("resetting GPU {}", gpu.index),
            Event::RollingBack(error) => eprintln!("{error}; putting back what was"),
        }
    }
}
