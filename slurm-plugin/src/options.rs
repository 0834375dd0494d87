//! What users can ask for: two options of `srun`, `sbatch` and `salloc`, and a variable for each.
//!
//! The option wins over the variable. Both are read in the task; the commands only check the spelling.

use std::ffi::CStr;
use std::sync::OnceLock;

use spank::Spank;
use spank::options::CommandOption;

/// Stands for `--mig-devices` where a command line is out of reach.
pub const DEVICES_VARIABLE: &CStr = c"SPANK_MIG_DEVICES";
/// Stands for `--mig-per-task` where a command line is out of reach.
pub const PER_TASK_VARIABLE: &CStr = c"SPANK_MIG_PER_TASK";

/// What a user wants the variables to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What names a device.
    pub naming: Naming,
    /// How many of its devices a task gets to see.
    pub share: Share,
}

/// What names a device in the variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// Its UUID.
    #[default]
    Uuid,
    /// The number Slurm set, for programs that read the variable as integers.
    Index,
    /// Nothing: the variables are removed, and the program finds what its cgroup opens.
    None,
}

/// How many of its devices a task gets to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// All of them.
    #[default]
    All,
    /// One; the tasks of a step on a node take turns.
    One,
}

impl Naming {
    /// Reads `uuid`, `index` or `none`.
    ///
    /// # Errors
    /// A phrase for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "uuid" => Ok(Naming::Uuid),
            "index" => Ok(Naming::Index),
            "none" => Ok(Naming::None),
            _ => Err(format!("{} is not uuid, index or none", quoted(text))),
        }
    }
}

impl Share {
    /// Reads `all` or `one`.
    ///
    /// # Errors
    /// A phrase for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Share::All),
            "one" => Ok(Share::One),
            _ => Err(format!("{} is not all or one", quoted(text))),
        }
    }
}

/// What a user wrote, in quotes and, if long, cut.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What the command line said; slurmstepd is told before any task is forked, commands only check the spelling. The first
/// word counts: options of the launch come before those that the environment carries on from the job
/// (`_spank_stack_get_remote_options`, src/common/spank.c).
static NAMING: OnceLock<Naming> = OnceLock::new();
static SHARE: OnceLock<Share> = OnceLock::new();

const OPTIONS: [CommandOption; 2] = [
    CommandOption {
        name: c"mig-devices",
        value: c"uuid|index|none",
        usage: c"[mig] name MIG devices in CUDA_VISIBLE_DEVICES by UUID (default), by Slurm's index, or not at all",
        accept: |text| {
            let naming = Naming::parse(text).map_err(|what| format!("[mig] --mig-devices: {what}"))?;
            let _ = NAMING.set(naming);
            Ok(())
        },
    },
    CommandOption {
        name: c"mig-per-task",
        value: c"all|one",
        usage: c"[mig] show each task all of its MIG devices (default), or one, in turn",
        accept: |text| {
            let share = Share::parse(text).map_err(|what| format!("[mig] --mig-per-task: {what}"))?;
            let _ = SHARE.set(share);
            Ok(())
        },
    },
];

/// Adds the options to the command, or to slurmstepd for the values that came with the job.
pub fn register(spank: &mut Spank<'_>) {
    for option in OPTIONS {
        if let Err(error) = spank.register(option) {
            spank::log::debug(&format!("[mig] --{}: {error}", option.name.to_string_lossy()));
        }
    }
}

/// The wishes for the running task, and a phrase for each variable that was not understood.
pub fn wishes(spank: &Spank<'_>) -> (Wishes, Vec<String>) {
    let mut complaints = Vec::new();
    let naming = NAMING.get().copied();
    let share = SHARE.get().copied();
    let naming = naming.or_else(|| variable(spank, DEVICES_VARIABLE, Naming::parse, &mut complaints));
    let share = share.or_else(|| variable(spank, PER_TASK_VARIABLE, Share::parse, &mut complaints));
    (Wishes { naming: naming.unwrap_or_default(), share: share.unwrap_or_default() }, complaints)
}

fn variable<T>(
    spank: &Spank<'_>,
    name: &CStr,
    parse: fn(&str) -> Result<T, String>,
    complaints: &mut Vec<String>,
) -> Option<T> {
    let text = spank.env(name).ok().flatten()?;
    let complain = |what| complaints.push(format!("{}: {what}", name.to_string_lossy()));
    parse(&text).map_err(complain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_understood_is_shown_in_a_line() {
        assert_eq!(Naming::parse("uid"), Err("\"uid\" is not uuid, index or none".into()));
        assert_eq!(Share::parse("a\nb"), Err("\"a\\nb\" is not all or one".into()));
        let forty = "ü".repeat(40);
        assert_eq!(Share::parse(&forty), Err(format!("\"{forty}\" is not all or one")));
        assert_eq!(Share::parse(&"ü".repeat(41)), Err(format!("\"{forty}\"… is not all or one")));
    }

    #[test]
    fn the_words_of_the_help_are_the_words_that_are_read() {
        for option in OPTIONS {
            for word in option.value.to_str().unwrap().split('|') {
                assert_eq!((option.accept)(word), Ok(()), "{word}");
            }
            assert!((option.accept)("UUID").is_err());
            assert!(option.usage.to_str().unwrap().starts_with("[mig] "));
        }
    }
}
