//! What the arbiter of a large cluster costs its slurmctld: `gresgen arbiter` beside 1,000 nodes on request that are never up and jobs
//! that wait for them, with slurmctld's own count of what it was asked; and what a node's answer to a look costs it beside.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Lab, LabError, Node, Options, Release, Simulated};

const NODES: usize = 1000;
const PASSES: usize = 20;
const LOOKS: u32 = 20;

/// Eight A100-40GB that offer four profiles.
const GRES: &str = "gpu:1g.5gb:56,gpu:2g.10gb:24,gpu:3g.20gb:16,gpu:7g.40gb:8,gpu:guard:10,gresgen:gate:2";
const CONFIG: &str = "\
version: v1
layout: small
mig-configs:
  small:
    - devices: all
      mig-enabled: true
      mig-devices: {1g.5gb: 7}
slurm:
  on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb, 7g.40gb], orders: true}]
  nodes:
    - {names: 'gpu[0001-9999]', attributes: CPUs=128 RealMemory=1000000}
  arbiter: {comments: false, reach: ['true']}
";

/// Jobs that are submitted in one go: a command in a lab has an end.
const GO: usize = 500;

/// Submits jobs of several forms, four at once: those from one number up to another.
const JOBS: &str = r#"
one() {
  case $(($1 % 10)) in
    0|1|2) set -- "$1" --gres=gpu:1g.5gb:1 ;;
    3|4) set -- "$1" --gres=gpu:2g.10gb:1 ;;
    5|6) set -- "$1" --gres=gpu:3g.20gb:1 ;;
    7) set -- "$1" --gres=gpu:7g.40gb:1 ;;
    8) set -- "$1" -N2 --gres=gpu:3g.20gb:2 ;;
    9) set -- "$1" --gpus=1g.5gb:7 ;;
  esac
  cpus=$((1 + $1 % 4))
  shift
  sbatch --quiet --output=/dev/null --time=60 -c "$cpus" "$@" --wrap 'sleep 60'
}
for first in 0 1 2 3; do
  (i=$(($1 + first)); while [ "$i" -lt "$2" ]; do one "$i" || exit 1; i=$((i + 4)); done) &
done
wait
"#;

/// The arbiter, until it is told to end.
const ARBITER: &str = "setsid gresgen --quiet arbiter --metrics /srv/metrics --lock /srv/lock </dev/null >/dev/null 2>/srv/arbiter.log & \
                       echo $! >/srv/arbiter.pid";

/// A simulated node, which answers looks.
const NODE: &str = "export SLURMD_NODENAME=gpu0001; mkdir -p /srv/site/etc/gresgen; \
                    cp /etc/gresgen/config.yaml /srv/site/etc/gresgen/; \
                    gresgen --root /srv/site --nvml-lib /usr/local/lib/gresgen/libnvml_sim.so --simulate a100-40gb:8 ";

/// Prints what `jobs` jobs that wait make the arbiter cost slurmctld of a release, with the programs beside this one.
///
/// # Errors
/// What failed, with the daemons' logs where they can say more.
pub fn run(release: Release, jobs: usize) -> Result<(), LabError> {
    let lab = start(release)?;
    for first in (0..jobs).step_by(GO) {
        let end = jobs.min(first + GO);
        lab.run(&["sh", "-c", JOBS, "sh", &first.to_string(), &end.to_string()])?;
    }
    let waiting = lab.run(&["sh", "-c", "squeue -h -t PD | wc -l"])?.stdout;
    println!("Slurm {release}: {} jobs wait for {NODES} nodes", waiting.trim());
    let (before, begun) = (busy(&lab)?, Instant::now());
    sleep(Duration::from_secs(10));
    let idle = (busy(&lab)? - before) / begun.elapsed().as_secs_f64();
    passes(&lab, jobs, idle)?;
    looks(&lab, idle)
}

fn passes(lab: &Lab, jobs: usize, idle: f64) -> Result<(), LabError> {
    lab.run(&["sh", "-c", ARBITER])?;
    // The first pass begins with what is asked once.
    lab.wait("the arbiter's first pass", || Ok(figures(lab).map(|_| ())))?;
    lab.run(&["sdiag", "--reset"])?;
    let (before, begun) = (busy(lab)?, Instant::now());
    let (mut times, mut last) = (Vec::new(), String::new());
    while times.len() < PASSES {
        sleep(Duration::from_millis(100));
        let Some(text) = figures(lab).filter(|text| *text != last) else { continue };
        let figure = |name: &str| -> Option<f64> {
            text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
        };
        let counts = text.lines().filter(|line| line.starts_with("gresgen_arbiter_waiting_jobs{"));
        let seen: f64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        if seen != jobs as f64 {
            let what = format!("says something of {seen} jobs, not of {jobs}");
            return Err(LabError::Command { command: "gresgen arbiter".into(), what });
        }
        times.extend(figure("gresgen_arbiter_pass_seconds "));
        last = text;
    }
    lab.run(&["sh", "-c", "kill $(cat /srv/arbiter.pid)"])?;
    let (seconds, taken) = (begun.elapsed().as_secs_f64(), busy(lab)? - before);
    let counted = counted(lab)?;
    // Each pass begins with one.
    let pings =
        counted.iter().find(|(name, ..)| name == "REQUEST_PING").map_or(f64::NAN, |(_, count, _)| *count);
    times.sort_by(f64::total_cmp);
    println!(
        "\n| a pass, least and median, s | passes a minute | slurmctld's CPU time for each, s | of a core |\n|---|---|---|---|"
    );
    let own = taken - idle * seconds;
    println!(
        "| {:.2} and {:.2} | {:.0} | {:.2} | {:.0} % |",
        times[0],
        times[times.len() / 2],
        pings / seconds * 60.0,
        own / pings,
        own / seconds * 100.0
    );
    println!("\n| request to slurmctld | for each pass | mean, ms |\n|---|---|---|");
    for (name, count, mean) in counted.iter().filter(|(name, ..)| name != "REQUEST_STATS_INFO") {
        println!("| {name} | {:.1} | {mean:.1} |", count / pings);
    }
    Ok(())
}

/// What a node that is asked what it is asks slurmctld in turn.
fn looks(lab: &Lab, idle: f64) -> Result<(), LabError> {
    let node = |command: &str| lab.run(&["sh", "-c", &format!("{NODE} {command}")]);
    node("--quiet apply --offline || [ $? -eq 5 ] || [ $? -eq 6 ]")?;
    lab.run(&["sdiag", "--reset"])?;
    let (before, begun) = (busy(lab)?, Instant::now());
    for _ in 0..LOOKS {
        let said = lab.run(&["sh", "-c", &format!("echo '{{\"look\": {{}}}}' | ({NODE} order)")])?.stdout;
        if !said.contains("\"code\":\"done\"") && !said.contains("\"code\": \"done\"") {
            return Err(LabError::Command { command: "gresgen order".into(), what: said });
        }
    }
    let (seconds, taken) = (begun.elapsed().as_secs_f64(), busy(lab)? - before);
    let looks = f64::from(LOOKS);
    println!("\n| a look at a node, s | slurmctld's CPU time for it, s |\n|---|---|");
    println!("| {:.2} | {:.3} |", seconds / looks, (taken - idle * seconds) / looks);
    println!("\n| request to slurmctld | for each look | mean, ms |\n|---|---|---|");
    for (name, count, mean) in counted(lab)?.iter().filter(|(_, count, _)| *count >= looks) {
        println!("| {name} | {:.1} | {mean:.1} |", count / looks);
    }
    Ok(())
}

fn start(release: Release) -> Result<Lab, LabError> {
    let Simulated { gresgen, simulator, .. } = Simulated::built()?;
    let lines = format!(
        "GresTypes=gpu,gresgen\nMaxJobCount=100000\nSchedulerParameters=bf_interval=600,sched_interval=600\n\
         NodeName=gpu[0001-{NODES:04}] NodeAddr=127.0.0.1 Port=1 CPUs=128 RealMemory=1000000 State=DRAIN Reason=never_up Gres={GRES}\n"
    );
    let options = Options::new(Node::new("n1"))
        .slurm_conf(&lines)
        .text("/etc/gresgen/config.yaml", CONFIG)
        .file(&gresgen, "/usr/local/bin/gresgen")
        .file(&simulator, "/usr/local/lib/gresgen/libnvml_sim.so");
    Lab::start(release, options)
}

fn figures(lab: &Lab) -> Option<String> {
    lab.read_file("/srv/metrics").ok().filter(|text| text.contains("gresgen_arbiter_slurmctld_up 1"))
}

/// CPU time of slurmctld, in seconds.
fn busy(lab: &Lab) -> Result<f64, LabError> {
    let stat = lab.run(&["sh", "-c", "cat /proc/$(cat /run/slurmctld.pid)/stat"])?.stdout;
    // proc(5): utime and stime are the 14th and 15th word, counted behind the name, in ticks of a hundredth.
    let words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = words.skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Requests by slurmctld's own account: name, how many, and how long each took it, in milliseconds.
fn counted(lab: &Lab) -> Result<Vec<(String, f64, f64)>, LabError> {
    let sdiag = lab.run(&["sdiag"])?.stdout;
    let lines = sdiag.lines().skip_while(|line| !line.contains("by message type")).skip(1);
    let read = |line: &str| {
        let (name, rest) = line.trim().split_once(' ').filter(|(name, _)| name.starts_with("REQUEST_"))?;
        let number = |key: &str| -> f64 {
            let word = rest.split_whitespace().find_map(|word| word.strip_prefix(key));
            word.and_then(|word| word.parse().ok()).unwrap_or_default()
        };
        Some((name.to_owned(), number("count:"), number("ave_time:") / 1000.0))
    };
    Ok(lines.map_while(read).collect())
}
