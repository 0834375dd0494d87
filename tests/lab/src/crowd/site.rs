//! A large cluster in one lab: a slurmd for each node, all of them with the GPUs of the first.

use std::fmt::Write;

use crate::{Lab, LabError, Release, Simulated};

/// Nodes.
pub(super) const NODES: usize = 1000;

/// Jobs that run on each node, of ten nodes each: with so many nodes an allocation takes slurmctld a tenth of a second.
const RUNNING: usize = 2;

/// What jobs ask for that wait. Of all these nothing is cut.
const REQUESTS: [&[&str]; 10] = [
    &["--gres=gpu:2g.10gb:1"],
    &["--gres=gpu:2g.10gb:1", "-c2"],
    &["--gres=gpu:2g.10gb:2", "-c4"],
    &["--gpus=2g.10gb:4"],
    &["--gres=gpu:3g.20gb:1"],
    &["--gres=gpu:3g.20gb:1", "-c2"],
    &["--gres=gpu:3g.20gb:1", "-c8"],
    &["--gres=gpu:3g.20gb:2", "-N2"],
    &["--gres=gpu:7g.40gb:1", "-c8"],
    &["--gres=gpu:7g.40gb:2"],
];

/// Nodes in one go: a command in a lab has an end.
const GO: usize = 100;

const CONFIG: &str = "\
version: v1
layout: small
mig-configs:
  small:
    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}
slurm:
  nodes:
    - {names: 'n[1-1000]', attributes: NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=128 RealMemory=1000000}
  on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb, 7g.40gb], orders: true}]
  catalog: cut-on-request-[1-2]
  arbiter: {reach: [/usr/local/bin/reach, '{node}']}
";

/// What every node is, by what the first one says of itself. An order is refused: what a cut is, is not the question.
const REACH: &str = r#"#!/bin/sh
read -r order
case $order in
'{"look"'*)
  id=$(printf %08x "${1#n}")
  exec sed "s/\(GPU\|MIG\)-[0-9a-f]\{8\}/\1-$id/g; s/\"node\": *\"n1\"/\"node\":\"$1\"/" /srv/answer ;;
*) echo '{"version":1,"exit":4,"code":"in-use","error":"'"$1"': somebody has it"}'; exit 4 ;;
esac
"#;

/// slurmctld schedules when something is submitted, and hardly ever by itself: what it does for the arbiter shall stand alone.
const SLURM_CONF: &str = "\
MaxJobCount=100000
SlurmdTimeout=0
SchedulerParameters=sched_interval=3600,bf_interval=3600,sched_min_interval=2000000000";

/// Starts the cluster, and jobs on every node.
pub(super) fn start(release: Release) -> Result<Lab, LabError> {
    let simulated =
        Simulated { gpus: "a100-40gb:8".to_owned(), config: CONFIG.to_owned(), ..Simulated::built()? };
    let lab = simulated.node_with(release, |options| options.slurm_conf(SLURM_CONF))?;
    let apply = lab.gresgen(&["--quiet", "apply", "--offline"])?;
    // 5 and 6: what is left to be done is Slurm's, which is yet to be started.
    if ![0, 5, 6].contains(&apply.code) {
        let what = format!("exit code {}\n{}", apply.code, apply.stderr);
        return Err(LabError::Command { command: "gresgen apply".to_owned(), what });
    }
    // All nodes have the lines of the first.
    let ports = format!("s/NodeName=n1 /NodeName=n[1-{NODES}] /; s/Port=6818/Port=[6818-{}]/", 6817 + NODES);
    let files = ["/etc/slurm/gres.conf", "/etc/slurm/gresgen-node.conf"];
    lab.run(&[&["sed", "-i", &ports], &files[..]].concat())?;
    lab.start_slurm()?;
    lab.put("/usr/local/bin/reach", "755", REACH.as_bytes())?;
    lab.write_file("/srv/answer", look(&lab)?)?;
    for first in (2..=NODES).step_by(GO) {
        let last = NODES.min(first + GO - 1);
        lab.run(&["sh", "-c", &format!("seq {first} {last} | xargs -P2 -I% slurmd -N n%")])?;
    }
    lab.wait("all nodes to register", || {
        let idle = lab.run(&["sh", "-c", "sinfo --noheader --Node --states=idle --responding | wc -l"])?;
        Ok((idle.stdout.trim() == NODES.to_string()).then_some(()))
    })?;
    let allocate = "salloc --quiet --no-shell --time=600 -N10 --gres=gpu:1g.5gb:1 -w n[$1-$(($1+9))]";
    for round in 0..RUNNING * NODES / GO {
        let first = round * GO % NODES + 1;
        let nodes = format!("seq {first} 10 {} | xargs -P2 -I% sh -c '{allocate}' sh %", first + GO - 1);
        lab.run(&["sh", "-c", &nodes])?;
    }
    Ok(lab)
}

/// Leaves the first node alone with its host, as it is anywhere else: it asks for the jobs of every node that has a slurmd here.
/// slurmctld keeps the others as they are, with their jobs.
pub(super) fn leave_alone(lab: &Lab) -> Result<(), LabError> {
    let script = format!("for node in $(seq 2 {NODES}); do kill $(cat /run/slurmd-n$node.pid); done");
    lab.run(&["sh", "-c", &script]).map(drop)
}

/// What the first node answers to a look.
pub(super) fn look(lab: &Lab) -> Result<String, LabError> {
    let answer = lab.command(&["gresgen", "order"]).input("{\"look\": {}}\n").output()?;
    if answer.success() {
        return Ok(answer.stdout);
    }
    let what = format!("exit code {}\n{}{}", answer.code, answer.stdout, answer.stderr);
    Err(LabError::Command { command: "gresgen order".to_owned(), what })
}

/// Has so many jobs wait, each with a record of its own: as elements of arrays, which slurmctld keeps in one record until one of
/// them is changed (`job_array_split` in src/slurmctld/job_mgr.c). One by one it takes minutes.
pub(super) fn submit(lab: &Lab, jobs: usize) -> Result<(), LabError> {
    for (number, request) in REQUESTS.iter().enumerate() {
        let elements = jobs / REQUESTS.len() + usize::from(number < jobs % REQUESTS.len());
        if elements == 0 {
            continue;
        }
        let array = format!("--array=0-{}", elements - 1);
        let sbatch = ["sbatch", "--parsable", "--time=60", "--output=/dev/null", &array, "--wrap=sleep 60"];
        let id = lab.run(&[&sbatch, *request].concat())?.stdout;
        let (id, mut text) = (id.trim(), String::new());
        for element in 0..elements {
            let _ = writeln!(text, "update JobId={id}_{element} Nice={}", element % 7);
        }
        lab.command(&["scontrol"]).input(text).output()?;
    }
    let waits = lab.run(&["sh", "-c", "squeue --noheader --array --states=PD | wc -l"])?.stdout;
    if waits.trim() == jobs.to_string() {
        return Ok(());
    }
    Err(LabError::Command {
        command: "squeue".to_owned(),
        what: format!("{} of {jobs} jobs wait", waits.trim()),
    })
}
