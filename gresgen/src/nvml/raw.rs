//! NVML calls as safe functions that believe nothing: those that nvml-wrapper 0.13 lacks (profiles, GPU and compute
//! instances), and those whose answers it takes on trust (texts without an end, lists longer than their buffer).
//!
//! The one module of this program with `unsafe`. Its rules:
//!
//! * Function pointers are reached through the `Result` fields of [`NvmlLib`], never through its methods,
//!   which panic when a driver lacks the symbol.
//! * Handles are the driver's and die with their instance: they are used right after they were obtained
//!   and never stored beyond one operation. None is ever null.
#![allow(unsafe_code)]

use std::ffi::c_uint;
use std::ptr::null_mut;

use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings::{
    NvmlLib, nvmlComputeInstance_t, nvmlComputeInstanceInfo_t, nvmlComputeInstanceProfileInfo_t,
    nvmlDevice_t, nvmlDeviceAttributes_t, nvmlGpuInstance_t, nvmlGpuInstanceInfo_t,
    nvmlGpuInstancePlacement_t, nvmlGpuInstanceProfileInfo_t, nvmlGpuInstanceProfileInfo_v2_t, nvmlMemory_t,
    nvmlPciInfo_t,
};

use super::answer::{Fault, MAX_INSTANCES, ascii, buffer, contradiction, text, within_count, words};
use super::code::Code;
use super::facts::{Attributes, ComputeProfile, GpuProfile, Pci};
use super::process_list::{Activity, ProcessWords};

/// `NVML_STRUCT_VERSION(GpuInstanceProfileInfo, 2)`: the struct's size and its version in the top byte.
const PROFILE_INFO_V2: c_uint = size_of::<nvmlGpuInstanceProfileInfo_v2_t>() as c_uint | 2 << 24;
/// The only engine profile there is (`NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED`).
const SHARED_ENGINES: c_uint = 0;
/// Most placements a profile can have: a GPU has 4 to 12 placement units.
const MAX_PLACEMENTS: c_uint = 64;

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
    pub(super) id: u32,
    /// First compute slice within the GPU instance.
    pub(super) start: u32,
}

/// A physical GPU or a MIG device.
#[derive(Clone, Copy)]
pub(super) struct Handle<'a> {
    lib: &'a NvmlLib,
    device: nvmlDevice_t,
}

/// Calls an optional function of the library and turns its return code into a `Result`. It takes names alone, so that
/// no caller's expression is evaluated in here.
macro_rules! call {
    ($lib:expr, $function:ident ( $($argument:ident),* )) => {{
        let function = nvml_sym($lib.$function.as_ref())?;
        // SAFETY: the pointer comes from the library under the name whose type it has; each caller in this
        // module passes pointers to live values of the types in nvml.h, and handles obtained from NVML.
        nvml_try(unsafe { function($($argument),*) })
    }};
}

/// What such a function writes to the place of its last argument.
macro_rules! answer {
    ($lib:expr, $function:ident ( $($argument:ident),* ) -> $type:ty) => {{
        // SAFETY: a plain C type of integers, characters and pointers, for which all zeroes is a value.
        let mut answer: $type = unsafe { std::mem::zeroed() };
        let out = &raw mut answer;
        call!($lib, $function($($argument,)* out)).map(|()| answer)
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

/// Version of the driver.
pub(super) fn driver_version(nvml: &Nvml) -> Result<String, Fault> {
    let lib = nvml.lib();
    words(|buffer, length| call!(lib, nvmlSystemGetDriverVersion(buffer, length)))
}

impl<'a> Handle<'a> {
    /// That of a GPU which nvml-wrapper found.
    pub(super) fn of(device: &Device<'a>) -> Result<Self, Fault> {
        // SAFETY: the handle is used only while `'a` keeps the library loaded and initialised.
        Handle { lib: device.nvml().lib(), device: unsafe { device.handle() } }.present()
    }

    fn present(self) -> Result<Self, Fault> {
        if self.device.is_null() { Err(contradiction("no handle")) } else { Ok(self) }
    }

    pub(super) fn uuid(self) -> Result<String, Fault> {
        let Handle { lib, device } = self;
        words(|buffer, length| call!(lib, nvmlDeviceGetUUID(device, buffer, length)))
    }

    pub(super) fn name(self) -> Result<String, Fault> {
        let Handle { lib, device } = self;
        words(|buffer, length| call!(lib, nvmlDeviceGetName(device, buffer, length)))
    }

    pub(super) fn vbios(self) -> Result<String, Fault> {
        let Handle { lib, device } = self;
        words(|buffer, length| call!(lib, nvmlDeviceGetVbiosVersion(device, buffer, length)))
    }

    pub(super) fn pci(self) -> Result<Pci, Fault> {
        let Handle { lib, device } = self;
        let info = answer!(lib, nvmlDeviceGetPciInfo_v3(device) -> nvmlPciInfo_t)?;
        Ok(Pci { bus_id: text(&info.busId)?, device: info.pciDeviceId, subsystem: info.pciSubSystemId })
    }

    /// Total memory, in bytes. The first version of the call, which every driver has, gives the same as the second.
    pub(super) fn memory(self) -> Result<u64, Fault> {
        let Handle { lib, device } = self;
        Ok(answer!(lib, nvmlDeviceGetMemoryInfo(device) -> nvmlMemory_t)?.total)
    }

    /// Fills `words` by the newest version of the call that there is, and says whether entries carry ids.
    /// An entry takes two words without ids, three with them, or four, and `words` has room for `room` entries of
    /// four. `count` becomes how many were written, or how many there are.
    pub(super) fn list_processes(
        self,
        activity: Activity,
        words: &mut ProcessWords,
        count: &mut c_uint,
    ) -> Result<bool, Fault> {
        let Handle { lib, device } = self;
        *count = words.room();
        let (count, list) = (&raw mut *count, words.as_mut_ptr());
        let (new, old) = (list.cast(), list.cast());
        /// The versions of one call, newest first.
        macro_rules! versions {
            ($v3:ident, $v2:ident, $v1:ident) => {
                if lib.$v3.is_ok() {
                    call!(lib, $v3(device, count, new)).map(|()| true)
                } else if lib.$v2.is_ok() {
                    call!(lib, $v2(device, count, new)).map(|()| true)
                } else {
                    call!(lib, $v1(device, count, old)).map(|()| false)
                }
            };
        }
        let listed = match activity {
            Activity::Compute => versions!(
                nvmlDeviceGetComputeRunningProcesses_v3,
                nvmlDeviceGetComputeRunningProcesses_v2,
                nvmlDeviceGetComputeRunningProcesses
            ),
            Activity::Graphics => versions!(
                nvmlDeviceGetGraphicsRunningProcesses_v3,
                nvmlDeviceGetGraphicsRunningProcesses_v2,
                nvmlDeviceGetGraphicsRunningProcesses
            ),
            Activity::Mps => versions!(
                nvmlDeviceGetMPSComputeRunningProcesses_v3,
                nvmlDeviceGetMPSComputeRunningProcesses_v2,
                nvmlDeviceGetMPSComputeRunningProcesses
            ),
        };
        Ok(listed?)
    }

    /// How many MIG devices the GPU can have, and hence the indexes under which they are looked for.
    pub(super) fn max_mig_devices(self) -> Result<u32, Fault> {
        let Handle { lib, device } = self;
        let count = answer!(lib, nvmlDeviceGetMaxMigDeviceCount(device) -> c_uint)?;
        if count > MAX_INSTANCES { Err(contradiction(format!("{count} MIG devices"))) } else { Ok(count) }
    }

    /// The MIG device of an index, of which any may be vacant.
    pub(super) fn mig_device(self, index: u32) -> Result<Option<Handle<'a>>, Fault> {
        let Handle { lib, device } = self;
        match answer!(lib, nvmlDeviceGetMigDeviceHandleByIndex(device, index) -> nvmlDevice_t) {
            Ok(device) => Handle { lib, device }.present().map(Some),
            // The R580 driver says the first; NVIDIA's go-nvlib (device.VisitMigDevices) bears with either.
            Err(NvmlError::NotFound | NvmlError::InvalidArg) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Id of the GPU instance a MIG device is in.
    pub(super) fn gpu_instance_id(self) -> Result<u32, Fault> {
        let Handle { lib, device } = self;
        Ok(answer!(lib, nvmlDeviceGetGpuInstanceId(device) -> c_uint)?)
    }

    /// Id of the compute instance a MIG device is.
    pub(super) fn compute_instance_id(self) -> Result<u32, Fault> {
        let Handle { lib, device } = self;
        Ok(answer!(lib, nvmlDeviceGetComputeInstanceId(device) -> c_uint)?)
    }

    /// What a MIG device has.
    pub(super) fn attributes(self) -> Result<Attributes, Fault> {
        let Handle { lib, device } = self;
        let info = answer!(lib, nvmlDeviceGetAttributes_v2(device) -> nvmlDeviceAttributes_t)?;
        Ok(Attributes { sms: info.multiprocessorCount, slices: info.computeInstanceSliceCount })
    }

    /// The profile of that `NVML_GPU_INSTANCE_PROFILE_*` number.
    pub(super) fn gpu_profile(self, number: u32) -> Result<GpuProfile, Fault> {
        match self.gpu_profile_v2(number) {
            // An older driver has only the first version of the call.
            Err(Fault::Code(Code::FUNCTION_NOT_FOUND)) => self.gpu_profile_v1(number),
            result => result,
        }
    }

    /// Version 2: of version 3 the R580 driver leaves the name empty.
    fn gpu_profile_v2(self, number: u32) -> Result<GpuProfile, Fault> {
        let Handle { lib, device } = self;
        // SAFETY: a plain C struct of integers and characters, for which all zeroes is a value.
        let mut info: nvmlGpuInstanceProfileInfo_v2_t = unsafe { std::mem::zeroed() };
        info.version = PROFILE_INFO_V2;
        let out = &raw mut info;
        call!(lib, nvmlDeviceGetGpuInstanceProfileInfoV(device, number, out))?;
        let name = ascii(&info.name)?;
        Ok(profile!(info, (!name.is_empty()).then_some(name)))
    }

    fn gpu_profile_v1(self, number: u32) -> Result<GpuProfile, Fault> {
        let Handle { lib, device } = self;
        let info = answer!(lib, nvmlDeviceGetGpuInstanceProfileInfo(device, number) -> nvmlGpuInstanceProfileInfo_t)?;
        Ok(profile!(info, None))
    }

    /// Every legal placement of a profile id, free or not, as `(start, size)`.
    ///
    /// nvml-wrapper's `possible_placements` never sets the length of its buffer and returns nothing.
    pub(super) fn placements(self, profile: u32) -> Result<Vec<(u32, u32)>, Fault> {
        let Handle { lib, device } = self;
        let mut count: c_uint = 0;
        let (out, none) = (&raw mut count, null_mut());
        call!(lib, nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, profile, none, out))?;
        if count > MAX_PLACEMENTS {
            return Err(contradiction(format!("{count} placements")));
        }
        let mut list = vec![nvmlGpuInstancePlacement_t { start: 0, size: 0 }; count as usize];
        let mut written = count;
        let (out, places) = (&raw mut written, list.as_mut_ptr());
        call!(lib, nvmlDeviceGetGpuInstancePossiblePlacements_v2(device, profile, places, out))?;
        if written > count {
            return Err(contradiction(format!("{written} placements where it announced {count}")));
        }
        list.truncate(written as usize);
        Ok(list.into_iter().map(|p| (p.start, p.size)).collect())
    }

    /// The GPU instances of one profile id, of which there are at most `most`: the call takes no size, but writes as
    /// many as the profile's instance count (nvml.h).
    pub(super) fn gpu_instances(
        self,
        profile: u32,
        most: u32,
    ) -> Result<impl Iterator<Item = Result<GpuInstance, Fault>>, Fault> {
        let Handle { lib, device } = self;
        let mut handles: Vec<nvmlGpuInstance_t> = buffer(most)?;
        let mut count = most;
        let (list, out) = (handles.as_mut_ptr(), &raw mut count);
        call!(lib, nvmlDeviceGetGpuInstances(device, profile, list, out))?;
        Ok(within_count(handles, count)?.into_iter().map(move |handle| self.gpu_instance_info(handle)))
    }

    fn gpu_instance_info(self, handle: nvmlGpuInstance_t) -> Result<GpuInstance, Fault> {
        let lib = self.lib;
        let info = answer!(lib, nvmlGpuInstanceGetInfo(handle) -> nvmlGpuInstanceInfo_t)?;
        Ok(GpuInstance { handle, id: info.id, profile: info.profileId, start: info.placement.start })
    }

    /// Creates a GPU instance at a place and reads it back.
    pub(super) fn create_gpu_instance(
        self,
        profile: u32,
        start: u32,
        size: u32,
    ) -> Result<GpuInstance, Fault> {
        let Handle { lib, device } = self;
        let placement = nvmlGpuInstancePlacement_t { start, size };
        let place = &raw const placement;
        let handle = answer!(
            lib,
            nvmlDeviceCreateGpuInstanceWithPlacement(device, profile, place) -> nvmlGpuInstance_t
        )?;
        if handle.is_null() { Err(contradiction("no handle")) } else { self.gpu_instance_info(handle) }
    }

    pub(super) fn destroy_gpu_instance(self, instance: GpuInstance) -> Result<(), Fault> {
        let (lib, handle) = (self.lib, instance.handle);
        Ok(call!(lib, nvmlGpuInstanceDestroy(handle))?)
    }

    /// The compute instance profile of that `NVML_COMPUTE_INSTANCE_PROFILE_*` number.
    pub(super) fn compute_profile(self, gi: GpuInstance, number: u32) -> Result<ComputeProfile, Fault> {
        let (lib, gi, engines) = (self.lib, gi.handle, SHARED_ENGINES);
        let info = answer!(
            lib,
            nvmlGpuInstanceGetComputeInstanceProfileInfo(gi, number, engines) -> nvmlComputeInstanceProfileInfo_t
        )?;
        Ok(ComputeProfile {
            id: info.id,
            slices: info.sliceCount,
            max: info.instanceCount,
            sms: info.multiprocessorCount,
        })
    }

    /// The compute instances of one compute instance profile. As for GPU instances, the profile says how many there
    /// can be.
    pub(super) fn compute_instances(
        self,
        gi: GpuInstance,
        profile: &ComputeProfile,
    ) -> Result<Vec<ComputeInstance>, Fault> {
        let (lib, gi, id) = (self.lib, gi.handle, profile.id);
        let mut handles: Vec<nvmlComputeInstance_t> = buffer(profile.max)?;
        let mut count = profile.max;
        let (list, out) = (handles.as_mut_ptr(), &raw mut count);
        call!(lib, nvmlGpuInstanceGetComputeInstances(gi, id, list, out))?;
        within_count(handles, count)?.into_iter().map(|handle| self.compute_instance_info(handle)).collect()
    }

    /// The compute instance of that id.
    pub(super) fn compute_instance(self, gi: GpuInstance, id: u32) -> Result<ComputeInstance, Fault> {
        let (lib, gi) = (self.lib, gi.handle);
        let handle = answer!(lib, nvmlGpuInstanceGetComputeInstanceById(gi, id) -> nvmlComputeInstance_t)?;
        if handle.is_null() { Err(contradiction("no handle")) } else { self.compute_instance_info(handle) }
    }

    /// The field `device` of the info is not read: nvml.h calls it the parent device, and drivers mean the GPU, so its
    /// UUID is never that of the MIG device.
    fn compute_instance_info(self, handle: nvmlComputeInstance_t) -> Result<ComputeInstance, Fault> {
        let lib = self.lib;
        let info = answer!(lib, nvmlComputeInstanceGetInfo_v2(handle) -> nvmlComputeInstanceInfo_t)?;
        Ok(ComputeInstance { handle, id: info.id, start: info.placement.start })
    }

    pub(super) fn create_compute_instance(self, gi: GpuInstance, profile: u32) -> Result<(), Fault> {
        let (lib, gi) = (self.lib, gi.handle);
        answer!(lib, nvmlGpuInstanceCreateComputeInstance(gi, profile) -> nvmlComputeInstance_t)?;
        Ok(())
    }

    pub(super) fn destroy_compute_instance(self, instance: ComputeInstance) -> Result<(), Fault> {
        let (lib, handle) = (self.lib, instance.handle);
        Ok(call!(lib, nvmlComputeInstanceDestroy(handle))?)
    }
}

/// Sets a variable for a library that is about to be loaded and reads its own environment.
///
/// # Errors
/// In words, when the process has more than one thread, or does not say how many.
pub(crate) fn export(name: &str, value: &std::ffi::OsStr) -> Result<(), String> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(format!("{name}: cannot be set while the program has other threads"));
    }
    // SAFETY: this is the only thread there is, so nobody reads the environment now.
    unsafe { std::env::set_var(name, value) };
    Ok(())
}
