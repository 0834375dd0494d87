//! Who uses an instance: processes the driver knows, open device nodes, and `gresgen run`.
//!
//! Slurm's jobs are added by whoever can ask slurmctld.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;

use device_map::DeviceFile;

use crate::apply::lock::slice_holder;
use crate::inventory::{Compute, Holder, Instance, Inventory};
use crate::root::Root;

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Process { pid, command, user } => write!(f, "process {pid} ({command}, user {user})"),
            Holder::Job { id, user } => write!(f, "Slurm job {id} (user {user})"),
            Holder::Run { pid } => write!(f, "gresgen run (process {pid})"),
            Holder::Unknown => write!(f, "Slurm, whose controller cannot be asked"),
        }
    }
}

/// Who uses which compute instance, by MIG UUID, as far as that can be told: an instance as a whole is in use when one of
/// its compute instances is, but the others are free for `gresgen run`.
#[derive(Debug, Default)]
pub struct Users(BTreeMap<String, Vec<Holder>>);

impl Users {
    /// Those of one compute instance: its own, and whoever uses the GPU instance without a trace of which part.
    pub fn of<'a>(&'a self, instance: &'a Instance, compute: &Compute) -> Vec<&'a Holder> {
        let own = |compute: &Compute| self.0.get(&compute.uuid).into_iter().flatten();
        let known = |holder: &Holder| instance.compute.iter().flat_map(own).any(|h| h == holder);
        own(compute).chain(instance.holders.iter().filter(|h| !known(h))).collect()
    }
}

/// Adds processes with an open capability node and slices held by `gresgen run`. What NVML reports is there
/// already; a process counts once.
pub fn annotate(inventory: &mut Inventory, root: &Root) -> Users {
    let mut users = Users::default();
    if inventory.devices().next().is_none() {
        return users;
    }
    let open = open_devices();
    let has_open = |file: &DeviceFile| {
        open.get(&(file.major, file.minor)).into_iter().flatten().map(|&pid| process(pid)).collect::<Vec<_>>()
    };
    for instance in inventory.gpus.iter_mut().flat_map(|gpu| &mut gpu.instances) {
        for compute in &instance.compute {
            // The GPU's own node comes first and is open in every job on any of its slices.
            let [_, whole, part] = &compute.files[..] else { continue };
            let mut own = has_open(part);
            own.extend(slice_holder(root, &compute.uuid).map(|pid| Holder::Run { pid }));
            for holder in own.iter().cloned().chain(has_open(whole)) {
                if !instance.holders.contains(&holder) {
                    instance.holders.push(holder);
                }
            }
            users.0.insert(compute.uuid.clone(), own);
        }
    }
    users
}

/// Character devices that processes have open: numbers to process ids. Processes of others are seen only by
/// root, who is the one to change GPUs.
fn open_devices() -> BTreeMap<(u32, u32), Vec<u32>> {
    let mut open: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    let Ok(processes) = std::fs::read_dir("/proc") else { return open };
    for pid in processes.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok()) {
        let Ok(descriptors) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for descriptor in descriptors.flatten() {
            // Reading the link is far cheaper than stat, which could hang on a dead network file system.
            let Ok(target) = std::fs::read_link(descriptor.path()) else { continue };
            if !target.to_string_lossy().contains("/nvidia-cap") {
                continue;
            }
            if let Ok(metadata) = descriptor.path().metadata() {
                let numbers = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
                open.entry(numbers).or_default().push(pid);
            }
        }
    }
    open
}

/// A process by its id, with what `/proc` tells of it.
pub fn process(pid: u32) -> Holder {
    let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let comm = String::from_utf8_lossy(&comm);
    // Its owner chose the name, and it is shown on an admin's terminal.
    let command = comm.trim().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    Holder::Process { pid, command, user: user(pid).unwrap_or_default() }
}

/// Login name, or number, of a process's real user.
fn user(pid: u32) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("Uid:"))?;
    let uid = line.split_whitespace().next()?;
    Some(login(uid).unwrap_or_else(|| uid.to_owned()))
}

/// Login name of a numeric user id in `/etc/passwd`. Users of a directory service keep their number: asking
/// it could hang the program on a broken node.
pub(crate) fn login(uid: &str) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
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
