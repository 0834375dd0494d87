//! What a new layout asks of Slurm's daemons, as data: printed, or run on request.

mod action;

use std::collections::BTreeSet;

use device_map::{NoDevice, Record};

pub use action::{Action, wait_idle};

use super::control::Devices;
use super::error::SlurmError;
use super::gres::GresTable;
use super::jobs::JobGres;
use super::release::Release;
use super::slots::Form;

/// How far two lists of records are apart, by what it means to Slurm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Not at all.
    None,
    /// Types, counts and order are the same; some record is another device. Slurm's controller sees no
    /// difference, slurmd has to look at the device files again.
    Devices,
    /// The number of records is the same; types, their order or their counts are not.
    Types,
    /// The number of records is another one.
    Count,
}

/// Jobs for a person.
fn named(jobs: &[&JobGres]) -> String {
    let of = |job: &&JobGres| {
        let which = if job.devices == Devices::Unlisted { "; it may have any" } else { "" };
        format!("{} (user {}{which})", job.id, job.user)
    };
    let list: Vec<String> = jobs.iter().map(of).collect();
    format!("{} {}", if jobs.len() == 1 { "job" } else { "jobs" }, list.join(", "))
}

/// What the node is to Slurm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// Whether it registered with `slurmd -Z`, without a line in slurm.conf.
    pub dynamic: bool,
    /// What its line says beside `Gres=`, for a dynamic node's `--conf`.
    pub attributes: String,
    /// What is to be done to slurm.conf so that it has the node line, for a person; `None` where it has it.
    pub line: Option<String>,
    /// GRES other than GPUs that the configuration says it has.
    pub gres: Option<String>,
}

impl Change {
    /// From the records slurmd works with to those of a new table.
    pub fn between(before: &[Record], after: &[Record]) -> Self {
        let types = |records: &[Record]| records.iter().map(|r| r.gres_type.clone()).collect::<Vec<_>>();
        if before.len() != after.len() {
            Change::Count
        } else if types(before) != types(after) {
            Change::Types
        } else if before != after {
            Change::Devices
        } else {
            Change::None
        }
    }
}

/// Whether a change may happen beside these jobs: on every release seen, a job keeps running when the number of
/// records stays, each of its devices keeps its index, and the node keeps each type that slurmctld has a record of for the job. Of one
/// that asked for any type it has one of every type that the node had then (26.05.5 was seen to end such a job).
///
/// # Errors
/// [`SlurmError::Count`], [`SlurmError::Type`], [`SlurmError::Index`]; nothing was done.
pub fn allow(
    node: &str,
    release: Release,
    (before, after): (&[Record], &[Record]),
    jobs: &[JobGres],
) -> Result<(), SlurmError> {
    // A step that runs keeps what it may open. One that no guard was there for could open each instance that is made later.
    let guards = |records: &[Record]| records.iter().any(|r| r.no_device() == Some(NoDevice::Guard));
    let unguarded = guards(after) && !guards(before);
    let holding: Vec<&JobGres> = jobs.iter().filter(|job| unguarded || !job.devices.is_empty()).collect();
    if before.len() != after.len() && !holding.is_empty() {
        return Err(SlurmError::Count {
            node: node.to_owned(),
            before: before.len(),
            after: after.len(),
            jobs: named(&holding),
        });
    }
    for index in (0..before.len()).filter(|index| holding.iter().any(|job| job.devices.may_be(*index))) {
        let (Some(old), Some(new)) = (before.get(index), after.get(index)) else { continue };
        if (&old.uuid, &old.files, &old.gres_type) != (&new.uuid, &new.files, &new.gres_type) {
            let jobs: Vec<_> = holding.into_iter().filter(|job| job.devices.may_be(index)).collect();
            return Err(SlurmError::Index {
                node: node.to_owned(),
                index,
                uuid: old.uuid.clone(),
                jobs: named(&jobs),
            });
        }
    }
    let types = |records: &[Record]| records.iter().map(|r| r.gres_type.clone()).collect::<BTreeSet<_>>();
    let gone = types(before).difference(&types(after)).cloned().collect::<BTreeSet<_>>();
    for gone in gone.iter().filter(|_| release.ends_jobs_of_lost_types()) {
        let has = |job: &&JobGres| job.types.as_ref().is_none_or(|types| types.contains(gone));
        let jobs: Vec<&JobGres> = holding.iter().copied().filter(has).collect();
        if !jobs.is_empty() {
            return Err(SlurmError::Type { node: node.to_owned(), name: gone.clone(), jobs: named(&jobs) });
        }
    }
    Ok(())
}

/// What is to be done, in order, once GPUs and files are as they shall be, to make Slurm know `after`. `change` is how
/// far it is from what the daemons work with.
///
/// A node registers by itself when slurmctld or slurmd starts, and a registration that does not fit what
/// slurmctld has read marks it INVALID and drains it. So slurmd stands still where slurmctld has to be restarted.
pub fn transition(node: &Node, change: Change, after: &GresTable, release: Release) -> Vec<Action> {
    let name = || node.name.clone();
    let carry = || node.line.clone().map(Action::CarryNodeLine);
    if let (Some(_), Change::None | Change::Devices) = (after.form, change) {
        return if change == Change::None { Vec::new() } else { read_anew(node, after) };
    }
    match change {
        Change::None => Vec::new(),
        Change::Devices => vec![Action::RestartSlurmd(name())],
        // The types of a dynamic node are what it registers with, so it registers anew.
        Change::Types | Change::Count if node.dynamic => vec![
            Action::StopSlurmd(name()),
            Action::Delete(name()),
            Action::StartDynamic { node: name(), conf: conf(node, after) },
            Action::WaitRegistered(name()),
        ],
        Change::Types | Change::Count if release.retypes_on_reconfigure() => {
            carry().into_iter().chain([Action::Reconfigure, Action::WaitRegistered(name())]).collect()
        }
        Change::Types | Change::Count => {
            let restart =
                [Action::RestartSlurmctld, Action::StartSlurmd(name()), Action::WaitRegistered(name())];
            [Action::StopSlurmd(name())].into_iter().chain(carry()).chain(restart).collect()
        }
    }
}

/// What makes the daemons read records of GPUs on request anew.
fn read_anew(node: &Node, after: &GresTable) -> Vec<Action> {
    let further = node.gres.iter().filter(|gres| !gres.is_empty()).map(|gres| format!(",{gres}"));
    let gres = format!("{},{}{}", after.gres(), Form::GATE, further.collect::<String>());
    vec![Action::ReadAnew { node: node.name.clone(), gres }, Action::ReloadSlurmd(node.name.clone())]
}

fn conf(node: &Node, after: &GresTable) -> String {
    format!("{} Gres={}", node.attributes, after.gres()).trim_start().to_owned()
}

#[cfg(test)]
mod tests;
