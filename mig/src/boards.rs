//! Geometry of GPU models, for planning without a GPU and for the simulator.
//!
//! At run time NVML is the authority: memory figures, and now and then names, change with driver, VBIOS
//! and board. Sources: NVIDIA Multi-Instance GPU User Guide (editions for R580 to R620), published
//! `nvidia-smi mig -lgip`, `-lgipp` and `-lcip` listings of real boards, NVIDIA/mig-parted, and
//! NVIDIA/open-gpu-kernel-modules. [`Certainty`] says how much of a board's table was seen on hardware.

mod list;
mod rows;

pub use list::BOARDS;

use crate::geometry::{ComputeSpec, Geometry, Spec};

/// GPU architecture, in order of age. From Hopper on MIG mode switches without a GPU reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
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
    /// Product names as NVML gives them: first those of the present driver, then older ones.
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
        let [copy_engines, decoders, encoders, jpeg_decoders, optical_flow] = self.engines;
        Spec {
            profile: self.name.parse().expect("names in the table are profile names"),
            id: self.id,
            size: self.size,
            starts: self.starts.to_vec(),
            max: self.max,
            sms: self.sms,
            memory_mib: self.memory_mib,
            copy_engines,
            decoders,
            encoders,
            jpeg_decoders,
            optical_flow,
            compute: self
                .compute
                .iter()
                .map(|c| ComputeSpec { id: c.id, slices: c.slices, max: c.max.unwrap_or(1), sms: c.sms })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Placement;

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
            for spec in &geometry.specs {
                let mut chosen: Vec<Placement> = Vec::new();
                for next in spec.placements() {
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

    /// kubernetes-sigs/dra-driver-nvidia-gpu#1454 (B300) and NVIDIA/go-nvlib#85: the double-memory 1g has two
    /// compute profiles of one slice, of which the larger fills it.
    #[test]
    fn the_double_memory_1g_offers_two_compute_profiles_from_hopper_on() {
        const DOUBLE_MEMORY: u32 = 9; // NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV2
        for (board, row) in rows().filter(|(_, row)| row.nvml_enum == DOUBLE_MEMORY) {
            let offered: Vec<u32> = row.compute.iter().map(|c| c.id).collect();
            if board.architecture == Architecture::Ampere {
                assert_eq!((offered.as_slice(), row.default_compute), ([0].as_slice(), 0), "{}", board.key);
                continue;
            }
            assert_eq!((offered.as_slice(), row.default_compute), ([0, 7].as_slice(), 7), "{}", board.key);
            assert_eq!(row.compute[1].sms, row.sms, "{}", board.key);
            let single = board.rows.iter().find(|r| r.nvml_enum == 0).unwrap();
            assert!(single.sms.is_none() || row.compute[0].sms == single.sms, "{}", board.key);
        }
    }

    /// Memory as `nvidia-smi mig -lgip` of R580 prints it, in GiB, where older releases print other figures.
    #[test]
    fn memory_is_that_of_the_present_driver() {
        let printed = |key: &str, name: &str| {
            let row = Board::by_key(key).unwrap().rows.iter().find(|r| r.name == name).unwrap();
            format!("{:.2}", row.memory_mib.unwrap() as f64 / 1024.0)
        };
        for (key, name, gib) in [
            // A100-SXM4-40GB, 580.126.09. nvidia-smi rounds halves to even: 19.625 and 39.375.
            ("a100-40gb", "1g.5gb", "4.75"),
            ("a100-40gb", "1g.10gb", "9.75"),
            ("a100-40gb", "2g.10gb", "9.75"),
            ("a100-40gb", "3g.20gb", "19.62"),
            ("a100-40gb", "4g.20gb", "19.62"),
            ("a100-40gb", "7g.40gb", "39.38"),
            // H200, 580.159.04.
            ("h200-141gb", "1g.18gb", "16.00"),
            ("h200-141gb", "1g.35gb", "32.50"),
            ("h200-141gb", "2g.35gb", "32.50"),
            ("h200-141gb", "3g.71gb", "69.75"),
            ("h200-141gb", "4g.71gb", "69.75"),
            ("h200-141gb", "7g.141gb", "140.00"),
            // RTX PRO 6000 Max-Q Workstation Edition, 580.105.08.
            ("rtx-pro-6000-blackwell-96gb", "1g.24gb", "23.62"),
            ("rtx-pro-6000-blackwell-96gb", "2g.48gb", "47.38"),
            ("rtx-pro-6000-blackwell-96gb", "4g.96gb", "95.00"),
        ] {
            assert_eq!(printed(key, name), gib, "{key} {name}");
        }
    }

    fn maximal(geometry: &Geometry) -> usize {
        let all: Vec<Placement> = geometry.placements().collect();
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
