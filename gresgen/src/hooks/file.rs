//! Hooks as they are written: in the configuration, and in mig-parted's file of hooks.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use device_map::LoadError;
use device_map::trust::above;
use schemars::JsonSchema;
use serde::Deserialize;

use super::HookError;
use super::services::Which;
use crate::read;

/// The `hooks:` section of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// mig-parted's file of hooks.
    pub file: Option<PathBuf>,
    /// Services that stand still while GPUs change.
    #[schemars(with = "Option<Vec<String>>")]
    pub services: Which,
    /// How long one command may take; 2 minutes.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// Run before the first step; the change is not made where one fails.
    pub before: Vec<Command>,
    /// Run after a change that was made.
    pub after: Vec<Command>,
    /// Run after a change that was taken back.
    pub on_failure: Vec<Command>,
}

impl Settings {
    /// Whether the configuration names a command of its own, so that whoever writes it says what root runs.
    pub fn runs_commands(&self) -> bool {
        [&self.before, &self.after, &self.on_failure].iter().any(|commands| !commands.is_empty())
    }
}

/// A command, in the form of mig-parted (api/hooks/v1/hooks.go, `HookSpec`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program.
    pub command: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its environment, beside what every hook has.
    #[serde(default)]
    pub envs: BTreeMap<String, String>,
    /// The directory it is run in; `/` where none is named.
    #[serde(default)]
    pub workdir: String,
}

/// mig-parted's file (api/hooks/v1/hooks.go, `Spec`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parted {
    version: String,
    #[serde(default)]
    hooks: BTreeMap<String, Vec<Command>>,
}

/// Names of mig-parted's hooks (cmd/nvidia-mig-parted/apply/hooks.go).
const POINTS: [&str; 4] = ["apply-start", "pre-apply-mode", "pre-apply-config", "apply-exit"];

/// Largest file that is read, in bytes.
const MOST: u64 = 1 << 20;

/// Reads mig-parted's file.
pub(super) fn parted(path: &Path) -> Result<BTreeMap<String, Vec<Command>>, HookError> {
    let error = |what: String| HookError::File { path: path.to_owned(), what };
    trusted(path)?;
    let text = read::text(path, MOST).map_err(|e| error(e.to_string()))?;
    let parted: Parted = serde_saphyr::from_str(&text).map_err(|e| error(e.without_snippet().to_string()))?;
    if parted.version != "v1" {
        return Err(error(format!("version {:?} is not v1", parted.version)));
    }
    if let Some(name) = parted.hooks.keys().find(|name| !POINTS.contains(&name.as_str())) {
        return Err(error(format!("{name}: no such hook; there are {}", POINTS.join(", "))));
    }
    Ok(parted.hooks)
}

/// Whether a file that says what is run is its reader's or root's, and nobody else can write it or put another in its
/// place.
///
/// # Errors
/// [`HookError::File`].
pub(crate) fn trusted(path: &Path) -> Result<(), HookError> {
    let error = |what: String| HookError::File { path: path.to_owned(), what };
    let reader = rustix::process::geteuid().as_raw();
    let absolute = std::path::absolute(path).map_err(|e| error(e.to_string()))?;
    above(&absolute, reader).map_err(|fault| match fault {
        LoadError::Untrusted(path, what) => {
            HookError::File { path, what: format!("leads to what root runs, and {what}") }
        }
        fault => error(fault.to_string()),
    })?;
    let status = path.metadata().map_err(|e| error(e.to_string()))?;
    if status.uid() != 0 && status.uid() != reader {
        return Err(error(format!(
            "says what root runs, and belongs to user {}; chown root it",
            status.uid()
        )));
    }
    match status.mode() & 0o022 {
        0 => Ok(()),
        _ => Err(error(format!(
            "says what root runs, and others can write it (mode {:04o}); chmod go-w it",
            status.mode() & 0o7777
        ))),
    }
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    match humantime::parse_duration(&text).map_err(serde::de::Error::custom)? {
        Duration::ZERO => Err(serde::de::Error::custom("0s is no time to run in")),
        limit => Ok(Some(limit)),
    }
}
