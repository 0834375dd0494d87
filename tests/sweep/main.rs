//! Faults at every place an apply can meet one.
//!
//! Each [`corpus`] entry is a change of a simulated node. It is carried out once in peace, which says which NVML
//! calls and file operations it makes; then again and again with one of them failing, or the process dying at
//! one ([`faults`]). After every run the node must be safe, and one more apply must finish the work ([`check`]).
//!
//! The default run takes a spread of the faults of every scenario; `GRESGEN_SWEEP=full` takes them all.
//! Root is needed, as for the driver.
#![forbid(unsafe_code)]

mod check;
mod corpus;
mod disk;
mod faults;
mod node;
mod picture;
#[path = "../shared/plain.rs"]
mod plain;
mod together;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use corpus::{SCENARIOS, Scenario};
use faults::Case;
use node::Bench;

/// Failures shown in full; the others are counted.
const SHOWN: usize = 25;

/// What a worker found.
#[derive(Default)]
struct Tally {
    cases: usize,
    rescued: usize,
    failures: Vec<String>,
}

/// Set where this program is the only one that it sees.
const ALONE: &str = "GRESGEN_SWEEP_ALONE";

#[test]
fn every_fault_leaves_a_node_that_one_more_apply_completes() {
    // An apply looks before each step which processes have a device open. Of those that are none of the node's there is
    // no end on some machines, so this one has a process namespace of its own, and a shell that reaps what is killed.
    if std::env::var_os(ALONE).is_none() {
        let program = std::env::current_exe().unwrap();
        let status = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", "\"$@\"; exit $?", "sh"])
            .arg(program)
            .args(["--exact", "every_fault_leaves_a_node_that_one_more_apply_completes", "--nocapture"])
            .env(ALONE, "1")
            // What it says of itself would be counted twice; what is wrong stands in the other output.
            .stdout(Stdio::null())
            .status();
        return assert!(status.unwrap().success(), "it says above what is wrong");
    }
    let begun = Instant::now();
    let only = std::env::var("GRESGEN_SWEEP_ONLY").unwrap_or_default();
    let queue: Vec<&Scenario> = SCENARIOS.iter().filter(|s| s.name.contains(&only)).collect();
    let queue = Mutex::new(queue);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(&queue))).collect();
        spawned.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let cases: usize = tallies.iter().map(|t| t.cases).sum();
    let rescued: usize = tallies.iter().map(|t| t.rescued).sum();
    let failures: Vec<String> = tallies.into_iter().flat_map(|t| t.failures).collect();
    say(&format!(
        "sweep: {cases} faults over {} changes, {rescued} completed by one more apply, {} wrong, {:.0} s",
        SCENARIOS.len(),
        failures.len(),
        begun.elapsed().as_secs_f64()
    ));
    assert!(failures.is_empty(), "{}", shown(&failures));
    assert!(cases > 0, "no scenario is called {only:?}");
}

/// Takes scenarios until there are none left.
fn work(queue: &Mutex<Vec<&'static Scenario>>) -> Tally {
    let mut tally = Tally::default();
    loop {
        let Some(scenario) = queue.lock().unwrap().pop() else { return tally };
        let bench = Bench::new(scenario);
        for case in faults::cases(&bench) {
            tally.cases += 1;
            match check::case(&bench, &case) {
                Ok(check::Verdict { rescued }) => tally.rescued += usize::from(rescued),
                Err(what) => tally.failures.push(describe(scenario, &case, &what)),
            }
        }
    }
}

fn describe(scenario: &Scenario, case: &Case, what: &str) -> String {
    format!("{}: {case}: {what}", scenario.name)
}

fn shown(failures: &[String]) -> String {
    let more = failures.len().saturating_sub(SHOWN);
    let mut text = failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    if more > 0 {
        text += &format!("\nand {more} more");
    }
    text
}

/// Writes past the test harness, which shows the output of failed tests only.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
