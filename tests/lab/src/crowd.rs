//! `lab crowd`: what the arbiter costs the slurmctld of a large cluster, by slurmctld's own count of what it was asked and the
//! processor time it took; what a look of a node costs it; and how long `sbatch` takes beside it.

use std::time::{Duration, Instant};

use crate::{Lab, LabError, Release};

mod site;
use site::NODES;

/// How long each part is watched.
const WATCH: Duration = Duration::from_secs(60);

/// How long the arbiter may take to see all nodes.
const SEEN_WITHIN: Duration = Duration::from_secs(300);

/// Jobs that are submitted meanwhile, to be timed.
const SUBMITTED: usize = 40;

/// Looks of a node.
const LOOKS: u32 = 20;

/// The arbiter, until it is told to end.
const ARBITER: &str = "setsid gresgen arbiter --metrics /srv/metrics --lock /srv/lock </dev/null >/dev/null 2>/srv/log & \
                       echo $! >/srv/pid";

/// Most processor time of slurmctld that a pass may take, in seconds.
const MOST_BUSY: f64 = 1.0;

/// Most questions of a pass: 13 by eight commands, a ping before comments, and three for each of eight of these; the first and last pass
/// may be counted in part.
const MOST_ASKED: f64 = 40.0;

/// Asked once in each pass, by the arbiter alone.
const ONCE: &str = "REQUEST_RESERVATION_INFO";

/// Prints what `jobs` jobs that wait for 1,000 nodes make the arbiter cost slurmctld, with the programs beside this one.
///
/// # Errors
/// What failed, with the daemons' logs where they can say more; and a pass that costs slurmctld too much.
pub fn run(release: Release, jobs: usize) -> Result<(), LabError> {
    let lab = site::start(release)?;
    site::submit(&lab, jobs)?;
    let count =
        |state: &str| lab.run(&["sh", "-c", &format!("squeue --noheader --array --states={state} | wc -l")]);
    let (running, waiting) = (count("R")?.stdout, count("PD")?.stdout);
    println!("Slurm {release}: {NODES} nodes, {} jobs run, {} wait", running.trim(), waiting.trim());
    let idle = Watched::watch(&lab)?;
    lab.run(&["sh", "-c", ARBITER])?;
    wait_for_all(&lab)?;
    let (before, beside) = (time_of(&lab, "/srv/pid")?, Watched::watch(&lab)?);
    let own = time_of(&lab, "/srv/pid")? - before;
    lab.run(&["sh", "-c", "kill $(cat /srv/pid)"])?;
    print_passes(&idle, &beside, own)?;
    print_looks(&lab, &idle)
}

/// slurmctld over some time.
struct Watched {
    /// How long, in seconds.
    seconds: f64,
    /// Its processor time, in seconds.
    busy: f64,
    /// What it was asked: name, how often, and how long it took it each time, in milliseconds.
    asked: Vec<(String, f64, f64)>,
    /// How long `sbatch` took each time, in milliseconds, ascending.
    sbatch: Vec<f64>,
    /// How long passes of the arbiter took, in seconds, ascending.
    passes: Vec<f64>,
}

impl Watched {
    fn watch(lab: &Lab) -> Result<Self, LabError> {
        Self::of(lab, |watched| {
            let (begin, mut last) = (Instant::now(), String::new());
            while begin.elapsed() < WATCH {
                std::thread::sleep(WATCH / SUBMITTED as u32 / 2);
                let started = Instant::now();
                lab.run(&["sbatch", "--quiet", "--begin=now+1days", "--output=/dev/null", "--wrap=true"])?;
                watched.sbatch.push(started.elapsed().as_secs_f64() * 1000.0);
                let figures = lab.command(&["cat", "/srv/metrics"]).output()?.stdout;
                if figures != last {
                    watched.passes.extend(figure(&figures, "gresgen_arbiter_pass_seconds "));
                    last = figures;
                }
            }
            Ok(())
        })
    }

    /// What slurmctld does while something is done.
    fn of(lab: &Lab, work: impl FnOnce(&mut Self) -> Result<(), LabError>) -> Result<Self, LabError> {
        lab.run(&["sdiag", "--reset"])?;
        let (before, begin) = (time_of(lab, SLURMCTLD)?, Instant::now());
        let mut watched = Self { seconds: 0.0, busy: 0.0, asked: vec![], sbatch: vec![], passes: vec![] };
        work(&mut watched)?;
        (watched.seconds, watched.busy) = (begin.elapsed().as_secs_f64(), time_of(lab, SLURMCTLD)? - before);
        watched.asked = asked(&lab.run(&["sdiag"])?.stdout);
        watched.sbatch.sort_by(f64::total_cmp);
        watched.passes.sort_by(f64::total_cmp);
        Ok(watched)
    }

    fn count(&self, name: &str) -> f64 {
        self.asked.iter().find(|(asked, ..)| asked == name).map_or(0.0, |(_, count, _)| *count)
    }

    /// Its part of a processor.
    fn load(&self) -> f64 {
        self.busy / self.seconds
    }

    /// How often it was asked in each of so many, beyond what it is asked without them.
    fn print_asked(&self, of: &str, times: f64, without: &Self) -> f64 {
        println!("\n| asked of slurmctld | for each {of} | mean, ms |\n|---|---|---|");
        let mut sum = 0.0;
        for (name, count, mean) in self.asked.iter().filter(|(name, ..)| !OURS.contains(&name.as_str())) {
            let count = (count - without.count(name) / without.seconds * self.seconds) / times;
            sum += count;
            if count >= 0.05 {
                println!("| {name} | {count:.1} | {mean:.1} |");
            }
        }
        sum
    }
}

/// What this program asks itself.
const OURS: [&str; 2] = ["REQUEST_STATS_INFO", "REQUEST_SUBMIT_BATCH_JOB"];

const SLURMCTLD: &str = "/run/slurmctld.pid";

fn print_passes(idle: &Watched, beside: &Watched, own: f64) -> Result<(), LabError> {
    let passes = beside.count(ONCE);
    let (Some(median), Some(longest)) = (median(&beside.passes), beside.passes.last()) else {
        return Err(LabError::Command { command: "gresgen arbiter".into(), what: "made no pass".into() });
    };
    let busy = (beside.load() - idle.load()) * beside.seconds / passes;
    println!(
        "\n| passes a minute | a pass, median and longest, s | processor time of the arbiter and its commands, s | of slurmctld, s | \
         slurmctld's part of a core, without and with |\n|---|---|---|---|---|"
    );
    println!(
        "| {:.0} | {median:.2} and {longest:.2} | {:.2} | {busy:.2} | {:.0} and {:.0} % |",
        passes / beside.seconds * 60.0,
        own / passes,
        idle.load() * 100.0,
        beside.load() * 100.0,
    );
    println!("\n| sbatch | n | median, ms | nine of ten within | longest |\n|---|---|---|---|---|");
    for (what, watched) in [("without the arbiter", idle), ("beside it", beside)] {
        let all = &watched.sbatch;
        let at = |part: usize| all.get(all.len() * part / 10).copied().unwrap_or(f64::NAN);
        let longest = all.last().copied().unwrap_or(f64::NAN);
        println!("| {what} | {} | {:.0} | {:.0} | {longest:.0} |", all.len(), at(5), at(9));
    }
    let asked = beside.print_asked("pass", passes, idle);
    if busy < MOST_BUSY && asked <= MOST_ASKED {
        return Ok(());
    }
    let what = format!("a pass asks slurmctld {asked:.1} times and keeps it busy for {busy:.2} s");
    Err(LabError::Command { command: "gresgen arbiter".into(), what })
}

/// What a node that is looked at asks slurmctld in turn.
fn print_looks(lab: &Lab, idle: &Watched) -> Result<(), LabError> {
    site::leave_alone(lab)?;
    let looks = Watched::of(lab, |_| (0..LOOKS).try_for_each(|_| site::look(lab).map(drop)))?;
    let count = f64::from(LOOKS);
    let busy = (looks.load() - idle.load()) * looks.seconds / count;
    println!(
        "\na look of a node takes it {:.2} s, and slurmctld {busy:.3} s of processor time",
        looks.seconds / count
    );
    looks.print_asked("look", count, idle);
    Ok(())
}

fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

/// Waits until the arbiter has seen every node, which takes its processor some time.
fn wait_for_all(lab: &Lab) -> Result<(), LabError> {
    let begin = Instant::now();
    while begin.elapsed() < SEEN_WITHIN {
        let seen = lab.run(&["sh", "-c", "grep -c 'is known, ' /srv/log || true"])?.stdout;
        if seen.trim().parse() == Ok(NODES) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    let log = lab.run(&["tail", "/srv/log"])?.stdout;
    Err(LabError::Command {
        command: "gresgen arbiter".to_owned(),
        what: format!("has not seen all nodes: {log}"),
    })
}

fn figure(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

/// Processor time of a process and of those it has waited for, in seconds; `file` has its number.
fn time_of(lab: &Lab, file: &str) -> Result<f64, LabError> {
    let stat = lab.run(&["sh", "-c", "cat /proc/$(cat \"$1\")/stat", "sh", file])?.stdout;
    // proc(5): utime, stime, cutime and cstime are the 14th to 17th word, counted behind the name, in ticks of a hundredth.
    let words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = words.skip(11).take(4).filter_map(|word| word.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Requests by slurmctld's own account (sdiag(1), "Remote Procedure Call statistics by message type").
fn asked(sdiag: &str) -> Vec<(String, f64, f64)> {
    let lines = sdiag.lines().skip_while(|line| !line.contains("by message type")).skip(1);
    let read = |line: &str| {
        let (name, rest) = line.trim().split_once(' ').filter(|(name, _)| name.contains("REQUEST_"))?;
        let number = |key: &str| -> f64 {
            let word = rest.split_whitespace().find_map(|word| word.strip_prefix(key));
            word.and_then(|word| word.parse().ok()).unwrap_or_default()
        };
        Some((name.to_owned(), number("count:"), number("ave_time:") / 1000.0))
    };
    lines.map_while(read).collect()
}
