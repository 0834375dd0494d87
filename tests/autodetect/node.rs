//! A node cut by gresgen, on which Slurm detects GPUs itself.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};

use device_map::{DeviceMap, Record};
use lab::{Lab, Probe, Release, Simulated, User};

use crate::fetched::debian;

const GRES_CONF: &str = "/etc/slurm/gres.conf";

const CGROUP_CONF: &str = "/etc/slurm/cgroup.conf";
const CONSTRAINED: &str = "ConstrainDevices=yes";

/// slurmd as a site with the driver has it: its library is the simulator.
const SLURMD: &str = "#!/bin/sh\nNVML_SIM_ROOT=/var/lab/sim exec /usr/sbin/slurmd \"$@\"\n";

/// The line that loads this project's plugin, as gresgen writes it.
const PLUGSTACK: &str = "/etc/slurm/plugstack.conf.d/mig.conf";

/// A node `n1` on which `gresgen apply` was run. Its daemons are not started.
pub(crate) struct Node {
    pub(crate) lab: Lab,
    /// What gresgen says the GRES indexes are.
    pub(crate) map: DeviceMap,
}

impl Node {
    /// `layout` holds the entries of the layout, each a flow mapping. Slurm is 22.05. `None` where no lab can run.
    pub(crate) fn cut(gpus: &str, layout: &[&str]) -> Option<Self> {
        Self::cut_on(Release::Bookworm, gpus, layout)
    }

    /// [`Node::cut`] under another Slurm.
    pub(crate) fn cut_on(release: Release, gpus: &str, layout: &[&str]) -> Option<Self> {
        let entries: String = layout.iter().map(|entry| format!("    - {{{entry}}}\n")).collect();
        let simulated = Simulated {
            gresgen: env!("CARGO_BIN_EXE_gresgen").into(),
            simulator: nvml_sim::library_path().unwrap(),
            plugin: library("libspank_mig.so"),
            gpus: gpus.to_owned(),
            config: format!("version: v1\nmig-configs:\n  judged:\n{entries}{}", Simulated::NODE),
        };
        let lab = lab::require(simulated.node(release))?;
        let applied = lab.gresgen(&["apply"]).unwrap();
        assert_eq!(applied.code, 6, "Slurm is left to be told: {applied:?}");
        let map = lab.read_file("/run/gresgen/devices").unwrap().parse().unwrap();
        Some(Self { lab, map })
    }

    /// Takes this project's plugin away.
    pub(crate) fn without_plugin(self) -> Self {
        self.lab.run(&["rm", PLUGSTACK]).unwrap();
        self
    }

    /// Tells the plugin not to say what is no error.
    pub(crate) fn notices_off(self) -> Self {
        let line = self.lab.read_file(PLUGSTACK).unwrap();
        self.lab.write_file(PLUGSTACK, format!("{} notices=off\n", line.trim_end())).unwrap();
        self
    }

    /// Devices are not constrained.
    pub(crate) fn unconstrained(self) -> Self {
        let conf = self.lab.read_file(CGROUP_CONF).unwrap();
        assert!(conf.contains(CONSTRAINED), "{conf}");
        self.lab.write_file(CGROUP_CONF, conf.replace(CONSTRAINED, "ConstrainDevices=no")).unwrap();
        self
    }

    /// Slurm's NVML plugin in place of gresgen's gres.conf. The node line stays: its types are matched as parts
    /// of the names that Slurm gives to what it finds (gres.conf(5), Type).
    pub(crate) fn detecting(self) -> Self {
        let plugins = Release::Bookworm.plugin_directory();
        let fetched = debian("bookworm", &["slurm-wlm-nvml-plugin"]).join(plugins.trim_start_matches('/'));
        self.lab.install(&fetched.join("gpu_nvml.so"), &format!("{plugins}/gpu_nvml.so")).unwrap();
        let simulator = nvml_sim::library_path().unwrap();
        let libraries = Path::new(&plugins).parent().unwrap().display().to_string();
        // slurmd looks for NVML by its development name before it loads the plugin.
        for name in ["libnvidia-ml.so.1", "libnvidia-ml.so"] {
            self.lab.install(&simulator, &format!("{libraries}/{name}")).unwrap();
        }
        self.lab.write_file("/usr/local/sbin/slurmd", SLURMD).unwrap();
        self.lab.run(&["chmod", "755", "/usr/local/sbin/slurmd"]).unwrap();
        self.lab.write_file(GRES_CONF, "AutoDetect=nvml\n").unwrap();
        self
    }

    /// The device map as `fake_gpus.conf`, beside gresgen's gres.conf.
    ///
    /// One device per line: `type|CPUs of the node|cores|links|files|unique id`; this was found out by running
    /// 22.05.8, for the file is not documented. From 26.05 a flag must ask for names.
    pub(crate) fn faking(self) -> Self {
        let names_on_request = self.lab.release() == Release::Sid;
        let flags = if names_on_request { "|nvidia_gpu_env,env_uuid" } else { "" };
        let line = |record: &Record| {
            format!("{}|32|0-31|(null)|{}|{}{flags}\n", record.gres_type, files(record), record.uuid)
        };
        let text: String = self.map.records.iter().map(line).collect();
        self.lab.write_file("/etc/slurm/fake_gpus.conf", text).unwrap();
        if names_on_request {
            let conf = self.lab.read_file(GRES_CONF).unwrap();
            let asking = conf.replace("Flags=nvidia_gpu_env", "Flags=nvidia_gpu_env,env_uuid");
            self.lab.write_file(GRES_CONF, asking).unwrap();
        }
        self
    }

    pub(crate) fn start(self) -> Self {
        self.lab.start_slurm().unwrap();
        self
    }

    /// What `slurmd -G` says.
    pub(crate) fn slurmd_lists(&self) -> String {
        let output = self.lab.run(&["slurmd", "-G", "-N", "n1"]).unwrap();
        output.stdout + &output.stderr
    }

    /// Type and files of the records of `slurmd -G`, in Slurm's index order.
    pub(crate) fn detected(&self) -> Vec<(String, String)> {
        self.slurmd_lists().lines().filter(|line| line.contains("Gres Name=gpu")).map(record).collect()
    }

    /// Type and files of the records as gresgen predicts them.
    pub(crate) fn predicted(&self) -> Vec<(String, String)> {
        self.map.records.iter().map(|record| (record.gres_type.clone(), files(record))).collect()
    }

    /// The records whose own device node was opened.
    pub(crate) fn opened(&self, probe: &Probe) -> BTreeSet<&str> {
        let own = |record: &&Record| probe.open.contains(&record.own_file().unwrap().path);
        self.map.records.iter().filter(own).map(|record| record.uuid.as_str()).collect()
    }

    /// Runs jobs of one device each until every device has one, and gives what the batch script and a step of
    /// each saw.
    pub(crate) fn one_job_per_device(&self) -> Vec<Vec<Probe>> {
        const SCRIPT: &str = "lab-probe; srun lab-probe; until [ -e /tmp/go ]; do sleep 0.05; done";
        let submit = |record: &Record| {
            let gres = format!("--gres=gpu:{}:1", record.gres_type);
            self.lab.sbatch(User::Alice, &[&gres], SCRIPT).unwrap()
        };
        let jobs: Vec<_> = self.map.records.iter().map(submit).collect();
        for job in &jobs {
            let seen = || {
                let output = self.lab.command(&["cat", &format!("/var/lab/out/{job}")]).output()?;
                Ok((Probe::parse_all(&output.stdout).len() == 2).then_some(()))
            };
            self.lab.wait("a job on every device", seen).unwrap();
        }
        self.lab.write_file("/tmp/go", "").unwrap();
        let probes = jobs.into_iter().map(|job| Probe::parse_all(&self.lab.wait_job(job).unwrap().output));
        probes.collect()
    }
}

/// A record's files as Slurm prints them.
pub(crate) fn files(record: &Record) -> String {
    let files: Vec<_> = record.files.iter().map(|file| file.path.display().to_string()).collect();
    files.join(",")
}

/// How many devices there are of each type.
pub(crate) fn counts(records: &[(String, String)]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (kind, _) in records {
        *counts.entry(kind.as_str()).or_default() += 1;
    }
    counts
}

/// Type and files of a record that `slurmd -G` prints.
pub(crate) fn record(line: &str) -> (String, String) {
    let value = |key: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
        word.unwrap_or_else(|| panic!("no {key} in {line}")).to_owned()
    };
    (value("Type="), value("File="))
}

/// A library that Cargo built for these tests.
fn library(name: &str) -> PathBuf {
    env::current_exe().unwrap().with_file_name(name)
}
