//! Who uses a GPU or an instance: processes the driver knows, open device nodes, and `gresgen run`.
//!
//! Slurm's jobs are added by whoever can ask slurmctld.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use device_map::DeviceFile;

use crate::inventory::{Compute, Holder, Instance, Inventory};
use crate::lock::{SliceHolder, kernel_locks, slice_holder};
use crate::open::{Numbers, OpenNodes};
use crate::read;
use crate::root::Root;

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Process { pid, command, user } => write!(f, "process {pid} ({command}, user {user})"),
            Holder::Job { id, user } => write!(f, "Slurm job {id} (user {user})"),
            Holder::Run { pid: 0 } => write!(f, "somebody who holds its lock"),
            Holder::Run { pid } => write!(f, "gresgen run (process {pid})"),
            Holder::Unknown => write!(f, "Slurm, whose controller cannot be asked"),
            Holder::Unexplained => {
                write!(f, "somebody unknown: slurmctld counts it in use and has no job for it")
            }
        }
    }
}

/// Who uses which compute instance, by MIG UUID, as far as that can be told: an instance as a whole is in use when one of
/// its compute instances is, but the others are free for `gresgen run`.
#[derive(Debug, Default)]
pub(crate) struct Users(BTreeMap<String, Vec<Holder>>);

impl Users {
    /// Those of one compute instance: its own, and whoever uses the GPU instance without a trace of which part.
    pub(crate) fn of<'a>(&'a self, instance: &'a Instance, compute: &Compute) -> Vec<&'a Holder> {
        let own = |compute: &Compute| self.0.get(&compute.uuid).into_iter().flatten();
        let known = |holder: &Holder| instance.compute.iter().flat_map(own).any(|h| h == holder);
        own(compute).chain(instance.holders.iter().filter(|h| !known(h))).collect()
    }
}

/// Adds processes with an open device node and slices held by `gresgen run`. What NVML reports is there already; a
/// process counts once.
pub(crate) fn annotate(inventory: &mut Inventory, root: &Root) -> Users {
    let mut users = Users::default();
    let open = OpenNodes::read(&devices(inventory));
    let locks = kernel_locks();
    let has_open = |file: &DeviceFile| open.of((file.major, file.minor)).map(process).collect::<Vec<_>>();
    for gpu in &mut inventory.gpus {
        for instance in &mut gpu.instances {
            for compute in &instance.compute {
                // The GPU's own node comes first and is open in every job on any of its slices.
                let [_, whole, part] = &compute.files[..] else { continue };
                let mut own = has_open(part);
                own.extend(slice_holder(root, &compute.uuid, &locks).map(locker));
                add(&mut instance.holders, own.iter().cloned().chain(has_open(whole)));
                users.0.insert(compute.uuid.clone(), own);
            }
        }
        // Whoever is on an instance has the GPU open for that.
        let elsewhere =
            |holder: &Holder| gpu.instances.iter().any(|instance| instance.holders.contains(holder));
        let own = has_open(&gpu.file).into_iter().filter(|holder| !elsewhere(holder) && !is_service(holder));
        add(&mut gpu.holders, own.collect::<Vec<_>>());
    }
    users
}

fn locker(holder: SliceHolder) -> Holder {
    match holder {
        SliceHolder::Run(pid) | SliceHolder::Other(pid @ 0) => Holder::Run { pid },
        SliceHolder::Other(pid) => process(pid),
    }
}

/// Numbers of the device nodes of all GPUs and instances.
pub(crate) fn devices(inventory: &Inventory) -> BTreeSet<Numbers> {
    let compute = inventory.devices().flat_map(|(_, _, compute)| &compute.files);
    let files = inventory.gpus.iter().map(|gpu| &gpu.file).chain(compute);
    files.map(|file| (file.major, file.minor)).collect()
}

/// Adds holders, each once.
pub(crate) fn add(holders: &mut Vec<Holder>, more: impl IntoIterator<Item = Holder>) {
    for holder in more {
        if !holders.contains(&holder) {
            holders.push(holder);
        }
    }
}

/// Services that keep GPUs open to watch them or to keep the driver up. They do not compute, and the driver says itself
/// when one is in its way: counting them would refuse every change of MIG mode on every node that has them. gresgen is one
/// for the moment in which it looks, as nvidia-smi is.
const SERVICES: [&str; 6] =
    ["nvidia-persiste", "nv-hostengine", "dcgm-exporter", "nvidia-smi", "nvsm_core", "gresgen"];

/// First user id of people (login.defs(5), UID_MIN, as Debian and Red Hat set it): a process of theirs may have any name.
const FIRST_USER: u32 = 1000;

fn is_service(holder: &Holder) -> bool {
    let Holder::Process { pid, command, .. } = holder else { return false };
    let uid = || uid(*pid)?.parse::<u32>().ok();
    SERVICES.contains(&command.as_str()) && uid().is_some_and(|uid| uid < FIRST_USER)
}

/// A process by its id, with what `/proc` tells of it.
pub(crate) fn process(pid: u32) -> Holder {
    let comm = read::kernel(format!("/proc/{pid}/comm")).unwrap_or_default();
    // Its owner chose the name, and it is shown on an admin's terminal.
    let command = comm.trim().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    Holder::Process { pid, command, user: user(pid).unwrap_or_default() }
}

/// Login name, or number, of a process's real user.
fn user(pid: u32) -> Option<String> {
    let uid = uid(pid)?;
    Some(login(&uid).unwrap_or(uid))
}

/// Real user id of a process. Its name, which its owner chose, stands before it in any bytes but line ends
/// (Linux fs/proc/array.c, `proc_task_name`).
fn uid(pid: u32) -> Option<String> {
    let status = read::kernel(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("Uid:"))?;
    line.split_whitespace().next().map(str::to_owned)
}

/// Login name of a numeric user id in `/etc/passwd`. Users of a directory service keep their number: asking
/// it could hang the program on a broken node.
pub(crate) fn login(uid: &str) -> Option<String> {
    let passwd = read::lossy(Path::new("/etc/passwd"), read::MAX_TEXT).ok()?;
    let mut entries = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>());
    entries.find(|e| e.get(2) == Some(&uid)).and_then(|e| e.first().map(|name| (*name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named() {
        let Holder::Process { pid, command, user } = process(std::process::id()) else { panic!() };
        assert_eq!(pid, std::process::id());
        assert!(!command.is_empty() && !user.is_empty());
    }
}
