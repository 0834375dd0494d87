//! Running Slurm's commands, within limits and never with an environment that changes what they print.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::ControlError;
use crate::command::{Answer, Stopped, bounded};

/// How long one command may take. Slurm's own give up on a slurmctld that does not answer after MessageTimeout (10 s,
/// slurm.conf(5)), tried more than once; one that waits longer hangs on something else: a user directory, a disk.
const PATIENCE: Duration = Duration::from_secs(45);

/// Most bytes one command may print. A job's record is at most a few kB where nobody inflates its texts (slurmctld
/// bounds none of them but max_submit_line_size and the like); this is room for some ten thousand.
const OUTPUT: u64 = 64 << 20;

/// slurm.conf of the daemon that runs here, where the commands would not find it by themselves.
static CONFIGURATION: OnceLock<PathBuf> = OnceLock::new();

/// Makes every further command of Slurm read this slurm.conf. The first call counts.
pub fn use_configuration(path: PathBuf) {
    let _ = CONFIGURATION.set(path);
}

/// Runs a command of Slurm and gives what it printed.
pub(super) fn run(command: &str, arguments: &[&str]) -> Result<String, ControlError> {
    answer(command, arguments, "")
}

/// The same with a text for its standard input.
pub(super) fn answer(command: &str, arguments: &[&str], input: &str) -> Result<String, ControlError> {
    within(PATIENCE, command, arguments, input)
}

/// Runs a command, of Slurm or about it, for so long at most.
pub(in crate::slurm) fn within(
    patience: Duration,
    command: &str,
    arguments: &[&str],
    input: &str,
) -> Result<String, ControlError> {
    let line = [&[command], arguments].concat().join(" ");
    let mut process = Command::new(command);
    process.args(arguments).env("LC_ALL", "C");
    // readline, which scontrol reads its input with, writes what a terminal wants to see.
    process.env("TERM", "dumb").env("INPUTRC", "/dev/null");
    if let Some(path) = CONFIGURATION.get() {
        process.env("SLURM_CONF", path);
    }
    // Filters and formats of the caller, or another cluster (squeue(1), scontrol(1), "ENVIRONMENT VARIABLES").
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let theirs = ["SQUEUE_", "SCONTROL_"].iter().any(|prefix| text.starts_with(prefix));
        if theirs || ["SLURM_CLUSTERS", "SLURM_BITSTR_LEN", "SLURM_TIME_FORMAT"].contains(&&*text) {
            process.env_remove(&name);
        }
    }
    let done = bounded(process, input.as_bytes().to_vec(), patience, OUTPUT);
    let Answer { success, stdout, stderr } = done.map_err(|stopped| match stopped {
        Stopped::Io(error) => ControlError::Missing { command: command.to_owned(), error },
        Stopped::Late { .. } => ControlError::Late { command: line.clone(), seconds: patience.as_secs() },
        Stopped::Long => ControlError::Long { command: line.clone(), limit: OUTPUT },
    })?;
    // Bytes that are no text would otherwise be dropped or merged: each stays one sign that no field begins with.
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if success {
        return Ok(text(stdout));
    }
    let complaint = text(stderr);
    let what = (text(stdout) + &complaint).trim().to_owned();
    let unreachable = ["Unable to contact slurm controller", "DNS SRV lookup failed"];
    match unreachable.iter().any(|sign| complaint.contains(sign)) {
        true => Err(ControlError::Unreachable(what)),
        false => Err(ControlError::Refused { command: line, what }),
    }
}
