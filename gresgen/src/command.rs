//! Running other programs: never for longer than a limit, and never for more output than a limit.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// What a program that ended has to say.
#[derive(Debug)]
pub struct Answer {
    /// Whether its exit code is 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// Why a program was not waited for. It was killed, with all that it had started.
#[derive(Debug)]
pub enum Stopped {
    /// It cannot be started, or not be heard.
    Io(std::io::Error),
    /// It had not ended in time.
    Late {
        /// Whether SIGKILL ended it. It ends nobody who waits in the kernel, for a driver or a disk that does not answer.
        ended: bool,
    },
    /// It printed too much.
    Long,
}

/// How long a killed program is waited for.
const LAST: Duration = Duration::from_secs(5);

/// Runs a program with `input` to its end, for `patience` at most, and reads no more than `output` bytes of each of its
/// streams.
///
/// # Errors
/// [`Stopped`].
pub fn bounded(
    mut command: Command,
    input: Vec<u8>,
    patience: Duration,
    output: u64,
) -> Result<Answer, Stopped> {
    // A group of its own, so that what the program started ends with it, and a terminal's Ctrl-C does not reach it.
    let command =
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().map_err(Stopped::Io)?;
    let stdin = child.stdin.take();
    // The threads end with the pipes; nobody waits for one whose other end somebody else keeps open.
    spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let (stdout, stderr) = (drain(child.stdout.take(), output), drain(child.stderr.take(), output));
    let done = (|| {
        let left = || patience.saturating_sub(start.elapsed());
        let (stdout, stderr) = (finish(&stdout, left(), output)?, finish(&stderr, left(), output)?);
        let status = wait(&mut child, left())?.ok_or(Stopped::Late { ended: true })?;
        Ok(Answer { success: status.success(), stdout, stderr })
    })();
    done.map_err(|stopped| {
        let ended = kill(&mut child);
        if let Stopped::Late { .. } = stopped { Stopped::Late { ended } } else { stopped }
    })
}

/// Ends a program and its group, and says whether it is gone. One that is not is left alone: to wait for it would be to
/// hang where it hangs.
fn kill(child: &mut Child) -> bool {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    matches!(wait(child, LAST), Ok(Some(_)))
}

/// Reads a pipe to its end, or one byte past the limit.
fn drain(pipe: Option<impl Read + Send + 'static>, limit: u64) -> Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = channel();
    spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |pipe| pipe.take(limit + 1).read_to_end(&mut bytes));
        sender.send(read.map(|_| bytes))
    });
    receiver
}

fn finish(pipe: &Receiver<std::io::Result<Vec<u8>>>, left: Duration, limit: u64) -> Result<Vec<u8>, Stopped> {
    match pipe.recv_timeout(left) {
        Ok(Ok(bytes)) if bytes.len() as u64 > limit => Err(Stopped::Long),
        Ok(read) => read.map_err(Stopped::Io),
        Err(RecvTimeoutError::Timeout) => Err(Stopped::Late { ended: true }),
        Err(RecvTimeoutError::Disconnected) => Err(Stopped::Io(std::io::ErrorKind::BrokenPipe.into())),
    }
}

/// Waits for a program that has closed its outputs, as a rule because it ended; `None` where it has not.
fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>, Stopped> {
    let start = Instant::now();
    loop {
        match child.try_wait().map_err(Stopped::Io)? {
            None if start.elapsed() <= patience => sleep(Duration::from_millis(1)),
            status => return Ok(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Result<Answer, Stopped> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        bounded(command, b"told".to_vec(), patience, 1000)
    }

    #[test]
    fn a_command_has_an_end() {
        const LONG: Duration = Duration::from_secs(60);
        let answer = shell("cat; echo no >&2; exit 3", LONG).unwrap();
        assert_eq!(
            (answer.success, &answer.stdout[..], &answer.stderr[..]),
            (false, &b"told"[..], &b"no\n"[..])
        );
        let short = Duration::from_millis(50);
        assert!(matches!(shell("sleep 600", short), Err(Stopped::Late { ended: true })), "it hangs");
        assert!(
            matches!(shell("sleep 600 & echo", short), Err(Stopped::Late { ended: true })),
            "its child hangs"
        );
        assert!(
            matches!(shell("exec >&- 2>&-; sleep 600", short), Err(Stopped::Late { ended: true })),
            "and says nothing"
        );
        assert!(matches!(shell("yes", LONG), Err(Stopped::Long)), "it says too much");
        assert!(matches!(shell("yes >&2", LONG), Err(Stopped::Long)));
        let missing = bounded(Command::new("/nonexistent/command"), Vec::new(), LONG, 1);
        assert!(matches!(missing, Err(Stopped::Io(_))));
    }
}
