//! `gresgen arbiter`

use std::path::PathBuf;
use std::time::Duration;

use super::change::stop;
use super::progress::{message, warning};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, out};
use crate::arbiter::{Event, Kind, Service, Site};
use crate::lock::{Lock, LockError};
use crate::root::Root;
use crate::slurm::Names;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One pass: look at all nodes, give the orders that are due, wait for the answers; exit code 1 where slurmctld or a node
    /// did not answer, or an order was not carried out
    #[arg(long)]
    once: bool,
    /// Keep figures in this file, for the textfile collector of node_exporter
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Lock of the one arbiter of this host [default: /run/gresgen/arbiter.lock]
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let config = session.config()?;
    let settings = &config.slurm;
    let hint = "the configuration has to say here what the nodes' own say; docs/on-request.md tells how";
    let label = session.on_request(&config, hint)?;
    let site = Site {
        settings,
        names: Names::new(&settings.types).map_err(Failure::usage)?,
        layout: label.map(|label| (&config, label)),
        policy: settings.arbiter.policy(),
    };
    let mut say = |event: &Event| say(event, &session.global);
    let _lock = alone(session, args, &mut say)?;
    say(&Event::new(
        Kind::Arbiter,
        "begins; how old instances are and how often nodes were cut is counted from now on",
    ));
    let mut publish = |text: &str| {
        if let Some(path) = &args.metrics
            && let Err(failure) = out::regular_file(path, text)
        {
            // Figures are not worth an end.
            warning(format_args!("{}", failure.error));
        }
    };
    let mut service =
        Service { site, comments: settings.arbiter.comments, say: &mut say, publish: &mut publish };
    let done = if args.once { service.once() } else { service.run(&stop()?) };
    Ok(if done { Exit::Ok } else { Exit::Failure })
}

/// The lock of the only arbiter here. Whoever does not get it stands by.
fn alone(session: &Session, args: &Args, say: &mut dyn FnMut(&Event)) -> Result<Lock, Failure> {
    const PAUSE: Duration = Duration::from_secs(1);
    let path = args.lock.clone().unwrap_or_else(|| session.root.path(Root::ARBITER_LOCK));
    let mut told = false;
    loop {
        match Lock::arbiter(&path) {
            Err(LockError::Held { holder, .. }) if !args.once => {
                if !told {
                    say(&Event::new(Kind::Arbiter, format!("stands by while {holder} is the arbiter here")));
                    told = true;
                }
                std::thread::sleep(PAUSE);
            }
            lock => {
                return lock.map_err(|error| match error {
                    LockError::Held { .. } => Failure::failed(error),
                    error => Failure::failed(error).hint("--lock names a file that this user may write"),
                });
            }
        }
    }
}

/// A line on standard error, where the journal has time and name; as JSON on standard output.
fn say(event: &Event, global: &Global) {
    if global.json {
        // One line each, and nobody who reads is no reason to end.
        if let Ok(text) = serde_json::to_string(event) {
            let _ = out::text(&format!("{text}\n"));
        }
    } else if !global.quiet {
        message(event);
    }
}
