//! Waiting with the best fixed layout, the layout advised, slices cut on request, cuts that take no time, and no placement at all.
//!
//! `cargo bench -p advice --bench on-request -- [SEEDS] [layouts]`: SEEDS is a number of seeds, from 0 on, or the first and the
//! last (`6-11`). Without `layouts` the fixed layouts, whose search takes minutes, are left out.

use std::ops::RangeInclusive;
use std::time::Instant;

use advice::Question;
use advice::advise::advise;
use advice::demand::{Class, Demand, Request};
use advice::judge::judge;
use advice::kinds::Kinds;
use advice::layout::{Fleet, Layout};
use advice::on_request::{CutRules, bound, on_request, placed};
use advice::random::Random;
use demand::Policy;
use mig::{Board, Geometry, Placement};
use replay::{Rules, Waits};

/// Part of the jobs that layouts are learnt from; the others judge all policies.
const LEARN: f64 = 1.0 / 3.0;

const FLEET: Fleet = Fleet { nodes: 4, gpus: 8 };

/// Hours of jobs.
const HOURS: u32 = 96;

/// By day and by night: 1g, 2g, 3g and whole GPUs.
const SHARES: [[f64; 4]; 2] = [[0.62, 0.2, 0.15, 0.03], [0.25, 0.2, 0.35, 0.2]];

fn main() {
    let seeds = std::env::args().find_map(|argument| seeds(&argument)).unwrap_or(0..=2);
    let layouts = std::env::args().any(|argument| argument == "layouts");
    let geometry = Board::by_key("a100-40gb").expect("a board of the list").geometry();
    let kinds = Kinds::new(&geometry, 40960, &[]);
    // As slurm.conf has it by default, and as a scheduler would have it that never rests and plans nothing.
    let slurm = Rules::default();
    let eager = Rules { interval: 0, window: 0, ..slurm };
    for (name, rules) in [("every job that fits starts at once", eager), ("Slurm's defaults", slurm)] {
        println!("\n{name}\n");
        println!(
            "| load | policy | mean wait, min | p95 | mean of 3g and 7g | to the bound | cuts an hour | closings |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        for load in [0.8, 0.9] {
            table(&geometry, &kinds, rules, load, &seeds, layouts);
        }
    }
}

/// `6` or `6-11`.
fn seeds(argument: &str) -> Option<RangeInclusive<u64>> {
    match argument.split_once('-') {
        Some((first, last)) => Some(first.parse().ok()?..=last.parse().ok()?),
        None => Some(0..=argument.parse::<u64>().ok()?.checked_sub(1)?),
    }
}

/// One policy over all seeds.
#[derive(Default)]
struct Row {
    mean: f64,
    p95: f64,
    large: f64,
    cuts: f64,
    cordons: f64,
}

fn table(
    geometry: &Geometry,
    kinds: &Kinds,
    rules: Rules,
    load: f64,
    seeds: &RangeInclusive<u64>,
    layouts: bool,
) {
    let names = [
        "best fixed layout",
        "advised",
        "on request, idle GPUs in seven",
        "the same without cordons",
        "on request, idle GPUs whole",
        "the same, steered",
        "cuts that take no time, best place of all nodes",
        "bound that plans",
        "bound",
    ];
    let count = seeds.clone().count() as f64;
    let mut rows: Vec<Row> = names.iter().map(|_| Row::default()).collect();
    let begun = Instant::now();
    for seed in seeds.clone() {
        let demand = jobs(kinds, load, seed);
        let held = demand.split(LEARN).1;
        let hours = f64::from(Demand::span(held)) / 3600.0;
        let mut add = |row: usize, (mut all, large): (Waits, Waits), cuts: u32, cordons: u32| {
            let row = &mut rows[row];
            row.mean += all.mean() / 60.0 / count;
            row.p95 += f64::from(all.quantile(0.95)) / 60.0 / count;
            row.large += large.mean() / 60.0 / count;
            row.cuts += f64::from(cuts) / hours / count;
            row.cordons += f64::from(cordons) / hours / count;
        };
        let fixed = |layout: &Layout| {
            let of = |jobs: &[Request]| judge(kinds, rules, layout, &demand.classes, jobs);
            let figures = of(held);
            assert_eq!(figures.never, 0);
            figures.waits
        };
        let ask = |demand: &Demand, learn: f64| {
            let question =
                Question { kinds, fleet: FLEET, demand, present: None, rules, learn, samples: 6, seed: 1 };
            advise(&question).advised.layout
        };
        if layouts {
            // The oracle learns from the very jobs that judge it; beside it the fixed layouts that were tried first.
            let oracle = ask(&Demand { jobs: held.to_vec(), ..demand.clone() }, 1.0);
            let candidates = customary(kinds).into_iter().chain([oracle]);
            let best = candidates.map(|layout| fixed(&layout)).min_by(|a, b| a.mean().total_cmp(&b.mean()));
            add(0, (best.unwrap_or_default(), Waits::default()), 0, 0);
            add(1, (fixed(&ask(&demand, LEARN)), Waits::default()), 0, 0);
        }
        let policies = [
            (1, Policy::default()),
            (1, Policy { cordon_after: u64::MAX, ..Policy::default() }),
            // They are so at once, not after an hour.
            (7, Policy { linger: 0, ..Policy::default() }),
            (7, Policy { linger: 0, steer: true, ..Policy::default() }),
        ];
        for (row, (slices, policy)) in (2..).zip(policies) {
            let how = CutRules { default: default(geometry, slices), policy, cut: 5, open: 2, pass: 1 };
            let outcome = on_request(geometry, kinds, rules, FLEET, &how, &demand.classes, held);
            assert_eq!(outcome.figures.never, 0);
            add(row, (outcome.figures.waits, outcome.large), outcome.cuts, outcome.cordons);
        }
        let unplanned = Rules { window: 0, ..rules };
        if rules == unplanned {
            // Plans are by node, and this is one.
            let one = Fleet { nodes: 1, gpus: FLEET.total() };
            let outcome = placed(geometry, kinds, rules, one, &demand.classes, held);
            add(6, (outcome.figures.waits, outcome.large), 0, 0);
        } else {
            let outcome = bound(geometry, kinds, rules, FLEET, &demand.classes, held);
            add(7, (outcome.figures.waits, outcome.large), 0, 0);
        }
        let outcome = bound(geometry, kinds, unplanned, FLEET, &demand.classes, held);
        add(8, (outcome.figures.waits, outcome.large), 0, 0);
    }
    let bound = rows[8].mean;
    for (name, row) in names.iter().zip(&rows).filter(|(_, row)| row.mean > 0.0) {
        let Row { mean, p95, large, cuts, cordons } = row;
        println!(
            "| {load} | {name} | {mean:.2} | {p95:.1} | {large:.2} | {:.2} | {cuts:.1} | {cordons:.1} |",
            mean / bound
        );
    }
    eprintln!("load {load}: {:.1} s", begun.elapsed().as_secs_f64());
}

/// As many instances of a size as a GPU has.
fn default(geometry: &Geometry, slices: u8) -> Vec<Placement> {
    let spec = geometry.specs.iter().find(|spec| spec.profile.slices() == slices);
    spec.expect("the model has such slices").placements().collect()
}

/// Jobs by day and night, 12 hours each; run times are log-normal, of 45 minutes on average and of 8 hours at most, limits one
/// to four times as long.
fn jobs(kinds: &Kinds, load: f64, seed: u64) -> Demand {
    let slices =
        |slices: u8| kinds.all.iter().rposition(|kind| kind.slices == slices).unwrap_or(kinds.whole());
    let first = kinds.all.iter().position(|kind| kind.slices == 1).unwrap_or(0);
    let needs = [first, slices(2), slices(3), kinds.whole()];
    let mut random = Random::new(seed);
    let mut demand = Demand::default();
    // As much of a GPU as such mixes can use.
    const UNITS: f64 = 7.4;
    const MEAN: f64 = 2700.0;
    let mut now = 0.0;
    while now < f64::from(HOURS * 3600) {
        let shares = &SHARES[(now / 43200.0) as usize % 2];
        let units: f64 =
            needs.iter().zip(shares).map(|(&need, part)| f64::from(kinds.all[need].units) * part).sum();
        now += random.exponential(units * MEAN / (load * f64::from(FLEET.total()) * UNITS));
        let need = needs[random.weighted(shares)];
        let Some(class) = demand.class(Class { need, count: 1, nodes: 1 }) else { continue };
        let run = random.log_normal(1636.0, 1.0).clamp(1.0, 8.0 * 3600.0) as u32;
        let limit = (f64::from(run) * (1.0 + 3.0 * random.uniform())) as u32;
        demand.jobs.push(Request { submit: now as u32, run, limit, priority: 0, class });
    }
    demand
}

/// Layouts that somebody would try: shares of 7 x 1g, 3 x 2g + 1g, 2 x 3g, whole, 3g + 4 x 1g, and 3g + 2 x 2g.
fn customary(kinds: &Kinds) -> Vec<Layout> {
    let cut = |counts: [u32; 3]| {
        let mut cut = vec![0; kinds.all.len()];
        for (slices, count) in (1u8..).zip(counts) {
            let of = |kind: &advice::kinds::Kind| kind.slices == slices && kind.profile.is_some();
            let at = if slices == 1 { kinds.all.iter().position(of) } else { kinds.all.iter().rposition(of) };
            cut[at.expect("an A100 has 1g, 2g and 3g")] = count;
        }
        cut
    };
    let [small, two, three, mixed, pair] = [[7, 0, 0], [1, 3, 0], [0, 0, 2], [4, 0, 1], [0, 2, 1]].map(cut);
    let whole = kinds.uncut();
    let eighth = FLEET.total() / 8;
    let shares = |parts: &[(&Vec<u32>, u32)]| {
        Layout::together(FLEET, &parts.iter().map(|(cut, count)| ((*cut).clone(), count * eighth)).collect())
    };
    vec![
        shares(&[(&whole, 1), (&three, 2), (&two, 2), (&small, 3)]),
        shares(&[(&whole, 2), (&three, 3), (&two, 1), (&small, 2)]),
        shares(&[(&whole, 2), (&three, 1), (&pair, 2), (&mixed, 2), (&small, 1)]),
        shares(&[(&whole, 3), (&three, 1), (&pair, 2), (&small, 2)]),
    ]
}
