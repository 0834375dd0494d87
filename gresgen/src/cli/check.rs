//! `gresgen check`

use super::paint::{Painted, Role, wrap};
use super::report::{Exit, Failure, Outcome};
use super::screen;
use super::session::Session;
use crate::apply::preview::{Action, Preview};
use crate::check::{self, Facts, Link, Verdict, gather};
use crate::inventory::Inventory;
use crate::node::{Node, Options, Picture};
use crate::slurm::Settings;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Look at the device map, its files and gres.conf alone, in milliseconds: for Prolog and HealthCheckProgram
    #[arg(long)]
    quick: bool,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let settings = session.settings()?;
    let facts = if args.quick { gather::quick(&settings, &session.root) } else { full(session, &settings) };
    let links = check::evaluate(&facts);
    session.print(&links, || text(&links, session.global.quiet))?;
    Ok(match check::worst(&links) {
        Verdict::Fail => Exit::Drift,
        Verdict::Pass | Verdict::Warn => Exit::Ok,
    })
}

fn full(session: &Session, settings: &Settings) -> Facts {
    let name = session.node_name_if_known(settings);
    let node = session.runs_slurm().then_some(&*name);
    match picture(session, settings, &name) {
        Err(error) => gather::full(node, Err(error.error.to_string()), None, settings, &session.root),
        Ok((inventory, drift)) => gather::full(node, Ok(inventory), Some(drift), settings, &session.root),
    }
}

/// The driver's picture of the node, and what an apply would do to the GPUs in words, or why that is not known. The node
/// is read once, so that both are judged on one picture.
///
/// # Errors
/// Where the driver cannot be asked.
pub(super) fn picture(
    session: &Session,
    settings: &Settings,
    name: &str,
) -> Result<(Inventory, Result<Vec<String>, String>), Failure> {
    let options = Options::default();
    let site = session.site(settings, name.to_owned());
    let node = Node { root: &session.root, settings, driver: session.driver()?, site };
    let picture = node.read(&options)?;
    let inventory = picture.inventory.clone();
    let drift = drift(session, &node, picture, &options).map_err(|f| f.error.to_string());
    Ok((inventory, drift))
}

/// What an apply would do to the GPUs, in words.
fn drift(
    session: &Session,
    node: &Node<'_>,
    picture: Picture,
    options: &Options<'_>,
) -> Result<Vec<String>, Failure> {
    let config = session.config()?;
    let layout = session.desired(&config)?;
    let prepared = node.prepare(picture, layout, options)?;
    let mut words = prepared.gates.clone();
    for gpu in Preview::new(&prepared.before, &prepared.steps).gpus {
        let index = gpu.gpu;
        words.extend(gpu.mode.map(|on| format!("GPU {index} MIG mode {}", if on { "on" } else { "off" })));
        for row in gpu.slices {
            let verb = match row.action {
                Action::Keep => continue,
                Action::Destroy => "destroy",
                Action::Create => "create",
                Action::Recut => "divide",
            };
            let at = row.instance.placement;
            words.push(format!("{verb} GPU {index} {at}"));
        }
    }
    Ok(words)
}

/// A line per link, and what to do about those that do not hold, which come first. Quiet leaves the others out.
fn text(links: &[Link], quiet: bool) -> Painted {
    let width = links.iter().map(|link| link.name.len()).max().unwrap_or(0);
    let mut text = Painted::default();
    for (verdict, role, word) in VERDICTS {
        for link in links.iter().filter(|link| link.verdict == verdict) {
            if quiet && verdict != Verdict::Fail {
                continue;
            }
            text.paint(role, word);
            text.push(&format!("  {:width$}  ", link.name));
            hang(&mut text, &link.what, width + 8);
            if !link.fix.is_empty() {
                text.push("      -> ");
                hang(&mut text, &link.fix, 9);
            }
        }
    }
    if !quiet {
        let count = |verdict| links.iter().filter(|link| link.verdict == verdict).count();
        let parts = VERDICTS.iter().rev().map(|(verdict, _, word)| (count(*verdict), word.to_lowercase()));
        let parts = parts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        text.push(&format!("{}\n", parts.collect::<Vec<_>>().join(", ")));
    }
    text
}

/// Worst first.
const VERDICTS: [(Verdict, Role, &str); 3] = [
    (Verdict::Fail, Role::Error, "FAIL"),
    (Verdict::Warn, Role::Warning, "WARN"),
    (Verdict::Pass, Role::Good, "pass"),
];

/// Adds text that begins in column `indent`, and its further lines where they begin there, too.
fn hang(text: &mut Painted, words: &str, indent: usize) {
    let room = screen::line().saturating_sub(indent).max(20);
    for (number, line) in words.lines().flat_map(|line| wrap(line, room)).enumerate() {
        let before = if number == 0 { String::new() } else { " ".repeat(indent) };
        text.push(&format!("{before}{line}\n"));
    }
}
