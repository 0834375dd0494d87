//! What a live GPU can be cut into, asked of the driver.

use mig::{Architecture, Attribute, BOARDS, Board, ComputeSpec, Engines, Geometry, Profile, Spec};

use super::code::Code;
use super::raw::{ComputeProfile, GpuInstance, GpuProfile, MigCalls};
use super::{DriverError, failed};

/// An enumeration ends with INVALID_ARGUMENT, as nvml.h recommends, not at the count the bindings were
/// made with: a newer driver knows more. This bound only stops a driver that never says so.
const NUMBERS: std::ops::Range<u32> = 0..64;

/// Profiles and placements of a GPU. Empty when the driver does not tell while MIG is off.
pub(super) fn geometry(
    calls: MigCalls<'_>,
    uuid: &str,
    model: &str,
    memory_mib: u64,
) -> Result<Geometry, DriverError> {
    let mut specs = Vec::new();
    for number in NUMBERS {
        let profile = match calls.gpu_profile(number) {
            Ok(profile) => profile,
            Err(Code::INVALID_ARGUMENT) => break,
            Err(Code::NOT_SUPPORTED) => continue,
            Err(code) => return Err(failed(uuid, "nvmlDeviceGetGpuInstanceProfileInfoV")(code)),
        };
        let name = name(&profile, number, memory_mib).ok_or_else(|| DriverError::Unexpected {
            object: uuid.to_owned(),
            what: format!("GPU instance profile {} has no name this program can read", profile.id),
        })?;
        let call = "nvmlDeviceGetGpuInstancePossiblePlacements_v2";
        let placements = calls.placements(profile.id).map_err(failed(uuid, call))?;
        specs.push(spec(&profile, name, &placements, model));
    }
    if specs.is_empty() {
        // Some drivers describe profiles only once MIG is on (nvml.h on the versioned calls). The model's table
        // serves for planning until then: an apply reads the GPU again after it has switched the mode.
        let known = BOARDS.iter().find(|b| b.names.contains(&model));
        return Ok(known.map_or(Geometry { units: 0, slices: 0, specs }, Board::geometry));
    }
    let units = specs.iter().flat_map(|s| s.starts.iter().map(|start| start + s.size)).max().unwrap_or(0);
    let slices = specs.iter().map(|s| s.profile.slices()).max().unwrap_or(0);
    Ok(Geometry { units, slices, specs })
}

/// Compute instance profiles a GPU instance offers. The driver tells only once the instance exists.
pub(super) fn compute_profiles(
    calls: MigCalls<'_>,
    gi: GpuInstance,
    object: &str,
) -> Result<Vec<ComputeProfile>, DriverError> {
    let mut profiles = Vec::new();
    for number in NUMBERS {
        match calls.compute_profile(gi, number).map_err(Code::from) {
            Ok(profile) => profiles.push(profile),
            Err(Code::INVALID_ARGUMENT) => break,
            Err(Code::NOT_SUPPORTED) => {}
            Err(code) => return Err(failed(object, "nvmlGpuInstanceGetComputeInstanceProfileInfo")(code)),
        }
    }
    Ok(profiles)
}

fn spec(profile: &GpuProfile, name: Profile, placements: &[(u32, u32)], model: &str) -> Spec {
    let narrow = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
    let size = placements.first().map_or(0, |p| narrow(p.1));
    let mut starts: Vec<u8> = placements.iter().map(|p| narrow(p.0)).collect();
    starts.sort_unstable();
    let [copy, decoder, encoder, jpeg, ofa] = profile.engines.map(|n| Some(narrow(n)));
    Spec {
        profile: name,
        id: profile.id,
        size,
        max: most(name, size, &starts, narrow(profile.max)),
        starts,
        sms: Some(profile.sms),
        memory_mib: Some(profile.memory_mib),
        engines: Engines { copy, decoder, encoder, jpeg, ofa },
        compute: expected_compute(name, model),
    }
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
            let eighths = (profile.memory_mib * 8).div_ceil(total_mib.max(1));
            let gib = total_mib.div_ceil(1024);
            let figure = (eighths * gib + 4) / 8;
            Some(Profile::new(
                u8::try_from(profile.slices).ok()?,
                u16::try_from(figure).ok()?,
                attribute(number),
            ))
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
