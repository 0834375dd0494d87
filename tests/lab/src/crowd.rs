//! What looking at a large cluster costs its slurmctld: `gresgen demand` beside 1,000 nodes on request that are never up and jobs
//! that wait for them, with slurmctld's own count of what it was asked.

use std::time::{Duration, Instant};

use crate::{Lab, LabError, Node, Options, Release, Simulated};

const NODES: usize = 1000;
const PASSES: u32 = 20;

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
  release: '22.05'
  on-request:
    - profiles: [1g.5gb, 2g.10gb, 3g.20gb, 7g.40gb]
  nodes:
    - {names: 'gpu[0001-9999]', attributes: CPUs=128 RealMemory=1000000}
";

/// Makes the inventories: what one simulated node says of itself, under all names.
const INVENTORIES: &str = r#"
set -e
mkdir -p /srv/site/etc/gresgen /srv/inventories
cp /etc/gresgen/config.yaml /srv/site/etc/gresgen/
export SLURMD_NODENAME=gpu0001
node="gresgen --root /srv/site --nvml-lib /usr/local/lib/gresgen/libnvml_sim.so --simulate a100-40gb:8"
$node --quiet apply --offline || [ $? -eq 5 ] || [ $? -eq 6 ]
$node --json status > /srv/gpu0001
i=0
while [ $i -lt $1 ]; do
  i=$((i + 1))
  name=$(printf gpu%04d $i)
  sed "s/\"gpu0001\"/\"$name\"/; s/\"\(GPU\|MIG\)-......../\"\1-$(printf %08d $i)/" /srv/gpu0001 > "/srv/inventories/$name.json"
done
"#;

/// Submits jobs of several forms, some at once.
const JOBS: &str = r#"
submit() {
  i=$2
  while [ $i -lt $1 ]; do
    case $((i % 10)) in
      0|1|2) set -- "$1" "$2" --gres=gpu:1g.5gb:1 ;;
      3|4) set -- "$1" "$2" --gres=gpu:2g.10gb:1 ;;
      5|6) set -- "$1" "$2" --gres=gpu:3g.20gb:1 ;;
      7) set -- "$1" "$2" --gres=gpu:7g.40gb:1 ;;
      8) set -- "$1" "$2" -N2 --gres=gpu:3g.20gb:2 ;;
      9) set -- "$1" "$2" --gpus=1g.5gb:7 ;;
    esac
    sbatch --quiet --output=/dev/null --time=60 -c $((1 + i % 4)) "$3" ${4:+"$4"} --wrap 'sleep 60' || exit 1
    i=$((i + 4))
  done
}
for first in 0 1 2 3; do submit "$1" $first & done
wait
"#;

/// Prints a row for `jobs` jobs on a release, with the programs beside this one.
///
/// # Errors
/// What failed, with the daemons' logs where they can say more.
pub fn run(release: Release, jobs: usize) -> Result<(), LabError> {
    let lab = start(release)?;
    shell(&lab, INVENTORIES, &[&NODES.to_string()])?;
    shell(&lab, JOBS, &[&jobs.to_string()])?;
    let waiting = lab.run(&["sh", "-c", "squeue -h -t PD | wc -l"])?.stdout;
    println!("Slurm {release:?}: {} jobs wait", waiting.trim());
    let before = busy(&lab)?;
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(10));
    let idle = (busy(&lab)? - before) / begun.elapsed().as_secs_f64();
    lab.run(&["sdiag", "--reset"])?;
    let (before, begun) = (busy(&lab)?, Instant::now());
    let mut times = Vec::new();
    for _ in 0..PASSES {
        let begun = Instant::now();
        let said = lab.run(&["gresgen", "--json", "demand", "--inventory", "/srv/inventories"])?.stdout;
        times.push(begun.elapsed().as_secs_f64());
        let seen = said.matches("\"verdict\"").count();
        if seen != jobs {
            let what = format!("says something of {seen} jobs, not of {jobs}");
            return Err(LabError::Command { command: "gresgen demand".into(), what });
        }
    }
    let (seconds, taken) = (begun.elapsed().as_secs_f64(), busy(&lab)? - before);
    times.sort_by(f64::total_cmp);
    println!("| a look, least and median, s | slurmctld's CPU time for it, s |\n|---|---|");
    let own = (taken - idle * seconds) / f64::from(PASSES);
    println!("| {:.2} and {:.2} | {own:.2} |", times[0], times[times.len() / 2]);
    println!("\n| request to slurmctld | for each look | mean, ms |\n|---|---|---|");
    let sdiag = lab.run(&["sdiag"])?.stdout;
    for line in sdiag.lines().skip_while(|line| !line.contains("by message type")).skip(1) {
        let Some((name, rest)) = line.trim().split_once(' ').filter(|(name, _)| name.starts_with("REQUEST_"))
        else {
            break;
        };
        let number = |key: &str| -> f64 {
            let word = rest.split_whitespace().find_map(|word| word.strip_prefix(key));
            word.and_then(|word| word.parse().ok()).unwrap_or_default()
        };
        let each = number("count:") / f64::from(PASSES);
        println!("| {name} | {each:.1} | {:.1} |", number("ave_time:") / 1000.0);
    }
    Ok(())
}

fn start(release: Release) -> Result<Lab, LabError> {
    let Simulated { gresgen, simulator, .. } = Simulated::built()?;
    let lines = format!(
        "GresTypes=gpu,gresgen\nMaxJobCount=100000\nSchedulerParameters=bf_interval=600,sched_interval=600\n\
         NodeName=gpu[0001-{NODES:04}] CPUs=128 RealMemory=1000000 State=DRAIN Reason=never_up Gres={GRES}\n"
    );
    let options = Options::new(Node::new("n1"))
        .slurm_conf(&lines)
        .text("/etc/gresgen/config.yaml", CONFIG)
        .file(&gresgen, "/usr/local/bin/gresgen")
        .file(&simulator, "/usr/local/lib/gresgen/libnvml_sim.so");
    Lab::start(release, options)
}

fn shell(lab: &Lab, script: &str, arguments: &[&str]) -> Result<(), LabError> {
    lab.run(&[&["sh", "-c", script, "sh"], arguments].concat()).map(drop)
}

/// CPU time of slurmctld, in seconds.
fn busy(lab: &Lab) -> Result<f64, LabError> {
    let stat = lab.run(&["sh", "-c", "cat /proc/$(cat /run/slurmctld.pid)/stat"])?.stdout;
    // proc(5): utime and stime are the 14th and 15th word, counted behind the name, in ticks of a hundredth.
    let words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Vec<f64> = words.skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
