//! The cluster of a storm: nodes whose GPUs are cut on request by orders.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use lab::{Cgroup, Fleet, FleetOptions, LabError, Release};
use nvml_sim::{Snapshot, Store};

use crate::forms::KINDS;

/// The cut that GPUs have at first. What the plugin says to a task with several devices is no fault of the storm.
const CONFIG: &str = "\
version: v1
layout: idle
mig-configs:
  idle:
    - devices: all
      mig-enabled: true
      mig-devices: {1g.5gb: {at: [0, 1, 2]}, 3g.20gb: {at: 4}}
slurm:
  plugin: {arguments: {notices: \"off\"}}
  on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb, 7g.40gb], orders: true}]
";

/// A task that says for which job it is and what it must have (`12/1g.5gb+3g.20gb`, `13/any`), what it has when it begins, and after a while again.
/// It says so in one write(2) at the end of a file of its job: what goes through srun comes torn where tasks of two nodes speak at
/// once, or where one is ended. Its process tells runs apart that slurmctld does not: one that was killed may have forgotten the first.
const TASK: &str = r#"#!/bin/sh
say() { probe=$(lab-probe) && printf '%s\n' "$1 $must ${SLURM_RESTART_COUNT:-0}.$$ $probe" >>"/var/lab/out/${must%%/*}.said.$SLURM_JOB_ID"; }
must=$1
say first
sleep "$2"
say last
"#;

/// What ssh with a forced command is to a site, and what goes wrong with it: a file of shell assignments, taken by the next
/// order that cuts. An order that is to be killed is so after so many seconds.
const REACH: &str = r#"#!/bin/sh
node=$1 order=$(cat) FAULTS= SECONDS_TO_LIVE=
case $order in
'{"look"'*) ;;
*)
    taken=/var/lab/storm/taken.$$
    if mv /var/lab/storm/next "$taken" 2>/dev/null; then . "$taken"; rm "$taken"; fi
    ;;
esac
answer=$(printf %s "$order" | lab-on "$node" env NVML_SIM_LATENCY="$(cat /var/lab/storm/latency)" NVML_SIM_FAULTS="$FAULTS" \
    ${SECONDS_TO_LIVE:+timeout --foreground --signal=KILL "$SECONDS_TO_LIVE"} gresgen order)
code=$?
case $order in
'{"look"'*) ;;
*) printf '%s %s %s %s\n' "$node" "$code" "$FAULTS$SECONDS_TO_LIVE" "$(printf '%s -> %s' "$order" "$answer" | tr '\n' ' ')" >>/var/lab/storm/orders ;;
esac
printf '%s\n' "$answer"
exit $code
"#;

/// Starts slurmd whenever there is none, as a site's systemd does that is told `Restart=always`. Debian 13 calls the program
/// `slurmd-wlm`.
const KEEP: &str = r#"#!/bin/sh
while sleep 0.5; do grep -qsxE 'slurmd(-wlm)?' /proc/[0-9]*/comm || lab-slurmd; done
"#;

/// As long as was measured on an A30 by others (FAR, JPDC 2025: create 0.13 to 0.16 s, destroy 0.10 s, of GPU and
/// compute instance together), and twice that: larger boards have not been measured.
pub(crate) const LATENCY: &str = "nvmlDeviceCreateGpuInstanceWithPlacement=200,nvmlGpuInstanceCreateComputeInstance=100,\
                                  nvmlComputeInstanceDestroy=100,nvmlGpuInstanceDestroy=100";

/// Jobs of `low` make way for jobs of `lab`, and come again when their credential has expired.
const PREEMPTION: &str = "\
AuthInfo=cred_expire=10
SlurmctldDebug=debug2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1
MinJobAge=86400
MaxJobCount=1000000
";

/// What a cluster is made of, where it is not the usual one.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) release: Release,
    pub(crate) cgroup: Cgroup,
    pub(crate) nodes: usize,
    /// Of each node.
    pub(crate) gpus: usize,
    /// The arbiter's policy, as a flow mapping without its braces.
    pub(crate) policy: &'static str,
}

impl Site {
    /// How it is called where it is spoken of.
    pub(crate) fn name(&self) -> String {
        format!("{}, cgroup {:?}, {} nodes", self.release, self.cgroup, self.nodes)
    }

    /// In service; `None` where no lab can run.
    pub(crate) fn start(&self) -> Option<Fleet> {
        let fleet = self.try_start();
        lab::require(fleet)
    }

    fn try_start(&self) -> Result<Fleet, LabError> {
        let gres: Vec<String> = KINDS
            .iter()
            .zip([7, 3, 2, 1])
            .map(|(kind, places)| format!("gpu:{kind}:{}", places * self.gpus))
            .collect();
        let catalog = format!(
            "NodeName=cut-on-request-[1-2] NodeAddr=127.0.0.1 Port=1 CPUs=32 RealMemory=4000 State=DRAIN Reason=never_up Gres={}\n",
            gres.join(",")
        );
        let options = FleetOptions {
            gresgen: env!("CARGO_BIN_EXE_gresgen").into(),
            simulator: library("libnvml_sim.so"),
            plugin: library("libspank_mig.so"),
            gpus: format!("a100-40gb:{}", self.gpus),
            nodes: self.nodes,
            cgroup: self.cgroup,
            slurm_conf: format!("{PREEMPTION}{catalog}"),
            config: format!("{CONFIG}  arbiter: {{reach: [lab-reach, '{{node}}'], {}}}\n", self.policy),
        };
        let fleet = Fleet::empty(self.release, &options)?;
        for (number, node) in (1..).zip(fleet.nodes()) {
            tell_apart(&fleet.machine(node), number);
        }
        fleet.lab.write_executable("/var/lab/bin/lab-storm-task", TASK)?;
        fleet.lab.write_executable("/var/lab/bin/lab-reach", REACH)?;
        fleet.lab.write_executable("/var/lab/bin/lab-keep", KEEP)?;
        fleet.lab.write_file("/var/lab/storm/latency", LATENCY)?;
        fleet.start()?;
        for node in fleet.nodes() {
            fleet.must(node, &["sh", "-c", "setsid lab-keep </dev/null >/dev/null 2>&1 &"])?;
        }
        Ok(fleet)
    }
}

/// Simulated GPUs of one place are the same on every machine; those of real nodes are not.
fn tell_apart(machine: &Path, number: u64) {
    let store = Store::open(machine, None).unwrap();
    let differ = |snapshot: &mut Snapshot| {
        let gpus = &mut Arc::make_mut(&mut snapshot.machine).gpus;
        gpus.iter_mut().for_each(|gpu| gpu.pdi ^= number << 32);
        Ok::<(), ()>(())
    };
    store.change(differ).unwrap().unwrap();
}

/// A library that cargo built for this test: beside the test program.
fn library(name: &str) -> PathBuf {
    let program = env::current_exe().unwrap();
    program.parent().map(|deps: &Path| deps.join(name)).unwrap()
}
