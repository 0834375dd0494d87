//! What is done around a change of the GPUs: commands of the site, those of NVIDIA's mig-parted, and services that hold
//! GPUs, which stand still meanwhile.
//!
//! Nothing of it is done where nothing is changed, and a change that is refused is refused before. Services are noted
//! before they are stopped: whoever comes after a change that was killed starts them.

mod command;
pub(crate) mod file;
mod process;
pub(crate) mod services;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::root::Root;
use crate::wait::Stop;
pub(crate) use file::{Command, Settings};
use services::Services;

/// Why a hook did not do its work.
#[derive(Debug, Error)]
pub enum HookError {
    /// The command failed, or did not end in time.
    #[error("hook {point}: {command}: {what}")]
    Command {
        /// When it was run: `before`, `apply-exit`.
        point: &'static str,
        command: String,
        /// What it said last, or why it was stopped.
        what: String,
    },
    /// A signal came to us while it ran: it was ended.
    #[error("{0}: interrupted by a signal")]
    Stopped(String),
    /// A service was not stopped or started.
    #[error("services {}: {what}", units.join(", "))]
    Service { units: Vec<String>, what: String },
    /// The file of hooks cannot be read, or is not root's alone.
    #[error("{}: {what}", path.display())]
    File { path: PathBuf, what: String },
}

/// What a change is, for those who are told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HookContext<'a> {
    /// The prefix of its paths.
    pub root: &'a Root,
    /// Slurm's name of the node.
    pub node: &'a str,
    /// What was asked for, in words.
    pub what: &'a str,
    /// The layout that is made, where it is one.
    pub layout: Option<&'a str>,
    /// Whether a GPU's MIG mode changes.
    pub mode: bool,
    /// Whether it is a boot, in which no start of a service is waited for.
    pub boot: bool,
}

/// What is done around changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    settings: Settings,
    /// Commands of mig-parted's file, by the names it has for them.
    parted: BTreeMap<String, Vec<Command>>,
}

impl Hooks {
    /// Hooks of a configuration. `file` is a file of mig-parted's, in the place of the one that it names.
    ///
    /// # Errors
    /// [`HookError::File`].
    pub(crate) fn new(settings: Settings, file: Option<&Path>, root: &Root) -> Result<Self, HookError> {
        let named = settings.file.as_ref().map(|path| root.path(path));
        let parted = match file.map(Path::to_owned).or(named) {
            Some(path) => file::parted(&path)?,
            None => BTreeMap::new(),
        };
        Ok(Hooks { settings, parted })
    }

    /// Before the first step: services stop, then commands are run. mig-parted runs `pre-apply-mode` where a mode is to
    /// change and `pre-apply-config` before instances do (cmd/nvidia-mig-parted/apply/apply.go,
    /// `ApplyMigConfigWithHooks`).
    ///
    /// # Errors
    /// [`HookError`]; nothing was changed, and [`Hooks::end`] is still to be called. `warn` is told what is no reason not
    /// to make the change.
    pub(crate) fn begin(
        &self,
        about: &HookContext<'_>,
        stop: &Stop,
        warn: &mut dyn FnMut(&HookError),
    ) -> Result<(), HookError> {
        self.parted("apply-start", about, stop)?;
        Services::stop(&self.settings.services, about, stop, warn)?;
        self.run("before", &self.settings.before, about, stop)?;
        if about.mode {
            self.parted("pre-apply-mode", about, stop)?;
        }
        self.parted("pre-apply-config", about, stop)
    }

    /// After the change, or after what was done has been taken back: everything is run, whatever fails. A signal ends a
    /// command, unless it came before: what it stopped is taken back as a whole.
    pub(crate) fn end(&self, failed: bool, about: &HookContext<'_>, stop: &Stop) -> Vec<HookError> {
        let stop = &if stop.is_set() { Stop::default() } else { stop.clone() };
        let (point, commands) =
            if failed { ("on-failure", &self.settings.on_failure) } else { ("after", &self.settings.after) };
        let mut errors: Vec<HookError> = self.run(point, commands, about, stop).err().into_iter().collect();
        errors.extend(recover(about.root, about.boot).err());
        errors.extend(self.parted("apply-exit", about, stop).err());
        errors
    }

    /// Whether a process will be gone by the first step, because the service it belongs to stands still then.
    pub(crate) fn stops(&self, pid: u32, root: &Root) -> bool {
        services::of(pid).is_some_and(|unit| self.settings.services.names(root, true).contains(&unit))
    }

    fn parted(&self, point: &'static str, about: &HookContext<'_>, stop: &Stop) -> Result<(), HookError> {
        self.run(point, self.parted.get(point).map_or(&[][..], Vec::as_slice), about, stop)
    }

    fn run(
        &self,
        point: &'static str,
        commands: &[Command],
        about: &HookContext<'_>,
        stop: &Stop,
    ) -> Result<(), HookError> {
        let limit = self.settings.timeout.unwrap_or(LIMIT);
        commands.iter().try_for_each(|command| command.run(point, limit, about, stop))
    }
}

/// How long one command may take where the configuration does not say.
const LIMIT: Duration = Duration::from_secs(120);

/// Starts the services that a change which was killed had stopped.
///
/// # Errors
/// [`HookError::Service`]; they stay noted.
pub(crate) fn recover(root: &Root, boot: bool) -> Result<(), HookError> {
    Services::start(root, boot)
}

#[cfg(test)]
mod tests;
