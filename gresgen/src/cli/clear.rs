//! `gresgen clear` and `gresgen mode`: GPUs chosen on the command line.

use clap_complete::engine::ArgValueCandidates;

use super::change::{ChangeArgs, run};
use super::complete;
use super::gpus::selector;
use super::report::{Failure, Outcome};
use super::session::Session;
use crate::apply::DesiredState;
use crate::config::Selector;

/// Options of `clear`.
#[derive(Debug, clap::Args)]
pub(super) struct ClearArgs {
    /// GPUs, by index, UUID, PCI address or model, or `all`
    #[arg(required = true, value_name = "GPU", value_parser = selector, add = ArgValueCandidates::new(complete::gpus))]
    gpus: Vec<Selector>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Options of `mode`.
#[derive(Debug, clap::Args)]
pub(super) struct ModeArgs {
    /// The mode
    mode: Mode,
    /// GPUs, by index, UUID, PCI address or model, or `all`, which is meant where `on` has none
    #[arg(value_name = "GPU", value_parser = selector, add = ArgValueCandidates::new(complete::gpus))]
    gpus: Vec<Selector>,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mode {
    On,
    Off,
}

pub(super) fn clear(session: &Session, args: &ClearArgs) -> Outcome {
    let settings = session.settings()?;
    run(session, &settings, DesiredState::Clear(&args.gpus), "clear", None, &args.change)
}

pub(super) fn mode(session: &Session, args: &ModeArgs) -> Outcome {
    let settings = session.settings()?;
    let on = matches!(args.mode, Mode::On);
    let (what, all) = (if on { "mode on" } else { "mode off" }, [Selector::All]);
    let gpus = match &args.gpus[..] {
        [] if on => &all,
        // It destroys instances, like clear.
        [] => {
            return Err(Failure::usage("mode off: no GPU is named")
                .hint("it ends all instances of a GPU: name the GPUs, or all: gresgen mode off all"));
        }
        named => named,
    };
    run(session, &settings, DesiredState::Mode(gpus, on), what, None, &args.change)
}
