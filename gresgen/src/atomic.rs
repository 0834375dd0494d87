//! Replacing a file so that a crash leaves the old one or the new one, never a part.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// A new content of `path`, written and synced beside it but not yet in its place.
///
/// # Errors
/// What the file system says; nothing has changed then.
pub fn stage(path: &Path, content: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(directory)?;
    // A process that is killed leaves it behind: hidden, so that no include reads it, and named after its maker.
    let mut file = Builder::new().prefix(".gresgen-").tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Puts a staged content in its place with one rename.
///
/// # Errors
/// What the file system says; the old content stands then.
pub fn commit(staged: NamedTempFile, path: &Path) -> io::Result<()> {
    staged.persist(path).map_err(|error| error.error)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Stages and commits in one.
///
/// # Errors
/// As [`stage`] and [`commit`].
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    commit(stage(path, content, mode)?, path)
}
