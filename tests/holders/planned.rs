//! What `plan` says beside real jobs is what `apply` does: steps, files, who is in the way, what is left to do in Slurm,
//! exit codes.
//!
//! Random jobs of every kind hold a node, or wait for it, while random layouts are planned and applied. `PLANNED_ROUNDS` says
//! how many, `PLANNED_SEED` repeats a run. The judges are the simulator's state, the files, and the devices that jobs open
//! before and after.

use std::{collections::BTreeSet, fmt::Write as _, thread::sleep, time::Duration};

use lab::{LabError, Output, Release, Simulated, User};
use serde_json::Value;

use crate::judge::{self, Picture};
use crate::site::{Setup, Site, Witness};

#[path = "../race/random.rs"]
mod random;

use random::{Random, number};

/// Rounds of a run that nobody asked for more of.
const FEW: u64 = 4;

const LAYOUTS: &str = "\
version: v1
layout: day
mig-configs:
  day:
    - {devices: [0], mig-enabled: false}
    - {devices: [1], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}}
  fewer:
    - {devices: [0], mig-enabled: false}
    - {devices: [1], mig-enabled: true, mig-devices: {7g.40gb: 1}}
";

const NODE: &str = "slurm:
  nodes:
    - names: n1
      attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000 Gres=shard:4
";

const SHARED: Setup = Setup {
    layouts: LAYOUTS,
    gpus: "h100-80gb-sxm:1,a100-40gb:1",
    settings: "  gres-types: [gpu, shard]\n  plugin: {arguments: {notices: \"off\"}}\n",
    node: NODE,
    gres_conf: "NodeName=n1 Name=shard Count=4 File=/dev/nvidia0\n",
    ..Setup::USUAL
};

/// 22.05 cannot count shares beside slices.
fn setup(release: Release) -> Setup {
    match release {
        Release::Bookworm => Setup { settings: QUIET, node: Simulated::NODE, gres_conf: "", ..SHARED },
        _ => SHARED,
    }
}

/// What the plugin says to a task with several devices would be said to nobody.
const QUIET: &str = "  plugin: {arguments: {notices: \"off\"}}\n";

/// What the second GPU is to hold; the last does not fit.
const CUTS: [&str; 11] = [
    "1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1",
    "1g.5gb: 2, 2g.10gb: 2",
    "1g.5gb: 4, 3g.20gb: 1",
    "1g.5gb: 7",
    "3g.20gb: 2",
    "7g.40gb: 1",
    "",
    "2g.10gb: 3, 1g.5gb: 1",
    "1g.5gb: 2, 2g.10gb: 1, 1c.3g.20gb: 3",
    "4g.20gb: 1, 2g.10gb: 1, 1g.5gb: 1",
    "1g.5gb: 8",
];

/// What jobs ask for. One of a type that the node does not have is refused by Slurm.
const JOBS: [&str; 13] = [
    "--gres=gpu:1g.5gb:1",
    "--gres=gpu:2g.10gb:1",
    "--gres=gpu:3g.20gb:1",
    "--gres=gpu:1g.5gb:1,gpu:3g.20gb:1",
    "--gres=gpu:1",
    "--gres=gpu:h100:1",
    "--gres=shard:2",
    "--array=0-2 --gres=gpu:1g.5gb:1",
    "--array=0-3%1 --gres=gpu:2g.10gb:1",
    "--exclusive --gres=gpu:1g.5gb:1",
    "--hold --gres=gpu:3g.20gb:1",
    "--cpus-per-task=2",
    "HET",
];

#[test]
fn what_is_planned_beside_jobs_is_what_is_done() {
    let rounds = number("PLANNED_ROUNDS");
    // The few rounds among all tests are the same each time.
    let seed = number("PLANNED_SEED").unwrap_or(rounds.map_or(1, |_| u64::from(std::process::id())));
    let rounds = rounds.unwrap_or(FEW);
    // Where several releases are tried, one of them is the host's, on which it runs by itself.
    let Some(release) = Release::selected().pop() else { return };
    println!("planned: {release}, PLANNED_ROUNDS={rounds} PLANNED_SEED={seed}");
    let Some(site) = Site::start(release, &setup(release)) else { return };
    let mut random = Random(seed);
    let (mut tally, mut wrong) = (Vec::new(), String::new());
    for round in 0..rounds {
        let (what, problems) = play(&site, &mut random).unwrap();
        for problem in problems {
            let _ = writeln!(wrong, "round {round}: {what}: {problem}");
        }
        tally.push(what);
        assert!(wrong.is_empty(), "{release}, PLANNED_SEED={seed}\n{wrong}");
    }
    println!("planned: {release}: {}", tally.join("; "));
}

/// One set of jobs and one layout; what they were, and what was wrong.
fn play(site: &Site, random: &mut Random) -> Result<(String, Vec<String>), LabError> {
    let jobs: Vec<&str> = (0..random.below(5)).map(|_| *random.of(&JOBS)).collect();
    jobs.iter().for_each(|job| submit(site, job));
    settle(site)?;
    if random.below(3) == 0 {
        suspend(site)?;
    }
    // What waits could be started, by backfill for one, between the plan and the apply, which would both be right.
    start_jobs(site, false)?;
    let tasks = settle(site)?;
    let cut = *random.of(&CUTS);
    // A layout that cuts a GPU which is shared contradicts what the site says of it.
    let first =
        if random.below(12) == 0 { "mig-enabled: true, mig-devices: {}" } else { "mig-enabled: false" };
    let layout = format!(
        "  r:\n    - {{devices: [0], {first}}}\n    - {{devices: [1], mig-enabled: true, mig-devices: {{{cut}}}}}\n"
    );
    let Setup { node, settings, .. } = setup(site.lab.release());
    site.lab.write_file("/etc/gresgen/config.yaml", format!("{LAYOUTS}{layout}{node}{settings}"))?;

    let queue = queue(site)?;
    let slurm = site.sh("scontrol -d -o show node n1; scontrol -d -o show job; gresgen status")?.stdout;
    let before = Picture::of(site);
    let planned = site.gresgen(&["--layout", "r", "--json", "plan"], &[]);
    let told = site.gresgen(&["--layout", "r", "-q", "plan", "--detailed-exitcode"], &[]);
    let mut wrong: Vec<String> = before
        .changes(&Picture::of(site))
        .into_iter()
        .map(|change| format!("by the plan: {change}"))
        .collect();
    let done = site.gresgen(&["--layout", "r", "--json", "apply"], &[]);
    wrong.extend(differences(site, &before, &planned, &told, &done));
    wrong
        .extend([&planned, &told, &done].into_iter().filter_map(judge::raw).map(|c| format!("prints {c:?}")));
    let what = format!("{jobs:?} [{queue}] {first}, {{{cut}}}: exit code {}", done.code);

    let finished = tell_slurm(site, &done).and_then(|()| start_jobs(site, true)).and_then(|()| {
        if [0, 6].contains(&done.code) {
            let left = site.gresgen(&["--layout", "r", "plan", "--detailed-exitcode"], &[]);
            if left.code != 0 {
                wrong.push(format!(
                    "something is left: exit code {}: {}{}",
                    left.code, left.stdout, left.stderr
                ));
            }
        }
        wrong.extend(end(site, &tasks)?);
        Ok(())
    });
    wrong.extend(finished.err().map(|error| error.to_string()));
    if !wrong.is_empty() {
        wrong.push(format!("planned {planned:?}, done {done:?}, when Slurm said\n{slurm}"));
    }
    Ok((what, wrong))
}

/// What one does that the other did not say.
fn differences(site: &Site, before: &Picture, planned: &Output, told: &Output, done: &Output) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differ = |what: &str, plan: &dyn std::fmt::Debug, apply: &dyn std::fmt::Debug| {
        wrong.push(format!("{what}: planned {plan:?}, done {apply:?}"));
    };
    let plan: Value = serde_json::from_str(&planned.stdout).unwrap_or_default();
    let after = Picture::of(site);
    if ![0, 6].contains(&done.code) {
        if (planned.code, told.code) != (done.code, done.code) {
            differ("exit codes", &(planned.code, told.code), &(done.code, &done.stderr));
        }
        if *before != after {
            differ("what was refused", &"nothing", &before.changes(&after));
        }
        // A plan has everything that is in the way, an error what is first.
        let blocked: Vec<&str> = strings(&plan["blocked"]).flat_map(str::lines).collect();
        let first = blocked.first().is_some_and(|first| done.stderr.contains(first));
        let mut named = done.stderr.lines().map(|line| line.trim_start_matches("error: "));
        let known = |line: &str| !line.contains(": in use by ") || blocked.contains(&line);
        if done.code == 4 && !(first && named.all(known)) {
            differ("who is in the way", &blocked, &done.stderr);
        }
        if done.code != 4 && planned.stderr != done.stderr {
            differ("errors", &planned.stderr, &done.stderr);
        }
        return wrong;
    }
    let report: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    let pending = !strings(&plan["slurm_pending"]).collect::<Vec<_>>().is_empty();
    let codes = (planned.code, told.code, if pending { 6 } else { 0 });
    if codes != (0, if pending || plan["changed"] == true { 10 } else { 0 }, done.code) {
        differ("exit codes", &codes, &done.code);
    }
    for (name, plan, done) in [
        ("steps", &plan["gpus"], &report["preview"]["gpus"]),
        ("left to do in Slurm", &plan["slurm_pending"], &report["slurm_pending"]),
    ] {
        if plan != done {
            differ(name, plan, done);
        }
    }
    for gpu in plan["gpus"].as_array().into_iter().flatten() {
        let stays = |row: &&Value| row["action"] != "destroy";
        let rows = gpu["slices"].as_array().into_iter().flatten();
        let planned: BTreeSet<u64> = rows.filter(stays).filter_map(|row| row["start"].as_u64()).collect();
        let there = &site.machine()["gpus"][gpu["gpu"].as_u64().unwrap_or(9) as usize]["instances"];
        let there: BTreeSet<u64> =
            there.as_array().into_iter().flatten().filter_map(|i| i["start"].as_u64()).collect();
        if planned != there {
            differ("instances", &planned, &there);
        }
    }
    let listed = |certain: bool| -> BTreeSet<&str> {
        let files = plan["files"].as_array().into_iter().flatten();
        files.filter(|file| !certain || file["certain"] == true).filter_map(|f| f["path"].as_str()).collect()
    };
    // Capability nodes are made with the instances, and are no text.
    let written: BTreeSet<&str> = strings(&report["files"]).filter(|path| !path.contains("/dev/")).collect();
    let became: BTreeSet<&str> = before.files_that_differ(&after).collect();
    let (sure, all) = (listed(true), listed(false));
    if !sure.is_subset(&written) || !written.is_subset(&all) || !became.is_subset(&written) {
        differ("files", &(&sure, &all), &(&written, &became));
    }
    wrong
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Submits a job that holds what it is given until it is told to go.
fn submit(site: &Site, job: &str) {
    // The second part of a heterogeneous job has the device.
    let (arguments, script) = match job {
        "HET" => ("-wn2 : -wn1 --gres=gpu:1g.5gb:1", "srun --quiet --het-group=1 lab-witness"),
        job => (job, "exec lab-witness"),
    };
    let words: Vec<&str> =
        ["-wn1"].into_iter().filter(|_| job != "HET").chain(arguments.split(' ')).collect();
    let _ = site.lab.submit(site.lab.submission(&words, script).user(User::Alice));
}

/// State and reason of every job.
fn queue(site: &Site) -> Result<String, LabError> {
    let listed = site.lab.run(&["squeue", "-h", "-r", "-a", "-S", "i", "-o", "%i:%t:%r"])?.stdout;
    Ok(listed.lines().map(str::trim).collect::<Vec<_>>().join(" "))
}

/// Waits until no job is on its way anywhere, and gives the tasks that run.
fn settle(site: &Site) -> Result<Vec<Witness>, LabError> {
    let mut last = String::new();
    for _ in 0..240 {
        let now = queue(site)?;
        let moves = |job: &str| job.contains(":CF:") || job.contains(":CG:") || job.ends_with(":PD:None");
        let running = now.split(' ').filter(|job| [":R:", ":S:"].iter().any(|state| job.contains(state)));
        // Parts of a heterogeneous job have one task.
        let running: BTreeSet<&str> = running.filter_map(|job| job.split(['+', ':']).next()).collect();
        let tasks = site.witnesses()?;
        if now == last && !now.split(' ').any(moves) && tasks.len() >= running.len() {
            return Ok(tasks);
        }
        last = now;
        sleep(Duration::from_millis(250));
    }
    Err(LabError::Command { command: "squeue".to_owned(), what: format!("does not settle: {last}") })
}

/// Suspends one job that runs.
fn suspend(site: &Site) -> Result<(), LabError> {
    site.sh("squeue -h -t R -o %A | head -n 1 | xargs -r scontrol suspend").map(drop)
}

/// Whether Slurm may start what waits; all else of the jobs stays as it is.
fn start_jobs(site: &Site, may: bool) -> Result<(), LabError> {
    let state = if may { "UP" } else { "DOWN" };
    site.sh(&format!("scontrol update PartitionName=lab State={state}")).map(drop)
}

/// Types in what an apply left to do, as an admin would.
fn tell_slurm(site: &Site, done: &Output) -> Result<(), LabError> {
    let report: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    strings(&report["slurm_pending"]).try_for_each(|line| site.sh(line).map(drop))
}

/// Lets all jobs end, and says which did not find what they had.
fn end(site: &Site, tasks: &[Witness]) -> Result<Vec<String>, LabError> {
    // Parts of a heterogeneous job go on together.
    site.sh("squeue -h -r -t PD -o %i | xargs -r scancel --quiet; \
         squeue -h -t S -o %i | cut -d+ -f1 | sort -u | xargs -r -n 1 scontrol resume")?;
    site.go()?;
    for _ in 0..1200 {
        let now = site.witnesses()?;
        if tasks.iter().all(|task| now.iter().any(|end| end.pid == task.pid && end.after.is_some())) {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    let now = site.witnesses()?;
    let lost = |task: &&Witness| {
        let after = now.iter().find(|end| end.pid == task.pid).and_then(|end| end.after.as_ref());
        // Slices made since may be open to it, too: Slurm denies what was there when it began.
        after.is_none_or(|after| !task.before.iter().all(|device| after.contains(device)))
    };
    let lost = tasks
        .iter()
        .filter(lost)
        .map(|task| format!("{task:?}: lost a device; at the end {now:?}"))
        .collect();
    site.idle()?;
    Ok(lost)
}
