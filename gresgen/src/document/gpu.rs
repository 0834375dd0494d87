//! The part of a [`Document`](super::Document) that is about one GPU.

use mig::Architecture;
use serde::{Deserialize, Serialize};

use super::geometry::GeometryDocument;
use super::instance::{FileDocument, HolderDocument, InstanceDocument};
use crate::inventory::{Gpu, Holder, Mode};

/// One physical GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuDocument {
    /// NVML index.
    pub index: u32,
    /// Minor number of its device node.
    pub minor: u32,
    /// `GPU-…`.
    pub uuid: String,
    /// PCI address.
    pub pci: String,
    /// PCI device id, high, and vendor id, low.
    pub pci_device: u32,
    /// The same of the board that carries it; null where it is not known.
    #[serde(default)]
    pub pci_subsystem: Option<u32>,
    /// Product name.
    pub model: String,
    /// Total memory, in MiB.
    pub memory_mib: u64,
    /// `ampere`, `hopper`, `blackwell`; null when older or unknown.
    pub architecture: Option<ArchitectureName>,
    /// MIG mode; null when the GPU has no MIG.
    pub mode: Option<ModeDocument>,
    /// Whether this is a vGPU guest.
    pub guest: bool,
    /// CPUs near the GPU, in the kernel's numbers.
    pub cpus: Vec<u32>,
    /// What it can be cut into.
    pub geometry: GeometryDocument,
    /// Its device node.
    pub file: FileDocument,
    /// GPU instances.
    pub instances: Vec<InstanceDocument>,
    /// Who uses it as a whole.
    #[serde(default)]
    pub holders: Vec<HolderDocument>,
}

/// Architectures by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchitectureName {
    /// A100, A30.
    Ampere,
    /// H100, H200.
    Hopper,
    /// B200 and later.
    Blackwell,
}

/// MIG mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeDocument {
    /// Whether MIG is on.
    pub current: bool,
    /// Whether it will be after a GPU reset or reboot.
    pub pending: bool,
}

impl From<&Gpu> for GpuDocument {
    fn from(gpu: &Gpu) -> Self {
        let mode = match gpu.mode {
            Mode::Unsupported => None,
            Mode::Known { current, pending } => Some(ModeDocument { current, pending }),
        };
        GpuDocument {
            index: gpu.index,
            minor: gpu.minor,
            uuid: gpu.uuid.clone(),
            pci: gpu.pci.clone(),
            pci_device: gpu.pci_device,
            pci_subsystem: gpu.pci_subsystem,
            model: gpu.model.clone(),
            memory_mib: gpu.memory_mib,
            architecture: gpu.architecture.map(ArchitectureName::from),
            mode,
            guest: gpu.guest,
            cpus: gpu.cpus.clone(),
            geometry: GeometryDocument::from(&gpu.geometry),
            file: FileDocument::from(&gpu.file),
            instances: gpu.instances.iter().map(|i| InstanceDocument::new(gpu, i)).collect(),
            holders: gpu.holders.iter().map(HolderDocument::from).collect(),
        }
    }
}

impl GpuDocument {
    /// The GPU, or its UUID and what is wrong.
    pub(super) fn read(self) -> Result<Gpu, (String, String)> {
        let uuid = self.uuid.clone();
        self.read_values().map_err(|what| (uuid, what))
    }

    fn read_values(self) -> Result<Gpu, String> {
        super::uuid("GPU-", &self.uuid)?;
        super::line("PCI address", &self.pci)?;
        super::line("model", &self.model)?;
        if let Some(cpu) = self.cpus.iter().find(|&&cpu| cpu >= super::MAX_CPUS) {
            return Err(format!("cpus: {cpu} is not below {}", super::MAX_CPUS));
        }
        let geometry = self.geometry.read()?;
        let instances: Result<Vec<_>, String> =
            self.instances.into_iter().map(|i| i.read(&geometry)).collect();
        Ok(Gpu {
            index: self.index,
            minor: self.minor,
            uuid: self.uuid,
            pci: self.pci,
            pci_device: self.pci_device,
            pci_subsystem: self.pci_subsystem,
            model: self.model,
            memory_mib: self.memory_mib,
            architecture: self.architecture.map(Architecture::from),
            mode: match self.mode {
                None => Mode::Unsupported,
                Some(ModeDocument { current, pending }) => Mode::Known { current, pending },
            },
            guest: self.guest,
            cpus: self.cpus,
            file: self.file.read()?,
            instances: instances?,
            holders: self.holders.into_iter().map(Holder::from).collect(),
            geometry,
        })
    }
}

impl From<Architecture> for ArchitectureName {
    fn from(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Ampere => ArchitectureName::Ampere,
            Architecture::Hopper => ArchitectureName::Hopper,
            Architecture::Blackwell => ArchitectureName::Blackwell,
        }
    }
}

impl From<ArchitectureName> for Architecture {
    fn from(name: ArchitectureName) -> Self {
        match name {
            ArchitectureName::Ampere => Architecture::Ampere,
            ArchitectureName::Hopper => Architecture::Hopper,
            ArchitectureName::Blackwell => Architecture::Blackwell,
        }
    }
}
