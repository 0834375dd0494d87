//! Options of `srun`, `sbatch` and `salloc`.

use std::ffi::{CStr, c_char, c_int};
use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Spank, log, sys};

/// An option with a value that a plugin adds to Slurm's commands.
#[derive(Clone, Copy)]
pub struct CommandOption {
    /// Its long name, without the dashes.
    pub name: &'static CStr,
    /// What stands for the value in `--help`.
    pub value: &'static CStr,
    /// One line for `--help`.
    pub usage: &'static CStr,
    /// Takes the value the user gave, in the command and again in slurmstepd. An error is logged as it is, and
    /// stops the command.
    pub accept: fn(&str) -> Result<(), String>,
}

/// The options of this plugin; an option's position is the `val` its callback gets.
static REGISTERED: Mutex<Vec<CommandOption>> = Mutex::new(Vec::new());

impl Spank<'_> {
    /// Adds `option`. Slurm wants it in `slurm_spank_init`, in every context.
    ///
    /// # Errors
    /// [`Error`] when Slurm refuses it, say because another plugin has taken the name.
    #[doc(alias = "spank_option_register")]
    pub fn register(&mut self, option: CommandOption) -> Result<(), Error> {
        let val = number(option);
        let mut raw = sys::spank_option {
            name: option.name.as_ptr().cast_mut(),
            arginfo: option.value.as_ptr().cast_mut(),
            usage: option.usage.as_ptr().cast_mut(),
            has_arg: 1,
            val,
            cb: Some(accepted),
        };
        // SAFETY: the handle is valid while the hook runs; Slurm copies the struct, and the strings and the
        // callback in it are 'static.
        Error::check(unsafe { sys::spank_option_register(self.handle(), &raw mut raw) })
    }
}

/// The number Slurm hands back for `option`; the same one when it is registered again.
fn number(option: CommandOption) -> c_int {
    let mut registered = REGISTERED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = registered.iter().position(|other| other.name == option.name);
    let at = known.unwrap_or_else(|| {
        registered.push(option);
        registered.len() - 1
    });
    at as c_int
}

/// What Slurm calls for every option given.
///
/// # Safety
/// `value` is null or a C string, as `spank_opt_cb_f` promises.
unsafe extern "C" fn accepted(val: c_int, value: *const c_char, remote: c_int) -> c_int {
    let outcome = catch_unwind(|| {
        let option = usize::try_from(val)
            .ok()
            .and_then(|index| REGISTERED.lock().unwrap_or_else(PoisonError::into_inner).get(index).copied());
        let Some(option) = option else { return Err(format!("option {val} is not known")) };
        // SAFETY: not null, hence a C string that lives until the callback returns.
        let value = if value.is_null() { c"" } else { unsafe { CStr::from_ptr(value) } };
        (option.accept)(&value.to_string_lossy())
    });
    match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(message)) => {
            // A value that got past the command is no reason to lose the job.
            log::error(&message);
            if remote == 0 { -1 } else { 0 }
        }
        Err(_) => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use std::ptr;

    const EVEN: CommandOption = CommandOption {
        name: c"even",
        value: c"n",
        usage: c"an even number",
        accept: |text| match text {
            "panic" => panic!("no number"),
            "2" => Ok(()),
            _ => Err(format!("{text:?} is not 2")),
        },
    };

    fn call(val: c_int, value: Option<&CStr>, remote: c_int) -> c_int {
        // SAFETY: null, or a C string.
        unsafe { accepted(val, value.map_or(ptr::null(), CStr::as_ptr), remote) }
    }

    #[test]
    fn a_value_is_accepted_or_stops_the_command() {
        let val = number(EVEN);
        assert_eq!(number(EVEN), val, "registered again");
        assert_eq!(call(val, Some(c"2"), 0), 0);
        assert_eq!(call(val, Some(c"3"), 0), -1);
        assert_eq!(fake::errors(), ["\"3\" is not 2"]);
        assert_eq!(call(val, Some(c"3"), 1), 0, "a job that is running already");
        assert_eq!(call(val, None, 0), -1);
        assert_eq!(call(val, Some(c"panic"), 0), -1);
        assert_eq!(call(99, Some(c"2"), 0), -1);
        assert_eq!(call(-1, Some(c"2"), 0), -1);
    }
}
