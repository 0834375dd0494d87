//! What bindgen makes of the installed `slurm/spank.h`, and the symbols that are looked up at run time.
//!
//! None of it is linked: the symbols are resolved from the process that loads the plugin, and all of them when it is
//! loaded, since rustc calls through the global offset table. So a symbol that one release lacks must not be referred
//! to; it is asked for with [`optional`].

#[allow(dead_code, non_camel_case_types, non_snake_case, non_upper_case_globals, unreachable_pub)]
#[allow(clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

pub(crate) use bindings::*;

/// The address of `symbol` in the running process, where this Slurm has it.
pub(crate) fn optional(symbol: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: `symbol` is a C string; dlsym only searches the objects that are loaded.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) })
}
