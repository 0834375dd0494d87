//! Running a hook: with an environment of its own, for so long and no longer, and never with the terminal.

use std::time::Duration;

use super::process::{self, Ended};
use super::{Command, HookContext, HookError};
use crate::wait::Stop;

/// Most bytes a hook may print.
const OUTPUT: u64 = 4 << 20;

impl Command {
    /// Runs it to its end. What it prints is shown where it fails, and never raw.
    ///
    /// # Errors
    /// [`HookError::Command`], [`HookError::Stopped`].
    pub(super) fn run(
        &self,
        point: &'static str,
        limit: Duration,
        about: &HookContext<'_>,
        stop: &Stop,
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
        let answer = match process::run(command, limit, OUTPUT, stop) {
            Ok(answer) => answer,
            Err(Ended::Io(source)) => return Err(error(source.to_string())),
            Err(Ended::Late) => {
                return Err(error(format!("not ended after {}", humantime::format_duration(limit))));
            }
            Err(Ended::Long) => return Err(error(format!("printed more than {OUTPUT} bytes"))),
            Err(Ended::Stopped) => {
                return Err(HookError::Stopped(format!("hook {point}: {}", self.command)));
            }
        };
        if answer.success {
            return Ok(());
        }
        let last = answer.last();
        Err(error(if last.is_empty() { "failed".to_owned() } else { format!("failed: {last}") }))
    }
}
