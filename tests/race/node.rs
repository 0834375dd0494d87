//! The node under test: one GPU, three layouts.

use std::{
    env,
    path::{Path, PathBuf},
};

use lab::{Lab, LabError, Output, Release, Simulated};

/// As long as was measured on an A30 by others (FAR, JPDC 2025: create 0.13 to 0.16 s, destroy 0.10 s, of GPU and
/// compute instance together), and twice that: larger boards have not been measured.
const LATENCY: &str = "nvmlDeviceCreateGpuInstanceWithPlacement=200,nvmlGpuInstanceCreateComputeInstance=100,\
                       nvmlComputeInstanceDestroy=100,nvmlGpuInstanceDestroy=100";

/// `a` and `b` have as many devices, of which three are the same; `c` has more.
const CONFIG: &str = "\
version: v1
layout: a
mig-configs:
  a:
    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 1]}, 2g.10gb: {count: 1, at: [2]}, 3g.20gb: {count: 1, at: [4]}}}
  b:
    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 1]}, 2g.10gb: {count: 2, at: [2, 4]}}}
  c:
    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: {count: 4, at: [0, 1, 2, 3]}, 3g.20gb: {count: 1, at: [4]}}}
";

/// What the plugin says to a task with several devices is no fault of the race.
const QUIET: &str = "  plugin: {arguments: {notices: \"off\"}}\n";

pub(crate) const LAYOUTS: [&str; 3] = ["a", "b", "c"];

pub(crate) const TYPES: [&str; 3] = ["1g.5gb", "2g.10gb", "3g.20gb"];

pub(crate) struct Node {
    pub(crate) lab: Lab,
}

impl Node {
    /// In service on layout `a`, or `None` where no lab can run.
    pub(crate) fn start(release: Release) -> Option<Self> {
        let simulated = Simulated {
            gresgen: env!("CARGO_BIN_EXE_gresgen").into(),
            simulator: library("libnvml_sim.so"),
            plugin: library("libspank_mig.so"),
            gpus: "a100-40gb:1".to_owned(),
            config: format!("{CONFIG}{}{QUIET}", Simulated::NODE),
        };
        // Jobs are counted in the end.
        let kept = "MinJobAge=86400\nMaxJobCount=1000000";
        let lab = lab::require(simulated.node_with(release, |options| options.slurm_conf(kept)))?;
        let node = Self { lab };
        let answer = node.apply("a", &[]);
        assert_eq!(answer.code, 6, "{}{}", answer.stdout, answer.stderr);
        node.lab.start_slurm().unwrap();
        Some(node)
    }

    /// Applies a layout, slow as on a driver.
    pub(crate) fn apply(&self, layout: &str, arguments: &[&str]) -> Output {
        self.run(&[&["gresgen", "--layout", layout, "apply"], arguments].concat())
    }

    /// Applies a layout, and is killed after so many milliseconds.
    pub(crate) fn apply_killed(&self, layout: &str, arguments: &[&str], after_ms: u64) -> Output {
        let after = format!("{}.{:03}", after_ms / 1000, after_ms % 1000);
        let killed =
            ["timeout", "--foreground", "--signal=KILL", &after, "gresgen", "--layout", layout, "apply"];
        self.run(&[&killed, arguments].concat())
    }

    fn run(&self, words: &[&str]) -> Output {
        self.lab.command(words).env("NVML_SIM_LATENCY", LATENCY).output().unwrap()
    }

    /// What slurmctld says of the node and of jobs that are not over, for whoever has to find out what went wrong.
    pub(crate) fn state_of_slurm(&self) -> String {
        let commands = "scontrol -o show node n1; squeue; scontrol -o show reservation; ps axo pid,etimes,args | grep '[s]lurm'";
        self.lab
            .command(&["bash", "-c", commands])
            .output()
            .map_or_else(|e| e.to_string(), |out| out.stdout + &out.stderr)
    }

    /// The simulator's state.
    pub(crate) fn state(&self) -> PathBuf {
        format!("/proc/{}/root{}/var/lib/nvml-sim/state.json", self.lab.pid(), Simulated::TREE).into()
    }

    /// The node is neither drained nor reserved nor down, and runs a job of each type that it has.
    pub(crate) fn assert_schedulable(&self, layout: &str) -> Result<(), LabError> {
        let release = self.lab.release();
        self.lab.wait_nodes()?;
        let reserved = self.lab.command(&["scontrol", "-o", "show", "reservation"]).output()?.stdout;
        assert!(!reserved.contains("ReservationName="), "{release}: a reservation is left: {reserved}");
        for kind in TYPES
            .iter()
            .filter(|kind| !(layout == "c" && **kind == "2g.10gb" || layout == "b" && **kind == "3g.20gb"))
        {
            let probes = self.lab.srun(&[&format!("--gres=gpu:{kind}:1"), "lab-probe"])?.probes();
            assert_eq!(probes.len(), 1, "{release}: a job on {kind}");
            assert_eq!(probes[0].cuda_list().len(), 1, "{release}: {kind}: {:?}", probes[0]);
        }
        Ok(())
    }
}

/// A library that cargo built for this test: beside the test program.
fn library(name: &str) -> PathBuf {
    let program = env::current_exe().unwrap();
    program.parent().map(|deps: &Path| deps.join(name)).unwrap()
}
