//! `gresgen apply`

use std::time::Duration;

use super::change::{self, ChangeArgs, change, stop};
use super::changed::Report;
use super::progress::{Progress, message};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::apply::DesiredState;
use crate::apply::steps::Step;
use crate::config::Config;
use crate::devices::boot_id;
use crate::lock::{Lock, LockError};
use crate::node::boot::{self, BootFallback, BootLeft};
use crate::node::undo::{Undo, UndoError};
use crate::node::{Done, Options, Waiting};
use crate::site::OPEN;
use crate::wait::{Ended, Stop};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    change: ChangeArgs,
    /// Go back to what the GPUs were before the change that was cut off, or else before the last one, or before that of
    /// this number in the history
    #[arg(long, value_name = "ID", num_args = 0..=1, conflicts_with = "boot")]
    undo: Option<Option<u64>>,
    /// Open what orders have closed, and change no cut
    #[arg(long, conflicts_with_all = ["undo", "boot"])]
    open: bool,
    /// Restore the layout at boot: wait for the driver, write what slurmd reads, drain the node if that fails
    #[arg(long, conflicts_with_all = ["drain", "slurm"])]
    boot: bool,
    /// How long --boot waits for the driver
    #[arg(long, value_name = "DURATION", default_value = "2m", requires = "boot", value_parser = humantime::parse_duration)]
    wait: Duration,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    if args.boot {
        return boot(session, args);
    }
    let config = session.config()?;
    if let Some(id) = args.undo {
        return undo(session, args, &config, id);
    }
    if args.open {
        return change::run(session, &config.slurm, open(session, &config)?, OPEN, None, &args.change);
    }
    let layout = session.layout(&config)?;
    let what = format!("layout {}", layout);
    let chosen = session.chooses()?.then_some(layout);
    change::run(session, &config.slurm, session.desired(&config)?, &what, chosen, &args.change)
}

/// What the GPUs are, with nothing closed.
///
/// # Errors
/// Where a layout is asked for, too, which would cut them anew.
pub(super) fn open<'a>(session: &Session, config: &'a Config) -> Result<DesiredState<'a>, Failure> {
    match session.global.layout {
        Some(_) => {
            Err(Failure::usage("--open: not with --layout, which makes the layout and opens everything"))
        }
        None => Ok(DesiredState::Open(&config.slurm)),
    }
}

/// Goes back. The layout that was chosen with the change is no longer meant then, but the one before it.
fn undo(session: &Session, args: &Args, config: &Config, id: Option<u64>) -> Outcome {
    let undo = Undo::find(&session.root, id, config)?;
    let desired = DesiredState::Before(&undo.before);
    let layout = undo.layout.as_deref();
    let exit = change::run(session, &config.slurm, desired, &undo.what, layout, &args.change)?;
    if undo.cut_off {
        return Ok(exit);
    }
    undo.forget_layout(&session.root)?;
    let meant = session.layout(config)?;
    if !session.global.quiet {
        message(format_args!(
            "layout {meant} is what the next apply or boot makes; gresgen check says what differs"
        ));
    }
    Ok(exit)
}

impl From<UndoError> for Failure {
    fn from(error: UndoError) -> Self {
        match error {
            UndoError::Path(error) => error.into(),
            UndoError::Damaged { .. } => Failure::failed(error.to_string()),
            UndoError::NoGpu(_) => Failure::usage(error),
            UndoError::Unknown(_) => Failure::usage(error).hint("gresgen history lists them"),
        }
    }
}

/// A node must come up, with what it has: slurmd ends when its gres.conf names a device that is not there. One that
/// is in service already is changed as by any apply, and left as it is where that fails.
fn boot(session: &Session, args: &Args) -> Outcome {
    let root = &session.root;
    let id = boot_id(root).unwrap_or_default();
    let in_service = session.runs_slurm() && boot::in_service(root, &id);
    let stop = stop()?;
    let progress = Progress::new(session.global.quiet);
    let mut told = |since, why: &LockError| {
        wait(&progress, "whoever changes the node", since, args.wait, &why.to_string());
    };
    let lock = boot::retry(args.wait, &stop, &mut told, || Lock::node(root)).map_err(ended);
    let config = session.config();
    // What a wrong configuration says of names and paths is not known: the paths are the defaults then, and the node's
    // name is looked for in its own files (`boot::fall_back`).
    let configured = config.is_ok();
    let settings = config.as_ref().map(|config| config.slurm.clone()).unwrap_or_default();
    let site = session.site(&settings, session.node_name_if_known(&settings));
    let restored = lock.and_then(|lock| {
        let restored = restore(session, args, &config?, &lock, in_service, stop.clone())?;
        Ok((lock, restored))
    });
    match restored {
        Ok((_lock, (done, shown))) => {
            let drained = boot::announce(&site, &done.table, in_service);
            let report = Report::new(&done).drained(drained);
            report.print(&done, &shown, &session.global)?;
            Ok(report.exit())
        }
        Err(failure) => {
            let reason = failure.error.to_string();
            let driver = || session.driver().ok();
            let left = boot::give_up(&site, configured, &id, in_service, &stop, driver, &reason);
            Err(match left {
                BootLeft::Interrupted => failure,
                BootLeft::InService => failure.also("the node is in service, and is left as it is"),
                BootLeft::Drained(fallback) => failure.hint(fallen_back(fallback)),
            })
        }
    }
}

/// What a node that could not be what it shall be comes up with.
fn fallen_back(BootFallback { node, files, drained }: BootFallback) -> String {
    let drained = match drained {
        Ok(()) => format!("{node} is drained"),
        Err(error) => {
            format!("{node} could not be drained ({error}); slurmctld drains it when slurmd registers")
        }
    };
    let files = match files {
        Ok(true) => "slurmd can start, with the GPUs as they are".to_owned(),
        Ok(false) => "slurmd can start, without GPUs".to_owned(),
        Err(error) => {
            format!(
                "slurmd finds gres.conf as it was, and ends where a device that it names is gone ({error})"
            )
        }
    };
    format!("{files}; {drained}; then: gresgen apply")
}

fn restore(
    session: &Session,
    args: &Args,
    config: &Config,
    lock: &Lock,
    in_service: bool,
    stop: Stop,
) -> Result<(Done, Vec<Step>), Failure> {
    let progress = Progress::new(session.global.quiet);
    let mut told = |since, why: &Failure| {
        wait(&progress, "the driver", since, args.wait, &why.error.to_string());
    };
    let driver = boot::retry(args.wait, &stop, &mut told, || session.driver()).map_err(ended)?;
    drop(progress);
    let label = session.restored(config)?;
    let mut node = session.node_with(&config.slurm, driver)?;
    node.site.asks_slurmctld &= in_service && !args.change.offline;
    let hooks = args.change.hooks(session)?;
    let options = Options { boot: true, hooks: Some(&hooks), ..args.change.options("boot", None) };
    // Instances are gone after a reboot; those of a node in service may be in use, as an order cut them.
    let desired =
        if in_service { DesiredState::InForce(config, label) } else { DesiredState::Layout(config, label) };
    change(&mut node, lock, desired, &options, stop, session)
}

fn wait(progress: &Progress, what: &str, since: Duration, limit: Duration, why: &str) {
    progress.wait(&Waiting { what, since, limit, why });
}

/// Why a wait ended.
fn ended<E: Into<Failure>>(ended: Ended<E>) -> Failure {
    match ended {
        Ended::Stopped => Failure::new(Exit::Interrupted, "interrupted by a signal"),
        Ended::Late(error) => error.into(),
    }
}
