//! `gresgen run`: a command on a free slice, held for as long as it runs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use mig::Profile;
use rustix::io::{FdFlags, fcntl_setfd};

use super::Global;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::apply::lock::Lock;
use crate::holders;
use crate::inventory::{Compute, Inventory};
use crate::publish::present_map;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Profile of the slice (1g.5gb, 1c.3g.20gb), or its UUID
    slice: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let settings = session.settings_if_sound(global);
    let mut inventory = session.driver()?.inventory(&session.node_name(&settings))?;
    holders::annotate(&mut inventory, &session.root);
    let lock = Lock::node(&session.root)?;
    let uuid = choose(session, &inventory, &args.slice)?;
    let held = Lock::slice(&session.root, &uuid)?;
    drop(lock);
    // The command keeps the slice's lock: it is given up when the last process that has it open is gone.
    fcntl_setfd(held.file(), FdFlags::empty()).map_err(|e| Failure::new(Exit::Failure, e))?;
    let error = Command::new(&args.command[0])
        .args(&args.command[1..])
        .env("CUDA_VISIBLE_DEVICES", &uuid)
        .env("NVIDIA_VISIBLE_DEVICES", &uuid)
        .exec();
    Err(Failure::new(Exit::Failure, format!("{}: {error}", args.command[0])))
}

/// The first free slice that fits.
fn choose(session: &Session, inventory: &Inventory, wanted: &str) -> Result<String, Failure> {
    let profile: Option<Profile> = wanted.parse().ok();
    let fits = |c: &Compute| c.uuid == wanted || Some(c.profile) == profile;
    let fitting: Vec<_> = inventory.devices().filter(|(_, _, c)| fits(c)).collect();
    if fitting.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("{wanted}: no such slice on this node"))
            .hint("gresgen status lists them; gresgen apply creates them"));
    }
    let free = fitting.iter().find(|(_, instance, _)| instance.holders.is_empty());
    let (gpu, _, compute) = free.ok_or_else(|| {
        let who: Vec<String> =
            fitting.iter().flat_map(|(_, i, _)| &i.holders).map(ToString::to_string).collect();
        Failure::new(Exit::InUse, format!("{wanted}: all in use: {}", who.join(", ")))
    })?;
    let gres = present_map(&session.root).is_some_and(|m| m.records.iter().any(|r| r.uuid == compute.uuid));
    if gres && session.runs_slurm() {
        let what = format!(
            "{} on GPU {}: is a GRES of this node, and no lock keeps Slurm from giving it to a job",
            compute.uuid, gpu.index
        );
        return Err(Failure::new(Exit::InUse, what)
            .hint("ask Slurm for it: srun --gres=gpu:TYPE:1, or take the slice out of the layout"));
    }
    Ok(compute.uuid.clone())
}
