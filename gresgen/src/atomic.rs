//! Replacing a file so that a crash leaves the old one or the new one, never a part.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// Random characters at the end of a staged file's name.
const RANDOM: usize = 6;

/// Begins the name of every file that is staged on this host; its process and random characters follow. The host is
/// told, because a directory may be shared with others.
fn ours() -> String {
    format!(".gresgen-{}-", rustix::system::uname().nodename().to_string_lossy())
}

/// Whether a name is that of a file which a process of this host staged that is no more.
fn is_left(name: &OsStr) -> bool {
    let parts = name.to_str().and_then(|name| name.strip_prefix(&ours())?.split_once('-'));
    parts.is_some_and(|(process, random)| {
        let dead = process.parse::<u32>().is_ok_and(|id| !Path::new(&format!("/proc/{id}")).exists());
        dead && random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// Removes what processes that were killed left staged in a directory, and gives it. What cannot be removed stays:
/// it does no harm.
pub fn sweep(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let left = entries
        .filter(|entry| is_left(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_file()));
    left.map(|entry| entry.path()).filter(|path| std::fs::remove_file(path).is_ok()).collect()
}

/// A new content of `path`, written and synced beside it but not yet in its place.
///
/// # Errors
/// What the file system says; nothing has changed then.
pub fn stage(path: &Path, content: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(directory)?;
    // A process that is killed leaves it behind: hidden, so that no include reads it, and named after its maker.
    let prefix = format!("{}{}-", ours(), std::process::id());
    let mut file = Builder::new().prefix(&prefix).rand_bytes(RANDOM).tempfile_in(directory)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let (dead, ours) = (dead.id(), ours());
        let left = path(&format!("{ours}{dead}-aB3xYz"));
        let names = [
            format!("{ours}1-aB3xYz"),
            format!("{ours}{dead}-aB3xY"),
            format!("{ours}{dead}-aB3x.z"),
            format!("{ours}-aB3xYz"),
            format!(".gresgen-another-host-{dead}-aB3xYz"),
            ".gresgen-notes".to_owned(),
            "gres.conf".to_owned(),
        ];
        for file in names.iter().map(|name| path(name)).chain([left.clone()]) {
            std::fs::write(file, "").unwrap();
        }
        std::fs::create_dir(path(&format!("{ours}{dead}-folder"))).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path(&format!("{ours}{dead}-linked"))).unwrap();
        let staged = stage(&path("new"), b"x", 0o644).unwrap();
        assert_eq!(sweep(directory.path()), [left]);
        assert!(staged.path().exists() && names.iter().all(|name| path(name).exists()));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), names.len() + 3);
        assert_eq!(sweep(&path("nowhere")), [""; 0].map(PathBuf::from));
    }
}
