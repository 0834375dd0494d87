//! What one physical GPU can be cut into.
//!
//! A GPU instance occupies a span of *placement units* (eighths of the memory on A100 to GB300, quarters
//! on A30, twelfths on RTX PRO 6000: `nvmlGpuInstancePlacement_t`). Two instances exclude each other when
//! their spans overlap, and by two rules on media engines: `+me` exists once per GPU, and `+me.all` leaves
//! room for nothing but `-me` (nvml.h on `NVML_GPU_INSTANCE_PROFILE_1_SLICE_ALL_ME`).

use std::fmt;
use std::ops::Range;

use crate::profile::{Attribute, Profile};

/// Everything one GPU model, or one live GPU, can be cut into.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Geometry {
    /// Placement units of the whole GPU.
    pub units: u8,
    /// Compute slices of the whole GPU.
    pub slices: u8,
    /// GPU instance profiles, in the order NVML enumerates them.
    #[cfg_attr(feature = "serde", serde(rename = "profiles"))]
    pub specs: Vec<Spec>,
}

/// One GPU instance profile of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Spec {
    /// Its name.
    #[cfg_attr(feature = "serde", serde(rename = "name"))]
    pub profile: Profile,
    /// NVML's profile id. It is per device: the same name has other ids on other GPUs.
    pub id: u32,
    /// Length of its span, in placement units.
    pub size: u8,
    /// Legal starts of the span, in placement units, ascending.
    pub starts: Vec<u8>,
    /// How many a GPU can hold at once.
    pub max: u8,
    /// Streaming multiprocessors; `None` when unknown.
    pub sms: Option<u32>,
    /// Memory, in MiB; `None` when unknown.
    pub memory_mib: Option<u64>,
    /// Copy engines; `None` when unknown, as of the engines below.
    pub copy_engines: Option<u8>,
    /// Video decoders (NVDEC).
    pub decoders: Option<u8>,
    /// Video encoders (NVENC).
    pub encoders: Option<u8>,
    /// JPEG decoders.
    pub jpeg_decoders: Option<u8>,
    /// Optical flow accelerators.
    pub optical_flow: Option<u8>,
    /// Compute instance profiles it can be divided into.
    pub compute: Vec<ComputeSpec>,
}

/// One compute instance profile of a GPU instance profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct ComputeSpec {
    /// NVML's compute instance profile id.
    pub id: u32,
    /// Compute slices.
    pub slices: u8,
    /// How many fit in one GPU instance.
    pub max: u8,
    /// Streaming multiprocessors; `None` when unknown.
    pub sms: Option<u32>,
}

/// A GPU instance profile at a place: what a GPU instance is known by, on one GPU, from one read to the next. GPU
/// instance ids are the driver's own and are never derived from this (mirrored boards number the same places
/// differently), and the order in which it lists profiles is its own, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub struct Placement {
    /// Its profile, never a part of one.
    pub profile: Profile,
    /// First placement unit.
    pub start: u8,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.profile, self.start)
    }
}

impl Spec {
    /// Its legal placements, ascending.
    pub fn placements(&self) -> impl Iterator<Item = Placement> + '_ {
        self.starts.iter().map(|&start| Placement { profile: self.profile, start })
    }

    /// The name of one of its compute instance profiles: the GPU instance's own where it fills that, which takes all the
    /// slices and no fewer SMs than any other profile of as many slices.
    pub fn compute_name(&self, compute: &ComputeSpec) -> Profile {
        let alike = self.compute.iter().filter(|other| other.slices == compute.slices);
        let most = alike.filter_map(|other| other.sms).max();
        let lacks = compute.sms.zip(most).is_some_and(|(own, most)| own < most);
        if compute.slices == self.profile.slices() && !lacks {
            self.profile
        } else {
            self.profile.part(compute.slices)
        }
    }
}

impl Geometry {
    /// The GPU instance profile of that name, or that the compute instance of that name is in.
    pub fn spec(&self, profile: Profile) -> Option<&Spec> {
        let wanted = profile.gpu_instance();
        self.specs.iter().find(|s| s.profile == wanted)
    }

    /// The placement units an instance occupies: all from its start on for a profile that is none of this GPU's.
    pub fn span(&self, placement: Placement) -> Range<u8> {
        let size = self.spec(placement.profile).map_or(u8::MAX, |spec| spec.size);
        placement.start..placement.start.saturating_add(size)
    }

    /// Every legal placement.
    pub fn placements(&self) -> impl Iterator<Item = Placement> + '_ {
        self.specs.iter().flat_map(Spec::placements)
    }

    /// Whether two instances cannot exist side by side.
    pub fn conflict(&self, a: Placement, b: Placement) -> bool {
        let (left, right) = (self.span(a), self.span(b));
        let overlap = left.start < right.end && right.start < left.end;
        overlap || excludes(a.profile.attribute(), b.profile.attribute())
    }

    /// Whether these instances can exist together: known places, no conflict, no profile beyond its maximum.
    pub fn legal(&self, placements: &[Placement]) -> bool {
        let is_known = |p: &Placement| {
            self.spec(p.profile).is_some_and(|s| s.profile == p.profile && s.starts.contains(&p.start))
        };
        let fits = |spec: &Spec| {
            placements.iter().filter(|p| p.profile == spec.profile).count() <= usize::from(spec.max)
        };
        let mut pairs = placements.iter().enumerate();
        placements.iter().all(is_known)
            && self.specs.iter().all(fits)
            && pairs.all(|(i, &a)| placements[..i].iter().all(|&b| !self.conflict(a, b)))
    }
}

/// Whether the media-engine rules forbid two instances with these attributes on one GPU.
fn excludes(a: Attribute, b: Attribute) -> bool {
    use Attribute::{Me, MeAll, NoMe};
    match (a, b) {
        (Me, Me) => true,
        (MeAll, other) | (other, MeAll) => other != NoMe,
        _ => false,
    }
}
