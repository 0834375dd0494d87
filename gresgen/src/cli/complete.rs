//! Completion of what depends on the node: layouts, models, GPUs, slices.
//!
//! The script that a shell reads asks this program each time (`clap_complete::env`), so it knows what the configuration and the
//! driver say now. Where they say nothing, nothing is completed: a wrong configuration must not fill a command line with errors.
//!
//! bash puts what it is given onto the line as it is (bash(1), `compopt`: it quotes file names alone, with `-o filenames`), and
//! a label or the name of a file may be `a$(reboot)`. So a candidate is plain, or it is none.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Command, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
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
    CompleteEnv::with_factory(|| with_plain_paths(examples::command()))
        .var(VARIABLE)
        .bin("gresgen")
        .complete();
}

/// zsh reads a file `_gresgen` of its `fpath` when something is to be completed for the first time in a session, as the body
/// of the function that is to do it (zshcompsys(1), "Autoloaded files"); clap's script then only registers another one.
const FIRST_OF_ZSH: &[u8] = b"[[ ${funcstack[1]} != _gresgen ]] || _clap_dynamic_completer_gresgen \"$@\"\n";

/// Prints the script by which a shell asks.
pub(super) fn script(shell: clap_complete::Shell) -> Outcome {
    let shells = Shells::builtins();
    let completer: &dyn EnvCompleter = shells
        .completer(&shell.to_string())
        .ok_or_else(|| Failure::usage(format!("{shell}: has no completion")))?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "gresgen", "gresgen", "gresgen", &mut script)
        .map_err(Failure::failed)?;
    if shell == clap_complete::Shell::Zsh {
        script.extend_from_slice(FIRST_OF_ZSH);
    }
    out::text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// Whether a shell takes a character for nothing but itself, wherever in a word it stands.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._+-,:/@%".contains(c)
}

/// A candidate that a shell takes as it is, and this program for no option.
fn candidate(text: impl Into<String>) -> Option<CompletionCandidate> {
    let text = text.into();
    (text.chars().all(is_plain) && !text.starts_with('-')).then(|| CompletionCandidate::new(text))
}

/// The command with paths that are completed by [`paths`], and not as clap would by itself.
fn with_plain_paths(command: Command) -> Command {
    let plain = |arg: clap::Arg| match arg.get_value_hint() {
        ValueHint::Unknown | ValueHint::Other => arg,
        _ => arg.add(ArgValueCompleter::new(paths)),
    };
    command.mut_args(plain).mut_subcommands(with_plain_paths)
}

/// Paths that begin with what is typed. The rest is somebody else's text; `~/` and the like is the user's own.
fn paths(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed_text = typed.to_str().unwrap_or_default();
    let is_safe = |candidate: &CompletionCandidate| {
        let text = candidate.get_value().to_str();
        text.is_some_and(|text| {
            let rest = text.strip_prefix(typed_text).unwrap_or(text);
            rest.chars().all(is_plain) && !text.starts_with('-')
        })
    };
    PathCompleter::any().complete(typed).into_iter().filter(is_safe).collect()
}

/// Labels of the configuration.
pub(super) fn layouts() -> Vec<CompletionCandidate> {
    let Some(config) = configuration() else { return Vec::new() };
    config.labels().filter_map(candidate).collect()
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
        // Shells are given a candidate with its help on a line, and the driver's name must not end it.
        let model: String = gpu.model.chars().filter(|&c| is_plain(c) || c == ' ').collect();
        CompletionCandidate::new(gpu.index.to_string()).help(Some(format!("{model}, {mode}").into()))
    };
    inventory.gpus.iter().map(gpu).chain([CompletionCandidate::new("all")]).collect()
}

/// Profiles that the node has slices of.
pub(super) fn slices() -> Vec<CompletionCandidate> {
    let Some(inventory) = inventory() else { return Vec::new() };
    let profiles: BTreeSet<String> = inventory.devices().map(|(_, _, c)| c.profile.to_string()).collect();
    profiles.into_iter().filter_map(candidate).collect()
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
