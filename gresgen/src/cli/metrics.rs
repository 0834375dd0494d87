//! `gresgen metrics`

use std::path::PathBuf;

use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{check, out};
use crate::metrics::{self, Driver, Facts, Who};
use crate::slurm::Settings;
use crate::slurm::control::hurry;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Replace this file instead of printing, for the textfile collector of node_exporter; - prints
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say how many devices each user has
    #[arg(long)]
    users: bool,
    /// Say which job of which user has which device
    #[arg(long)]
    jobs: bool,
    /// Open the driver for what it alone knows: room left, drift, MIG mode
    #[arg(long)]
    driver: bool,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    // A timer: what is known without slurmctld is written in time.
    hurry();
    let settings = session.settings_if_sound();
    let node = session.node_name_if_known(&settings);
    let (facts, missing) = Facts::read(&session.site(&settings, node.clone()));
    missing.iter().for_each(|what| session.warn(what));
    let driver = args.driver.then(|| driver(session, &settings, &node)).transpose()?;
    let text = metrics::write(&facts, driver.as_ref(), Who { users: args.users, jobs: args.jobs });
    match &args.output {
        None => out::text(&text)?,
        // Readable by node_exporter's user; synced and renamed, so that it never reads a part.
        Some(path) => out::regular_file(path, &text).map_err(|failure| match failure.exit {
            Exit::Failure => {
                failure.hint("the directory is what node_exporter has as --collector.textfile.directory")
            }
            _ => failure,
        })?,
    }
    Ok(Exit::Ok)
}

/// The driver's picture, and what an apply would do to it where a layout is meant.
fn driver(session: &Session, settings: &Settings, node: &str) -> Result<Driver, Failure> {
    let (inventory, drift) = check::picture(session, settings, node)?;
    let drift = drift.inspect_err(|why| session.warn(format_args!("drift is not known: {why}")));
    Ok(Driver::new(inventory, drift.ok().map(|steps| steps.len() as u64)))
}
