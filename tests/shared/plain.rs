//! Programs that know nothing of what whoever runs the tests likes, or is in: colours, widths, languages, another Slurm,
//! a job.

use std::env;
use std::ffi::OsStr;
use std::process::Command;

/// What stays: where programs are, and where files may be that nobody keeps.
const KEPT: [&str; 2] = ["PATH", "TMPDIR"];

/// A command with no other environment.
pub(crate) fn plain(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(KEPT.into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
    command
}
