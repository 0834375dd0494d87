//! MIG mode, MIG devices by index, and GPU instances.

use mig::boards::Row;
use nvml_wrapper_sys::bindings::*;
use std::sync::Arc;

use super::handle::{Device, InstanceHandle, Target};
use super::pointer::{In, Out};
use super::structs::{self, InstanceProfile, Versioned};
use crate::code::{Answer, Code};
use crate::machine::Gpu;
use crate::rules;
use crate::store::Snapshot;

/// GPU instance profiles that R580 knows: 17 is the first that an H100 and an H200 call invalid. nvml.h has
/// `NVML_GPU_INSTANCE_PROFILE_3_SLICE_GFX` there since.
const INSTANCE_PROFILES: u32 = 17;

pub(super) fn mig_mode(s: &Snapshot, device: Device, current: &Out<u32>, pending: &Out<u32>) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    current.set(u32::from(gpu.current))?;
    pending.set(u32::from(gpu.pending))
}

pub(super) fn set_mig_mode(
    s: &mut Snapshot,
    device: Device,
    mode: u32,
    activation: &Out<nvmlReturn_t>,
) -> Answer {
    let gpu = device.gpu(&s.machine)?.index;
    let on = match mode {
        NVML_DEVICE_MIG_DISABLE => false,
        NVML_DEVICE_MIG_ENABLE => true,
        _ => return Err(Code::INVALID_ARGUMENT),
    };
    if activation.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    let status = Arc::make_mut(&mut s.machine).set_mode(gpu, on, &s.clients)?;
    activation.set(status.map_or_else(Code::number, |()| 0))
}

pub(super) fn max_mig_devices(gpu: &Gpu) -> u32 {
    if gpu.current { gpu.max_mig_devices() } else { 0 }
}

pub(super) fn mig_by_index(s: &Snapshot, device: Device, index: u32, mig: &Out<Device>) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    if gpu.current && index >= gpu.max_mig_devices() {
        return Err(Code::INVALID_ARGUMENT);
    }
    mig.set(Device::of_mig(&gpu.mig_device_at(index).ok_or(Code::NOT_FOUND)?))
}

pub(super) fn is_mig(s: &Snapshot, device: Device, is_mig: &Out<u32>) -> Answer {
    is_mig.set(u32::from(matches!(device.target(&s.machine)?, Target::Mig(_))))
}

pub(super) fn attributes(s: &Snapshot, device: Device, attributes: &Out<nvmlDeviceAttributes_t>) -> Answer {
    match device.target(&s.machine)? {
        Target::Gpu(_) => Err(Code::NOT_SUPPORTED),
        Target::Mig(device) => attributes.set(structs::attributes(&device)),
    }
}

/// The profile of an NVML constant: INVALID_ARGUMENT ends an enumeration, NOT_SUPPORTED does not.
fn by_enum(gpu: &Gpu, profile: u32) -> Answer<InstanceProfile<'_>> {
    if profile >= INSTANCE_PROFILES {
        return Err(Code::INVALID_ARGUMENT);
    }
    let row = gpu.board.rows.iter().find(|r| r.nvml_enum == profile);
    row.map(|row| InstanceProfile(gpu, row)).ok_or(Code::NOT_SUPPORTED)
}

pub(super) fn profile_info(
    s: &Snapshot,
    device: Device,
    profile: u32,
    info: &Out<nvmlGpuInstanceProfileInfo_t>,
) -> Answer {
    info.set(Versioned::of(&by_enum(device.gpu(&s.machine)?, profile)?))
}

pub(super) fn profile_info_v(
    s: &Snapshot,
    device: Device,
    profile: u32,
    info: &Out<nvmlGpuInstanceProfileInfo_v2_t>,
) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    fill_profile(gpu, by_enum(gpu, profile)?, info)
}

pub(super) fn profile_info_by_id(
    s: &Snapshot,
    device: Device,
    id: u32,
    info: &Out<nvmlGpuInstanceProfileInfo_v2_t>,
) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    fill_profile(gpu, InstanceProfile(gpu, by_id(gpu, id)?), info)
}

fn fill_profile(
    gpu: &Gpu,
    profile: InstanceProfile<'_>,
    info: &Out<nvmlGpuInstanceProfileInfo_v2_t>,
) -> Answer {
    if !gpu.current && !gpu.answers_with_mig_off() {
        return Err(Code::NOT_SUPPORTED);
    }
    structs::fill_profile::<_, nvmlGpuInstanceProfileInfo_v2_t, nvmlGpuInstanceProfileInfo_v3_t>(
        info, &profile,
    )
}

fn by_id(gpu: &Gpu, id: u32) -> Answer<&'static Row> {
    gpu.profile(id).ok_or(Code::INVALID_ARGUMENT)
}

pub(super) fn placements(
    s: &Snapshot,
    device: Device,
    id: u32,
    places: &Out<nvmlGpuInstancePlacement_t>,
    count: &Out<u32>,
) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    let row = by_id(gpu, id)?;
    let starts = row.starts.iter().map(|&start| structs::instance_placement(u32::from(start), row));
    places.list(starts.collect(), count)
}

pub(super) fn remaining(s: &Snapshot, device: Device, id: u32, count: &Out<u32>) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    gpu.tells_instances()?;
    count.set(rules::remaining(gpu, by_id(gpu, id)?))
}

pub(super) fn create_instance(
    s: &mut Snapshot,
    device: Device,
    id: u32,
    place: Option<&In<nvmlGpuInstancePlacement_t>>,
    made: &Out<InstanceHandle>,
) -> Answer {
    let gpu = device.gpu(&s.machine)?.index;
    let at = place.map(In::get).transpose()?.map(|p| (p.start, p.size));
    if made.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    let id = Arc::make_mut(&mut s.machine).create_instance(gpu, id, at, &s.clients)?;
    let gpu = &s.machine.gpus[gpu as usize];
    made.set(InstanceHandle::of(gpu, gpu.instance(id).ok_or(Code::UNKNOWN)?))
}

pub(super) fn destroy_instance(s: &mut Snapshot, instance: InstanceHandle) -> Answer {
    let (gpu, id) = instance.get(&s.machine).map(|(gpu, instance)| (gpu.index, instance.id))?;
    Arc::make_mut(&mut s.machine).destroy_instance(gpu, id)
}

/// Only the count is an out-parameter here: the caller sizes the array by the profile's maximum.
pub(super) fn instances(
    s: &Snapshot,
    device: Device,
    id: u32,
    array: &Out<InstanceHandle>,
    count: &Out<u32>,
) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    gpu.tells_instances()?;
    let profile = by_id(gpu, id)?.id;
    let found: Vec<_> = gpu.instances.iter().filter(|i| i.profile == profile).collect();
    count.set(found.len() as u32)?;
    array.fill(found.into_iter().map(|i| InstanceHandle::of(gpu, i)))
}

pub(super) fn instance_by_id(
    s: &Snapshot,
    device: Device,
    id: u32,
    instance: &Out<InstanceHandle>,
) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    gpu.tells_instances()?;
    instance.set(InstanceHandle::of(gpu, gpu.instance(id).ok_or(Code::NOT_FOUND)?))
}

pub(super) fn instance_info(
    s: &Snapshot,
    instance: InstanceHandle,
    info: &Out<nvmlGpuInstanceInfo_t>,
) -> Answer {
    let (gpu, instance) = instance.get(&s.machine)?;
    info.set(structs::instance_info(gpu, instance))
}
