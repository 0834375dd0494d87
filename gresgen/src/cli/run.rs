//! `gresgen run`: a command on a free slice, held for as long as it runs.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap_complete::engine::ArgValueCandidates;
use mig::Profile;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::geteuid;

use super::complete;
use super::gpus::selector;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::apply::desired;
use crate::config::Selector;
use crate::holders::{self, Users};
use crate::inventory::{Compute, Gpu, Instance, Inventory};
use crate::lock::{Lock, LockError};
use crate::publish::present_map;
use crate::root::Root;
use crate::site::is_slurms;
use crate::uuid::begins;

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Look for the slice on this GPU, by index, UUID, PCI address or model
    #[arg(long, value_name = "GPU", value_parser = selector, add = ArgValueCandidates::new(complete::gpus))]
    gpu: Vec<Selector>,
    /// Profile of the slice (1g.5gb, 1c.3g.20gb), or its UUID: the first digits are enough that no other slice has, four at least
    #[arg(add = ArgValueCandidates::new(complete::slices))]
    slice: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// How long to wait for others that look for a slice, or for a short change.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let settings = session.settings_if_sound();
    let driver = session.driver()?;
    let name = session.node_name_if_known(&settings);
    let look = || -> Result<String, Failure> {
        let mut inventory = driver.inventory(&name)?;
        let users = holders::annotate(&mut inventory, &session.root);
        choose(session, &inventory, &users, args)
    };
    let (uuid, held) = if geteuid().is_root() {
        // Read under the lock: what was free, or there, before may not be now.
        let _lock = node_lock(&session.root)?;
        let uuid = look()?;
        let held = Lock::slice(&session.root, &uuid)?;
        (uuid, held)
    } else {
        let in_slurm = is_slurms(&session.root, &settings);
        as_user(&session.root, in_slurm, &look, || Ok(driver.inventory(&name)?))?
    };
    // The command keeps the slice's lock: it is given up when the last process that has it open is gone.
    fcntl_setfd(held.file(), FdFlags::empty()).map_err(Failure::failed)?;
    let error = Command::new(&args.command[0])
        .args(&args.command[1..])
        .env("CUDA_VISIBLE_DEVICES", &uuid)
        .env("NVIDIA_VISIBLE_DEVICES", &uuid)
        .exec();
    // As a shell has it (POSIX, Shell Command Language, 2.8.2).
    let exit = if error.kind() == ErrorKind::NotFound { Exit::NotFound } else { Exit::NotExecutable };
    Err(Failure::new(exit, format!("{}: {error}", args.command[0].display())))
}

/// A slice for a user who is not root. The lock of the node is root's, so the slice is held first and looked for again
/// then: whoever takes it away holds its lock meanwhile, and is refused from now on.
fn as_user(
    root: &Root,
    in_slurm: bool,
    look: &dyn Fn() -> Result<String, Failure>,
    now: impl Fn() -> Result<Inventory, Failure>,
) -> Result<(String, Lock), Failure> {
    let start = Instant::now();
    loop {
        let uuid = look()?;
        match Lock::slice_as_user(root, &uuid) {
            Ok(held) if now()?.devices().any(|(_, _, compute)| compute.uuid == uuid) => {
                return Ok((uuid, held));
            }
            // Somebody was faster, or it went away.
            Ok(_) | Err(LockError::Held { .. }) if start.elapsed() < PATIENCE => {
                sleep(Duration::from_millis(20));
            }
            Ok(_) => return Err(Failure::new(Exit::InUse, format!("{uuid}: went away while it was taken"))),
            Err(LockError::Io { path, source }) if closed(&source) => {
                let what = format!("{}: {source}", path.display());
                let hint = if in_slurm {
                    "on a node of Slurm slices are Slurm's to give: srun --gres=gpu:TYPE:1"
                } else {
                    "root lets users hold the slices that it makes: gresgen apply"
                };
                return Err(Failure::failed(what).hint(hint));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
}

fn node_lock(root: &Root) -> Result<Lock, LockError> {
    let start = Instant::now();
    loop {
        match Lock::node(root) {
            Err(LockError::Held { .. }) if start.elapsed() < PATIENCE => sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}

/// Slices with the GPU and the GPU instance each is of.
type Slices<'a> = Vec<(&'a Gpu, &'a Instance, &'a Compute)>;

/// The slices of that profile, or the one of that UUID.
fn fitting<'a>(inventory: &'a Inventory, args: &Args) -> Result<Slices<'a>, Failure> {
    let wanted = &args.slice;
    let profile: Option<Profile> = wanted.parse().ok();
    // Several selectors name one GPU and more, and one that names none is told from a slice that is not there.
    let on = desired::selected(inventory, &args.gpu)?;
    let on = |gpu: &Gpu| {
        args.gpu.is_empty() || inventory.gpus.iter().zip(&on).any(|(other, on)| *on && other.uuid == gpu.uuid)
    };
    let is = |c: &Compute| match profile {
        Some(profile) => c.profile == profile,
        None => begins("MIG-", &c.uuid, wanted),
    };
    let fitting: Slices<'a> = inventory.devices().filter(|(gpu, _, c)| on(gpu) && is(c)).collect();
    if profile.is_none() && fitting.len() > 1 {
        let which: Vec<&str> = fitting.iter().map(|(_, _, compute)| &*compute.uuid).collect();
        let what = format!("{wanted}: begins the UUIDs of {} slices {}", which.len(), place(args));
        return Err(Failure::usage(what).hint(format!("say which: {}", which.join(", "))));
    }
    Ok(fitting)
}

/// The first free slice that fits and that Slurm does not give out.
fn choose(session: &Session, inventory: &Inventory, users: &Users, args: &Args) -> Result<String, Failure> {
    let wanted = &args.slice;
    let mut fitting = fitting(inventory, args)?;
    let Some(&(gpu, _, first)) = fitting.first() else {
        return Err(Failure::usage(format!("{wanted}: no such slice {}", place(args)))
            .hint("gresgen status lists them; gresgen apply creates them"));
    };
    if session.runs_slurm() {
        let map = present_map(&session.root);
        let gres = |uuid: &str| map.iter().flat_map(|m| &m.records).any(|r| r.uuid == uuid);
        fitting.retain(|(_, _, compute)| !gres(&compute.uuid));
    }
    if fitting.is_empty() {
        let what = format!(
            "{} on GPU {}: is a GRES of this node, and no lock keeps Slurm from giving it to a job",
            first.uuid, gpu.index
        );
        return Err(Failure::new(Exit::InUse, what)
            .hint("ask Slurm for it: srun --gres=gpu:TYPE:1, or take the slice out of the layout"));
    }
    let free = fitting.iter().find(|(_, instance, compute)| users.of(instance, compute).is_empty());
    free.map(|(_, _, compute)| compute.uuid.clone()).ok_or_else(|| {
        let mut who: Vec<String> =
            fitting.iter().flat_map(|(_, i, c)| users.of(i, c)).map(ToString::to_string).collect();
        who.dedup();
        Failure::new(Exit::InUse, format!("{wanted}: all in use {}: {}", place(args), who.join(", ")))
            .hint("end one of them, or create another slice: gresgen status shows the room")
    })
}

/// Where a slice is looked for, as words.
fn place(args: &Args) -> String {
    match &args.gpu[..] {
        [] => "on this node".to_owned(),
        gpus => {
            let names: Vec<String> = gpus.iter().map(|gpu| format!("GPU {gpu}")).collect();
            format!("on {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two slices whose UUIDs begin alike.
    #[test]
    fn digits_of_several_slices_are_answered_with_them() {
        let text = include_str!("../../../fuzz/inventory.json");
        let mut inventory = crate::document::read(text).unwrap();
        let mut compute: Vec<&mut Compute> = inventory
            .gpus
            .iter_mut()
            .flat_map(|gpu| &mut gpu.instances)
            .flat_map(|i| &mut i.compute)
            .collect();
        compute[0].uuid = "MIG-abcd1111-0".to_owned();
        compute[1].uuid = "MIG-abcd2222-0".to_owned();
        let args = |slice: &str| Args { gpu: Vec::new(), slice: slice.to_owned(), command: Vec::new() };
        let failure = fitting(&inventory, &args("abcd")).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(
            failure.to_string(),
            "error: abcd: begins the UUIDs of 2 slices on this node\nhint: say which: MIG-abcd1111-0, MIG-abcd2222-0"
        );
        let one = fitting(&inventory, &args("abcd2")).unwrap();
        assert_eq!(one.iter().map(|(_, _, c)| &*c.uuid).collect::<Vec<_>>(), ["MIG-abcd2222-0"]);
    }
}
