//! Which instances Slurm's jobs hold.
//!
//! A job keeps its slices while it does nothing with them, and only slurmctld knows. Every job on a node has a
//! slurmstepd there, so without one there is nothing to ask.

use device_map::DeviceMap;

use super::control::{Control, ControlError, JobGres};
use crate::inventory::{Holder, Inventory};

/// Whether a slurmstepd runs on this node.
pub fn any() -> bool {
    runs(&["slurmstepd"])
}

/// Whether this node is in service: its slurmd runs, or a job of one that was stopped.
pub fn in_service() -> bool {
    runs(&["slurmd", "slurmstepd"])
}

fn runs(commands: &[&str]) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    processes
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok())
        .any(|comm| commands.contains(&comm.trim_end()))
}

/// Adds jobs to the instances they hold, by the map that slurmd loaded. Where slurmctld cannot be asked, or a
/// job holds an index that the map does not know, every instance counts as held.
///
/// # Errors
/// Why slurmctld gave no answer, for a message; the inventory says [`Holder::Unknown`] then.
pub fn annotate(inventory: &mut Inventory, map: Option<&DeviceMap>) -> Result<(), ControlError> {
    if !any() {
        return Ok(());
    }
    let jobs = Control::connect().and_then(|control| control.jobs(&inventory.node));
    match &jobs {
        Ok(jobs) => add(inventory, map, jobs),
        Err(_) => each(inventory, |_| Some(Holder::Unknown)),
    }
    jobs.map(drop)
}

fn add(inventory: &mut Inventory, map: Option<&DeviceMap>, jobs: &[JobGres]) {
    for job in jobs {
        let records = job.devices.iter().map(|&index| map.and_then(|m| m.records.get(index)));
        let records: Option<Vec<_>> = records.collect();
        each(inventory, |uuid| match &records {
            None => Some(Holder::Unknown),
            Some(records) if records.iter().any(|r| r.uuid == uuid) => {
                Some(Holder::Job { id: job.id, user: job.user.clone() })
            }
            Some(_) => None,
        });
    }
}

/// Adds the holder of each compute instance to its GPU instance.
fn each(inventory: &mut Inventory, holder: impl Fn(&str) -> Option<Holder>) {
    for instance in inventory.gpus.iter_mut().flat_map(|gpu| &mut gpu.instances) {
        for holder in instance.compute.iter().filter_map(|compute| holder(&compute.uuid)).collect::<Vec<_>>()
        {
            if !instance.holders.contains(&holder) {
                instance.holders.push(holder);
            }
        }
    }
}
