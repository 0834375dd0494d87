//! Running Slurm's commands: never for longer than a limit, never for more output than a limit, and never with an
//! environment that changes what they print.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::slurm::SlurmError;

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
pub(super) fn run(command: &str, arguments: &[&str]) -> Result<String, SlurmError> {
    answer(command, arguments, "")
}

/// The same with a text for its standard input.
pub(super) fn answer(command: &str, arguments: &[&str], input: &str) -> Result<String, SlurmError> {
    within(PATIENCE, command, arguments, input)
}

/// Runs a command, of Slurm or about it, for so long at most.
pub(in crate::slurm) fn within(
    patience: Duration,
    command: &str,
    arguments: &[&str],
    input: &str,
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
    let done = bounded(process, input.as_bytes().to_vec(), patience, OUTPUT);
    let (success, stdout, stderr) = done.map_err(|error| match error.kind() {
        LATE => SlurmError::Late { command: line.clone(), seconds: patience.as_secs() },
        LONG => SlurmError::Long { command: line.clone(), limit: OUTPUT },
        _ => SlurmError::Missing { command: command.to_owned(), error },
    })?;
    // Bytes that are no text would otherwise be dropped or merged: each stays one sign that no field begins with.
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if success {
        return Ok(text(stdout));
    }
    let complaint = text(stderr);
    let what = (text(stdout) + &complaint).trim().to_owned();
    let unreachable = ["Unable to contact slurm controller", "DNS SRV lookup failed"];
    if unreachable.iter().any(|sign| complaint.contains(sign)) {
        Err(SlurmError::Unreachable(what))
    } else {
        Err(SlurmError::Refused { command: line, what })
    }
}

/// The limits at which a command is not waited for any more: of time, and of what it prints.
const LATE: ErrorKind = ErrorKind::TimedOut;
const LONG: ErrorKind = ErrorKind::FileTooLarge;

/// Runs a command to its end, or to one of the limits; whether it succeeded, and both outputs.
fn bounded(
    mut command: Command,
    input: Vec<u8>,
    patience: Duration,
    output: u64,
) -> io::Result<(bool, Vec<u8>, Vec<u8>)> {
    // A group of its own, so that what the command started ends with it.
    let command =
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    // The threads end with the pipes; nobody waits for one whose other end somebody else keeps open.
    spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let (stdout, stderr) = (drain(child.stdout.take(), output), drain(child.stderr.take(), output));
    let done = (|| {
        let left = || patience.saturating_sub(start.elapsed());
        let outputs = (finish(&stdout, left(), output)?, finish(&stderr, left(), output)?);
        Ok((wait(&mut child, start, patience)?, outputs.0, outputs.1))
    })();
    if done.is_err() {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = child.wait();
    }
    done
}

/// Reads a pipe to its end, or one byte past the limit.
fn drain(pipe: Option<impl Read + Send + 'static>, limit: u64) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = channel();
    spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |pipe| pipe.take(limit + 1).read_to_end(&mut bytes));
        sender.send(read.map(|_| bytes))
    });
    receiver
}

fn finish(pipe: &Receiver<io::Result<Vec<u8>>>, left: Duration, limit: u64) -> io::Result<Vec<u8>> {
    match pipe.recv_timeout(left) {
        Ok(Ok(bytes)) if bytes.len() as u64 > limit => Err(LONG.into()),
        Ok(read) => read,
        Err(RecvTimeoutError::Timeout) => Err(LATE.into()),
        Err(RecvTimeoutError::Disconnected) => Err(ErrorKind::BrokenPipe.into()),
    }
}

/// Waits for a command that has closed its outputs, as a rule because it ended.
fn wait(child: &mut Child, start: Instant, patience: Duration) -> io::Result<bool> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if start.elapsed() > patience {
            return Err(LATE.into());
        }
        sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> io::Result<(bool, Vec<u8>, Vec<u8>)> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        bounded(command, b"told".to_vec(), patience, 1000)
    }

    #[test]
    fn a_command_has_an_end() {
        const PLENTY: Duration = Duration::from_secs(60);
        let (success, stdout, stderr) = shell("cat; echo no >&2; exit 3", PLENTY).unwrap();
        assert_eq!((success, &stdout[..], &stderr[..]), (false, &b"told"[..], &b"no\n"[..]));
        let short = Duration::from_millis(50);
        assert_eq!(shell("sleep 600", short).unwrap_err().kind(), LATE, "it hangs");
        assert_eq!(shell("sleep 600 & echo", short).unwrap_err().kind(), LATE, "its child hangs");
        assert_eq!(shell("exec >&- 2>&-; sleep 600", short).unwrap_err().kind(), LATE, "and says nothing");
        assert_eq!(shell("yes", PLENTY).unwrap_err().kind(), LONG, "it says too much");
        assert_eq!(shell("yes >&2", PLENTY).unwrap_err().kind(), LONG);
        let missing = bounded(Command::new("/nonexistent/command"), Vec::new(), PLENTY, 1);
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
