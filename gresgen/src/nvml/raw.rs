//! The NVML calls that nvml-wrapper 0.13 lacks, as safe functions: profiles, GPU and compute instances.
//!
//! The one module of this program with `unsafe`. Its rules:
//!
//! * Function pointers are reached through the `Result` fields of [`NvmlLib`], never through its methods,
//!   which panic when a driver lacks the symbol.
//! * Handles are the driver's and die with their instance: they are used right after they were obtained
//!   and never stored beyond one operation.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_uint};
use std::ptr::null_mut;

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper_sys::bindings::{
    NvmlLib, nvmlComputeInstance_t, nvmlComputeInstanceInfo_t, nvmlComputeInstanceProfileInfo_t,
    nvmlDevice_t, nvmlGpuInstance_t, nvmlGpuInstanceInfo_t, nvmlGpuInstancePlacement_t,
    nvmlGpuInstanceProfileInfo_t, nvmlGpuInstanceProfileInfo_v2_t,
};

use super::code::Code;

/// `NVML_STRUCT_VERSION(GpuInstanceProfileInfo, 2)`: the struct's size and its version in the top byte.
const PROFILE_INFO_V2: c_uint = size_of::<nvmlGpuInstanceProfileInfo_v2_t>() as c_uint | 2 << 24;
/// The only engine profile there is (`NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED`).
const SHARED_ENGINES: c_uint = 0;
/// More than any GPU holds; NVML does not report how many it would have written.
const MAX_LISTED: usize = 16;

/// A GPU instance profile as the driver describes it.
#[derive(Clone, Debug)]
pub(super) struct GpuProfile {
    pub(super) id: u32,
    pub(super) slices: u32,
    pub(super) max: u32,
    pub(super) sms: u32,
    /// Copy, decoder, encoder, JPEG, optical flow.
    pub(super) engines: [u32; 5],
    pub(super) memory_mib: u64,
    /// `MIG 1g.5gb`; absent from drivers that know only the first version of the struct.
    pub(super) name: Option<String>,
}

/// A compute instance profile as the driver describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComputeProfile {
    pub(super) id: u32,
    pub(super) slices: u32,
    pub(super) max: u32,
    pub(super) sms: u32,
}

/// A GPU instance that exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct GpuInstance {
    handle: nvmlGpuInstance_t,
    pub(super) id: u32,
    pub(super) profile: u32,
    pub(super) start: u32,
}

/// A compute instance that exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComputeInstance {
    handle: nvmlComputeInstance_t,
    device: nvmlDevice_t,
    pub(super) id: u32,
    pub(super) start: u32,
}

/// MIG calls on one physical GPU.
#[derive(Clone, Copy)]
pub(super) struct MigCalls<'a> {
    lib: &'a NvmlLib,
    device: nvmlDevice_t,
}

/// Calls an optional function of the library and turns its return code into a `Result`.
macro_rules! call {
    ($lib:expr, $function:ident ( $($argument:expr),* )) => {{
        let function = nvml_sym($lib.$function.as_ref())?;
        // SAFETY: the pointer comes from the library under the name whose type it has; each caller in this
        // module passes pointers to live values of the types in nvml.h, and handles obtained from NVML.
        nvml_try(unsafe { function($($argument),*) })
    }};
}

/// What the versions of the struct have in common, field by field.
macro_rules! profile {
    ($info:ident, $name:expr) => {
        GpuProfile {
            id: $info.id,
            slices: $info.sliceCount,
            max: $info.instanceCount,
            sms: $info.multiprocessorCount,
            engines: [
                $info.copyEngineCount,
                $info.decoderCount,
                $info.encoderCount,
                $info.jpegCount,
                $info.ofaCount,
            ],
            memory_mib: $info.memorySizeMB,
            name: $name,
        }
    };
}

impl<'a> MigCalls<'a> {
    pub(super) fn new(device: &Device<'a>) -> Self {
        // SAFETY: the handle is used only while `'a` keeps the library loaded and initialised.
        MigCalls { lib: device.nvml().lib(), device: unsafe { device.handle() } }
    }

    /// The profile of that `NVML_GPU_INSTANCE_PROFILE_*` number.
    pub(super) fn gpu_profile(&self, number: u32) -> Result<GpuProfile, Code> {
        match self.gpu_profile_v2(number) {
            // An older driver has only the first version of the call.
            Err(Code::FUNCTION_NOT_FOUND) => Ok(self.gpu_profile_v1(number)?),
            result => result,
        }
    }

    fn gpu_profile_v2(&self, number: u32) -> Result<GpuProfile, Code> {
        // SAFETY: a plain C struct of integers, for which all zeroes is a value.
        let mut info: nvmlGpuInstanceProfileInfo_v2_t = unsafe { std::mem::zeroed() };
        info.version = PROFILE_INFO_V2;
        self.profile_info_v(number, &mut info)?;
        Ok(profile!(info, text(&info.name)))
    }

    fn profile_info_v(
        &self,
        number: u32,
        info: &mut nvmlGpuInstanceProfileInfo_v2_t,
    ) -> Result<(), NvmlError> {
        call!(self.lib, nvmlDeviceGetGpuInstanceProfileInfoV(self.device, number, info))
    }

    fn gpu_profile_v1(&self, number: u32) -> Result<GpuProfile, NvmlError> {
        // SAFETY: as above.
        let mut info: nvmlGpuInstanceProfileInfo_t = unsafe { std::mem::zeroed() };
        call!(self.lib, nvmlDeviceGetGpuInstanceProfileInfo(self.device, number, &raw mut info))?;
        Ok(profile!(info, None))
    }

    /// Every legal placement of a profile id, free or not, as `(start, size)`.
    ///
    /// nvml-wrapper's `possible_placements` never sets the length of its buffer and returns nothing.
    pub(super) fn placements(&self, profile: u32) -> Result<Vec<(u32, u32)>, NvmlError> {
        let mut count: c_uint = 0;
        let device = self.device;
        call!(
            self.lib,
            nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, profile, null_mut(), &raw mut count)
        )?;
        let mut list = vec![nvmlGpuInstancePlacement_t { start: 0, size: 0 }; count as usize];
        call!(
            self.lib,
            nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, profile, list.as_mut_ptr(), &raw mut count)
        )?;
        list.truncate(count as usize);
        Ok(list.into_iter().map(|p| (p.start, p.size)).collect())
    }

    /// The GPU instances of one profile id. Each is looked at when its turn comes.
    pub(super) fn gpu_instances(
        &self,
        profile: u32,
    ) -> Result<impl Iterator<Item = Result<GpuInstance, NvmlError>>, NvmlError> {
        let mut handles: [nvmlGpuInstance_t; MAX_LISTED] = [null_mut(); MAX_LISTED];
        let mut count: c_uint = MAX_LISTED as c_uint;
        call!(
            self.lib,
            nvmlDeviceGetGpuInstances(self.device, profile, handles.as_mut_ptr(), &raw mut count)
        )?;
        Ok(handles.into_iter().take(count as usize).map(|handle| self.gpu_instance_info(handle)))
    }

    fn gpu_instance_info(&self, handle: nvmlGpuInstance_t) -> Result<GpuInstance, NvmlError> {
        // SAFETY: as above.
        let mut info: nvmlGpuInstanceInfo_t = unsafe { std::mem::zeroed() };
        call!(self.lib, nvmlGpuInstanceGetInfo(handle, &raw mut info))?;
        Ok(GpuInstance { handle, id: info.id, profile: info.profileId, start: info.placement.start })
    }

    /// Creates a GPU instance at a place and reads it back.
    pub(super) fn create_gpu_instance(
        &self,
        profile: u32,
        start: u32,
        size: u32,
    ) -> Result<GpuInstance, NvmlError> {
        let placement = nvmlGpuInstancePlacement_t { start, size };
        let mut handle: nvmlGpuInstance_t = null_mut();
        call!(
            self.lib,
            nvmlDeviceCreateGpuInstanceWithPlacement(
                self.device,
                profile,
                &raw const placement,
                &raw mut handle
            )
        )?;
        self.gpu_instance_info(handle)
    }

    pub(super) fn destroy_gpu_instance(&self, instance: GpuInstance) -> Result<(), NvmlError> {
        call!(self.lib, nvmlGpuInstanceDestroy(instance.handle))
    }

    /// The compute instance profile of that `NVML_COMPUTE_INSTANCE_PROFILE_*` number.
    pub(super) fn compute_profile(&self, gi: GpuInstance, number: u32) -> Result<ComputeProfile, NvmlError> {
        // SAFETY: as above.
        let mut info: nvmlComputeInstanceProfileInfo_t = unsafe { std::mem::zeroed() };
        call!(
            self.lib,
            nvmlGpuInstanceGetComputeInstanceProfileInfo(gi.handle, number, SHARED_ENGINES, &raw mut info)
        )?;
        Ok(ComputeProfile {
            id: info.id,
            slices: info.sliceCount,
            max: info.instanceCount,
            sms: info.multiprocessorCount,
        })
    }

    /// The compute instances of one compute instance profile id.
    pub(super) fn compute_instances(
        &self,
        gi: GpuInstance,
        profile: u32,
    ) -> Result<Vec<ComputeInstance>, NvmlError> {
        let mut handles: [nvmlComputeInstance_t; MAX_LISTED] = [null_mut(); MAX_LISTED];
        let mut count: c_uint = MAX_LISTED as c_uint;
        call!(
            self.lib,
            nvmlGpuInstanceGetComputeInstances(gi.handle, profile, handles.as_mut_ptr(), &raw mut count)
        )?;
        handles.iter().take(count as usize).map(|&handle| self.compute_instance_info(handle)).collect()
    }

    fn compute_instance_info(&self, handle: nvmlComputeInstance_t) -> Result<ComputeInstance, NvmlError> {
        // SAFETY: as above.
        let mut info: nvmlComputeInstanceInfo_t = unsafe { std::mem::zeroed() };
        call!(self.lib, nvmlComputeInstanceGetInfo_v2(handle, &raw mut info))?;
        Ok(ComputeInstance { handle, device: info.device, id: info.id, start: info.placement.start })
    }

    pub(super) fn create_compute_instance(
        &self,
        gi: GpuInstance,
        profile: u32,
    ) -> Result<ComputeInstance, NvmlError> {
        let mut handle: nvmlComputeInstance_t = null_mut();
        call!(self.lib, nvmlGpuInstanceCreateComputeInstance(gi.handle, profile, &raw mut handle))?;
        self.compute_instance_info(handle)
    }

    pub(super) fn destroy_compute_instance(&self, instance: ComputeInstance) -> Result<(), NvmlError> {
        call!(self.lib, nvmlComputeInstanceDestroy(instance.handle))
    }
}

/// Sets a variable for a library that is about to be loaded and reads its own environment.
///
/// Must be called from the main thread before any other thread exists.
pub fn export(name: &str, value: &std::ffi::OsStr) {
    // SAFETY: the program has one thread until it has opened the driver, so nobody reads the environment now.
    unsafe { std::env::set_var(name, value) }
}

/// The MIG device of a compute instance. Its info carries the handle (the field nvml.h calls "parent
/// device"), which spares the walk over all MIG device indexes.
pub(super) fn mig_device<'nvml>(of: &Device<'nvml>, instance: ComputeInstance) -> Device<'nvml> {
    // SAFETY: the handle was just given out by the same library, for an instance that exists.
    unsafe { Device::new(instance.device, of.nvml()) }
}

/// A name in a fixed buffer; `None` when it is empty, not terminated or not UTF-8.
fn text(buffer: &[c_char]) -> Option<String> {
    let bytes: Vec<u8> = buffer.iter().map(|&c| c.cast_unsigned()).collect();
    let name = CStr::from_bytes_until_nul(&bytes).ok()?.to_str().ok()?;
    (!name.is_empty()).then(|| name.to_owned())
}
