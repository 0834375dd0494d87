//! What this program notes in a file of its own for a later run of it: JSON that says its version.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic;
use crate::path_error::PathError;
use crate::read;

/// Version of every kind of note: it changes when an older reader would misunderstand.
pub(crate) const VERSION: u32 = 1;

/// The text of a note; `None` where there is none.
///
/// # Errors
/// [`PathError`] when it is there and cannot be read.
pub(crate) fn text(path: &Path) -> Result<Option<String>, PathError> {
    read::if_there(read::text(path, read::MAX_TEXT)).map_err(PathError::io(path))
}

/// Reads the text of a note. `what` is what it has to be, as `a journal`, and `version` the version that it says.
///
/// # Errors
/// [`PathError`] for anything else, and for another version.
pub(crate) fn parse<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    what: &str,
    version: impl Fn(&T) -> u32,
) -> Result<T, PathError> {
    let wrong = |why: String| PathError::new(path, format!("not {what} this program can read: {why}"));
    let note: T = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    match version(&note) {
        VERSION => Ok(note),
        other => Err(wrong(format!("version {other} is not {VERSION}"))),
    }
}

/// Writes a note so that it survives a crash from now on.
///
/// # Errors
/// [`PathError`]; the note of before stands then.
pub(crate) fn save(path: &Path, note: &impl Serialize) -> Result<(), PathError> {
    let text = serde_json::to_string_pretty(note).map_err(io::Error::other);
    let written = text.and_then(|text| atomic::replace(path, format!("{text}\n").as_bytes(), 0o644));
    written.map_err(PathError::io(path))
}

/// Removes a note, where there is one.
///
/// # Errors
/// [`PathError`]; it stands still.
pub(crate) fn remove(path: &Path) -> Result<(), PathError> {
    read::if_there(std::fs::remove_file(path)).map(drop).map_err(PathError::io(path))
}
