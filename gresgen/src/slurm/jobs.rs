//! Which devices of this node Slurm has given out, and to whom.
//!
//! A job keeps its devices while it does nothing with them, and before and after any process of it is here; only
//! slurmctld knows. Two of its accounts are read, and neither is believed alone: each job's record, which names the
//! job but has the job's owner's texts in it, and the node's own sum of devices in use, which nobody else writes.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use device_map::DeviceMap;

use super::control::{Control, Devices, Listing, NodeView};
use super::error::SlurmError;
use crate::holders::{add, login};
use crate::inventory::{Holder, Inventory};

/// A job that has devices of a node, or may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobGres {
    pub id: u32,
    pub user: String,
    pub devices: Devices,
    /// Types that slurmctld keeps a record of for it on the node, of devices that it has not, too; `None` where that is not known.
    pub types: Option<BTreeSet<String>>,
}

/// What Slurm has given out on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allocations {
    /// The jobs on it; one without GPU devices too.
    pub jobs: Vec<JobGres>,
    /// Devices that slurmctld counts as in use and that no job explains.
    pub unexplained: Devices,
}

/// How often the accounts are read until they agree: a job may start or end between them.
const ROUNDS: usize = 4;
/// Pause between two rounds.
const PAUSE: Duration = Duration::from_millis(150);

impl Allocations {
    /// Asks slurmctld about a node.
    ///
    /// # Errors
    /// [`SlurmError`]: then nothing is known, and every device counts as held.
    pub(crate) fn ask(control: Control, node: &str) -> Result<Self, SlurmError> {
        let mut allocations = Self::read(control, node)?;
        for _ in 1..ROUNDS {
            if allocations.unexplained.is_empty() {
                break;
            }
            sleep(PAUSE);
            allocations = Self::read(control, node)?;
        }
        Ok(allocations)
    }

    /// The same with what the other nodes on this host have given out: whose devices their indexes are is not known
    /// here, so any device may be one of theirs.
    ///
    /// # Errors
    /// As [`Allocations::ask`].
    pub(crate) fn ask_beside(control: Control, node: &str, others: &[String]) -> Result<Self, SlurmError> {
        let mut allocations = Self::ask(control, node)?;
        for other in others {
            let theirs = match Self::ask(control, other) {
                // A slurmd that slurmctld does not know has no jobs.
                Err(SlurmError::UnknownNode(_)) => continue,
                answer => answer?,
            };
            let holding = theirs.jobs.into_iter().filter(|job| !job.devices.is_empty());
            // Types are its node's alone.
            let any = |job| JobGres { devices: Devices::Unlisted, types: Some(BTreeSet::new()), ..job };
            allocations.jobs.extend(holding.map(any));
            if !theirs.unexplained.is_empty() {
                allocations.unexplained = Devices::Unlisted;
            }
        }
        Ok(allocations)
    }

    fn read(control: Control, node: &str) -> Result<Self, SlurmError> {
        let listed = control.jobs(node)?;
        let holding: Vec<&Listing> = listed.iter().filter(|job| job.may_hold()).collect();
        // The node comes with the records, after the list: a job that started meanwhile is seen as unexplained.
        let (view, records) = control.allocations(node, &holding)?;
        let (devices, types): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        let mut allocations = Self::reconcile(&view, holding.into_iter().zip(devices), user);
        for (job, types) in allocations.jobs.iter_mut().zip(types) {
            job.types = types;
        }
        Ok(allocations)
    }

    /// Puts the two accounts together. `user` names the user of a job, for who wants the name.
    pub(crate) fn reconcile<'a>(
        view: &NodeView,
        records: impl Iterator<Item = (&'a Listing, Option<Devices>)>,
        user: impl Fn(&Listing) -> String,
    ) -> Self {
        // slurmctld counts nothing of a job that ends, so what is left over says nothing of one.
        let ending = |(listing, devices): (&'a Listing, Option<Devices>)| match devices {
            None if listing.ends() => (listing, Some(Devices::Unlisted)),
            _ => (listing, devices),
        };
        let records: Vec<_> = records.map(ending).collect();
        let explained: BTreeSet<usize> = records
            .iter()
            .filter_map(|(_, devices)| match devices {
                Some(Devices::Listed(indexes)) => Some(indexes),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        let rest = match &view.used {
            Devices::Listed(used) => Devices::Listed(used.difference(&explained).copied().collect()),
            // A list that is cut still has its count.
            Devices::Unlisted if view.used_count == Some(explained.len() as u64) => Devices::default(),
            Devices::Unlisted => Devices::Unlisted,
        };
        let readable = records.iter().all(|(_, devices)| devices.is_some());
        // A job whose text spoils its record has what is left over, and no more than that.
        let job = |(listing, devices): &(&Listing, Option<Devices>)| JobGres {
            id: listing.id,
            user: user(listing),
            devices: devices.clone().unwrap_or_else(|| rest.clone()),
            types: None,
        };
        let jobs: Vec<JobGres> = records.iter().map(job).collect();
        let unlisted = jobs.iter().any(|job| job.devices == Devices::Unlisted);
        let unexplained = if records.is_empty() && view.cpus_allocated > 0 {
            Devices::Unlisted
        } else if !readable || unlisted {
            Devices::default()
        } else {
            rest
        };
        Allocations { jobs, unexplained }
    }
}

/// The name of a job's user: that of the node's own list, else squeue's, where it is a name, else the number.
pub(crate) fn user(listing: &Listing) -> String {
    let is_name = |c: char| c.is_alphanumeric() || "._-@$+\\".contains(c);
    let said = Some(listing.login.clone()).filter(|name| !name.is_empty() && name.chars().all(is_name));
    login(&listing.uid.to_string()).or(said).unwrap_or_else(|| listing.uid.to_string())
}

/// Adds to each GPU and instance who has it from Slurm, by the map that slurmd loaded: it says what an index is. A job
/// whose index it does not know may have any.
pub(crate) fn annotate(inventory: &mut Inventory, map: Option<&DeviceMap>, allocations: &Allocations) {
    let uuid = |index: &usize| map.and_then(|map| map.records.get(*index)).map(|record| record.uuid.as_str());
    let held: Vec<(Holder, Option<Vec<&str>>)> = allocations
        .jobs
        .iter()
        .map(|job| (Holder::Job { id: job.id, user: job.user.clone() }, &job.devices))
        .chain([(Holder::Unexplained, &allocations.unexplained)])
        .map(|(holder, devices)| match devices {
            Devices::Listed(indexes) => (holder, indexes.iter().map(uuid).collect()),
            Devices::Unlisted => (holder, None),
        })
        .collect();
    each(inventory, |uuid| {
        let has = |devices: &Option<Vec<&str>>| devices.as_ref().is_none_or(|known| known.contains(&uuid));
        held.iter().filter(|(_, devices)| has(devices)).map(|(holder, _)| holder.clone()).collect()
    });
}

/// Makes everything held, where Slurm cannot be asked.
pub(crate) fn annotate_unknown(inventory: &mut Inventory) {
    each(inventory, |_| vec![Holder::Unknown]);
}

/// Adds the holders of each device to its GPU instance, or to its GPU where it is one.
fn each(inventory: &mut Inventory, holders: impl Fn(&str) -> Vec<Holder>) {
    for gpu in &mut inventory.gpus {
        add(&mut gpu.holders, holders(&gpu.uuid));
        for instance in &mut gpu.instances {
            // One without compute instances is nobody's device, and stands on a GPU that may be somebody's.
            if instance.compute.is_empty() {
                add(&mut instance.holders, holders(&gpu.uuid));
            }
            for compute in &instance.compute {
                add(&mut instance.holders, holders(&compute.uuid));
            }
        }
    }
}
