//! `gresgen apply`

use std::time::Duration;

use super::Global;
use super::change::{Change, ChangeArgs};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::apply::intent::Intent;
use crate::apply::lock::Lock;
use crate::boot;
use crate::config::Config;
use crate::devices::boot_id;
use crate::publish::present_map;
use crate::slurm::here;

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
    let config = session.config(global)?;
    if args.boot {
        return boot(session, global, args, &config);
    }
    let change = Change::new(session, &config.slurm)?;
    if args.undo {
        let intent = Intent::load(&session.root).map_err(|e| Failure::new(Exit::Failure, e))?;
        let intent =
            intent.ok_or_else(|| Failure::new(Exit::Usage, "--undo: no apply was cut off on this node"))?;
        return change.run(&intent, "undo", &args.change, global);
    }
    let layout = session.layout(&config, global)?;
    let what = format!("layout {}", layout.label);
    change.run(&layout, &what, &args.change, global)
}

/// A node must come up, with what it has: slurmd ends when its gres.conf names a device that is not there. One that
/// is in service already is changed as by any apply, and left as it is where that fails.
fn boot(session: &Session, global: &Global, args: &Args, config: &Config) -> Outcome {
    let root = &session.root;
    let id = boot_id(root).unwrap_or_default();
    let booted = present_map(root).is_some_and(|map| map.boot == id);
    let in_service = booted && session.runs_slurm() && here::in_service(root);
    let restore = || {
        // Somebody else may be at it; the change itself takes the lock again.
        boot::wait(args.wait, || Lock::node(root).map(drop))?;
        let driver = boot::wait(args.wait, || session.driver())?;
        let layout = session.layout(config, global)?;
        let mut options = args.change.clone();
        options.boot = true;
        options.offline |= !in_service;
        Change::with(session, &config.slurm, driver)?.run(&layout, "boot", &options, global)
    };
    restore().or_else(|failure| {
        if in_service {
            return Err(failure.also("the node is in service, and is left as it is"));
        }
        let Ok(_lock) = Lock::node(root) else { return Err(failure) };
        let node = session.node_name_if_known(&config.slurm, global);
        let reason = failure.error.to_string();
        let (_, undrained) = boot::give_up(&node, &id, &config.slurm, root, &reason)?;
        let told = match undrained {
            None => format!("{node} is drained"),
            Some(error) => {
                format!("{node} could not be drained ({error}); slurmctld drains it when slurmd registers")
            }
        };
        Err(failure.hint(format!("slurmd can start, without GPUs; {told}; then: gresgen apply")))
    })
}
