//! `gresgen check`

use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, out};
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

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let settings = session.settings(global)?;
    let facts =
        if args.quick { gather::quick(&settings, &session.root) } else { full(session, global, &settings) };
    let links = check::evaluate(&facts);
    if global.json {
        out::json(&links)?
    } else {
        out::text(&text(&links, global.quiet))?
    }
    Ok(match check::worst(&links) {
        Verdict::Fail => Exit::Drift,
        Verdict::Pass | Verdict::Warn => Exit::Ok,
    })
}

fn full(session: &Session, global: &Global, settings: &Settings) -> Facts {
    let name = session.node_name_if_known(settings, global);
    let node = session.runs_slurm().then_some(&*name);
    match picture(session, global, settings, &name) {
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
    global: &Global,
    settings: &Settings,
    name: &str,
) -> Result<(Inventory, Result<Vec<String>, String>), Failure> {
    let options = Options::default();
    let site = session.site(settings, name.to_owned());
    let node = Node { root: &session.root, settings, driver: session.driver()?, site };
    let picture = node.read(&options)?;
    let inventory = picture.inventory.clone();
    let drift = drift(session, global, &node, picture, &options).map_err(|f| f.error.to_string());
    Ok((inventory, drift))
}

/// What an apply would do to the GPUs, in words.
fn drift(
    session: &Session,
    global: &Global,
    node: &Node<'_>,
    picture: Picture,
    options: &Options<'_>,
) -> Result<Vec<String>, Failure> {
    let config = session.config(global)?;
    let layout = session.layout(&config, global)?;
    let prepared = node.prepare(picture, &layout, options)?;
    let mut words = Vec::new();
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
            words.push(format!("{verb} GPU {index} {}@{}", at.profile, at.start));
        }
    }
    Ok(words)
}

/// A line per link, and what to do about those that do not hold. Quiet leaves the good ones out.
fn text(links: &[Link], quiet: bool) -> String {
    let width = links.iter().map(|link| link.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for link in links.iter().filter(|link| !quiet || link.verdict == Verdict::Fail) {
        let word = match link.verdict {
            Verdict::Pass => "pass",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        text.push_str(&format!("{word}  {:width$}  {}\n", link.name, link.what));
        if !link.fix.is_empty() {
            text.push_str(&format!("      {:width$}  -> {}\n", "", link.fix));
        }
    }
    text
}
