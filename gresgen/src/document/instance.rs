//! The part of a [`Document`](super::Document) that is about instances: their files and who uses them.

use device_map::DeviceFile;
use mig::{Geometry, Placed};
use serde::{Deserialize, Serialize};

use super::geometry::profile;
use crate::inventory::{Compute, Gpu, Holder, Instance};

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
    /// slurmctld counts it as in use, by no job.
    Unexplained,
}

impl InstanceDocument {
    pub(super) fn new(gpu: &Gpu, instance: &Instance) -> Self {
        InstanceDocument {
            gi: instance.gi,
            profile: gpu.profile(instance).to_string(),
            start: instance.placed.start,
            compute: instance.compute.iter().map(ComputeDocument::from).collect(),
            holders: instance.holders.iter().map(HolderDocument::from).collect(),
        }
    }

    pub(super) fn read(self, geometry: &Geometry) -> Result<Instance, String> {
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
        super::uuid("MIG-", &self.uuid)?;
        let files: Result<Vec<_>, String> = self.files.into_iter().map(FileDocument::read).collect();
        Ok(Compute {
            ci: self.ci,
            profile: profile(&self.profile)?,
            start: self.start,
            uuid: self.uuid,
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
    pub(super) fn read(self) -> Result<DeviceFile, String> {
        super::word("device file", &self.path)?;
        Ok(DeviceFile { path: self.path.into(), major: self.major, minor: self.minor })
    }
}

impl From<&Holder> for HolderDocument {
    fn from(holder: &Holder) -> Self {
        match holder.clone() {
            Holder::Process { pid, command, user } => HolderDocument::Process { pid, command, user },
            Holder::Job { id, user } => HolderDocument::Job { id, user },
            Holder::Run { pid } => HolderDocument::Run { pid },
            Holder::Unknown => HolderDocument::Unknown,
            Holder::Unexplained => HolderDocument::Unexplained,
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
            HolderDocument::Unexplained => Holder::Unexplained,
        }
    }
}
