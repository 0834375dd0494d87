//! One command in a lab.

use std::{
    io::Write as _,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use crate::{LabError, Output};

/// Who runs a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// The super-user, which is also Slurm's user here.
    #[default]
    Root,
    /// An ordinary user.
    Alice,
}

impl User {
    /// Words before a command of root that make it this user's.
    pub(crate) fn becoming(self) -> &'static [&'static str] {
        match self {
            Self::Root => &[],
            Self::Alice => &["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups"],
        }
    }
}

/// A command that is about to run in a lab, for at most a minute.
#[derive(Debug)]
pub struct Invocation {
    line: String,
    words: Vec<String>,
    inner: Command,
    user: User,
    input: Vec<u8>,
}

impl Invocation {
    /// `words` run by `inner`, killed after `patience`: nothing in a lab may hang its test.
    pub(crate) fn new(mut inner: Command, words: &[&str], patience: Duration) -> Self {
        // --foreground keeps the command in the process group of nsenter.
        inner.args(["timeout", "--foreground", "--signal=KILL", &patience.as_secs().to_string()]);
        let words: Vec<String> = words.iter().map(|word| (*word).into()).collect();
        Self { line: words.join(" "), words, inner, user: User::Root, input: Vec::new() }
    }

    /// The command line, for messages.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Runs it as this user.
    pub fn user(mut self, user: User) -> Self {
        self.user = user;
        self
    }

    /// Sets a variable of its environment, which is bare otherwise.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.inner.env(name, value);
        self
    }

    /// What it reads from standard input.
    pub fn input(mut self, text: impl AsRef<[u8]>) -> Self {
        self.input = text.as_ref().to_vec();
        self
    }

    /// Runs it to its end, whatever that is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(mut self) -> Result<Output, LabError> {
        let failed =
            |error: std::io::Error| LabError::Command { command: self.line.clone(), what: error.to_string() };
        self.inner.args(self.user.becoming()).args(&self.words).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !self.input.is_empty() {
            self.inner.stdin(Stdio::piped());
        }
        let mut child = self.inner.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // A child that does not read its input ends the pipe: its exit code says more than the write.
            scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(&self.input)));
            child.wait_with_output()
        })
        .map_err(failed)?;
        Ok(Output {
            code: exit_code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// The exit code, or 128 and the signal, as shells count.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
