//! Replacing a file so that a crash leaves the old one or the new one, never a part.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::{Builder, NamedTempFile};

/// Mode of directories: jobs, users' srun and slurmctld's user read what is in them, and root alone changes it.
const DIRECTORY: u32 = 0o755;

/// Makes a directory and those above it, each with mode 0755 whatever the umask is. One that is there stays as it is.
///
/// # Errors
/// What the file system says.
pub(crate) fn directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        directory(parent)?;
    }
    match DirBuilder::new().mode(DIRECTORY).create(path) {
        // Somebody else was faster, or something else is there, which whoever opens it finds out.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| set_mode(path)),
    }
}

/// The same for a directory that is this program's own (`/run/gresgen`, `/var/lib/gresgen`): one that is there gets
/// the mode again where an earlier umask, or somebody's hand, gave it another. Others could replace what is in a
/// directory that they can write, and jobs cannot read the device map below one that is closed.
///
/// # Errors
/// What the file system says.
pub(crate) fn own_directory(path: &Path) -> io::Result<()> {
    directory(path)?;
    set_mode(path)
}

fn set_mode(path: &Path) -> io::Result<()> {
    // On the open directory, so that it is the one that was looked at.
    let directory = OpenOptions::new().read(true).custom_flags(OFlags::DIRECTORY.bits() as i32).open(path)?;
    let status = directory.metadata()?;
    let right = status.mode() & 0o7777 == DIRECTORY || status.uid() != rustix::process::geteuid().as_raw();
    if right { Ok(()) } else { directory.set_permissions(Permissions::from_mode(DIRECTORY)) }
}

/// Mode, and owner where it is to be another than who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    mode: u32,
    /// User and group.
    owner: Option<(u32, u32)>,
}

impl Attributes {
    /// Those of a file that is new, and of whoever makes it.
    pub(crate) fn new(mode: u32) -> Self {
        Attributes { mode, owner: None }
    }

    /// Those of a file that is there, which a new content keeps: slurmctld may run as a user of its own that has to
    /// read it. Not the bits that lend a program its owner, which what is written here never is. `mode` is for one that is
    /// not there.
    pub(crate) fn of(path: &Path, mode: u32) -> Self {
        match std::fs::metadata(path) {
            Ok(status) => {
                Attributes { mode: status.mode() & 0o777, owner: Some((status.uid(), status.gid())) }
            }
            Err(_) => Attributes::new(mode),
        }
    }

    fn set(self, file: &File) -> io::Result<()> {
        let status = file.metadata()?;
        if let Some((user, group)) = self.owner.filter(|&owner| owner != (status.uid(), status.gid())) {
            fchown(file, Some(user), Some(group))?;
        }
        // After the owner, because a change of owner clears bits of the mode (chown(2)).
        file.set_permissions(Permissions::from_mode(self.mode))
    }
}

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
pub(crate) fn sweep(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let left = entries
        .filter(|entry| is_left(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_file()));
    left.map(|entry| entry.path()).filter(|path| std::fs::remove_file(path).is_ok()).collect()
}

/// A new content of `path`, written and synced beside it but not yet in its place.
///
/// # Errors
/// What the file system says; nothing has changed then.
pub(crate) fn stage(path: &Path, content: &[u8], attributes: Attributes) -> io::Result<NamedTempFile> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    directory(parent)?;
    // A process that is killed leaves it behind: hidden, so that no include reads it, and named after its maker.
    let prefix = format!("{}{}-", ours(), std::process::id());
    let mut file = Builder::new().prefix(&prefix).rand_bytes(RANDOM).tempfile_in(parent)?;
    file.write_all(content)?;
    attributes.set(file.as_file())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Puts a staged content in its place with one rename.
///
/// # Errors
/// What the file system says; the old content stands then.
pub(crate) fn commit(staged: NamedTempFile, path: &Path) -> io::Result<()> {
    staged.persist(path).map_err(|error| error.error)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Most copies of one file.
const COPIES: u32 = 9999;

/// Puts a staged content beside others of the same name, as `NAME-1`, `NAME-2` and so on: in the place of none of them, not
/// even of one that came meanwhile. Gives the place.
///
/// # Errors
/// What the file system says, and that there are too many of them already.
pub(crate) fn commit_copy(mut staged: NamedTempFile, name: &Path) -> io::Result<PathBuf> {
    for number in 1..=COPIES {
        let mut place = name.as_os_str().to_owned();
        place.push(format!("-{number}"));
        let place = PathBuf::from(place);
        match staged.persist_noclobber(&place) {
            Ok(_) => {
                File::open(place.parent().unwrap_or(Path::new("/")))?.sync_all()?;
                return Ok(place);
            }
            Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => staged = failed.file,
            Err(failed) => return Err(failed.error),
        }
    }
    Err(io::Error::new(
        ErrorKind::AlreadyExists,
        format!("there are {COPIES} copies already; move some away"),
    ))
}

/// Stages and commits in one, after a [`sweep`] of the directory. `mode` is that of a file which is not there yet.
///
/// # Errors
/// As [`stage`] and [`commit`].
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    replace_as(path, content, Attributes::of(path, mode))
}

/// The same with these attributes, whatever is there now.
///
/// # Errors
/// As [`stage`] and [`commit`].
pub(crate) fn replace_as(path: &Path, content: &[u8], attributes: Attributes) -> io::Result<()> {
    path.parent().map(sweep);
    commit(stage(path, content, attributes)?, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_takes_the_place_of_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("a.conf.kept");
        let copy = |text: &str| {
            let staged = stage(&name, text.as_bytes(), Attributes::of(&name, 0o644)).unwrap();
            commit_copy(staged, &name).map(|place| place.file_name().unwrap().to_owned())
        };
        std::os::unix::fs::symlink("gone", directory.path().join("a.conf.kept-2")).unwrap();
        assert_eq!(copy("first").unwrap(), "a.conf.kept-1");
        assert_eq!(copy("second").unwrap(), "a.conf.kept-3");
        assert_eq!(std::fs::read(directory.path().join("a.conf.kept-1")).unwrap(), b"first");
        for number in 4..=COPIES {
            std::os::unix::fs::symlink("gone", directory.path().join(format!("a.conf.kept-{number}")))
                .unwrap();
        }
        assert!(copy("last").unwrap_err().to_string().contains("9999 copies already"));
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn directories_have_their_mode_and_those_of_others_keep_theirs() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        directory(&path("a/b")).unwrap();
        assert_eq!((mode(&path("a")), mode(&path("a/b"))), (0o755, 0o755));
        std::fs::set_permissions(path("a"), Permissions::from_mode(0o777)).unwrap();
        std::fs::set_permissions(path("a/b"), Permissions::from_mode(0o700)).unwrap();
        own_directory(&path("a/b")).unwrap();
        assert_eq!((mode(&path("a")), mode(&path("a/b"))), (0o777, 0o755));
        std::fs::write(path("file"), "").unwrap();
        assert!(own_directory(&path("file")).is_err() && directory(&path("file/x")).is_err());
    }

    #[test]
    fn a_new_content_keeps_owner_group_and_mode() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("gres.conf");
        replace(&path, b"a", 0o644).unwrap();
        assert_eq!(mode(&path), 0o644);
        // Of another user where this is root, else of its own alone.
        let owner = if rustix::process::geteuid().is_root() { (64030, 64031) } else { owner(&path) };
        std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o6640)).unwrap();
        replace(&path, b"b", 0o644).unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), mode(&path), self::owner(&path)),
            (b"b".to_vec(), 0o640, owner)
        );
    }

    fn owner(path: &Path) -> (u32, u32) {
        let status = std::fs::metadata(path).unwrap();
        (status.uid(), status.gid())
    }

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
        let staged = stage(&path("new"), b"x", Attributes::of(&path("new"), 0o644)).unwrap();
        assert_eq!(sweep(directory.path()), [left]);
        assert!(staged.path().exists() && names.iter().all(|name| path(name).exists()));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), names.len() + 3);
        assert_eq!(sweep(&path("nowhere")), [""; 0].map(PathBuf::from));
    }
}
