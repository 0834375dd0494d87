//! Geometry of GPU models, for planning without a GPU and for the simulator.
//!
//! At run time NVML is the authority: memory figures, and now and then names, change with driver, VBIOS
//! and board. Sources: NVIDIA Multi-Instance GPU User Guide (editions for R580 to R620), published
//! `nvidia-smi mig -lgip`, `-lgipp` and `-lcip` listings of real boards, NVIDIA/mig-parted, and
//! NVIDIA/open-gpu-kernel-modules. [`Certainty`] says how much of a board's table was seen on hardware.

use crate::geometry::{ComputeSpec, Engines, Geometry, Spec};

/// GPU architecture, in order of age. From Hopper on MIG mode switches without a GPU reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// A100, A30, A800: a mode change needs a GPU reset and survives a reboot.
    Ampere,
    /// H100, H200, GH200, H20: a mode change takes effect at once and is gone after a reboot.
    Hopper,
    /// B200, B300, GB200, GB300, RTX PRO: as Hopper.
    Blackwell,
}

/// How far a board's table rests on observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// All main profiles seen in listings of real boards.
    Verified,
    /// The first profiles seen, the rest inferred.
    Partial,
    /// The table of a sibling board with the same die.
    Inferred,
    /// Profile names known, numbers not.
    NamesOnly,
}

/// One GPU model.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Short key, as in `--simulate a100-40gb:2`.
    pub key: &'static str,
    /// Product names as NVML gives them.
    pub names: &'static [&'static str],
    /// PCI device ids.
    pub pci_ids: &'static [u16],
    /// Its architecture.
    pub architecture: Architecture,
    /// Placement units.
    pub units: u8,
    /// Compute slices.
    pub slices: u8,
    /// Total memory, in MiB.
    pub memory_mib: Option<u64>,
    /// Streaming multiprocessors outside MIG.
    pub sms: Option<u32>,
    /// How far the table rests on observation.
    pub certainty: Certainty,
    /// The table.
    pub rows: &'static [Row],
}

/// One GPU instance profile of a board. Constants of nvml.h are named in its terms.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Profile name.
    pub name: &'static str,
    /// `NVML_GPU_INSTANCE_PROFILE_*`, the argument of `nvmlDeviceGetGpuInstanceProfileInfo`.
    pub nvml_enum: u32,
    /// Profile id on this board.
    pub id: u32,
    /// Instances per GPU.
    pub max: u8,
    /// Memory, in MiB.
    pub memory_mib: Option<u64>,
    /// Streaming multiprocessors.
    pub sms: Option<u32>,
    /// Copy, decoder, encoder, JPEG and optical flow engines.
    pub engines: [Option<u8>; 5],
    /// Length of the span in placement units.
    pub size: u8,
    /// Legal starts.
    pub starts: &'static [u8],
    /// Compute instance profile that fills the GPU instance.
    pub default_compute: u32,
    /// Compute instance profiles; a maximum of `None` was never seen.
    pub compute: &'static [ComputeRow],
}

/// One compute instance profile of a [`Row`].
#[derive(Clone, Copy, Debug)]
pub struct ComputeRow {
    /// Compute instance profile id, on every board seen equal to `NVML_COMPUTE_INSTANCE_PROFILE_*`.
    pub id: u32,
    /// Compute slices.
    pub slices: u8,
    /// How many fit in one GPU instance.
    pub max: Option<u8>,
    /// Streaming multiprocessors.
    pub sms: Option<u32>,
}

impl Board {
    /// The board of that key.
    pub fn by_key(key: &str) -> Option<&'static Board> {
        BOARDS.iter().find(|b| b.key == key)
    }

    /// The geometry as NVML would report it.
    pub fn geometry(&self) -> Geometry {
        Geometry { units: self.units, slices: self.slices, specs: self.rows.iter().map(Row::spec).collect() }
    }
}

impl Row {
    /// # Panics
    /// Never for the rows of this file: a test reads every name.
    fn spec(&self) -> Spec {
        let [copy, decoder, encoder, jpeg, ofa] = self.engines;
        Spec {
            profile: self.name.parse().expect("names in the table are profile names"),
            id: self.id,
            size: self.size,
            starts: self.starts.to_vec(),
            max: self.max,
            sms: self.sms,
            memory_mib: self.memory_mib,
            engines: Engines { copy, decoder, encoder, jpeg, ofa },
            compute: self
                .compute
                .iter()
                .map(|c| ComputeSpec { id: c.id, slices: c.slices, max: c.max.unwrap_or(1), sms: c.sms })
                .collect(),
        }
    }
}

/// A table cell: a number, or `N` where none is known.
macro_rules! cell {
    (N) => {
        None
    };
    ($n:literal) => {
        Some($n)
    };
}

/// `name, NVML enum, profile id, max, MiB, SMs, [CE, DEC, ENC, JPEG, OFA], size: [starts],
/// default compute profile, [(compute profile id, slices, max, SMs)]`
macro_rules! row {
    ($name:literal, $nvml:literal, $id:literal, $max:literal, $mib:tt, $sms:tt, [$($engine:tt),*],
     $size:literal: [$($start:literal),*], default $default:literal, [$(($cid:literal, $cs:literal, $cmax:tt, $csm:tt)),*]) => {
        Row {
            name: $name, nvml_enum: $nvml, id: $id, max: $max, memory_mib: cell!($mib), sms: cell!($sms),
            engines: [$(cell!($engine)),*], size: $size, starts: &[$($start),*], default_compute: $default,
            compute: &[$(ComputeRow { id: $cid, slices: $cs, max: cell!($cmax), sms: cell!($csm) }),*],
        }
    };
}

const A100_40GB: &[Row] = &[
    row!("1g.5gb", 0, 19, 7, 4864, 14, [1, 0, 0, 0, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.5gb+me", 7, 20, 1, 4864, 14, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.10gb", 9, 15, 4, 9856, 14, [1, 1, 0, 0, 0], 2: [0, 2, 4, 6], default 0, [(0, 1, 1, 14)]),
    row!("2g.10gb", 1, 14, 3, 9856, 28, [2, 1, 0, 0, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 14), (1, 2, 1, 28)]),
    row!("3g.20gb", 2, 9, 2, 19968, 42, [3, 2, 0, 0, 0], 4: [0, 4], default 2, [(0, 1, 3, 14), (1, 2, 1, 28), (2, 3, 1, 42)]),
    row!("4g.20gb", 3, 5, 1, 19968, 56, [4, 2, 0, 0, 0], 4: [0], default 3, [(0, 1, 4, 14), (1, 2, 2, 28), (3, 4, 1, 56)]),
    row!("7g.40gb", 4, 0, 1, 40192, 98, [7, 5, 0, 1, 1], 8: [0], default 4, [(0, 1, 7, 14), (1, 2, 3, 28), (2, 3, 2, 42), (3, 4, 1, 56), (4, 7, 1, 98)]),
];

const A100_80GB: &[Row] = &[
    row!("1g.10gb", 0, 19, 7, 9728, 14, [1, 0, 0, 0, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.10gb+me", 7, 20, 1, 9728, 14, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.20gb", 9, 15, 4, 19968, 14, [1, 1, 0, 0, 0], 2: [0, 2, 4, 6], default 0, [(0, 1, 1, 14)]),
    row!("2g.20gb", 1, 14, 3, 19968, 28, [2, 1, 0, 0, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 14), (1, 2, 1, 28)]),
    row!("3g.40gb", 2, 9, 2, 40192, 42, [3, 2, 0, 0, 0], 4: [0, 4], default 2, [(0, 1, 3, 14), (1, 2, 1, 28), (2, 3, 1, 42)]),
    row!("4g.40gb", 3, 5, 1, 40192, 56, [4, 2, 0, 0, 0], 4: [0], default 3, [(0, 1, 4, 14), (1, 2, 2, 28), (3, 4, 1, 56)]),
    row!("7g.80gb", 4, 0, 1, 80640, 98, [7, 5, 0, 1, 1], 8: [0], default 4, [(0, 1, 7, 14), (1, 2, 3, 28), (2, 3, 2, 42), (3, 4, 1, 56), (4, 7, 1, 98)]),
];

const A30_24GB: &[Row] = &[
    row!("1g.6gb", 0, 14, 4, 5952, 14, [1, 1, 0, 0, 0], 1: [0, 1, 2, 3], default 0, [(0, 1, 1, 14)]),
    row!("1g.6gb+me", 7, 21, 1, 5952, 14, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3], default 0, [(0, 1, 1, 14)]),
    row!("2g.12gb", 1, 5, 2, 11968, 28, [2, 2, 0, 0, 0], 2: [0, 2], default 1, [(0, 1, 2, 14), (1, 2, 1, 28)]),
    row!("2g.12gb+me", 8, 6, 1, 11968, 28, [2, 2, 0, 1, 1], 2: [0, 2], default 1, [(0, 1, 2, 14), (1, 2, 1, 28)]),
    row!("4g.24gb", 3, 0, 1, 24000, 56, [4, 4, 0, 1, 1], 4: [0], default 3, [(0, 1, 4, 14), (1, 2, 2, 28), (3, 4, 1, 56)]),
];

const H100_80GB_SXM: &[Row] = &[
    row!("1g.10gb", 0, 19, 7, 9984, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.10gb+me", 7, 20, 1, 9984, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.20gb", 9, 15, 4, 20096, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 26)]),
    row!("2g.20gb", 1, 14, 3, 20096, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.40gb", 2, 9, 2, 40448, 60, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, 60)]),
    row!("4g.40gb", 3, 5, 1, 40448, 64, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, 64)]),
    row!("7g.80gb", 4, 0, 1, 81152, 132, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, 60), (3, 4, 1, 64), (4, 7, 1, 132)]),
];

const H100_80GB_PCIE: &[Row] = &[
    row!("1g.10gb", 0, 19, 7, 9984, 14, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.10gb+me", 7, 20, 1, 9984, 14, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.20gb", 9, 15, 4, 20096, 14, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 14)]),
    row!("2g.20gb", 1, 14, 3, 20096, 30, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 14), (7, 1, 1, 14), (1, 2, 1, 30)]),
    row!("3g.40gb", 2, 9, 2, 40448, 46, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 14), (7, 1, N, 14), (1, 2, 1, 30), (2, 3, 1, 46)]),
    row!("4g.40gb", 3, 5, 1, 40448, 62, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 14), (7, 1, N, 14), (1, 2, 2, 30), (3, 4, 1, 62)]),
    row!("7g.80gb", 4, 0, 1, 81152, 114, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 14), (7, 1, N, 14), (1, 2, 3, 30), (2, 3, 2, 46), (3, 4, 1, 62), (4, 7, 1, 114)]),
];

const H100_94GB_NVL: &[Row] = &[
    row!("1g.12gb", 0, 19, 7, 11008, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.12gb+me", 7, 20, 1, 11008, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.24gb", 9, 15, 4, 22144, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 26)]),
    row!("2g.24gb", 1, 14, 3, 22144, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.47gb", 2, 9, 2, 47488, 60, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, 60)]),
    row!("4g.47gb", 3, 5, 1, 47488, 64, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, 64)]),
    row!("7g.94gb", 4, 0, 1, 95360, 132, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, 60), (3, 4, 1, 64), (4, 7, 1, 132)]),
];

const H100_64GB_SXM: &[Row] = &[
    row!("1g.8gb", 0, 19, 7, N, N, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.8gb+me", 7, 20, 1, N, N, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.16gb", 9, 15, 4, N, N, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, N)]),
    row!("2g.16gb", 1, 14, 3, N, N, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.32gb", 2, 9, 2, N, N, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.32gb", 3, 5, 1, N, N, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.64gb", 4, 0, 1, N, N, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const GH200_96GB: &[Row] = &[
    row!("1g.12gb", 0, 19, 7, 11264, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.12gb+me", 7, 20, 1, 11264, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.24gb", 9, 15, 4, 23552, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 26)]),
    row!("2g.24gb", 1, 14, 3, 23552, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.48gb", 2, 9, 2, 47616, 60, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, 60)]),
    row!("4g.48gb", 3, 5, 1, 47616, 64, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, 64)]),
    row!("7g.96gb", 4, 0, 1, 95232, 132, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, 60), (3, 4, 1, 64), (4, 7, 1, 132)]),
];

const GH200_144GB: &[Row] = &[
    row!("1g.18gb", 0, 19, 7, 17920, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.18gb+me", 7, 20, 1, 17920, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.36gb", 9, 15, 4, 36096, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 26)]),
    row!("2g.36gb", 1, 14, 3, 36096, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.72gb", 2, 9, 2, N, N, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, N)]),
    row!("4g.72gb", 3, 5, 1, N, N, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, N)]),
    row!("7g.144gb", 4, 0, 1, N, N, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const H200_141GB: &[Row] = &[
    row!("1g.18gb", 0, 19, 7, 16384, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.18gb+me", 7, 20, 1, 16384, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.35gb", 9, 15, 4, 33024, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 26)]),
    row!("2g.35gb", 1, 14, 3, 33024, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.71gb", 2, 9, 2, 71168, 60, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, 60)]),
    row!("4g.71gb", 3, 5, 1, 71168, 64, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, 64)]),
    row!("7g.141gb", 4, 0, 1, 143360, 132, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, 60), (3, 4, 1, 64), (4, 7, 1, 132)]),
];

const H20_96GB: &[Row] = &[
    row!("1g.12gb", 0, 19, 7, N, N, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.12gb+me", 7, 20, 1, N, N, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.24gb", 9, 15, 4, N, N, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, N)]),
    row!("2g.24gb", 1, 14, 3, N, N, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.48gb", 2, 9, 2, N, N, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.48gb", 3, 5, 1, N, N, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.96gb", 4, 0, 1, N, N, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const H20_3E_141GB: &[Row] = &[
    row!("1g.18gb", 0, 19, 7, N, N, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.18gb+me", 7, 20, 1, N, N, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.35gb", 9, 15, 4, N, N, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, N)]),
    row!("2g.35gb", 1, 14, 3, N, N, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.71gb", 2, 9, 2, N, N, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.71gb", 3, 5, 1, N, N, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.141gb", 4, 0, 1, N, N, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const B200_180GB: &[Row] = &[
    row!("1g.23gb", 0, 19, 7, 22528, 18, [2, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.23gb+me", 7, 20, 1, 22528, 18, [2, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.45gb", 9, 15, 4, 45312, 30, [2, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 30)]),
    row!("2g.45gb", 1, 14, 3, 45312, 36, [4, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 18), (7, 1, 1, 30), (1, 2, 1, 36)]),
    row!("3g.90gb", 2, 9, 2, N, N, [6, N, 0, N, 0], 4: [0, 4], default 2, [(0, 1, 3, 18), (7, 1, N, 30), (1, 2, 1, 36), (2, 3, 1, N)]),
    row!("4g.90gb", 3, 5, 1, N, N, [8, N, 0, N, 0], 4: [0], default 3, [(0, 1, 4, 18), (7, 1, N, 30), (1, 2, 2, 36), (3, 4, 1, N)]),
    row!("7g.180gb", 4, 0, 1, N, N, [16, N, 0, N, N], 8: [0], default 4, [(0, 1, 7, 18), (7, 1, N, 30), (1, 2, 3, 36), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const GB200_186GB: &[Row] = &[
    row!("1g.23gb", 0, 19, 7, 22528, 18, [2, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.23gb+me", 7, 20, 1, 22528, 18, [2, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.47gb", 9, 15, 4, 46592, 32, [2, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 32)]),
    row!("2g.47gb", 1, 14, 3, 46592, 38, [4, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 18), (7, 1, 1, 32), (1, 2, 1, 38)]),
    row!("3g.93gb", 2, 9, 2, N, N, [6, N, 0, N, 0], 4: [0, 4], default 2, [(0, 1, 3, 18), (7, 1, N, 32), (1, 2, 1, 38), (2, 3, 1, N)]),
    row!("4g.93gb", 3, 5, 1, N, N, [8, N, 0, N, 0], 4: [0], default 3, [(0, 1, 4, 18), (7, 1, N, 32), (1, 2, 2, 38), (3, 4, 1, N)]),
    row!("7g.186gb", 4, 0, 1, N, N, [16, N, 0, N, N], 8: [0], default 4, [(0, 1, 7, 18), (7, 1, N, 32), (1, 2, 3, 38), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const GB200_189GB: &[Row] = &[
    row!("1g.24gb", 0, 19, 7, 20480, 18, [2, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.24gb+me", 7, 20, 1, 20480, 18, [2, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.47gb", 9, 15, 4, 46592, 32, [2, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, 32)]),
    row!("2g.47gb", 1, 14, 3, N, 38, [4, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 18), (7, 1, 1, 32), (1, 2, 1, 38)]),
    row!("3g.95gb", 2, 9, 2, N, N, [6, N, 0, N, 0], 4: [0, 4], default 2, [(0, 1, 3, 18), (7, 1, N, 32), (1, 2, 1, 38), (2, 3, 1, N)]),
    row!("4g.95gb", 3, 5, 1, N, N, [8, N, 0, N, 0], 4: [0], default 3, [(0, 1, 4, 18), (7, 1, N, 32), (1, 2, 2, 38), (3, 4, 1, N)]),
    row!("7g.189gb", 4, 0, 1, N, N, [16, N, 0, N, N], 8: [0], default 4, [(0, 1, 7, 18), (7, 1, N, 32), (1, 2, 3, 38), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const B300_269GB: &[Row] = &[
    row!("1g.34gb", 0, 19, 7, N, N, [N, N, N, N, N], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.34gb+me", 7, 20, 1, N, N, [N, N, N, N, N], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.67gb", 9, 15, 4, N, N, [N, N, N, N, N], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, N)]),
    row!("2g.67gb", 1, 14, 3, N, N, [N, N, N, N, N], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.135gb", 2, 9, 2, N, N, [N, N, N, N, N], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.135gb", 3, 5, 1, N, N, [N, N, N, N, N], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.269gb", 4, 0, 1, N, N, [N, N, N, N, N], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const GB300_278GB: &[Row] = &[
    row!("1g.35gb", 0, 19, 7, N, N, [N, N, N, N, N], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.35gb+me", 7, 20, 1, N, N, [N, N, N, N, N], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.70gb", 9, 15, 4, N, N, [N, N, N, N, N], 2: [0, 2, 4, 6], default 7, [(7, 1, 1, N)]),
    row!("2g.70gb", 1, 14, 3, N, N, [N, N, N, N, N], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.139gb", 2, 9, 2, N, N, [N, N, N, N, N], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.139gb", 3, 5, 1, N, N, [N, N, N, N, N], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.278gb", 4, 0, 1, N, N, [N, N, N, N, N], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

const RTX_PRO_6000_BLACKWELL_96GB: &[Row] = &[
    row!("1g.24gb", 0, 14, 4, 24192, 46, [1, 1, 1, 1, 0], 3: [0, 3, 6, 9], default 0, [(0, 1, 1, 46)]),
    row!("1g.24gb+me", 7, 21, 1, 24192, 46, [1, 1, 1, 1, 1], 3: [0, 3, 6, 9], default 0, [(0, 1, 1, 46)]),
    row!("1g.24gb+gfx", 10, 47, 4, 24192, 46, [1, 1, 1, 1, 0], 3: [0, 3, 6, 9], default 0, [(0, 1, 1, 46)]),
    row!("1g.24gb+me.all", 15, 65, 1, 24192, 46, [1, 4, 4, 4, 1], 3: [0, 3, 6, 9], default 0, [(0, 1, 1, 46)]),
    row!("1g.24gb-me", 13, 67, 4, 24192, 46, [1, 0, 0, 0, 0], 3: [0, 3, 6, 9], default 0, [(0, 1, 1, 46)]),
    row!("2g.48gb", 1, 5, 2, 48512, 94, [2, 2, 2, 2, 0], 6: [0, 6], default 1, [(0, 1, 2, 46), (1, 2, 1, 94)]),
    row!("2g.48gb+gfx", 11, 35, 2, 48512, 94, [2, 2, 2, 2, 0], 6: [0, 6], default 1, [(0, 1, 2, 46), (1, 2, 1, 94)]),
    row!("2g.48gb+me.all", 16, 64, 1, 48512, 94, [2, 4, 4, 4, 1], 6: [0, 6], default 1, [(0, 1, 2, 46), (1, 2, 1, 94)]),
    row!("2g.48gb-me", 14, 66, 2, 48512, 94, [2, 0, 0, 0, 0], 6: [0, 6], default 1, [(0, 1, 2, 46), (1, 2, 1, 94)]),
    row!("4g.96gb", 3, 0, 1, 97280, 188, [4, 4, 4, 4, 1], 12: [0], default 3, [(0, 1, 4, 46), (1, 2, 2, 94), (3, 4, 1, 188)]),
    row!("4g.96gb+gfx", 12, 32, 1, 97280, 188, [4, 4, 4, 4, 1], 12: [0], default 3, [(0, 1, 4, 46), (1, 2, 2, 94), (3, 4, 1, 188)]),
];

/// Every board with a known geometry. Adding a GPU means adding rows here.
pub const BOARDS: &[Board] = &[
    Board {
        key: "a100-40gb",
        names: &["NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB"],
        pci_ids: &[0x20B0, 0x20F1],
        architecture: Architecture::Ampere,
        units: 8,
        slices: 7,
        memory_mib: Some(40960),
        sms: Some(108),
        certainty: Certainty::Verified,
        rows: A100_40GB,
    },
    Board {
        key: "a800-40gb",
        names: &["NVIDIA A800-SXM4-40GB", "NVIDIA A800 40GB Active"],
        pci_ids: &[0x20BD, 0x20F6],
        architecture: Architecture::Ampere,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::Inferred,
        rows: A100_40GB,
    },
    Board {
        key: "a100-80gb",
        names: &["NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe"],
        pci_ids: &[0x20B2, 0x20B5],
        architecture: Architecture::Ampere,
        units: 8,
        slices: 7,
        memory_mib: Some(81920),
        sms: Some(108),
        certainty: Certainty::Verified,
        rows: A100_80GB,
    },
    Board {
        key: "a800-80gb",
        names: &["NVIDIA A800-SXM4-80GB", "NVIDIA A800 80GB PCIe"],
        pci_ids: &[0x20F3, 0x20F5],
        architecture: Architecture::Ampere,
        units: 8,
        slices: 7,
        memory_mib: Some(81920),
        sms: None,
        certainty: Certainty::Inferred,
        rows: A100_80GB,
    },
    Board {
        key: "a30-24gb",
        names: &["NVIDIA A30"],
        pci_ids: &[0x20B7],
        architecture: Architecture::Ampere,
        units: 4,
        slices: 4,
        memory_mib: Some(24576),
        sms: Some(56),
        certainty: Certainty::Verified,
        rows: A30_24GB,
    },
    Board {
        key: "h100-80gb-sxm",
        names: &["NVIDIA H100 80GB HBM3"],
        pci_ids: &[0x2330],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: Some(81559),
        sms: Some(132),
        certainty: Certainty::Verified,
        rows: H100_80GB_SXM,
    },
    Board {
        key: "h100-80gb-pcie",
        names: &["NVIDIA H100 PCIe"],
        pci_ids: &[0x2331],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: Some(81559),
        sms: Some(114),
        certainty: Certainty::Verified,
        rows: H100_80GB_PCIE,
    },
    Board {
        key: "h800-80gb-sxm",
        names: &["NVIDIA H800"],
        pci_ids: &[0x2324],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::Inferred,
        rows: H100_80GB_SXM,
    },
    Board {
        key: "h800-80gb-pcie",
        names: &["NVIDIA H800 PCIe"],
        pci_ids: &[0x2322],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::Inferred,
        rows: H100_80GB_PCIE,
    },
    Board {
        key: "h100-94gb-nvl",
        names: &["NVIDIA H100 NVL"],
        pci_ids: &[0x2321],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: Some(95830),
        sms: Some(132),
        certainty: Certainty::Verified,
        rows: H100_94GB_NVL,
    },
    Board {
        key: "h800-94gb-nvl",
        names: &["NVIDIA H800 NVL"],
        pci_ids: &[0x233A],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::Inferred,
        rows: H100_94GB_NVL,
    },
    Board {
        key: "h100-94gb-sxm",
        names: &["NVIDIA H100"],
        pci_ids: &[0x2339],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::Inferred,
        rows: H100_94GB_NVL,
    },
    Board {
        key: "h100-64gb-sxm",
        names: &[],
        pci_ids: &[0x2337],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::NamesOnly,
        rows: H100_64GB_SXM,
    },
    Board {
        key: "gh200-96gb",
        names: &["NVIDIA GH200 480GB", "NVIDIA GH200 120GB"],
        pci_ids: &[0x2342],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: Some(97871),
        sms: Some(132),
        certainty: Certainty::Verified,
        rows: GH200_96GB,
    },
    Board {
        key: "gh200-144gb",
        names: &["NVIDIA GH200 144G HBM3e"],
        pci_ids: &[0x2348],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::Partial,
        rows: GH200_144GB,
    },
    Board {
        key: "h200-141gb",
        names: &["NVIDIA H200", "NVIDIA H200 NVL"],
        pci_ids: &[0x2335, 0x233B],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: Some(143771),
        sms: Some(132),
        certainty: Certainty::Verified,
        rows: H200_141GB,
    },
    Board {
        key: "h20-96gb",
        names: &["NVIDIA H20"],
        pci_ids: &[0x2329],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: Some(97871),
        sms: None,
        certainty: Certainty::NamesOnly,
        rows: H20_96GB,
    },
    Board {
        key: "h20-3e-141gb",
        names: &["NVIDIA H20-3e"],
        pci_ids: &[0x232C],
        architecture: Architecture::Hopper,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::NamesOnly,
        rows: H20_3E_141GB,
    },
    Board {
        key: "b200-180gb",
        names: &["NVIDIA B200"],
        pci_ids: &[0x2901],
        architecture: Architecture::Blackwell,
        units: 8,
        slices: 7,
        memory_mib: Some(183359),
        sms: None,
        certainty: Certainty::Partial,
        rows: B200_180GB,
    },
    Board {
        key: "gb200-186gb",
        names: &["NVIDIA GB200"],
        pci_ids: &[0x2941],
        architecture: Architecture::Blackwell,
        units: 8,
        slices: 7,
        memory_mib: Some(189471),
        sms: None,
        certainty: Certainty::Partial,
        rows: GB200_186GB,
    },
    Board {
        key: "gb200-189gb",
        names: &["NVIDIA GB200"],
        pci_ids: &[0x2941],
        architecture: Architecture::Blackwell,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::Partial,
        rows: GB200_189GB,
    },
    Board {
        key: "b300-269gb",
        names: &["NVIDIA B300 SXM6 AC"],
        pci_ids: &[0x3182],
        architecture: Architecture::Blackwell,
        units: 8,
        slices: 7,
        memory_mib: None,
        sms: None,
        certainty: Certainty::NamesOnly,
        rows: B300_269GB,
    },
    Board {
        key: "gb300-278gb",
        names: &["NVIDIA GB300"],
        pci_ids: &[0x31C2],
        architecture: Architecture::Blackwell,
        units: 8,
        slices: 7,
        memory_mib: Some(284208),
        sms: None,
        certainty: Certainty::NamesOnly,
        rows: GB300_278GB,
    },
    Board {
        key: "rtx-pro-6000-blackwell-96gb",
        names: &[
            "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
            "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
            "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        ],
        pci_ids: &[0x2BB1, 0x2BB4, 0x2BB5],
        architecture: Architecture::Blackwell,
        units: 12,
        slices: 4,
        memory_mib: Some(97887),
        sms: Some(188),
        certainty: Certainty::Verified,
        rows: RTX_PRO_6000_BLACKWELL_96GB,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Placed;

    fn rows() -> impl Iterator<Item = (&'static Board, &'static Row)> {
        BOARDS.iter().flat_map(|b| b.rows.iter().map(move |r| (b, r)))
    }

    #[test]
    fn every_name_is_a_profile_and_every_key_and_id_is_unique() {
        for board in BOARDS {
            assert_eq!(BOARDS.iter().filter(|b| b.key == board.key).count(), 1, "{}", board.key);
            let geometry = board.geometry();
            for spec in &geometry.specs {
                assert_eq!(
                    geometry.specs.iter().filter(|s| s.id == spec.id || s.profile == spec.profile).count(),
                    1
                );
            }
        }
    }

    /// go-nvlib's rule for the memory figure of a profile name.
    #[test]
    fn names_follow_from_the_numbers() {
        for (board, row) in rows() {
            let (Some(total), Some(mib)) = (board.memory_mib, row.memory_mib) else { continue };
            let eighths = (mib as f64 / total as f64 * 8.0).ceil();
            let figure = (eighths / 8.0 * (total as f64 / 1024.0).ceil()).round();
            assert_eq!(f64::from(row.spec().profile.memory_gb()), figure, "{} {}", board.key, row.name);
        }
    }

    #[test]
    fn the_maximum_is_the_largest_set_of_disjoint_placements() {
        for board in BOARDS {
            let geometry = board.geometry();
            for (index, spec) in geometry.specs.iter().enumerate() {
                let mut chosen: Vec<Placed> = Vec::new();
                for &start in &spec.starts {
                    let next = Placed { spec: u8::try_from(index).unwrap(), start };
                    if chosen.iter().all(|&c| !geometry.conflict(c, next)) {
                        chosen.push(next);
                    }
                }
                assert_eq!(chosen.len(), usize::from(spec.max), "{} {}", board.key, spec.profile);
            }
        }
    }

    #[test]
    fn spans_stay_on_the_gpu_and_compute_instances_in_their_gpu_instance() {
        for (board, row) in rows() {
            assert!(row.starts.iter().all(|s| s + row.size <= board.units), "{} {}", board.key, row.name);
            assert!(row.compute.iter().any(|c| c.id == row.default_compute), "{} {}", board.key, row.name);
            let slices = row.spec().profile.slices();
            assert!(
                row.compute.iter().all(|c| c.slices * c.max.unwrap_or(1) <= slices),
                "{} {}",
                board.key,
                row.name
            );
        }
    }

    /// The Multi-Instance GPU User Guide's tables: 19 combinations on A100 and H100, 5 on A30.
    #[test]
    fn documented_numbers_of_maximal_configurations() {
        let plain = |key: &str, names: &[&str]| {
            let mut geometry = Board::by_key(key).unwrap().geometry();
            geometry.specs.retain(|s| names.contains(&s.profile.to_string().as_str()));
            maximal(&geometry)
        };
        assert_eq!(plain("a100-40gb", &["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]), 19);
        assert_eq!(plain("h100-80gb-sxm", &["1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"]), 19);
        assert_eq!(
            plain("a100-40gb", &["1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]),
            78
        );
        assert_eq!(plain("a30-24gb", &["1g.6gb", "2g.12gb", "4g.24gb"]), 5);
        assert_eq!(plain("rtx-pro-6000-blackwell-96gb", &["1g.24gb", "2g.48gb", "4g.96gb"]), 5);
    }

    fn maximal(geometry: &Geometry) -> usize {
        let all: Vec<Placed> = geometry.placements().collect();
        let legal_sets = (0u32..1 << all.len())
            .map(|mask| (0..all.len()).filter(|i| mask >> i & 1 == 1).map(|i| all[i]).collect::<Vec<_>>())
            .filter(|set| geometry.legal(set));
        legal_sets
            .filter(|set| {
                all.iter().filter(|p| !set.contains(p)).all(|&p| {
                    let mut more = set.clone();
                    more.push(p);
                    !geometry.legal(&more)
                })
            })
            .count()
    }
}
