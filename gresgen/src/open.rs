//! Which processes have which device nodes open, by the numbers of the device: a node may have other names, or have lost
//! its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::fs;
use std::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, StatxFlags, openat, statx};

use crate::read;

/// Major and minor number of a character device.
pub(crate) type Numbers = (u32, u32);

/// How a process has a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hold {
    /// It has named it and not opened it (`O_PATH`): the driver knows nothing of that, nor may whoever does it use it.
    Named,
    /// It has it open.
    Open,
}

/// Who has which device, as far as this process may see: root sees all.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenNodes(BTreeMap<Numbers, BTreeMap<u32, Hold>>);

impl OpenNodes {
    /// Looks through the descriptors of all processes for these devices, but for this one: NVML opens `/dev/nvidiaN` of
    /// every GPU for each of its clients (seen on an H100 and an H200, driver 580.159.04).
    pub(crate) fn read(devices: &BTreeSet<Numbers>) -> Self {
        let mut found = OpenNodes::default();
        let mut buffer = [MaybeUninit::uninit(); 8 << 10];
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids.filter(|pid| *pid != std::process::id()) {
            // Names in an open directory: a node has tens of thousands of descriptors, and before each step of a change all
            // of them are looked at.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let Ok(folder) = openat(CWD, format!("/proc/{pid}/fd"), flags, Mode::empty()) else { continue };
            let mut entries = RawDir::new(&folder, &mut buffer);
            while let Some(Ok(entry)) = entries.next() {
                let descriptor = entry.file_name();
                let Some(numbers) = device(folder.as_fd(), descriptor) else { continue };
                if devices.contains(&numbers) {
                    let holders = found.0.entry(numbers).or_default();
                    let hold = holders.entry(pid).or_insert(Hold::Named);
                    *hold = (*hold).max(how(pid, descriptor));
                }
            }
        }
        found
    }

    /// Processes that have a device open.
    pub(crate) fn of(&self, numbers: Numbers) -> impl Iterator<Item = u32> {
        self.all(numbers).filter(|(_, hold)| *hold == Hold::Open).map(|(pid, _)| pid)
    }

    /// Processes with a descriptor of a device, and what it is good for.
    pub(crate) fn all(&self, numbers: Numbers) -> impl Iterator<Item = (u32, Hold)> {
        self.0.get(&numbers).into_iter().flatten().map(|(pid, hold)| (*pid, *hold))
    }
}

/// The numbers of an open file, if it is a character device. The link leads to the file itself, whatever its path leads
/// to now; a network file system is not asked, which might never answer.
fn device(folder: BorrowedFd<'_>, descriptor: &CStr) -> Option<Numbers> {
    let status = statx(folder, descriptor, AtFlags::STATX_DONT_SYNC, StatxFlags::TYPE).ok()?;
    let is_device = FileType::from_raw_mode(status.stx_mode.into()) == FileType::CharacterDevice;
    is_device.then_some((status.stx_rdev_major, status.stx_rdev_minor))
}

/// Whether a descriptor was really opened. One that cannot be read any more counts: the process may have another.
fn how(pid: u32, descriptor: &CStr) -> Hold {
    /// Of a descriptor that only names a file (Linux include/uapi/asm-generic/fcntl.h; proc(5), fdinfo). The mode of the
    /// link would not tell: one opened for ioctl(2) alone, with access mode 3, has none either.
    const O_PATH: u32 = 0o10_000_000;
    let path = format!("/proc/{pid}/fdinfo/{}", descriptor.to_string_lossy());
    let info = read::kernel(path).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    if flags.is_some_and(|flags| flags & O_PATH != 0) { Hold::Named } else { Hold::Open }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command};

    use rustix::fs::{Mode, OFlags, open};

    use super::*;

    /// Linux devices.txt: 1 char, memory devices.
    const FULL: Numbers = (1, 7);
    const ZERO: Numbers = (1, 5);

    /// A process that has a descriptor, until it is dropped.
    struct Keeper(Child);

    impl Keeper {
        fn of(descriptor: OwnedFd) -> Self {
            Keeper(Command::new("sleep").arg("600").stdin(descriptor).spawn().unwrap())
        }

        fn pid(&self) -> u32 {
            self.0.id()
        }
    }

    impl Drop for Keeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_device_is_known_by_its_numbers() {
        let read = || OpenNodes::read(&BTreeSet::from([FULL, ZERO]));
        let named = Keeper::of(open("/dev/full", OFlags::PATH, Mode::empty()).unwrap());
        let nodes = read();
        assert!(nodes.all(FULL).any(|holder| holder == (named.pid(), Hold::Named)));
        assert!(nodes.of(FULL).all(|pid| pid != named.pid()), "a name is no use of it");
        // The access mode that is neither reading nor writing (open(2), "File access mode").
        let control = open("/dev/full", OFlags::RDWR | OFlags::WRONLY, Mode::empty()).unwrap();
        let control = Keeper::of(control);
        assert!(read().of(FULL).any(|pid| pid == control.pid()), "open for ioctl alone");
        let zero = Keeper::of(File::open("/dev/zero").unwrap().into());
        let nodes = read();
        assert!(nodes.of(ZERO).any(|pid| pid == zero.pid()));
        assert!(nodes.of(FULL).all(|pid| pid != zero.pid()));
        assert!(read().of((1, 3)).next().is_none(), "only what was asked for");
    }

    #[test]
    fn this_process_does_not_find_itself() {
        let _zero = File::open("/dev/zero").unwrap();
        assert!(OpenNodes::read(&BTreeSet::from([ZERO])).of(ZERO).all(|pid| pid != std::process::id()));
    }
}
