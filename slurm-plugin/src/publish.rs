//! The variables a task gets.

use std::ffi::{CStr, CString};

use device_map::DeviceMap;
use spank::Spank;

use crate::args::Variable;
use crate::options::{Naming, Share, Wishes};
use crate::resolve::Resolution;

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
    let kept = matches!(resolution, Resolution::Keep(_));
    let shown = shown(resolution, wishes.share, task);
    let all = shown.len() == resolution.devices().indexes.len();
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
fn shown(resolution: &Resolution, share: Share, task: usize) -> &[usize] {
    let all = resolution.devices().indexes.as_slice();
    match share {
        Share::One if !all.is_empty() => std::slice::from_ref(&all[task % all.len()]),
        _ => all,
    }
}

/// Tells the user about several MIG devices in one task, of which an older CUDA uses only the first.
pub fn notice(
    map: &DeviceMap,
    resolution: &Resolution,
    wishes: Wishes,
    variables: &[Variable],
) -> Option<String> {
    if wishes.naming != Naming::Uuid || !variables.contains(&Variable::Cuda) {
        return None;
    }
    // However tasks take turns, each sees as many.
    let shown = shown(resolution, wishes.share, 0);
    let count = shown.iter().filter(|index| map.records[**index].instance.is_some()).count();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Devices;
    use device_map::Record;

    fn map() -> DeviceMap {
        let record = |uuid: &str, instance| Record {
            gres_type: "t".into(),
            uuid: uuid.into(),
            parent: "GPU-p".into(),
            instance,
            files: Vec::new(),
        };
        let (gi, none) = (Some((1, 0)), None);
        let records =
            vec![record("MIG-a", gi), record("MIG-b", gi), record("GPU-c", none), record("GPU-d", none)];
        DeviceMap { records, ..DeviceMap::default() }
    }

    fn devices(indexes: &[usize]) -> Devices {
        Devices { indexes: indexes.to_vec(), limits_not_in_force: false }
    }

    fn changes_for(resolution: &Resolution, naming: Naming, share: Share, task: usize) -> Vec<Change> {
        let both = [Variable::Cuda, Variable::Nvidia];
        changes(&map(), resolution, Wishes { naming, share }, task, &both)
    }

    fn cuda(value: &str) -> Change {
        Change::Set(Variable::Cuda, value.into())
    }

    fn nvidia(value: &str) -> Change {
        Change::Set(Variable::Nvidia, value.into())
    }

    #[test]
    fn all_devices_by_uuid_unless_asked_otherwise() {
        let set = Resolution::Set(devices(&[0, 1]));
        let changes = |naming, share, task| changes_for(&set, naming, share, task);
        assert_eq!(changes(Naming::Uuid, Share::All, 1), [cuda("MIG-a,MIG-b"), nvidia("MIG-a,MIG-b")]);
        assert_eq!(changes(Naming::Uuid, Share::One, 0), [cuda("MIG-a"), nvidia("MIG-a")]);
        assert_eq!(changes(Naming::Uuid, Share::One, 1), [cuda("MIG-b"), nvidia("MIG-b")]);
        assert_eq!(changes(Naming::Uuid, Share::One, 2), [cuda("MIG-a"), nvidia("MIG-a")]);
        // A container is given devices by UUID whatever CUDA is to see.
        assert_eq!(changes(Naming::Index, Share::All, 0), [nvidia("MIG-a,MIG-b")]);
        let gone = [Change::Unset(Variable::Cuda), Change::Unset(Variable::Nvidia)];
        assert_eq!(changes(Naming::None, Share::All, 0), gone);
    }

    #[test]
    fn what_slurm_named_right_stays_as_it_is() {
        let keep = Resolution::Keep(devices(&[0, 1]));
        assert_eq!(changes_for(&keep, Naming::Uuid, Share::All, 0), [nvidia("MIG-a,MIG-b")]);
        assert_eq!(changes_for(&keep, Naming::Uuid, Share::One, 1), [cuda("MIG-b"), nvidia("MIG-b")]);
    }

    #[test]
    fn several_mig_devices_are_worth_a_notice() {
        let both = [Variable::Cuda, Variable::Nvidia];
        let said = |resolution: &Resolution, naming, share, variables: &[Variable]| {
            notice(&map(), resolution, Wishes { naming, share }, variables).is_some()
        };
        let of =
            |indexes: &[usize]| said(&Resolution::Set(devices(indexes)), Naming::Uuid, Share::All, &both);
        assert!(!of(&[0]) && !of(&[0, 2]) && !of(&[2, 3]));
        assert!(of(&[0, 1]) && of(&[0, 1, 2]));
        let two = Resolution::Keep(devices(&[0, 1]));
        assert!(said(&two, Naming::Uuid, Share::All, &both), "Slurm's own names, too");
        assert!(!said(&two, Naming::Uuid, Share::One, &both));
        assert!(!said(&two, Naming::Index, Share::All, &both));
        assert!(!said(&two, Naming::Uuid, Share::All, &[Variable::Nvidia]), "CUDA does not read it");
        let text = notice(&map(), &two, Wishes::default(), &both).unwrap();
        assert!(text.starts_with("this task has 2 MIG devices; "), "{text}");
    }
}
