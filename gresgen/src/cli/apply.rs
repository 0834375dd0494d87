//! `gresgen apply`

use std::time::Duration;

use super::Global;
use super::change::{Change, ChangeArgs};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::apply::intent::Intent;
use crate::boot;
use crate::config::Config;
use crate::devices::boot_id;

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

/// A node must come up, with what it has: slurmd ends when its gres.conf names a device that is not there.
fn boot(session: &Session, global: &Global, args: &Args, config: &Config) -> Outcome {
    let restore = || {
        let driver = boot::wait(args.wait, || session.driver())?;
        let layout = session.layout(config, global)?;
        let mut options = args.change.clone();
        options.boot = true;
        Change::with(session, &config.slurm, driver).run(&layout, "boot", &options, global)
    };
    restore().or_else(|failure| {
        let node = session.node_name(&config.slurm);
        let reason = failure.error.to_string();
        let id = boot_id(&session.root).unwrap_or_default();
        let (_, undrained) = boot::give_up(&node, &id, &config.slurm, &session.root, &reason)?;
        let told = match undrained {
            None => format!("{node} is drained"),
            Some(error) => {
                format!("{node} could not be drained ({error}); slurmctld drains it when slurmd registers")
            }
        };
        Err(failure.hint(format!("slurmd can start, without GPUs; {told}; then: gresgen apply")))
    })
}
