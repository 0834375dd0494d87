//! Services that hold GPUs: they stand still while GPUs change, and run again after.

use std::io;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{About, HookError};
use crate::atomic;
use crate::command::{Answer, Stopped, bounded};
use crate::devices::boot_id;
use crate::read;
use crate::root::Root;

/// Which services stand still.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<Vec<String>>")]
pub enum Which {
    /// Those of the list below that run.
    #[default]
    Known,
    /// These, where they run.
    Named(Vec<String>),
}

impl Which {
    /// The units; `mode` is whether a GPU's MIG mode changes.
    pub(super) fn names(&self, root: &Root, mode: bool) -> Vec<String> {
        match self {
            // Simulated GPUs are held by none of this host's services.
            Which::Known if !root.is_host() => Vec::new(),
            Which::Known => {
                let for_mode = KNOWN_TO_MODE.iter().filter(|_| mode);
                for_mode.chain(&KNOWN).map(|unit| (*unit).to_owned()).collect()
            }
            Which::Named(units) => units.iter().map(|unit| full(unit)).collect(),
        }
    }
}

/// The system's service that a process belongs to.
pub(super) fn of(pid: u32) -> Option<String> {
    unit(&read::kernel(format!("/proc/{pid}/cgroup")).unwrap_or_default())
}

/// The service of a control group (cgroups(7), /proc/PID/cgroup: `0::/system.slice/NAME.service/…`). Users' services lie
/// below `/user.slice`, and nobody but root moves a process into another group.
fn unit(text: &str) -> Option<String> {
    let path = |line: &str| Some(line.splitn(3, ':').nth(2)?.strip_prefix("/system.slice/")?.to_owned());
    let name = |path: String| path.split('/').next().map(str::to_owned);
    let systemd = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let name = text.lines().filter(systemd).find_map(path).and_then(name);
    name.filter(|name| name.ends_with(".service"))
}

impl From<Option<Vec<String>>> for Which {
    fn from(names: Option<Vec<String>>) -> Self {
        names.map_or(Which::Known, Which::Named)
    }
}

/// Services that keep GPUs or instances open: those that mig-parted stops (deployments/systemd/hooks.sh,
/// `driver_services`, `k8s_services`), and by the names that DCGM's and the exporters' packages have for them.
const KNOWN: [&str; 7] = [
    "nvsm.service",
    "nvidia-dcgm.service",
    "dcgm.service",
    "dcgm-exporter.service",
    "nvidia-dcgm-exporter.service",
    "nvidia-gpu-exporter.service",
    "nvidia_gpu_exporter.service",
];

/// What holds every GPU, and is in the way of a change of MIG mode alone.
const KNOWN_TO_MODE: [&str; 1] = ["nvidia-persistenced.service"];

/// How long systemd is given to stop or start units: 90 s each by default (systemd-system.conf(5)).
const LIMIT: Duration = Duration::from_secs(300);

/// Services that were stopped and not started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// The boot in which: after another, systemd has started what is to run.
    boot: String,
    /// The units, in the order they are started.
    units: Vec<String>,
}

impl Services {
    /// Stops those that run, and notes before which they are. One that an earlier change had stopped stays noted.
    ///
    /// # Errors
    /// [`HookError::Service`].
    pub fn stop(which: &Which, about: &About<'_>) -> Result<(), HookError> {
        let root = about.root;
        let running = running(&which.names(root, about.mode));
        if running.is_empty() {
            return Ok(());
        }
        let mut units = Self::stopped(root);
        units.extend(running.iter().filter(|unit| !units.contains(unit)).cloned().collect::<Vec<_>>());
        let services = Services { boot: boot_id(root).unwrap_or_default(), units };
        services.save(root).map_err(|error| fault(&running, format!("not noted: {error}")))?;
        let reversed: Vec<&str> = running.iter().rev().map(String::as_str).collect();
        systemctl(&[&["stop", "--"], &reversed[..]].concat()).map_err(|what| fault(&running, what))
    }

    /// Starts those that are noted. In a boot nobody waits: a unit that is ordered after ours would wait for it.
    ///
    /// # Errors
    /// [`HookError::Service`]; they stay noted.
    pub fn start(root: &Root, boot: bool) -> Result<(), HookError> {
        let units = Self::stopped(root);
        if !units.is_empty() {
            let names: Vec<&str> = units.iter().map(String::as_str).collect();
            let how: &[&str] = if boot { &["--no-block", "start", "--"] } else { &["start", "--"] };
            systemctl(&[how, &names[..]].concat()).map_err(|what| fault(&units, what))?;
        }
        match std::fs::remove_file(root.path(Root::STOPPED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(fault(&units, format!("{}: {error}", Root::STOPPED)))
            }
            _ => Ok(()),
        }
    }

    /// Units that a change of this boot stopped and did not start again.
    pub fn stopped(root: &Root) -> Vec<String> {
        let text = read::text(&root.path(Root::STOPPED), 1 << 20).unwrap_or_default();
        let noted: Option<Services> = serde_json::from_str(&text).ok();
        let boot = boot_id(root).unwrap_or_default();
        noted.filter(|noted| noted.boot == boot).map(|noted| noted.units).unwrap_or_default()
    }

    fn save(&self, root: &Root) -> io::Result<()> {
        let path = root.path(Root::STOPPED);
        if let Some(parent) = path.parent() {
            atomic::own_directory(parent)?;
        }
        atomic::replace(&path, &serde_json::to_vec_pretty(self)?, 0o644)
    }
}

fn full(unit: &str) -> String {
    if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") }
}

fn fault(units: &[String], what: String) -> HookError {
    HookError::Service { units: units.to_vec(), what }
}

/// Those that run: systemctl prints a word for each (systemctl(1), is-active). Where there is no systemd, none.
fn running(units: &[String]) -> Vec<String> {
    if units.is_empty() {
        return Vec::new();
    }
    let mut command = Command::new("systemctl");
    command.args(["is-active", "--"]).args(units).env("LC_ALL", "C");
    let Ok(Answer { stdout: said, .. }) = bounded(command, Vec::new(), LIMIT, 1 << 20) else {
        return Vec::new();
    };
    let said = String::from_utf8_lossy(&said).into_owned();
    let states: Vec<&str> = said.lines().collect();
    if states.len() != units.len() {
        return Vec::new();
    }
    let runs = |state: &str| matches!(state, "active" | "reloading" | "activating");
    units.iter().zip(states).filter(|(_, state)| runs(state)).map(|(unit, _)| unit.clone()).collect()
}

fn systemctl(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("systemctl");
    command.args(arguments).env("LC_ALL", "C");
    let line = format!("systemctl {}", arguments.join(" "));
    match bounded(command, Vec::new(), LIMIT, 1 << 20) {
        Ok(Answer { success: true, .. }) => Ok(()),
        Ok(answer) => Err(format!("{line}: {}", String::from_utf8_lossy(&answer.stderr).trim())),
        Err(Stopped::Io(error)) => Err(format!("{line}: {error}")),
        Err(Stopped::Late { .. }) => Err(format!("{line}: not ended after {} s", LIMIT.as_secs())),
        Err(Stopped::Long) => Err(format!("{line}: printed without end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_systems_services_are_services() {
        let of = |text: &str| unit(text).unwrap_or_default();
        assert_eq!(of("0::/system.slice/nvidia-dcgm.service\n"), "nvidia-dcgm.service");
        assert_eq!(of("0::/system.slice/nvsm.service/worker\n"), "nvsm.service");
        assert_eq!(of("12:devices:/x\n1:name=systemd:/system.slice/dcgm.service\n0::/\n"), "dcgm.service");
        for text in [
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/nvidia-dcgm.service\n",
            "0::/system.slice/slurmd.scope/job_1\n",
            "3:cpu:/system.slice/nvidia-dcgm.service\n",
            "",
        ] {
            assert_eq!(of(text), "", "{text}");
        }
    }
}
