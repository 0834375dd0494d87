//! The simulated machine as a value: GPUs, what they are cut into, and how that reads to a client.

use mig::Board;
use mig::boards::{Architecture, Row};
use serde::{Deserialize, Serialize};

use crate::hardware;
use crate::sheet;
use crate::slots::slots;
use crate::spec::{Spec, Traits};
use crate::uuid::{Chip, invented_pdi};

/// Driver version that is reported.
pub const DRIVER_VERSION: &str = "580.95.05";

/// PCI vendor id.
const NVIDIA: u32 = 0x10de;

/// Everything that outlives a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Version of this format.
    pub format: u32,
    /// What the machine was made of.
    pub spec: Spec,
    /// Counts the commits. Instances are born at a revision, so a handle to a dead one is told apart.
    pub revision: u64,
    /// Major numbers of the device nodes; none where nodes cannot be made.
    pub majors: Option<Majors>,
    /// The GPUs, in NVML index order.
    pub gpus: Vec<Gpu>,
}

/// Character device majors that no driver of this kernel uses: an allowed open of such a node fails with
/// ENXIO, one denied by a device cgroup with EPERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Majors {
    /// `nvidia0` ..., `nvidiactl`.
    pub nvidia: u32,
    /// `nvidia-caps/nvidia-cap*`.
    pub caps: u32,
    /// `nvidia-uvm`, `nvidia-uvm-tools`.
    pub uvm: u32,
}

/// One physical GPU.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Its model.
    #[serde(with = "board_key")]
    pub board: &'static Board,
    /// What sets it apart.
    pub traits: Traits,
    /// NVML index; the position in [`Machine::gpus`].
    pub index: u32,
    /// Number of its device file.
    pub minor: u32,
    /// Fused identifier, invented.
    pub pdi: u64,
    /// MIG mode in force.
    pub current: bool,
    /// MIG mode after the next reset.
    pub pending: bool,
    /// GPU instances, by id.
    pub instances: Vec<GpuInstance>,
}

/// One GPU instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuInstance {
    /// Id, unique on its GPU.
    pub id: u32,
    /// Profile id.
    pub profile: u32,
    /// First placement unit.
    pub start: u32,
    /// Revision that brought it.
    pub birth: u64,
    /// Compute instances, by id.
    pub compute: Vec<ComputeInstance>,
}

/// One compute instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeInstance {
    /// Id, unique in its GPU instance.
    pub id: u32,
    /// Profile id.
    pub profile: u32,
    /// First compute slice.
    pub start: u32,
    /// Revision that brought it.
    pub birth: u64,
}

/// A compute instance as clients see it.
#[derive(Clone, Copy, Debug)]
pub struct MigDevice<'a> {
    /// Its GPU.
    pub gpu: &'a Gpu,
    /// Its GPU instance.
    pub instance: &'a GpuInstance,
    /// The compute instance.
    pub compute: &'a ComputeInstance,
}

impl Machine {
    /// Version of the state format.
    pub const FORMAT: u32 = 1;

    /// A machine as it leaves the factory: MIG off, nothing made.
    pub fn new(spec: &Spec, majors: Option<Majors>) -> Machine {
        let shuffled: Vec<u32> =
            (0..).zip(spec.gpus()).filter(|(_, g)| g.1.shuffled).map(|(i, _)| i).collect();
        let minor = |index: u32| match shuffled.iter().position(|&i| i == index) {
            Some(at) => shuffled[shuffled.len() - 1 - at],
            None => index,
        };
        let gpus = (0..).zip(spec.gpus()).map(|(index, (board, traits))| Gpu {
            board,
            traits,
            index,
            minor: minor(index),
            pdi: invented_pdi(board.key, index as usize),
            current: false,
            pending: false,
            instances: Vec::new(),
        });
        Machine { format: Machine::FORMAT, spec: spec.clone(), revision: 0, majors, gpus: gpus.collect() }
    }

    /// GPU and position of the GPU that has this PCI address, in either of NVML's spellings.
    pub fn by_pci(&self, bus_id: &str) -> Option<&Gpu> {
        let wanted = bus_id.to_ascii_lowercase();
        self.gpus.iter().find(|g| wanted == g.bdf() || wanted == format!("{:08x}:{:02x}:00.0", 0, g.bus()))
    }

    /// The MIG device of that UUID, in the form of R470 on or the older `MIG-GPU-<uuid>/<gi>/<ci>`.
    pub fn mig_by_uuid(&self, uuid: &str) -> Option<MigDevice<'_>> {
        let all = || self.gpus.iter().flat_map(Gpu::mig_devices);
        all().find(|d| d.uuid() == uuid || d.old_uuid() == uuid)
    }
}

impl Gpu {
    /// UUID, with its prefix.
    pub fn uuid(&self) -> String {
        self.chip().gpu()
    }

    fn chip(&self) -> Chip {
        // Chip ids as in the driver's PMC_BOOT_42 decoding: GA100, GH100, GB100, GB202.
        let id = match self.board.architecture {
            Architecture::Ampere => 0x170,
            Architecture::Hopper => 0x180,
            Architecture::Blackwell if hardware::is_rtx(self.board) => 0x1b2,
            Architecture::Blackwell => 0x1a0,
        };
        Chip { id, pdi: self.pdi }
    }

    /// Product name.
    pub fn name(&self) -> &'static str {
        self.board.names.first().expect("boards with numbers have names")
    }

    /// PCI bus number; GPUs sit on bus 3, 10, 17, ...
    pub fn bus(&self) -> u32 {
        3 + 7 * self.index
    }

    /// PCI address as Linux writes it.
    pub fn bdf(&self) -> String {
        format!("0000:{:02x}:00.0", self.bus())
    }

    /// PCI device and vendor id in one, as NVML gives it.
    pub fn pci_device_id(&self) -> u32 {
        u32::from(self.board.pci_ids[0]) << 16 | NVIDIA
    }

    /// PCI subsystem and vendor id in one, as NVML gives it: those of the board.
    pub fn pci_subsystem_id(&self) -> u32 {
        u32::from(hardware::subsystem(self.board)) << 16 | NVIDIA
    }

    /// Whether MIG mode switches without a GPU reset.
    pub fn resetless(&self) -> bool {
        self.board.architecture > Architecture::Ampere
    }

    /// Whether questions about instances are answered while MIG mode is off, against what nvml.h says of
    /// each: an H100 and an H200 do. nvml.h has a field for it
    /// (`NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE`); that it goes with the architecture is
    /// inferred.
    pub fn answers_with_mig_off(&self) -> bool {
        self.resetless()
    }

    /// Profile of an instance of this GPU.
    ///
    /// # Panics
    /// When the board has no such profile: states are checked when they are read.
    pub fn row(&self, instance: &GpuInstance) -> &'static Row {
        self.profile(instance.profile).expect("profiles are checked when a state is read")
    }

    /// Profile of that id.
    pub fn profile(&self, id: u32) -> Option<&'static Row> {
        self.board.rows.iter().find(|r| r.id == id)
    }

    /// GPU instance of that id.
    pub fn instance(&self, id: u32) -> Option<&GpuInstance> {
        self.instances.iter().find(|i| i.id == id)
    }

    /// MIG devices by GPU instance id and compute instance id: their order by index.
    pub fn mig_devices(&self) -> impl Iterator<Item = MigDevice<'_>> {
        self.instances.iter().flat_map(move |instance| {
            instance.compute.iter().map(move |compute| MigDevice { gpu: self, instance, compute })
        })
    }

    /// The most MIG devices it can have.
    pub fn max_mig_devices(&self) -> u32 {
        u32::from(self.board.slices)
    }

    /// The MIG device at an index.
    pub fn mig_device_at(&self, index: u32) -> Option<MigDevice<'_>> {
        self.mig_devices().zip(0..).find(|&(d, rank)| d.index(rank) == index).map(|(d, _)| d)
    }
}

impl GpuInstance {
    /// Compute instance of that id.
    pub fn compute(&self, id: u32) -> Option<&ComputeInstance> {
        self.compute.iter().find(|c| c.id == id)
    }
}

impl MigDevice<'_> {
    /// UUID, with its prefix.
    pub fn uuid(&self) -> String {
        self.gpu.chip().mig(self.instance.id, self.syspipe())
    }

    /// UUID as drivers before R470 wrote it.
    pub fn old_uuid(&self) -> String {
        format!("MIG-{}/{}/{}", self.gpu.uuid(), self.instance.id, self.compute.id)
    }

    /// Physical number of its first graphics engine: one per compute slice of the whole GPU.
    fn syspipe(&self) -> u32 {
        const SLOTS: u32 = 8;
        let per_engine = SLOTS / u32::from(self.gpu.board.slices).next_power_of_two();
        slots(self.instance.id).trailing_zeros() / per_engine + self.compute.start
    }

    /// MIG index of the device that is `rank`-th on its GPU. With gaps it is the position of the device's
    /// first compute slice instead.
    fn index(&self, rank: u32) -> u32 {
        let board = self.gpu.board;
        let units_per_slice = u32::from(board.units) / u32::from(board.slices);
        if self.gpu.traits.gaps { self.instance.start / units_per_slice + self.compute.start } else { rank }
    }

    /// Profile of its GPU instance.
    pub fn row(&self) -> &'static Row {
        self.gpu.row(self.instance)
    }

    /// Product name: that of the GPU and the profile, `1c.3g.20gb` for a part of a GPU instance.
    pub fn name(&self) -> String {
        format!("{} MIG {}", self.gpu.name(), self.profile_name())
    }

    /// Name of its profile.
    pub fn profile_name(&self) -> String {
        compute_name(self.row(), self.compute.profile)
    }

    /// Memory, in MiB: compute instances share that of their GPU instance.
    pub fn memory(&self) -> u64 {
        sheet::memory(self.gpu.board, self.row())
    }
}

/// Name of a compute instance profile; one that fills its GPU instance, slices and multiprocessors, has that one's
/// name. On an H100 PCIe both profiles of the double-memory 1g do.
pub fn compute_name(row: &Row, profile: u32) -> String {
    let size = |profile: u32| {
        let compute = sheet::compute_row(row, profile);
        (compute.slices, compute.sms)
    };
    if size(profile) == size(row.default_compute) {
        row.name.to_owned()
    } else {
        format!("{}c.{}", size(profile).0, row.name)
    }
}

mod board_key {
    use super::Board;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(board: &&'static Board, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(board.key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<&'static Board, D::Error> {
        let key = String::deserialize(deserializer)?;
        Board::by_key(&key).ok_or_else(|| D::Error::custom(format_args!("{key:?}: no such GPU model")))
    }
}

#[cfg(test)]
mod tests;
