//! What one physical GPU can be cut into.
//!
//! A GPU instance occupies a span of *placement units* (eighths of the memory on A100 to GB300, quarters
//! on A30, twelfths on RTX PRO 6000: `nvmlGpuInstancePlacement_t`). Two instances exclude each other when
//! their spans overlap, and by two rules on media engines: `+me` exists once per GPU, and `+me.all` leaves
//! room for nothing but `-me` (nvml.h on `NVML_GPU_INSTANCE_PROFILE_1_SLICE_ALL_ME`).

use std::ops::Range;

use crate::profile::{Attribute, Profile};

/// Everything one GPU model, or one live GPU, can be cut into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Placement units of the whole GPU.
    pub units: u8,
    /// Compute slices of the whole GPU.
    pub slices: u8,
    /// GPU instance profiles, in the order NVML enumerates them.
    pub specs: Vec<Spec>,
}

/// One GPU instance profile of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
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
    /// Engines that come with the instance.
    pub engines: Engines,
    /// Compute instance profiles it can be divided into.
    pub compute: Vec<ComputeSpec>,
}

/// Engine counts of a GPU instance; `None` when unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Engines {
    /// Copy engines.
    pub copy: Option<u8>,
    /// Video decoders (NVDEC).
    pub decoder: Option<u8>,
    /// Video encoders (NVENC).
    pub encoder: Option<u8>,
    /// JPEG decoders.
    pub jpeg: Option<u8>,
    /// Optical flow accelerators.
    pub ofa: Option<u8>,
}

/// One compute instance profile of a GPU instance profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A GPU instance at a place: the identity of a slice. GPU instance ids are the driver's own and are
/// never derived from this (mirrored boards number the same places differently).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Placed {
    /// Index into [`Geometry::specs`].
    pub spec: u8,
    /// First placement unit.
    pub start: u8,
}

impl Spec {
    /// The name of one of its compute instance profiles: the GPU instance's own where it fills that, which takes all the
    /// slices and no fewer SMs than any other profile of as many slices.
    pub fn compute_name(&self, compute: &ComputeSpec) -> Profile {
        let alike = self.compute.iter().filter(|other| other.slices == compute.slices);
        let most = alike.filter_map(|other| other.sms).max();
        let lacks = compute.sms.zip(most).is_some_and(|(own, most)| own < most);
        match compute.slices == self.profile.slices() && !lacks {
            true => self.profile,
            false => self.profile.part(compute.slices),
        }
    }
}

impl Geometry {
    /// The spec of a placed instance.
    ///
    /// # Panics
    /// When `placed` belongs to another geometry.
    pub fn spec(&self, placed: Placed) -> &Spec {
        &self.specs[usize::from(placed.spec)]
    }

    /// Index of the GPU instance profile, ignoring a compute instance part.
    pub fn find(&self, profile: Profile) -> Option<u8> {
        let wanted = profile.gpu_instance();
        self.specs.iter().position(|s| s.profile == wanted).and_then(|i| u8::try_from(i).ok())
    }

    /// Whether [`Placed::spec`] means the same in both.
    pub(crate) fn same_order(&self, other: &Geometry) -> bool {
        self.specs.iter().map(|s| s.profile).eq(other.specs.iter().map(|s| s.profile))
    }

    /// The placement units an instance occupies.
    pub fn span(&self, placed: Placed) -> Range<u8> {
        placed.start..placed.start + self.spec(placed).size
    }

    /// Every legal placement, by spec and start.
    pub fn placements(&self) -> impl Iterator<Item = Placed> + '_ {
        self.specs
            .iter()
            .zip(0u8..)
            .flat_map(|(spec, index)| spec.starts.iter().map(move |&start| Placed { spec: index, start }))
    }

    /// Whether two instances cannot exist side by side.
    pub fn conflict(&self, a: Placed, b: Placed) -> bool {
        let (left, right) = (self.span(a), self.span(b));
        let overlap = left.start < right.end && right.start < left.end;
        overlap || excludes(self.spec(a).profile.attribute(), self.spec(b).profile.attribute())
    }

    /// Whether these instances can exist together: known places, no conflict, no profile beyond its maximum.
    pub fn legal(&self, placed: &[Placed]) -> bool {
        let known = placed
            .iter()
            .all(|p| self.specs.get(usize::from(p.spec)).is_some_and(|s| s.starts.contains(&p.start)));
        known
            && placed.iter().enumerate().all(|(i, &a)| placed[..i].iter().all(|&b| !self.conflict(a, b)))
            && self.specs.iter().zip(0u8..).all(|(spec, index)| {
                placed.iter().filter(|p| p.spec == index).count() <= usize::from(spec.max)
            })
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
