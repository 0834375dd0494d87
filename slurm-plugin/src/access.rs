//! What the kernel says about a device, without opening it.
//!
//! `faccessat` runs the permission check of an open: the device cgroup answers EPERM, on cgroup v1 and v2, for
//! root as for the user. It looks at the mode of the node first, so a node that the user's own permissions
//! deny (EACCES) hides what the cgroup would say.

use device_map::{DeviceFile, Record};
use rustix::fs::{Access as Want, AtFlags, CWD, FileType, accessat, major, minor, stat};
use rustix::io::Errno;

/// May the running task use a device?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its cgroup and its user may.
    Allowed,
    /// Its device cgroup denies it.
    Denied,
    /// The mode of the node denies it to the user, whatever the cgroup would say.
    Hidden,
    /// There is no such node.
    Missing,
    /// The node is another device than the map says: `major:minor` found, or what else stands there.
    Changed(String),
    /// The question itself failed.
    Unknown(String),
}

/// Asks about the node that belongs to `record` alone.
pub fn ask(record: &Record) -> Access {
    let Some(file) = record.own_file() else { return Access::Missing };
    match accessat(CWD, &file.path, Want::READ_OK, AtFlags::EACCESS) {
        Ok(()) => Access::Allowed,
        Err(error) => verdict(error),
    }
}

/// As [`ask`], and sees to it that the node is the device the map means: the path may be a link that was made anew.
pub fn ask_and_compare(record: &Record) -> Access {
    let Some(file) = record.own_file() else { return Access::Missing };
    match identity(file) {
        Ok(()) => ask(record),
        Err(access) => access,
    }
}

fn identity(file: &DeviceFile) -> Result<(), Access> {
    let status = stat(&file.path).map_err(verdict)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::CharacterDevice {
        return Err(Access::Changed("no character device".into()));
    }
    let found = (major(status.st_rdev), minor(status.st_rdev));
    let same = found == (file.major, file.minor);
    same.then_some(()).ok_or_else(|| Access::Changed(format!("{}:{}", found.0, found.1)))
}

fn verdict(error: Errno) -> Access {
    match error {
        Errno::PERM => Access::Denied,
        Errno::ACCESS => Access::Hidden,
        Errno::NOENT | Errno::NOTDIR => Access::Missing,
        error => Access::Unknown(error.to_string()),
    }
}
