//! The part of a [`Document`](super::Document) that is about one GPU.

use device_map::DeviceFile;
use mig::{Architecture, ComputeSpec, Engines, Geometry, Placed, Profile, Spec};
use serde::{Deserialize, Serialize};

use crate::inventory::{Compute, Gpu, Holder, Instance, Mode};

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

/// A character device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDocument {
    /// Its path.
    pub path: String,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// What a GPU can be cut into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeometryDocument {
    /// Placement units.
    pub units: u8,
    /// Compute slices.
    pub slices: u8,
    /// GPU instance profiles.
    pub profiles: Vec<SpecDocument>,
}

/// One GPU instance profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecDocument {
    /// Its name.
    pub name: String,
    /// NVML's profile id on this GPU.
    pub id: u32,
    /// Length of its span, in placement units.
    pub size: u8,
    /// Legal starts.
    pub starts: Vec<u8>,
    /// How many a GPU can hold.
    pub max: u8,
    /// Streaming multiprocessors.
    pub sms: Option<u32>,
    /// Memory, in MiB.
    pub memory_mib: Option<u64>,
    /// Copy engines.
    pub copy_engines: Option<u8>,
    /// Video decoders.
    pub decoders: Option<u8>,
    /// Video encoders.
    pub encoders: Option<u8>,
    /// JPEG decoders.
    pub jpeg_decoders: Option<u8>,
    /// Optical flow accelerators.
    pub optical_flow: Option<u8>,
    /// Compute instance profiles.
    pub compute: Vec<ComputeSpecDocument>,
}

/// One compute instance profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeSpecDocument {
    /// NVML's profile id.
    pub id: u32,
    /// Compute slices.
    pub slices: u8,
    /// How many fit in one GPU instance.
    pub max: u8,
    /// Streaming multiprocessors.
    pub sms: Option<u32>,
}

/// A GPU instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceDocument {
    /// GPU instance id.
    pub gi: u32,
    /// Profile name.
    pub profile: String,
    /// First placement unit.
    pub start: u8,
    /// Compute instances.
    pub compute: Vec<ComputeDocument>,
    /// Who uses it.
    pub holders: Vec<HolderDocument>,
}

/// A compute instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeDocument {
    /// Compute instance id.
    pub ci: u32,
    /// Profile name.
    pub profile: String,
    /// First compute slice within the GPU instance.
    pub start: u32,
    /// `MIG-…`.
    pub uuid: String,
    /// The GPU's node, then the capabilities of GPU instance and compute instance.
    pub files: Vec<FileDocument>,
}

/// Somebody who uses an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum HolderDocument {
    /// A process.
    Process {
        /// Process id.
        pid: u32,
        /// Command name.
        command: String,
        /// User.
        user: String,
    },
    /// A Slurm job.
    Job {
        /// Job id.
        id: u32,
        /// User.
        user: String,
    },
    /// A command under `gresgen run`.
    Run {
        /// Process id.
        pid: u32,
    },
    /// slurmctld cannot be asked.
    Unknown,
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
            geometry,
        })
    }
}

impl InstanceDocument {
    fn new(gpu: &Gpu, instance: &Instance) -> Self {
        InstanceDocument {
            gi: instance.gi,
            profile: gpu.profile(instance).to_string(),
            start: instance.placed.start,
            compute: instance.compute.iter().map(ComputeDocument::from).collect(),
            holders: instance.holders.iter().map(HolderDocument::from).collect(),
        }
    }

    fn read(self, geometry: &Geometry) -> Result<Instance, String> {
        let spec = geometry.find(profile(&self.profile)?);
        let spec =
            spec.ok_or_else(|| format!("instance {}: no profile {} in its geometry", self.gi, self.profile))?;
        let compute: Result<Vec<_>, String> = self.compute.into_iter().map(ComputeDocument::read).collect();
        Ok(Instance {
            gi: self.gi,
            placed: Placed { spec, start: self.start },
            compute: compute?,
            holders: self.holders.into_iter().map(Holder::from).collect(),
        })
    }
}

impl From<&Compute> for ComputeDocument {
    fn from(compute: &Compute) -> Self {
        ComputeDocument {
            ci: compute.ci,
            profile: compute.profile.to_string(),
            start: compute.start,
            uuid: compute.uuid.clone(),
            files: compute.files.iter().map(FileDocument::from).collect(),
        }
    }
}

impl ComputeDocument {
    fn read(self) -> Result<Compute, String> {
        let files: Result<Vec<_>, String> = self.files.into_iter().map(FileDocument::read).collect();
        Ok(Compute {
            ci: self.ci,
            profile: profile(&self.profile)?,
            start: self.start,
            uuid: word("UUID", self.uuid)?,
            files: files?,
        })
    }
}

impl From<&DeviceFile> for FileDocument {
    fn from(file: &DeviceFile) -> Self {
        FileDocument { path: file.path.display().to_string(), major: file.major, minor: file.minor }
    }
}

impl FileDocument {
    fn read(self) -> Result<DeviceFile, String> {
        let path = word("device file", self.path)?;
        Ok(DeviceFile { path: path.into(), major: self.major, minor: self.minor })
    }
}

/// A text that goes into Slurm's files and the device map as one word.
fn word(what: &str, text: String) -> Result<String, String> {
    let breaks = |c: char| c.is_whitespace() || c.is_control() || ",=#[]\"\\".contains(c);
    match text.is_empty() || text.contains(breaks) {
        true => Err(format!("{what} {text:?} is not one word")),
        false => Ok(text),
    }
}

fn profile(name: &str) -> Result<Profile, String> {
    name.parse().map_err(|error: mig::ProfileError| error.to_string())
}

impl From<&Geometry> for GeometryDocument {
    fn from(geometry: &Geometry) -> Self {
        let profiles = geometry.specs.iter().map(SpecDocument::from).collect();
        GeometryDocument { units: geometry.units, slices: geometry.slices, profiles }
    }
}

impl GeometryDocument {
    fn read(self) -> Result<Geometry, String> {
        let specs: Result<Vec<_>, String> = self.profiles.into_iter().map(SpecDocument::read).collect();
        Ok(Geometry { units: self.units, slices: self.slices, specs: specs? })
    }
}

impl From<&Spec> for SpecDocument {
    fn from(spec: &Spec) -> Self {
        let Engines { copy, decoder, encoder, jpeg, ofa } = spec.engines;
        SpecDocument {
            name: spec.profile.to_string(),
            id: spec.id,
            size: spec.size,
            starts: spec.starts.clone(),
            max: spec.max,
            sms: spec.sms,
            memory_mib: spec.memory_mib,
            copy_engines: copy,
            decoders: decoder,
            encoders: encoder,
            jpeg_decoders: jpeg,
            optical_flow: ofa,
            compute: spec.compute.iter().map(ComputeSpecDocument::from).collect(),
        }
    }
}

impl SpecDocument {
    fn read(self) -> Result<Spec, String> {
        Ok(Spec {
            profile: profile(&self.name)?,
            id: self.id,
            size: self.size,
            starts: self.starts,
            max: self.max,
            sms: self.sms,
            memory_mib: self.memory_mib,
            engines: Engines {
                copy: self.copy_engines,
                decoder: self.decoders,
                encoder: self.encoders,
                jpeg: self.jpeg_decoders,
                ofa: self.optical_flow,
            },
            compute: self.compute.into_iter().map(ComputeSpec::from).collect(),
        })
    }
}

impl From<&ComputeSpec> for ComputeSpecDocument {
    fn from(c: &ComputeSpec) -> Self {
        ComputeSpecDocument { id: c.id, slices: c.slices, max: c.max, sms: c.sms }
    }
}

impl From<ComputeSpecDocument> for ComputeSpec {
    fn from(c: ComputeSpecDocument) -> Self {
        ComputeSpec { id: c.id, slices: c.slices, max: c.max, sms: c.sms }
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

impl From<&Holder> for HolderDocument {
    fn from(holder: &Holder) -> Self {
        match holder.clone() {
            Holder::Process { pid, command, user } => HolderDocument::Process { pid, command, user },
            Holder::Job { id, user } => HolderDocument::Job { id, user },
            Holder::Run { pid } => HolderDocument::Run { pid },
            Holder::Unknown => HolderDocument::Unknown,
        }
    }
}

impl From<HolderDocument> for Holder {
    fn from(holder: HolderDocument) -> Self {
        match holder {
            HolderDocument::Process { pid, command, user } => Holder::Process { pid, command, user },
            HolderDocument::Job { id, user } => Holder::Job { id, user },
            HolderDocument::Run { pid } => Holder::Run { pid },
            HolderDocument::Unknown => Holder::Unknown,
        }
    }
}
