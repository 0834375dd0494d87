//! What the kernel says about a device, without opening it.
//!
//! `faccessat` runs the permission check of an open: the device cgroup answers EPERM, on cgroup v1 and v2, for
//! root as for the user. It looks at the mode of the node first, so a node that the user's own permissions
//! deny (EACCES) hides what the cgroup would say.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use device_map::{DeviceFile, Record};
use rustix::fs::{Access as Want, AtFlags, CWD, accessat, major, minor};
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
        Err(error) => verdict(Some(error)),
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
    let metadata = file.path.metadata().map_err(|error| verdict(Errno::from_io_error(&error)))?;
    let number = metadata.rdev();
    if !metadata.file_type().is_char_device() {
        return Err(Access::Changed("no character device".into()));
    }
    let found = (major(number), minor(number));
    let same = found == (file.major, file.minor);
    same.then_some(()).ok_or_else(|| Access::Changed(format!("{}:{}", found.0, found.1)))
}

fn verdict(error: Option<Errno>) -> Access {
    match error {
        Some(Errno::PERM) => Access::Denied,
        Some(Errno::ACCESS) => Access::Hidden,
        Some(Errno::NOENT | Errno::NOTDIR) => Access::Missing,
        Some(error) => Access::Unknown(error.to_string()),
        None => Access::Unknown("no reason given".into()),
    }
}
