//! `gresgen apply`

use std::time::Duration;

use super::Global;
use super::change::{self, ChangeArgs, change, stop};
use super::changed::Report;
use super::progress::{Progress, message};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::apply::DesiredState;
use crate::apply::intent::Before;
use crate::apply::intent::Intent;
use crate::apply::steps::Step;
use crate::config::Config;
use crate::devices::boot_id;
use crate::history::{self, Ending};
use crate::lock::Lock;
use crate::node::chosen::ChosenLayout;
use crate::node::{Done, Options, Waiting, boot};
use crate::slurm::slots;
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
    if let Some(id) = args.undo {
        return undo(session, global, args, &config, id);
    }
    let layout = session.layout(&config, global)?;
    let what = format!("layout {}", layout);
    let chosen = session.chooses(global)?.then_some(layout);
    change::run(
        session,
        &config.slurm,
        session.desired(&config, global)?,
        &what,
        chosen,
        &args.change,
        global,
    )
}

/// Goes back. The layout that was chosen with the change is no longer meant then, but the one before it.
fn undo(session: &Session, global: &Global, args: &Args, config: &Config, id: Option<u64>) -> Outcome {
    let root = &session.root;
    let intent = Intent::load(root)?;
    if let (None, Some(intent)) = (id, &intent) {
        return change::run(
            session,
            &config.slurm,
            DesiredState::Before(&intent.before),
            "undo",
            None,
            &args.change,
            global,
        );
    }
    let entries = history::read(root)?;
    let entry = match id {
        Some(id) => entries.into_iter().rev().find(|entry| entry.id == id),
        None => entries.into_iter().rev().find(|entry| entry.result == Ending::Done),
    };
    let entry = entry.ok_or_else(|| {
        let which = id.map_or_else(|| "no change".to_owned(), |id| format!("no change {id}"));
        Failure::new(Exit::Usage, format!("--undo: {which} is noted on this node"))
            .hint("gresgen history lists them")
    })?;
    let what = format!("undo of change {}", entry.id);
    let before: Vec<Before> = serde_json::from_value(entry.before).map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("change {}: what was before it cannot be read: {error}", entry.id),
        )
    })?;
    if before.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            format!("change {}: no GPU is noted as it was before", entry.id),
        ));
    }
    let back = DesiredState::Before(&before);
    let chosen = entry.layout_before.filter(|_| entry.layout.is_some());
    let chosen = chosen.filter(|label| config.labels().any(|known| known == label));
    let exit = change::run(session, &config.slurm, back, &what, chosen.as_deref(), &args.change, global)?;
    if entry.layout.is_some() && chosen.is_none() {
        ChosenLayout::forget(root)?;
    }
    let meant = session.layout(config, global)?;
    if !global.quiet {
        message(format_args!(
            "layout {meant} is what the next apply or boot makes; gresgen check says what differs"
        ));
    }
    Ok(exit)
}

/// A node must come up, with what it has: slurmd ends when its gres.conf names a device that is not there. One that
/// is in service already is changed as by any apply, and left as it is where that fails.
fn boot(session: &Session, global: &Global, args: &Args) -> Outcome {
    let root = &session.root;
    let id = boot_id(root).unwrap_or_default();
    let in_service = session.runs_slurm() && boot::in_service(root, &id);
    let stop = stop()?;
    let progress = Progress::new(global.quiet);
    let lock = boot::lock(root, args.wait, &stop, &mut |since, why| {
        wait(&progress, "whoever changes the node", since, args.wait, &why.to_string());
    });
    let lock = lock.map_err(ended);
    let config = session.config(global);
    // What a wrong configuration says of names and paths is not known: the paths are the defaults then, and the node's
    // name is looked for in its own files (`boot::fall_back`).
    let configured = config.is_ok();
    let settings = config.as_ref().map(|config| config.slurm.clone()).unwrap_or_default();
    let site = session.site(&settings, session.node_name_if_known(&settings, global));
    let restored = lock.and_then(|lock| {
        let restored = restore(session, global, args, &config?, &lock, in_service, stop.clone())?;
        Ok((lock, restored))
    });
    match restored {
        Ok((_lock, (done, shown))) => {
            let drained = if in_service {
                None
            } else {
                boot::announce(&site, &done.table);
                boot::lift_drain(&site, &done.table)
            };
            let report = Report::new(&done).drained(drained);
            report.print(&done, &shown, global)?;
            Ok(report.exit())
        }
        Err(failure) if stop.is_by_person() => Err(failure),
        Err(failure) if in_service => Err(failure.also("the node is in service, and is left as it is")),
        Err(failure) => {
            let mut there = session.driver().ok().and_then(|driver| driver.inventory(&site.node).ok());
            if let Some(inventory) = &mut there {
                slots::complete(inventory, &settings, &session.root);
            }
            let reason = failure.error.to_string();
            let left = boot::fall_back(&site, configured, &id, there.as_ref(), &reason);
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
    let progress = Progress::new(global.quiet);
    let mut told = |since, why: &Failure| {
        wait(&progress, "the driver", since, args.wait, &why.error.to_string());
    };
    let driver = boot::retry(args.wait, &stop, &mut told, || session.driver()).map_err(ended)?;
    drop(progress);
    let label = session.restored(config, global)?;
    let mut node = session.node_with(&config.slurm, driver)?;
    node.site.asks_slurmctld &= in_service && !args.change.offline;
    let hooks = args.change.hooks(session, global)?;
    let options = Options { boot: true, hooks: Some(&hooks), ..args.change.options("boot", None) };
    // Instances are gone after a reboot; those of a node in service may be in use, as an order cut them.
    let desired = match in_service {
        true => DesiredState::InForce(config, label),
        false => DesiredState::Layout(config, label),
    };
    change(&mut node, lock, desired, &options, stop, global)
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
