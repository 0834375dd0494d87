//! Device nodes: `/dev/nvidiaN` and the capability nodes that guard MIG instances.
//!
//! The kernel module gives every possible instance a capability with a fixed minor number, listed in
//! `/proc/driver/nvidia-caps/mig-minors`; the major number is dynamic and stands in `/proc/devices`.
//! Nodes are not made by the kernel: `nvidia-modprobe` or whoever needs them makes them
//! (NVIDIA open-gpu-kernel-modules nv-caps.c, nvidia-modprobe).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use device_map::DeviceFile;
use rustix::fs::{FileType, Mode, makedev, mknodat};

use crate::inventory::CapabilityNumbers;
use crate::path_error::PathError;
use crate::read;
use crate::root::Root;

/// Major number of `/dev/nvidiaN` (Linux devices.txt: 195 char, Nvidia graphics devices).
const NVIDIA_MAJOR: u32 = 195;
/// Name of the capabilities' major in `/proc/devices`.
const CAPS_MAJOR_NAME: &str = "nvidia-caps";
/// `DeviceFileMode: 292` of every GPU and compute instance capability: readable by all.
const CAPS_MODE: u32 = 0o444;

/// Where this program keeps device nodes of its own.
pub(crate) const OWN: &str = "/dev/gresgen";

/// Identity of the running boot.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn boot_id(root: &Root) -> Result<String, PathError> {
    Ok(read(&root.kernel(Root::BOOT_ID))?.trim().to_owned())
}

/// The node of a whole GPU. Its major is what the node has, or the assigned one when it is not there.
pub(crate) fn gpu_file(root: &Root, minor: u32) -> Result<DeviceFile, PathError> {
    let path = root.path(format!("/dev/nvidia{minor}"));
    let numbers = char_device(&path);
    let (major, minor) = numbers.unwrap_or((NVIDIA_MAJOR, minor));
    Ok(DeviceFile { path, major, minor })
}

/// Major and minor of a character device.
fn char_device(path: &Path) -> Option<(u32, u32)> {
    let metadata = path.metadata().ok().filter(|m| m.file_type().is_char_device())?;
    Some((rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev())))
}

/// Device numbers of MIG capabilities. Read without failing, because a node without MIG has none; asking for
/// one that is not known fails with the file at fault.
pub(crate) struct Capabilities {
    root: Root,
    minors: Result<BTreeMap<String, u32>, io::Error>,
    major: Option<u32>,
}

impl Capabilities {
    /// Reads the kernel module's lists.
    pub(crate) fn read(root: &Root) -> Self {
        let minors = read::lossy(&root.path(Root::MIG_MINORS), read::MAX_KERNEL).map(|text| {
            let entry = |line: &str| {
                let (name, minor) = line.rsplit_once(' ')?;
                Some((name.to_owned(), minor.parse().ok()?))
            };
            text.lines().filter_map(entry).collect()
        });
        let devices = read::kernel(root.path(Root::PROC_DEVICES)).unwrap_or_default();
        Capabilities { root: root.clone(), minors, major: major(&devices) }
    }

    /// Capability of a GPU instance. `gpu` is the device minor, not the NVML index.
    ///
    /// # Errors
    /// [`PathError`] naming the list that lacks it.
    pub(crate) fn gpu_instance(&self, gpu: u32, gi: u32) -> Result<DeviceFile, PathError> {
        self.file(format!("gpu{gpu}/gi{gi}/access"))
    }

    /// Capability of a compute instance.
    ///
    /// # Errors
    /// [`PathError`] naming the list that lacks it.
    pub(crate) fn compute_instance(&self, gpu: u32, gi: u32, ci: u32) -> Result<DeviceFile, PathError> {
        self.file(format!("gpu{gpu}/gi{gi}/ci{ci}/access"))
    }

    /// The capabilities of all instances that a GPU could have; `None` where the module lists none. `gpu` is the device
    /// minor.
    pub(crate) fn of_gpu(&self, gpu: u32) -> Option<CapabilityNumbers> {
        let mine = format!("gpu{gpu}/");
        let minors = self.minors.as_ref().ok()?.iter().filter(|(name, _)| name.starts_with(&mine));
        let minors: BTreeSet<u32> = minors.map(|(_, minor)| *minor).collect();
        let directory = self.root.path(OWN);
        (!minors.is_empty()).then_some(CapabilityNumbers { major: self.major?, minors, directory })
    }

    fn file(&self, name: String) -> Result<DeviceFile, PathError> {
        let list = self.root.path(Root::MIG_MINORS);
        let minors = self.minors.as_ref().map_err(|error| PathError::new(&list, error.to_string()))?;
        let unlisted = || PathError::new(&list, format!("no line {name:?}"));
        let minor = *minors.get(&name).ok_or_else(unlisted)?;
        let path = self.root.path(format!("/dev/nvidia-caps/nvidia-cap{minor}"));
        // A node may be left from before the module was loaded again with another major.
        let node = || char_device(&path).map(|(major, _)| major);
        let major = self.major.or_else(node);
        let major = major.ok_or_else(|| {
            PathError::new(
                self.root.path(Root::PROC_DEVICES),
                format!("no major number for {CAPS_MAJOR_NAME}"),
            )
        })?;
        Ok(DeviceFile { path, major, minor })
    }
}

/// Compute instance ids by GPU instance id.
pub(crate) type InstanceIds = BTreeMap<u32, BTreeSet<u32>>;

/// The instances that the kernel module itself has on a GPU: their directories exist just as long as they do.
/// Empty where the module's tree is not to be seen, as in a container. `gpu` is the device minor.
pub(crate) fn existing(root: &Root, gpu: u32) -> InstanceIds {
    let numbered = |directory: &Path, prefix: &str| -> Vec<(u32, PathBuf)> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let number = |name: &std::ffi::OsStr| name.to_str()?.strip_prefix(prefix)?.parse().ok();
        entries.filter_map(|entry| Some((number(&entry.file_name())?, entry.path()))).collect()
    };
    let instances = numbered(&root.path(Root::CAPABILITIES).join(format!("gpu{gpu}/mig")), "gi");
    let compute = |path: &Path| numbered(path, "ci").into_iter().map(|(ci, _)| ci).collect();
    instances.into_iter().map(|(gi, path)| (gi, compute(&path))).collect()
}

/// The capabilities' major in the text of `/proc/devices`.
fn major(devices: &str) -> Option<u32> {
    let lines = devices.lines().filter_map(|line| line.trim().split_once(' '));
    let mut named = lines.filter(|(_, name)| name.trim() == CAPS_MAJOR_NAME);
    named.next().and_then(|(number, _)| number.parse().ok())
}

/// Makes a capability node that is missing and returns whether it did. Nodes that exist are checked, never
/// replaced. Below a prefix a plain file stands for a device where the simulator may not make nodes; on a node
/// itself slurmd would leave that record out.
///
/// # Errors
/// Without the right to, or when something else is there.
pub(crate) fn ensure(file: &DeviceFile, root: &Root) -> Result<bool, PathError> {
    let DeviceFile { path, major, minor } = file;
    if path.symlink_metadata().is_ok() {
        let what =
            || format!("is not character device {major}:{minor}; remove it, and gresgen apply makes it");
        return if is_there(file, root) { Ok(false) } else { Err(PathError::new(path, what())) };
    }
    let made = || -> io::Result<()> {
        if let Some(directory) = path.parent() {
            crate::atomic::directory(directory)?;
        }
        let mode = Mode::from_raw_mode(CAPS_MODE);
        mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, mode, makedev(*major, *minor))?;
        // mknod is subject to the umask; the kernel module's mode is not.
        rustix::fs::chmod(path, mode)?;
        Ok(())
    };
    made().map(|()| true).map_err(PathError::doing(path, "cannot be made"))
}

/// Whether the device is there, or a file that stands for it below a prefix.
pub(crate) fn is_there(file: &DeviceFile, root: &Root) -> bool {
    let stands_in =
        || !root.is_host() && file.path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    char_device(&file.path) == Some((file.major, file.minor)) || stands_in()
}

/// Makes a node in a directory of this program's own, where one that is another device is left from before the driver was
/// loaded anew.
///
/// # Errors
/// As [`ensure`].
pub(crate) fn ensure_own(file: &DeviceFile, root: &Root) -> Result<bool, PathError> {
    if char_device(&file.path).is_some() && !is_there(file, root) {
        std::fs::remove_file(&file.path).map_err(PathError::doing(&file.path, "cannot be replaced"))?;
    }
    ensure(file, root)
}

fn read(path: &Path) -> Result<String, PathError> {
    read::kernel(path).map_err(PathError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_is_read_by_name() {
        let text =
            "Character devices:\n  1 mem\n195 nvidia\n238 nvidia-caps\n239 nvidia-caps-imex-channels\n";
        assert_eq!(major(text), Some(238));
        assert_eq!(major("Character devices:\n  1 mem\n"), None);
    }

    #[test]
    fn capabilities_come_from_the_kernel_modules_list() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        let caps = Capabilities::read(&root);
        assert_eq!(caps.gpu_instance(0, 7).unwrap_err().path, root.path(Root::MIG_MINORS));
        for (path, text) in [
            (Root::MIG_MINORS, "config 1\nmonitor 2\ngpu0/gi7/access 66\ngpu0/gi7/ci0/access 67\n"),
            (Root::PROC_DEVICES, "Character devices:\n238 nvidia-caps\n"),
        ] {
            std::fs::create_dir_all(root.path(path).parent().unwrap()).unwrap();
            std::fs::write(root.path(path), text).unwrap();
        }
        let caps = Capabilities::read(&root);
        let file = caps.compute_instance(0, 7, 0).unwrap();
        assert_eq!((file.major, file.minor), (238, 67));
        // One of before, when the module had another major. Making it takes root.
        std::fs::create_dir_all(file.path.parent().unwrap()).unwrap();
        let left = DeviceFile { major: 237, ..file.clone() };
        if ensure(&left, &root).is_ok() {
            assert_eq!(caps.compute_instance(0, 7, 0).unwrap(), file, "the kernel says which major it is");
        }
        assert_eq!(file.path, root.path("/dev/nvidia-caps/nvidia-cap67"));
        let missing = caps.gpu_instance(1, 0).unwrap_err().to_string();
        assert!(missing.ends_with("no line \"gpu1/gi0/access\""), "{missing}");
    }

    #[test]
    fn instances_that_exist_are_directories_of_the_kernel_module() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        assert_eq!(existing(&root, 0), InstanceIds::new());
        for path in ["gpu0/mig/gi7/ci0", "gpu0/mig/gi7/ci1", "gpu0/mig/gi9", "gpu1/mig", "mig"] {
            std::fs::create_dir_all(root.path(Root::CAPABILITIES).join(path)).unwrap();
        }
        assert_eq!(existing(&root, 0), InstanceIds::from([(7, [0, 1].into()), (9, [].into())]));
        assert_eq!(existing(&root, 1), InstanceIds::new());
    }

    #[test]
    fn a_file_of_another_kind_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nvidia-cap67");
        std::fs::create_dir(&path).unwrap();
        let file = DeviceFile { path, major: 238, minor: 67 };
        let occupied = |root: &Root| {
            ensure(&file, root).is_err_and(|error| error.what.starts_with("is not character device"))
        };
        let simulated = Root::new(directory.path()).unwrap();
        assert!(occupied(&simulated) && occupied(&Root::host()));
        std::fs::remove_dir(&file.path).unwrap();
        std::fs::write(&file.path, "").unwrap();
        assert!(!occupied(&simulated) && occupied(&Root::host()), "a plain file is no device");
    }
}
