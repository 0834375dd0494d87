//! The variables a task gets.

use std::ffi::{CStr, CString};

use device_map::{DeviceMap, Record};
use spank::Spank;

use crate::args::Variable;
use crate::options::{Naming, Share, Wishes};
use crate::resolve::{Devices, Resolution};

/// What is to become of one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It gets this value.
    Set(Variable, String),
    /// It goes.
    Unset(Variable),
}

impl Variable {
    /// Its name in the environment.
    pub fn name(self) -> &'static CStr {
        match self {
            Variable::Cuda => c"CUDA_VISIBLE_DEVICES",
            Variable::Nvidia => c"NVIDIA_VISIBLE_DEVICES",
        }
    }
}

/// The changes that give task number `task` of the node what it was found to have and wishes to see.
pub fn changes(
    map: &DeviceMap,
    resolution: &Resolution,
    wishes: Wishes,
    task: usize,
    variables: &[Variable],
) -> Vec<Change> {
    let (devices, kept) = match resolution {
        Resolution::Keep(devices) => (devices, true),
        Resolution::Set(devices) => (devices, false),
    };
    let shown = shown(devices, wishes.share, task);
    let all = shown.len() == devices.indexes.len();
    let value = shown.iter().map(|index| map.records[*index].uuid.as_str()).collect::<Vec<_>>().join(",");
    let change = |variable: &Variable| match (wishes.naming, variable) {
        (Naming::None, variable) => Some(Change::Unset(*variable)),
        (Naming::Index, Variable::Cuda) => None,
        (_, Variable::Cuda) if kept && all => None,
        (_, variable) => Some(Change::Set(*variable, value.clone())),
    };
    variables.iter().filter_map(change).collect()
}

/// The devices shown to a task; where it wants one, the tasks of the node take turns.
fn shown(devices: &Devices, share: Share, task: usize) -> &[usize] {
    let all = devices.indexes.as_slice();
    match share {
        Share::One if !all.is_empty() => std::slice::from_ref(&all[task % all.len()]),
        _ => all,
    }
}

/// Tells the user about several MIG devices in one task, of which an older CUDA uses only the first.
pub fn notice(map: &DeviceMap, changes: &[Change]) -> Option<String> {
    let value = changes.iter().find_map(|change| match change {
        Change::Set(Variable::Cuda, value) => Some(value),
        _ => None,
    })?;
    let is_mig = |uuid: &str| map.records.iter().any(|r: &Record| r.uuid == uuid && r.instance.is_some());
    let count = value.split(',').filter(|uuid| is_mig(uuid)).count();
    (count > 1).then(|| {
        format!("this task has {count} MIG devices; CUDA of drivers before R570 uses only the first (--mig-per-task=one gives each task one)")
    })
}

/// Makes the changes in the task's environment.
///
/// # Errors
/// A phrase that names the variable.
pub fn apply(spank: &mut Spank<'_>, changes: &[Change]) -> Result<(), String> {
    for change in changes {
        let (variable, outcome) = match change {
            Change::Set(variable, value) => {
                let value = CString::new(value.as_str()).map_err(|error| error.to_string())?;
                (variable, spank.set_env(variable.name(), &value))
            }
            Change::Unset(variable) => (variable, spank.unset_env(variable.name())),
        };
        outcome.map_err(|error| format!("{}: {error}", variable.name().to_string_lossy()))?;
    }
    Ok(())
}
