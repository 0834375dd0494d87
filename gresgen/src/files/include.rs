//! What a gres.conf includes is read by slurmd as if it stood in it.

use std::io::ErrorKind;
use std::path::Path;

use super::FileError;
use super::kept::OwnedContent;
use crate::path_error::PathError;
use crate::root::Root;
use crate::slurm::conf::Conf;

/// Refuses includes, in lines that stay in `path`, by which slurmd would read our nodes' GPUs a second time. Files that
/// are not there are slurmd's to complain about.
pub(super) fn check(path: &Path, kept: &[u8], ours: &OwnedContent<'_>, root: &Root) -> Result<(), FileError> {
    let Conf { said, unread, .. } = Conf::of(path, kept, root);
    if let Some((file, error)) = unread.into_iter().find(|(_, error)| error.kind() != ErrorKind::NotFound) {
        return Err(PathError::doing(&file, "cannot be read")(error).into());
    }
    match said.into_iter().find(|line| line.file != path && ours.claims(&line.pairs)) {
        Some(line) => Err(FileError::Included {
            path: line.file,
            line: line.number,
            text: line.text,
            by: path.to_owned(),
        }),
        None => Ok(()),
    }
}
