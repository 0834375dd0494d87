//! Who holds a lock, asked without taking any.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::{slice_path, whole};
use crate::read::{self, open_own};
use crate::root::Root;

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

/// Who holds a slice, if anybody does, by its lock and by what [`kernel_locks`] says.
pub(crate) fn slice_holder(root: &Root, uuid: &str, kernel_locks: &str) -> Option<SliceHolder> {
    let path = slice_path(root, uuid)?;
    let other = || is_flocked(&path, kernel_locks).then(|| holder_at(&path)).map(SliceHolder::Other);
    held_by(&path).map(SliceHolder::Run).or_else(other)
}

/// All locks of the machine, as the kernel tells everybody (proc(5), /proc/locks: number, kind, …, process, device and
/// inode). One reading serves a look at all slices; nothing where it cannot be read.
pub(crate) fn kernel_locks() -> String {
    read::kernel("/proc/locks").unwrap_or_default()
}

/// Asks without taking. A lock file that this user may not open is one of root's processes, of which it learns nothing.
fn held_by(path: &Path) -> Option<u32> {
    let mut file = open_own(path, OpenOptions::new().read(true)).ok()?;
    is_held(&file).then(|| holder(&mut file).unwrap_or(0))
}

/// Whether a file is held by flock(2). The process in the kernel's line is the one that took it, which may be gone while
/// one that it started holds it, and another may have its number: it is not asked for.
fn is_flocked(path: &Path, kernel_locks: &str) -> bool {
    let Ok(status) = path.symlink_metadata() else { return false };
    let (major, minor) = (rustix::fs::major(status.dev()), rustix::fs::minor(status.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", status.ino());
    kernel_locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], [_, "FLOCK", _, _, _, at, ..] if at == place)
    })
}

/// A process that holds the file at a path; 0 where none can be told.
fn holder_at(path: &Path) -> u32 {
    open_own(path, OpenOptions::new().read(true)).ok().and_then(|mut file| holder(&mut file)).unwrap_or(0)
}

/// Whether a lock stands in the way of one of ours. What the kernel does not tell counts as held.
pub(super) fn is_held(file: &File) -> bool {
    let mut found = whole();
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut found)) {
        Ok(_) => found.l_type != libc::F_UNLCK as libc::c_short,
        Err(_) => true,
    }
}

/// The process that wrote its id into the file, if it has the file open still: a number alone may be that of a process
/// long gone, or of another that has its number now. Else any process that holds a lock by it.
pub(super) fn holder(file: &mut File) -> Option<u32> {
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
