//! `gresgen clear` and `gresgen mode`: GPUs chosen on the command line.

use super::Global;
use super::change::{Change, ChangeArgs, selector};
use super::report::Outcome;
use super::session::Session;
use crate::apply::wish::{Clear, SetMode};
use crate::config::Selector;

/// Options of `clear`.
#[derive(Debug, clap::Args)]
pub(super) struct ClearArgs {
    /// GPUs, by index, UUID, PCI address or model, or `all`
    #[arg(required = true, value_name = "GPU", value_parser = selector)]
    gpus: Vec<Selector>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Options of `mode`.
#[derive(Debug, clap::Args)]
pub(super) struct ModeArgs {
    /// The mode
    mode: Mode,
    /// GPUs, by index, UUID, PCI address or model, or `all`
    #[arg(value_name = "GPU", default_value = "all", value_parser = selector)]
    gpus: Vec<Selector>,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mode {
    On,
    Off,
}

pub(super) fn clear(session: &Session, global: &Global, args: &ClearArgs) -> Outcome {
    let settings = session.settings(global)?;
    Change::new(session, &settings)?.run(&Clear(&args.gpus), "clear", &args.change, global)
}

pub(super) fn mode(session: &Session, global: &Global, args: &ModeArgs) -> Outcome {
    let settings = session.settings(global)?;
    let on = matches!(args.mode, Mode::On);
    let wish = SetMode { gpus: &args.gpus, on };
    Change::new(session, &settings)?.run(&wish, "mode", &args.change, global)
}
