//! What the exported functions do, where it takes more than a line.

use std::ffi::{c_char, c_int, c_ulong};

use mig::boards::{Architecture, ComputeRow, Row};
use nvml_wrapper_sys::bindings::field_id::{
    NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE, NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED,
};
use nvml_wrapper_sys::bindings::*;

use super::handle::{ComputeHandle, Device, InstanceHandle, Target};
use super::pointer::{In, Out, Text};
use super::structs::{self, ComputeProfile, InstanceProfile, Versioned};
use crate::code::{Answer, Code};
use crate::machine::{DRIVER_VERSION, Gpu, GpuInstance, MigDevice};
use crate::store::Snapshot;
use crate::{rules, sheet};

/// CUDA 13.0, as the driver of [`DRIVER_VERSION`] gives it.
pub(super) const CUDA_VERSION: c_int = 13000;

/// GPU instance profiles of nvml.h (API 13: `NVML_GPU_INSTANCE_PROFILE_COUNT`).
const INSTANCE_PROFILES: u32 = 18;

/// Compute instance profiles of nvml.h (API 13: `NVML_COMPUTE_INSTANCE_PROFILE_COUNT`).
const COMPUTE_PROFILES: u32 = 9;

/// Engine profiles of nvml.h: `NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED` alone.
const ENGINE_PROFILES: u32 = 1;

/// NVML's version: the API's major number before that of the driver.
pub(super) fn nvml_version() -> String {
    format!("13.{DRIVER_VERSION}")
}

pub(super) fn process_name(pid: u32, name: &Out<c_char>, length: u32) -> Answer {
    let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).map_err(|_| Code::NOT_FOUND)?;
    name.set_text(length, command.trim_end())
}

pub(super) fn by_index(s: &Snapshot, index: u32, device: &Out<Device>) -> Answer {
    device.set(Device::of_gpu(s.machine.gpus.get(index as usize).ok_or(Code::INVALID_ARGUMENT)?))
}

pub(super) fn by_uuid(s: &Snapshot, uuid: &str, device: &Out<Device>) -> Answer {
    let gpu = s.machine.gpus.iter().find(|g| g.uuid() == uuid).map(Device::of_gpu);
    let found = gpu.or_else(|| s.machine.mig_by_uuid(uuid).map(|d| Device::of_mig(&d)));
    device.set(found.ok_or(Code::NOT_FOUND)?)
}

pub(super) fn by_pci(s: &Snapshot, bus: &Text, device: &Out<Device>) -> Answer {
    device.set(Device::of_gpu(s.machine.by_pci(bus.get()?).ok_or(Code::NOT_FOUND)?))
}

pub(super) fn by_serial(s: &Snapshot, wanted: &Text, device: &Out<Device>) -> Answer {
    let wanted = wanted.get()?;
    let found = s.machine.gpus.iter().find(|g| serial(g) == wanted);
    device.set(Device::of_gpu(found.ok_or(Code::NOT_FOUND)?))
}

/// Serial number of the board, invented.
pub(super) fn serial(gpu: &Gpu) -> String {
    format!("{:013}", gpu.pdi % 10_u64.pow(13))
}

pub(super) fn index(s: &Snapshot, device: Device) -> Answer<u32> {
    match device.target(&s.machine)? {
        Target::Gpu(gpu) => Ok(gpu.index),
        Target::Mig(wanted) => {
            let at =
                |&index: &u32| wanted.gpu.mig_device_at(index).is_some_and(|d| d.uuid() == wanted.uuid());
            (0..wanted.gpu.max_mig_devices()).find(at).ok_or(Code::NOT_FOUND)
        }
    }
}

pub(super) fn name(s: &Snapshot, device: Device) -> Answer<String> {
    Ok(match device.target(&s.machine)? {
        Target::Gpu(gpu) => gpu.name().to_owned(),
        Target::Mig(device) => device.name(),
    })
}

pub(super) fn uuid(s: &Snapshot, device: Device) -> Answer<String> {
    Ok(match device.target(&s.machine)? {
        Target::Gpu(gpu) => gpu.uuid(),
        Target::Mig(device) => device.uuid(),
    })
}

pub(super) fn architecture(gpu: &Gpu) -> u32 {
    match gpu.board.architecture {
        Architecture::Ampere => NVML_DEVICE_ARCH_AMPERE,
        Architecture::Hopper => NVML_DEVICE_ARCH_HOPPER,
        Architecture::Blackwell => NVML_DEVICE_ARCH_BLACKWELL,
    }
}

/// CUDA compute capability (CUDA C++ Programming Guide): 8.0, 9.0, 10.0, and 12.0 for RTX PRO.
pub(super) fn capability(s: &Snapshot, device: Device, major: &Out<c_int>, minor: &Out<c_int>) -> Answer {
    let board = device.target(&s.machine)?.physical().board;
    major.set(match board.architecture {
        Architecture::Ampere => 8,
        Architecture::Hopper => 9,
        Architecture::Blackwell if board.units == 12 => 12,
        Architecture::Blackwell => 10,
    })?;
    minor.set(0)
}

pub(super) fn pdi(s: &Snapshot, device: Device, pdi: &Out<nvmlPdi_t>) -> Answer {
    structs::fill::<u64, nvmlPdi_t, nvmlPdi_t>(pdi, &device.gpu(&s.machine)?.pdi)
}

pub(super) fn pci_info(s: &Snapshot, device: Device, pci: &Out<nvmlPciInfo_t>) -> Answer {
    pci.set(structs::pci_info(device.target(&s.machine)?.physical()))
}

/// Total memory, in MiB.
pub(super) fn memory(s: &Snapshot, device: Device) -> Answer<u64> {
    Ok(match device.target(&s.machine)? {
        Target::Gpu(gpu) => sheet::total_memory(gpu.board),
        Target::Mig(device) => device.memory(),
    })
}

/// Every GPU is near every CPU of the host.
pub(super) fn cpu_affinity(s: &Snapshot, device: Device, size: u32, set: &Out<c_ulong>) -> Answer {
    device.target(&s.machine)?;
    if size == 0 {
        return Err(Code::INVALID_ARGUMENT);
    }
    let cpus = std::fs::read_to_string("/proc/cpuinfo").map_err(|_| Code::OPERATING_SYSTEM)?;
    let count = cpus.lines().filter(|l| l.starts_with("processor")).count() as u32;
    let word = |at: u32| match count.saturating_sub(at * c_ulong::BITS) {
        0 => 0,
        left if left >= c_ulong::BITS => c_ulong::MAX,
        left => (1 << left) - 1,
    };
    set.fill((0..size).map(word))
}

pub(super) fn virtualization(gpu: &Gpu) -> u32 {
    if gpu.traits.vgpu {
        nvmlGpuVirtualizationMode_NVML_GPU_VIRTUALIZATION_MODE_VGPU
    } else {
        nvmlGpuVirtualizationMode_NVML_GPU_VIRTUALIZATION_MODE_NONE
    }
}

/// The two MIG fields; any other is not supported, which each value says for itself.
pub(super) fn field_values(
    s: &Snapshot,
    device: Device,
    count: c_int,
    values: &Out<nvmlFieldValue_t>,
) -> Answer {
    let gpu = device.target(&s.machine)?.physical();
    for at in 0..usize::try_from(count).map_err(|_| Code::INVALID_ARGUMENT)? {
        let mut value = values.get_at(at)?;
        let flag = match value.fieldId {
            NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED => Ok(gpu.resetless()),
            NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE => Ok(queries_with_mig_off(gpu)),
            _ => Err(Code::NOT_SUPPORTED),
        };
        value.valueType = nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
        value.value = nvmlValue_t { ullVal: u64::from(flag == Ok(true)) };
        value.nvmlReturn = flag.map_or_else(Code::number, |_| 0);
        values.set_at(at, value)?;
    }
    Ok(())
}

/// Whether the versioned profile queries answer while MIG mode is off. nvml.h has a field for it; that
/// it goes with the architecture is inferred.
fn queries_with_mig_off(gpu: &Gpu) -> bool {
    gpu.resetless()
}

/// Clocks, links and sensors: no simulated GPU has them.
pub(super) fn not_offered(s: &Snapshot, device: Device) -> Answer {
    device.target(&s.machine).and(Err(Code::NOT_SUPPORTED))
}

/// Processes that compute on a device; on a GPU those on its MIG devices too.
pub(super) fn processes<T>(
    s: &Snapshot,
    device: Device,
    count: &Out<u32>,
    list: &Out<T>,
    entry: fn(u32, Option<&MigDevice<'_>>) -> T,
) -> Answer {
    let room = count.get()?;
    let on_mig =
        |d: &MigDevice<'_>| s.clients.on(&d.uuid()).map(|pid| entry(pid, Some(d))).collect::<Vec<_>>();
    let found: Vec<T> = match device.target(&s.machine)? {
        Target::Mig(device) => on_mig(&device),
        Target::Gpu(gpu) => {
            let own = s.clients.on(&gpu.uuid()).map(|pid| entry(pid, None)).collect::<Vec<_>>();
            own.into_iter().chain(gpu.mig_devices().flat_map(|d| on_mig(&d))).collect()
        }
    };
    count.set(found.len() as u32)?;
    if found.len() > room as usize {
        return Err(Code::INSUFFICIENT_SIZE);
    }
    if found.is_empty() { Ok(()) } else { list.fill(found) }
}

pub(super) fn no_processes(s: &Snapshot, device: Device, count: &Out<u32>) -> Answer {
    device.target(&s.machine)?;
    count.set(0)
}

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
    let status = s.machine.set_mode(gpu, on, &s.clients)?;
    activation.set(status.map_or_else(Code::number, |()| 0))
}

pub(super) fn max_mig_devices(gpu: &Gpu) -> u32 {
    if gpu.current { gpu.max_mig_devices() } else { 0 }
}

pub(super) fn mig_by_index(s: &Snapshot, device: Device, index: u32, mig: &Out<Device>) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    if index >= gpu.max_mig_devices() {
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
    if !gpu.current && !queries_with_mig_off(gpu) {
        return Err(Code::NOT_SUPPORTED);
    }
    structs::fill::<_, nvmlGpuInstanceProfileInfo_v2_t, nvmlGpuInstanceProfileInfo_v3_t>(info, &profile)
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
    list(starts.collect(), places, count)
}

/// Writes a list that may be asked for its length first, with a null array. A count of 0 next to an
/// array is taken as "not said": drivers before 12 did not read it (go-nvml notes the change).
fn list<T>(values: Vec<T>, array: &Out<T>, count: &Out<u32>) -> Answer {
    let room = count.get()?;
    count.set(values.len() as u32)?;
    match array.is_null() {
        true => Ok(()),
        false if room != 0 && (room as usize) < values.len() => Err(Code::INSUFFICIENT_SIZE),
        false => array.fill(values),
    }
}

pub(super) fn remaining(s: &Snapshot, device: Device, id: u32, count: &Out<u32>) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    gpu.offers_instances()?;
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
    let id = s.machine.create_instance(gpu, id, at, &s.clients)?;
    let gpu = &s.machine.gpus[gpu as usize];
    made.set(InstanceHandle::of(gpu, gpu.instance(id).ok_or(Code::UNKNOWN)?))
}

pub(super) fn destroy_instance(s: &mut Snapshot, instance: InstanceHandle) -> Answer {
    let (gpu, id) = instance.get(&s.machine).map(|(gpu, instance)| (gpu.index, instance.id))?;
    s.machine.destroy_instance(gpu, id)
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
    gpu.offers_instances()?;
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
    gpu.offers_instances()?;
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
    structs::fill::<_, nvmlComputeInstanceProfileInfo_v2_t, nvmlComputeInstanceProfileInfo_v3_t>(
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
    list(starts.into_iter().map(|start| structs::compute_placement(start, compute)).collect(), places, count)
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
    let id = s.machine.create_compute(gpu, instance, id, at)?;
    let gpu = &s.machine.gpus[gpu as usize];
    let device = gpu.mig_devices().find(|d| (d.instance.id, d.compute.id) == (instance, id));
    made.set(structs::compute_handle(&device.ok_or(Code::UNKNOWN)?))
}

pub(super) fn destroy_compute(s: &mut Snapshot, compute: ComputeHandle) -> Answer {
    let (gpu, instance, id) = compute.get(&s.machine).map(|d| (d.gpu.index, d.instance.id, d.compute.id))?;
    s.machine.destroy_compute(gpu, instance, id, &s.clients)
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
