//! What makes a Rust library a SPANK plugin: the symbols Slurm looks for, and one gate around every hook.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Once;

use crate::{Spank, log, release, sys};

/// A hook of a plugin: gets the handle and the arguments of its line in plugstack.conf.
pub type Hook = fn(&mut Spank<'_>, Arguments<'_>);

/// The arguments of a plugin's line in plugstack.conf, read when they are asked for.
#[derive(Clone, Copy)]
pub struct Arguments<'hook>(&'hook [*mut c_char]);

impl<'hook> Arguments<'hook> {
    /// # Safety
    /// `arguments` is null or has `count` pointers, each null or a C string, all valid for as long as the result.
    unsafe fn from_raw(count: c_int, arguments: *mut *mut c_char) -> Self {
        let count = usize::try_from(count).unwrap_or(0);
        if arguments.is_null() || count == 0 {
            return Arguments(&[]);
        }
        // SAFETY: not null, and `count` long as promised by the caller.
        Arguments(unsafe { slice::from_raw_parts(arguments, count) })
    }

    /// The arguments as they come; what is no UTF-8 in them is replaced.
    pub fn iter(self) -> impl Iterator<Item = Cow<'hook, str>> {
        let texts = self.0.iter().filter(|text| !text.is_null());
        // SAFETY: not null, hence a C string as promised to `from_raw`.
        texts.map(|text| unsafe { CStr::from_ptr(*text) }.to_string_lossy())
    }
}

/// Defines the plugin `$name` with the given hooks. For use once, in the crate that is the shared object.
///
/// ```ignore
/// spank::plugin!("hello", slurm_spank_init => greet);
/// ```
///
/// Only the hooks named are exported: slurmd starts a process per job for some of them, and `init` or `fini`
/// would be called as the entry points of another kind of plugin.
#[macro_export]
macro_rules! plugin {
    ($name:literal, $($hook:ident => $function:path),+ $(,)?) => {
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        pub static plugin_name: [u8; $name.len() + 1] = $crate::export::c_array($name);
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        pub static plugin_type: [u8; 6] = $crate::export::c_array("spank");
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        pub static plugin_version: ::std::sync::atomic::AtomicU32 =
            ::std::sync::atomic::AtomicU32::new($crate::export::BUILT_FOR);
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        pub static slurm_spank_init_failure_mode: ::std::ffi::c_int = $crate::export::JOB_FAILURE;
        /// Slurm reads `plugin_version` after the constructors of the object have run.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static STAMP: extern "C" fn() = {
            extern "C" fn stamp() {
                plugin_version.store($crate::export::claimed(), ::std::sync::atomic::Ordering::Relaxed);
            }
            stamp
        };
        $(
            /// # Safety
            /// For Slurm alone: `arguments` is an array of `count` C strings.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $hook(
                handle: $crate::export::Handle,
                count: ::std::ffi::c_int,
                arguments: *mut *mut ::std::ffi::c_char,
            ) -> ::std::ffi::c_int {
                // SAFETY: Slurm calls a hook with a handle and arguments that live until it returns.
                unsafe { $crate::export::gate(stringify!($hook), $function, handle, count, arguments) }
            }
        )+
    };
}

/// A `spank_t`.
pub type Handle = *mut sys::spank_handle;

/// `SLURM_VERSION_NUMBER` of the headers of the build.
pub const BUILT_FOR: u32 = sys::SLURM_VERSION_NUMBER;

/// `ESPANK_JOB_FAILURE` of 25.05 and later: should `slurm_spank_init` fail in a plugin loaded as `required`, that
/// costs the job and not the node. Earlier releases do not look for the symbol.
pub const JOB_FAILURE: c_int = 3012;

/// `text` with its NUL, as the array a C `char name[]` is.
pub const fn c_array<const N: usize>(text: &str) -> [u8; N] {
    assert!(text.len() + 1 == N);
    let mut array = [0; N];
    let mut at = 0;
    while at < text.len() {
        array[at] = text.as_bytes()[at];
        at += 1;
    }
    array
}

/// The `plugin_version` to claim in this process.
pub fn claimed() -> u32 {
    // SAFETY: takes nothing, returns a constant.
    let api = unsafe { sys::slurm_api_version() };
    u32::try_from(api).ok().and_then(release::stamp).unwrap_or(BUILT_FOR)
}

/// Runs `hook`; a panic ends here, before it reaches Slurm.
///
/// Returns 0, or -1 after a panic. Only `slurm_spank_init` returns 0 in any case: its failure in the batch
/// step of a plugin loaded as `required` drains the node (src/slurmctld/proc_req.c), and a hook that comes
/// later can still refuse the one task.
///
/// # Safety
/// `handle` is valid and `arguments` has `count` C strings, all until this returns.
pub unsafe fn gate(
    name: &str,
    hook: Hook,
    handle: Handle,
    count: c_int,
    arguments: *mut *mut c_char,
) -> c_int {
    log_panics();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as promised by the caller.
        let arguments = unsafe { Arguments::from_raw(count, arguments) };
        // SAFETY: the handle is valid while the hook runs, and the borrow ends with it.
        let mut spank = unsafe { Spank::from_raw(handle) };
        hook(&mut spank, arguments);
    }));
    match outcome {
        Err(_) if name != "slurm_spank_init" => -1,
        _ => 0,
    }
}

/// Sends the message of a panic to Slurm's log: stderr belongs to the user's job or to nobody.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(|panic| log::error(&format!("spank plugin: {panic}")))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use std::ptr;

    fn run(name: &str, hook: Hook) -> c_int {
        // SAFETY: the hooks of these tests do not use the handle, and there are no arguments.
        unsafe { gate(name, hook, ptr::null_mut(), 0, ptr::null_mut()) }
    }

    #[test]
    fn a_hook_that_returns_is_a_success() {
        assert_eq!(run("slurm_spank_task_init", |_, _| ()), 0);
        assert!(fake::errors().is_empty());
    }

    #[test]
    fn a_panic_is_logged_and_ends_at_the_gate() {
        assert_eq!(run("slurm_spank_task_init", |_, _| panic!("out of cheese")), -1);
        let errors = fake::errors();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with("spank plugin: panicked at"), "{errors:?}");
        assert!(errors[0].ends_with("out of cheese"), "{errors:?}");
    }

    #[test]
    fn a_panic_in_init_does_not_drain_the_node() {
        assert_eq!(run("slurm_spank_init", |_, _| panic!("out of cheese")), 0);
        assert_eq!(fake::errors().len(), 1);
    }

    #[test]
    fn arguments_are_taken_as_they_come() {
        let mut words = [c"map=/x".as_ptr().cast_mut(), ptr::null_mut(), c"\xff".as_ptr().cast_mut()];
        // SAFETY: three pointers, each null or a C string.
        let arguments = unsafe { Arguments::from_raw(3, words.as_mut_ptr()) };
        assert_eq!(arguments.iter().collect::<Vec<_>>(), ["map=/x", "\u{fffd}"]);
        // SAFETY: nothing is read.
        assert_eq!(unsafe { Arguments::from_raw(-1, words.as_mut_ptr()) }.iter().count(), 0);
        // SAFETY: nothing is read.
        assert_eq!(unsafe { Arguments::from_raw(2, ptr::null_mut()) }.iter().count(), 0);
    }

    #[test]
    fn names_are_c_arrays() {
        assert_eq!(&c_array::<6>("spank"), b"spank\0");
    }
}
