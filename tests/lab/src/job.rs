//! Batch jobs: the fields of `scontrol show job` a test asks for.

/// The number `sbatch` gave a job.
pub type JobId = u32;

/// A finished job, with all its array tasks or heterogeneous components.
#[derive(Clone, Debug)]
pub struct Job {
    /// `COMPLETED` when every part completed, else the state of the first part that did not.
    pub state: String,
    /// What the parts wrote to their output files, in Slurm's order.
    pub output: String,
}

/// One line of `scontrol --oneliner show job`.
pub(crate) struct Part<'a> {
    pub(crate) state: &'a str,
    pub(crate) output: &'a str,
}

/// States a job does not leave (Slurm squeue(1), "JOB STATE CODES").
const FINAL: [&str; 9] = [
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "BOOT_FAIL",
    "DEADLINE",
    "OUT_OF_MEMORY",
    "PREEMPTED",
];

impl<'a> Part<'a> {
    pub(crate) fn parse_all(text: &'a str) -> Vec<Self> {
        text.lines().filter(|line| line.contains("JobState=")).map(Self::parse).collect()
    }

    fn parse(line: &'a str) -> Self {
        let field = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)).unwrap_or_default();
        Self { state: field("JobState="), output: field("StdOut=") }
    }

    pub(crate) fn finished(&self) -> bool {
        FINAL.contains(&self.state)
    }
}

/// The state that speaks for all parts.
pub(crate) fn verdict(parts: &[Part<'_>]) -> String {
    parts.iter().map(|part| part.state).find(|state| *state != "COMPLETED").unwrap_or("COMPLETED").to_owned()
}
