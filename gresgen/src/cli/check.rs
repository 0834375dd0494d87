//! `gresgen check`

use super::change::Change;
use super::report::{Exit, Outcome};
use super::session::Session;
use super::{Global, out};
use crate::apply::preview::{Action, Preview};
use crate::check::{Facts, Link, Verdict, evaluate, gather, worst};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only what is known at once, without driver and slurmctld: for Prolog and HealthCheckProgram
    #[arg(long)]
    quick: bool,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let settings = session.settings(global)?;
    let links = evaluate(&match args.quick {
        true => gather::quick(&settings, &session.root),
        false => full(session, global)?,
    });
    if global.json {
        out::json(&links)?
    } else {
        out::text(&text(&links, global))?
    }
    Ok(if worst(&links) == Verdict::Fail { Exit::Drift } else { Exit::Ok })
}

fn full(session: &Session, global: &Global) -> Result<Facts, super::report::Failure> {
    let settings = session.settings(global)?;
    let node = session.node_name(&settings);
    let inventory = session.driver().and_then(|driver| Ok(driver.inventory(&node)?));
    let inventory = inventory.map_err(|failure| failure.error.to_string());
    // Without a configuration nothing is wanted of the GPUs, so they cannot have drifted.
    let drift = session.config(global).ok().map(|config| {
        let steps = || {
            let layout = session.layout(&config, global)?;
            let (inventory, steps) = Change::new(session, &settings)?.prepare(&layout)?;
            Ok::<_, super::report::Failure>(words(&Preview::new(&inventory, &steps)))
        };
        steps().map_err(|failure| failure.error.to_string())
    });
    Ok(gather::full(inventory, drift, &settings, &session.root, session.runs_slurm()))
}

/// What an apply would do, a phrase per GPU instance.
fn words(preview: &Preview) -> Vec<String> {
    let mut words = Vec::new();
    for gpu in &preview.gpus {
        if let Some(on) = gpu.mode {
            words.push(format!("GPU {} MIG {}", gpu.gpu, if on { "on" } else { "off" }));
        }
        let changed = gpu.slices.iter().filter(|row| row.action != Action::Keep);
        words
            .extend(changed.map(|row| {
                format!("{} GPU {} {} at {}", row.action.word(), gpu.gpu, row.profile, row.start)
            }));
    }
    words
}

fn text(links: &[Link], global: &Global) -> String {
    let mut text = String::new();
    for link in links.iter().filter(|link| !global.quiet || link.verdict == Verdict::Fail) {
        let verdict = match link.verdict {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        text.push_str(&format!("{verdict}  {}: {}\n", link.name, link.what));
        if !link.fix.is_empty() {
            text.push_str(&format!("      fix: {}\n", link.fix));
        }
    }
    text
}
