//! Running Slurm's commands, within limits and never with an environment that changes what they print.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::command::{Answer, Parts, Stopped, bounded, bounded_in_parts};
use crate::slurm::SlurmError;

/// How long one command may take. Slurm's own give up on a slurmctld that does not answer after MessageTimeout (10 s,
/// slurm.conf(5)), tried more than once; one that waits longer hangs on something else: a user directory, a disk.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

/// Most bytes that are read of what one command prints: room for a thousand jobs on one node that are all as large as
/// [`RECORD`], and for some ten thousand of a few kB.
const OUTPUT: u64 = 64 << 20;

/// Most bytes that are read of a job's record. What counts stands before its longest texts, the arguments of the script
/// (22.05) and the submit line (from 25.11), which a user may make as long as the system lets him: 100 kB went through
/// sbatch of 22.05.8 and 26.05.5, and max_submit_line_size is 1 MB (slurm.conf(5)). Those before it slurmctld keeps short.
pub(super) const RECORD: usize = 64 << 10;

/// slurm.conf of the daemon that runs here, where the commands would not find it by themselves.
static CONFIGURATION: OnceLock<PathBuf> = OnceLock::new();

/// Makes every further command of Slurm read this slurm.conf. The first call counts.
pub fn use_configuration(path: PathBuf) {
    let _ = CONFIGURATION.set(path);
}

/// How long a verb that a person or a script waits for asks slurmctld, all questions together. Slurm's own commands give
/// up in MessageTimeout, which is 10 s where a site does not make it minutes; a Prolog, a timer of a minute and a user on a
/// login node wait no longer than this.
const ALL: Duration = Duration::from_secs(15);

/// When slurmctld is asked no more.
static UNTIL: OnceLock<Instant> = OnceLock::new();

/// Makes every further question to slurmctld end within 15 seconds from now, all of them together. The first call counts.
pub fn hurry() {
    let _ = UNTIL.set(Instant::now() + ALL);
}

/// Asks slurmctld by a command of Slurm and gives what it printed.
pub(super) fn run(command: &str, arguments: &[&str]) -> Result<String, SlurmError> {
    run_in(&[], command, arguments)
}

/// Times in seconds since 1970 (squeue(1), scontrol(1), "ENVIRONMENT VARIABLES").
pub(super) const SECONDS: (&str, &str) = ("SLURM_TIME_FORMAT", "%s");
/// Lists of array elements uncut (the same).
pub(super) const UNCUT: (&str, &str) = ("SLURM_BITSTR_LEN", "0");

/// The same with more in its environment.
pub(super) fn run_in(
    environment: &[(&str, &str)],
    command: &str,
    arguments: &[&str],
) -> Result<String, SlurmError> {
    in_time(command, |patience| ask(patience, command, arguments, environment, "", None))
}

/// Asks by a command that is asked several things on its standard input, and ends its answer to each with a line of its own.
/// What an answer has beyond `most` bytes is dropped: users write it. A question about a job that has ended meanwhile makes the
/// whole of it fail, with all else printed.
pub(super) fn answers(
    command: &str,
    arguments: &[&str],
    input: &str,
    parts: Parts<'_>,
) -> Result<String, SlurmError> {
    match in_time(command, |patience| ask(patience, command, arguments, &[], input, Some(parts))) {
        Err(SlurmError::Refused { what, .. }) => Ok(what + "\n"),
        said => said,
    }
}

/// Asks for as long as there is time.
fn in_time(
    command: &str,
    question: impl FnOnce(Duration) -> Result<String, SlurmError>,
) -> Result<String, SlurmError> {
    let left = UNTIL.get().map(|until| until.saturating_duration_since(Instant::now()));
    let late = |command: &str, seconds| format!("{command}: no answer within {seconds} s");
    if left.is_some_and(|left| left.is_zero()) {
        return Err(SlurmError::Unreachable(late(command, ALL.as_secs())));
    }
    let patience = left.map_or(PATIENCE, |left| left.min(PATIENCE));
    question(patience).map_err(|error| match error {
        SlurmError::Late { command, seconds } => {
            // Of all questions together, where they have an end.
            SlurmError::Unreachable(late(&command, left.map_or(seconds, |_| ALL.as_secs())))
        }
        error => error,
    })
}

/// Runs a command that does not ask slurmctld for a fact, for so long at most.
pub(in crate::slurm) fn within(
    patience: Duration,
    command: &str,
    arguments: &[&str],
) -> Result<String, SlurmError> {
    ask(patience, command, arguments, &[], "", None)
}

fn ask(
    patience: Duration,
    command: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &str,
    parts: Option<Parts<'_>>,
) -> Result<String, SlurmError> {
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
    // What of jobs is asked in a federation is asked of this cluster alone: scontrol would ask the others, too, and print their records
    // among its own, with FederationParameters=fed_display of all jobs, else of one that is asked for by its number.
    process.env("SCONTROL_LOCAL", "1").envs(environment.iter().copied());
    let input = input.as_bytes().to_vec();
    let done = match parts {
        Some(parts) => bounded_in_parts(process, input, patience, OUTPUT, parts),
        None => bounded(process, input, patience, OUTPUT),
    };
    let Answer { success, stdout, stderr } = done.map_err(|stopped| match stopped {
        Stopped::Io(error) => SlurmError::Missing { command: command.to_owned(), error },
        Stopped::Late { .. } => SlurmError::Late { command: line.clone(), seconds: patience.as_secs() },
        Stopped::Long => SlurmError::Long { command: line.clone(), limit: OUTPUT },
    })?;
    // Bytes that are no text would otherwise be dropped or merged: each stays one sign that no field begins with.
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if success {
        return Ok(text(stdout));
    }
    let complaint = text(stderr);
    let what = (text(stdout) + &complaint).trim().to_owned();
    // slurmctld is not there; or is, and does not answer (src/common/slurm_errno.c; seen on 22.05.8, 24.11.5, 26.05.5).
    let unreachable = [
        "Unable to contact slurm controller",
        "DNS SRV lookup failed",
        "Socket timed out on send/recv operation",
    ];
    if unreachable.iter().any(|sign| complaint.contains(sign)) {
        Err(SlurmError::Unreachable(what))
    } else {
        Err(SlurmError::Refused { command: line, what })
    }
}
