//! Which devices a task has: from what Slurm says and what the kernel lets it open.
//!
//! Neither alone is enough. Slurm's variables for the single task of a step are wrong where devices are
//! constrained and tasks are bound (every task is given the first devices of the step; seen on 22.05.8, 24.11.5,
//! 25.05.9 and 26.05.5), while its list for the step is right. The device cgroup is right where it is in force,
//! and says nothing where it is not: `ConstrainDevices=no`, or a device program that failed to load, which Slurm
//! 22.05 to 23.02.3 ignores (seen on cgroup v2 from 11 instances up).
//!
//! Let *G* be the step's list, *N* the devices that Slurm names for the step itself, where it does
//! (`AutoDetect=nvml`, `Flags=env_uuid`), and *A* the devices of the map the task may open.
//!
//! **Something is denied.** Devices are constrained, so A is what the task has, and A must lie within G: an open
//! device outside of G is one Slurm did not list, so the map is not the one slurmd runs with.
//! * A lies outside of G, but within N, and N names as many devices as G counts: Slurm has sorted the devices it
//!   detected, so that its indexes mean other rows than those of the map (seen with several types of devices).
//!   Names and cgroup agree, hence N takes the place of G. Names that the cgroup does not bear out prove nothing.
//! * A is smaller than G: the task is bound, and only its cgroup says to what.
//! * A equals G: the task is not bound, or its step shares devices between tasks
//!   (`--gres-flags=allow-task-sharing`, from 23.11.4). Only then is the task's list shorter than G and right; it
//!   counts devices of the node up to 24.05.1 and positions in G from 24.05.2, but devices of the node throughout
//!   where Slurm names devices (`GRES_CONF_GLOBAL_INDEX`, `GRES_CONF_UUID` in src/interfaces/gres.c). Before 23.11.4
//!   a shorter list means a bound task whose cgroup was left open, and the answer is what the cgroup opens.
//!
//! **Nothing is denied.** Either there is nothing to deny, when the step has every device of the node, or devices
//! are not constrained. Then the variables have to do, and where Slurm names the task's devices, its names and its
//! indexes must say the same.
//! * The task's list is as long as G, or absent: all of G.
//! * It is shorter, and Slurm does not take devices for constrained: it names devices of the node and is right,
//!   except under task sharing from 24.05.2, where it holds positions in G. See below.
//! * It is shorter, and Slurm does take devices for constrained: then the list is a bound task's, which is wrong
//!   for all but the first, or a sharing task's. If some device lies outside of G, the limits are provably not
//!   in force, so a list cannot be told from its neighbour's and is refused: two tasks must not get one slice
//!   because the node was misconfigured. If G is the whole node, releases with task sharing enforce a bound
//!   task's limits (the load failure was mended in 23.02.4), hence a task that can open all is a sharing one;
//!   releases without it have no innocent explanation, and the list is refused.
//!
//! **Task sharing without constraint** is the one launch mode that cannot be told from another. Its flag travels in
//! the launch message alone (`LAUNCH_GRES_ALLOW_TASK_SHARING`, src/api/step_launch.c): no item of SPANK has it, and
//! the environments of a task with and without it are the same up to identifiers and ports (24.11.5, 26.05.5).
//! `SLURMD_TRES_BIND` has the binding, but which of its devices a task is bound to also depends on `Cores=` of
//! gres.conf and the CPUs of its neighbours. Where G is 0, 1, 2… both readings agree. Elsewhere an entry outside of G
//! proves sharing and ends the task in an error; a list within G is read as that of a task without the flag. So the
//! step fails as soon as one of its tasks has a position outside of G (of a step with devices 1 and 2, the first
//! task), but a task may run with another device of its step than Slurm meant. That device is nobody else's unless
//! its position is shared as well: reading positions as indexes never maps two to one. To refuse such lists would
//! refuse `--gpus-per-task` on unconstrained nodes altogether; and without constraint the flag has no use, since
//! every task may open every device anyway.

mod reason;

use device_map::{DeviceMap, NoDevice, Record};

use crate::access::Access;
use crate::names::{Said, compare, named_rows};
use crate::step::{Sharing, StepView};
pub use reason::Unresolved;

/// The devices of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// What Slurm set names just these devices already.
    Keep(Devices),
    /// These.
    Set(Devices),
}

impl Resolution {
    /// The devices of the task.
    pub fn devices(&self) -> &Devices {
        let (Resolution::Keep(devices) | Resolution::Set(devices)) = self;
        devices
    }
}

/// Indexes into the map, ascending, and how far they are to be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices {
    /// The indexes.
    pub indexes: Vec<usize>,
    /// Slurm takes devices for constrained, yet the task may open one of another step.
    pub limits_not_in_force: bool,
}

/// The devices of a step.
struct Given {
    /// As Slurm's lists count them.
    indexes: Vec<usize>,
    /// The rows of the map that these are, in the same order.
    rows: Vec<usize>,
    /// Those of them that are devices, ascending.
    devices: Vec<usize>,
}

impl Given {
    /// Indexes are rows, unless what the cgroup opens shows that they are not and that Slurm's names are.
    fn new(map: &DeviceMap, step: &StepView, open: &[usize], limited: bool) -> Result<Self, Unresolved> {
        let indexes = step.devices.clone();
        let rows = map.records.len();
        let beyond = indexes.iter().copied().find(|index| *index >= rows);
        let explain = |rows: &[usize]| open.iter().all(|row| rows.contains(row));
        let named = if limited { named_rows(map, &step.step_cuda, step.devices.len()) } else { None };
        if let Some(named) = named.filter(|named| explain(named)) {
            let same = named.iter().all(|row| indexes.contains(row));
            if same || beyond.is_some() || !explain(&indexes) {
                let devices = devices_of(map, &named)?;
                return Ok(Given { indexes, rows: named, devices });
            }
        }
        match beyond {
            Some(index) => Err(Unresolved::Beyond { index, rows }),
            None => Ok(Given { rows: indexes.clone(), devices: devices_of(map, &indexes)?, indexes }),
        }
    }

    fn all(&self) -> Vec<usize> {
        self.devices.clone()
    }
}

/// The devices among rows. A job that takes the whole node (`--exclusive`) has every record of it, those of nothing too, and
/// is told of the devices alone; anybody else who has one of nothing was given what is not there.
fn devices_of(map: &DeviceMap, rows: &[usize]) -> Result<Vec<usize>, Unresolved> {
    let kind = |row: &usize| map.records[*row].no_device();
    let whole_node = rows.iter().any(|row| matches!(kind(row), Some(NoDevice::Guard | NoDevice::Pad)));
    match rows.iter().copied().find(|row| kind(row) == Some(NoDevice::Void)) {
        Some(index) if !whole_node => Err(Unresolved::Void { index }),
        _ => Ok(ascending(rows.iter().copied().filter(|row| kind(row).is_none()))),
    }
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
    let verdicts: Vec<Access> =
        map.records.iter().enumerate().map(|(index, record)| access(index, record)).collect();
    let is_device = |row: &usize| map.records[*row].no_device().is_none();
    let open: Vec<usize> =
        (0..verdicts.len()).filter(|row| verdicts[*row] == Access::Allowed && is_device(row)).collect();
    let limited = verdicts.contains(&Access::Denied);
    let given = Given::new(map, step, &open, limited)?;
    for row in given.all() {
        usable(row, &map.records[row], &verdicts[row])?;
    }
    if limited {
        let mut indexes = by_cgroup(step, &given, &open)?;
        indexes.retain(is_device);
        let devices = Devices { indexes, limits_not_in_force: false };
        return Ok(match compare(&step.cuda, map, &devices.indexes) {
            Said::Same => Resolution::Keep(devices),
            Said::Nothing | Said::SameMig | Said::Other => Resolution::Set(devices),
        });
    }
    // Nobody is given a guard, so one that is open shows as much as another's device.
    let is_foreign_guard = |row: usize| {
        map.records[row].no_device() == Some(NoDevice::Guard)
            && verdicts[row] == Access::Allowed
            && !given.rows.contains(&row)
    };
    let reaches_others = open.len() != given.devices.len() || (0..verdicts.len()).any(is_foreign_guard);
    let mut indexes = by_variables(step, &given, reaches_others)?;
    indexes.retain(is_device);
    let devices = Devices { indexes, limits_not_in_force: step.constrained && reaches_others };
    match compare(&step.cuda, map, &devices.indexes) {
        Said::Same => Ok(Resolution::Keep(devices)),
        Said::Nothing | Said::SameMig => Ok(Resolution::Set(devices)),
        // Nothing but Slurm's word on either side.
        Said::Other => {
            let named = step.cuda.devices().unwrap_or_default().to_vec();
            Err(Unresolved::Disagree { named, devices: devices.indexes })
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
fn by_cgroup(step: &StepView, given: &Given, open: &[usize]) -> Result<Vec<usize>, Unresolved> {
    let all = given.all();
    if let Some(index) = open.iter().copied().find(|row| !all.contains(row)) {
        return Err(Unresolved::Foreign { index, devices: ascending(given.indexes.iter().copied()) });
    }
    match all.iter().copied().find(|row| !open.contains(row)) {
        None => refined(step, given),
        Some(index) if !step.binds_tasks => Err(Unresolved::Denied { index }),
        Some(_) if open.is_empty() => Err(Unresolved::AllDenied { devices: all }),
        Some(_) => Ok(open.to_vec()),
    }
}

/// The task may open every device of the step: under task sharing its list says which are meant for it.
fn refined(step: &StepView, given: &Given) -> Result<Vec<usize>, Unresolved> {
    let Some(task) = shorter(step, given) else { return Ok(given.all()) };
    match step.sharing {
        Sharing::Absent => Ok(given.all()),
        Sharing::Node => by_index(task, given),
        // Where Slurm names devices, its lists count those of the node throughout.
        Sharing::Step if step.step_cuda.devices().is_some() => by_index(task, given),
        Sharing::Step => by_position(task, given),
    }
}

/// The cgroup denies nothing: Slurm's lists are all there is.
fn by_variables(step: &StepView, given: &Given, reaches_others: bool) -> Result<Vec<usize>, Unresolved> {
    let Some(task) = shorter(step, given) else { return Ok(given.all()) };
    if !step.constrained {
        return by_index(task, given);
    }
    match step.sharing {
        Sharing::Node | Sharing::Step if !reaches_others => refined(step, given),
        _ => Err(Unresolved::NotEnforced { task: task.clone() }),
    }
}

/// The list of a task that Slurm bound to fewer devices than the step has.
fn shorter<'a>(step: &'a StepView, given: &Given) -> Option<&'a Vec<usize>> {
    step.task.as_ref().filter(|task| step.binds_tasks && task.len() < given.rows.len())
}

/// `task` read as devices of the node.
fn by_index(task: &[usize], given: &Given) -> Result<Vec<usize>, Unresolved> {
    let position = |index: &usize| given.indexes.iter().position(|of_step| of_step == index);
    rows(task, given, |index| position(index).map(|at| given.rows[at]))
}

/// `task` read as positions among the devices of the step.
fn by_position(task: &[usize], given: &Given) -> Result<Vec<usize>, Unresolved> {
    rows(task, given, |at| given.rows.get(*at).copied())
}

fn rows(
    task: &[usize],
    given: &Given,
    row: impl Fn(&usize) -> Option<usize>,
) -> Result<Vec<usize>, Unresolved> {
    let rows: Option<Vec<usize>> = task.iter().map(row).collect();
    let misread =
        || Unresolved::Shared { task: task.to_vec(), devices: ascending(given.indexes.iter().copied()) };
    rows.map(|rows| ascending(rows.into_iter())).ok_or_else(misread)
}

fn ascending(indexes: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut indexes: Vec<usize> = indexes.collect();
    indexes.sort_unstable();
    indexes.dedup();
    indexes
}

#[cfg(test)]
mod tests;
