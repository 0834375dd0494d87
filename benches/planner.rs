//! How long it takes to plan a node of 8 GPUs: `cargo bench -p mig --bench planner [-- --instances FILE]`.
//!
//! `--instances FILE` writes what was planned, one JSON object per line, for `benches/planner_ilp.py`, which
//! solves the same with HiGHS.

mod nodes;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use mig::{Goal, GpuState, Infeasible, Placement, Plan, Want, plan};
use nodes::{Churn, EMPTY, MIXES, PACKED, Random, SPREAD};

/// Nodes for each mix and load.
const NODES: usize = 200;
/// Of these, so many go to the file of instances.
const WRITTEN: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip_while(|a| a != "--instances");
    let file = arguments.nth(1);
    let geometry = nodes::geometry();
    let mut instances = String::new();
    println!("8 GPUs (A100-40GB, 7 profiles), {} nodes a row; milliseconds", MIXES.len() * NODES);
    println!("| state | load | planned | median | p99 | max | refused | median | p99 | max |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for churn in [PACKED, SPREAD, EMPTY] {
        for load in [80, 90, 100] {
            let mut random = Random(u64::from(load) << 32 | u64::from(churn.busy));
            let (mut planned, mut refused) = (Vec::new(), Vec::new());
            for (_, mix) in &MIXES {
                for number in 0..NODES {
                    let gpus = nodes::node(&geometry, &mut random, mix, churn);
                    let new = nodes::asked(&gpus, &mut random, mix, load);
                    let goal = Goal {
                        gpus: (0..gpus.len()).collect(),
                        want: Want::Exactly(nodes::demand(&gpus, &new)),
                    };
                    let (outcome, took) = timed(&gpus, &goal);
                    if number < WRITTEN {
                        write_instance(&mut instances, churn, &gpus, &goal, &outcome, took);
                    }
                    if outcome.is_ok() { planned.push(took) } else { refused.push(took) }
                }
            }
            println!("| {} | {load} % | {} | {} |", churn.name, figures(planned), figures(refused));
        }
    }
    if let Some(file) = file {
        std::fs::write(&file, instances).unwrap_or_else(|e| panic!("{file}: {e}"));
    }
}

/// Plans three times and takes the fastest: on a shared machine the others measure its neighbours.
fn timed(gpus: &[GpuState<'_>], goal: &Goal) -> (Result<Plan, Box<Infeasible>>, Duration) {
    let once = |_| {
        let start = Instant::now();
        let outcome = plan(gpus, std::slice::from_ref(goal));
        (start.elapsed(), outcome)
    };
    let mut runs: Vec<_> = (0..3).map(once).collect();
    runs.sort_by_key(|(took, _)| *took);
    let (took, outcome) = runs.swap_remove(0);
    (outcome, took)
}

/// Count, median, 99th percentile and maximum.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times.get(((times.len() as f64 - 1.0) * share).round().max(0.0) as usize);
    let show = |t: Option<&Duration>| t.map_or("-".to_owned(), |t| format!("{:.3}", t.as_secs_f64() * 1e3));
    format!("{} | {} | {} | {}", times.len(), show(at(0.5)), show(at(0.99)), show(times.last()))
}

fn write_instance(
    text: &mut String,
    churn: Churn,
    gpus: &[GpuState<'_>],
    goal: &Goal,
    outcome: &Result<Plan, Box<Infeasible>>,
    took: Duration,
) {
    let geometry = gpus[0].geometry;
    let position = |p: &Placement| geometry.specs.iter().position(|s| s.profile == p.profile);
    let pairs = |placed: &[Placement]| -> Vec<_> {
        placed.iter().map(|p| [position(p).unwrap_or_default(), usize::from(p.start)]).collect()
    };
    let Want::Exactly(demand) = &goal.want else { return };
    let counts: Vec<u32> =
        geometry.specs.iter().map(|s| demand.get(&s.profile).copied().unwrap_or(0)).collect();
    let specs: Vec<(u8, &[u8], bool)> = geometry
        .specs
        .iter()
        .map(|s| (s.size, &s.starts[..], s.profile.attribute() == mig::Attribute::Me))
        .collect();
    let specs = format!("{specs:?}").replace('(', "[").replace(')', "]");
    let states: Vec<_> = gpus.iter().map(|g| [pairs(&g.busy), pairs(&g.idle)]).collect();
    let cost = match outcome {
        Ok(plan) => format!("[{}, {}]", plan.cost.destroyed, plan.cost.created),
        Err(_) => "null".to_owned(),
    };
    let (state, ms) = (churn.name, took.as_secs_f64() * 1e3);
    let _ = writeln!(
        text,
        r#"{{"state": "{state}", "units": {}, "specs": {specs}, "gpus": {states:?}, "demand": {counts:?}, "cost": {cost}, "ms": {ms}}}"#,
        geometry.units,
    );
}
