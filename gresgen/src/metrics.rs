//! What Prometheus is told of a node: its devices by type, who has them, and whether node, map and Slurm agree.
//!
//! Most of it is in the device maps, in files of this program and in slurmctld, so that no NVML is opened: whoever does
//! stands in the way of the next change. What the GPUs alone know, [`Driver`], is asked for apart.

mod exposition;
mod facts;

use std::collections::BTreeMap;

pub(crate) use exposition::Exposition;
pub(crate) use facts::{Driver, Facts, Occupancy};

use crate::check::{Link, Verdict};
use crate::inventory::{Inventory, Mode};

/// What is said of users and jobs. Both come and go, and each makes a series that Prometheus keeps: off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    /// How many devices each user has.
    pub users: bool,
    /// Which job has which device.
    pub jobs: bool,
}

/// Writes all of it.
pub(crate) fn write(facts: &Facts, driver: Option<&Driver>, who: Who) -> String {
    let mut text = Exposition::default();
    text.gauge("gresgen_build_info", "The gresgen that wrote this.")
        .add(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    devices(&mut text, facts);
    if let Some(occupancy) = &facts.occupancy {
        busy(&mut text, facts, occupancy, who);
    }
    agreement(&mut text, facts);
    if let Some(driver) = driver {
        gpus(&mut text, driver);
    }
    text.finish()
}

fn devices(text: &mut Exposition, facts: &Facts) {
    let help = "A device of the map that slurmd loaded: index is Slurm's, gpu and gpu_instance are NVML's.";
    let mut info = text.gauge("gresgen_device_info", help);
    for (index, record) in facts.records() {
        let (gpu, instance) = facts.place(record);
        let path = record.files.first().map(|file| file.path.display().to_string()).unwrap_or_default();
        let labels = [
            ("index", &*index.to_string()),
            ("type", &record.gres_type),
            ("uuid", &record.uuid),
            ("gpu", &gpu),
            ("gpu_instance", &instance),
            ("gpu_uuid", &record.parent),
            ("device", &path),
        ];
        info.add(&labels, 1);
    }
    let mut counts = text.gauge("gresgen_devices", "Devices by GRES type.");
    for (name, count) in facts.types() {
        counts.add(&[("type", name)], count);
    }
}

fn busy(text: &mut Exposition, facts: &Facts, occupancy: &Occupancy, who: Who) {
    let help = "Whether a job has the device, or may have it.";
    let mut busy = text.gauge("gresgen_device_busy", help);
    for (index, record) in facts.records() {
        let labels = [("index", &*index.to_string()), ("type", &record.gres_type), ("uuid", &record.uuid)];
        busy.add(&labels, u64::from(occupancy.is_busy(index)));
    }
    let mut counts: BTreeMap<&str, u64> = facts.types().map(|(name, _)| (name, 0)).collect();
    for (_, record) in facts.records().filter(|(index, _)| occupancy.is_busy(*index)) {
        *counts.entry(&record.gres_type).or_default() += 1;
    }
    let mut by_type = text.gauge("gresgen_devices_busy", "Devices by GRES type that a job has, or may have.");
    for (name, count) in &counts {
        by_type.add(&[("type", name)], *count);
    }
    let help = "Whether slurmctld counts devices in use that no job explains.";
    text.gauge("gresgen_unexplained_devices", help).add(&[], u64::from(occupancy.unexplained));
    if who.users {
        let mut users: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, (_, user)) in &occupancy.holders {
            *users.entry(user).or_default() += 1;
        }
        let mut by_user = text.gauge("gresgen_user_devices", "Devices that the jobs of a user have.");
        for (user, count) in users {
            by_user.add(&[("user", user)], count);
        }
    }
    if who.jobs {
        let mut jobs = text.gauge("gresgen_device_job_info", "A job that has a device.");
        for (index, (job, user)) in &occupancy.holders {
            jobs.add(&[("index", &*index.to_string()), ("job", &*job.to_string()), ("user", user)], 1);
        }
    }
}

fn agreement(text: &mut Exposition, facts: &Facts) {
    if let Some(answered) = facts.slurmctld {
        let help =
            "Whether slurmctld answered; where it did not, devices of running steps alone count as busy.";
        text.gauge("gresgen_slurmctld_up", help).add(&[], u64::from(answered));
    }
    let help = "Links between the device map, its files, gres.conf and slurmd: 0 holds, 1 holds with a warning, 2 does not.";
    let mut links = text.gauge("gresgen_check", help);
    for (name, verdict) in worst(&facts.links) {
        links.add(&[("link", name)], verdict as u64);
    }
    if let Some(label) = &facts.layout {
        text.gauge("gresgen_layout_info", "The layout that was last chosen.").add(&[("layout", label)], 1);
    }
    let mut pending =
        text.gauge("gresgen_pending", "Whether something is left to do before jobs get what was applied.");
    for (action, is) in &facts.pending {
        pending.add(&[("action", action)], u64::from(*is));
    }
    let help = "When the layout was chosen, the device map written and loaded by slurmd.";
    let mut times = text.gauge("gresgen_change_timestamp_seconds", help);
    for (event, at) in &facts.times {
        times.add(&[("event", event)], *at);
    }
    text.gauge("gresgen_change_running", "Whether gresgen is changing the node now.")
        .add(&[], u64::from(facts.running));
}

/// The worst verdict of each link, once.
fn worst(links: &[Link]) -> BTreeMap<&str, Verdict> {
    let mut worst = BTreeMap::new();
    for link in links {
        let verdict = worst.entry(link.name).or_insert(link.verdict);
        *verdict = link.verdict.max(*verdict);
    }
    worst
}

fn gpus(text: &mut Exposition, driver: &Driver) {
    let Inventory { gpus, .. } = &driver.inventory;
    let index = |gpu: &crate::inventory::Gpu| gpu.index.to_string();
    let mut mode = text.gauge("gresgen_gpu_mig", "Whether MIG is on.");
    for gpu in gpus.iter().filter(|gpu| gpu.mode != Mode::Unsupported) {
        mode.add(
            &[("gpu", &*index(gpu)), ("gpu_uuid", &gpu.uuid), ("model", &gpu.model)],
            u64::from(gpu.mode.is_on()),
        );
    }
    let mut reset = text
        .gauge("gresgen_gpu_reset_pending", "Whether a change of MIG mode waits for a GPU reset or reboot.");
    for gpu in gpus {
        let pending = matches!(gpu.mode, Mode::Known { current, pending } if current != pending);
        reset.add(&[("gpu", &*index(gpu))], u64::from(pending));
    }
    let mut room =
        text.gauge("gresgen_room", "GPU instances that could still be created, each profile taken alone.");
    for (gpu, profile, count) in &driver.room {
        room.add(&[("gpu", &*gpu.to_string()), ("profile", profile)], *count);
    }
    if let Some(steps) = driver.drift {
        let help = "Steps that gresgen apply would take to make the GPUs what the layout says.";
        text.gauge("gresgen_drift_steps", help).add(&[], steps);
    }
}

#[cfg(test)]
mod tests;
