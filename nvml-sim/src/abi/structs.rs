//! NVML's structs, each version from the same value.

use std::ffi::c_char;

use mig::boards::{ComputeRow, Row};
use nvml_wrapper_sys::bindings::*;

use super::gate::{self, ComputeDevice};
use super::handle::{ComputeHandle, Device, InstanceHandle};
use super::pointer::Out;
use crate::code::{Answer, Code};
use crate::machine::{Gpu, GpuInstance, MigDevice, compute_name};
use crate::sheet;
use crate::sysfs;

/// One version of a struct, filled from a value.
pub(super) trait Versioned<T>: Sized {
    /// Version number, as in the names of nvml.h.
    const VERSION: u32;

    /// What the first field holds: the size of the struct, the version in the high byte.
    const TAG: u32 = size_of::<Self>() as u32 | Self::VERSION << 24;

    fn of(value: &T) -> Self;
}

/// Fills the struct of the version the caller wrote into its first field.
pub(super) fn fill<T, A: Versioned<T>>(out: &Out<impl Copy>, value: &T) -> Answer {
    match out.cast::<u32>().get()? {
        tag if tag == A::TAG => out.cast::<A>().set_versioned(value),
        _ => Err(Code::ARGUMENT_VERSION_MISMATCH),
    }
}

/// Fills a profile's struct, of which there are two versions. An H100 and an H200 give INVALID_ARGUMENT for
/// any other, as nvml.h documents for these calls.
pub(super) fn fill_profile<T, A: Versioned<T>, B: Versioned<T>>(out: &Out<impl Copy>, value: &T) -> Answer {
    match out.cast::<u32>().get()? {
        tag if tag == A::TAG => out.cast::<A>().set_versioned(value),
        tag if tag == B::TAG => out.cast::<B>().set_versioned(value),
        _ => Err(Code::INVALID_ARGUMENT),
    }
}

impl<S> Out<S> {
    fn set_versioned<T>(&self, value: &T) -> Answer
    where
        S: Versioned<T>,
    {
        self.set(S::of(value))
    }
}

/// A GPU instance profile on a GPU.
pub(super) struct InstanceProfile<'a>(pub(super) &'a Gpu, pub(super) &'static Row);

/// A compute instance profile in a GPU instance.
pub(super) struct ComputeProfile<'a>(
    pub(super) &'a Gpu,
    pub(super) &'static Row,
    pub(super) &'static ComputeRow,
);

impl Versioned<InstanceProfile<'_>> for nvmlGpuInstanceProfileInfo_t {
    const VERSION: u32 = 1;

    fn of(&InstanceProfile(gpu, row): &InstanceProfile<'_>) -> Self {
        let engines = sheet::engines(gpu.board, row);
        Self {
            id: row.id,
            // "No" in every listing of real boards.
            isP2pSupported: 0,
            sliceCount: sheet::slices(row),
            instanceCount: u32::from(row.max),
            multiprocessorCount: sheet::sms(gpu.board, row),
            copyEngineCount: engines.copy,
            decoderCount: engines.decoder,
            encoderCount: engines.encoder,
            jpegCount: engines.jpeg,
            ofaCount: engines.ofa,
            memorySizeMB: sheet::memory(gpu.board, row),
        }
    }
}

/// A later version of a struct: what an earlier one has under the same names, and fields of its own.
macro_rules! later {
    ($earlier:ident; $($field:ident)*; $($own:tt)*) => {
        Self { version: Self::TAG, $($field: $earlier.$field,)* $($own)* }
    };
}

impl Versioned<InstanceProfile<'_>> for nvmlGpuInstanceProfileInfo_v2_t {
    const VERSION: u32 = 2;

    fn of(profile: &InstanceProfile<'_>) -> Self {
        let v1 = nvmlGpuInstanceProfileInfo_t::of(profile);
        later!(v1;
            id isP2pSupported sliceCount instanceCount multiprocessorCount copyEngineCount decoderCount
            encoderCount jpegCount ofaCount memorySizeMB;
            name: profile_name(profile.1.name),
        )
    }
}

impl Versioned<InstanceProfile<'_>> for nvmlGpuInstanceProfileInfo_v3_t {
    const VERSION: u32 = 3;

    fn of(profile: &InstanceProfile<'_>) -> Self {
        let v2 = nvmlGpuInstanceProfileInfo_v2_t::of(profile);
        let graphics = matches!(profile.1.nvml_enum, 10..=12 | 17);
        later!(v2;
            id sliceCount instanceCount multiprocessorCount copyEngineCount decoderCount encoderCount
            jpegCount ofaCount memorySizeMB;
            // Empty on an H100 and an H200, for every profile: only version 2 carries the name.
            name: [0; 96],
            capabilities: if graphics { NVML_GPU_INSTANCE_PROFILE_CAPS_GFX } else { 0 },
        )
    }
}

impl Versioned<ComputeProfile<'_>> for nvmlComputeInstanceProfileInfo_t {
    const VERSION: u32 = 1;

    fn of(&ComputeProfile(gpu, row, compute): &ComputeProfile<'_>) -> Self {
        let engines = sheet::engines(gpu.board, row);
        Self {
            id: compute.id,
            sliceCount: u32::from(compute.slices),
            instanceCount: sheet::compute_max(compute),
            multiprocessorCount: sheet::compute_sms(gpu.board, row, compute),
            sharedCopyEngineCount: engines.copy,
            sharedDecoderCount: engines.decoder,
            sharedEncoderCount: engines.encoder,
            sharedJpegCount: engines.jpeg,
            sharedOfaCount: engines.ofa,
        }
    }
}

impl Versioned<ComputeProfile<'_>> for nvmlComputeInstanceProfileInfo_v2_t {
    const VERSION: u32 = 2;

    fn of(profile: &ComputeProfile<'_>) -> Self {
        let v1 = nvmlComputeInstanceProfileInfo_t::of(profile);
        later!(v1;
            id sliceCount instanceCount multiprocessorCount sharedCopyEngineCount sharedDecoderCount
            sharedEncoderCount sharedJpegCount sharedOfaCount;
            name: profile_name(&compute_name(profile.1, profile.2.id)),
        )
    }
}

impl Versioned<ComputeProfile<'_>> for nvmlComputeInstanceProfileInfo_v3_t {
    const VERSION: u32 = 3;

    fn of(profile: &ComputeProfile<'_>) -> Self {
        let v2 = nvmlComputeInstanceProfileInfo_v2_t::of(profile);
        later!(v2;
            id sliceCount instanceCount multiprocessorCount sharedCopyEngineCount sharedDecoderCount
            sharedEncoderCount sharedJpegCount sharedOfaCount name;
            capabilities: 0,
        )
    }
}

/// A profile name as nvidia-smi prints it.
fn profile_name(name: &str) -> [c_char; 96] {
    text(&format!("MIG {name}"))
}

/// A text in a field of fixed size, cut to fit, with a null byte.
fn text<const N: usize>(text: &str) -> [c_char; N] {
    let mut field = [0; N];
    for (place, byte) in field[..N - 1].iter_mut().zip(text.bytes()) {
        *place = byte as c_char;
    }
    field
}

pub(super) fn instance_info(gpu: &Gpu, instance: &GpuInstance) -> nvmlGpuInstanceInfo_t {
    nvmlGpuInstanceInfo_t {
        device: Device::of_gpu(gpu).raw(),
        id: instance.id,
        profileId: instance.profile,
        placement: instance_placement(instance.start, gpu.row(instance)),
    }
}

pub(super) fn instance_placement(start: u32, row: &Row) -> nvmlGpuInstancePlacement_t {
    nvmlGpuInstancePlacement_t { start, size: u32::from(row.size) }
}

pub(super) fn compute_info(device: &MigDevice<'_>) -> nvmlComputeInstanceInfo_t {
    let compute = crate::sheet::compute_row(device.row(), device.compute.profile);
    let named = match gate::compute_device() {
        ComputeDevice::Parent => Device::of_gpu(device.gpu),
        ComputeDevice::Mig => Device::of_mig(device),
    };
    nvmlComputeInstanceInfo_t {
        device: named.raw(),
        gpuInstance: InstanceHandle::of(device.gpu, device.instance).raw(),
        id: device.compute.id,
        profileId: device.compute.profile,
        placement: compute_placement(device.compute.start, compute),
    }
}

pub(super) fn compute_placement(start: u32, compute: &ComputeRow) -> nvmlComputeInstancePlacement_t {
    nvmlComputeInstancePlacement_t { start, size: u32::from(compute.slices) }
}

pub(super) fn compute_handle(device: &MigDevice<'_>) -> ComputeHandle {
    ComputeHandle::of(device.gpu, device.instance, device.compute)
}

pub(super) fn attributes(device: &MigDevice<'_>) -> nvmlDeviceAttributes_t {
    let (board, row) = (device.gpu.board, device.row());
    let compute = crate::sheet::compute_row(row, device.compute.profile);
    let engines = sheet::engines(board, row);
    nvmlDeviceAttributes_t {
        multiprocessorCount: sheet::compute_sms(board, row, compute),
        sharedCopyEngineCount: engines.copy,
        sharedDecoderCount: engines.decoder,
        sharedEncoderCount: engines.encoder,
        sharedJpegCount: engines.jpeg,
        sharedOfaCount: engines.ofa,
        gpuInstanceSliceCount: sheet::slices(row),
        computeInstanceSliceCount: u32::from(compute.slices),
        memorySizeMB: device.memory(),
    }
}

pub(super) fn pci_info(gpu: &Gpu) -> nvmlPciInfo_t {
    nvmlPciInfo_t {
        busIdLegacy: text(&gpu.bdf().to_uppercase()),
        domain: 0,
        bus: gpu.bus(),
        device: 0,
        pciDeviceId: gpu.pci_device_id(),
        pciSubSystemId: gpu.pci_subsystem_id(),
        busId: text(&format!("0000{}", gpu.bdf().to_uppercase())),
    }
}

impl Versioned<Gpu> for nvmlPciInfoExt_v1_t {
    const VERSION: u32 = 1;

    fn of(gpu: &Gpu) -> Self {
        let nvmlPciInfo_t { domain, bus, device, pciDeviceId, pciSubSystemId, busId, .. } = pci_info(gpu);
        let class = sysfs::CLASS;
        Self {
            version: Self::TAG,
            domain,
            bus,
            device,
            pciDeviceId,
            pciSubSystemId,
            baseClass: class >> 16,
            subClass: class >> 8 & 0xff,
            busId,
        }
    }
}

/// Memory of a device that nobody uses, in bytes.
pub(super) struct Memory {
    pub(super) total: u64,
    /// What the driver keeps for itself.
    pub(super) reserved: u64,
}

/// nvml.h: here `used` is the sum of reserved and allocated memory.
pub(super) fn memory(&Memory { total, reserved }: &Memory) -> nvmlMemory_t {
    nvmlMemory_t { total, free: total - reserved, used: reserved }
}

impl Versioned<Memory> for nvmlMemory_v2_t {
    const VERSION: u32 = 2;

    fn of(&Memory { total, reserved }: &Memory) -> Self {
        Self { version: Self::TAG, total, reserved, free: total - reserved, used: 0 }
    }
}

impl Versioned<u64> for nvmlPdi_t {
    const VERSION: u32 = 1;

    fn of(&pdi: &u64) -> Self {
        Self { version: Self::TAG, value: pdi }
    }
}

/// nvml.h: `NVML_VALUE_NOT_AVAILABLE`
const NO_VALUE: u64 = u64::MAX;

/// nvml.h: ids of a process on no MIG device.
const NO_INSTANCE: u32 = u32::MAX;

pub(super) fn process(pid: u32, device: Option<&MigDevice<'_>>) -> nvmlProcessInfo_t {
    nvmlProcessInfo_t {
        pid,
        usedGpuMemory: NO_VALUE,
        gpuInstanceId: device.map_or(NO_INSTANCE, |d| d.instance.id),
        computeInstanceId: device.map_or(NO_INSTANCE, |d| d.compute.id),
    }
}

pub(super) fn process_v1(pid: u32, _device: Option<&MigDevice<'_>>) -> nvmlProcessInfo_v1_t {
    nvmlProcessInfo_v1_t { pid, usedGpuMemory: NO_VALUE }
}

/// The text of a UUID struct of version 1: as text, or 16 bytes of a GPU's.
pub(super) fn uuid_text(uuid: &nvmlUUID_t) -> Answer<String> {
    const TAG: u32 = size_of::<nvmlUUID_t>() as u32 | 1 << 24;
    const ASCII: u32 = nvmlUUIDType_t_NVML_UUID_TYPE_ASCII;
    const BINARY: u32 = nvmlUUIDType_t_NVML_UUID_TYPE_BINARY;
    if uuid.version != TAG {
        return Err(Code::ARGUMENT_VERSION_MISMATCH);
    }
    match uuid.type_ {
        ASCII => {
            // SAFETY: every bit pattern is a valid array of characters.
            let text = unsafe { uuid.value.str_ };
            Ok(text.iter().map(|&c| c as u8 as char).take_while(|&c| c != '\0').collect())
        }
        BINARY => {
            // SAFETY: every bit pattern is a valid array of bytes.
            let bytes = unsafe { uuid.value.bytes };
            Ok(format!("GPU-{}", uuid::Uuid::from_bytes(bytes)))
        }
        _ => Err(Code::INVALID_ARGUMENT),
    }
}
