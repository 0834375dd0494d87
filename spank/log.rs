//! Slurm's log, as far as plugins may write to it.

use std::ffi::CString;

use crate::sys;

/// An error in the log of the process; in a task also on the user's stderr.
pub fn error(message: &str) {
    let message = c_string(message);
    // SAFETY: the format takes one string, which lives until the call returns.
    unsafe { sys::slurm_error(c"%s".as_ptr(), message.as_ptr()) }
}

/// A detail for `SlurmdDebug=debug` and above.
pub fn debug(message: &str) {
    let message = c_string(message);
    // SAFETY: as in `error`.
    unsafe { sys::slurm_debug(c"%s".as_ptr(), message.as_ptr()) }
}

/// A line for the user: reaches the terminal of `srun` or the job's output, without a prefix of Slurm's.
pub fn user(message: &str) {
    let message = c_string(message);
    // SAFETY: as in `error`.
    unsafe { sys::slurm_spank_log(c"%s".as_ptr(), message.as_ptr()) }
}

/// `message` for C: what follows a NUL would be lost, so NULs are dropped.
fn c_string(message: &str) -> CString {
    let bytes = message.bytes().filter(|byte| *byte != 0).collect();
    // Without NULs this cannot fail; an empty string stands for the impossible.
    CString::new::<Vec<u8>>(bytes).unwrap_or_default()
}
