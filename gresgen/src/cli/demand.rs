//! `gresgen demand`

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use demand::Verdict;
use mig::Placement;
use schemars::JsonSchema;
use serde::Serialize;

use super::paint::{Cell, Painted, Role, table};
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, out, render, screen};
use crate::demand::{self as look, Answers, Cut, Known, Look, Said, Waiting, Wants};
use crate::holders;
use crate::slurm::control::Control;
use crate::slurm::{Names, Settings, SlurmError, hostlist, slots};

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

/// What `--json` says.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report {
    /// In the order in which Slurm looks at them.
    jobs: Vec<JobRow>,
    cuts: Vec<CutRow>,
    /// Nodes that take no cut.
    unknown: Vec<UnknownRow>,
    jobs_not_read: u64,
}

#[derive(Serialize, JsonSchema)]
struct JobRow {
    id: u32,
    /// As squeue shows it.
    name: String,
    user: String,
    wants: Vec<WantRow>,
    /// Seconds for which it could have run.
    waited: u64,
    verdict: &'static str,
    /// Nodes that would be cut for it, or kept.
    nodes: Vec<String>,
    /// When what it waits for is free at the latest, in seconds since 1970.
    until: Option<u64>,
    says: String,
}

#[derive(Serialize, JsonSchema)]
struct WantRow {
    /// GRES type; null where it does not matter.
    r#type: Option<String>,
    /// On each node.
    count: u32,
    nodes: u32,
}

#[derive(Serialize, JsonSchema)]
struct CutRow {
    node: String,
    gpu: u32,
    job: String,
    destroy: Vec<PlaceRow>,
    create: Vec<PlaceRow>,
}

#[derive(Serialize, JsonSchema)]
struct PlaceRow {
    profile: String,
    start: u8,
}

#[derive(Serialize, JsonSchema)]
struct UnknownRow {
    /// Host list.
    nodes: String,
    why: String,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let config = session.config(global)?;
    let settings = &config.slurm;
    let names = Names::new(&settings.types).map_err(|error| Failure::new(Exit::Usage, error))?;
    if settings.on_request.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "slurm.on-request: is not in the configuration, so no GPU is cut on request",
        )
        .hint("docs/on-request.md says what it is"));
    }
    // One that was asked for has to be there; without any the rest of a region is left empty.
    let label = match config.choose(global.layout.as_deref()) {
        Err(error) if global.layout.is_some() => return Err(Failure::new(Exit::Usage, error)),
        label => label.ok(),
    };
    let inventories = inventories(session, settings, args)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let answers = Control::connect().and_then(|control| Answers::ask(control, now)).map_err(unanswered)?;
    let stock = look::take(&answers, &inventories, settings, names, label.map(|label| (&config, label)));
    let mut look = look::look(&answers, stock);
    if let Some(id) = args.job {
        only(&mut look, id, &answers)?;
    }
    if global.json {
        out::json(&report(&look, now))?
    } else {
        out::painted(&text(&look, now))?
    }
    Ok(Exit::Ok)
}

fn unanswered(error: SlurmError) -> Failure {
    Failure::new(Exit::Failure, error).hint("demand asks slurmctld; run it where squeue works")
}

/// The inventories that are named, or this node's.
fn inventories(session: &Session, settings: &Settings, args: &Args) -> Result<Vec<Known>, Failure> {
    if args.inventory.is_empty() {
        let here = || -> Result<Known, Failure> {
            let mut inventory = session.driver()?.inventory(&session.node_name(settings)?)?;
            slots::complete(&mut inventory, settings, &session.root);
            holders::annotate(&mut inventory, &session.root);
            Ok((inventory, Default::default()))
        };
        return here().map(|known| vec![known]).map_err(|failure| {
            failure.hint("--inventory names files that `gresgen --json status` wrote on the nodes, or a directory of them")
        });
    }
    let mut files = Vec::new();
    for place in &args.inventory {
        if place.is_dir() { files.extend(within(place)?) } else { files.push(place.clone()) }
    }
    let read = |file: &PathBuf| render::read(file, false).map_err(|error| Failure::new(Exit::Usage, error));
    let known: Vec<Known> = files.iter().map(read).collect::<Result<_, _>>()?;
    let mut seen = std::collections::BTreeSet::new();
    match known.iter().find(|(inventory, _)| !seen.insert(&inventory.node)) {
        Some((twice, _)) => {
            Err(Failure::new(Exit::Usage, format!("node {}: two inventories are of it", twice.node)))
        }
        None => Ok(known),
    }
}

/// The inventories of a directory, in the order of their names.
fn within(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Usage, format!("{}: {error}", directory.display()));
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    let paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
    let mut files: Vec<PathBuf> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("{}: has no NODE.json", directory.display()))
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
    Err(Failure::new(Exit::Failure, format!("job {id}: {what}")))
}

fn report(look: &Look, now: u64) -> Report {
    let job = |(job, said): &(Waiting, Said)| {
        let wants = job.wants.iter().flat_map(|wants| {
            let row = |(name, count): &(String, u32)| WantRow {
                r#type: Some(name.clone()).filter(|name| !name.is_empty()),
                count: *count,
                nodes: wants.nodes,
            };
            wants.types.iter().map(row)
        });
        let (nodes, until) = match said {
            Said::Cut { nodes, .. } => (nodes.iter().cloned().collect(), None),
            Said::Decided(Verdict::Cut(nodes)) => (nodes.clone(), None),
            Said::Decided(Verdict::Cordon { nodes, until }) => (nodes.clone(), *until),
            Said::Decided(Verdict::Ends(until)) => (Vec::new(), *until),
            _ => (Vec::new(), None),
        };
        JobRow {
            id: job.id,
            name: job.shown.clone(),
            user: job.user.clone(),
            wants: wants.collect(),
            waited: job.waited,
            verdict: keyword(said),
            nodes,
            until,
            says: says(said, now),
        }
    };
    let places = |places: &[Placement]| {
        places.iter().map(|p| PlaceRow { profile: p.profile.to_string(), start: p.start }).collect()
    };
    let cut = |cut: &Cut| CutRow {
        node: cut.node.clone(),
        gpu: cut.gpu,
        job: cut.job.clone(),
        destroy: places(&cut.destroy),
        create: places(&cut.create),
    };
    let unknown = |(why, nodes): &(String, Vec<String>)| UnknownRow {
        nodes: hostlist::fold(nodes.iter().map(String::as_str)),
        why: why.clone(),
    };
    Report {
        jobs: look.jobs.iter().map(job).collect(),
        cuts: look.cuts.iter().map(cut).collect(),
        unknown: look.unknown.iter().map(unknown).collect(),
        jobs_not_read: look.unread,
    }
}

/// One word for programs.
fn keyword(said: &Said) -> &'static str {
    match said {
        Said::Cannot(_) => "not-looked-at",
        Said::Cut { .. } => "cut",
        Said::Decided(verdict) => match verdict {
            Verdict::Cut(_) => "cut",
            Verdict::There => "there",
            Verdict::NotStarted(_) => "not-started",
            Verdict::Other(_) => "other-reason",
            Verdict::Patience(_) => "new",
            Verdict::Opens => "opens",
            Verdict::Cordon { .. } => "later",
            Verdict::Ends(_) => "ends",
            Verdict::Busy(_) => "busy",
            Verdict::Behind => "behind",
            Verdict::Resources => "cpus-or-memory",
            Verdict::Limit => "limit",
            Verdict::UnderWay => "under-way",
            Verdict::Never => "never",
            Verdict::Depth => "depth",
        },
    }
}

/// What a user understands. Nothing is done here, so it says what would be.
fn says(said: &Said, now: u64) -> String {
    let in_time = |until: &u64| format!("in at most {}", span(until.saturating_sub(now)));
    let verdict = match said {
        Said::Cannot(why) => return why.to_string(),
        Said::Cut { nodes, all } => {
            let some = if *all { "" } else { "some of " };
            return format!("a cut on {} serves {some}it", hostlist::fold(nodes.iter().map(String::as_str)));
        }
        Said::Decided(verdict) => verdict,
    };
    match verdict {
        Verdict::There => "is free: Slurm can start it".to_owned(),
        Verdict::NotStarted(_) => "is free: Slurm lacks something else".to_owned(),
        Verdict::Other(reason) => format!("no cut helps: {reason}"),
        Verdict::Patience(_) => "has just come".to_owned(),
        Verdict::Cut(nodes) => format!("a cut on {} serves it", fold(nodes)),
        Verdict::Opens => "is there, and opens".to_owned(),
        Verdict::Cordon { nodes, until: Some(until) } => {
            format!("a cut on {} {}", fold(nodes), in_time(until))
        }
        Verdict::Cordon { nodes, until: None } => format!("a cut on {} when jobs end", fold(nodes)),
        Verdict::Ends(Some(until)) => format!("is free {}", in_time(until)),
        Verdict::Ends(None) => "is free when a job ends".to_owned(),
        Verdict::Busy(_) => "nothing to be cut is idle".to_owned(),
        Verdict::Behind => "others before it wait for it".to_owned(),
        Verdict::Resources => "no node has the CPUs and memory".to_owned(),
        Verdict::Limit => "its nodes were cut too often".to_owned(),
        Verdict::UnderWay => "its nodes are cut for others first".to_owned(),
        Verdict::Never => "none of its nodes can be cut so".to_owned(),
        Verdict::Depth => "too many others wait before it".to_owned(),
    }
}

fn fold(nodes: &[String]) -> String {
    hostlist::fold(nodes.iter().map(String::as_str))
}

/// Seconds for people: `40 s`, `25 min`, `7 h`, `3 days`.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        7200..172_800 => format!("{} h", seconds.div_ceil(3600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

/// Longest name of an array that a row has room for.
const LONG: usize = 12;

fn text(look: &Look, now: u64) -> Painted {
    let mut text = Painted::default();
    let mut rows = vec![["JOB", "USER", "WANTS", "WAITED", "VERDICT"].map(Cell::from).to_vec()];
    for (job, said) in &look.jobs {
        let shown =
            if job.shown.chars().count() > LONG { format!("{}_[...]", job.id) } else { job.shown.clone() };
        let role = match said {
            Said::Cut { .. } | Said::Decided(Verdict::There) => Role::Good,
            Said::Decided(Verdict::Cordon { .. } | Verdict::Ends(_)) => Role::Busy,
            _ => Role::Plain,
        };
        let cells = [shown, job.user.clone(), wants(&job.wants), span(job.waited)].map(Cell::from);
        rows.push(cells.into_iter().chain([Cell::new(role, says(said, now))]).collect());
    }
    if look.jobs.is_empty() {
        text.push("no job waits for GPUs\n");
    } else {
        lines(&mut text, &rows);
    }
    if !look.cuts.is_empty() {
        let mut rows = vec![["NODE", "GPU", "FOR", "GOES", "COMES"].map(Cell::from).to_vec()];
        for Cut { node, gpu, destroy, create, job } in &look.cuts {
            let cells = [node.clone(), gpu.to_string(), job.clone(), places(destroy)].map(Cell::from);
            rows.push(cells.into_iter().chain([Cell::new(Role::New, places(create))]).collect());
        }
        text.push("\nWhat would be cut:\n");
        lines(&mut text, &rows);
    }
    for (why, nodes) in &look.unknown {
        let line = format!("no cut on {}: {why}", fold(nodes));
        text.push(&format!("{}\n", screen::output(&line, 4)));
    }
    if look.unread > 0 {
        text.push(&format!("not read: {} lines of squeue that are no job\n", look.unread));
    }
    text
}

fn lines(text: &mut Painted, rows: &[Vec<Cell>]) {
    for line in table(rows, "", screen::columns()) {
        text.append(&line);
        text.push("\n");
    }
}

/// `3g.20gb`, `2 x 1g.5gb on each of 2 nodes`; `any` of no type.
fn wants(wants: &[Wants]) -> String {
    let kind = |(name, count): &(String, u32)| {
        let name = if name.is_empty() { "any" } else { name };
        if *count == 1 { name.to_owned() } else { format!("{count} x {name}") }
    };
    let part = |wants: &Wants| {
        let types: Vec<String> = wants.types.iter().map(kind).collect();
        let on = if wants.nodes == 1 { String::new() } else { format!(", {} nodes", wants.nodes) };
        types.join(" + ") + &on
    };
    let parts: Vec<String> = wants.iter().map(part).collect();
    if parts.is_empty() { "?".to_owned() } else { parts.join("; ") }
}

/// `1g.5gb at 0, 1 + 3g.20gb at 4`.
fn places(places: &[Placement]) -> String {
    let group = |group: &[Placement]| {
        let starts: Vec<String> = group.iter().map(|place| place.start.to_string()).collect();
        format!("{} at {}", group[0].profile, starts.join(", "))
    };
    let groups: Vec<String> = places.chunk_by(|a, b| a.profile == b.profile).map(group).collect();
    if groups.is_empty() { "-".to_owned() } else { groups.join(" + ") }
}
