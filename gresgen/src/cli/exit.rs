//! How the program ends.

use std::process::ExitCode;

/// How the program ends. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Ok = 0,
    /// Failed.
    Failure = 1,
    /// Usage or bad input.
    Usage = 2,
    /// `check` found drift.
    Drift = 3,
    /// Refused because something is in use.
    InUse = 4,
    /// Done, but a GPU reset or reboot is pending.
    ResetPending = 5,
    /// The hardware is done, but a Slurm action is pending.
    SlurmPending = 6,
    /// `plan --detailed-exitcode` found something to do.
    Changes = 10,
    /// The command of `run` cannot be executed.
    NotExecutable = 126,
    /// The command of `run` is not there.
    NotFound = 127,
    /// A signal ended a wait: 128 and the number of SIGINT, as a shell has it.
    Interrupted = 130,
}

impl Exit {
    /// Every one, by number, with what it says to a person.
    pub const ALL: [(Exit, &str); 11] = [
        (Exit::Ok, "done, or nothing to do"),
        (Exit::Failure, "failed; what was changed is back, or the message says what is not"),
        (Exit::Usage, "usage, or bad input: nothing was changed"),
        (Exit::Drift, "check found drift"),
        (Exit::InUse, "refused, because something is in use: nothing was changed"),
        (Exit::ResetPending, "done, but a GPU reset or a reboot is pending"),
        (
            Exit::SlurmPending,
            "the hardware and the files are done, but Slurm has to be told; the output says how",
        ),
        (Exit::Changes, "plan --detailed-exitcode: there is something to do"),
        (Exit::NotExecutable, "run: the command cannot be executed"),
        (Exit::NotFound, "run: there is no such command"),
        (Exit::Interrupted, "interrupted by a signal while it waited: nothing was changed"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
