//! Layout after layout beside jobs.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use lab::{LabError, Output, Release};

use crate::history::{PAUSE, Watch};
use crate::jobs;
use crate::node::{LAYOUTS, Node};
use crate::random::{Random, number};

/// How an apply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself.
    Own,
    /// By SIGKILL, at any moment, in every other round.
    Killed,
}

/// Rounds of a run that nobody asked for more of.
const FEW: u64 = 6;

/// Ways to apply: at once, as far as nobody is in the way, or with jobs that run left to end.
const WAYS: [&[&str]; 4] = [
    &["--slurm=apply"],
    &["--drain=20s", "--slurm=apply"],
    &["--drain=20s", "--slurm=apply"],
    &["--drain=20s"],
];

/// Longest an apply lives that is killed, in milliseconds.
const LONGEST_MS: u64 = 4000;

/// Longest time from when a job runs to the next apply, in milliseconds.
const LONGEST_AFTER_MS: u64 = 1000;

/// What came of the rounds.
#[derive(Debug, Default)]
struct Tally {
    changed: usize,
    refused: usize,
    killed: usize,
}

/// Races until a job and a layout have met: in a few rounds, chance can keep them apart.
pub(crate) fn race(release: Release, ending: Ending) {
    const RACES: u64 = 4;
    // The few rounds among all tests begin with the same layouts each time.
    let many = number("RACE_ROUNDS").map_or(1, |_| u64::from(std::process::id()));
    let seed = number("RACE_SEED").unwrap_or(many);
    let met = (0..RACES).any(|further| race_once(release, ending, seed + further));
    assert!(met, "{release}, {ending:?}: in {RACES} races no job ran, or no layout changed");
}

/// Whether a job ran and a layout changed.
fn race_once(release: Release, ending: Ending, seed: u64) -> bool {
    let rounds = number("RACE_ROUNDS").unwrap_or(FEW);
    println!("race: {release}, {ending:?}, RACE_ROUNDS={rounds} RACE_SEED={seed}");
    let Some(node) = Node::start(release) else { return true };
    let watch = Watch::start(node.state(), PAUSE, |_| ());
    let begin = Instant::now();
    let stop = AtomicBool::new(false);
    let (tally, submitted, wrong) = std::thread::scope(|scope| {
        let submitting = scope.spawn(|| jobs::submit(&node.lab, seed, &stop));
        let mut wrong = Vec::new();
        let tally = apply_all(&node, rounds, seed, ending, &mut wrong);
        stop.store(true, Ordering::Relaxed);
        (tally, submitting.join().expect("the submitter ends"), wrong)
    });
    let mut wrong = wrong;
    finish(&node, &mut wrong).unwrap();
    let (ran, found) = jobs::judge(&node.lab, &watch.lives()).unwrap();
    wrong.extend(found);
    println!(
        "race: {release}, {ending:?}: {tally:?}; {submitted} jobs submitted, {ran} ran, {} lives of instances, {:.0} s",
        watch.lives().len(),
        begin.elapsed().as_secs_f64()
    );
    assert!(
        wrong.is_empty(),
        "{release}, {ending:?}, RACE_SEED={seed}: {} faults:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    node.assert_schedulable("a").unwrap();
    tally.changed > 0 && ran > 0
}

fn apply_all(node: &Node, rounds: u64, seed: u64, ending: Ending, wrong: &mut Vec<String>) -> Tally {
    let mut random = Random(seed ^ 0x5eed);
    let mut tally = Tally::default();
    let mut layout = "a";
    for round in 0..rounds {
        let others: Vec<&str> = LAYOUTS.into_iter().filter(|other| *other != layout).collect();
        layout = *random.of(&others[..]);
        let way = *random.of(&WAYS);
        let met = random.below(2) == 0;
        meet(node, met);
        if met {
            std::thread::sleep(Duration::from_millis(random.below(LONGEST_AFTER_MS)));
        }
        if ending == Ending::Killed && round % 2 == 0 {
            node.apply_killed(layout, way, random.below(LONGEST_MS));
            tally.killed += 1;
            continue;
        }
        let answer = node.apply(layout, way);
        match answer.code {
            0 => tally.changed += 1,
            6 => {
                tally.changed += 1;
                carry_out(node, &answer, wrong);
            }
            4 => tally.refused += 1,
            code => {
                let said = answer.stderr.trim().replace('\n', " | ");
                wrong.push(format!("round {round}, layout {layout} {way:?}: exit code {code}: {said}"));
            }
        }
    }
    tally
}

/// Waits for some seconds at most until a job runs, or until none does: then others are about to, in the midst of the
/// change.
fn meet(node: &Node, job: bool) {
    for _ in 0..100 {
        let running = node.lab.command(&["squeue", "-h", "-r", "-t", "R,CG", "-o", "%A"]).output().unwrap();
        if running.stdout.is_empty() != job {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Types in what an apply left to do, as an admin would.
fn carry_out(node: &Node, answer: &Output, wrong: &mut Vec<String>) {
    let left = answer.stdout.lines().skip_while(|line| *line != "left to do in Slurm:").skip(1);
    for line in left.map(str::trim) {
        let done = node.lab.command(&["bash", "-c", line]).output().unwrap();
        if !done.success() {
            let said = format!("{}{}", done.stdout, done.stderr);
            wrong.push(format!(
                "`{line}` of {}: exit code {}: {said}{}",
                answer.stdout,
                done.code,
                node.state_of_slurm()
            ));
        }
    }
}

/// The last word: whatever was left half done is completed, and what waits for types that are gone is cancelled.
fn finish(node: &Node, wrong: &mut Vec<String>) -> Result<(), LabError> {
    let answer = node.apply("a", &["--drain=40s", "--slurm=apply"]);
    if answer.code != 0 {
        let said = format!("{}{}", answer.stdout, answer.stderr);
        wrong.push(format!("last apply: exit code {}: {said}{}", answer.code, node.state_of_slurm()));
    }
    // Closed, lest one of them begins between the list and the scancel, which would then have ended a job that runs.
    let partition =
        |state: &str| node.lab.run(&["scontrol", "update", "PartitionName=lab", &format!("State={state}")]);
    partition("DOWN")?;
    node.lab.run(&["bash", "-c", "squeue -h -r -t PD -o %i | xargs -r scancel --quiet"])?;
    partition("UP")?;
    node.lab.wait("all jobs to end", || Ok(node.lab.run(&["squeue", "-h"])?.stdout.is_empty().then_some(())))
}
