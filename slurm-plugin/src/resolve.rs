//! Which devices a task has: from what Slurm says and what the kernel lets it open.
//!
//! Neither alone is enough. Slurm's variables for the single task of a step are wrong where devices are
//! constrained and tasks are bound (every task is given the first devices of the step; seen on 22.05.8, 24.11.5,
//! 25.05.9 and 26.05.5), while its list for the step is right. The device cgroup is right where it is in force,
//! and says nothing where it is not: `ConstrainDevices=no`, or a device program that failed to load, which Slurm
//! 22.05 to 23.02.3 ignores (seen on cgroup v2 from 11 instances up).
//!
//! Let *G* be the step's list and *A* the devices of the map the task may open.
//!
//! **Something is denied.** Devices are constrained, so A is what the task has, and A must lie within G: an open
//! device outside of G is one Slurm did not list, so the map is not the one slurmd runs with.
//! * A is smaller than G: the task is bound, and only its cgroup says to what.
//! * A equals G: the task is not bound, or its step shares devices between tasks
//!   (`--gres-flags=allow-task-sharing`, from 23.11.4). Only then is the task's list shorter than G and right; it
//!   counts devices of the node up to 24.05.1 and positions in G from 24.05.2. Before 23.11.4 a shorter list
//!   means a bound task whose cgroup was left open, and the answer is what the cgroup opens.
//!
//! **Nothing is denied.** Either there is nothing to deny, when the step has every device of the node, or devices
//! are not constrained. Then the variables have to do.
//! * The task's list is as long as G, or absent: all of G.
//! * It is shorter, and Slurm does not take devices for constrained: it names devices of the node and is right,
//!   except under task sharing from 24.05.2, where it holds positions in G with no sign of it in the
//!   environment. Where G is 0, 1, 2… both readings agree. Elsewhere an entry outside of G proves sharing and ends
//!   in an error; since positions 0, 1, 2… cannot all lie in such a G, a step that shares never runs whole on
//!   misread lists. (Sharing has no use without constraint: every task may open every device anyway.)
//! * It is shorter, and Slurm does take devices for constrained: then the list is a bound task's, which is wrong
//!   for all but the first, or a sharing task's. If some device lies outside of G, the limits are provably not
//!   in force, so a list cannot be told from its neighbour's and is refused: two tasks must not get one slice
//!   because the node was misconfigured. If G is the whole node, releases with task sharing enforce a bound
//!   task's limits (the load failure was mended in 23.02.4), hence a task that can open all is a sharing one;
//!   releases without it have no innocent explanation, and the list is refused.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use device_map::{DeviceMap, Record};

use crate::access::Access;
use crate::step::{Sharing, StepView, Visible};

/// The devices of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// What Slurm set names just these devices already.
    Keep(Devices),
    /// These.
    Set(Devices),
}

/// Indexes into the map, ascending, and how far they are to be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices {
    /// The indexes.
    pub indexes: Vec<usize>,
    /// Slurm takes devices for constrained, yet the task may open one of another step.
    pub limits_not_in_force: bool,
}

/// Why there is no certain answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// Slurm gave the step a device beyond the end of the map.
    Beyond { index: usize, rows: usize },
    /// A device of the step has no node.
    Missing { index: usize, path: PathBuf },
    /// The node of a device of the step is another device than when slurmd started.
    Changed { index: usize, path: PathBuf, found: String },
    /// The mode of the node hides what the cgroup says.
    Hidden { index: usize, path: PathBuf },
    /// The kernel gave no verdict on a device of the step.
    Unknown { index: usize, path: PathBuf, why: String },
    /// The cgroup opens a device that Slurm did not give to the step.
    Foreign { index: usize, devices: Vec<usize> },
    /// The cgroup denies devices of a step whose tasks are not bound.
    Denied { index: usize },
    /// The cgroup denies all devices.
    AllDenied { devices: Vec<usize> },
    /// The list of the task counts something else than devices of the node.
    Shared { task: Vec<usize>, devices: Vec<usize> },
    /// The task is bound, the limits are not in force, and Slurm's list for the task cannot be right.
    NotEnforced { task: Vec<usize> },
    /// Without limits there is no telling whether Slurm's names or the map are right.
    Disagree { named: Vec<String>, devices: Vec<usize> },
}

/// Decides which devices of `map` a task of `step` has; `access` is asked about each row once.
///
/// # Errors
/// [`Unresolved`] wherever the answer would be a guess.
pub fn resolve(
    map: &DeviceMap,
    step: &StepView,
    mut access: impl FnMut(usize, &Record) -> Access,
) -> Result<Resolution, Unresolved> {
    let given: BTreeSet<usize> = step.devices.iter().copied().collect();
    let rows = map.records.len();
    if let Some(index) = given.iter().copied().find(|index| *index >= rows) {
        return Err(Unresolved::Beyond { index, rows });
    }
    let verdicts: Vec<Access> =
        map.records.iter().enumerate().map(|(index, record)| access(index, record)).collect();
    for index in &given {
        usable(*index, &map.records[*index], &verdicts[*index])?;
    }
    let open: BTreeSet<usize> = (0..rows).filter(|index| verdicts[*index] == Access::Allowed).collect();
    if verdicts.contains(&Access::Denied) {
        let indexes = by_cgroup(step, &given, &open)?;
        Ok(compared(map, step, Devices { indexes, limits_not_in_force: false }))
    } else {
        let reaches_others = open != given;
        let indexes = by_variables(step, &given, reaches_others)?;
        let limits_not_in_force = step.constrained && reaches_others;
        let devices = Devices { indexes, limits_not_in_force };
        let resolution = compared(map, step, devices);
        match (&resolution, uuids(&step.cuda)) {
            // Nothing but Slurm's word on either side.
            (Resolution::Set(devices), Some(named)) => {
                Err(Unresolved::Disagree { named: named.to_vec(), devices: devices.indexes.clone() })
            }
            _ => Ok(resolution),
        }
    }
}

/// A device of the step must be there, be the one slurmd saw, and have a verdict.
fn usable(index: usize, record: &Record, verdict: &Access) -> Result<(), Unresolved> {
    let path = record.own_file().map(|file| file.path.clone()).unwrap_or_default();
    match verdict {
        Access::Allowed | Access::Denied => Ok(()),
        Access::Hidden => Err(Unresolved::Hidden { index, path }),
        Access::Missing => Err(Unresolved::Missing { index, path }),
        Access::Changed(found) => Err(Unresolved::Changed { index, path, found: found.clone() }),
        Access::Unknown(why) => Err(Unresolved::Unknown { index, path, why: why.clone() }),
    }
}

/// The cgroup denies something, so what it opens is the answer.
fn by_cgroup(
    step: &StepView,
    given: &BTreeSet<usize>,
    open: &BTreeSet<usize>,
) -> Result<Vec<usize>, Unresolved> {
    if let Some(index) = open.difference(given).next() {
        return Err(Unresolved::Foreign { index: *index, devices: list(given) });
    }
    match given.difference(open).next() {
        None => refined(step, given),
        Some(index) if !step.binds_tasks => Err(Unresolved::Denied { index: *index }),
        Some(_) if open.is_empty() => Err(Unresolved::AllDenied { devices: list(given) }),
        Some(_) => Ok(list(open)),
    }
}

/// The task may open every device of the step: under task sharing its list says which are meant for it.
fn refined(step: &StepView, given: &BTreeSet<usize>) -> Result<Vec<usize>, Unresolved> {
    let Some(task) = shorter(step, given) else { return Ok(list(given)) };
    let shared = || Unresolved::Shared { task: task.clone(), devices: list(given) };
    match step.sharing {
        Sharing::Absent => Ok(list(given)),
        Sharing::Node => within(task, given).ok_or_else(shared),
        Sharing::Step => positions(task, given).ok_or_else(shared),
    }
}

/// The cgroup denies nothing: Slurm's lists are all there is.
fn by_variables(
    step: &StepView,
    given: &BTreeSet<usize>,
    reaches_others: bool,
) -> Result<Vec<usize>, Unresolved> {
    let Some(task) = shorter(step, given) else { return Ok(list(given)) };
    if !step.constrained {
        return within(task, given)
            .ok_or_else(|| Unresolved::Shared { task: task.clone(), devices: list(given) });
    }
    match step.sharing {
        Sharing::Node | Sharing::Step if !reaches_others => refined(step, given),
        _ => Err(Unresolved::NotEnforced { task: task.clone() }),
    }
}

/// The list of a task that Slurm bound to fewer devices than the step has.
fn shorter<'a>(step: &'a StepView, given: &BTreeSet<usize>) -> Option<&'a Vec<usize>> {
    step.task.as_ref().filter(|task| step.binds_tasks && task.len() < given.len())
}

/// `task` read as devices of the node.
fn within(task: &[usize], given: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let set: BTreeSet<usize> = task.iter().copied().collect();
    set.is_subset(given).then(|| list(&set))
}

/// `task` read as positions among the devices of the step.
fn positions(task: &[usize], given: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let devices = list(given);
    let set: Option<BTreeSet<usize>> = task.iter().map(|at| devices.get(*at).copied()).collect();
    set.map(|set| list(&set))
}

fn list(set: &BTreeSet<usize>) -> Vec<usize> {
    set.iter().copied().collect()
}

/// `Keep` where Slurm named these very devices, in whatever order and spelling.
fn compared(map: &DeviceMap, step: &StepView, devices: Devices) -> Resolution {
    let Visible::Names(names) = &step.cuda else { return Resolution::Set(devices) };
    let same = names.len() == devices.indexes.len()
        && devices
            .indexes
            .iter()
            .all(|index| names.iter().any(|name| is_name_of(name, &map.records[*index])));
    if same { Resolution::Keep(devices) } else { Resolution::Set(devices) }
}

/// Whether `name` is the record's UUID, or the older `MIG-GPU-<uuid>/<gi>/<ci>` of drivers before 470.42.01.
fn is_name_of(name: &str, record: &Record) -> bool {
    let older = record.instance.map(|(gi, ci)| format!("MIG-{}/{gi}/{ci}", record.parent));
    name == record.uuid || older.is_some_and(|older| name == older)
}

/// What a variable holds, where all of it is what NVML calls devices.
fn uuids(cuda: &Visible) -> Option<&[String]> {
    let is_uuid = |name: &String| name.starts_with("MIG-") || name.starts_with("GPU-");
    match cuda {
        Visible::Names(names) if names.iter().all(is_uuid) => Some(names),
        _ => None,
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::Beyond { index, rows } => {
                write!(
                    f,
                    "device {index}: the device map ends after {rows} devices; restart slurmd after gresgen apply"
                )
            }
            Unresolved::Missing { index, path } => {
                write!(
                    f,
                    "device {index}: {} does not exist; the MIG device is gone since slurmd started",
                    path.display()
                )
            }
            Unresolved::Changed { index, path, found } => {
                write!(
                    f,
                    "device {index}: {} is {found} since slurmd started; restart slurmd",
                    path.display()
                )
            }
            Unresolved::Hidden { index, path } => {
                write!(
                    f,
                    "device {index}: the mode of {} denies it to this user, which hides the device cgroup's answer; chmod a+r it",
                    path.display()
                )
            }
            Unresolved::Unknown { index, path, why } => {
                write!(f, "device {index}: {}: {why}", path.display())
            }
            Unresolved::Foreign { index, devices } => {
                write!(
                    f,
                    "device {index}: open to this task although Slurm gave the step only {}; restart slurmd after gresgen apply",
                    join(devices)
                )
            }
            Unresolved::Denied { index } => {
                write!(
                    f,
                    "device {index}: denied by the device cgroup although Slurm gave it to the job; restart slurmd after gresgen apply"
                )
            }
            Unresolved::AllDenied { devices } => {
                write!(
                    f,
                    "devices {}: all denied by the device cgroup although Slurm gave them to the step; restart slurmd after gresgen apply",
                    join(devices)
                )
            }
            Unresolved::Shared { task, devices } => {
                write!(
                    f,
                    "task devices {}: not among the step's {}; Slurm's task sharing cannot be told apart without ConstrainDevices=yes",
                    join(task),
                    join(devices)
                )
            }
            Unresolved::NotEnforced { task } => {
                write!(
                    f,
                    "task devices {}: Slurm's device limits are not in force on this node, so the tasks of the step cannot be told apart; see the size limit of Slurm 22.05 on cgroup v2",
                    join(task)
                )
            }
            Unresolved::Disagree { named, devices } => {
                write!(
                    f,
                    "devices {}: Slurm set {}, which the device map does not confirm; restart slurmd after gresgen apply",
                    join(devices),
                    named.join(",")
                )
            }
        }
    }
}

impl std::error::Error for Unresolved {}

fn join(indexes: &[usize]) -> String {
    indexes.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
