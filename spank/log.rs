//! Slurm's log, as far as plugins may write to it.

use std::ffi::CString;

use crate::sys;

/// Longest message, in bytes. Of one beyond 8 KiB srun prints the end alone (seen on 22.05.8 and 26.05.5), which is not
/// the part that says whose it is.
const LONGEST: usize = 2 << 10;

/// An error in the log of the process; in a task also on the user's stderr.
pub fn error(message: &str) {
    let message = c_string(message);
    // SAFETY: the format takes one string, which lives until the call returns.
    unsafe { sys::slurm_error(c"%s".as_ptr(), message.as_ptr()) }
}

/// A line in the log of the process at its usual level.
pub fn info(message: &str) {
    let message = c_string(message);
    // SAFETY: as in `error`.
    unsafe { sys::slurm_info(c"%s".as_ptr(), message.as_ptr()) }
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
    let mut bytes: Vec<u8> = message.bytes().filter(|byte| *byte != 0).collect();
    if bytes.len() > LONGEST {
        bytes.truncate(LONGEST);
        bytes.extend("…".bytes());
    }
    // Without NULs this cannot fail; an empty string stands for the impossible.
    CString::new::<Vec<u8>>(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_with_its_beginning_however_long_it_is() {
        assert_eq!(c_string("[mig] a\0b").to_str(), Ok("[mig] ab"));
        let long = c_string(&format!("[mig] {}", "x".repeat(100_000)));
        assert!(long.as_bytes().starts_with(b"[mig] xx"));
        assert!(long.as_bytes().len() < 8 << 10, "{}", long.as_bytes().len());
    }
}
