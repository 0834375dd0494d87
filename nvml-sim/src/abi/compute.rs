//! Compute instances.

use mig::boards::{ComputeRow, Row};
use nvml_wrapper_sys::bindings::*;
use std::sync::Arc;

use super::handle::{ComputeHandle, InstanceHandle};
use super::pointer::{In, Out};
use super::structs::{self, ComputeProfile, Versioned};
use crate::code::{Answer, Code};
use crate::machine::{Gpu, GpuInstance};
use crate::rules;
use crate::store::Snapshot;

/// Compute instance profiles of nvml.h (API 13: `NVML_COMPUTE_INSTANCE_PROFILE_COUNT`).
const COMPUTE_PROFILES: u32 = 9;

/// Engine profiles of nvml.h: `NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED` alone.
const ENGINE_PROFILES: u32 = 1;

/// Compute instance profiles have one number: their id is the constant of nvml.h on every board seen.
fn compute_by_profile(row: &'static Row, profile: u32, absent: Code) -> Answer<&'static ComputeRow> {
    row.compute.iter().find(|c| c.id == profile).ok_or(absent)
}

fn compute_profile<'a>(
    s: &'a Snapshot,
    instance: InstanceHandle,
    of: (u32, u32),
) -> Answer<ComputeProfile<'a>> {
    let (profile, engine) = of;
    let (gpu, instance) = instance.get(&s.machine)?;
    if profile >= COMPUTE_PROFILES || engine >= ENGINE_PROFILES {
        return Err(Code::INVALID_ARGUMENT);
    }
    let row = gpu.row(instance);
    Ok(ComputeProfile(gpu, row, compute_by_profile(row, profile, Code::NOT_SUPPORTED)?))
}

pub(super) fn compute_profile_info(
    s: &Snapshot,
    instance: InstanceHandle,
    of: (u32, u32),
    info: &Out<nvmlComputeInstanceProfileInfo_t>,
) -> Answer {
    info.set(Versioned::of(&compute_profile(s, instance, of)?))
}

pub(super) fn compute_profile_info_v(
    s: &Snapshot,
    instance: InstanceHandle,
    of: (u32, u32),
    info: &Out<nvmlComputeInstanceProfileInfo_v2_t>,
) -> Answer {
    let profile = compute_profile(s, instance, of)?;
    structs::fill_profile::<_, nvmlComputeInstanceProfileInfo_v2_t, nvmlComputeInstanceProfileInfo_v3_t>(
        info, &profile,
    )
}

/// A GPU instance and the profile of that id in it.
fn compute_in(
    s: &Snapshot,
    instance: InstanceHandle,
    id: u32,
) -> Answer<(&Gpu, &GpuInstance, &'static ComputeRow)> {
    let (gpu, instance) = instance.get(&s.machine)?;
    Ok((gpu, instance, compute_by_profile(gpu.row(instance), id, Code::INVALID_ARGUMENT)?))
}

pub(super) fn compute_placements(
    s: &Snapshot,
    instance: InstanceHandle,
    id: u32,
    places: &Out<nvmlComputeInstancePlacement_t>,
    count: &Out<u32>,
) -> Answer {
    let (gpu, instance, compute) = compute_in(s, instance, id)?;
    let starts = rules::compute_places(gpu, gpu.row(instance), compute);
    places.list(starts.into_iter().map(|start| structs::compute_placement(start, compute)).collect(), count)
}

pub(super) fn compute_remaining(s: &Snapshot, instance: InstanceHandle, id: u32, count: &Out<u32>) -> Answer {
    let (gpu, instance, compute) = compute_in(s, instance, id)?;
    count.set(rules::compute_remaining(gpu, instance, compute))
}

pub(super) fn create_compute(
    s: &mut Snapshot,
    instance: InstanceHandle,
    id: u32,
    place: Option<&In<nvmlComputeInstancePlacement_t>>,
    made: &Out<ComputeHandle>,
) -> Answer {
    let (gpu, instance) = instance.get(&s.machine).map(|(gpu, instance)| (gpu.index, instance.id))?;
    let at = place.map(In::get).transpose()?.map(|p| (p.start, p.size));
    if made.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    let id = Arc::make_mut(&mut s.machine).create_compute(gpu, instance, id, at)?;
    let gpu = &s.machine.gpus[gpu as usize];
    let device = gpu.mig_devices().find(|d| (d.instance.id, d.compute.id) == (instance, id));
    made.set(structs::compute_handle(&device.ok_or(Code::UNKNOWN)?))
}

pub(super) fn destroy_compute(s: &mut Snapshot, compute: ComputeHandle) -> Answer {
    let (gpu, instance, id) = compute.get(&s.machine).map(|d| (d.gpu.index, d.instance.id, d.compute.id))?;
    Arc::make_mut(&mut s.machine).destroy_compute(gpu, instance, id, &s.clients)
}

pub(super) fn compute_instances(
    s: &Snapshot,
    instance: InstanceHandle,
    id: u32,
    array: &Out<ComputeHandle>,
    count: &Out<u32>,
) -> Answer {
    let (gpu, instance, compute) = compute_in(s, instance, id)?;
    let found: Vec<_> = instance.compute.iter().filter(|c| c.profile == compute.id).collect();
    count.set(found.len() as u32)?;
    array.fill(found.into_iter().map(|c| ComputeHandle::of(gpu, instance, c)))
}

pub(super) fn compute_by_id(
    s: &Snapshot,
    instance: InstanceHandle,
    id: u32,
    compute: &Out<ComputeHandle>,
) -> Answer {
    let (gpu, instance) = instance.get(&s.machine)?;
    let found = instance.compute(id).ok_or(Code::NOT_FOUND)?;
    compute.set(ComputeHandle::of(gpu, instance, found))
}
