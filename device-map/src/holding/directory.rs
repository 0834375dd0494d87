//! A directory that root alone can change, and the few things done in one. Descriptors, not paths: no name is looked
//! up twice, and each call is one system call, because slurmstepd makes them while a job waits.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, fchmod, flock, fstat, linkat, mkdir, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;

/// Largest file that is read, in bytes: a record of as many devices as a node can have.
const MAX_BYTES: usize = 128 << 10;
const READABLE: u32 = 0o644;
const PRIVATE: u32 = 0o600;
/// Begins the names of what is not there for readers.
const HIDDEN: char = '.';
/// Begins the name of a file that has its own only when it is locked and whole.
const UNNAMED: &str = ".begun-";
/// Seconds after which it is taken to be left by a process that was killed: it takes a few calls.
const UNFINISHED: i64 = 60;

#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl Directory {
    /// Opens a directory in which others can put nothing.
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let status = fstat(&directory)?;
        let ours = status.st_uid == 0 || status.st_uid == rustix::process::geteuid().as_raw();
        if ours && status.st_mode & 0o022 == 0 { Ok(Directory(directory)) } else { Err(Errno::PERM) }
    }

    /// Makes it, with those above it, where it is not there.
    pub(super) fn make(path: &Path) -> Result<(), Errno> {
        match mkdir(path, Mode::from_raw_mode(0o755)) {
            Err(Errno::NOENT) => {
                Self::make(path.parent().ok_or(Errno::NOENT)?)?;
                mkdir(path, Mode::from_raw_mode(0o755))?;
            }
            Err(Errno::EXIST) => return Self::open(path).map(drop),
            made => made?,
        }
        // Whatever the umask is: exporters run as users of their own.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fchmod(rustix::fs::open(path, flags, Mode::empty())?, Mode::from_raw_mode(0o755))
    }

    /// Names of files that are there for readers.
    pub(super) fn names(&self) -> Result<Vec<String>, Errno> {
        Ok(self.all_names()?.into_iter().filter(|name| !name.starts_with(HIDDEN)).collect())
    }

    fn all_names(&self) -> Result<Vec<String>, Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    /// Removes what [`Directory::create_locked`] has left that was killed on its way: files whose other name did not come within
    /// [`UNFINISHED`].
    pub(super) fn remove_unfinished(&self) -> Result<(), Errno> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let begun = |name: &String| name.starts_with(UNNAMED);
        for name in self.all_names()?.into_iter().filter(begun) {
            let changed = statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW).map(|status| status.st_mtime);
            if changed.is_ok_and(|changed| changed.saturating_add(UNFINISHED) < now) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    pub(super) fn text(&self, name: &str) -> Result<String, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(&self.0, name, flags, Mode::empty())?;
        crate::file::text(&file, MAX_BYTES)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::ILSEQ))
    }

    /// Makes a file that is not there yet. Readers see it empty or whole: the text is short, and written at once.
    pub(super) fn create(&self, name: &str, text: &str) -> Result<(), Errno> {
        let file = self.new_file(name, READABLE)?;
        // Whatever the umask is: exporters run as users of their own.
        fchmod(&file, Mode::from_raw_mode(READABLE))?;
        self.fill(name, file, text).map(drop)
    }

    /// The same for a text that stands in the file `first`, which gets a second name; where the file system has no links,
    /// a file of its own.
    pub(super) fn link(&self, first: &str, name: &str, text: &str) -> Result<(), Errno> {
        match linkat(&self.0, first, &self.0, name, AtFlags::empty()) {
            // NOENT: another process has just replaced it.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK | Errno::NOENT) => self.create(name, text),
            linked => linked,
        }
    }

    /// The same, locked and whole before it has its name, for as long as the descriptor is open: what a process forked and
    /// did not end with an exec keeps it too. Whoever finds a file of this name without its lock finds one that is abandoned, at any
    /// moment. Root's alone, because flock(2) asks for no right but that of opening.
    pub(super) fn create_locked(&self, name: &str, text: &str) -> Result<OwnedFd, Errno> {
        let unnamed = format!("{UNNAMED}{name}");
        let file = self.new_file(&unnamed, PRIVATE)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let file = self.fill(&unnamed, file, text)?;
        if let Err(error) = renameat(&self.0, &unnamed, &self.0, name) {
            let _ = self.remove(&unnamed);
            return Err(error);
        }
        Ok(file)
    }

    fn new_file(&self, name: &str, mode: u32) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.0, name, flags, Mode::from_raw_mode(mode))
    }

    fn fill(&self, name: &str, file: OwnedFd, text: &str) -> Result<OwnedFd, Errno> {
        match rustix::io::write(&file, text.as_bytes()) {
            Ok(written) if written == text.len() => Ok(file),
            partly => {
                let _ = self.remove(name);
                Err(partly.err().unwrap_or(Errno::NOSPC))
            }
        }
    }

    /// Puts a file in the place of another; for who has the lock, because the name in between is one for all.
    pub(super) fn replace(&self, name: &str, text: &str) -> Result<(), Errno> {
        const NEW: &str = ".new";
        self.remove(NEW)?;
        self.create(NEW, text)?;
        renameat(&self.0, NEW, &self.0, name)
    }

    /// Removes a file; one that is not there is no error.
    pub(super) fn remove(&self, name: &str) -> Result<(), Errno> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => removed,
        }
    }

    /// A file to lock, which nobody else can open.
    pub(super) fn lock_file(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.0, name, flags, Mode::from_raw_mode(PRIVATE))
    }

    /// Whether no process has the lock of a file made by [`Directory::create_locked`]; one that has just been removed has no process,
    /// either. Several may ask at once: none takes another that asks for the process.
    pub(super) fn is_abandoned(&self, name: &str) -> bool {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(&self.0, name, flags, Mode::empty());
        match file {
            Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_ok(),
            Err(error) => error == Errno::NOENT,
        }
    }
}
