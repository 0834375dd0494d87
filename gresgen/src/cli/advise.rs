//! `gresgen advise`

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use advice::Question;
use advice::advise::{Advice, advise};
use advice::demand::Demand;
use replay::Rules;

use super::advised::{self, Group as Answer};
use super::out;
use super::report::{Failure, Outcome};
use super::session::Session;
use crate::advise::assign::Assign;
use crate::advise::fleet::{Group, groups};
use crate::advise::record::Skipped;
use crate::advise::{picture, queue, sacct, trace};
use crate::document;
use crate::inventory::Inventory;
use crate::read;
use crate::slurm::Settings;
use crate::slurm::control::Control;
use crate::slurm::names::Names;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Jobs: a file with what sacct printed or a CSV trace, - for standard input [default: sacct is run]
    #[arg(long, value_name = "FILE")]
    jobs: Option<PathBuf>,
    /// Where sacct is run: jobs from this time on
    #[arg(long, value_name = "TIME", default_value = "now-90days", conflicts_with = "jobs")]
    since: String,
    /// Say how long jobs that wait now would have to, by layout: a file with what squeue printed [without FILE: squeue is run]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    queue: Option<Option<PathBuf>>,
    /// Nodes: files that `gresgen status --json` wrote on each [default: this node]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    inventory: Vec<PathBuf>,
    /// Nodes that need not be there, with their GPUs: gpu[01-16]=8xa100-40gb
    #[arg(long, value_name = "NODES=GPUS", conflicts_with = "inventory")]
    nodes: Vec<String>,
    /// Give jobs whose peak memory is known (jobstats, a trace) the smallest slice that holds it
    #[arg(long)]
    fit: bool,
    /// Let the jobs come slower or faster, so that they need this part of all GPUs
    #[arg(long, value_name = "PART", value_parser = part)]
    load: Option<f64>,
    /// Part of the jobs that the layout is learnt from; the others judge it
    #[arg(long, value_name = "PART", default_value = "0.33", value_parser = part)]
    learn: f64,
    /// How many waiting jobs backfill plans, as bf_job_part_count_reserve says; 0 for all
    #[arg(long, value_name = "JOBS", default_value_t = 0)]
    reserve: u32,
    /// Number of samples of the jobs that the advice rests on
    #[arg(long, value_name = "NUMBER", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100))]
    samples: u32,
    /// What the samples are drawn by
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Write the advice as a configuration
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Write waiting times by layout as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A part between 0 and 1, neither of them.
fn part(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (number > 0.0 && number < 1.0).then_some(number).ok_or_else(|| "not between 0 and 1".to_owned())
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let settings = session.settings()?;
    let names = Names::new(&settings.types).map_err(Failure::usage)?;
    let groups = nodes(session, args)?;
    let mut skipped = Skipped::default();
    let mut assign = Assign::new(&groups, names, args.fit);
    jobs(args, &mut assign, &mut skipped)?;
    let (fitted, blindly) = (assign.fitted, assign.fitted_blindly);
    let demands = std::mem::take(&mut assign.demands);
    let mut waits = queue(args, &groups, &settings)?;
    let mut answers = Vec::new();
    for (number, (group, mut demand)) in groups.iter().zip(demands).enumerate() {
        if demand.jobs.is_empty() {
            continue;
        }
        demand.sort();
        if let Some(load) = args.load {
            demand.set_load(&group.kinds, group.fleet().total(), load);
        }
        let load = demand.load(&group.kinds, group.fleet().total());
        let queue = waits.as_mut().map(|waits| {
            let mut queue = std::mem::take(&mut waits.demands[number]);
            queue::estimate(&mut queue, &demand.jobs);
            queue
        });
        let advice = answer(group, &demand, args);
        answers.push(Answer::new(
            group,
            advice,
            load,
            Demand::span(&demand.jobs),
            queue.as_ref(),
            rules(args),
        ));
    }
    if answers.is_empty() {
        return Err(none(args, &skipped));
    }
    let queue_skipped = waits.map(|waits| waits.skipped).unwrap_or_default();
    let advised = advised::Advised { answers, skipped, queue_skipped, fitted, blindly };
    let config = advised.config().map_err(Failure::failed)?;
    if let Some(path) = &args.write {
        out::file(path, &config)?;
    }
    if let Some(path) = &args.svg {
        let svg = picture::svg(&advised.panels()).map_err(Failure::failed)?;
        out::file(path, &svg)?;
    }
    session.print(&advised.document(&config), || advised.text(args.reserve))
}

fn rules(args: &Args) -> Rules {
    Rules { reserve: args.reserve, ..Rules::default() }
}

/// Jobs that wait now.
struct Queue {
    /// By group.
    demands: Vec<Demand>,
    skipped: Skipped,
}

/// `None` where nobody asked for it.
fn queue(args: &Args, groups: &[Group], settings: &Settings) -> Result<Option<Queue>, Failure> {
    let Some(file) = &args.queue else { return Ok(None) };
    let text = match file {
        Some(file) => read::text(file, read::MAX_TEXT)
            .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?,
        None => Control::connect()
            .and_then(|control| control.queue(&queue::format()))
            .map_err(|error| Failure::failed(error).hint("--queue FILE takes what squeue printed"))?,
    };
    let names = Names::new(&settings.types).map_err(Failure::usage)?;
    let mut assign = Assign::new(groups, names, false);
    let mut skipped = Skipped::default();
    queue::read(&text, &mut skipped, |record, skipped| assign.add(record, skipped));
    Ok(Some(Queue { demands: assign.demands, skipped }))
}

fn answer(group: &Group, demand: &Demand, args: &Args) -> Advice {
    advise(&Question {
        kinds: &group.kinds,
        fleet: group.fleet(),
        demand,
        present: group.present.clone(),
        rules: rules(args),
        learn: args.learn,
        samples: args.samples as usize,
        seed: args.seed,
    })
}

fn nodes(session: &Session, args: &Args) -> Result<Vec<Group>, Failure> {
    if !args.nodes.is_empty() {
        let group = |text: &String| {
            Group::parse(text).map_err(|error| {
                Failure::usage(format!("--nodes: {error}")).hint("gresgen profiles --models lists the models")
            })
        };
        return args.nodes.iter().map(group).collect();
    }
    let inventories: Vec<Inventory> = match &args.inventory[..] {
        [] => {
            let settings = session.settings_if_sound();
            vec![session.driver()?.inventory(&session.node_name(&settings)?)?]
        }
        files => files.iter().map(|file| inventory(file)).collect::<Result<_, _>>()?,
    };
    let groups = groups(&inventories);
    if groups.is_empty() { Err(Failure::usage("no GPU of these nodes can be cut")) } else { Ok(groups) }
}

fn inventory(file: &Path) -> Result<Inventory, Failure> {
    let named = |error: String| Failure::usage(format!("{}: {error}", file.display()));
    let text = read::text(file, read::MAX_TEXT).map_err(|error| named(error.to_string()))?;
    document::read(&text).map_err(|error| named(error.to_string()))
}

/// Hands all jobs to `assign`.
fn jobs(args: &Args, assign: &mut Assign<'_>, skipped: &mut Skipped) -> Result<(), Failure> {
    let each = |record, skipped: &mut Skipped| assign.add(record, skipped);
    let Some(path) = &args.jobs else {
        let (mut child, output) = start(&args.since)?;
        sacct::read(BufReader::new(output), skipped, each).map_err(|error| unreadable("sacct", error))?;
        let status = child.wait().map_err(|error| Failure::failed(format!("sacct: {error}")))?;
        return if status.success() {
            Ok(())
        } else {
            Err(Failure::failed(format!("sacct: {status}"))
                .hint("sacct needs slurmdbd; --jobs FILE takes what it printed elsewhere"))
        };
    };
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path);
        Box::new(BufReader::new(file.map_err(|e| Failure::usage(format!("{name}: {e}")))?))
    };
    let begin = reader.fill_buf().map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    let heading = String::from_utf8_lossy(begin.split(|byte| *byte == b'\n').next().unwrap_or_default());
    if trace::is_heading(&heading) {
        trace::read(reader, skipped, each).map_err(|error| unreadable(&name, error))
    } else {
        sacct::read(reader, skipped, each).map_err(|error| unreadable(&name, error))
    }
}

fn start(since: &str) -> Result<(Child, std::process::ChildStdout), Failure> {
    let failed = |error: io::Error| {
        Failure::failed(format!("sacct: {error}")).hint("--jobs FILE takes what it printed elsewhere")
    };
    let mut child = Command::new("sacct")
        .args(["--allusers", "--allocations", "--parsable2", "--starttime", since])
        .arg(format!("--format={}", sacct::FORMAT))
        .env("SLURM_TIME_FORMAT", "%s")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let output = child.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
    Ok((child, output))
}

fn unreadable(name: &str, error: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{name}: {error}")).hint(format!(
        "sacct --allusers --allocations --parsable2 --format={} prints what is needed",
        sacct::FORMAT
    ))
}

fn none(args: &Args, skipped: &Skipped) -> Failure {
    let name = args.jobs.as_ref().map_or("sacct".to_owned(), |path| path.display().to_string());
    let skipped = skipped.to_string();
    let why = if skipped.is_empty() { "it is empty".to_owned() } else { skipped };
    Failure::usage(format!("{name}: no job that ran on these GPUs: {why}"))
        .hint("--inventory or --nodes says which nodes are meant")
}
