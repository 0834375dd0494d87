//! Facts read from a node: its GPUs, their MIG mode, geometry, instances and device files.
//!
//! This is the one picture everything else works from. It is read fresh by
//! [`Driver::inventory`](crate::nvml::Driver::inventory) and never updated in place. Its JSON is public, see
//! [`document`](crate::document): names and order of the fields are part of it.

mod capabilities;

use std::fmt;

use device_map::DeviceFile;
use mig::{Architecture, Geometry, Placement, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cores::Topology;

pub use capabilities::CapabilityNumbers;
pub(crate) use capabilities::PREFIX as CAPABILITY;

/// One node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Slurm's name of the node.
    pub node: String,
    /// Boot id the facts belong to.
    pub boot: String,
    /// Driver version, as `nvmlSystemGetDriverVersion` gives it.
    pub driver: String,
    /// Whether GPUs of the node are missing here, because only some were asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// CPUs and the cores Slurm counts them to; empty where it was not read.
    #[serde(rename = "cores")]
    pub topology: Topology,
    /// GPUs by NVML index.
    pub gpus: Vec<Gpu>,
}

/// One physical GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gpu {
    /// NVML index, in PCI order.
    pub index: u32,
    /// Minor number of its device node. It differs from the index on real hosts and may change at a boot.
    pub minor: u32,
    /// `GPU-…`.
    pub uuid: String,
    /// PCI address as `0000:07:00.0`.
    pub pci: String,
    /// PCI device id, high, and vendor id, low, as NVML's `pciDeviceId`.
    pub pci_device: u32,
    /// The same of the board that carries it (`pciSubSystemId`); `None` where it is not known.
    #[serde(default)]
    pub pci_subsystem: Option<u32>,
    /// Product name.
    pub model: String,
    /// Total memory, in MiB.
    pub memory_mib: u64,
    /// Architecture; `None` for one older than Ampere or unknown to this program.
    pub architecture: Option<Architecture>,
    /// MIG mode; null without MIG.
    #[serde(default)]
    pub mode: Mode,
    /// Whether this is a vGPU guest, where MIG belongs to the hypervisor.
    pub guest: bool,
    /// CPUs near the GPU (`nvmlDeviceGetCpuAffinity`); empty when the driver does not say.
    pub cpus: Vec<u32>,
    /// What it can be cut into; no specs when it has no MIG or the driver does not tell with MIG off.
    pub geometry: Geometry,
    /// Its own device node.
    pub file: DeviceFile,
    /// GPU instances, by id.
    pub instances: Vec<Instance>,
    /// Who uses the GPU as a whole, not through one of its instances.
    #[serde(default)]
    pub holders: Vec<Holder>,
    /// The capabilities of all instances it could have; read of a GPU on request alone (`slurm.on-request`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<CapabilityNumbers>,
}

/// MIG mode of a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Mode {
    /// The GPU has no MIG; `null` in JSON.
    #[default]
    Unsupported,
    /// What it is, and what it will be after a GPU reset or reboot.
    Known {
        /// Whether MIG is on.
        current: bool,
        /// Whether MIG will be on.
        pending: bool,
    },
}

impl Mode {
    /// Whether MIG is on now.
    pub fn is_on(self) -> bool {
        matches!(self, Mode::Known { current: true, .. })
    }

    /// Whether a GPU reset or reboot would change the mode.
    pub fn is_pending(self) -> bool {
        matches!(self, Mode::Known { current, pending } if current != pending)
    }
}

/// A GPU instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// GPU instance id, the driver's own.
    pub gi: u32,
    #[serde(flatten)]
    pub placement: Placement,
    /// Its compute instances, by id. None at all makes it an orphan: nothing can run on it.
    pub compute: Vec<Compute>,
    /// Who uses it. Empty until [`crate::holders`] has looked.
    pub holders: Vec<Holder>,
    /// Whether an order has closed it: who has it keeps it, and Slurm gives it to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

/// A compute instance, which is what CUDA and Slurm call a MIG device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Compute {
    /// Compute instance id, the driver's own.
    pub ci: u32,
    /// `3g.20gb`, or `1c.3g.20gb` where it is a part of its GPU instance.
    pub profile: Profile,
    /// First compute slice within the GPU instance.
    pub start: u32,
    /// `MIG-…`.
    pub uuid: String,
    /// The GPU's node, the GPU instance's capability, the compute instance's capability.
    pub files: Vec<DeviceFile>,
}

/// Somebody who uses a GPU or an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Holder {
    /// A process NVML reports, or one that has a device node open.
    Process {
        pid: u32,
        /// Its command name (`/proc/PID/comm`); empty when it is gone.
        command: String,
        /// Login name of its real user, or the number.
        user: String,
    },
    /// A Slurm job that holds the GRES.
    Job {
        id: u32,
        /// Login name of its owner.
        user: String,
    },
    /// A command started by `gresgen run`, which holds the slice's lock.
    Run {
        /// Process id of the command; 0 where only the lock is seen, and not who holds it.
        pid: u32,
    },
    /// The node is one of Slurm's and its controller cannot be asked.
    Unknown,
    /// Slurm's controller counts the device as in use and has no job that has it.
    Unexplained,
}

impl Inventory {
    /// Device files of all compute instances with what they belong to, by GPU, instance and compute instance.
    pub fn devices(&self) -> impl Iterator<Item = (&Gpu, &Instance, &Compute)> {
        self.gpus
            .iter()
            .flat_map(|gpu| gpu.devices().map(move |(instance, compute)| (gpu, instance, compute)))
    }

    /// Whole GPUs a job can use: MIG is off or absent.
    pub fn whole_gpus(&self) -> impl Iterator<Item = &Gpu> {
        self.gpus.iter().filter(|gpu| !gpu.mode.is_on())
    }
}

impl Gpu {
    /// Its compute instances, with the GPU instance that each is of.
    pub fn devices(&self) -> impl Iterator<Item = (&Instance, &Compute)> {
        self.instances.iter().flat_map(|i| i.compute.iter().map(move |compute| (i, compute)))
    }
}

/// `GPU 0 (GPU-8c4c05eb-...)`: by its index for a person, and by what stays when indexes change.
impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GPU {} ({})", self.index, self.uuid)
    }
}

#[cfg(test)]
impl Gpu {
    /// An A100 with MIG off, for tests to build on.
    pub(crate) fn bare_a100(index: u32) -> Self {
        Gpu {
            index,
            minor: index,
            uuid: format!("GPU-{index}"),
            pci: format!("0000:{index:02x}:00.0"),
            pci_device: 0x20b0_10de,
            pci_subsystem: None,
            model: "NVIDIA A100-SXM4-40GB".into(),
            memory_mib: 40960,
            architecture: None,
            mode: Mode::Known { current: false, pending: false },
            guest: false,
            cpus: vec![],
            geometry: mig::Board::by_key("a100-40gb").unwrap().geometry(),
            instances: vec![],
            file: DeviceFile { path: format!("/dev/nvidia{index}").into(), major: 195, minor: index },
            holders: vec![],
            capabilities: None,
        }
    }

    /// The same with MIG on and these instances in the driver's numbering (open-gpu-kernel-modules, nv-caps.c), with ids in their
    /// order, for GPUs on request.
    pub(crate) fn a100_cut(index: u32, cut: &[Placement]) -> Self {
        let bare = Gpu::bare_a100(index);
        let first = 3 + index * 135;
        let instances = cut.iter().zip(1..).map(|(&placement, gi)| {
            let cap = |minor: u32| DeviceFile {
                path: format!("/dev/nvidia-caps/nvidia-cap{minor}").into(),
                major: 238,
                minor,
            };
            let files = vec![bare.file.clone(), cap(first + gi * 9), cap(first + gi * 9 + 1)];
            let uuid = format!("MIG-{index}-{gi}");
            let compute = vec![Compute { ci: 0, profile: placement.profile, start: 0, uuid, files }];
            Instance { gi, placement, compute, holders: vec![], closed: false }
        });
        Gpu {
            mode: Mode::Known { current: true, pending: true },
            instances: instances.collect(),
            capabilities: Some(CapabilityNumbers {
                major: 238,
                minors: (first..first + 135).collect(),
                directory: "/dev/gresgen".into(),
            }),
            ..bare
        }
    }
}
