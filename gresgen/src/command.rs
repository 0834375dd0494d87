//! Running other programs: never for longer than a limit, and never for more output than a limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// What a program that ended has to say.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Whether its exit code is 0.
    pub success: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Why a program was not waited for. It was killed, with all that it had started.
#[derive(Debug)]
pub(crate) enum Stopped {
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

/// Parts of a stream, of which the first bytes matter: what follows them is read and dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    /// The line that ends each part.
    pub end: &'a str,
    /// Most bytes of a part that are kept.
    pub most: usize,
}

/// Runs a program with `input` to its end, for `patience` at most, and reads no more than `output` bytes of each of its
/// streams.
pub(crate) fn bounded(
    command: Command,
    input: Vec<u8>,
    patience: Duration,
    output: u64,
) -> Result<Answer, Stopped> {
    run(command, input, patience, output, None)
}

/// The same of a program whose standard output is in parts.
pub(crate) fn bounded_in_parts(
    command: Command,
    input: Vec<u8>,
    patience: Duration,
    output: u64,
    parts: Parts<'_>,
) -> Result<Answer, Stopped> {
    run(command, input, patience, output, Some(parts))
}

fn run(
    mut command: Command,
    input: Vec<u8>,
    patience: Duration,
    output: u64,
    parts: Option<Parts<'_>>,
) -> Result<Answer, Stopped> {
    // A group of its own, so that what the program started ends with it, and a terminal's Ctrl-C does not reach it.
    let command =
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().map_err(Stopped::Io)?;
    let stdin = child.stdin.take();
    // The threads end with the pipes; nobody waits for one whose other end somebody else keeps open.
    spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let stdout = child.stdout.take();
    let stdout = match parts {
        Some(parts) => drain(stdout.map(|pipe| Heads::new(pipe, parts)), output),
        None => drain(stdout, output),
    };
    let stderr = drain(child.stderr.take(), output);
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

/// The first bytes of each part of a stream, with the lines that end the parts.
struct Heads<R> {
    reader: BufReader<R>,
    end: Vec<u8>,
    most: usize,
    /// How much of the present part was kept.
    part: usize,
    /// Whether what was read last ended a line.
    begins: bool,
    /// What was read and not asked for yet.
    ready: Vec<u8>,
}

impl<R: Read> Heads<R> {
    fn new(reader: R, parts: Parts<'_>) -> Self {
        let end = format!("{}\n", parts.end).into_bytes();
        Heads {
            reader: BufReader::new(reader),
            end,
            most: parts.most,
            part: 0,
            begins: true,
            ready: Vec::new(),
        }
    }

    /// Reads up to the end of a line, or a piece of a long one, and keeps what counts; `false` at the end of all.
    fn advance(&mut self) -> std::io::Result<bool> {
        let mut line = Vec::new();
        self.reader.by_ref().take(64 << 10).read_until(b'\n', &mut line)?;
        let ends = self.begins && line == self.end;
        self.begins = line.ends_with(b"\n");
        if ends {
            // The line before it may have been cut.
            self.ready.extend_from_slice(if self.part > self.most { b"\n" } else { b"" });
            self.ready.extend_from_slice(&line);
            self.part = 0;
        } else {
            let room = self.most.saturating_sub(self.part).min(line.len());
            self.ready.extend_from_slice(&line[..room]);
            self.part += line.len();
        }
        Ok(!line.is_empty())
    }
}

impl<R: Read> Read for Heads<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        while self.ready.is_empty() && self.advance()? {}
        let count = to.len().min(self.ready.len());
        to[..count].copy_from_slice(&self.ready[..count]);
        self.ready.drain(..count);
        Ok(count)
    }
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
pub(crate) fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>, Stopped> {
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

    #[test]
    fn of_each_part_the_first_bytes_are_kept() {
        let read = |text: &str| {
            let parts = Parts { end: "end", most: 5 };
            let mut kept = String::new();
            Heads::new(text.as_bytes(), parts).read_to_string(&mut kept).unwrap();
            kept
        };
        assert_eq!(read("ab\nend\n12345\nend\n\nend\nc"), "ab\nend\n12345\nend\n\nend\nc");
        assert_eq!(read("123456789\nend\nthe end\n the rest\nend\nx\n"), "12345\nend\nthe e\nend\nx\n");
        let long = "y".repeat(300_000);
        assert_eq!(read(&format!("a\n{long}\n{long}end\nend\nb\n")), "a\nyyy\nend\nb\n");
        // A part without an end is kept like any other, and bytes that are not kept do not count.
        assert_eq!(read(&long), "yyyyy");
        let mut command = Command::new("sh");
        command
            .args(["-c", "for n in 1 2 3; do head -c 100000 /dev/zero | tr '\\0' x; echo; echo end; done"]);
        let parts = Parts { end: "end", most: 5 };
        let answer = bounded_in_parts(command, Vec::new(), Duration::from_secs(60), 100, parts).unwrap();
        assert_eq!(String::from_utf8(answer.stdout).unwrap(), "xxxxx\nend\n".repeat(3));
    }
}
