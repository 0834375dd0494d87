//! Writing what `init` makes: each file whole, with a copy of the one before it.

use std::path::PathBuf;

use super::edits::text;
use super::{Edit, InitError};
use crate::atomic::{self, Attributes};
use crate::files::state_directory;
use crate::read;
use crate::root::Root;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenFiles {
    pub files: Vec<PathBuf>,
    /// Copies of those that were there.
    pub backups: Vec<PathBuf>,
}

/// Replaces files, each by one rename, with owner and mode kept. All of them are on disk before the first is replaced.
///
/// # Errors
/// [`InitError::Io`]. Files before the one it names are replaced; the same again writes the others.
pub(crate) fn write(edits: &[Edit], root: &Root) -> Result<WrittenFiles, InitError> {
    let state = state_directory(root);
    for directory in [state.parent(), Some(&*state)].into_iter().flatten() {
        atomic::own_directory(directory).map_err(InitError::io(directory))?;
    }
    let mut staged = Vec::new();
    for edit in edits.iter().filter(|edit| edit.changes()) {
        // What somebody wrote since the edit was made must not be lost.
        let now = read::bytes(&edit.path, read::MAX_TEXT).ok();
        if now != edit.old {
            let changed = std::io::Error::other("has changed meanwhile; try again");
            return Err(InitError::io(&edit.path)(changed));
        }
        let attributes = Attributes::of(&edit.path, 0o644);
        let new = atomic::stage(&edit.path, &edit.new, attributes).map_err(InitError::io(&edit.path))?;
        let backup = match &edit.old {
            None => None,
            Some(old) => {
                // Never beside the file, where an include may read it.
                let name = edit.path.file_name().unwrap_or_default().to_string_lossy();
                let copy = state.join(format!("{name}.before-init"));
                Some((atomic::stage(&copy, old, attributes).map_err(InitError::io(&copy))?, copy))
            }
        };
        staged.push((edit, new, backup));
    }
    let mut wrote = WrittenFiles::default();
    for (edit, new, backup) in staged {
        if let Some((file, copy)) = backup {
            wrote.backups.push(atomic::commit_copy(file, &copy).map_err(InitError::io(&copy))?);
        }
        atomic::commit(new, &edit.path).map_err(InitError::io(&edit.path))?;
        wrote.files.push(edit.path.clone());
    }
    Ok(wrote)
}

/// The edit that makes a configuration.
///
/// # Errors
/// [`InitError::Exists`] where one is there and is not to be replaced.
pub(crate) fn config(path: PathBuf, config: &str, force: bool) -> Result<Edit, InitError> {
    let old = text(&path)?;
    if old.is_some() && !force {
        return Err(InitError::Exists(path));
    }
    let path = path.canonicalize().unwrap_or(path);
    Ok(Edit { path, old, new: config.as_bytes().to_vec() })
}
