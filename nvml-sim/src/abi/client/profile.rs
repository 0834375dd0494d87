//! The versioned structs of a GPU instance profile.

use nvml_wrapper_sys::bindings::*;

use super::{tag, text};
use crate::code::{Answer, Code};

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

    pub(super) fn filled(
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
