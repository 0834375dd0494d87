//! What `nvidia-smi --gpu-reset` calls: functions of its table that are not published, found by what 535 and 550 print for
//! each answer.
//!
//! It asks whether the GPU drives a display, whether it is part of a fabric, which GPUs have to be reset together, and
//! then resets them. 470 takes another way, on which persistence mode has to go off first; here it cannot.

use std::ffi::{c_uint, c_void};
use std::sync::Arc;

use nvml_wrapper_sys::bindings::nvmlReturn_t;

use super::gate::{change, enter, read};
use super::handle::Device;
use super::pointer::Out;
use crate::code::Code;
use crate::spec::MAX_GPUS;

/// Name under which a reset is logged, and fails on order: it has none in nvml.h.
pub(super) const NAME: &str = "nvmlInternalDeviceReset";

/// No simulated GPU is the one that the console is on.
pub(super) extern "C" fn is_primary(device: Device, primary: Out<c_uint>) -> nvmlReturn_t {
    enter(NAME, read(|s| device.gpu(&s.machine).and_then(|_| primary.set(0))))
}

/// Nor is one in a fabric.
pub(super) extern "C" fn fabric(state: Out<c_uint>) -> nvmlReturn_t {
    enter(NAME, read(|_| state.set(0)))
}

/// A group of GPUs to be reset together: every GPU goes alone, so it stays as it was given.
pub(super) extern "C" fn group(_group: Out<*mut c_void>) -> nvmlReturn_t {
    0
}

/// Resets GPUs, all or none.
pub(super) extern "C" fn reset(count: c_uint, devices: Out<Device>) -> nvmlReturn_t {
    enter(
        NAME,
        change(|s| {
            let count = usize::try_from(count).ok().filter(|&count| count <= MAX_GPUS);
            for at in 0..count.ok_or(Code::INVALID_ARGUMENT)? {
                let gpu = devices.get_at(at)?.gpu(&s.machine)?.index;
                Arc::make_mut(&mut s.machine).reset(gpu, &s.clients)?;
            }
            Ok(())
        }),
    )
}
