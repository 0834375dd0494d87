//! Which change an undo takes back: what the GPUs were before it, and which layout is meant again then.

use crate::apply::intent::{Before, Intent};
use crate::config::Config;
use crate::history::{self, Ending, Entry};
use crate::path_error::PathError;
use crate::root::Root;

use super::chosen::ChosenLayout;

/// Why no change can be undone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoError {
    /// There is none, or none of this number.
    #[error("--undo: no change{} is noted on this node", .0.map(|id| format!(" {id}")).unwrap_or_default())]
    Unknown(Option<u64>),
    /// It has no GPU in it, as one that wrote files alone.
    #[error("change {0}: no GPU is noted as it was before")]
    NoGpu(u64),
    /// Its entry in the history is damaged.
    #[error("change {id}: what was before it cannot be read: {error}")]
    Damaged { id: u64, error: serde_json::Error },
    /// The journal or the history cannot be read.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// A change to be undone.
#[derive(Debug)]
pub(crate) struct Undo {
    /// What is asked for with it, in words.
    pub what: String,
    /// The GPUs as they were.
    pub before: Vec<Before>,
    /// The layout that was chosen before the change, where the change chose another and the configuration has it still.
    pub layout: Option<String>,
    /// Whether the change chose a layout: then that one is no longer meant.
    chose: bool,
    /// Whether the change was cut off, so that its layout is in the journal alone.
    pub cut_off: bool,
}

impl Undo {
    /// The change of this number in the history; without one the change that was cut off, or else the last that was done.
    pub(crate) fn find(root: &Root, id: Option<u64>, config: &Config) -> Result<Self, UndoError> {
        let intent = Intent::load(root)?;
        if let (None, Some(Intent { before, .. })) = (id, intent) {
            return Ok(Undo { what: "undo".to_owned(), before, layout: None, chose: false, cut_off: true });
        }
        let meant = |entry: &Entry| id.map_or(entry.result == Ending::Done, |id| entry.id == id);
        let entry = history::read(root)?.into_iter().rev().find(meant).ok_or(UndoError::Unknown(id))?;
        let id = entry.id;
        let before: Vec<Before> =
            serde_json::from_value(entry.before).map_err(|error| UndoError::Damaged { id, error })?;
        if before.is_empty() {
            return Err(UndoError::NoGpu(id));
        }
        let chose = entry.layout.is_some();
        let known = |label: &String| chose && config.labels().any(|known| known == label);
        let layout = entry.layout_before.filter(known);
        Ok(Undo { what: format!("undo of change {id}"), before, layout, chose, cut_off: false })
    }

    /// After it: where the layout of the change is in force and none was before it, the configuration says again which is
    /// meant.
    pub(crate) fn forget_layout(&self, root: &Root) -> Result<(), PathError> {
        if self.chose && self.layout.is_none() { ChosenLayout::forget(root) } else { Ok(()) }
    }
}
