//! The journal of one apply: what the GPUs were before its first step.
//!
//! Written before anything changes, removed after everything is verified and written. While it exists an
//! apply is running or was cut off; `status` says so, and the next `apply` finishes it or, with `--undo`,
//! brings back what was. There is no per-step log: the hardware itself says how far it came.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::target::{Slice, Target};
use crate::atomic;
use crate::inventory::{Gpu, Inventory};
use crate::read;
use crate::root::Root;

/// What an apply set out from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    version: u32,
    /// What was asked for, in words.
    pub what: String,
    /// The layout that was chosen with it; `None` where none was.
    #[serde(default)]
    pub layout: Option<String>,
    /// Boot it began in. Instances do not survive one, so the next boot begins anew: what an apply was cut off from
    /// then is neither finished nor what a failing boot goes back to.
    pub boot: String,
    /// The GPUs as they were.
    pub before: Vec<Before>,
    /// When it began (RFC 3339, UTC).
    #[serde(default)]
    pub at: String,
    /// Who asked for it.
    #[serde(default)]
    pub by: String,
    /// The user id it ran as.
    #[serde(default)]
    pub uid: u32,
    /// What was to be done to the GPUs, in words.
    #[serde(default)]
    pub steps: Vec<String>,
    /// The layout that was chosen before.
    #[serde(default)]
    pub layout_before: Option<String>,
    /// Whether the history has its end already.
    #[serde(default)]
    pub noted: bool,
}

/// One GPU as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// Its UUID.
    pub gpu: String,
    /// Whether MIG was on.
    pub mig: bool,
    /// Its instances.
    pub slices: Vec<BeforeSlice>,
}

/// One GPU instance as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeforeSlice {
    /// Profile name.
    pub profile: String,
    /// First placement unit.
    pub start: u8,
    /// Profile names of its compute instances.
    pub compute: Vec<String>,
}

/// Why the journal cannot be read or written.
#[derive(Debug, Error)]
pub enum IntentError {
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not one of ours.
    #[error("{}: not a journal this program can read: {reason}", path.display())]
    Format {
        /// The journal.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

const VERSION: u32 = 1;

impl Intent {
    /// The journal of an apply that starts from `inventory`.
    pub fn new(what: &str, layout: Option<&str>, inventory: &Inventory) -> Self {
        let before = inventory.gpus.iter().map(Before::of).collect();
        let layout = layout.map(str::to_owned);
        Intent {
            version: VERSION,
            what: what.to_owned(),
            layout,
            boot: inventory.boot.clone(),
            before,
            at: String::new(),
            by: String::new(),
            uid: 0,
            steps: Vec::new(),
            layout_before: None,
            noted: false,
        }
    }

    /// The same with who sets out, when, and for what steps.
    pub fn signed(self, by: String, steps: Vec<String>, layout_before: Option<String>) -> Self {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let uid = rustix::process::getuid().as_raw();
        Intent { at, by, uid, steps, layout_before, noted: false, ..self }
    }

    /// The same once the history has its end.
    pub fn noted(self) -> Self {
        Intent { noted: true, ..self }
    }

    /// The journal that leads back to what GPUs were before a change that is over.
    pub fn back_to(what: &str, before: Vec<Before>) -> Self {
        let nothing = Inventory {
            node: String::new(),
            boot: String::new(),
            driver: String::new(),
            topology: Default::default(),
            gpus: Vec::new(),
        };
        Intent { before, ..Intent::new(what, None, &nothing) }
    }

    /// The same of an apply that goes on where `earlier` was cut off: what was before that is what an undo means.
    pub fn after(self, earlier: Intent) -> Self {
        Intent { before: earlier.before, ..self }
    }

    /// The journal of an apply that was cut off or is running, if there is one.
    ///
    /// # Errors
    /// [`IntentError`] when it is there and cannot be read.
    pub fn load(root: &Root) -> Result<Option<Self>, IntentError> {
        let path = root.path(Root::INTENT);
        let text = match read::text(&path, read::MAX_TEXT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(|source| IntentError::Io { path: path.clone(), source })?,
        };
        let format = |reason: String| IntentError::Format { path: path.clone(), reason };
        let intent: Intent = serde_json::from_str(&text).map_err(|e| format(e.to_string()))?;
        if intent.version != VERSION {
            return Err(format(format!("version {} is not {VERSION}", intent.version)));
        }
        Ok(Some(intent))
    }

    /// Writes the journal so that it survives a crash from now on.
    ///
    /// # Errors
    /// [`IntentError::Io`]; then nothing may be changed.
    pub fn save(&self, root: &Root) -> Result<(), IntentError> {
        let path = root.path(Root::INTENT);
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other);
        let written = text.and_then(|text| atomic::replace(&path, format!("{text}\n").as_bytes(), 0o644));
        written.map_err(|source| IntentError::Io { path, source })
    }

    /// Removes the journal: what it announced is done or undone.
    ///
    /// # Errors
    /// [`IntentError::Io`]; the next `status` will still show it.
    pub fn clear(root: &Root) -> Result<(), IntentError> {
        let path = root.path(Root::INTENT);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(IntentError::Io { path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// The targets that bring `inventory` back to what was. GPUs that came later stay as they are, and so does
    /// one that no longer offers a profile it had.
    pub fn targets(&self, inventory: &Inventory) -> Vec<Target> {
        let target = |gpu: &Gpu| {
            let before = self.before.iter().find(|b| b.gpu == gpu.uuid)?;
            let slices: Option<Vec<Slice>> = before.slices.iter().map(|s| s.slice(gpu)).collect();
            Some(Target { mode: Some(before.mig), slices: if before.mig { Some(slices?) } else { None } })
        };
        inventory.gpus.iter().map(|gpu| target(gpu).unwrap_or_default()).collect()
    }
}

impl Before {
    fn of(gpu: &Gpu) -> Self {
        let slice = |slice: &Slice| BeforeSlice {
            profile: gpu.geometry.spec(slice.placed).profile.to_string(),
            start: slice.placed.start,
            compute: slice.compute.iter().map(ToString::to_string).collect(),
        };
        let slices = gpu.instances.iter().map(|i| slice(&Slice::of(i))).collect();
        Before { gpu: gpu.uuid.clone(), mig: gpu.mode.is_on(), slices }
    }
}

impl BeforeSlice {
    fn slice(&self, gpu: &Gpu) -> Option<Slice> {
        let spec = gpu.geometry.find(self.profile.parse().ok()?)?;
        let compute: Result<Vec<_>, _> = self.compute.iter().map(|c| c.parse()).collect();
        Some(Slice { placed: mig::Placed { spec, start: self.start }, compute: compute.ok()? })
    }
}
