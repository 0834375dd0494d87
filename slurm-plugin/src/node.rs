//! The device map of this node.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use device_map::{DeviceMap, LoadError};

/// Where the driver lists the MIG instances that exist: `gpuN/mig/giM`.
const CAPABILITIES: &str = "/proc/driver/nvidia/capabilities";

/// Why a node has no map to resolve with.
#[derive(Debug)]
pub enum NoMap {
    /// The map cannot be used.
    Unusable(LoadError),
    /// There is a map, but slurmd did not load it.
    NotLoaded(String),
    /// There is no map although the GPUs are cut.
    Missing(String),
}

impl fmt::Display for NoMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoMap::Unusable(error) => write!(f, "{error}"),
            NoMap::NotLoaded(map) => write!(f, "{map}: slurmd has not loaded it; restart slurmd"),
            NoMap::Missing(map) => write!(
                f,
                "{map}: no such file although this node has MIG devices; run gresgen apply, then restart slurmd"
            ),
        }
    }
}

/// The map slurmd was started with; `None` on a node where nothing is to be done: no map, and no MIG device.
///
/// # Errors
/// [`NoMap`], which names the file and what to do.
pub fn map(path: &Path) -> Result<Option<DeviceMap>, NoMap> {
    map_on(path, Path::new(CAPABILITIES))
}

fn map_on(path: &Path, capabilities: &Path) -> Result<Option<DeviceMap>, NoMap> {
    let name = || path.display().to_string();
    let load = |file: &Path| device_map::load(file).and_then(|map| map.of_this_boot(path));
    match load(&device_map::kept(path)) {
        Ok(map) => Ok(Some(map)),
        Err(LoadError::Io(_, error)) if error.kind() == ErrorKind::NotFound => match load(path) {
            Ok(_) => Err(NoMap::NotLoaded(name())),
            Err(LoadError::Io(_, error)) if error.kind() == ErrorKind::NotFound => {
                if has_mig_devices(capabilities) { Err(NoMap::Missing(name())) } else { Ok(None) }
            }
            Err(error) => Err(NoMap::Unusable(error)),
        },
        Err(error) => Err(NoMap::Unusable(error)),
    }
}

/// Whether the driver knows a GPU instance on any GPU.
fn has_mig_devices(capabilities: &Path) -> bool {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    entries(capabilities).any(|gpu| {
        entries(&gpu.path().join("mig")).any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"gi"))
    })
}

/// In slurmd: keeps the map for the tasks to come. Returns it, and what to log.
///
/// slurmd runs in any case; where the map cannot be kept, tasks are told why.
pub fn keep(path: &Path) -> Result<(Option<DeviceMap>, String), String> {
    match device_map::keep(path) {
        Ok(map) => {
            let done = format!("{}: {} devices kept for tasks", path.display(), map.records.len());
            Ok((Some(map), done))
        }
        Err(LoadError::Io(_, error)) if error.kind() == ErrorKind::NotFound => {
            Ok((None, format!("{}: none on this node", path.display())))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use tempfile::TempDir;

    /// A directory for a map and a driver's list of capabilities; `None` where we are not root, whose maps alone
    /// are trusted.
    fn node() -> Option<(TempDir, PathBuf, PathBuf)> {
        let directory = TempDir::new().unwrap();
        let root = fs::metadata(directory.path()).is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        let (map, capabilities) = (directory.path().join("devices"), directory.path().join("capabilities"));
        root.then_some((directory, map, capabilities))
    }

    fn write(path: &Path, boot: &str) {
        let map = DeviceMap { boot: boot.to_owned(), ..DeviceMap::default() };
        fs::write(path, map.to_string()).unwrap();
    }

    fn reason(map: &Path, capabilities: &Path) -> String {
        let error = map_on(map, capabilities).unwrap_err().to_string();
        error.replace(&map.parent().unwrap().display().to_string(), "DIR")
    }

    #[test]
    fn a_node_without_map_and_mig_is_left_alone() {
        let Some((_directory, map, capabilities)) = node() else { return };
        assert_eq!(map_on(&map, &capabilities).unwrap(), None);
        // A driver without instances, and GPUs in MIG mode that are not cut.
        fs::create_dir_all(capabilities.join("gpu0/mig")).unwrap();
        fs::create_dir_all(capabilities.join("mig")).unwrap();
        assert_eq!(map_on(&map, &capabilities).unwrap(), None);
    }

    #[test]
    fn a_node_with_mig_needs_a_map() {
        let Some((_directory, map, capabilities)) = node() else { return };
        fs::create_dir_all(capabilities.join("gpu1/mig/gi7/ci0")).unwrap();
        assert_eq!(
            reason(&map, &capabilities),
            "DIR/devices: no such file although this node has MIG devices; run gresgen apply, then restart slurmd"
        );
    }

    #[test]
    fn only_the_copy_of_slurmd_counts() {
        let Some((_directory, map, capabilities)) = node() else { return };
        write(&map, &device_map::boot_id().unwrap());
        assert_eq!(reason(&map, &capabilities), "DIR/devices: slurmd has not loaded it; restart slurmd");
        assert!(keep(&map).unwrap().1.ends_with("0 devices kept for tasks"));
        assert!(map_on(&map, &capabilities).unwrap().is_some());
        // Whatever is applied since.
        fs::write(&map, "garbage").unwrap();
        assert!(map_on(&map, &capabilities).unwrap().is_some());
    }

    #[test]
    fn a_map_of_another_boot_is_stale() {
        let Some((_directory, map, capabilities)) = node() else { return };
        write(&map, "another");
        let stale = "DIR/devices: written before the last boot; run gresgen apply, then restart slurmd";
        assert!(keep(&map).is_err());
        assert_eq!(reason(&map, &capabilities), stale);
        // As another boot would have left it where files outlive one.
        write(&device_map::kept(&map), "another");
        assert_eq!(reason(&map, &capabilities), stale);
    }

    #[test]
    fn a_map_that_cannot_be_read_is_named() {
        let Some((_directory, map, capabilities)) = node() else { return };
        fs::write(&map, "garbage\n").unwrap();
        assert!(keep(&map).is_err());
        let reason = reason(&map, &capabilities);
        assert_eq!(reason, "DIR/devices: line 1: not a device map: no \"gresgen-devices\" line");
    }
}
