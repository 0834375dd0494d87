//! What happens to a cluster: users and admins, daemons that end, drivers that fail.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use lab::{Fleet, JobId};

use crate::arbiter;
use crate::away::{self, Away};
use crate::jobs::Submitted;
use crate::random::Random;

/// Longest pause between two events, in milliseconds.
const PAUSE_MS: u64 = 2500;

/// Longest time from when an order begins to when it is killed, in milliseconds.
const LONGEST_ORDER_MS: u64 = 3500;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Cancel,
    Requeue,
    Hold,
    Drain,
    RestartSlurmd,
    KillSlurmd,
    RestartSlurmctld,
    KillSlurmctld,
    KillArbiter,
    FailNvml,
    KillOrder,
    KillOrderAtCall,
}

/// Events, each as often as its number says.
pub(crate) type Events = [(u64, Event)];

/// All of them.
pub(crate) const ALL: &Events = &[
    (6, Event::Cancel),
    (4, Event::Requeue),
    (3, Event::Hold),
    (3, Event::Drain),
    (2, Event::RestartSlurmd),
    (2, Event::KillSlurmd),
    (1, Event::RestartSlurmctld),
    (1, Event::KillSlurmctld),
    (4, Event::KillArbiter),
    (4, Event::FailNvml),
    (4, Event::KillOrder),
    (4, Event::KillOrderAtCall),
];

/// Those that leave Slurm and jobs alone.
pub(crate) const SOME: &Events =
    &[(2, Event::KillArbiter), (1, Event::FailNvml), (1, Event::KillOrder), (1, Event::KillOrderAtCall)];

/// Calls that a cut makes, and codes that they can give.
const CALLS: [&str; 6] = [
    "nvmlDeviceCreateGpuInstanceWithPlacement",
    "nvmlGpuInstanceCreateComputeInstance",
    "nvmlComputeInstanceDestroy",
    "nvmlGpuInstanceDestroy",
    "nvmlDeviceGetGpuInstances",
    "nvmlDeviceGetMigMode",
];
const CODES: [&str; 3] = ["UNKNOWN", "IN_USE", "INSUFFICIENT_RESOURCES"];

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    pub(crate) events: BTreeMap<Event, usize>,
    pub(crate) undrained: Vec<String>,
    /// Arbiters that were not there when they were to be killed.
    pub(crate) arbiters: Vec<String>,
    pub(crate) away: Vec<Away>,
}

/// Lets things happen until `stop`; in the end all that was stopped runs and what was held or drained is not.
pub(crate) fn blow(
    fleet: &Fleet,
    events: &Events,
    seed: u64,
    submitted: &Mutex<Submitted>,
    stop: &AtomicBool,
) -> Weather {
    // Other numbers than those of the jobs.
    let mut random = Random(!seed);
    let mut weather = Weather::default();
    let all: u64 = events.iter().map(|(weight, _)| weight).sum();
    while !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(random.below(PAUSE_MS)));
        mend(fleet);
        let mut at = random.below(all);
        let mut rest = events.iter();
        let event = loop {
            let (weight, event) = rest.next().expect("an event");
            if at < *weight {
                break *event;
            }
            at -= weight;
        };
        if happen(fleet, event, &mut random, submitted, &mut weather) {
            *weather.events.entry(event).or_default() += 1;
        }
    }
    let _ = fleet.lab.command(&["rm", "-f", "/var/lab/storm/next"]).output();
    weather
}

/// Does what an admin does about a slurmctld that was killed and has forgotten what it did last: slurmd refuses a job that it has
/// already, and Slurm then holds the job, or drains the node; a job that was released is held.
pub(crate) fn mend(fleet: &Fleet) {
    const MEND: &str = "squeue -h -t PD -o '%A %r' | sed -En 's/ (.*requeued held|JobHeldAdmin)$//p' | xargs -r -n1 scontrol release\n\
        sinfo -h -N -o '%N %E' | sed -En 's/ (Duplicate jobid|Kill task failed)$//p' | sort -u |\n\
        while read -r node; do scontrol update NodeName=\"$node\" State=RESUME; done";
    let _ = fleet.lab.command(&["sh", "-c", MEND]).output();
}

/// Whether it could be done.
fn happen(
    fleet: &Fleet,
    event: Event,
    random: &mut Random,
    submitted: &Mutex<Submitted>,
    weather: &mut Weather,
) -> bool {
    let run = |command: &[&str]| fleet.lab.command(command).output().unwrap().success();
    let node = random.of(fleet.nodes()).clone();
    let next = |text: String| fleet.lab.write_file("/var/lab/storm/next", text).is_ok();
    match event {
        Event::Cancel => {
            let Some((_, array)) = one(fleet, "PD,R,CF", random) else { return false };
            // Before: it may be gone by the time scancel has answered.
            submitted.lock().unwrap().cancelled.insert(array);
            run(&["scancel", &array.to_string()])
        }
        Event::Requeue => {
            let Some((job, _)) = one(fleet, "R", random) else { return false };
            run(&["scontrol", "requeue", &job])
        }
        Event::Hold => {
            let Some((job, _)) = one(fleet, "PD", random) else { return false };
            let held = run(&["scontrol", "hold", &job]);
            sleep(Duration::from_millis(random.below(PAUSE_MS)));
            until(|| run(&["scontrol", "release", &job]) || !waits(fleet, &job));
            held
        }
        Event::Drain => {
            let update = |state: &str| {
                let words = [&format!("NodeName={node}"), &format!("State={state}"), "Reason=by_the_admin"]
                    .map(|w| w.to_owned());
                let words = if state == "RESUME" { &words[..2] } else { &words[..] };
                let words: Vec<&str> =
                    ["scontrol", "update"].into_iter().chain(words.iter().map(String::as_str)).collect();
                run(&words)
            };
            if !update("DRAIN") {
                return false;
            }
            sleep(Duration::from_millis(2 * random.below(PAUSE_MS)));
            let line = fleet.lab.command(&["scontrol", "-o", "show", "node", &node]).output().unwrap();
            if line.success()
                && !(line.stdout.contains("+DRAIN") && line.stdout.contains("Reason=by_the_admin"))
            {
                weather.undrained.push(line.stdout);
            }
            until(|| update("RESUME"));
            true
        }
        Event::RestartSlurmd | Event::KillSlurmd => {
            let signal = if event == Event::KillSlurmd { "KILL" } else { "TERM" };
            let file = format!("/run/slurmd-{node}.pid");
            // It is started again by what keeps it.
            fleet.on(&node, &["sh", "-c", END, "sh", signal, &file]).output().unwrap().success()
        }
        Event::RestartSlurmctld | Event::KillSlurmctld => {
            let signal = if event == Event::KillSlurmctld { "KILL" } else { "TERM" };
            let since = away::now();
            let ended = run(&["sh", "-c", END, "sh", signal, "/run/slurmctld.pid"]);
            until(|| !run(&["sh", "-c", RUNS]));
            sleep(Duration::from_millis(random.below(2000)));
            until(|| run(&["slurmctld"]));
            until(|| run(&["scontrol", "ping"]));
            weather.away.push(since..=away::now());
            if event == Event::KillSlurmctld {
                run(&["sh", "-c", UNDRAIN]);
            }
            ended
        }
        Event::KillArbiter => {
            if !arbiter::end(fleet, "KILL").unwrap() {
                weather.arbiters.push("an arbiter had ended by itself".to_owned());
            }
            sleep(Duration::from_millis(random.below(PAUSE_MS)));
            arbiter::start(fleet).unwrap();
            true
        }
        Event::FailNvml => {
            let call = random.of(&CALLS);
            let count = 1 + random.below(3);
            let after = if random.below(3) == 0 { "!" } else { "" };
            next(format!("FAULTS='{call}@{count}={}{after}'\n", random.of(&CODES)))
        }
        Event::KillOrder => {
            let time = random.below(LONGEST_ORDER_MS);
            next(format!("SECONDS_TO_LIVE={}.{:03}\n", time / 1000, time % 1000))
        }
        Event::KillOrderAtCall => {
            let after = if random.below(2) == 0 { "!" } else { "" };
            next(format!("FAULTS='kill@{}{after}'\n", 1 + random.below(6)))
        }
    }
}

/// Ends the process of a pid file.
const END: &str = r#"kill -s "$1" "$(cat "$2")""#;

/// Takes the admin's drains back, of which none is on between two events: one that slurmctld was killed after is on again.
const UNDRAIN: &str = "sinfo -h -N -o '%N %E' | sed -n 's/ by_the_admin$//p' | sort -u |\n\
    while read -r node; do scontrol update NodeName=\"$node\" State=RESUME; done";

/// Whether slurmctld is still there.
const RUNS: &str = "kill -0 $(cat /run/slurmctld.pid)";

/// A job in one of these states, by what it and by what the whole of its array or heterogeneous job is called.
fn one(fleet: &Fleet, states: &str, random: &mut Random) -> Option<(String, JobId)> {
    let listed =
        fleet.lab.command(&["squeue", "-h", "-r", "-t", states, "-o", "%i %F"]).output().unwrap().stdout;
    let jobs: Vec<&str> = listed.lines().collect();
    let (job, array) = (!jobs.is_empty()).then(|| random.of(&jobs).split_once(' '))??;
    // Of a heterogeneous one the whole can be acted on, and no component.
    let job = job.split('+').next().unwrap_or(job);
    let array = if array == job || job.contains('_') { array } else { job };
    Some((job.to_owned(), array.parse().ok()?))
}

fn waits(fleet: &Fleet, job: &str) -> bool {
    let listed = fleet.lab.command(&["squeue", "-h", "-j", job]).output().unwrap();
    !listed.success() || !listed.stdout.is_empty()
}

/// Tries again and again for a minute.
fn until(done: impl Fn() -> bool) {
    for _ in 0..240 {
        if done() {
            return;
        }
        sleep(Duration::from_millis(250));
    }
}
