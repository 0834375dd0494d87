//! Profiles, in the versions of their structs.

use nvml_wrapper_sys::bindings::*;

use super::{Client, DeviceHandle, GpuInstanceHandle, Zeroed, function, tag, text};
use crate::code::{Answer, Code};

/// `NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED`
const SHARED: u32 = 0;

impl Client {
    /// A GPU instance profile by its number, in the struct of a version; `tag` is what its first field says.
    ///
    /// # Errors
    /// NVML's code.
    pub fn profile_v(&self, of: DeviceHandle, number: u32, tag: u32) -> Answer<Profile> {
        let function = function!(self, nvmlDeviceGetGpuInstanceProfileInfoV);
        // SAFETY: the buffer is larger than any version of the struct.
        Profile::filled(tag, |info| unsafe { function(of.0, number, info) })
    }

    /// A GPU instance profile by its id, in the struct of version 3.
    ///
    /// # Errors
    /// NVML's code.
    pub fn profile_by_id(&self, of: DeviceHandle, id: u32) -> Answer<Profile> {
        let function = function!(self, nvmlDeviceGetGpuInstanceProfileInfoByIdV);
        // SAFETY: as above.
        Profile::filled(Profile::V3, |info| unsafe { function(of.0, id, info) })
    }

    /// A compute instance profile by its number, of the shared engine profile.
    ///
    /// # Errors
    /// NVML's code.
    pub fn compute_profile(
        &self,
        of: GpuInstanceHandle,
        number: u32,
    ) -> Answer<nvmlComputeInstanceProfileInfo_t> {
        let mut info = nvmlComputeInstanceProfileInfo_t::zeroed();
        let function = function!(self, nvmlGpuInstanceGetComputeInstanceProfileInfo);
        // SAFETY: as above.
        Code::of(unsafe { function(of.0, number, SHARED, &raw mut info) })?;
        Ok(info)
    }

    /// The name of a compute instance profile, as the struct of a version has it.
    ///
    /// # Errors
    /// NVML's code.
    pub fn compute_profile_name(&self, of: GpuInstanceHandle, number: u32, version: u32) -> Answer<String> {
        let function = function!(self, nvmlGpuInstanceGetComputeInstanceProfileInfoV);
        // SAFETY: structs of integers and characters.
        let mut v3: nvmlComputeInstanceProfileInfo_v3_t = unsafe { std::mem::zeroed() };
        v3.version = match version {
            2 => tag::<nvmlComputeInstanceProfileInfo_v2_t>(2),
            _ => tag::<nvmlComputeInstanceProfileInfo_v3_t>(3),
        };
        // SAFETY: version 3 is version 2 with one field more at its end (nvml.h).
        Code::of(unsafe { function(of.0, number, SHARED, (&raw mut v3).cast()) })?;
        Ok(text(&v3.name))
    }
}

/// A GPU instance profile as a versioned struct gives it.
pub struct Profile {
    info: nvmlGpuInstanceProfileInfo_v3_t,
    is_p2p_supported: Option<u32>,
}

impl Profile {
    /// First field of the struct of version 2.
    pub const V2: u32 = tag::<nvmlGpuInstanceProfileInfo_v2_t>(2);
    /// First field of the struct of version 3.
    pub const V3: u32 = tag::<nvmlGpuInstanceProfileInfo_v3_t>(3);

    fn filled(
        tag: u32,
        call: impl FnOnce(*mut nvmlGpuInstanceProfileInfo_v2_t) -> nvmlReturn_t,
    ) -> Answer<Profile> {
        /// Both versions have 152 bytes; a library that writes more than it says is met with room.
        #[repr(C)]
        union Room {
            v2: nvmlGpuInstanceProfileInfo_v2_t,
            v3: nvmlGpuInstanceProfileInfo_v3_t,
            bytes: [u64; 64],
        }
        let mut room = Room { bytes: [0; 64] };
        room.v2.version = tag;
        Code::of(call((&raw mut room).cast()))?;
        if tag == Profile::V3 {
            // SAFETY: zeroed, then filled as version 3: integers and characters.
            return Ok(Profile { info: unsafe { room.v3 }, is_p2p_supported: None });
        }
        // SAFETY: zeroed, then filled as version 2.
        let v2 = unsafe { room.v2 };
        let info = nvmlGpuInstanceProfileInfo_v3_t {
            version: v2.version,
            id: v2.id,
            sliceCount: v2.sliceCount,
            instanceCount: v2.instanceCount,
            multiprocessorCount: v2.multiprocessorCount,
            copyEngineCount: v2.copyEngineCount,
            decoderCount: v2.decoderCount,
            encoderCount: v2.encoderCount,
            jpegCount: v2.jpegCount,
            ofaCount: v2.ofaCount,
            memorySizeMB: v2.memorySizeMB,
            name: v2.name,
            capabilities: 0,
        };
        Ok(Profile { info, is_p2p_supported: Some(v2.isP2pSupported) })
    }

    /// The fields of version 3; those that version 2 lacks are 0.
    pub fn info(&self) -> &nvmlGpuInstanceProfileInfo_v3_t {
        &self.info
    }

    /// The field that only version 2 has.
    pub fn is_p2p_supported(&self) -> Option<u32> {
        self.is_p2p_supported
    }

    /// Name of the profile.
    pub fn name(&self) -> String {
        text(&self.info.name)
    }
}
