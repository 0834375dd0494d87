//! The journal of one apply: what the GPUs were before its first step.
//!
//! Written before anything changes, removed after everything is verified and written. While it exists an
//! apply is running or was cut off; `status` says so, and the next `apply` finishes it or, with `--undo`,
//! brings back what was. There is no per-step log: the hardware itself says how far it came.

use std::time::SystemTime;

use mig::Placement;
use serde::{Deserialize, Serialize};

use super::target::{Divided, Target};
use crate::config::Selector;
use crate::inventory::{Gpu, Inventory};
use crate::note;
use crate::path_error::PathError;
use crate::root::Root;

/// What an apply set out from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intent {
    version: u32,
    /// What was asked for, in words.
    pub what: String,
    /// The layout that was chosen with it; `None` where none was.
    #[serde(default)]
    pub layout: Option<String>,
    /// Boot it began in. Instances do not survive one, so the next boot begins anew: what an apply was cut off from
    /// then is neither finished nor what a failing boot goes back to, see [`Intent::is_of_before`].
    boot: String,
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
pub(crate) struct Before {
    pub gpu: String,
    /// Whether MIG was on.
    pub mig: bool,
    pub slices: Vec<Divided>,
    /// Those of them that orders had closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<Placement>,
}

impl Intent {
    /// The journal of an apply that starts from `inventory`.
    pub(crate) fn new(what: &str, layout: Option<&str>, inventory: &Inventory) -> Self {
        let before = inventory.gpus.iter().map(Before::from).collect();
        let layout = layout.map(str::to_owned);
        Intent {
            version: note::VERSION,
            what: what.to_owned(),
            layout,
            boot: inventory.boot.clone(),
            before,
            ..Intent::default()
        }
    }

    /// The same with who sets out, when, and for what steps.
    pub(crate) fn signed(self, by: String, steps: Vec<String>, layout_before: Option<String>) -> Self {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let uid = rustix::process::getuid().as_raw();
        Intent { at, by, uid, steps, layout_before, noted: false, ..self }
    }

    /// The same once the history has its end.
    pub(crate) fn noted(self) -> Self {
        Intent { noted: true, ..self }
    }

    /// The same of an apply that goes on where `earlier` was cut off: what was before that is what an undo means.
    pub(crate) fn after(self, earlier: Intent) -> Self {
        Intent { before: earlier.before, ..self }
    }

    /// The journal of an apply that was cut off or is running, if there is one.
    ///
    /// # Errors
    /// [`PathError`] when it is there and cannot be read.
    pub(crate) fn load(root: &Root) -> Result<Option<Self>, PathError> {
        let path = root.path(Root::INTENT);
        let Some(text) = note::text(&path)? else { return Ok(None) };
        note::parse(&path, &text, "a journal", |intent: &Self| intent.version).map(Some)
    }

    /// Whether it was cut off by the end of a boot before this one: then nothing of it is left to be finished.
    pub(crate) fn is_of_before(&self, boot: &str) -> bool {
        self.boot != boot
    }

    /// Writes the journal so that it survives a crash from now on.
    ///
    /// # Errors
    /// [`PathError`]; then nothing may be changed.
    pub(crate) fn save(&self, root: &Root) -> Result<(), PathError> {
        note::save(&root.path(Root::INTENT), self)
    }

    /// Removes the journal: what it announced is done or undone.
    ///
    /// # Errors
    /// [`PathError`]; the next `status` will still show it.
    pub(crate) fn clear(root: &Root) -> Result<(), PathError> {
        note::remove(&root.path(Root::INTENT))
    }
}

/// A GPU that cannot be brought back to what it was, and why: it is gone, or offers no longer what it had. Not one that is
/// left out: `without` says so.
pub(crate) fn lost(
    before: &[Before],
    inventory: &Inventory,
    without: &[Selector],
) -> Option<(String, String)> {
    before.iter().find_map(|noted| {
        let gpu = inventory.gpus.iter().find(|gpu| gpu.uuid == noted.gpu);
        if without.iter().any(|s| s.is_uuid(&noted.gpu) || gpu.is_some_and(|gpu| s.matches(&gpu.into()))) {
            return None;
        }
        let Some(gpu) = gpu else { return Some((noted.gpu.clone(), "is not on this node".to_owned())) };
        let mut profiles = noted.slices.iter().map(|instance| instance.placement.profile);
        let missing = profiles.find(|&profile| gpu.geometry.spec(profile).is_none())?;
        Some((gpu.to_string(), format!("does not offer {missing}")))
    })
}

/// The targets that bring `inventory` back to what was. GPUs that came later stay as they are, and so does
/// one that no longer offers a profile it had.
pub(crate) fn targets(before: &[Before], inventory: &Inventory) -> Vec<Target> {
    let target = |gpu: &Gpu| {
        let before = before.iter().find(|b| b.gpu == gpu.uuid)?;
        let offered = |instance: &Divided| gpu.geometry.spec(instance.placement.profile).is_some();
        let instances = before.mig.then(|| before.slices.clone());
        let possible = instances.iter().flatten().all(offered);
        possible.then_some(Target { mode: Some(before.mig), instances })
    };
    inventory.gpus.iter().map(|gpu| target(gpu).unwrap_or_default()).collect()
}

impl From<&Gpu> for Before {
    fn from(gpu: &Gpu) -> Self {
        let slices = gpu.instances.iter().map(Divided::from).collect();
        let closed = gpu.instances.iter().filter(|instance| instance.closed);
        let closed = closed.map(|instance| instance.placement).collect();
        Before { gpu: gpu.uuid.clone(), mig: gpu.mode.is_on(), slices, closed }
    }
}
