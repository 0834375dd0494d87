//! `gresgen apply`

use super::Global;
use super::change::{Change, ChangeArgs};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::apply::intent::Intent;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    change: ChangeArgs,
    /// Go back to what the GPUs were before an apply that was cut off
    #[arg(long)]
    undo: bool,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let config = session.config(global)?;
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
