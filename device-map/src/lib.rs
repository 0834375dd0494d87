//! The device map: what each GRES index of this node is, in Slurm's own index order.
//!
//! `gresgen` writes it beside `gres.conf`; the SPANK plugin reads it and nothing else. It is text that a
//! person can read and grep:
//!
//! ```text
//! gresgen-devices 1
//! node n1
//! boot 0b5b2a8e-3d0e-4c62-9a7e-2f6a3f0c9a11
//! gres-conf 5d41402abc4b2a76
//! columns index type uuid parent gi ci files
//! 0 1g.5gb MIG-6ba7b810-... GPU-5c3f... 7 0 /dev/nvidia0=195:0,/dev/nvidia-caps/nvidia-cap66=238:66,...
//! end 1
//! ```
//!
//! A record's position is its index: [`DeviceMap::from_str`](DeviceMap#method.from_str) refuses gaps, repeats and a
//! missing end line, so a half-written map is never half believed. Header lines and columns a reader does
//! not know are ignored, so an older plugin reads a newer map; but for one of a node with GPUs on request, which has records
//! that are no devices (`void-3`, `guard-13`, `pad-14`): plugins that do not know those refuse it.
#![forbid(unsafe_code)]

mod file;
pub mod holding;
mod keep;
mod text;
pub mod trust;
pub mod version;

use std::io;
use std::path::{Path, PathBuf};

pub use keep::{keep, kept, refresh};
pub use text::{ParseError, is_gpu_uuid, is_mig_uuid};
pub use trust::{LoadError, load};

/// Version of the format written here. A reader refuses any other.
pub const FORMAT: u32 = 1;

/// Most records a node can have: Slurm's `MAX_GRES_BITMAP` (src/interfaces/gres.c).
pub const MAX_RECORDS: usize = 1024;

/// What this node's GRES indexes mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceMap {
    /// Slurm's name of the node.
    pub node: String,
    /// `/proc/sys/kernel/random/boot_id` when the map was written: instances never survive a boot.
    pub boot: String,
    /// Digest of the `gres.conf` the map belongs to.
    pub digest: String,
    /// Which plugin made slurmd's copy, as [`version::VERSION`] says it; `None` in the map itself, and in copies of
    /// plugins up to 0.2.0.
    pub plugin: Option<String>,
    /// NVML's index of each GPU when the map was written, and its UUID. Empty in a map of an earlier version.
    pub gpus: Vec<(u32, String)>,
    /// Position equals Slurm's device index.
    pub records: Vec<Record>,
}

/// One GRES record: a MIG device, a whole GPU, or, on a node with GPUs on request, none ([`NoDevice`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// GRES type as in `gres.conf`; `-` when the record has none.
    pub gres_type: String,
    /// What CUDA calls the device: `MIG-…` or `GPU-…`. A record that is no device has a name here that says what it is,
    /// see [`NoDevice`].
    pub uuid: String,
    /// UUID of the physical GPU.
    pub parent: String,
    /// GPU instance id and compute instance id; `None` for a whole GPU and for a record that is no device.
    pub instance: Option<(u32, u32)>,
    /// Device nodes in the order of `gres.conf`: the GPU, then the capabilities of the two instances.
    pub files: Vec<DeviceFile>,
}

/// What a record of a node with GPUs on request is that has no device: Slurm gives it to nobody who asks for devices,
/// and to whoever takes the whole node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoDevice {
    /// An instance that its GPU can have and has not.
    Void,
    /// The capabilities of all instances that its GPU has not.
    Guard,
    /// A record that is there for the number of records.
    Pad,
}

impl NoDevice {
    const ALL: [NoDevice; 3] = [NoDevice::Void, NoDevice::Guard, NoDevice::Pad];

    /// What the names of such records begin with.
    fn word(self) -> &'static str {
        match self {
            NoDevice::Void => "void-",
            NoDevice::Guard => "guard-",
            NoDevice::Pad => "pad-",
        }
    }

    /// The name of the record at an index, which stands where others have their UUID.
    pub fn name(self, index: usize) -> String {
        format!("{}{index}", self.word())
    }
}

impl Record {
    /// What it is where it is no device.
    pub fn no_device(&self) -> Option<NoDevice> {
        let is = |kind: &NoDevice| {
            let rest = self.uuid.strip_prefix(kind.word());
            rest.is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
        };
        NoDevice::ALL.into_iter().find(is)
    }

    /// The device node that belongs to this record alone: the compute instance's capability, or the GPU.
    ///
    /// Its access is Slurm's verdict on the record, because siblings share the nodes before it.
    pub fn own_file(&self) -> Option<&DeviceFile> {
        self.files.last()
    }
}

/// A character device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct DeviceFile {
    /// Its path.
    #[cfg_attr(feature = "serde", serde(serialize_with = "displayed"))]
    pub path: PathBuf,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// A prefix of the tests may be no UTF-8, which JSON is.
#[cfg(feature = "serde")]
fn displayed<S: serde::Serializer>(path: &std::path::Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Where the kernel tells the id of the running boot (proc(5)).
pub const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Its length: that of a UUID.
const BOOT_ID_BYTES: usize = 36;

/// The id of the running boot, as the maps written in it carry it.
///
/// # Errors
/// Those of reading `/proc/sys/kernel/random/boot_id`.
pub fn boot_id() -> io::Result<String> {
    file::text(&file::open(Path::new(BOOT_ID))?, BOOT_ID_BYTES)
}

impl DeviceMap {
    /// Whether both are of one content, whoever made a copy of it.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        let content = |map: &Self| DeviceMap { plugin: None, ..map.clone() };
        content(self) == content(other)
    }

    /// How the tools around NVML name a device of this map: `<GPU>` or `<GPU>.<GPU instance>`, the GPU by NVML's index,
    /// which is neither Slurm's index nor the minor number. `None` where the map does not say it.
    pub fn place(&self, record: &Record) -> Option<String> {
        let (gpu, _) = self.gpus.iter().find(|(_, uuid)| *uuid == record.parent)?;
        Some(match record.instance {
            Some((instance, _)) => format!("{gpu}.{instance}"),
            None => gpu.to_string(),
        })
    }

    /// The map, if it was written in the running boot; `path` is where it came from.
    ///
    /// # Errors
    /// [`LoadError::Stale`], or [`LoadError::Boot`].
    pub fn of_this_boot(self, path: &Path) -> Result<Self, LoadError> {
        let boot = boot_id().map_err(LoadError::Boot)?;
        if self.boot == boot { Ok(self) } else { Err(LoadError::Stale(path.to_owned())) }
    }
}
