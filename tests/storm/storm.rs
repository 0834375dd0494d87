//! One storm, from the first job to the last word.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use lab::{Fleet, LabError, Release};

use crate::account::Faults;
use crate::arbiter;
use crate::devices::{Device, watch};
use crate::history::Watch;
use crate::jobs::{self, Submitted};
use crate::judge;
use crate::site::Site;
use crate::weather::{self, Event, Weather};

/// Longest that a queue may stay as it is before it is called stuck.
const STUCK: Duration = Duration::from_secs(300);

/// What happens beside jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sky {
    Calm,
    Breeze,
    Storm,
}

/// Lets `jobs` jobs run, and judges them. `None` where no lab can run.
pub(crate) fn storm(site: &Site, sky: Sky, jobs: u64, seed: u64) -> Option<()> {
    println!("storm: {}, {sky:?}, STORM_JOBS={jobs} STORM_SEED={seed}", site.name());
    let begin = Instant::now();
    let fleet = site.start()?;
    let nodes = fleet.nodes().len();
    let of = |node: &String| (node.clone(), watch(&fleet.machine(node), nodes as u32));
    let watches: BTreeMap<String, Watch<Device>> = fleet.nodes().iter().map(of).collect();
    let submitted = Mutex::new(Submitted::default());
    let over = AtomicBool::new(sky == Sky::Calm);
    let mut faults = Faults::default();
    arbiter::start(&fleet).unwrap();
    let weather = std::thread::scope(|scope| {
        let events = if sky == Sky::Storm { weather::ALL } else { weather::SOME };
        let weather = scope.spawn(|| weather::blow(&fleet, events, seed, &submitted, &over));
        jobs::submit(&fleet, sky == Sky::Storm, jobs, seed, &submitted);
        over.store(true, Ordering::Relaxed);
        weather.join().expect("the weather ends")
    });
    let submitted_after = begin.elapsed().as_secs();
    wait_empty(&fleet, &mut faults);
    let empty_after = begin.elapsed().as_secs();
    let Weather { events, undrained, arbiters, away } = weather;
    faults.left.extend(arbiters);
    wait_open(&fleet, site.policy.contains("steer: true"), &mut faults);
    if !arbiter::end(&fleet, "TERM").unwrap() {
        faults.left.push("no arbiter: it had ended".to_owned());
    }
    let lives = watches.iter().map(|(node, watch)| (node.clone(), watch.lives())).collect();
    let submitted = submitted.into_inner().unwrap();
    faults.undrained = undrained;
    let killed = events.contains_key(&Event::KillSlurmctld);
    let tally = judge::judge(&fleet, &submitted, &lives, killed, &away, &mut faults).unwrap();
    if site.release != Release::Bookworm && !tally.misled.is_empty() {
        faults.failed.push(format!("misled by a slurmctld that has what it saved: {:?}", tally.misled));
    }
    left(&fleet, &mut faults).unwrap();
    let orders = fleet.lab.read_file("/var/lab/storm/orders").unwrap_or_default();
    let asked = orders.lines().filter(|line| line.contains("\"create\"")).count();
    println!(
        "storm: {}, {sky:?}, seed {seed}, {:.0} s (all submitted after {submitted_after}, over after {empty_after}): {tally}; {} orders, {asked} of them for a cut; {events:?}; {}",
        site.name(),
        begin.elapsed().as_secs_f64(),
        orders.lines().count(),
        faults.counts(),
    );
    let text = faults.text();
    if !text.is_empty() {
        println!("{text}");
        if let Some(folder) = std::env::var_os("STORM_KEEP") {
            keep(&fleet, Path::new(&folder));
            println!("no slurmctld: {away:.2?}");
        }
    }
    assert!(text.is_empty(), "{}, {sky:?}, STORM_SEED={seed}: {}", site.name(), faults.counts());
    assert!(
        tally.whole > 0 && tally.denied > 0 && asked > 0,
        "{}: nothing was tried: {tally}, {asked} cuts",
        site.name()
    );
    Some(())
}

/// Keeps what tells how it came to that.
fn keep(fleet: &Fleet, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let of_node = fleet.nodes().iter().map(|node| format!("/var/log/slurm/slurmd-{node}.log"));
    let of_all = ["/var/lab/storm/orders", arbiter::LOG, "/var/log/slurm/slurmctld.log"].map(str::to_owned);
    for file in of_node.chain(of_all) {
        let text = fleet.lab.read_file(&file).unwrap_or_default();
        std::fs::write(folder.join(file.rsplit('/').next().unwrap_or_default()), text).unwrap();
    }
    for what in ["node", "job"] {
        let said = fleet.lab.command(&["scontrol", "-d", "-o", "show", what]).output().unwrap();
        std::fs::write(folder.join(what), said.stdout).unwrap();
    }
    const SAID: &str = "cd /var/lab/out && find . -type f -printf '\\n%T+ %p\\n' -exec cat {} ';'";
    let said = fleet.lab.run(&["bash", "-c", SAID]).map(|said| said.stdout);
    std::fs::write(folder.join("said"), said.unwrap_or_default()).unwrap();
}

/// Waits until the queue is empty, as long as it gets shorter or what runs changes.
fn wait_empty(fleet: &Fleet, faults: &mut Faults) {
    let (mut last, mut since) = (String::new(), Instant::now());
    loop {
        let queue = fleet.lab.command(&["squeue", "-h", "-r", "-o", "%i %T %b %N %r"]).output().unwrap();
        if queue.success() && queue.stdout.is_empty() {
            return;
        }
        if queue.stdout != last {
            (last, since) = (queue.stdout, Instant::now());
        } else if since.elapsed() > STUCK {
            faults.left.extend(last.lines().map(|line| format!("in the queue: {line}")));
            return;
        }
        weather::mend(fleet);
        sleep(Duration::from_millis(500));
    }
}

/// Waits until no node is fenced and, but where the arbiter steers, nothing is closed, for as long as an arbiter takes to look at
/// everything that is quiet.
fn wait_open(fleet: &Fleet, steers: bool, faults: &mut Faults) {
    let is_open = |node: &String| {
        let status = fleet.on(node, &["gresgen", "--json", "status"]).output().unwrap();
        let state = fleet.lab.node_state(node).unwrap_or_default();
        let is_open = steers || !status.stdout.contains("\"closed\": true");
        status.success() && is_open && state == "IDLE"
    };
    let end = Instant::now() + STUCK;
    while let Some(node) = fleet.nodes().iter().find(|node| !is_open(node)) {
        if Instant::now() > end {
            return faults.left.push(format!("{node}: the arbiter leaves it closed or fenced"));
        }
        sleep(Duration::from_millis(500));
    }
}

/// What should not be there when all is over.
fn left(fleet: &Fleet, faults: &mut Faults) -> Result<(), LabError> {
    for node in fleet.nodes() {
        let status = fleet.must(node, &["gresgen", "--json", "status"])?;
        let closed = status.matches("\"closed\": true").count();
        if closed > 0 {
            faults.left.push(format!("{node}: {closed} closed instances"));
        }
        let state = fleet.lab.node_state(node)?;
        if state != "IDLE" {
            faults.left.push(fleet.lab.run(&["scontrol", "-o", "show", "node", node])?.stdout);
        }
        // It waits for 20 s, and then ends.
        let log = fleet.lab.read_file(&format!("/var/log/slurm/slurmd-{node}.log"))?;
        let waited = log.lines().filter(|line| line.contains("Waiting for gres.conf file"));
        faults.left.extend(waited.map(|line| format!("slurmd of {node} began without a device: {line}")));
        let check = fleet.on(node, &["gresgen", "check"]).output()?;
        if check.code != 0 {
            faults
                .left
                .push(format!("{node}: gresgen check: {}: {}{}", check.code, check.stdout, check.stderr));
        }
    }
    // That a job has ended is no reason to tell nobody any more.
    let log = fleet.lab.read_file(arbiter::LOG)?;
    let ended = ["already finished", "already completing", "Invalid job id"];
    let is_of_job = |line: &&str| ended.iter().any(|ended| line.contains(ended));
    let silent = log.lines().filter(|line| line.contains("takes no AdminComment")).filter(is_of_job);
    faults.left.extend(silent.map(str::to_owned));
    let reserved = fleet.lab.command(&["scontrol", "-o", "show", "reservation"]).output()?.stdout;
    faults.left.extend(reserved.lines().filter(|line| line.contains("ReservationName=")).map(str::to_owned));
    Ok(())
}
