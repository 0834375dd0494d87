//! The command line. One file per verb; each reads, asks the library, prints, and says how the program ends.

mod advise;
mod advised;
mod apply;
mod arbiter;
mod change;
mod changed;
mod check;
mod clean;
mod clear;
pub mod complete;
mod demand;
mod draw;
mod env;
mod examples;
mod exit;
mod export;
mod gpus;
mod hints;
mod history;
mod init;
mod man;
mod metrics;
mod order;
mod out;
mod paint;
mod picture;
mod plan;
mod profiles;
pub mod progress;
mod render;
pub mod report;
mod run;
mod schema;
mod screen;
mod session;
mod slices;
mod status;
mod steps_text;
pub mod tried;
mod waits;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ColorChoice, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;
use device_map::version::VERSION;

use report::Outcome;
use session::Session;

/// Partition NVIDIA GPUs with MIG and write the Slurm configuration that goes with it.
#[derive(Debug, Parser)]
#[command(name = "gresgen", version = VERSION, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options every verb understands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Prefix of every path read or written
    #[arg(long, global = true, value_name = "DIR", env = "GRESGEN_ROOT", hide_env_values = true)]
    pub root: Option<PathBuf>,
    /// NVML library to load instead of libnvidia-ml.so.1
    #[arg(long, global = true, value_name = "PATH", env = "GRESGEN_NVML_LIB", hide_env_values = true)]
    pub nvml_lib: Option<PathBuf>,
    /// Use simulated GPUs, kept below --root: a100-40gb:2,h100-80gb-sxm:1
    #[arg(long, global = true, value_name = "SPEC")]
    pub simulate: Option<String>,
    /// Configuration file, - for standard input [default: /etc/gresgen/config.yaml below --root]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Layout of the configuration [default: its `layout:`]
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCandidates::new(complete::layouts))]
    pub layout: Option<String>,
    /// Colours: auto, always or never; auto: on a terminal that has them, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: ColorChoice,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more: device files in status, compute instances in profiles, steps in history
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// From now on this program and clap use colours as the command line says, before it is read: what is wrong with it is said in
/// colour, too, or is not.
pub fn use_colours(mut arguments: impl Iterator<Item = OsString>) {
    let mut chosen = ColorChoice::Auto;
    while let Some(argument) = arguments.next().filter(|argument| argument != "--") {
        let value = match argument.to_str().and_then(|text| text.strip_prefix("--color")) {
            Some("") => arguments.next().and_then(|value| value.into_string().ok()),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        if let Some(choice) = value.and_then(|value| ColorChoice::from_str(&value, false).ok()) {
            chosen = choice;
            break;
        }
    }
    match chosen {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a first configuration from what is there, and the edits of Slurm's files that go with it
    Init(init::Args),
    /// Show GPUs, their slices, who uses them and what could still be created
    Status(status::Args),
    /// Show what was changed on this node, by whom and when
    History(history::Args),
    /// List the profiles of the GPUs present, or of any model
    Profiles(profiles::Args),
    /// Show what apply would change, and why
    Plan(plan::Args),
    /// Make the node what the configuration says: GPUs, then Slurm's files
    Apply(apply::Args),
    /// Cut GPUs on request as an order on standard input says: for a forced command of ssh
    Order,
    /// Destroy all instances of GPUs
    Clear(clear::ClearArgs),
    /// Switch MIG mode
    Mode(clear::ModeArgs),
    /// Write Slurm's files from what the GPUs are now, or from the inventories of many nodes
    Render(render::Args),
    /// Check the whole chain from the driver to a job, and say what to do where it does not hold
    Check(check::Args),
    /// List the GPU types of the cluster, what is free of them and what they cost
    Slices(slices::Args),
    /// Say which jobs wait for slices on request, what would be cut for them, and why not
    Demand(demand::Args),
    /// Have GPUs on request cut for jobs that wait, until a signal comes: the service on slurmctld's host
    Arbiter(arbiter::Args),
    /// Print what the node has as a configuration file
    Export(export::Args),
    /// Say which layout would have made past jobs wait least
    Advise(advise::Args),
    /// Run a command on a free slice
    Run(run::Args),
    /// Print a JSON Schema: of the configuration, for editors, or of what a verb prints with --json
    Schema(schema::Args),
    /// Print the variables for the devices this process can open, or a job has, for a shell to read
    Env(env::Args),
    /// Print what Prometheus is to know of the node
    Metrics(metrics::Args),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    Man(man::Args),
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// clap's, also for `--help` and `--version`.
    pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        Cli::from_arg_matches(&examples::command().try_get_matches_from(arguments)?)
    }
}

/// Runs the program.
///
/// # Errors
/// What the verb could not do.
pub fn run(cli: Cli) -> Outcome {
    let session = Session::new(cli.global)?;
    match &cli.verb {
        Verb::Init(args) => init::run(&session, args),
        Verb::History(args) => history::run(&session, args),
        Verb::Status(args) => status::run(&session, args),
        Verb::Profiles(args) => profiles::run(&session, args),
        Verb::Plan(args) => plan::run(&session, args),
        Verb::Apply(args) => apply::run(&session, args),
        Verb::Order => order::run(session),
        Verb::Clear(args) => clear::clear(&session, args),
        Verb::Mode(args) => clear::mode(&session, args),
        Verb::Slices(args) => slices::run(&session, args),
        Verb::Demand(args) => demand::run(&session, args),
        Verb::Arbiter(args) => arbiter::run(&session, args),
        Verb::Export(args) => export::run(&session, args),
        Verb::Render(args) => render::run(&session, args),
        Verb::Check(args) => check::run(&session, args),
        Verb::Advise(args) => advise::run(&session, args),
        Verb::Run(args) => run::run(&session, args),
        Verb::Completions { shell } => complete::script(*shell),
        Verb::Man(args) => man::run(args),
        Verb::Schema(args) => schema::run(args),
        Verb::Env(args) => env::run(&session, args),
        Verb::Metrics(args) => metrics::run(&session, args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
