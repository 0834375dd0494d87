//! Fake GPU device nodes: real character devices that no driver serves.
//!
//! An open that the device cgroup lets through ends in ENXIO, a denied one in EPERM: the difference is all a
//! judge needs.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::LabError;

/// One schedulable device: a MIG device, or a whole GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeGpu {
    /// What CUDA would call it.
    pub uuid: String,
    /// The UUID of its physical GPU.
    pub parent: String,
    /// GPU instance and compute instance; `None` for a whole GPU.
    pub instance: Option<(u32, u32)>,
    /// Its device nodes: the GPU, then the capabilities of the GPU instance and of the compute instance.
    pub files: Vec<PathBuf>,
}

/// A character device to be made in a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceNode {
    pub(crate) path: PathBuf,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// The GPUs of a lab and the nodes under `/dev` they are made of.
#[derive(Clone, Debug, Default)]
pub struct FakeGpus {
    /// The schedulable devices, in the order they were given.
    pub gpus: Vec<FakeGpu>,
    pub(crate) nodes: Vec<DeviceNode>,
}

/// Capability minors are dealt out per GPU as the NVIDIA driver does: fifteen GPU instances, each with a minor of
/// its own and eight for its compute instances. Minors 1 and 2 are `config` and `monitor`.
const CAPS_PER_GPU: u32 = 15 * CAPS_PER_INSTANCE;
const CAPS_PER_INSTANCE: u32 = 9;

impl FakeGpus {
    /// MIG devices, each given as (minor of the GPU, GPU instance, compute instance).
    pub fn new(instances: &[(u32, u32, u32)]) -> Self {
        let mut gpus = Self::default();
        for &(gpu, gi, ci) in instances {
            gpus.add_instance(gpu, gi, ci);
        }
        gpus
    }

    /// Adds a MIG device.
    pub fn add_instance(&mut self, gpu: u32, gi: u32, ci: u32) -> &mut Self {
        let gi_cap = gpu * CAPS_PER_GPU + gi * CAPS_PER_INSTANCE + 3;
        let files = vec![self.gpu_node(gpu), self.cap_node(gi_cap), self.cap_node(gi_cap + 1 + ci)];
        self.gpus.push(FakeGpu {
            uuid: format!("MIG-{gpu:08x}-0000-5000-8000-{gi:06x}{ci:06x}"),
            parent: parent_uuid(gpu),
            instance: Some((gi, ci)),
            files,
        });
        self
    }

    /// Adds a GPU that is not in MIG mode.
    pub fn add_whole(&mut self, gpu: u32) -> &mut Self {
        let files = vec![self.gpu_node(gpu)];
        self.gpus.push(FakeGpu { uuid: parent_uuid(gpu), parent: parent_uuid(gpu), instance: None, files });
        self
    }

    /// Every `dev/nvidia*` and `dev/nvidia-caps/*` node below `root`, as a simulator lays them out; its devices
    /// are known to whoever made the tree, so [`Self::gpus`] stays empty.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn from_tree(root: &Path) -> Result<Self, LabError> {
        let mut gpus = Self::default();
        for directory in ["dev", "dev/nvidia-caps"] {
            let directory = root.join(directory);
            for entry in fs::read_dir(&directory).map_err(LabError::file(&directory))? {
                let path = entry.map_err(LabError::file(&directory))?.path();
                let status = fs::metadata(&path).map_err(LabError::file(&path))?;
                if status.file_type().is_char_device() {
                    let inside = Path::new("/").join(path.strip_prefix(root).expect("listed below the root"));
                    let (major, minor) = split_device_number(status.rdev());
                    gpus.nodes.push(DeviceNode { path: inside, major, minor });
                }
            }
        }
        Ok(gpus)
    }

    /// An index of NVML for each GPU, and its UUID: in the reverse order of their minors, as on hosts where PCI addresses
    /// and minors disagree.
    pub fn indexes(&self) -> Vec<(u32, String)> {
        let parents: BTreeSet<&String> = self.gpus.iter().map(|gpu| &gpu.parent).collect();
        (0..).zip(parents.into_iter().rev().cloned()).collect()
    }

    /// The device nodes of one device.
    pub fn files(&self, index: usize) -> BTreeSet<PathBuf> {
        self.gpus[index].files.iter().cloned().collect()
    }

    /// The device nodes of several devices.
    pub fn files_of(&self, indexes: &[usize]) -> BTreeSet<PathBuf> {
        indexes.iter().flat_map(|&index| self.gpus[index].files.iter().cloned()).collect()
    }

    /// The devices whose own node (the last one) is among `open`.
    pub fn opened(&self, open: &BTreeSet<PathBuf>) -> Vec<usize> {
        let own = |gpu: &FakeGpu| gpu.files.last().is_some_and(|file| open.contains(file));
        (0..self.gpus.len()).filter(|&index| own(&self.gpus[index])).collect()
    }

    /// A gres.conf for `node` with one line per device, of the given types.
    pub fn gres_conf(&self, node: &str, types: &[&str]) -> String {
        assert_eq!(types.len(), self.gpus.len(), "one type per device");
        self.gpus
            .iter()
            .zip(types)
            .map(|(gpu, kind)| {
                let files: Vec<_> = gpu.files.iter().map(|file| file.display().to_string()).collect();
                let key = if files.len() == 1 { "File" } else { "MultipleFiles" };
                format!(
                    "NodeName={node} Name=gpu Type={kind} {key}={} Flags=nvidia_gpu_env\n",
                    files.join(",")
                )
            })
            .collect()
    }

    /// Major and minor number of a device node made here.
    pub fn number(&self, path: &Path) -> Option<(u32, u32)> {
        self.nodes.iter().find(|node| node.path == path).map(|node| (node.major, node.minor))
    }

    fn gpu_node(&mut self, gpu: u32) -> PathBuf {
        self.node(format!("/dev/nvidia{gpu}"), 0, gpu)
    }

    fn cap_node(&mut self, minor: u32) -> PathBuf {
        self.node(format!("/dev/nvidia-caps/nvidia-cap{minor}"), 1, minor)
    }

    fn node(&mut self, path: String, kind: usize, minor: u32) -> PathBuf {
        let path = PathBuf::from(path);
        if !self.nodes.iter().any(|node| node.path == path) {
            self.nodes.push(DeviceNode { path: path.clone(), major: unused_majors()[kind], minor });
        }
        path
    }
}

fn parent_uuid(gpu: u32) -> String {
    format!("GPU-{gpu:08x}-0000-4000-8000-000000000000")
}

/// Two character majors without a driver, from the range for local use (Linux devices.txt: 240 to 254).
fn unused_majors() -> [u32; 2] {
    let devices = fs::read_to_string("/proc/devices").unwrap_or_default();
    let used: BTreeSet<u32> = devices
        .lines()
        .take_while(|line| !line.starts_with("Block"))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    let mut free = (240..=254).filter(|major| !used.contains(major));
    [free.next().unwrap_or(240), free.next().unwrap_or(241)]
}

/// Linux `gnu_dev_major` and `gnu_dev_minor` (glibc sys/sysmacros.h).
fn split_device_number(device: u64) -> (u32, u32) {
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    (major as u32, minor as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_share_the_gpu_and_nothing_else() {
        let gpus = FakeGpus::new(&[(0, 7, 0), (0, 8, 0), (1, 7, 0)]);
        let shared: Vec<_> = gpus.files(0).intersection(&gpus.files(1)).cloned().collect();
        assert_eq!(shared, [PathBuf::from("/dev/nvidia0")]);
        assert!(gpus.files(0).is_disjoint(&gpus.files(2)));
        assert_eq!(gpus.opened(&gpus.files_of(&[0, 2])), [0, 2]);
    }

    #[test]
    fn device_numbers_split_beyond_eight_bits() {
        assert_eq!(split_device_number(0xf0_05), (240, 5));
        assert_eq!(split_device_number(0x10_f0_05), (240, 0x105));
    }
}
