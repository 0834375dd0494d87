//! What `apply`, `clear` and `mode` share: options, the lock, and what is printed.

use std::path::PathBuf;
use std::time::Duration;

use super::changed::Report;
use super::gpus::LeftOut;
use super::progress::{Progress, message};
use super::report::{Failure, Outcome};
use super::session::Session;
use super::{Global, out, steps_text};
use crate::apply::DesiredState;
use crate::apply::preview::Preview;
use crate::apply::steps::Step;
use crate::hooks::Hooks;
use crate::lock::Lock;
use crate::node::{Done, Event, Events, Node, Options, Picture};
use crate::slurm::Settings;
use crate::wait::Stop;

/// Options of every verb that changes GPUs.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ChangeArgs {
    /// Reset a GPU where its MIG mode needs it (Ampere); ends everything that runs on that GPU
    #[arg(long)]
    reset: bool,
    /// Take over files that gresgen did not write; a backup is kept
    #[arg(long)]
    adopt: bool,
    /// Drain the node first and wait for its jobs, at most this long [default: 1h]; resume it when all went well
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "1h",
          value_parser = humantime::parse_duration)]
    drain: Option<Duration>,
    /// What to do to Slurm's daemons afterwards
    #[arg(long, value_name = "WHAT", default_value = "print")]
    slurm: SlurmMode,
    /// A file of hooks in the form of NVIDIA's mig-parted, instead of that of the configuration
    #[arg(long, value_name = "FILE")]
    hooks_file: Option<PathBuf>,
    #[command(flatten)]
    left_out: LeftOut,
    /// Do not ask slurmctld who holds slices: no job runs on this node
    #[arg(long, conflicts_with = "drain")]
    pub(super) offline: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum SlurmMode {
    /// Say what is left to do
    #[default]
    Print,
    /// Do it
    Apply,
}

impl ChangeArgs {
    /// What the library is told.
    pub(super) fn options<'a>(&'a self, what: &'a str, layout: Option<&'a str>) -> Options<'a> {
        Options {
            what,
            layout,
            without: &self.left_out.without,
            reset: self.reset,
            adopt: self.adopt,
            drain: self.drain,
            tell_slurm: self.slurm == SlurmMode::Apply,
            boot: false,
            hooks: None,
        }
    }

    /// What is done around the change.
    ///
    /// # Errors
    /// A configuration or a file of hooks that is wrong, or that others can write.
    pub(super) fn hooks(&self, session: &Session) -> Result<Hooks, Failure> {
        Ok(Hooks::new(session.hooks()?, self.hooks_file.as_deref(), &session.root)?)
    }
}

/// Changes the node as a verb that was asked for.
pub(super) fn run(
    session: &Session,
    settings: &Settings,
    desired: DesiredState<'_>,
    what: &str,
    layout: Option<&str>,
    args: &ChangeArgs,
) -> Outcome {
    let mut node = session.node_with(settings, session.driver()?)?;
    node.site.asks_slurmctld &= !args.offline;
    let hooks = args.hooks(session)?;
    let lock = Lock::node(&session.root)?;
    let options = Options { hooks: Some(&hooks), ..args.options(what, layout) };
    let (done, shown) = change(&mut node, &lock, desired, &options, stop()?, session)?;
    let report = Report::new(&done);
    report.print(&done, &shown, &session.global)?;
    Ok(report.exit())
}

/// Set from now on by signals.
pub(super) fn stop() -> Result<Stop, Failure> {
    Stop::on_signals().map_err(Failure::failed)
}

/// Reads, prepares, shows what will be done and carries it out, with progress on standard error. Gives the steps shown,
/// too: what is done after a wait may be something else.
pub(super) fn change(
    node: &mut Node<'_>,
    lock: &Lock,
    desired: DesiredState<'_>,
    options: &Options<'_>,
    stop: Stop,
    session: &Session,
) -> Result<(Done, Vec<Step>), Failure> {
    let picture = node.read(options)?;
    warn(&picture, desired, session);
    let prepared = node.prepare(picture, desired, options)?;
    let mut shown = Vec::new();
    let Global { quiet, json, .. } = session.global;
    if !quiet && !json && !prepared.steps.is_empty() && prepared.refusal.is_none() {
        shown.clone_from(&prepared.steps);
        out::painted(&steps_text::gpus(&prepared.before, &Preview::new(&prepared.before, &shown)))?;
    }
    let progress = Progress::new(quiet);
    progress.expect(prepared.steps.len());
    let mut show = |event: Event<'_>| progress.show(&event);
    let done = node.carry_out(lock, prepared, desired, options, &mut Events { show: &mut show, stop })?;
    drop(progress);
    if !node.site.in_slurm && !quiet && !done.files.written.is_empty() {
        message("no Slurm on this node: wrote its device map only");
    }
    Ok((done, shown))
}

/// A GPU that died may be one that the driver no longer lists, so an unknown one is no error.
/// So may one of a layout, whose file may serve several nodes.
pub(super) fn warn(picture: &Picture, desired: DesiredState<'_>, session: &Session) {
    for devices in desired.overruled(&picture.inventory) {
        session.warn(format_args!(
            "devices: {devices}: a later entry of the layout has these GPUs, and this one does nothing"
        ));
    }
    let stay = desired.stays(&picture.inventory);
    if let (false, Some(label)) = (stay.is_empty() || session.global.quiet, desired.label()) {
        let gpus: Vec<String> = stay.iter().map(u32::to_string).collect();
        let is_closed = picture.inventory.gpus.iter().flat_map(|gpu| &gpu.instances).any(|i| i.closed);
        let opens = if is_closed { ", --open opens what is closed" } else { "" };
        message(format_args!(
            "GPU {}: takes orders and stays as they have left it; --layout {label} makes it the layout{opens}",
            gpus.join(", ")
        ));
    }
    let options = picture.absent.iter().map(|selector| format!("--without {selector}"));
    let layout = desired.unmatched(&picture.inventory).into_iter().map(|name| format!("devices: {name}"));
    for name in options.chain(layout) {
        session.warn(format_args!("{name}: no such GPU on this node"));
    }
}
