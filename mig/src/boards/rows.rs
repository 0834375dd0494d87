//! Profiles of every board, as `nvidia-smi mig -lgip`, `-lgipp` and `-lcip` print them.
//!
//! Above each table stands where its figures are from. "The guide" is NVIDIA's Multi-Instance GPU User
//! Guide, chapter Supported MIG Profiles. Memory follows the driver: where releases differ, it is that of R580.
//!
//! From Hopper on the double-memory 1g offers compute profile 0, with the multiprocessors of a 1g, beside
//! 7, which fills it and is the default (kubernetes-sigs/dra-driver-nvidia-gpu#1454 shows both on a B300,
//! NVIDIA/go-nvlib#85 says it of `1_SLICE_REV2`).

use super::{ComputeRow, Row};

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

/// R580: `nvidia-smi mig -lgip` of an A100-SXM4-40GB under 580.126.09. R450 to R550 print 9.62, 19.50 and
/// 39.25 GiB where it has 9.75, 19.62 and 39.38.
pub(super) const A100_40GB: &[Row] = &[
    row!("1g.5gb", 0, 19, 7, 4864, 14, [1, 0, 0, 0, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.5gb+me", 7, 20, 1, 4864, 14, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.10gb", 9, 15, 4, 9984, 14, [1, 1, 0, 0, 0], 2: [0, 2, 4, 6], default 0, [(0, 1, 1, 14)]),
    row!("2g.10gb", 1, 14, 3, 9984, 28, [2, 1, 0, 0, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 14), (1, 2, 1, 28)]),
    row!("3g.20gb", 2, 9, 2, 20096, 42, [3, 2, 0, 0, 0], 4: [0, 4], default 2, [(0, 1, 3, 14), (1, 2, 1, 28), (2, 3, 1, 42)]),
    row!("4g.20gb", 3, 5, 1, 20096, 56, [4, 2, 0, 0, 0], 4: [0], default 3, [(0, 1, 4, 14), (1, 2, 2, 28), (3, 4, 1, 56)]),
    row!("7g.40gb", 4, 0, 1, 40320, 98, [7, 5, 0, 1, 1], 8: [0], default 4, [(0, 1, 7, 14), (1, 2, 3, 28), (2, 3, 2, 42), (3, 4, 1, 56), (4, 7, 1, 98)]),
];

/// Listings of an A100-SXM4-80GB under 550.54.14, NVIDIA/mig-parted. Compute profiles as on the A100 40GB.
pub(super) const A100_80GB: &[Row] = &[
    row!("1g.10gb", 0, 19, 7, 9728, 14, [1, 0, 0, 0, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.10gb+me", 7, 20, 1, 9728, 14, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.20gb", 9, 15, 4, 19968, 14, [1, 1, 0, 0, 0], 2: [0, 2, 4, 6], default 0, [(0, 1, 1, 14)]),
    row!("2g.20gb", 1, 14, 3, 19968, 28, [2, 1, 0, 0, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 14), (1, 2, 1, 28)]),
    row!("3g.40gb", 2, 9, 2, 40192, 42, [3, 2, 0, 0, 0], 4: [0, 4], default 2, [(0, 1, 3, 14), (1, 2, 1, 28), (2, 3, 1, 42)]),
    row!("4g.40gb", 3, 5, 1, 40192, 56, [4, 2, 0, 0, 0], 4: [0], default 3, [(0, 1, 4, 14), (1, 2, 2, 28), (3, 4, 1, 56)]),
    row!("7g.80gb", 4, 0, 1, 80640, 98, [7, 5, 0, 1, 1], 8: [0], default 4, [(0, 1, 7, 14), (1, 2, 3, 28), (2, 3, 2, 42), (3, 4, 1, 56), (4, 7, 1, 98)]),
];

/// Names by the rule of NVIDIA/go-nvlib from the 64 GiB in the product name; no listing was found. Geometry:
/// that of every GA100 with 7 slices seen.
pub(super) const A100_64GB: &[Row] = &[
    row!("1g.8gb", 0, 19, 7, N, N, [1, 0, 0, 0, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.8gb+me", 7, 20, 1, N, N, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.16gb", 9, 15, 4, N, N, [1, 1, 0, 0, 0], 2: [0, 2, 4, 6], default 0, [(0, 1, 1, N)]),
    row!("2g.16gb", 1, 14, 3, N, N, [2, 1, 0, 0, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (1, 2, 1, N)]),
    row!("3g.32gb", 2, 9, 2, N, N, [3, 2, 0, 0, 0], 4: [0, 4], default 2, [(0, 1, 3, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.32gb", 3, 5, 1, N, N, [4, 2, 0, 0, 0], 4: [0], default 3, [(0, 1, 4, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.64gb", 4, 0, 1, N, N, [7, 5, 0, 1, 1], 8: [0], default 4, [(0, 1, 7, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// The guide, NVIDIA/mig-parted, listings of an A30. Compute profiles inferred from the A100.
pub(super) const A30_24GB: &[Row] = &[
    row!("1g.6gb", 0, 14, 4, 5952, 14, [1, 1, 0, 0, 0], 1: [0, 1, 2, 3], default 0, [(0, 1, 1, 14)]),
    row!("1g.6gb+me", 7, 21, 1, 5952, 14, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3], default 0, [(0, 1, 1, 14)]),
    row!("2g.12gb", 1, 5, 2, 11968, 28, [2, 2, 0, 0, 0], 2: [0, 2], default 1, [(0, 1, 2, 14), (1, 2, 1, 28)]),
    row!("2g.12gb+me", 8, 6, 1, 11968, 28, [2, 2, 0, 1, 1], 2: [0, 2], default 1, [(0, 1, 2, 14), (1, 2, 1, 28)]),
    row!("4g.24gb", 3, 0, 1, 24000, 56, [4, 4, 0, 1, 1], 4: [0], default 3, [(0, 1, 4, 14), (1, 2, 2, 28), (3, 4, 1, 56)]),
];

/// An NVIDIA H100 80GB HBM3 under 580.159.04, asked for every profile (`tests/judges/hardware`); compute
/// profiles of 1g and 2g from NVIDIA/go-nvml#146, of the larger ones inferred.
pub(super) const H100_80GB_SXM: &[Row] = &[
    row!("1g.10gb", 0, 19, 7, 9984, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.10gb+me", 7, 20, 1, 9984, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.20gb", 9, 15, 4, 20096, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 16), (7, 1, 1, 26)]),
    row!("2g.20gb", 1, 14, 3, 20096, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.40gb", 2, 9, 2, 40448, 60, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, 60)]),
    row!("4g.40gb", 3, 5, 1, 40448, 64, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, 64)]),
    row!("7g.80gb", 4, 0, 1, 81152, 132, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, 60), (3, 4, 1, 64), (4, 7, 1, 132)]),
];

/// Listings of an H100 PCIe. Compute profiles inferred from the SXM board.
pub(super) const H100_80GB_PCIE: &[Row] = &[
    row!("1g.10gb", 0, 19, 7, 9984, 14, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.10gb+me", 7, 20, 1, 9984, 14, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 14)]),
    row!("1g.20gb", 9, 15, 4, 20096, 14, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 14), (7, 1, 1, 14)]),
    row!("2g.20gb", 1, 14, 3, 20096, 30, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 14), (7, 1, 1, 14), (1, 2, 1, 30)]),
    row!("3g.40gb", 2, 9, 2, 40448, 46, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 14), (7, 1, N, 14), (1, 2, 1, 30), (2, 3, 1, 46)]),
    row!("4g.40gb", 3, 5, 1, 40448, 62, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 14), (7, 1, N, 14), (1, 2, 2, 30), (3, 4, 1, 62)]),
    row!("7g.80gb", 4, 0, 1, 81152, 114, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 14), (7, 1, N, 14), (1, 2, 3, 30), (2, 3, 2, 46), (3, 4, 1, 62), (4, 7, 1, 114)]),
];

/// Listings of an H100 NVL, NVIDIA/mig-parted. Compute profiles inferred from the 80 GB board.
pub(super) const H100_94GB_NVL: &[Row] = &[
    row!("1g.12gb", 0, 19, 7, 11008, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.12gb+me", 7, 20, 1, 11008, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.24gb", 9, 15, 4, 22144, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 16), (7, 1, 1, 26)]),
    row!("2g.24gb", 1, 14, 3, 22144, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.47gb", 2, 9, 2, 47488, 60, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, 60)]),
    row!("4g.47gb", 3, 5, 1, 47488, 64, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, 64)]),
    row!("7g.94gb", 4, 0, 1, 95360, 132, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, 60), (3, 4, 1, 64), (4, 7, 1, 132)]),
];

/// Names: vGPU types `H100XS-*` of the driver's name table. Geometry: that of every GH100 seen.
pub(super) const H100_64GB_SXM: &[Row] = &[
    row!("1g.8gb", 0, 19, 7, N, N, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.8gb+me", 7, 20, 1, N, N, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.16gb", 9, 15, 4, N, N, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, N), (7, 1, 1, N)]),
    row!("2g.16gb", 1, 14, 3, N, N, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.32gb", 2, 9, 2, N, N, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.32gb", 3, 5, 1, N, N, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.64gb", 4, 0, 1, N, N, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// NVIDIA/mig-parted and a listing. Compute profiles inferred from the H100.
pub(super) const GH200_96GB: &[Row] = &[
    row!("1g.12gb", 0, 19, 7, 11264, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.12gb+me", 7, 20, 1, 11264, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.24gb", 9, 15, 4, 23552, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 16), (7, 1, 1, 26)]),
    row!("2g.24gb", 1, 14, 3, 23552, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.48gb", 2, 9, 2, 47616, 60, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, 60)]),
    row!("4g.48gb", 3, 5, 1, 47616, 64, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, 64)]),
    row!("7g.96gb", 4, 0, 1, 95232, 132, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, 60), (3, 4, 1, 64), (4, 7, 1, 132)]),
];

/// The first rows of a listing (NVIDIA/mig-parted#139); what is `N` was cut off there.
pub(super) const GH200_144GB: &[Row] = &[
    row!("1g.18gb", 0, 19, 7, 17920, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.18gb+me", 7, 20, 1, 17920, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.36gb", 9, 15, 4, 36096, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 16), (7, 1, 1, 26)]),
    row!("2g.36gb", 1, 14, 3, 36096, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.72gb", 2, 9, 2, N, N, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, N)]),
    row!("4g.72gb", 3, 5, 1, N, N, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, N)]),
    row!("7g.144gb", 4, 0, 1, N, N, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// An NVIDIA H200 under 580.159.04, asked for every profile (`tests/judges/hardware`). A listing of 2024
/// had 32.25 and 69.50 GiB where it has 32.50 and 69.75. Compute profiles inferred from the H100.
pub(super) const H200_141GB: &[Row] = &[
    row!("1g.18gb", 0, 19, 7, 16384, 16, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.18gb+me", 7, 20, 1, 16384, 16, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 16)]),
    row!("1g.35gb", 9, 15, 4, 33280, 26, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 16), (7, 1, 1, 26)]),
    row!("2g.35gb", 1, 14, 3, 33280, 32, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 16), (7, 1, 1, 26), (1, 2, 1, 32)]),
    row!("3g.71gb", 2, 9, 2, 71424, 60, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, 16), (7, 1, N, 26), (1, 2, 1, 32), (2, 3, 1, 60)]),
    row!("4g.71gb", 3, 5, 1, 71424, 64, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, 16), (7, 1, N, 26), (1, 2, 2, 32), (3, 4, 1, 64)]),
    row!("7g.141gb", 4, 0, 1, 143360, 132, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, 16), (7, 1, N, 26), (1, 2, 3, 32), (2, 3, 2, 60), (3, 4, 1, 64), (4, 7, 1, 132)]),
];

/// Names: vGPU types `H20-*` of the driver's name table. Geometry: that of every GH100 seen.
pub(super) const H20_96GB: &[Row] = &[
    row!("1g.12gb", 0, 19, 7, N, N, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.12gb+me", 7, 20, 1, N, N, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.24gb", 9, 15, 4, N, N, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, N), (7, 1, 1, N)]),
    row!("2g.24gb", 1, 14, 3, N, N, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.48gb", 2, 9, 2, N, N, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.48gb", 3, 5, 1, N, N, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.96gb", 4, 0, 1, N, N, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// Names: vGPU types `H20X-*` of the driver's name table. Geometry: that of every GH100 seen.
pub(super) const H20_3E_141GB: &[Row] = &[
    row!("1g.18gb", 0, 19, 7, N, N, [1, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.18gb+me", 7, 20, 1, N, N, [1, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.35gb", 9, 15, 4, N, N, [1, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, N), (7, 1, 1, N)]),
    row!("2g.35gb", 1, 14, 3, N, N, [2, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.71gb", 2, 9, 2, N, N, [3, 3, 0, 3, 0], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.71gb", 3, 5, 1, N, N, [4, 4, 0, 4, 0], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.141gb", 4, 0, 1, N, N, [8, 7, 0, 7, 1], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// The first rows of a listing (NVIDIA/mig-parted#166), names of the rest from the guide.
pub(super) const B200_180GB: &[Row] = &[
    row!("1g.23gb", 0, 19, 7, 22528, 18, [2, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.23gb+me", 7, 20, 1, 22528, 18, [2, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.45gb", 9, 15, 4, 45312, 30, [2, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 18), (7, 1, 1, 30)]),
    row!("2g.45gb", 1, 14, 3, 45312, 36, [4, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 18), (7, 1, 1, 30), (1, 2, 1, 36)]),
    row!("3g.90gb", 2, 9, 2, N, N, [6, N, 0, N, 0], 4: [0, 4], default 2, [(0, 1, 3, 18), (7, 1, N, 30), (1, 2, 1, 36), (2, 3, 1, N)]),
    row!("4g.90gb", 3, 5, 1, N, N, [8, N, 0, N, 0], 4: [0], default 3, [(0, 1, 4, 18), (7, 1, N, 30), (1, 2, 2, 36), (3, 4, 1, N)]),
    row!("7g.180gb", 4, 0, 1, N, N, [16, N, 0, N, N], 8: [0], default 4, [(0, 1, 7, 18), (7, 1, N, 30), (1, 2, 3, 36), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// The first rows of a listing (NVIDIA/mig-parted#227), names of the rest from NVIDIA/mig-parted.
pub(super) const GB200_186GB: &[Row] = &[
    row!("1g.23gb", 0, 19, 7, 22528, 18, [2, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.23gb+me", 7, 20, 1, 22528, 18, [2, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.47gb", 9, 15, 4, 46592, 32, [2, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 18), (7, 1, 1, 32)]),
    row!("2g.47gb", 1, 14, 3, 46592, 38, [4, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 18), (7, 1, 1, 32), (1, 2, 1, 38)]),
    row!("3g.93gb", 2, 9, 2, N, N, [6, N, 0, N, 0], 4: [0, 4], default 2, [(0, 1, 3, 18), (7, 1, N, 32), (1, 2, 1, 38), (2, 3, 1, N)]),
    row!("4g.93gb", 3, 5, 1, N, N, [8, N, 0, N, 0], 4: [0], default 3, [(0, 1, 4, 18), (7, 1, N, 32), (1, 2, 2, 38), (3, 4, 1, N)]),
    row!("7g.186gb", 4, 0, 1, N, N, [16, N, 0, N, N], 8: [0], default 4, [(0, 1, 7, 18), (7, 1, N, 32), (1, 2, 3, 38), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// The first rows of a listing (NVIDIA/gpu-operator#1303), names of the rest from NVIDIA/mig-parted.
pub(super) const GB200_189GB: &[Row] = &[
    row!("1g.24gb", 0, 19, 7, 20480, 18, [2, 1, 0, 1, 0], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.24gb+me", 7, 20, 1, 20480, 18, [2, 1, 0, 1, 1], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, 18)]),
    row!("1g.47gb", 9, 15, 4, 46592, 32, [2, 1, 0, 1, 0], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 18), (7, 1, 1, 32)]),
    row!("2g.47gb", 1, 14, 3, N, 38, [4, 2, 0, 2, 0], 2: [0, 2, 4], default 1, [(0, 1, 2, 18), (7, 1, 1, 32), (1, 2, 1, 38)]),
    row!("3g.95gb", 2, 9, 2, N, N, [6, N, 0, N, 0], 4: [0, 4], default 2, [(0, 1, 3, 18), (7, 1, N, 32), (1, 2, 1, 38), (2, 3, 1, N)]),
    row!("4g.95gb", 3, 5, 1, N, N, [8, N, 0, N, 0], 4: [0], default 3, [(0, 1, 4, 18), (7, 1, N, 32), (1, 2, 2, 38), (3, 4, 1, N)]),
    row!("7g.189gb", 4, 0, 1, N, N, [16, N, 0, N, N], 8: [0], default 4, [(0, 1, 7, 18), (7, 1, N, 32), (1, 2, 3, 38), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// Names: vGPU types `B300X-*` of the driver's name table. 1g.67gb: kubernetes-sigs/dra-driver-nvidia-gpu#1454.
/// Geometry: that of every 7-slice GPU seen.
pub(super) const B300_269GB: &[Row] = &[
    row!("1g.34gb", 0, 19, 7, N, N, [N, N, N, N, N], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.34gb+me", 7, 20, 1, N, N, [N, N, N, N, N], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.67gb", 9, 15, 4, N, 30, [N, N, N, N, N], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, 18), (7, 1, 1, 30)]),
    row!("2g.67gb", 1, 14, 3, N, N, [N, N, N, N, N], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.135gb", 2, 9, 2, N, N, [N, N, N, N, N], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.135gb", 3, 5, 1, N, N, [N, N, N, N, N], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.269gb", 4, 0, 1, N, N, [N, N, N, N, N], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// Names and profile ids: NVIDIA's DGX Station playbooks on MIG. Placements: those of every 7-slice GPU seen.
pub(super) const GB300_278GB: &[Row] = &[
    row!("1g.35gb", 0, 19, 7, N, N, [N, N, N, N, N], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.35gb+me", 7, 20, 1, N, N, [N, N, N, N, N], 1: [0, 1, 2, 3, 4, 5, 6], default 0, [(0, 1, 1, N)]),
    row!("1g.70gb", 9, 15, 4, N, N, [N, N, N, N, N], 2: [0, 2, 4, 6], default 7, [(0, 1, 1, N), (7, 1, 1, N)]),
    row!("2g.70gb", 1, 14, 3, N, N, [N, N, N, N, N], 2: [0, 2, 4], default 1, [(0, 1, 2, N), (7, 1, 1, N), (1, 2, 1, N)]),
    row!("3g.139gb", 2, 9, 2, N, N, [N, N, N, N, N], 4: [0, 4], default 2, [(0, 1, 3, N), (7, 1, N, N), (1, 2, 1, N), (2, 3, 1, N)]),
    row!("4g.139gb", 3, 5, 1, N, N, [N, N, N, N, N], 4: [0], default 3, [(0, 1, 4, N), (7, 1, N, N), (1, 2, 2, N), (3, 4, 1, N)]),
    row!("7g.278gb", 4, 0, 1, N, N, [N, N, N, N, N], 8: [0], default 4, [(0, 1, 7, N), (7, 1, N, N), (1, 2, 3, N), (2, 3, 2, N), (3, 4, 1, N), (4, 7, 1, N)]),
];

/// A Max-Q Workstation Edition under 580.105.08 (`-lgip`, `-lgipp`, GPU instances made). A Server Edition
/// printed 95.12 GiB for its 4g.96gb, and one with ECC on 23.12, 46.50 and 93.38.
pub(super) const RTX_PRO_6000_BLACKWELL_96GB: &[Row] = &[
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

/// Names, maxima and engines: the guide. Profile ids and placements are not published: ids are those of the
/// RTX PRO 6000 (and of the A30's `+me`) for the same share of a GPU, places are counted in halves.
pub(super) const RTX_PRO_5000_BLACKWELL_48GB: &[Row] = &[
    row!("1g.24gb", 0, 5, 2, N, N, [1, 1, 1, 0, 0], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("1g.24gb+me", 7, 6, 1, N, N, [1, 1, 1, 1, 1], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("1g.24gb+gfx", 10, 35, 2, N, N, [1, 1, 1, 0, 0], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("1g.24gb+me.all", 15, 64, 1, N, N, [1, 3, 3, 1, 1], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("1g.24gb-me", 13, 66, 2, N, N, [1, 0, 0, 0, 0], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("2g.48gb", 1, 0, 1, N, N, [4, 3, 3, 1, 1], 2: [0], default 1, [(0, 1, 2, N), (1, 2, 1, N)]),
    row!("2g.48gb+gfx", 11, 32, 1, N, N, [4, 3, 3, 1, 1], 2: [0], default 1, [(0, 1, 2, N), (1, 2, 1, N)]),
];

/// As the RTX PRO 5000.
pub(super) const RTX_PRO_4500_BLACKWELL_32GB: &[Row] = &[
    row!("1g.16gb", 0, 5, 2, N, N, [1, 1, 1, 1, 0], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("1g.16gb+gfx", 10, 35, 2, N, N, [1, 1, 1, 1, 0], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("1g.16gb+me.all", 15, 64, 1, N, N, [1, 3, 3, 2, 1], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("1g.16gb-me", 13, 66, 2, N, N, [1, 0, 0, 0, 0], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("2g.32gb", 1, 0, 1, N, N, [2, 3, 3, 2, 1], 2: [0], default 1, [(0, 1, 2, N), (1, 2, 1, N)]),
    row!("2g.32gb+gfx", 11, 32, 1, N, N, [2, 3, 3, 2, 1], 2: [0], default 1, [(0, 1, 2, N), (1, 2, 1, N)]),
];

/// Names: vGPU types `RTX 6000D-1-42*` and `-2-84*` of the driver's name table, which gives them a mini half
/// (the flag of id 9) and the whole GPU (`g_vgpu_resman_specific.h`). Profiles with a suffix were not found.
pub(super) const RTX_6000D_BLACKWELL: &[Row] = &[
    row!("1g.42gb", 0, 9, 2, N, N, [N, N, N, N, N], 1: [0, 1], default 0, [(0, 1, 1, N)]),
    row!("2g.84gb", 1, 0, 1, N, N, [N, N, N, N, N], 2: [0], default 1, [(0, 1, 2, N), (1, 2, 1, N)]),
];
