//! What `apply`, `clear` and `mode` share: the lock, the engine, progress, files, the exit code.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

use super::Global;
use super::changed::Report;
use super::progress::{Progress, message};
use super::report::{Exit, Failure, Outcome, stays_drained};
use super::session::Session;
use crate::apply::lock::Lock;
use crate::apply::steps::Step;
use crate::apply::{ApplyError, Engine, Event, Options, Wish};
use crate::boot;
use crate::config::Selector;
use crate::inventory::Inventory;
use crate::nvml::Driver;
use crate::publish::{Publication, PublishError, table};
use crate::site::{Drained, Site};
use crate::slurm::Settings;
use crate::slurm::links::Links;
use crate::slurm::shortfall::refused;
use crate::slurm::transition::Action;

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
    #[command(flatten)]
    left_out: LeftOut,
    /// Set by `apply --boot`: the files are those a boot writes.
    #[arg(skip)]
    pub(super) boot: bool,
    /// Do not ask slurmctld who holds slices: no job runs on this node
    #[arg(long, conflicts_with = "drain")]
    pub(super) offline: bool,
}

/// GPUs that a change, or the plan of one, leaves out.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct LeftOut {
    /// Leave out a GPU, by index, UUID, PCI address or model: a dead one, say
    #[arg(long, value_name = "GPU", value_parser = selector)]
    without: Vec<Selector>,
}

impl LeftOut {
    fn apply(&self, inventory: &mut Inventory) -> Vec<Selector> {
        boot::without(inventory, &self.without)
    }
}

/// Every text selects something, if not on this node.
pub(super) fn selector(text: &str) -> Result<Selector, Infallible> {
    text.parse()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum SlurmMode {
    /// Say what is left to do
    #[default]
    Print,
    /// Do it
    Apply,
}

/// One change of the node.
pub(super) struct Change<'a> {
    session: &'a Session,
    settings: &'a Settings,
    driver: Driver,
    site: Site<'a>,
}

impl<'a> Change<'a> {
    pub(super) fn new(session: &'a Session, settings: &'a Settings) -> Result<Self, Failure> {
        Self::with(session, settings, session.driver()?)
    }

    /// The same on a driver that is open.
    ///
    /// # Errors
    /// Where this node is not known to be one that Slurm knows.
    pub(super) fn with(
        session: &'a Session,
        settings: &'a Settings,
        driver: Driver,
    ) -> Result<Self, Failure> {
        let site = Site {
            root: &session.root,
            settings,
            node: session.node_name(settings)?,
            asked: session.runs_slurm(),
        };
        Ok(Change { session, settings, driver, site })
    }

    /// What a wish comes to, without doing it.
    pub(super) fn prepare(
        mut self,
        wish: &dyn Wish,
        left_out: &LeftOut,
        global: &Global,
    ) -> Result<(Inventory, Vec<Step>), Failure> {
        let unknown = Cell::new(Vec::new());
        let annotate = |inventory: &mut Inventory| {
            unknown.set(left_out.apply(inventory));
            self.site.annotate(inventory);
        };
        let root = &self.session.root;
        let publish = |inventory: &Inventory| Publication::stage(inventory, self.settings, root, false);
        let options = Options {
            node: &self.site.node,
            what: "plan",
            reset: false,
            annotate: &annotate,
            publish: &publish,
        };
        let mut silent = |_: Event<'_>| {};
        let engine = engine(&mut self.driver, self.session, &mut silent)?;
        let inventory = engine.read(&options)?;
        warn_unknown(&unknown.take(), &wish.unmatched(&inventory), global);
        let steps = engine.prepare(&inventory, wish)?;
        Ok((inventory, steps))
    }

    /// Does it: Slurm is asked, the hardware changed, files written, Slurm told.
    pub(super) fn run(mut self, wish: &dyn Wish, what: &str, args: &ChangeArgs, global: &Global) -> Outcome {
        let unknown = Cell::new(Vec::new());
        let root = &self.session.root;
        let _lock = Lock::node(root)?;
        self.site.asked &= !args.offline;
        let site = &self.site;
        let annotate = |inventory: &mut Inventory| {
            unknown.set(args.left_out.apply(inventory));
            site.annotate(inventory);
        };
        let written = |kind| !args.boot || boot::writes(kind);
        let publish = |inventory: &Inventory| {
            Publication::stage_where(inventory, self.settings, root, args.adopt, written)
        };
        let options =
            Options { node: &site.node, what, reset: args.reset, annotate: &annotate, publish: &publish };
        let progress = Progress::new(global.quiet);
        let mut show = |event: Event<'_>| progress.show(&event);
        let mut engine = engine(&mut self.driver, self.session, &mut show)?;
        let before = engine.read(&options)?;
        warn_unknown(&unknown.take(), &wish.unmatched(&before), global);
        let drained = match args.drain {
            Some(limit) if site.asked && wants_drain(&engine, &before, wish, &options, site)? => {
                Some(site.drain(what, limit)?)
            }
            _ => None,
        };
        let carry = || {
            let before = if drained.is_some() { engine.read(&options)? } else { before };
            let steps = engine.prepare(&before, wish)?;
            site.allow(&before, &steps)?;
            let loaded = site.loaded();
            let applied = engine.apply(before.clone(), wish, &options)?;
            let table = table(&applied.inventory, self.settings, root)?;
            if self.settings.stable_links {
                Links::new(&table, &applied.inventory).make(root).map_err(PublishError::from)?;
            }
            let left = site.left(&loaded, &table);
            let mut report = Report::new(&before, &steps, &applied);
            report.slurm_refuses =
                if args.boot { refused(self.settings, root, &site.node, &table) } else { Vec::new() };
            let done = args.slurm == SlurmMode::Apply && left.here;
            if done {
                site.carry_out(&left, &table, args.drain.unwrap_or_default())?;
            } else {
                report.slurm_pending = left.actions.iter().map(ToString::to_string).collect();
            }
            match &drained {
                Some(Drained::Theirs(reason)) => report.stays_drained = Some(reason.clone()),
                Some(Drained::Ours) if report.slurm_pending.is_empty() => site.resume()?,
                Some(Drained::Ours) => {
                    report.slurm_pending.push(Action::Resume(site.node.clone()).to_string())
                }
                None => {}
            }
            progress.clear();
            report.print(&before, &applied, global)?;
            Ok(report.exit())
        };
        let outcome: Outcome = carry();
        match drained {
            Some(Drained::Ours) => outcome.map_err(|failure| failure.also(&stays_drained(&site.node))),
            _ => outcome,
        }
    }
}

/// A GPU that died may be one that the driver no longer lists, so an unknown one is no error.
/// So may one of a layout, whose file may serve several nodes.
fn warn_unknown(left_out: &[Selector], layout: &[String], global: &Global) {
    let options = left_out.iter().map(|selector| format!("--without {selector}"));
    for name in options.chain(layout.iter().map(|name| format!("devices: {name}"))).filter(|_| !global.quiet)
    {
        message(format_args!("warning: {name}: no such GPU on this node"));
    }
}

/// Whether the change takes an empty node. What is not possible on an empty node either drains nothing, and
/// neither do files that cannot be written.
fn wants_drain(
    engine: &Engine<'_>,
    before: &Inventory,
    wish: &dyn Wish,
    options: &Options<'_>,
    site: &Site<'_>,
) -> Result<bool, Failure> {
    (options.publish)(before).map_err(Failure::from)?;
    match engine.prepare(before, wish) {
        Ok(steps) => Ok(!steps.is_empty() || site.differs(before, &steps)?),
        Err(ApplyError::Busy(_) | ApplyError::InTheWay { .. }) => Ok(true),
        Err(error) => Err(error.into()),
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
