//! Running a hook: with an environment of its own, for so long and no longer, and never with the terminal.

use std::time::Duration;

use super::{About, Command, HookError};
use crate::command::{Stopped, bounded};

/// Most bytes a hook may print.
const OUTPUT: u64 = 4 << 20;

/// Lines of it that are shown where it fails.
const SHOWN: usize = 3;

impl Command {
    /// Runs it to its end. What it prints is shown where it fails, and never raw.
    ///
    /// # Errors
    /// [`HookError::Command`].
    pub(super) fn run(
        &self,
        point: &'static str,
        limit: Duration,
        about: &About<'_>,
    ) -> Result<(), HookError> {
        let error = |what: String| HookError::Command { point, command: self.command.clone(), what };
        let mut command = std::process::Command::new(&self.command);
        let workdir = if self.workdir.is_empty() { "/" } else { &self.workdir };
        command.args(&self.args).current_dir(workdir).env_clear();
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C");
        command.envs(&self.envs);
        let yes = |yes: bool| if yes { "true" } else { "false" };
        command
            .env("GRESGEN_HOOK", point)
            .env("GRESGEN_NODE", about.node)
            .env("GRESGEN_WHAT", about.what)
            .env("GRESGEN_LAYOUT", about.layout.unwrap_or_default())
            .env("GRESGEN_ROOT", about.root.prefix())
            .env("GRESGEN_MODE_CHANGES", yes(about.mode))
            .env("GRESGEN_BOOT", yes(about.boot))
            // What mig-parted's own hooks are told (cmd/nvidia-mig-parted/apply/apply.go, flags and their variables).
            .env("MIG_PARTED_SELECTED_CONFIG", about.layout.unwrap_or_default())
            .env("MIG_PARTED_MODE_CHANGE_ONLY", "false");
        let answer = match bounded(command, Vec::new(), limit, OUTPUT) {
            Ok(answer) => answer,
            Err(Stopped::Io(source)) => return Err(error(source.to_string())),
            Err(Stopped::Late { .. }) => return Err(error(format!("not ended after {} s", limit.as_secs()))),
            Err(Stopped::Long) => return Err(error(format!("printed more than {OUTPUT} bytes"))),
        };
        if answer.success {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned();
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(SHOWN)..].join("; ");
        Err(error(if last.is_empty() { "failed".to_owned() } else { format!("failed: {last}") }))
    }
}
