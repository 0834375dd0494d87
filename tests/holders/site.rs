//! The node under test.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::verbs::Devices;
use lab::{Invocation, JobId, Lab, LabError, Node, Options, Output, Release, Simulated, User};
use nvml_sim::{Snapshot, Store, machine::Majors};

/// Two GPUs that are cut, and a whole one of which the MIG mode changes without a reset.
const GPUS: &str = "a100-40gb:2,h100-80gb-sxm:1";

/// `day` is what the node has. Of it `fewer` and `as-many` keep nothing, and `without-GPU-START` keeps all but one slice, in
/// whose place another is: the number of devices and their indexes are those of `day`.
const LAYOUTS: &str = "\
version: v1
layout: day
mig-configs:
  day:
    - {devices: [0, 1], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 1]}, 3g.20gb: {count: 1, at: [4]}}}
    - {devices: [2], mig-enabled: false}
  fewer:
    - {devices: [0, 1], mig-enabled: true, mig-devices: {7g.40gb: 1}}
    - {devices: [2], mig-enabled: true, mig-devices: {7g.80gb: 1}}
  as-many:
    - {devices: [0, 1], mig-enabled: true, mig-devices: {2g.10gb: 3}}
    - {devices: [2], mig-enabled: true, mig-devices: {7g.80gb: 1}}
  without-0-0:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [1, 2]}, 3g.20gb: {count: 1, at: [4]}}}
  without-0-1:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 2]}, 3g.20gb: {count: 1, at: [4]}}}
  without-0-4:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 1]}, 2g.10gb: {count: 1, at: [4]}}}
  without-1-0:
    - {devices: [1], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [1, 2]}, 3g.20gb: {count: 1, at: [4]}}}
  without-1-1:
    - {devices: [1], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 2]}, 3g.20gb: {count: 1, at: [4]}}}
  without-1-4:
    - {devices: [1], mig-enabled: true, mig-devices: {1g.5gb: {count: 2, at: [0, 1]}, 2g.10gb: {count: 1, at: [4]}}}
";

/// Lets types of the launch cases be asked for here.
const TYPES: &str = "  types: {models: {NVIDIA H100 80GB HBM3: a100}}\n";

/// The devices of `n2`, out of the way of the simulator's. Majors from 60 are for local use (Linux devices.txt).
const OTHER_DEVICES: &str = "mkdir /dev/n2; for n in 0 1 2; do mknod -m 666 /dev/n2/$n c 60 $n; done";
const OTHER_GRES: &str = "\
NodeName=n2 Name=gpu Type=2g.10gb MultipleFiles=/dev/n2/0,/dev/n2/1 Flags=nvidia_gpu_env
NodeName=n2 Name=gpu Type=1g.5gb MultipleFiles=/dev/n2/0,/dev/n2/2 Flags=nvidia_gpu_env
";

/// Where witnesses report, and where they look for their end.
const WITNESSES: &str = "/var/lab/out/witness";

/// What an apply that was cut off left, kept for the verb that undoes it.
const CUT_OFF: &str = "/var/lab/cut-off";

/// How a node differs from the usual one.
#[derive(Clone)]
pub(crate) struct Setup {
    /// Layouts, [`LAYOUTS`] by default.
    pub(crate) layouts: &'static str,
    pub(crate) gpus: &'static str,
    /// Further lines of the `slurm:` section.
    pub(crate) settings: &'static str,
    /// What stands for the node there.
    pub(crate) node: &'static str,
    /// Further lines of slurm.conf.
    pub(crate) slurm_conf: &'static str,
    /// gres.conf before the first apply.
    pub(crate) gres_conf: &'static str,
    /// Scripts by their path.
    pub(crate) scripts: &'static [(&'static str, &'static str)],
    /// Whether device nodes have numbers that a driver of this kernel serves, so that they can be kept open.
    pub(crate) openable: bool,
    /// Whether Slurm runs on the node.
    pub(crate) slurm: bool,
}

impl Setup {
    pub(crate) const USUAL: Self = Self {
        layouts: LAYOUTS,
        gpus: GPUS,
        settings: TYPES,
        node: Simulated::NODE,
        slurm_conf: "",
        gres_conf: "",
        scripts: &[],
        openable: false,
        slurm: true,
    };
}

/// A node `n1` with three GPUs beside `n2` with two slices, in service on layout `day`.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    /// Set for every `gresgen`.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
    /// Whether Slurm runs on the node.
    pub(crate) slurm: bool,
    /// Slurm's names of the nodes.
    pub(crate) nodes: [&'static str; 2],
}

/// What a task wrote down.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    pub(crate) pid: u32,
    /// Slurm's name of the node it runs on.
    node: String,
    /// Names of its job, as a user may read them: its number, and for a part of an array or of a heterogeneous job
    /// the number with its part.
    pub(crate) names: Vec<String>,
    /// Device nodes that opened, each with its numbers and inode.
    pub(crate) before: Vec<String>,
    /// The same at its end.
    pub(crate) after: Option<Vec<String>>,
}

impl Site {
    /// The node in service, or `None` where no lab can run.
    pub(crate) fn start(release: Release, setup: &Setup) -> Option<Self> {
        let site = Self::bare(release, setup)?;
        site.cut();
        if setup.slurm {
            site.lab.start_slurm().unwrap();
        } else {
            site.lab.run(&["rm", "/etc/slurm/slurm.conf"]).unwrap();
        }
        Some(site)
    }

    /// The node before its first apply.
    pub(crate) fn bare(release: Release, setup: &Setup) -> Option<Self> {
        let simulated = Simulated {
            gresgen: env!("CARGO_BIN_EXE_gresgen").into(),
            simulator: library("libnvml_sim.so"),
            plugin: library("libspank_mig.so"),
            gpus: setup.gpus.to_owned(),
            config: format!("{}{}{}", setup.layouts, setup.node, setup.settings),
        };
        let witness = lab::compile("lab-witness", include_str!("witness.c"), &["-O1", "-static"]).unwrap();
        let more = |options: Options| {
            let options = options
                .node(Node::new("n2").gres("gpu:2g.10gb:1,gpu:1g.5gb:1"))
                .slurm_conf(setup.slurm_conf)
                .file(&witness, "/var/lab/bin/lab-witness");
            setup.scripts.iter().fold(options, |options, (path, text)| options.text(path, text))
        };
        let lab = lab::require(simulated.node_with(release, more))?;
        for (path, _) in setup.scripts {
            lab.run(&["chmod", "755", path]).unwrap();
        }
        lab.run(&["sh", "-c", OTHER_DEVICES]).unwrap();
        lab.write_file("/etc/slurm/gres.conf", format!("{OTHER_GRES}{}", setup.gres_conf)).unwrap();
        let site = Self { lab, environment: Vec::new(), slurm: setup.slurm, nodes: ["n1", "n2"] };
        if setup.openable {
            site.give_openable_numbers();
        }
        site.clean();
        Some(site)
    }

    /// Cuts the GPUs to `day`, on the way keeping what an apply that was cut off leaves.
    pub(crate) fn cut(&self) {
        let apply = |layout: &str| {
            let answer = self.gresgen(&["--layout", layout, "apply", "--adopt"], &[]);
            assert!([0, 6].contains(&answer.code), "{}{}", answer.stdout, answer.stderr);
        };
        apply("fewer");
        let cut = self.gresgen(&["--layout", "day", "apply", "--adopt"], &[("NVML_SIM_FAULTS", "kill@1")]);
        assert_eq!(cut.code, 137, "it was to be killed: {}{}", cut.stdout, cut.stderr);
        self.lab.run(&["cp", "-a", "/var/lib/gresgen", CUT_OFF]).unwrap();
        apply("day");
    }

    /// `gresgen` as root.
    pub(crate) fn gresgen(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let command = self.lab.command(&[&["/usr/local/bin/gresgen"], arguments].concat());
        let variables = self.environment.iter().chain(environment);
        let command = variables.fold(command, |command, (name, value)| command.env(name, value));
        command.output().unwrap()
    }

    /// A shell script as root.
    pub(crate) fn sh(&self, script: &str) -> Result<Output, LabError> {
        self.lab.run(&["bash", "-c", script])
    }

    /// Lets `gresgen` find an apply that was cut off, while `during` runs.
    pub(crate) fn cut_off<T>(&self, during: impl FnOnce() -> T) -> T {
        let script = format!("cp -a /var/lib/gresgen /var/lab/kept && cp -a {CUT_OFF}/. /var/lib/gresgen/");
        self.sh(&script).unwrap();
        let value = during();
        self.sh("rm -rf /var/lib/gresgen && mv /var/lab/kept /var/lib/gresgen").unwrap();
        value
    }

    // --- tasks ---

    /// Runs a command in the background, as a user, with a terminal of its own if it wants one.
    pub(crate) fn begin(&self, command: Invocation) -> Result<(), LabError> {
        command.output().map(drop)
    }

    /// Submits a batch script as Alice.
    pub(crate) fn sbatch(&self, arguments: &[&str], script: &str) -> Result<JobId, LabError> {
        self.lab.sbatch(User::Alice, arguments, script)
    }

    /// Waits until `count` jobs are in a state, as squeue abbreviates it.
    pub(crate) fn wait_jobs(&self, state: &str, count: usize) -> Result<(), LabError> {
        self.lab.wait(&format!("{count} jobs to be {state}"), || {
            let jobs = self.lab.run(&["squeue", "-h", "-r", "-t", state, "-o", "%A"])?.stdout;
            Ok((jobs.lines().count() == count).then_some(()))
        })
    }

    /// Waits until `count` tasks have reported.
    pub(crate) fn wait_witnesses(&self, count: usize) -> Result<Vec<Witness>, LabError> {
        self.lab.wait(&format!("{count} witnesses"), || {
            let all = self.witnesses()?;
            Ok((all.len() >= count).then_some(all))
        })
    }

    /// What tasks have written down.
    pub(crate) fn witnesses(&self) -> Result<Vec<Witness>, LabError> {
        let text = self.sh(&format!("cat {WITNESSES}/[0-9]* 2>/dev/null; true"))?.stdout;
        let reports = text.split("who ").skip(1);
        Ok(reports.map(|report| Witness::parse(report).expect("a whole report")).collect())
    }

    /// Lets all tasks end.
    pub(crate) fn go(&self) -> Result<(), LabError> {
        self.sh(&format!("touch {WITNESSES}/go")).map(drop)
    }

    /// Ends what jobs are left, and forgets what was reported.
    pub(crate) fn idle(&self) -> Result<(), LabError> {
        if !self.slurm {
            self.clean();
            return Ok(());
        }
        self.sh("squeue -h -o %A | xargs -r scancel --quiet")?;
        self.lab.wait("all jobs to be gone", || {
            Ok(self
                .lab
                .run(&["squeue", "-h", "-a", "-t", "all", "-O", "State"])?
                .stdout
                .lines()
                .all(ended)
                .then_some(()))
        })?;
        self.wait_nodes()?;
        self.clean();
        Ok(())
    }

    /// Waits until the nodes take jobs.
    pub(crate) fn wait_nodes(&self) -> Result<(), LabError> {
        for node in self.nodes {
            let mut state = String::new();
            for _ in 0..1200 {
                state = self.lab.command(&["sinfo", "-h", "-N", "-n", node, "-o", "%T %E"]).output()?.stdout;
                if !state.is_empty() && state.lines().all(usable) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            if state.is_empty() || !state.lines().all(usable) {
                return Err(LabError::Command { command: format!("sinfo -n {node}"), what: state });
            }
        }
        Ok(())
    }

    fn clean(&self) {
        let script = format!("rm -rf {WITNESSES} /var/lab/out/*; mkdir -p -m 1777 {WITNESSES}");
        self.sh(&script).unwrap();
    }

    // --- GPUs ---

    /// The simulator's state.
    pub(crate) fn machine(&self) -> serde_json::Value {
        let path = format!("/proc/{}/root{}/var/lib/nvml-sim/state.json", self.lab.pid(), Simulated::TREE);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// Whether the GPUs have slices.
    pub(crate) fn is_cut(&self) -> bool {
        let machine = self.machine();
        let mut gpus = machine["gpus"].as_array().expect("a machine has a list of them").iter();
        gpus.any(|gpu| gpu["instances"].as_array().is_some_and(|instances| !instances.is_empty()))
    }

    /// The devices of `n1` that these tasks hold.
    pub(crate) fn held(&self, tasks: &[Witness]) -> Devices {
        let machine = self.machine();
        let start = |gpu: u32, instance: u32| {
            let instances =
                machine["gpus"][gpu as usize]["instances"].as_array().expect("a GPU has a list of them");
            let instance =
                instances.iter().find(|i| i["id"] == instance).expect("its capability node is there");
            instance["start"].as_u64().expect("a number") as u32
        };
        let mut held = Devices::default();
        let here = tasks.iter().filter(|task| task.node != "n2");
        for device in here.flat_map(|task| &task.before).filter_map(|device| device.split('=').next()) {
            if let Some(minor) =
                device.strip_prefix("nvidia-cap").and_then(|n| n.parse::<u32>().ok()?.checked_sub(3))
            {
                // nv-caps.c of NVIDIA's open-gpu-kernel-modules: 15 GPU instances of 9 minors each.
                let (gpu, instance) = (minor / 135, minor % 135 / 9);
                held.slices.insert((gpu, start(gpu, instance)));
            } else if let Some(gpu) = device.strip_prefix("nvidia").and_then(|n| n.parse().ok()) {
                held.whole.insert(gpu);
            }
        }
        held.whole.retain(|gpu| !held.slices.iter().any(|(cut, _)| cut == gpu));
        held
    }

    /// The simulated machine.
    pub(crate) fn store(&self) -> Store {
        let tree = format!("/proc/{}/root{}", self.lab.pid(), Simulated::TREE);
        Store::open(Path::new(&tree), None).unwrap()
    }

    /// Numbers of drivers that this kernel has, so that device nodes of the first GPU can be opened: `cpuid` serves
    /// a minor per CPU, `tty` (the virtual consoles) the capabilities of instances 1 to 6 of the first GPU, which
    /// are the larger ones.
    fn give_openable_numbers(&self) {
        let majors = Majors { nvidia: 203, caps: 4, uvm: 253 };
        let store = self.store();
        let change = |snapshot: &mut Snapshot| {
            Arc::make_mut(&mut snapshot.machine).majors = Some(majors);
            Ok::<(), ()>(())
        };
        store.change(change).unwrap().unwrap();
        let script = "cp -a --remove-destination $0/dev/nvidia[0-9]* /dev/ && umount /proc/devices && mount --bind $0/proc/devices /proc/devices";
        self.lab.run(&["sh", "-c", script, Simulated::TREE]).unwrap();
    }
}

/// Whether sinfo says of a node that it takes jobs. One that had a job may be called mixed for a while.
fn usable(line: &str) -> bool {
    ["idle ", "mixed ", "allocated ", "completing "].iter().any(|state| line.starts_with(state))
}

/// Whether a state is one that a job does not leave, and in which it holds nothing (squeue(1), "JOB STATE CODES").
fn ended(state: &str) -> bool {
    let state = state.trim();
    ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "OUT_OF_MEMORY"]
        .contains(&state)
}

impl Witness {
    /// Reads a report, of which the word "who " is cut off.
    fn parse(report: &str) -> Option<Self> {
        let mut lines = report.lines();
        let who = lines.next()?;
        let field = |key: &str| who.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let named = ["job", "array", "het"].map(field).into_iter().flatten();
        let names = named.filter(|name| !name.starts_with('-')).map(str::to_owned).collect();
        let mut opened = |when: &str| {
            let line = lines.next()?.strip_prefix(when)?;
            Some(line.split_whitespace().map(str::to_owned).collect())
        };
        let before = opened("before")?;
        let node = field("node")?.to_owned();
        Some(Self { pid: field("pid")?.parse().ok()?, node, names, before, after: opened("after") })
    }
}

/// A library that cargo built for this test: beside the test program.
fn library(name: &str) -> PathBuf {
    let program = env::current_exe().unwrap();
    program.parent().map(|deps: &Path| deps.join(name)).unwrap()
}
