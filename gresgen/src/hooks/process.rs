//! The process behind a hook: it ends with a signal to us, with us, and with its time; what it has left running is its own.
//!
//! Its output is a file without a name, not a pipe: who waits for the end of a pipe waits for every daemon that a hook has
//! started, and a hook has ended when its process has.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, fcntl_setfl, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::command;
use crate::wait::Stop;

/// What a process that ended has to say.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether its exit code is 0.
    pub(super) success: bool,
    /// What it printed, on both of its outputs.
    pub(super) said: String,
}

impl Answer {
    /// The last lines of what it printed, each cut where it is long: for whoever is told that it failed.
    pub(super) fn last(&self) -> String {
        const LINES: usize = 3;
        const CHARACTERS: usize = 200;
        let lines: Vec<&str> = self.said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let cut = |line: &&str| match line.char_indices().nth(CHARACTERS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => (*line).to_owned(),
        };
        lines[lines.len().saturating_sub(LINES)..].iter().map(cut).collect::<Vec<_>>().join("; ")
    }
}

/// Why it was not waited for: it was killed, with its group.
#[derive(Debug)]
pub(super) enum Ended {
    /// It cannot be started.
    Io(io::Error),
    /// Its time was up.
    Late,
    /// It printed too much.
    Long,
    /// A signal came to us.
    Stopped,
}

/// How often is looked whether it has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a killed process is waited for: SIGKILL ends nobody who waits in the kernel.
const LAST: Duration = Duration::from_secs(5);

/// Runs a program to its end, for `limit` at most, and lets it print `most` bytes at most.
pub(super) fn run(mut command: Command, limit: Duration, most: u64, stop: &Stop) -> Result<Answer, Ended> {
    let output = output().map_err(Ended::Io)?;
    let copy = || output.try_clone().map(Stdio::from).map_err(Ended::Io);
    let guard = Guard::new().map_err(Ended::Io)?;
    command.process_group(guard.0.id() as i32).stdin(Stdio::null()).stdout(copy()?).stderr(copy()?);
    let start = Instant::now();
    let mut child = command.spawn().map_err(Ended::Io)?;
    let size = || output.metadata().map_or(0, |status| status.len());
    let ended = loop {
        match child.try_wait().map_err(Ended::Io) {
            Ok(None) if stop.is_set() => break Err(Ended::Stopped),
            Ok(None) if start.elapsed() > limit => break Err(Ended::Late),
            Ok(_) if size() > most => break Err(Ended::Long),
            Ok(None) => sleep(PAUSE),
            Ok(Some(status)) => break Ok(status),
            Err(error) => break Err(error),
        }
    };
    match ended {
        Ok(_) => guard.release(),
        Err(_) => guard.kill(&mut child),
    }
    // What a daemon of the hook goes on printing must not grow in our memory, nor what is read go (memfd_create(2)).
    let _ = fcntl_add_seals(&output, SealFlags::GROW | SealFlags::SHRINK);
    let status = ended?;
    let mut bytes = vec![0; size().min(most) as usize];
    output.read_exact_at(&mut bytes, 0).map_err(Ended::Io)?;
    Ok(Answer { success: status.success(), said: String::from_utf8_lossy(&bytes).into_owned() })
}

fn output() -> io::Result<File> {
    let file = File::from(memfd_create("hook", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    // Both outputs, and what opens /dev/stdout anew, write behind one another.
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

/// The leader of the process's group, who ends the group when we are gone: killed, we cannot do it ourselves, and whoever
/// comes after us must not find a hook of ours at work. It learns of our end because nobody else has the other end of its
/// standard input. A signal at the death of the parent (PR_SET_PDEATHSIG, prctl(2)) would reach a shell and not what the
/// shell has started; a lock that the hook inherits would be held by its daemons for good.
struct Guard(Child);

impl Guard {
    fn new() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "read -r line || kill -s KILL 0"]).env_clear().current_dir("/");
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Guard)
    }

    /// The process has ended: what it has left running stays.
    fn release(mut self) {
        let _ = self.0.stdin.as_mut().map(|pipe| pipe.write_all(b"\n"));
    }

    fn kill(self, child: &mut Child) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = command::wait(child, LAST);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = command::wait(&mut self.0, LAST);
    }
}
