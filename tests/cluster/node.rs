//! The node under test, and the judge of its jobs.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use lab::{JobId, Lab, Output, Probe, Release, Simulated, User};
use nvml_sim::{Snapshot, Store};

/// Two A100. Slurm's order on `day` is 1g 1g 2g 3g 3g, so a change of GPU 1 can leave the first three in place.
const GPUS: &str = "a100-40gb:2";

/// Layouts by what they are to a job on a 1g of `day`.
const LAYOUTS: &str = "\
version: v1
layout: day
mig-configs:
  day:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1}}
    - {devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 2}}
  elsewhere:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1}}
    - {devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 1, 4g.20gb: 1}}
  more:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 3, 2g.10gb: 1}}
    - {devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 2}}
  without-1g:
    - {devices: [0], mig-enabled: true, mig-devices: {2g.10gb: 3}}
    - {devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 2}}
  fine:
    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}
  impossible:
    - {devices: [0], mig-enabled: true, mig-devices: {3g.20gb: 3}}
";

/// A node `n1` with two simulated GPUs, beside `n2` without any.
pub(crate) struct Node {
    pub(crate) lab: Lab,
}

/// How `gresgen` ended, and what it said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A batch job that reports, waits for [`Node::go`], and reports again from a step.
pub(crate) struct Waiting(pub(crate) JobId);

impl Node {
    /// The node before its first `apply`, with its Slurm not started. `None` where no lab can run.
    pub(crate) fn fresh(release: Release) -> Option<Self> {
        Self::with(release, "")
    }

    /// The same with further lines in the `slurm:` section.
    pub(crate) fn with(release: Release, settings: &str) -> Option<Self> {
        let simulated = Simulated {
            gresgen: env!("CARGO_BIN_EXE_gresgen").into(),
            simulator: library("libnvml_sim.so"),
            plugin: library("libspank_mig.so"),
            gpus: GPUS.to_owned(),
            config: format!("{LAYOUTS}{}{settings}", Simulated::NODE),
        };
        let lab = lab::require(simulated.among(release, &["n2"]))?;
        Some(Self { lab })
    }

    /// The node in service on layout `day`.
    pub(crate) fn in_service(release: Release) -> Option<Self> {
        Self::in_service_with(release, "")
    }

    /// The same with further lines in the `slurm:` section.
    pub(crate) fn in_service_with(release: Release, settings: &str) -> Option<Self> {
        let node = Self::with(release, settings)?;
        node.gresgen(&["apply"]).must_be(6);
        node.lab.start_slurm().unwrap();
        Some(node)
    }

    pub(crate) fn gresgen(&self, arguments: &[&str]) -> Answer {
        let Output { code, stdout, stderr } = self.lab.gresgen(arguments).unwrap();
        Answer { code, stdout, stderr }
    }

    /// What of the node a change could touch: GPUs, files, Slurm's state.
    pub(crate) fn picture(&self) -> Vec<String> {
        let files = ["gres.conf", "gresgen-node.conf", "cgroup.conf"].map(|f| format!("/etc/slurm/{f}"));
        let files = files.iter().map(String::as_str).chain(["/run/gresgen/devices"]);
        let mut picture: Vec<_> = files.map(|file| self.lab.read_file(file).unwrap()).collect();
        picture.push(self.gpus());
        picture
    }

    /// The instances by the driver's own account.
    pub(crate) fn gpus(&self) -> String {
        let gpus = self.lab.run(&["gresgen", "export"]).unwrap();
        gpus.stdout
    }

    /// Carries out what an apply left to do, each line as it was printed.
    pub(crate) fn carry_out(&self, answer: &Answer) {
        for line in answer.left() {
            self.lab.run(&["sh", "-c", line]).unwrap();
        }
        self.settled();
    }

    /// Waits until both daemons work with the files that are in place and the node takes jobs.
    pub(crate) fn settled(&self) {
        self.lab
            .wait("slurmctld and slurmd to have the new table", || {
                let line = self.lab.read_file("/etc/slurm/gresgen-node.conf")?;
                let wanted =
                    line.split_whitespace().find(|word| word.starts_with("Gres=")).unwrap_or_default();
                let node = self.lab.command(&["scontrol", "-o", "show", "node", "n1"]).output()?.stdout;
                let read = self.map("devices") == self.map("devices.slurmd");
                Ok((read && node.split_whitespace().any(|word| word == wanted)).then_some(()))
            })
            .unwrap();
        self.lab.wait_nodes().unwrap();
    }

    fn map(&self, file: &str) -> Vec<String> {
        let path = format!("/run/gresgen/{file}");
        let text = self.lab.command(&["cat", &path]).output().unwrap().stdout;
        // The copy says beside what is in it which plugin made it.
        text.lines().filter(|line| !line.starts_with("plugin ")).map(str::to_owned).collect()
    }

    /// A reboot, up to where `gresgen apply --boot` comes: no instances, nothing below `/run`, no slurmd. slurmctld is
    /// on another host as far as this is concerned.
    pub(crate) fn reboot(&self) {
        self.lab.stop_slurmd("n1").unwrap();
        let simulator = format!("/proc/{}/root{}", self.lab.pid(), Simulated::TREE);
        let store = Store::open(Path::new(&simulator), None).unwrap();
        let reboot = |snapshot: &mut Snapshot| {
            Arc::make_mut(&mut snapshot.machine).reboot();
            Ok::<(), ()>(())
        };
        store.change(reboot).unwrap().unwrap();
        self.lab.run(&["sh", "-c", "rm -rf /run/gresgen/*"]).unwrap();
        let id = "/proc/sys/kernel/random/boot_id";
        self.lab.write_file("/var/lab/boot_id", "6d2f5b1e-0000-4000-8000-000000000002\n").unwrap();
        // The one of a reboot before is in the way.
        let bind = format!("umount -q {id}; mount --bind /var/lab/boot_id {id}");
        self.lab.run(&["sh", "-c", &bind]).unwrap();
    }

    // --- jobs ---

    /// Starts a job that waits, and gives it back when its first report is there.
    pub(crate) fn waiting(&self, gres: &str) -> Waiting {
        let gres = format!("--gres=gpu:{gres}:1");
        let script = "lab-probe\nuntil [ -e /var/lab/out/go ]; do sleep 0.05; done\nsrun lab-probe";
        let id = self.lab.sbatch(User::Alice, &["-w", "n1", &gres], script).unwrap();
        let path = format!("/var/lab/out/{id}");
        self.lab
            .wait("the job's first report", || {
                Ok(self.lab.command(&["cat", &path]).output()?.stdout.contains("end=").then_some(()))
            })
            .unwrap();
        Waiting(id)
    }

    /// Lets waiting jobs go on, now and later.
    pub(crate) fn go(&self) {
        self.lab.write_file("/var/lab/out/go", "").unwrap();
    }

    /// Both reports of a job that waited.
    pub(crate) fn reports(&self, job: Waiting) -> Vec<Report> {
        let job = self.lab.wait_job(job.0).unwrap();
        assert_eq!(job.state, "COMPLETED", "{}", job.output);
        let reports: Vec<_> = Probe::parse_all(&job.output).iter().map(|p| self.report(p)).collect();
        assert_eq!(reports.len(), 2, "{}", job.output);
        reports
    }

    /// What a new job with this GRES gets.
    pub(crate) fn job(&self, gres: &str) -> Report {
        let gres = format!("--gres=gpu:{gres}:1");
        let probes = self.lab.srun(&["-w", "n1", &gres, "lab-probe"]).unwrap().probes();
        assert_eq!(probes.len(), 1);
        self.report(&probes[0])
    }

    /// What a task was told beside what it could open, which must agree.
    pub(crate) fn report(&self, probe: &Probe) -> Report {
        assert!(!probe.denied.is_empty(), "a cgroup that denies nothing proves nothing: {probe:?}");
        let devices = self.devices();
        let open: Vec<&Device> = devices.values().filter(|d| probe.open.contains(&d.own)).collect();
        let uuids: Vec<&str> = open.iter().map(|d| d.uuid.as_str()).collect();
        assert_eq!(probe.cuda_list(), uuids, "{probe:?}");
        assert_eq!(open.len(), 1, "{probe:?}");
        Report { kind: open[0].kind.clone(), uuid: open[0].uuid.clone() }
    }

    /// The devices by Slurm's index; the map is read as text, so that judge and judged share no code.
    pub(crate) fn devices(&self) -> BTreeMap<usize, Device> {
        let device = |line: String| {
            let cells: Vec<&str> = line.split(' ').collect();
            let [index, kind, uuid, _, _, _, files] = cells[..] else { return None };
            let (own, _) = files.rsplit(',').next()?.split_once('=')?;
            let device = Device { kind: kind.to_owned(), uuid: uuid.to_owned(), own: own.into() };
            Some((index.parse().ok()?, device))
        };
        self.map("devices").into_iter().filter_map(device).collect()
    }
}

/// A row of the device map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) kind: String,
    pub(crate) uuid: String,
    /// The node that belongs to it alone.
    pub(crate) own: PathBuf,
}

/// The one device a task was told and could open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) kind: String,
    pub(crate) uuid: String,
}

impl Answer {
    /// Checks the exit code and shows everything where it is another.
    pub(crate) fn must_be(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }

    /// Checks that the error and its hint say each of these.
    pub(crate) fn must_say(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}{}", self.stdout, self.stderr);
        }
        self
    }

    /// The lines below `left to do in Slurm:`.
    pub(crate) fn left(&self) -> Vec<&str> {
        let lines = self.stdout.lines().skip_while(|line| *line != "left to do in Slurm:").skip(1);
        lines.map(str::trim).collect()
    }
}

/// A library that cargo built for this test: beside the test program.
fn library(name: &str) -> PathBuf {
    let program = env::current_exe().unwrap();
    program.parent().map(|deps: &Path| deps.join(name)).unwrap()
}
