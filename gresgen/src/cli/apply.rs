//! `gresgen apply`

use std::time::Duration;

use super::Global;
use super::change::{self, ChangeArgs, change, stop};
use super::changed::Report;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::apply::intent::Intent;
use crate::apply::lock::Lock;
use crate::apply::steps::Step;
use crate::apply::wish::Layout;
use crate::config::Config;
use crate::devices::boot_id;
use crate::node::{Done, Options, boot};
use crate::wait::{Ended, Stop};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    change: ChangeArgs,
    /// Go back to what the GPUs were before an apply that was cut off
    #[arg(long, conflicts_with = "boot")]
    undo: bool,
    /// Restore the layout at boot: wait for the driver, write what slurmd reads, drain the node if that fails
    #[arg(long, conflicts_with_all = ["drain", "slurm"])]
    boot: bool,
    /// How long --boot waits for the driver
    #[arg(long, value_name = "DURATION", default_value = "2m", requires = "boot", value_parser = humantime::parse_duration)]
    wait: Duration,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    if args.boot {
        return boot(session, global, args);
    }
    let config = session.config(global)?;
    if args.undo {
        let intent = Intent::load(&session.root).map_err(|e| Failure::new(Exit::Failure, e))?;
        let intent =
            intent.ok_or_else(|| Failure::new(Exit::Usage, "--undo: no apply was cut off on this node"))?;
        return change::run(session, &config.slurm, &intent, "undo", None, &args.change, global);
    }
    let layout = session.layout(&config, global)?;
    let what = format!("layout {}", layout.label);
    let chosen = session.chooses(global)?.then_some(layout.label);
    change::run(session, &config.slurm, &layout, &what, chosen, &args.change, global)
}

/// A node must come up, with what it has: slurmd ends when its gres.conf names a device that is not there. One that
/// is in service already is changed as by any apply, and left as it is where that fails.
fn boot(session: &Session, global: &Global, args: &Args) -> Outcome {
    let root = &session.root;
    let id = boot_id(root).unwrap_or_default();
    let in_service = session.runs_slurm() && boot::in_service(root, &id);
    let stop = stop()?;
    let lock = boot::lock(root, args.wait, &stop).map_err(ended);
    let config = session.config(global);
    // What a wrong configuration says of names and paths is not known: the paths are the defaults then, and the node's
    // name is looked for in its own files (`boot::give_up`).
    let configured = config.is_ok();
    let settings = config.as_ref().map(|config| config.slurm.clone()).unwrap_or_default();
    let site = session.site(&settings, session.node_name_if_known(&settings, global));
    let restored = lock.and_then(|lock| {
        let restored = restore(session, global, args, &config?, &lock, in_service, stop.clone())?;
        Ok((lock, restored))
    });
    match restored {
        Ok((_lock, (done, shown))) => {
            let drained = if in_service { None } else { boot::open(&site, &done.table) };
            let report = Report::new(&done).drained(drained);
            report.print(&done, &shown, global)?;
            Ok(report.exit())
        }
        Err(failure) if stop.is_by_person() => Err(failure),
        Err(failure) if in_service => Err(failure.also("the node is in service, and is left as it is")),
        Err(failure) => {
            let there = session.driver().ok().and_then(|driver| driver.inventory(&site.node).ok());
            let reason = failure.error.to_string();
            let left = boot::give_up(&site, configured, &id, there.as_ref(), &reason);
            let node = &left.node;
            let told = match left.drained {
                Ok(()) => format!("{node} is drained"),
                Err(error) => format!(
                    "{node} could not be drained ({error}); slurmctld drains it when slurmd registers"
                ),
            };
            let gpus = match left.files {
                Ok(true) => "slurmd can start, with the GPUs as they are",
                Ok(false) => "slurmd can start, without GPUs",
                Err(error) => {
                    let files =
                        "slurmd finds gres.conf as it was, and ends where a device that it names is gone";
                    return Err(failure.hint(format!("{files} ({error}); {told}; then: gresgen apply")));
                }
            };
            Err(failure.hint(format!("{gpus}; {told}; then: gresgen apply")))
        }
    }
}

fn restore(
    session: &Session,
    global: &Global,
    args: &Args,
    config: &Config,
    lock: &Lock,
    in_service: bool,
    stop: Stop,
) -> Result<(Done, Vec<Step>), Failure> {
    let driver = boot::patient(args.wait, &stop, || session.driver()).map_err(ended)?;
    let label = session.restored(config, global)?;
    let mut node = session.node_with(&config.slurm, driver)?;
    node.site.asked &= in_service && !args.change.offline;
    let options = Options { boot: true, ..args.change.options("boot", None) };
    change(&mut node, lock, &Layout { config, label }, &options, stop, global)
}

/// Why a wait ended.
fn ended<E: Into<Failure>>(ended: Ended<E>) -> Failure {
    match ended {
        Ended::Stopped => Failure::new(Exit::Interrupted, "interrupted by a signal"),
        Ended::Late(error) => error.into(),
    }
}
