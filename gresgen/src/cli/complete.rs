//! Completion of what depends on the node: layouts, models, GPUs, slices.
//!
//! The script that a shell reads asks this program each time (`clap_complete::env`), so it knows what the configuration and the
//! driver say now. Where they say nothing, nothing is completed: a wrong configuration must not fill a command line with errors.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, EnvCompleter, Shells};
use mig::BOARDS;

use super::report::{Exit, Failure, Outcome};
use super::{examples, out};
use crate::config::Config;
use crate::inventory::Inventory;
use crate::nvml::Driver;
use crate::read;
use crate::root::Root;

/// Set by the scripts of shells.
const VARIABLE: &str = "GRESGEN_COMPLETE";

/// Answers the shell and ends, where it is the shell that asks.
pub fn answer() {
    CompleteEnv::with_factory(examples::command).var(VARIABLE).bin("gresgen").complete();
}

/// Prints the script by which a shell asks.
pub(super) fn script(shell: clap_complete::Shell) -> Outcome {
    let shells = Shells::builtins();
    let completer: &dyn EnvCompleter = shells
        .completer(&shell.to_string())
        .ok_or_else(|| Failure::new(Exit::Usage, format!("{shell}: has no completion")))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "gresgen", "gresgen", "gresgen", &mut script)
        .map_err(|error| Failure::new(Exit::Failure, error))?;
    out::text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// Labels of the configuration.
pub(super) fn layouts() -> Vec<CompletionCandidate> {
    let Some(config) = configuration() else { return Vec::new() };
    config.labels().map(CompletionCandidate::new).collect()
}

/// Keys of the models known.
pub(super) fn models() -> Vec<CompletionCandidate> {
    let help = |board: &mig::Board| board.names.first().map(|name| (*name).into());
    BOARDS.iter().map(|board| CompletionCandidate::new(board.key).help(help(board))).collect()
}

/// GPUs of the node.
pub(super) fn gpus() -> Vec<CompletionCandidate> {
    let Some(inventory) = inventory() else { return Vec::new() };
    let gpu = |gpu: &crate::inventory::Gpu| {
        let mode = if gpu.mode.is_on() { "MIG on" } else { "MIG off" };
        CompletionCandidate::new(gpu.index.to_string()).help(Some(format!("{}, {mode}", gpu.model).into()))
    };
    inventory.gpus.iter().map(gpu).chain([CompletionCandidate::new("all")]).collect()
}

/// Profiles that the node has slices of.
pub(super) fn slices() -> Vec<CompletionCandidate> {
    let Some(inventory) = inventory() else { return Vec::new() };
    let profiles: BTreeSet<String> = inventory.devices().map(|(_, _, c)| c.profile.to_string()).collect();
    profiles.into_iter().map(CompletionCandidate::new).collect()
}

/// The value of an option on the line that is being completed, which stands behind `--`.
fn option(name: &str) -> Option<OsString> {
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let value = |(at, word): (usize, &OsString)| {
        let rest = word.to_str()?.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value.into()),
            None => rest.is_empty().then(|| words.get(at + 1).cloned()).flatten(),
        }
    };
    words.iter().enumerate().find_map(value)
}

fn root() -> Option<Root> {
    match option("--root").or_else(|| std::env::var_os("GRESGEN_ROOT")) {
        Some(prefix) => Root::new(Path::new(&prefix)).ok(),
        None => Some(Root::host()),
    }
}

fn configuration() -> Option<Config> {
    let path = match option("--config") {
        Some(path) => PathBuf::from(path),
        None => root()?.path(Root::CONFIG),
    };
    let text = read::text(&path, Config::MAX_BYTES).ok()?;
    Config::parse(&path.display().to_string(), &text).ok()
}

fn inventory() -> Option<Inventory> {
    let library = option("--nvml-lib").or_else(|| std::env::var_os("GRESGEN_NVML_LIB")).map(PathBuf::from);
    Driver::open(library.as_deref(), &root()?).ok()?.inventory_as_it_is("").ok()
}
