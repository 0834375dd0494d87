//! One lock for whoever changes GPUs or files, and one per slice for `gresgen run`.
//!
//! Locks belong to open files: the kernel drops them with the last process that has the file open, so none is ever
//! left behind. Whoever takes one holds flock(2) against others who take it, and on the same open file a lock of
//! fcntl(2) that can be asked for without taking anything (`F_OFD_GETLK`): looking never stands in the way of changing.
//!
//! The files are root's alone (0600): flock(2) asks for no right but to open, so that every user who can read a lock
//! file can hold it. On a machine without Slurm that is wanted of slices: root makes their files, in a directory of its
//! own, and users may read them (0644). A user's lock is no more than a claim to the slice: root looks whether there is
//! one, and names who has it, but never waits for it, and reads nothing that a user wrote.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags, statx};
use thiserror::Error;

use crate::atomic;
use crate::read;
use crate::root::Root;

/// Why a lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{}: held by {holder}", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process that has it, as words.
        holder: String,
    },
    /// The file cannot be opened.
    #[error("{}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A lock, held until dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// The lock of everything this program changes under `root`.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another process has it: nobody waits on a GPU change.
    pub(crate) fn node(root: &Root) -> Result<Lock, LockError> {
        take(root, &root.path(Root::LOCK), MODE)
    }

    /// The lock of one slice, by its MIG UUID.
    ///
    /// # Errors
    /// [`LockError::Held`] when the slice is in use by `gresgen run`; [`LockError::Io`] for a text that is no name
    /// of a file.
    pub(crate) fn slice(root: &Root, uuid: &str) -> Result<Lock, LockError> {
        take(root, &slice_file(root, uuid)?, FOR_USERS)
    }

    /// The same for a user who is not root, where the slice's file was made for users ([`show_to_users`]).
    ///
    /// # Errors
    /// As [`Lock::slice`]; [`LockError::Io`] where there is no such file, or it is root's alone.
    pub(crate) fn slice_as_user(root: &Root, uuid: &str) -> Result<Lock, LockError> {
        let path = slice_file(root, uuid)?;
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut file = open(&path, OpenOptions::new().read(true)).map_err(io)?;
        exclude(&mut file, &path)?;
        // A file that is open for reading takes a lock for reading alone, which is in the way of those for writing.
        let shared = libc::flock { l_type: libc::F_RDLCK as _, ..whole() };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&shared)).map_err(|error| io(error.into()))?;
        Ok(Lock(file))
    }

    /// The file behind it, for a child that shall keep holding it across `exec`.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

/// Process id of whoever is changing GPUs or files now; 0 where it cannot be told.
pub(crate) fn node_holder(root: &Root) -> Option<u32> {
    held_by(&root.path(Root::LOCK))
}

/// Who holds a slice. Process ids are of processes that have the lock's file open, and 0 where none can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SliceHolder {
    /// Both locks are held, as `gresgen run` takes them.
    Run(u32),
    /// flock(2) alone: some program of a user's, which is in the way as well.
    Other(u32),
}

/// Who holds a slice, if anybody does.
pub(crate) fn slice_holder(root: &Root, uuid: &str) -> Option<SliceHolder> {
    let path = slice_path(root, uuid)?;
    held_by(&path).map(SliceHolder::Run).or_else(|| flocked(&path).map(SliceHolder::Other))
}

/// Lets users hold these slices, or, where `users` is not set, nobody but root: a file that users could open goes, because
/// whoever opened it can lock it still. Where somebody holds it, it stays until the next time, closed.
///
/// # Errors
/// [`LockError::Io`].
pub(crate) fn show_to_users<'a>(
    root: &Root,
    uuids: impl IntoIterator<Item = &'a str>,
    users: bool,
) -> Result<(), LockError> {
    let mode = if users { FOR_USERS } else { MODE };
    if users {
        directories(root)?;
    }
    for uuid in uuids {
        let path = slice_file(root, uuid)?;
        let io = |source| LockError::Io { path: path.clone(), source };
        let made = open(&path, OpenOptions::new().read(true).write(true).create(users).mode(mode));
        let file = match made {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            made => made.map_err(io)?,
        };
        file.set_permissions(Permissions::from_mode(mode)).map_err(io)?;
        // Held while it goes, so that nobody takes the lock of a file that has no name any more.
        if !users && file.try_lock().is_ok() && !is_held(&file) {
            std::fs::remove_file(&path).map_err(io)?;
        }
    }
    Ok(())
}

fn slice_file(root: &Root, uuid: &str) -> Result<PathBuf, LockError> {
    slice_path(root, uuid).ok_or_else(|| LockError::Io {
        path: uuid.into(),
        source: io::Error::new(ErrorKind::InvalidInput, "is not a UUID"),
    })
}

/// Asks without taking. A lock file that this user may not open is one of root's processes, of which it learns nothing.
fn held_by(path: &Path) -> Option<u32> {
    let mut file = open(path, OpenOptions::new().read(true)).ok()?;
    is_held(&file).then(|| holder(&mut file).unwrap_or(0))
}

/// A MIG UUID comes from the driver, and names a file of root's: it must not lead out of the directory.
fn slice_path(root: &Root, uuid: &str) -> Option<PathBuf> {
    let plain = uuid.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    // Drivers before R470 name MIG devices MIG-GPU-UUID/GI/CI.
    let name = uuid.replace('/', "_");
    (plain && uuid.starts_with("MIG-")).then(|| root.path(Root::SLICES).join(name))
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // A link would lead root's writing anywhere, and a FIFO would make it wait.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits() as i32).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "is not a regular file; remove it")),
    }
}

const MODE: u32 = 0o600;

/// Mode of a slice's file that users may lock.
const FOR_USERS: u32 = 0o644;

fn directories(root: &Root) -> Result<(), LockError> {
    for directory in [Root::RUN, Root::SLICES].map(|directory| root.path(directory)) {
        atomic::own_directory(&directory).map_err(|source| LockError::Io { path: directory, source })?;
    }
    Ok(())
}

/// Takes a lock of root's. A file that has more rights than `allowed` is closed.
fn take(root: &Root, path: &Path, allowed: u32) -> Result<Lock, LockError> {
    let io = |source| LockError::Io { path: path.to_owned(), source };
    directories(root)?;
    let mut options = OpenOptions::new();
    let mut file = open(path, options.read(true).write(true).create(true).mode(MODE)).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & !allowed != 0 || mode & MODE != MODE {
        file.set_permissions(Permissions::from_mode(MODE)).map_err(io)?;
    }
    exclude(&mut file, path)?;
    if !is_at(&file, path) {
        // It went between opening and locking it.
        return Err(LockError::Held { path: path.to_owned(), holder: "a change that ends now".to_owned() });
    }
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole())).map_err(|error| io(error.into()))?;
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(io)?;
    Ok(Lock(file))
}

/// Takes the lock that takers exclude each other by, or names who has it.
fn exclude(file: &mut File, path: &Path) -> Result<(), LockError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder = match holder(file) {
                Some(pid) => format!("process {pid}"),
                None => "a process that cannot be told".to_owned(),
            };
            Err(LockError::Held { path: path.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(LockError::Io { path: path.to_owned(), source }),
    }
}

/// Whether a name is that of an open file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |status: std::fs::Metadata| (status.dev(), status.ino());
    let (one, other) = (file.metadata().map(identity), path.symlink_metadata().map(identity));
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

/// Asks whether a file is held by flock(2), as the kernel tells everybody (proc(5), /proc/locks: number, kind, …,
/// process, device and inode). The process there is the one that took it, which may be gone while one that it started
/// holds it, and another may have its number.
fn flocked(path: &Path) -> Option<u32> {
    let status = path.symlink_metadata().ok()?;
    let (major, minor) = (rustix::fs::major(status.dev()), rustix::fs::minor(status.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", status.ino());
    let locks = read::kernel("/proc/locks").ok()?;
    let is_held = locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], [_, "FLOCK", _, _, _, at, ..] if at == place)
    });
    is_held.then(|| {
        open(path, OpenOptions::new().read(true)).ok().and_then(|mut file| holder(&mut file)).unwrap_or(0)
    })
}

/// A write lock of a whole file (fcntl(2)).
fn whole() -> libc::flock {
    libc::flock { l_type: libc::F_WRLCK as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Whether a lock stands in the way of one of ours. What the kernel does not tell counts as held.
fn is_held(file: &File) -> bool {
    let mut found = whole();
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut found)) {
        Ok(_) => found.l_type != libc::F_UNLCK as libc::c_short,
        Err(_) => true,
    }
}

/// The process that wrote its id into the file, if it has the file open still: a number alone may be that of a process
/// long gone, or of another that has its number now. Else any process that holds a lock by it.
fn holder(file: &mut File) -> Option<u32> {
    let status = file.metadata().ok()?;
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(16).read_to_string(&mut text));
    let written = read.ok().and_then(|_| text.trim().parse().ok());
    let same = |pid: u32| locks(pid, (status.dev(), status.ino()));
    written.filter(|&pid| same(pid)).or_else(|| {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.into_iter().find(|&pid| same(pid))
    })
}

/// Whether a process has a file open by which it holds a lock (proc(5), /proc/PID/fdinfo: `lock:`).
fn locks(pid: u32, inode: (u64, u64)) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let files = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    // A file system that does not answer is not asked, whoever has a file of it open.
    let is = |path: &Path| {
        let status = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO).ok();
        status.is_some_and(|s| (rustix::fs::makedev(s.stx_dev_major, s.stx_dev_minor), s.stx_ino) == inode)
    };
    files.filter(|entry| is(&entry.path())).any(|entry| {
        let info = read::kernel(process.join("fdinfo").join(entry.file_name()));
        info.is_ok_and(|info| info.lines().any(|line| line.starts_with("lock:")))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn place() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        (directory, root)
    }

    /// A child that another test forks at this moment has the descriptor, and with it the lock, until it executes.
    fn soon(done: impl Fn() -> bool) -> bool {
        (0..200).any(|_| {
            let is = done();
            if !is {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            is
        })
    }

    #[test]
    fn a_second_taker_learns_who_has_it() {
        let (_directory, root) = place();
        let first = Lock::node(&root).unwrap();
        let error = Lock::node(&root).unwrap_err().to_string();
        assert!(error.ends_with(&format!("held by process {}", std::process::id())), "{error}");
        assert_eq!(node_holder(&root), Some(std::process::id()));
        drop(first);
        assert!(soon(|| node_holder(&root).is_none()));
        Lock::node(&root).unwrap();
    }

    #[test]
    fn a_slice_is_held_only_while_locked() {
        let (_directory, root) = place();
        assert_eq!(slice_holder(&root, "MIG-a"), None);
        let lock = Lock::slice(&root, "MIG-a").unwrap();
        assert_eq!(slice_holder(&root, "MIG-a"), Some(SliceHolder::Run(std::process::id())));
        drop(lock);
        assert!(soon(|| slice_holder(&root, "MIG-a").is_none()));
        assert!(Lock::slice(&root, "../x").is_err() && slice_holder(&root, "../x").is_none());
    }

    #[test]
    fn a_slice_that_users_may_hold_is_seen_to_be_held() {
        let (_directory, root) = place();
        assert!(Lock::slice_as_user(&root, "MIG-a").is_err(), "there is no file yet");
        show_to_users(&root, ["MIG-a"], true).unwrap();
        let path = root.path(Root::SLICES).join("MIG-a");
        let mode = || path.metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode(), 0o644);
        let held = Lock::slice_as_user(&root, "MIG-a").unwrap();
        assert_eq!(slice_holder(&root, "MIG-a"), Some(SliceHolder::Run(std::process::id())));
        let error = Lock::slice(&root, "MIG-a").unwrap_err().to_string();
        assert!(error.ends_with(&format!("held by process {}", std::process::id())), "{error}");
        drop(held);
        assert!(soon(|| Lock::slice(&root, "MIG-a").is_ok()));
        assert!(soon(|| slice_holder(&root, "MIG-a").is_none()));
        assert_eq!(mode(), 0o644);
        // Half a lock is in the way as well.
        let file = File::open(&path).unwrap();
        file.lock().unwrap();
        assert_eq!(slice_holder(&root, "MIG-a"), Some(SliceHolder::Other(std::process::id())));
        // While it is held it stays, so that its holder is seen.
        show_to_users(&root, ["MIG-a", "MIG-b"], false).unwrap();
        assert_eq!((mode(), slice_holder(&root, "MIG-a").is_some()), (0o600, true));
        file.unlock().unwrap();
        show_to_users(&root, ["MIG-a", "MIG-b"], false).unwrap();
        assert!(!path.exists() && !root.path(Root::SLICES).join("MIG-b").exists());
        // Whoever opened it before locks a file that nobody looks at.
        file.lock().unwrap();
        let lock = Lock::slice(&root, "MIG-a").unwrap();
        assert_eq!(
            (mode(), slice_holder(&root, "MIG-a")),
            (0o600, Some(SliceHolder::Run(std::process::id())))
        );
        drop(lock);
        assert!(soon(|| slice_holder(&root, "MIG-a").is_none()));
    }

    /// `flock FILE sh -c 'sleep &'` leaves a holder behind whose number is not the one the kernel tells.
    #[test]
    fn a_process_that_is_gone_is_not_named() {
        let (_directory, root) = place();
        show_to_users(&root, ["MIG-a"], true).unwrap();
        let path = root.path(Root::SLICES).join("MIG-a");
        let mut gone = std::process::Command::new("flock")
            .arg(&path)
            .args(["sh", "-c", "sleep 60 >/dev/null & echo $!"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut sleeper = String::new();
        gone.stdout.take().unwrap().read_to_string(&mut sleeper).unwrap();
        let taker = gone.id();
        gone.wait().unwrap();
        let seen = slice_holder(&root, "MIG-a");
        let sleeper: u32 = sleeper.trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(sleeper as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_ne!(taker, sleeper);
        assert_eq!(seen, Some(SliceHolder::Other(sleeper)));
    }

    /// flock(2) is what takers exclude each other by, and a look must not hold it for a moment.
    #[test]
    fn looking_takes_nothing() {
        let (_directory, root) = place();
        drop(Lock::node(&root).unwrap());
        let path = root.path(Root::LOCK);
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        assert_eq!(node_holder(&root), None, "a lock of others is none of a gresgen");
        let error = Lock::node(&root).unwrap_err().to_string();
        assert!(error.ends_with(&format!("held by process {}", std::process::id())), "{error}");
        drop(other);
        // A process that another test starts has the file open, too, until its exec.
        let patience = std::time::Duration::from_secs(10);
        let take = || Lock::node(&root);
        let lock = crate::wait::until(patience, patience / 1000, &Default::default(), take).unwrap();
        assert_eq!((node_holder(&root), node_holder(&root)), (Some(std::process::id()), node_holder(&root)));
        drop(lock);
    }

    #[test]
    fn a_number_that_somebody_else_has_now_is_not_named() {
        let (_directory, root) = place();
        let lock = Lock::node(&root).unwrap();
        // Process 1 does not have this file open.
        std::fs::write(root.path(Root::LOCK), "1").unwrap();
        assert_eq!(node_holder(&root), Some(std::process::id()));
        drop(lock);
    }

    #[test]
    fn lock_files_are_roots_alone_and_no_links() {
        let (directory, root) = place();
        let path = root.path(Root::LOCK);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        std::fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o777)).unwrap();
        drop(Lock::node(&root).unwrap());
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o755));
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::fs::remove_file(&path).unwrap();
        symlink(&victim, &path).unwrap();
        assert!(matches!(Lock::node(&root), Err(LockError::Io { .. })));
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }
}
