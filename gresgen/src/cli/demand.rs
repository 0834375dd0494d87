//! `gresgen demand`

mod document;
mod text;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use super::render;
use super::report::{Failure, Outcome};
use super::session::Session;
use crate::demand::{self as look, Answers, Known, Look, Sheet, Sheets, Waiting};
use crate::holders;
use crate::slurm::control::Control;
use crate::slurm::{Names, Settings, SlurmError, slots};
pub(super) use document::Report;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Nodes: files that `gresgen status --json` wrote on each, named after it (n1.json), or with its name before them
    /// (n1=FILE); of a directory, all of them [default: this node]
    #[arg(long, value_name = "[NODE=]FILE", num_args = 1..)]
    inventory: Vec<PathBuf>,
    /// Only this job, by the number that squeue shows
    #[arg(long, value_name = "ID")]
    job: Option<u32>,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let config = session.config()?;
    let settings = &config.slurm;
    let names = Names::new(&settings.types).map_err(Failure::usage)?;
    let label = session.on_request(&config, "docs/on-request.md says what it is")?;
    let sheets = || Sheets::new(settings, names.clone(), label.map(|label| (&config, label)));
    let sheets = if args.inventory.is_empty() {
        vec![sheets().of(&here(session, settings)?)]
    } else {
        named(&args.inventory, sheets)?
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut answers =
        Control::connect().and_then(|control| Answers::ask(control, now)).map_err(unanswered)?;
    let stock = look::take(&answers, &sheets);
    let mut look = look::look(&mut answers, stock);
    if let Some(id) = args.job {
        only(&mut look, id, &answers)?;
    }
    session.print(&document::report(&look, now), || text::text(&look, now))
}

fn unanswered(error: SlurmError) -> Failure {
    Failure::failed(error).hint("demand asks slurmctld; run it where squeue works")
}

/// This node's inventory.
fn here(session: &Session, settings: &Settings) -> Result<Known, Failure> {
    let read = || -> Result<Known, Failure> {
        let mut inventory = session.driver()?.inventory(&session.node_name(settings)?)?;
        slots::complete(&mut inventory, settings, &session.root);
        holders::annotate(&mut inventory, &session.root);
        Ok((inventory, Default::default()))
    };
    read().map_err(|failure| {
        failure.hint(
            "--inventory names files that `gresgen --json status` wrote on the nodes, or a directory of them",
        )
    })
}

/// The inventories that are named, read by as many threads as there are cores. A file of a directory that cannot be read says so
/// of its node, and nothing of others.
fn named<'a>(places: &[PathBuf], sheets: impl Fn() -> Sheets<'a> + Sync) -> Result<Vec<Sheet>, Failure> {
    let mut files = Vec::new();
    for place in places {
        if place.is_dir() {
            files.extend(within(place)?.into_iter().map(|file| (file, true)));
        } else {
            files.push((place.clone(), false));
        }
    }
    let read = |files: &[(PathBuf, bool)]| -> Result<Vec<Sheet>, String> {
        let mut sheets = sheets();
        let sheet = |(file, among): &(PathBuf, bool)| match render::read(file, false) {
            Ok(known) => Ok(sheets.of(&known)),
            Err(why) if *among => Ok(Sheet::unread(render::sender(file).0, why)),
            Err(why) => Err(why),
        };
        files.iter().map(sheet).collect()
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let parts: Vec<Result<Vec<Sheet>, String>> = thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(threads).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(|| read(part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let all = parts.into_iter().collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?.concat();
    let mut seen = BTreeSet::new();
    match all.iter().find(|sheet| !seen.insert(sheet.node())) {
        Some(twice) => Err(Failure::usage(format!("node {}: two inventories are of it", twice.node()))),
        None => Ok(all),
    }
}

/// The inventories of a directory, in the order of their names.
fn within(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("{}: {error}", directory.display()));
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    let paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
    let mut files: Vec<PathBuf> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format!("{}: has no NODE.json", directory.display()))
            .hint("on each node: gresgen --json status > NODE.json"));
    }
    Ok(files)
}

/// Leaves one job, and what would be cut for it.
fn only(look: &mut Look, id: u32, answers: &Answers) -> Result<(), Failure> {
    let known = answers.queued.iter().find(|job| job.listing.id == id);
    let own = [Some(id), known.map(|job| job.array), answers.group(id)];
    let is_meant = |job: &Waiting| own.contains(&Some(job.id));
    look.jobs.retain(|(job, _)| is_meant(job));
    look.cuts.retain(|cut| own.iter().flatten().any(|id| cut.job == id.to_string()));
    if !look.jobs.is_empty() {
        return Ok(());
    }
    let what = match known {
        None => "slurmctld knows no such job".to_owned(),
        Some(job) if job.waits() => "asks for no GPU".to_owned(),
        Some(job) => format!("does not wait, its state is {}", job.listing.state),
    };
    Err(Failure::failed(format!("job {id}: {what}")))
}
