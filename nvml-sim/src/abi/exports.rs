//! The exported functions, one line each: what NVML calls it, what it takes, whether it reads or changes.

use std::ffi::{c_char, c_int, c_uint, c_ulong};

use nvml_wrapper_sys::bindings::*;

use super::gate::{Init, Shutdown, change, enter, read};
use super::handle::{ComputeHandle, Device, InstanceHandle};
use super::pointer::{In, Out, Text};
use super::{compute, device, health, instance, structs};
use crate::clients::Activity::{Compute, Graphics, Mps};
use crate::code;
use crate::machine::DRIVER_VERSION;

/// One exported function per line, and the list of their names.
macro_rules! exports {
    ($($name:ident($($arg:ident: $type:ty),*) = $call:expr;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "` of nvml.h.")]
            #[unsafe(no_mangle)]
            #[allow(non_snake_case)]
            pub(super) extern "C" fn $name($($arg: $type),*) -> nvmlReturn_t {
                enter(stringify!($name), $call)
            }
        )*

        /// The functions below.
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

/// The text of a return code. The only function that gives none itself, and it needs no `nvmlInit`.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub(super) extern "C" fn nvmlErrorString(result: nvmlReturn_t) -> *const c_char {
    code::text(result).as_ptr()
}

type Count = Out<c_uint>;
type Pci = Out<nvmlPciInfo_t>;
type Buffer = Out<c_char>;
type Processes = Out<nvmlProcessInfo_t>;
type OldProcesses = Out<nvmlProcessInfo_v1_t>;
type Placement = In<nvmlGpuInstancePlacement_t>;
type Placements = Out<nvmlGpuInstancePlacement_t>;
type ComputePlacement = In<nvmlComputeInstancePlacement_t>;
type ComputePlacements = Out<nvmlComputeInstancePlacement_t>;

exports! {
    nvmlInit() = Init;
    nvmlInit_v2() = Init;
    nvmlInitWithFlags(_flags: c_uint) = Init;
    nvmlShutdown() = Shutdown;

    nvmlSystemGetDriverVersion(version: Buffer, length: c_uint) = read(|_| version.set_text(length, DRIVER_VERSION));
    nvmlSystemGetNVMLVersion(version: Buffer, length: c_uint) = read(|_| version.set_text(length, &device::nvml_version()));
    nvmlSystemGetCudaDriverVersion(version: Out<c_int>) = read(|_| version.set(device::CUDA_VERSION));
    nvmlSystemGetCudaDriverVersion_v2(version: Out<c_int>) = read(|_| version.set(device::CUDA_VERSION));
    nvmlSystemGetProcessName(pid: c_uint, name: Buffer, length: c_uint) = read(|_| device::process_name(pid, &name, length));

    nvmlDeviceGetCount(count: Count) = read(|s| count.set(s.machine.gpus.len() as c_uint));
    nvmlDeviceGetCount_v2(count: Count) = read(|s| count.set(s.machine.gpus.len() as c_uint));
    nvmlDeviceGetHandleByIndex(index: c_uint, device: Out<Device>) = read(|s| device::by_index(s, index, &device));
    nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: Out<Device>) = read(|s| device::by_index(s, index, &device));
    nvmlDeviceGetHandleByUUID(uuid: Text, device: Out<Device>) = read(|s| device::by_uuid(s, uuid.get()?, &device));
    nvmlDeviceGetHandleByUUIDV(uuid: In<nvmlUUID_t>, device: Out<Device>) = read(|s| device::by_uuid(s, &structs::uuid_text(&uuid.get()?)?, &device));
    nvmlDeviceGetHandleByPciBusId(bus: Text, device: Out<Device>) = read(|s| device::by_pci(s, &bus, &device));
    nvmlDeviceGetHandleByPciBusId_v2(bus: Text, device: Out<Device>) = read(|s| device::by_pci(s, &bus, &device));
    nvmlDeviceGetHandleBySerial(serial: Text, device: Out<Device>) = read(|s| device::by_serial(s, &serial, &device));

    nvmlDeviceGetIndex(device: Device, index: Count) = read(|s| index.set(device::index(s, device)?));
    nvmlDeviceGetMinorNumber(device: Device, minor: Count) = read(|s| minor.set(device.gpu(&s.machine)?.minor));
    nvmlDeviceGetName(device: Device, name: Buffer, length: c_uint) = read(|s| name.set_text(length, &device::name(s, device)?));
    nvmlDeviceGetUUID(device: Device, uuid: Buffer, length: c_uint) = read(|s| uuid.set_text(length, &device::uuid(s, device)?));
    nvmlDeviceGetSerial(device: Device, serial: Buffer, length: c_uint) = read(|s| serial.set_text(length, &device::serial(device.gpu(&s.machine)?)));
    nvmlDeviceGetBrand(device: Device, brand: Count) = read(|s| device.target(&s.machine).and_then(|_| brand.set(nvmlBrandType_enum_NVML_BRAND_NVIDIA)));
    nvmlDeviceGetArchitecture(device: Device, architecture: Count) = read(|s| architecture.set(device::architecture(device.target(&s.machine)?.physical())));
    nvmlDeviceGetCudaComputeCapability(device: Device, major: Out<c_int>, minor: Out<c_int>) = read(|s| device::capability(s, device, &major, &minor));
    nvmlDeviceGetBoardId(device: Device, id: Count) = read(|s| id.set(device.gpu(&s.machine)?.bus() << 8));
    nvmlDeviceGetPdi(device: Device, pdi: Out<nvmlPdi_t>) = read(|s| device::pdi(s, device, &pdi));
    nvmlDeviceGetPciInfo(device: Device, pci: Pci) = read(|s| device::pci_info(s, device, &pci));
    nvmlDeviceGetPciInfo_v2(device: Device, pci: Pci) = read(|s| device::pci_info(s, device, &pci));
    nvmlDeviceGetPciInfo_v3(device: Device, pci: Pci) = read(|s| device::pci_info(s, device, &pci));
    nvmlDeviceGetPciInfoExt(device: Device, pci: Out<nvmlPciInfoExt_t>) = read(|s| device::pci_info_ext(s, device, &pci));
    nvmlDeviceGetMemoryInfo(device: Device, memory: Out<nvmlMemory_t>) = read(|s| memory.set(structs::memory(&device::memory(s, device)?)));
    nvmlDeviceGetMemoryInfo_v2(device: Device, memory: Out<nvmlMemory_v2_t>) = read(|s| structs::fill::<structs::Memory, nvmlMemory_v2_t>(&memory, &device::memory(s, device)?));
    nvmlDeviceGetCpuAffinity(device: Device, size: c_uint, set: Out<c_ulong>) = read(|s| device::cpu_affinity(s, device, size, &set));
    nvmlDeviceGetPersistenceMode(device: Device, mode: Count) = read(|s| device.gpu(&s.machine).and_then(|_| mode.set(nvmlEnableState_enum_NVML_FEATURE_ENABLED)));
    nvmlDeviceGetComputeMode(device: Device, mode: Count) = read(|s| device.gpu(&s.machine).and_then(|_| mode.set(nvmlComputeMode_enum_NVML_COMPUTEMODE_DEFAULT)));
    nvmlDeviceGetMultiGpuBoard(device: Device, multiple: Count) = read(|s| device::off(s, device, &multiple));
    nvmlDeviceGetDisplayActive(device: Device, active: Count) = read(|s| device::off(s, device, &active));
    nvmlDeviceGetAccountingMode(device: Device, mode: Count) = read(|s| device::off(s, device, &mode));
    nvmlDeviceGetNumGpuCores(device: Device, cores: Count) = read(|s| device::cores(s, device, &cores));
    nvmlDeviceGetMemoryBusWidth(device: Device, bits: Count) = read(|s| device::bus_width(s, device, &bits));
    nvmlDeviceGetVirtualizationMode(device: Device, mode: Count) = read(|s| mode.set(device::virtualization(device.gpu(&s.machine)?)));
    nvmlDeviceGetFieldValues(device: Device, count: c_int, values: Out<nvmlFieldValue_t>) = read(|s| device::field_values(s, device, count, &values));

    nvmlDeviceGetCpuAffinityWithinScope(device: Device, size: c_uint, set: Out<c_ulong>, _scope: c_uint) = read(|s| device::cpu_affinity(s, device, size, &set));
    nvmlDeviceSetPersistenceMode(device: Device, mode: c_uint) = change(|s| health::set_persistence(s, device, mode));

    nvmlDeviceGetBAR1MemoryInfo(device: Device, memory: Out<nvmlBAR1Memory_t>) = read(|s| health::bar1(s, device, &memory));
    nvmlDeviceGetEccMode(device: Device, current: Count, pending: Count) = read(|s| health::ecc_mode(s, device, &current, &pending));
    nvmlDeviceGetDefaultEccMode(device: Device, mode: Count) = read(|s| health::default_ecc_mode(s, device, &mode));
    nvmlDeviceGetTotalEccErrors(device: Device, _kind: c_uint, _counter: c_uint, count: Out<u64>) = read(|s| health::errors(s, device, None, &count));
    nvmlDeviceGetMemoryErrorCounter(device: Device, _kind: c_uint, _counter: c_uint, location: c_uint, count: Out<u64>) = read(|s| health::errors(s, device, Some(location), &count));
    nvmlDeviceGetPerformanceState(device: Device, state: Out<c_int>) = read(|s| health::performance_state(s, device, &state));
    nvmlDeviceGetPowerState(device: Device, state: Out<c_int>) = read(|s| health::performance_state(s, device, &state));
    nvmlDeviceGetCurrPcieLinkGeneration(device: Device, generation: Count) = read(|s| health::link_generation(s, device, &generation));
    nvmlDeviceGetMaxPcieLinkGeneration(device: Device, generation: Count) = read(|s| health::link_generation(s, device, &generation));
    nvmlDeviceGetGpuMaxPcieLinkGeneration(device: Device, generation: Count) = read(|s| health::link_generation(s, device, &generation));
    nvmlDeviceGetCurrPcieLinkWidth(device: Device, lanes: Count) = read(|s| health::link_width(s, device, &lanes));
    nvmlDeviceGetMaxPcieLinkWidth(device: Device, lanes: Count) = read(|s| health::link_width(s, device, &lanes));
    nvmlDeviceGetTopologyCommonAncestor(one: Device, other: Device, level: Count) = read(|s| health::common_ancestor(s, [one, other], &level));
    nvmlDeviceOnSameBoard(one: Device, other: Device, same: Out<c_int>) = read(|s| health::on_same_board(s, [one, other], &same));

    nvmlEventSetCreate(set: Out<usize>) = read(|_| health::event_set(&set));
    nvmlEventSetFree(_set: usize) = read(|_| Ok(()));
    nvmlDeviceGetSupportedEventTypes(device: Device, kinds: Out<u64>) = read(|s| device.gpu(&s.machine).and_then(|_| kinds.set(0)));
    nvmlUnitGetCount(count: Count) = read(|_| count.set(0));
    nvmlGetExcludedDeviceCount(count: Count) = read(|_| count.set(0));

    nvmlDeviceGetNvLinkState(device: Device, _link: c_uint, _active: Count) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetNvLinkRemotePciInfo(device: Device, _link: c_uint, _pci: Pci) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetNvLinkRemotePciInfo_v2(device: Device, _link: c_uint, _pci: Pci) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetApplicationsClock(device: Device, _kind: c_uint, _mhz: Count) = read(|s| device::not_offered(s, device));
    nvmlDeviceSetApplicationsClocks(device: Device, _memory: c_uint, _graphics: c_uint) = read(|s| device::not_offered(s, device));
    nvmlDeviceResetApplicationsClocks(device: Device) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetSupportedMemoryClocks(device: Device, _count: Count, _mhz: Count) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetSupportedGraphicsClocks(device: Device, _memory: c_uint, _count: Count, _mhz: Count) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetClockInfo(device: Device, _kind: c_uint, _mhz: Count) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetMaxClockInfo(device: Device, _kind: c_uint, _mhz: Count) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetPowerUsage(device: Device, _milliwatts: Count) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetTotalEnergyConsumption(device: Device, _millijoules: Out<u64>) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetTemperature(device: Device, _sensor: c_uint, _celsius: Count) = read(|s| device::not_offered(s, device));
    nvmlDeviceGetUtilizationRates(device: Device, _rates: Out<nvmlUtilization_t>) = read(|s| device::not_offered(s, device));

    nvmlDeviceGetComputeRunningProcesses(device: Device, count: Count, list: OldProcesses) = read(|s| device::processes(s, device, Compute, &count, &list, structs::process_v1));
    nvmlDeviceGetComputeRunningProcesses_v2(device: Device, count: Count, list: Processes) = read(|s| device::processes(s, device, Compute, &count, &list, structs::process));
    nvmlDeviceGetComputeRunningProcesses_v3(device: Device, count: Count, list: Processes) = read(|s| device::processes(s, device, Compute, &count, &list, structs::process));
    nvmlDeviceGetGraphicsRunningProcesses(device: Device, count: Count, list: OldProcesses) = read(|s| device::processes(s, device, Graphics, &count, &list, structs::process_v1));
    nvmlDeviceGetGraphicsRunningProcesses_v2(device: Device, count: Count, list: Processes) = read(|s| device::processes(s, device, Graphics, &count, &list, structs::process));
    nvmlDeviceGetGraphicsRunningProcesses_v3(device: Device, count: Count, list: Processes) = read(|s| device::processes(s, device, Graphics, &count, &list, structs::process));
    nvmlDeviceGetMPSComputeRunningProcesses(device: Device, count: Count, list: OldProcesses) = read(|s| device::processes(s, device, Mps, &count, &list, structs::process_v1));
    nvmlDeviceGetMPSComputeRunningProcesses_v2(device: Device, count: Count, list: Processes) = read(|s| device::processes(s, device, Mps, &count, &list, structs::process));
    nvmlDeviceGetMPSComputeRunningProcesses_v3(device: Device, count: Count, list: Processes) = read(|s| device::processes(s, device, Mps, &count, &list, structs::process));

    nvmlDeviceGetMigMode(device: Device, current: Count, pending: Count) = read(|s| instance::mig_mode(s, device, &current, &pending));
    nvmlDeviceSetMigMode(device: Device, mode: c_uint, activation: Out<nvmlReturn_t>) = change(|s| instance::set_mig_mode(s, device, mode, &activation));
    nvmlDeviceGetMaxMigDeviceCount(device: Device, count: Count) = read(|s| count.set(instance::max_mig_devices(device.gpu(&s.machine)?)));
    nvmlDeviceGetMigDeviceHandleByIndex(device: Device, index: c_uint, mig: Out<Device>) = read(|s| instance::mig_by_index(s, device, index, &mig));
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig: Device, device: Out<Device>) = read(|s| device.set(Device::of_gpu(mig.mig(&s.machine)?.gpu)));
    nvmlDeviceIsMigDeviceHandle(device: Device, is_mig: Count) = read(|s| instance::is_mig(s, device, &is_mig));
    nvmlDeviceGetGpuInstanceId(device: Device, id: Count) = read(|s| id.set(device.mig(&s.machine)?.instance.id));
    nvmlDeviceGetComputeInstanceId(device: Device, id: Count) = read(|s| id.set(device.mig(&s.machine)?.compute.id));
    nvmlDeviceGetAttributes(device: Device, attributes: Out<nvmlDeviceAttributes_t>) = read(|s| instance::attributes(s, device, &attributes));
    nvmlDeviceGetAttributes_v2(device: Device, attributes: Out<nvmlDeviceAttributes_t>) = read(|s| instance::attributes(s, device, &attributes));

    nvmlDeviceGetGpuInstanceProfileInfo(device: Device, profile: c_uint, info: Out<nvmlGpuInstanceProfileInfo_t>) = read(|s| instance::profile_info(s, device, profile, &info));
    nvmlDeviceGetGpuInstanceProfileInfoV(device: Device, profile: c_uint, info: Out<nvmlGpuInstanceProfileInfo_v2_t>) = read(|s| instance::profile_info_v(s, device, profile, &info));
    nvmlDeviceGetGpuInstanceProfileInfoByIdV(device: Device, id: c_uint, info: Out<nvmlGpuInstanceProfileInfo_v2_t>) = read(|s| instance::profile_info_by_id(s, device, id, &info));
    nvmlDeviceGetGpuInstancePossiblePlacements(device: Device, id: c_uint, places: Placements, count: Count) = read(|s| instance::placements(s, device, id, &places, &count));
    nvmlDeviceGetGpuInstancePossiblePlacements_v2(device: Device, id: c_uint, places: Placements, count: Count) = read(|s| instance::placements(s, device, id, &places, &count));
    nvmlDeviceGetGpuInstanceRemainingCapacity(device: Device, id: c_uint, count: Count) = read(|s| instance::remaining(s, device, id, &count));
    nvmlDeviceCreateGpuInstance(device: Device, id: c_uint, made: Out<InstanceHandle>) = change(|s| instance::create_instance(s, device, id, None, &made));
    nvmlDeviceCreateGpuInstanceWithPlacement(device: Device, id: c_uint, place: Placement, made: Out<InstanceHandle>) = change(|s| instance::create_instance(s, device, id, Some(&place), &made));
    nvmlGpuInstanceDestroy(instance: InstanceHandle) = change(|s| instance::destroy_instance(s, instance));
    nvmlDeviceGetGpuInstances(device: Device, id: c_uint, list: Out<InstanceHandle>, count: Count) = read(|s| instance::instances(s, device, id, &list, &count));
    nvmlDeviceGetGpuInstanceById(device: Device, id: c_uint, instance: Out<InstanceHandle>) = read(|s| instance::instance_by_id(s, device, id, &instance));
    nvmlGpuInstanceGetInfo(instance: InstanceHandle, info: Out<nvmlGpuInstanceInfo_t>) = read(|s| instance::instance_info(s, instance, &info));

    nvmlGpuInstanceGetComputeInstanceProfileInfo(instance: InstanceHandle, profile: c_uint, engine: c_uint, info: Out<nvmlComputeInstanceProfileInfo_t>) = read(|s| compute::compute_profile_info(s, instance, (profile, engine), &info));
    nvmlGpuInstanceGetComputeInstanceProfileInfoV(instance: InstanceHandle, profile: c_uint, engine: c_uint, info: Out<nvmlComputeInstanceProfileInfo_v2_t>) = read(|s| compute::compute_profile_info_v(s, instance, (profile, engine), &info));
    nvmlGpuInstanceGetComputeInstancePossiblePlacements(instance: InstanceHandle, id: c_uint, places: ComputePlacements, count: Count) = read(|s| compute::compute_placements(s, instance, id, &places, &count));
    nvmlGpuInstanceGetComputeInstanceRemainingCapacity(instance: InstanceHandle, id: c_uint, count: Count) = read(|s| compute::compute_remaining(s, instance, id, &count));
    nvmlGpuInstanceCreateComputeInstance(instance: InstanceHandle, id: c_uint, made: Out<ComputeHandle>) = change(|s| compute::create_compute(s, instance, id, None, &made));
    nvmlGpuInstanceCreateComputeInstanceWithPlacement(instance: InstanceHandle, id: c_uint, place: ComputePlacement, made: Out<ComputeHandle>) = change(|s| compute::create_compute(s, instance, id, Some(&place), &made));
    nvmlComputeInstanceDestroy(compute: ComputeHandle) = change(|s| compute::destroy_compute(s, compute));
    nvmlGpuInstanceGetComputeInstances(instance: InstanceHandle, id: c_uint, list: Out<ComputeHandle>, count: Count) = read(|s| compute::compute_instances(s, instance, id, &list, &count));
    nvmlGpuInstanceGetComputeInstanceById(instance: InstanceHandle, id: c_uint, compute: Out<ComputeHandle>) = read(|s| compute::compute_by_id(s, instance, id, &compute));
    nvmlComputeInstanceGetInfo(compute: ComputeHandle, info: Out<nvmlComputeInstanceInfo_t>) = read(|s| info.set(structs::compute_info(&compute.get(&s.machine)?)));
    nvmlComputeInstanceGetInfo_v2(compute: ComputeHandle, info: Out<nvmlComputeInstanceInfo_t>) = read(|s| info.set(structs::compute_info(&compute.get(&s.machine)?)));
}
