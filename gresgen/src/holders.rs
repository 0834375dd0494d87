//! Who uses an instance: processes the driver knows, open device nodes, and `gresgen run`.
//!
//! Slurm's jobs are added by whoever can ask slurmctld.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;

use crate::apply::lock::slice_holder;
use crate::inventory::{Holder, Inventory};
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

/// Adds processes with an open capability node and slices held by `gresgen run`. What NVML reports is there
/// already; a process counts once.
pub fn annotate(inventory: &mut Inventory, root: &Root) {
    if inventory.devices().next().is_none() {
        return;
    }
    let open = open_devices();
    for gpu in &mut inventory.gpus {
        for instance in &mut gpu.instances {
            let mut found: Vec<Holder> = Vec::new();
            for compute in &instance.compute {
                // The GPU's own node comes first and is open in every job on any of its slices.
                let nodes = compute.files.iter().skip(1);
                found.extend(
                    nodes.filter_map(|f| open.get(&(f.major, f.minor))).flatten().map(|&p| process(p)),
                );
                found.extend(slice_holder(root, &compute.uuid).map(|pid| Holder::Run { pid }));
            }
            for holder in found {
                if !instance.holders.contains(&holder) {
                    instance.holders.push(holder);
                }
            }
        }
    }
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
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Holder::Process { pid, command: comm.trim().to_owned(), user: user(pid).unwrap_or_default() }
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
fn login(uid: &str) -> Option<String> {
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
