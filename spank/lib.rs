//! A safe Rust API for Slurm's SPANK plugins, as far as `spank_mig` needs it.
//!
//! This is the only crate that knows Slurm's C API. A plugin names its hooks in [`plugin!`] and gets a
//! [`Spank`] in each: typed items, the job's environment, options. Panics do not get past a hook, the plugin
//! claims the version of the Slurm it is loaded by (see [`release`]), and nothing is linked but libc.

pub mod export;
#[cfg(test)]
mod fake;
pub mod log;
pub mod options;
pub mod release;
mod sys;

use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;
use std::{fmt, ptr};

use release::Version;

/// Longest value of an environment variable, in bytes: the kernel's `MAX_ARG_STRLEN`.
const MAX_VALUE: usize = 128 << 10;

/// Slurm's handle on the job, valid inside one call of a hook.
pub struct Spank<'hook> {
    handle: export::Handle,
    hook: PhantomData<&'hook mut ()>,
}

/// Which process the plugin is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// `srun`.
    Local,
    /// `slurmstepd`, where the tasks are.
    Remote,
    /// `sbatch` or `salloc`.
    Allocator,
    /// `slurmd`.
    Slurmd,
    /// Slurm's helper around the prolog and the epilog of a job.
    JobScript,
    /// Not known.
    Other,
}

/// What kind of step a `slurmstepd` serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// The script of `sbatch`.
    Batch,
    /// The shell of `salloc` with `LaunchParameters=use_interactive_step`.
    Interactive,
    /// The step that adopts processes from outside, such as ssh sessions.
    Extern,
    /// A step of `srun`, by its number.
    Numbered(u32),
}

impl StepKind {
    /// Slurm's number of the step (slurm.h).
    pub fn number(self) -> u32 {
        match self {
            StepKind::Batch => sys::SLURM_BATCH_SCRIPT,
            StepKind::Interactive => sys::SLURM_INTERACTIVE_STEP,
            StepKind::Extern => sys::SLURM_EXTERN_CONT,
            StepKind::Numbered(number) => number,
        }
    }
}

/// An error code of SPANK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(u32);

impl Error {
    fn check(code: sys::spank_err_t) -> Result<(), Error> {
        if code == sys::ESPANK_SUCCESS as sys::spank_err_t { Ok(()) } else { Err(Error(code)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: takes any number and returns a static string, or null.
        let text = unsafe { sys::spank_strerror(self.0 as sys::spank_err_t) };
        if text.is_null() {
            return write!(f, "SPANK error {}", self.0);
        }
        // SAFETY: not null, hence a static C string.
        f.write_str(&unsafe { CStr::from_ptr(text) }.to_string_lossy())
    }
}

impl std::error::Error for Error {}

impl Spank<'_> {
    /// # Safety
    /// `handle` is what Slurm passed to the hook that is running, and the result is dropped before it returns.
    unsafe fn from_raw(handle: export::Handle) -> Self {
        Spank { handle, hook: PhantomData }
    }

    fn handle(&self) -> export::Handle {
        self.handle
    }

    /// The process the plugin is in.
    #[doc(alias = "spank_context")]
    pub fn context(&self) -> Context {
        // SAFETY: takes nothing.
        match unsafe { sys::spank_context() } {
            sys::S_CTX_LOCAL => Context::Local,
            sys::S_CTX_REMOTE => Context::Remote,
            sys::S_CTX_ALLOCATOR => Context::Allocator,
            sys::S_CTX_SLURMD => Context::Slurmd,
            sys::S_CTX_JOB_SCRIPT => Context::JobScript,
            _ => Context::Other,
        }
    }

    /// The kind of the step. In slurmstepd only.
    ///
    /// # Errors
    /// [`Error`] outside of slurmstepd.
    #[doc(alias = "S_JOB_STEPID")]
    pub fn step(&self) -> Result<StepKind, Error> {
        Ok(match self.number(sys::S_JOB_STEPID)? {
            sys::SLURM_BATCH_SCRIPT => StepKind::Batch,
            sys::SLURM_INTERACTIVE_STEP => StepKind::Interactive,
            sys::SLURM_EXTERN_CONT => StepKind::Extern,
            number => StepKind::Numbered(number),
        })
    }

    /// The job's id; each task of an array and each part of a heterogeneous job has its own. In slurmstepd only.
    ///
    /// # Errors
    /// [`Error`] outside of slurmstepd.
    #[doc(alias = "S_JOB_ID")]
    pub fn job(&self) -> Result<u32, Error> {
        self.number(sys::S_JOB_ID)
    }

    /// The id of the user whose job it is. In slurmstepd only.
    ///
    /// # Errors
    /// [`Error`] outside of slurmstepd.
    #[doc(alias = "S_JOB_UID")]
    pub fn user(&self) -> Result<u32, Error> {
        self.number(sys::S_JOB_UID)
    }

    /// Number of the task among those of the step on this node, from 0. In the hooks of a task only.
    ///
    /// # Errors
    /// [`Error`] outside of a task.
    #[doc(alias = "S_TASK_ID")]
    pub fn local_task(&self) -> Result<u32, Error> {
        self.number(sys::S_TASK_ID)
    }

    /// Number of the task in the step, from 0. In the hooks of a task only.
    ///
    /// # Errors
    /// [`Error`] outside of a task.
    #[doc(alias = "S_TASK_GLOBAL_ID")]
    pub fn global_task(&self) -> Result<u32, Error> {
        self.number(sys::S_TASK_GLOBAL_ID)
    }

    /// The version of the running Slurm, where it can be read.
    #[doc(alias = "S_SLURM_VERSION")]
    pub fn version(&self) -> Option<Version> {
        let mut text: *const c_char = ptr::null();
        // SAFETY: the item is one `char *`, written to `text`.
        Error::check(unsafe { sys::spank_get_item(self.handle, sys::S_SLURM_VERSION, &raw mut text) })
            .ok()?;
        if text.is_null() {
            return None;
        }
        // SAFETY: not null, hence a C string that Slurm keeps.
        Version::parse(&unsafe { CStr::from_ptr(text) }.to_string_lossy())
    }

    /// An item that is one 32 bit number: a `uint32_t`, a `uid_t`, or the `int` of `S_TASK_ID`, which is never negative.
    fn number(&self, item: sys::spank_item_t) -> Result<u32, Error> {
        let mut number = 0u32;
        // SAFETY: every item asked for here writes 32 bits, which `number` has.
        Error::check(unsafe { sys::spank_get_item(self.handle, item, &raw mut number) })?;
        Ok(number)
    }

    /// A variable of the job's environment; `None` where it is not set. In slurmstepd only.
    ///
    /// # Errors
    /// [`Error`] outside of slurmstepd, and for a value longer than the kernel lets any be.
    #[doc(alias = "spank_getenv")]
    pub fn env(&self, name: &CStr) -> Result<Option<String>, Error> {
        // Nearly every value fits the stack; a task is a fork, in which a page of the heap costs more.
        match self.env_in(name, &mut [0; 1 << 10]) {
            Err(Error(sys::ESPANK_NOSPACE)) => self.env_in(name, &mut vec![0; MAX_VALUE]),
            result => result,
        }
    }

    /// The same, read into `buffer`.
    fn env_in(&self, name: &CStr, buffer: &mut [u8]) -> Result<Option<String>, Error> {
        // SAFETY: the buffer has the length given; Slurm ends what it writes with a NUL.
        let code = unsafe {
            let (text, length) = (buffer.as_mut_ptr().cast(), buffer.len() as c_int);
            sys::spank_getenv(self.handle, name.as_ptr(), text, length)
        };
        match Error::check(code) {
            Ok(()) => {
                let length = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
                Ok(Some(String::from_utf8_lossy(&buffer[..length]).into_owned()))
            }
            Err(Error(sys::ESPANK_ENV_NOEXIST)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets a variable of the job's environment; in a task's hooks, of that task. In slurmstepd only.
    ///
    /// # Errors
    /// [`Error`] outside of slurmstepd.
    #[doc(alias = "spank_setenv")]
    pub fn set_env(&mut self, name: &CStr, value: &CString) -> Result<(), Error> {
        // SAFETY: both are C strings; Slurm copies them.
        Error::check(unsafe { sys::spank_setenv(self.handle, name.as_ptr(), value.as_ptr(), 1) })
    }

    /// Removes a variable from the job's environment; in a task's hooks, of that task. In slurmstepd only.
    ///
    /// # Errors
    /// [`Error`] outside of slurmstepd.
    #[doc(alias = "spank_unsetenv")]
    pub fn unset_env(&mut self, name: &CStr) -> Result<(), Error> {
        // SAFETY: a C string.
        Error::check(unsafe { sys::spank_unsetenv(self.handle, name.as_ptr()) })
    }

    /// Ends the task that is being started, before its program runs. For `slurm_spank_task_init`, which runs in
    /// the forked child: what a plugin loaded as `optional` returns there is ignored.
    pub fn abandon_task(&self, status: i32) -> ! {
        // SAFETY: `_exit` leaves without the handlers of slurmstepd, whose memory this is a copy of.
        unsafe { libc::_exit(status) }
    }
}

/// Whether Slurm's device variables count the devices of the step (`true`) or those of the node (`false`).
///
/// It is Slurm's own answer: it does the former when task/cgroup has `ConstrainDevices=yes`
/// (`gres_use_local_device_index`, src/interfaces/gres.c; present in 22.05, 24.11 and 26.05). `None` where
/// the running release has no such function.
pub fn counts_devices_of_the_step() -> Option<bool> {
    let address = sys::optional(c"gres_use_local_device_index")?;
    // SAFETY: the function takes nothing and returns a C `bool` in every release that has it.
    let ask = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> bool>(address.as_ptr()) };
    Some(ask())
}
