//! What a command in the lab said, and what the probe saw.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// The end of a command.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; 128 and more after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it exited with 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// What the probes among its tasks saw, ordered by job, step and task.
    pub fn probes(&self) -> Vec<Probe> {
        Probe::parse_all(&self.stdout)
    }
}

/// What one task was told and what it could open, as `lab-probe` printed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// `SLURM_JOB_ID`.
    pub job: String,
    /// `SLURM_STEP_ID`; empty in a batch script.
    pub step: String,
    /// `SLURM_PROCID`; empty outside Slurm.
    pub task: String,
    /// `SLURMD_NODENAME`.
    pub node: String,
    /// `CUDA_VISIBLE_DEVICES`, `None` when it is not set.
    pub cuda: Option<String>,
    /// `NVIDIA_VISIBLE_DEVICES`, `None` when it is not set.
    pub nvidia: Option<String>,
    /// `SLURM_JOB_GPUS`, `None` when it is not set.
    pub job_gpus: Option<String>,
    /// `SLURM_STEP_GPUS`, `None` when it is not set.
    pub step_gpus: Option<String>,
    /// GPU device nodes the kernel let it open.
    pub open: BTreeSet<PathBuf>,
    /// GPU device nodes the device cgroup denied.
    pub denied: BTreeSet<PathBuf>,
    /// GPU device nodes that failed otherwise, with the errno after a colon.
    pub other: BTreeSet<PathBuf>,
    /// Files of `/run/gresgen/dcgm` and their words.
    pub dcgm: BTreeMap<String, Vec<String>>,
    /// Files of `/run/gresgen/gpustat` and their words.
    pub gpustat: BTreeMap<String, Vec<String>>,
    /// When it began, in milliseconds of CLOCK_MONOTONIC.
    pub begin: u64,
    /// When it ended, in milliseconds of CLOCK_MONOTONIC.
    pub end: u64,
}

impl Probe {
    /// The probes in a text with other lines between.
    pub fn parse_all(text: &str) -> Vec<Self> {
        let mut probes: Vec<_> = text.lines().filter_map(Self::parse).collect();
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        probes.sort_by_key(|probe| (number(&probe.job), number(&probe.step), number(&probe.task)));
        probes
    }

    fn parse(line: &str) -> Option<Self> {
        // `srun -l` and the like put a label before the line.
        let fields = line[line.find("probe begin=")?..].trim_end();
        let mut probe = Self::default();
        for (key, value) in fields.split(' ').filter_map(|field| field.split_once('=')) {
            let text = || variable(value).unwrap_or_default();
            let paths = || value.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
            match key {
                "job" => probe.job = text(),
                "step" => probe.step = text(),
                "task" => probe.task = text(),
                "node" => probe.node = text(),
                "cuda" => probe.cuda = variable(value),
                "nvidia" => probe.nvidia = variable(value),
                "job_gpus" => probe.job_gpus = variable(value),
                "step_gpus" => probe.step_gpus = variable(value),
                "open" => probe.open = paths(),
                "denied" => probe.denied = paths(),
                "other" => probe.other = paths(),
                "dcgm" => probe.dcgm = told(value),
                "gpustat" => probe.gpustat = told(value),
                "begin" => probe.begin = value.parse().ok()?,
                "end" => probe.end = value.parse().ok()?,
                _ => {}
            }
        }
        Some(probe)
    }

    /// The entries of `CUDA_VISIBLE_DEVICES`.
    pub fn cuda_list(&self) -> Vec<&str> {
        self.cuda.iter().flat_map(|list| list.split(',')).filter(|entry| !entry.is_empty()).collect()
    }
}

/// Reads `0.7:5/,0.8:5/7/,`.
fn told(value: &str) -> BTreeMap<String, Vec<String>> {
    let words = |text: &str| text.split('/').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let files = value.split(',').filter_map(|file| file.split_once(':'));
    files.map(|(name, text)| (name.to_owned(), words(text))).collect()
}

/// The probe writes `-` for a variable that is not set and `''` for an empty one.
fn variable(value: &str) -> Option<String> {
    match value {
        "-" => None,
        "''" => Some(String::new()),
        value => Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_probe_writes() {
        let line = "0: probe begin=5 job=3 step=- task=1 node=n1 cuda=MIG-a,MIG-b nvidia='' job_gpus=- step_gpus=0,1 \
                    open=/dev/nvidia0, denied= other=/dev/nvidia1:13, dcgm=0.7:3/,0.8:2/3/, gpustat= end=9\nnoise\n";
        let probes = Probe::parse_all(line);
        assert_eq!(probes.len(), 1);
        let probe = &probes[0];
        assert_eq!((probe.job.as_str(), probe.step.as_str(), probe.task.as_str()), ("3", "", "1"));
        assert_eq!(probe.cuda_list(), ["MIG-a", "MIG-b"]);
        assert_eq!((probe.nvidia.as_deref(), probe.job_gpus.as_deref()), (Some(""), None));
        assert_eq!(probe.open, BTreeSet::from([PathBuf::from("/dev/nvidia0")]));
        assert!(probe.denied.is_empty());
        assert_eq!((probe.dcgm["0.7"].join(" "), probe.dcgm["0.8"].join(" ")), ("3".into(), "2 3".into()));
        assert_eq!((probe.begin, probe.end), (5, 9));
    }
}
