//! Services that hold GPUs: they stand still while GPUs change, and run again after.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process::{self, Ended};
use super::{HookContext, HookError};
use crate::atomic;
use crate::devices::boot_id;
use crate::read;
use crate::root::Root;
use crate::wait::Stop;

/// Which services stand still.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Option<Vec<String>>")]
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

impl TryFrom<Option<Vec<String>>> for Which {
    type Error = String;

    /// A pattern would be as many units as match it when it is asked for, and none that is stopped could be started again
    /// by it: systemctl's patterns match what is loaded alone (systemctl(1)).
    fn try_from(names: Option<Vec<String>>) -> Result<Self, String> {
        let wrong = names.iter().flatten().find(|name| !is_unit(name));
        match wrong {
            Some(name) => Err(format!("{name:?} is no name of a systemd unit; name each unit")),
            None => Ok(names.map_or(Which::Known, Which::Named)),
        }
    }
}

/// Whether a text can name a unit (systemd.unit(5): at most 255 letters, digits and `:-_.\\@`).
fn is_unit(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    !name.starts_with('-') && (1..=255).contains(&name.len()) && name.bytes().all(plain)
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
pub(crate) struct Services {
    /// The boot in which: after another, systemd has started what is to run.
    boot: String,
    /// The units, in the order they are started.
    units: Vec<String>,
}

impl Services {
    /// Stops those that run, and notes before which they are. One that an earlier change had stopped stays noted. Where
    /// nobody can say which run, that ends it if the configuration names them; else `warn` is told, and what they hold
    /// stands in the way by itself.
    ///
    /// # Errors
    /// [`HookError::Service`], [`HookError::Stopped`].
    pub(crate) fn stop(
        which: &Which,
        about: &HookContext<'_>,
        stop: &Stop,
        warn: &mut dyn FnMut(&HookError),
    ) -> Result<(), HookError> {
        let root = about.root;
        // Where systemd is not what runs the services (sd_booted(3)), there are none of those it is known to run.
        if *which == Which::Known && !Path::new("/run/systemd/system").is_dir() {
            return Ok(());
        }
        let running = match running(&which.names(root, about.mode), stop) {
            Err(error @ HookError::Service { .. }) if *which == Which::Known => {
                warn(&error);
                return Ok(());
            }
            running => running?,
        };
        if running.is_empty() {
            return Ok(());
        }
        let mut units = Self::noted(root)?;
        units.extend(running.iter().filter(|unit| !units.contains(unit)).cloned().collect::<Vec<_>>());
        let services = Services { boot: boot_id(root).unwrap_or_default(), units };
        services.save(root).map_err(|error| fault(&running, format!("not noted: {error}")))?;
        let reversed: Vec<&str> = running.iter().rev().map(String::as_str).collect();
        systemctl(&[&["stop", "--"], &reversed[..]].concat(), stop)
            .map(drop)
            .map_err(|ended| ended.of(&running))
    }

    /// Starts those that are noted. In a boot nobody waits: a unit that is ordered after ours would wait for it.
    ///
    /// # Errors
    /// [`HookError::Service`]; they stay noted. [`HookError::File`] where those cannot be read.
    pub(crate) fn start(root: &Root, boot: bool) -> Result<(), HookError> {
        let units = Self::noted(root)?;
        if !units.is_empty() {
            let names: Vec<&str> = units.iter().map(String::as_str).collect();
            let how: &[&str] = if boot { &["--no-block", "start", "--"] } else { &["start", "--"] };
            systemctl(&[how, &names[..]].concat(), &Stop::default()).map_err(|ended| ended.of(&units))?;
        }
        let removed = read::if_there(std::fs::remove_file(root.path(Root::STOPPED)));
        removed.map(drop).map_err(|error| fault(&units, format!("{}: {error}", Root::STOPPED)))
    }

    /// Units that a change of this boot stopped and did not start again; none where that cannot be read.
    pub(crate) fn stopped(root: &Root) -> Vec<String> {
        Self::noted(root).unwrap_or_default()
    }

    fn noted(root: &Root) -> Result<Vec<String>, HookError> {
        let path = root.path(Root::STOPPED);
        let text = read::if_there(read::text(&path, 1 << 20)).map_err(|error| error.to_string());
        let parse = |text: String| serde_json::from_str(&text).map_err(|error| error.to_string());
        let noted: Option<Services> =
            text.and_then(|text| text.map(parse).transpose()).map_err(|what| HookError::File {
                path,
                what: format!("{what}; start the services that stand still, and remove it"),
            })?;
        let boot = boot_id(root).unwrap_or_default();
        Ok(noted.filter(|noted| noted.boot == boot).map(|noted| noted.units).unwrap_or_default())
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

/// Those that run, each by its own name where another was given. One that does not exist does not run, which is no error
/// (systemctl(1), `show`).
///
/// # Errors
/// [`HookError`] where systemd does not say.
fn running(units: &[String], stop: &Stop) -> Result<Vec<String>, HookError> {
    let mut running = Vec::new();
    for unit in units {
        let of = |ended: Silent| ended.of(std::slice::from_ref(unit));
        let said = systemctl(&["show", "--property=Id,ActiveState", "--", unit], stop).map_err(of)?;
        let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let (Some(id), Some(state)) = (value("Id"), value("ActiveState")) else {
            return Err(fault(
                std::slice::from_ref(unit),
                "systemctl show does not say whether it runs".into(),
            ));
        };
        if matches!(state, "active" | "reloading" | "activating" | "refreshing")
            && !running.iter().any(|known| known == id)
        {
            running.push(id.to_owned());
        }
    }
    Ok(running)
}

/// Why systemctl did not do it.
enum Silent {
    Failed(String),
    Stopped(String),
}

impl Silent {
    fn of(self, units: &[String]) -> HookError {
        match self {
            Silent::Failed(what) => fault(units, what),
            Silent::Stopped(line) => HookError::Stopped(line),
        }
    }
}

/// What systemctl prints.
fn systemctl(arguments: &[&str], stop: &Stop) -> Result<String, Silent> {
    let mut command = Command::new("systemctl");
    command.args(arguments).env("LC_ALL", "C");
    let line = format!("systemctl {}", arguments.join(" "));
    let failed = |what: String| Err(Silent::Failed(format!("{line}: {what}")));
    match process::run(command, LIMIT, 1 << 20, stop) {
        Ok(answer) if answer.success => Ok(answer.said),
        Ok(answer) => failed(answer.last()),
        Err(Ended::Io(error)) => failed(error.to_string()),
        Err(Ended::Late) => failed(format!("not ended after {} s", LIMIT.as_secs())),
        Err(Ended::Long) => failed("printed without end".to_owned()),
        Err(Ended::Stopped) => Err(Silent::Stopped(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_named() {
        for name in ["nvidia-dcgm", "a@b.service", r"dev-\x2d.mount", "x:y_z"] {
            assert!(is_unit(name), "{name}");
        }
        for name in ["", "nvidia-*", "dcgm?", "[a]", "-q", "a b", "../a", &"a".repeat(256)] {
            let error = Which::try_from(Some(vec![name.to_owned()])).unwrap_err();
            assert!(error.ends_with("is no name of a systemd unit; name each unit"), "{error}");
        }
    }

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
