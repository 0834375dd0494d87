//! Advice on made-up jobs and on traces, beside the best layout there is and the customary cut; see docs/benchmarks.md.
//!
//! `--generate MIX:LOAD:JOBS:SEED` prints jobs as CSV instead, for `gresgen advise --jobs`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::time::Instant;

use advice::Question;
use advice::advise::{Advice, advise};
use advice::demand::{Demand, Request};
use advice::judge::{Figures, judge, total_below};
use advice::kinds::{Cut, Kinds};
use advice::layout::{Fleet, Layout};
use advice::random::Random;
use advice::synthetic::Mix;
use clap::Parser;
use gresgen::advise::assign::Assign;
use gresgen::advise::fleet::Group;
use gresgen::advise::record::Skipped;
use gresgen::advise::trace;
use gresgen::slurm::Settings;
use gresgen::slurm::names::Names;
use replay::Rules;

#[derive(Parser)]
struct Args {
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
    /// Traces as CSV
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Seeds of the made-up jobs
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Print jobs as CSV: steady:0.8:4000:1 or day:0.8:4000:1, for --nodes of --fleet
    #[arg(long, value_name = "MIX:LOAD:JOBS:SEED")]
    generate: Option<String>,
    /// Look at every layout of a small --fleet instead, such as n[1-2]=3xa100-40gb: what the best of all waits
    #[arg(long)]
    every: bool,
    /// Nodes and GPUs of the made-up jobs
    #[arg(long, default_value = "n[1-2]=8xa100-40gb")]
    fleet: String,
}

/// The layout that makes the judging jobs of a steady mix wait least, found by replaying them on every layout there is,
/// beside what the search finds for the very same jobs and the customary cut.
fn every_layout(group: &Group, seeds: u64) {
    let (kinds, fleet) = (&group.kinds, group.fleet());
    println!(
        "| reserve | load | seed | layouts | best | oracle | customary | oracle to best | best to customary |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let rows = [(0, 0.8), (0, 0.9)].into_iter().flat_map(|row| (0..seeds).map(move |seed| (row, seed)));
    for ((reserve, load), seed) in rows {
        let rules = Rules { reserve, ..Rules::default() };
        let demand = mix(kinds, "steady").jobs(kinds, fleet, load, 4000, seed);
        let held = Demand { jobs: demand.split(LEARN).1.to_vec(), ..demand.clone() };
        let (classes, jobs) = (&demand.classes, &held.jobs);
        let question =
            Question { kinds, fleet, demand: &held, present: None, rules, learn: 1.0, samples: 1, seed: 1 };
        let wait = |layout: &Layout| judge(kinds, rules, layout, classes, jobs).waits.total() as f64;
        let oracle = wait(&advise(&question).advised.layout);
        let wanted = |kind| classes.iter().any(|class| class.need == kind);
        let nodes = multisets(&kinds.cuts_of(wanted), fleet.gpus as usize);
        let nodes: Vec<Vec<_>> = nodes.iter().map(|cuts| counted(cuts)).collect();
        let layouts = multisets(&nodes, fleet.nodes as usize);
        let best = layouts.iter().fold(oracle, |best, nodes| {
            let layout = Layout::of_nodes(nodes.clone());
            total_below(kinds, rules, &layout, classes, jobs, best).unwrap_or(best)
        });
        let customary = wait(&customary(kinds, fleet));
        let hours = |total: f64| total / jobs.len() as f64 / 3600.0;
        println!(
            "| {reserve} | {load} | {seed} | {} | {:.3} | {:.3} | {:.3} | {:.2} | {:.2} |",
            layouts.len(),
            hours(best),
            hours(oracle),
            hours(customary),
            oracle / best,
            best / customary,
        );
    }
}

/// Every choice of so many of these, of which one may be taken several times and the order does not count.
fn multisets<T: Clone>(of: &[T], count: usize) -> Vec<Vec<T>> {
    let Some((first, rest)) = of.split_first().filter(|_| count > 0) else {
        return if count == 0 { vec![Vec::new()] } else { Vec::new() };
    };
    let mut with = multisets(of, count - 1);
    with.iter_mut().for_each(|chosen| chosen.push(first.clone()));
    with.extend(multisets(rest, count));
    with
}

/// How many GPUs of a node are cut how.
fn counted(cuts: &[Cut]) -> Vec<(Cut, u32)> {
    let mut counts: Vec<(Cut, u32)> = Vec::new();
    for cut in cuts {
        match counts.iter_mut().find(|(known, _)| known == cut) {
            Some((_, count)) => *count += 1,
            None => counts.push((cut.clone(), 1)),
        }
    }
    counts
}

/// Part of the jobs that layouts are learnt from.
const LEARN: f64 = 1.0 / 3.0;

fn main() {
    let args = Args::parse();
    let group = Group::parse(&args.fleet).expect("--fleet names nodes");
    if let Some(text) = &args.generate {
        return generate(&group, text);
    }
    if args.every {
        return every_layout(&group, args.seeds);
    }
    let loads = [0.6, 0.8, 0.9];
    for reserve in [1, 0] {
        println!("\nbf_job_part_count_reserve={reserve}\n");
        println!(
            "| jobs | load | advised | oracle | bound | customary | whole | to oracle | to customary | advice | calendar |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        for load in loads {
            row(
                "steady",
                load,
                reserve,
                &group,
                |seed| mix(&group.kinds, "steady").jobs(&group.kinds, group.fleet(), load, 4000, seed),
                args.seeds,
            );
        }
        row(
            "day and night",
            0.8,
            reserve,
            &group,
            |seed| mix(&group.kinds, "day").jobs(&group.kinds, group.fleet(), 0.8, 4000, seed),
            args.seeds,
        );
        for path in &args.trace {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let demand = read(&group, path);
            for load in [0.6, 0.8] {
                row(&name, load, reserve, &group, |_| demand.clone(), 1);
                row(
                    &format!("{name}, random times"),
                    load,
                    reserve,
                    &group,
                    |seed| at_random(&demand, seed),
                    args.seeds,
                );
            }
        }
    }
}

/// The mixes of jobs: by their share of 1g, 2g, 3g and whole GPUs; run times are log-normal with a median of half an hour.
fn mix(kinds: &Kinds, name: &str) -> Mix {
    let weights = |small: f64, two: f64, three: f64, whole: f64| {
        let kind =
            |slices: u8| kinds.all.iter().rposition(|kind| kind.slices == slices).unwrap_or(kinds.whole());
        let first = kinds.all.iter().position(|kind| kind.slices == 1).unwrap_or(0);
        vec![(first, small), (kind(2), two), (kind(3), three), (kinds.whole(), whole)]
    };
    let weights = match name {
        "steady" => [weights(0.4, 0.2, 0.25, 0.15), weights(0.4, 0.2, 0.25, 0.15)],
        "day" => [weights(0.62, 0.2, 0.15, 0.03), weights(0.25, 0.2, 0.35, 0.2)],
        other => panic!("{other}: the mixes are steady and day"),
    };
    Mix { weights, median: 1800.0, sigma: 1.0, longest: 24 * 3600 }
}

/// The customary cut: half of the nodes whole, the other GPUs 3g + 2g + 2 x 1g.
fn customary(kinds: &Kinds, fleet: Fleet) -> Layout {
    let mut cut = vec![0; kinds.all.len()];
    for (kind, count) in kinds.all.iter().zip(&mut cut).rev() {
        let first = |slices| kinds.all.iter().find(|other| other.slices == slices) == Some(kind);
        let last = |slices| kinds.all.iter().rfind(|other| other.slices == slices) == Some(kind);
        *count = u32::from(last(3)) + u32::from(last(2)) + 2 * u32::from(first(1));
    }
    let half = fleet.total() / 2;
    Layout::together(fleet, &vec![(kinds.uncut(), half), (cut, fleet.total() - half)])
}

/// The jobs of a trace in its order, at random times.
fn at_random(demand: &Demand, seed: u64) -> Demand {
    let mut random = Random::new(seed);
    let mut now = 0.0;
    let mut jobs = demand.jobs.clone();
    for job in &mut jobs {
        now += random.exponential(600.0);
        job.submit = now as u32;
    }
    Demand { jobs, ..demand.clone() }
}

fn read(group: &Group, path: &PathBuf) -> Demand {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (settings, groups) = (Settings::default(), std::slice::from_ref(group));
    let mut assign = Assign::new(groups, Names::new(&settings.types).expect("the default"), false);
    let mut skipped = Skipped::default();
    trace::read(BufReader::new(file), &mut skipped, |job, skipped| assign.add(job, skipped))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut demand = assign.demands.remove(0);
    demand.sort();
    eprintln!("{}: {} jobs, not counted: {skipped}", path.display(), demand.jobs.len());
    demand
}

/// A row: means over all seeds, in hours; judged on the jobs that nothing was learnt from.
fn row(name: &str, load: f64, reserve: u32, group: &Group, jobs: impl Fn(u64) -> Demand, seeds: u64) {
    let (kinds, fleet) = (&group.kinds, group.fleet());
    let rules = Rules { reserve, ..Rules::default() };
    let mut sums = [0.0; 5];
    let mut verdicts = Vec::new();
    let mut calendars = Vec::new();
    let begun = Instant::now();
    for seed in 0..seeds {
        let mut demand = jobs(seed);
        demand.set_load(kinds, fleet.total(), load);
        let ask = |demand: &Demand, learn: f64, samples: usize| -> Advice {
            advise(&Question { kinds, fleet, demand, present: None, rules, learn, samples, seed: 1 })
        };
        let held: Vec<Request> = demand.split(LEARN).1.to_vec();
        let held = Demand { jobs: held, ..demand.clone() };
        let judged =
            |layout: &Layout| -> Figures { judge(kinds, rules, layout, &demand.classes, &held.jobs) };
        let advice = ask(&demand, LEARN, 12);
        // The oracle learns from the very jobs that judge it.
        let oracle = ask(&held, 1.0, 1).advised.layout;
        let layouts = [
            judged(&advice.advised.layout),
            judged(&oracle),
            judged(&customary(kinds, fleet)),
            advice.whole.figures,
        ];
        let hours = layouts.map(|figures| {
            assert_eq!(figures.never, 0, "{name}");
            figures.waits.mean() / 3600.0
        });
        let [advised, oracle, customary, whole] = hours;
        for (sum, hours) in sums.iter_mut().zip([advised, oracle, advice.bound / 3600.0, customary, whole]) {
            *sum += hours / seeds as f64;
        }
        verdicts.push(advice.advised.layout.is_whole(kinds));
        calendars.extend(advice.calendar.map(|calendar| calendar.figures.cost() / 3600.0 / advised));
    }
    let [advised, oracle, bound, customary, whole] = sums;
    let left = verdicts.iter().filter(|whole| **whole).count();
    println!(
        "| {name} | {load} | {advised:.3} | {oracle:.3} | {bound:.3} | {customary:.3} | {whole:.3} | {:.2} | {:.2} | cut {}, leave whole {left} | {} |",
        advised / oracle,
        advised / customary,
        verdicts.len() - left,
        match calendars.iter().sum::<f64>() / calendars.len() as f64 {
            part if part.is_finite() => format!("{part:.2} of one layout, for {} seeds", calendars.len()),
            _ => "none".to_owned(),
        },
    );
    eprintln!("{name} {load}: {:.1} s", begun.elapsed().as_secs_f64());
}

fn generate(group: &Group, text: &str) {
    let parts: Vec<&str> = text.split(':').collect();
    let [name, load, jobs, seed] = parts[..] else { panic!("{text}: not MIX:LOAD:JOBS:SEED") };
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|error| panic!("{text}: {error}"));
    let kinds = &group.kinds;
    let demand =
        mix(kinds, name).jobs(kinds, group.fleet(), number(load), number(jobs) as usize, number(seed) as u64);
    println!("submit,run,limit,type");
    for job in &demand.jobs {
        let kind = &kinds.all[demand.classes[usize::from(job.class)].need];
        let name = kind.profile.map_or_else(String::new, |profile| profile.to_string());
        println!("{},{},{},{name}", job.submit, job.run, job.limit);
    }
}
