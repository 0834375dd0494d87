//! What a live GPU can be cut into, asked of the driver.

use mig::{Architecture, Attribute, BOARDS, Board, ComputeSpec, Geometry, Profile, Spec};

use super::answer::Fault;
use super::code::Code;
use super::facts::{ComputeProfile, GpuProfile};
use super::raw::{GpuInstance, Handle};
use super::{DriverError, failed, unexpected};
use crate::inventory::Mode;

/// An enumeration ends with INVALID_ARGUMENT, as nvml.h recommends, not at the count the bindings were
/// made with: a newer driver knows more. This bound only stops a driver that never says so.
const NUMBERS: std::ops::Range<u32> = 0..64;
/// More placement units or compute slices than any GPU has: 12 on RTX PRO 6000, 8 on the others.
const MAX_UNITS: u32 = 64;

/// What GPUs of one kind can be cut into.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) geometry: Geometry,
    /// The driver's instance count of each profile, in the geometry's order: how many handles it may write. It can
    /// differ from how many fit.
    pub(super) counts: Vec<u32>,
}

/// Profiles and placements of a GPU. Empty when the driver does not tell while MIG is off.
pub(super) fn model(
    gpu: Handle<'_>,
    uuid: &str,
    product: &str,
    memory_mib: u64,
    mode: Mode,
) -> Result<Model, DriverError> {
    let mut specs: Vec<Spec> = Vec::new();
    let mut counts = Vec::new();
    for number in NUMBERS {
        let profile = match gpu.gpu_profile(number) {
            Ok(profile) => profile,
            Err(Fault::Code(Code::INVALID_ARGUMENT)) => break,
            Err(Fault::Code(Code::NOT_SUPPORTED)) => continue,
            Err(fault) => return Err(failed(uuid, "nvmlDeviceGetGpuInstanceProfileInfoV")(fault)),
        };
        let odd = |what: String| unexpected(uuid, format!("GPU instance profile {}: {what}", profile.id));
        let name = name(&profile, number, memory_mib)
            .ok_or_else(|| odd("has no name this program can read".to_owned()))?;
        let call = "nvmlDeviceGetGpuInstancePossiblePlacements_v2";
        let placements = gpu.placements(profile.id).map_err(failed(uuid, call))?;
        let spec = spec(&profile, name, &placements, product).map_err(odd)?;
        if let Some(same) = specs.iter().find(|s| s.id == spec.id || s.profile == spec.profile) {
            return Err(odd(format!("is {}, as profile {} is {}", spec.profile, same.id, same.profile)));
        }
        counts.push(profile.max.max(u32::try_from(spec.starts.len()).unwrap_or(u32::MAX)));
        specs.push(spec);
    }
    if specs.is_empty() && !mode.is_on() {
        // Some drivers describe profiles only once MIG is on (nvml.h on the versioned calls). The model's table
        // serves for planning until then: an apply reads the GPU again after it has switched the mode.
        let known = BOARDS.iter().find(|b| b.names.contains(&product));
        let geometry = known.map_or(Geometry { units: 0, slices: 0, specs }, Board::geometry);
        return Ok(Model { geometry, counts });
    }
    let units = specs.iter().flat_map(|s| s.starts.iter().map(|start| start + s.size)).max().unwrap_or(0);
    let slices = specs.iter().map(|s| s.profile.slices()).max().unwrap_or(0);
    Ok(Model { geometry: Geometry { units, slices, specs }, counts })
}

/// Compute instance profiles a GPU instance offers. The driver tells only once the instance exists.
pub(super) fn compute_profiles(
    gpu: Handle<'_>,
    gi: GpuInstance,
    object: &str,
) -> Result<Vec<ComputeProfile>, DriverError> {
    let mut profiles = Vec::new();
    for number in NUMBERS {
        match gpu.compute_profile(gi, number) {
            Ok(profile) => profiles.push(profile),
            Err(Fault::Code(Code::INVALID_ARGUMENT)) => break,
            Err(Fault::Code(Code::NOT_SUPPORTED)) => {}
            Err(fault) => {
                return Err(failed(object, "nvmlGpuInstanceGetComputeInstanceProfileInfo")(fault));
            }
        }
    }
    Ok(profiles)
}

/// A profile with its places, or what is wrong with them.
fn spec(
    profile: &GpuProfile,
    name: Profile,
    placements: &[(u32, u32)],
    product: &str,
) -> Result<Spec, String> {
    let narrow = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
    let size = placements.first().map(|p| p.1).ok_or("has no placement")?;
    let odd = placements.iter().find(|(start, length)| {
        *length != size || *length == 0 || start.checked_add(*length).is_none_or(|end| end > MAX_UNITS)
    });
    if let Some((start, length)) = odd {
        return Err(format!("cannot have a placement of {length} units at {start}"));
    }
    if u32::from(name.slices()) > MAX_UNITS {
        return Err(format!("is named {name}, which no GPU has"));
    }
    let mut starts: Vec<u8> = placements.iter().map(|p| narrow(p.0)).collect();
    starts.sort_unstable();
    starts.dedup();
    let [copy_engines, decoders, encoders, jpeg_decoders, optical_flow] =
        profile.engines.map(|n| Some(narrow(n)));
    let size = narrow(size);
    Ok(Spec {
        profile: name,
        id: profile.id,
        size,
        max: most(name, size, &starts, narrow(profile.max)),
        starts,
        sms: Some(profile.sms),
        memory_mib: Some(profile.memory_mib),
        copy_engines,
        decoders,
        encoders,
        jpeg_decoders,
        optical_flow,
        compute: expected_compute(name, product),
    })
}

/// How many instances of a profile fit at once: the disjoint places there are. NVML's own count has been
/// wrong on A30 (mig-parted hard-codes that GPU for it), so it only limits the media-engine profiles.
fn most(name: Profile, size: u8, starts: &[u8], counted: u8) -> u8 {
    if matches!(name.attribute(), Attribute::Me | Attribute::MeAll) {
        return counted;
    }
    let mut end = 0;
    let mut count = 0;
    for &start in starts {
        if start >= end {
            count += 1;
            end = start + size;
        }
    }
    count
}

/// The name the driver gives (`MIG 1g.5gb`), or for a driver that gives none the one go-nvlib's rule makes.
fn name(profile: &GpuProfile, number: u32, total_mib: u64) -> Option<Profile> {
    match &profile.name {
        Some(name) => name.strip_prefix("MIG ").unwrap_or(name).parse().ok(),
        None => {
            let eighths = profile.memory_mib.saturating_mul(8).div_ceil(total_mib.max(1));
            let gib = total_mib.div_ceil(1024);
            let figure = eighths.saturating_mul(gib).saturating_add(4) / 8;
            let slices = u8::try_from(profile.slices).ok().filter(|slices| *slices > 0)?;
            Some(Profile::new(slices, u16::try_from(figure).ok()?, attribute(number)))
        }
    }
}

/// Suffix by `NVML_GPU_INSTANCE_PROFILE_*` number (nvml.h).
fn attribute(number: u32) -> Attribute {
    match number {
        7 | 8 => Attribute::Me,
        10..=12 | 17 => Attribute::Gfx,
        13 | 14 => Attribute::NoMe,
        15 | 16 => Attribute::MeAll,
        _ => Attribute::None,
    }
}

/// Compute instances to plan with before a GPU instance exists: those of the model's table, or for a model
/// without one the slice counts every known GPU offers. The driver has the last word when they are created.
fn expected_compute(profile: Profile, model: &str) -> Vec<ComputeSpec> {
    let known = BOARDS.iter().filter(|b| b.names.contains(&model));
    if let Some(spec) = known.flat_map(|b| b.geometry().specs).find(|s| s.profile == profile) {
        return spec.compute;
    }
    /// `NVML_COMPUTE_INSTANCE_PROFILE_*` numbers and their slices.
    const USUAL: [(u32, u8); 5] = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 7)];
    let slices = profile.slices();
    let usual = USUAL.into_iter().filter(|(_, part)| *part <= slices);
    usual.map(|(id, part)| ComputeSpec { id, slices: part, max: slices / part, sms: None }).collect()
}

/// NVML's architecture, as far as MIG tells generations apart. Anything later behaves as Blackwell.
pub(super) fn architecture(number: u32) -> Option<Architecture> {
    use nvml_wrapper_sys::bindings::{
        NVML_DEVICE_ARCH_AMPERE, NVML_DEVICE_ARCH_HOPPER, NVML_DEVICE_ARCH_UNKNOWN,
    };
    match number {
        NVML_DEVICE_ARCH_UNKNOWN => None,
        NVML_DEVICE_ARCH_AMPERE => Some(Architecture::Ampere),
        NVML_DEVICE_ARCH_HOPPER => Some(Architecture::Hopper),
        later if later > NVML_DEVICE_ARCH_HOPPER => Some(Architecture::Blackwell),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(slices: u32, memory_mib: u64, name: Option<&str>) -> GpuProfile {
        let name = name.map(str::to_owned);
        GpuProfile { id: 0, slices, max: 1, sms: 14, engines: [0; 5], memory_mib, name }
    }

    #[test]
    fn names_are_the_drivers_or_follow_go_nvlibs_rule() {
        let named = name(&profile(1, 4864, Some("MIG 1g.5gb+me")), 7, 40960).unwrap();
        assert_eq!(named.to_string(), "1g.5gb+me");
        let unnamed = |slices, mib, number, total| {
            name(&profile(slices, mib, None), number, total).unwrap().to_string()
        };
        assert_eq!(unnamed(1, 4864, 0, 40960), "1g.5gb");
        assert_eq!(unnamed(3, 19968, 2, 40960), "3g.20gb");
        assert_eq!(unnamed(1, 9984, 7, 81559), "1g.10gb+me");
        assert_eq!(unnamed(1, 16384, 0, 143771), "1g.18gb");
        assert_eq!(name(&profile(1, 4864, Some("banana")), 0, 40960), None);
    }

    #[test]
    fn the_most_is_counted_in_places() {
        let plain = Profile::new(1, 6, Attribute::None);
        assert_eq!(most(plain, 1, &[0, 1, 2, 3], 7), 4);
        assert_eq!(most(Profile::new(3, 20, Attribute::None), 4, &[0, 4], 9), 2);
        assert_eq!(most(Profile::new(1, 6, Attribute::Me), 1, &[0, 1, 2, 3], 1), 1);
    }

    #[test]
    fn an_unknown_model_is_planned_with_the_usual_compute_instances() {
        let slices = |slices| {
            let list = expected_compute(Profile::new(slices, 99, Attribute::None), "NVIDIA Z1");
            list.iter().map(|c| (c.slices, c.max)).collect::<Vec<_>>()
        };
        assert_eq!(slices(3), [(1, 3), (2, 1), (3, 1)]);
        let a100 = expected_compute("4g.20gb".parse().unwrap(), "NVIDIA A100-SXM4-40GB");
        assert_eq!(a100.iter().map(|c| (c.slices, c.max)).collect::<Vec<_>>(), [(1, 4), (2, 2), (4, 1)]);
    }
}
