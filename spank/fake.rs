//! The symbols of Slurm that unit tests reach, since no Slurm is around them.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};

thread_local! {
    static ERRORS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What this thread has logged as errors since the last call.
pub(crate) fn errors() -> Vec<String> {
    ERRORS.with_borrow_mut(std::mem::take)
}

/// Stands for the variadic `slurm_error`; [`crate::log`] calls it with one string and nothing else, which the
/// C calling conventions of Linux pass like fixed arguments.
///
/// # Safety
/// `message` is a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn slurm_error(_format: *const c_char, message: *const c_char) {
    // SAFETY: as promised by the caller.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    ERRORS.with_borrow_mut(|errors| errors.push(message));
}
