//! Names that Slurm itself gave: kept where right, a proof of what its indexes mean where the cgroup bears them out,
//! corrected where it does not, and never a guess.

use super::*;

/// A step that Slurm gave `devices` and called `step`, and a task of it that Slurm called `task`.
fn named(view: StepView, step: &[usize], task: &[usize]) -> StepView {
    let names = |rows: &[usize]| Visible::Names(rows.iter().map(|row| uuid(*row)).collect());
    StepView { step_cuda: names(step), cuda: names(task), ..view }
}

/// The same names for the step and the task, as they come in a list.
fn listed(view: StepView, names: &[&str]) -> StepView {
    let names = Visible::Names(names.iter().map(|name| (*name).to_owned()).collect());
    StepView { step_cuda: names.clone(), cuda: names, ..view }
}

fn keep(indexes: &[usize]) -> Result<Resolution, Unresolved> {
    Ok(Resolution::Keep(Devices { indexes: indexes.to_vec(), limits_not_in_force: false }))
}

fn foreign(index: usize, devices: &[usize]) -> Result<Resolution, Unresolved> {
    Err(Unresolved::Foreign { index, devices: devices.to_vec() })
}

fn disagree(named: &[usize], devices: &[usize]) -> Result<Resolution, Unresolved> {
    let named = named.iter().map(|row| uuid(*row)).collect();
    Err(Unresolved::Disagree { named, devices: devices.to_vec() })
}

type Row = (&'static str, StepView, &'static [usize], Result<Resolution, Unresolved>);

#[test]
fn where_indexes_are_rows_names_only_decide_between_keeping_and_setting() {
    let rows: [Row; 7] = [
        ("right", named(step(&[1]), &[1], &[1]), &[1], keep(&[1])),
        ("another order", named(step(&[1, 2]), &[2, 1], &[2, 1]), &[1, 2], keep(&[1, 2])),
        ("drivers before 470.42.01", listed(step(&[1]), &["MIG-GPU-p/8/0"]), &[1], keep(&[1])),
        // Up to 23.11.3 every bound task is called by the step's first device.
        ("bound, the first task", named(bound(&[1, 2], &[1]), &[1, 2], &[1]), &[1], keep(&[1])),
        ("bound, the second task", named(bound(&[1, 2], &[1]), &[1, 2], &[1]), &[2], set(&[2])),
        // `Flags=no_gpu_env` in gres.conf: what stands there is the user's.
        ("exported by the user", named(step(&[1, 2]), &[3, 4], &[3, 4]), &[1, 2], set(&[1, 2])),
        ("exported, bound", named(bound(&[1, 2], &[1]), &[2, 5], &[2, 5]), &[2], set(&[2])),
    ];
    for (name, view, open, wanted) in rows {
        assert_eq!(on_six(&view, open), wanted, "{name}");
    }
}

#[test]
fn the_cgroup_proves_names_against_indexes() {
    let sorted = |view| named(view, &[3, 4], &[3, 4]);
    let rows: [Row; 9] = [
        ("step", sorted(step(&[0, 1])), &[3, 4], keep(&[3, 4])),
        ("batch", sorted(batch(&[0, 1])), &[3, 4], keep(&[3, 4])),
        ("bound, named right", named(bound(&[0, 1], &[0]), &[3, 4], &[3]), &[3], keep(&[3])),
        ("bound, named wrong", named(bound(&[0, 1], &[0]), &[3, 4], &[3]), &[4], set(&[4])),
        // What the cgroup opens is the answer whichever list it lies in.
        ("bound, in both lists", named(bound(&[0, 1], &[0]), &[1, 2], &[1]), &[1], keep(&[1])),
        ("more devices than rows", sorted(step(&[6, 7])), &[3, 4], keep(&[3, 4])),
        ("names wrong, too", sorted(step(&[0, 1])), &[3, 5], foreign(3, &[0, 1])),
        ("script with a device denied", sorted(batch(&[0, 1])), &[3], Err(Unresolved::Denied { index: 4 })),
        ("all denied", sorted(step(&[0])), &[], Err(Unresolved::AllDenied { devices: vec![0] })),
    ];
    for (name, view, open, wanted) in rows {
        assert_eq!(on_six(&view, open), wanted, "{name}");
    }
}

#[test]
fn only_a_name_for_every_device_proves_anything() {
    let with = |names: &[&str]| on_six(&listed(step(&[0, 1]), names), &[3, 4]);
    assert_eq!(with(&["MIG-3", "MIG-4"]), keep(&[3, 4]));
    for names in [
        &["MIG-3"][..],
        &["MIG-3", "MIG-4", "MIG-5"],
        &["MIG-3", "MIG-3"],
        &["MIG-3", "MIG-of-another-node"],
        // A whole GPU beside a MIG device under AutoDetect=nvml.
        &["MIG-3", "1"],
        &["NoDevFiles"],
    ] {
        assert_eq!(with(names), foreign(3, &[0, 1]), "{names:?}");
    }
    let beyond = listed(step(&[0, 6]), &["MIG-3", "1"]);
    assert_eq!(on_six(&beyond, &[3, 4]), Err(Unresolved::Beyond { index: 6, rows: 6 }));
}

#[test]
fn names_are_not_looked_at_where_the_indexes_explain_what_is_open() {
    let view = named(bound(&[1, 2], &[1]), &[1, 5], &[1, 5]);
    let gone = |index: usize| match index {
        1 => Access::Allowed,
        5 => Access::Missing,
        _ => Access::Denied,
    };
    assert_eq!(resolve(&map(6), &view, |index, _| gone(index)), set(&[1]));
}

#[test]
fn a_named_device_must_be_there_as_well() {
    let view = named(step(&[0, 1]), &[3, 4], &[3, 4]);
    let verdict = |index: usize| match index {
        3 => Access::Allowed,
        4 => Access::Missing,
        _ => Access::Denied,
    };
    let missing = Err(Unresolved::Missing { index: 4, path: "/cap4".into() });
    assert_eq!(resolve(&map(6), &view, |index, _| verdict(index)), missing);
}

/// Where Slurm names MIG devices itself, its lists count devices of the node under task sharing, too
/// (`GRES_CONF_GLOBAL_INDEX`, src/interfaces/gres.c, from 23.11.4; `GRES_CONF_UUID` from 26.05, where it was seen).
#[test]
fn task_sharing_counts_devices_of_the_node_where_slurm_names_them() {
    for sharing in [Sharing::Node, Sharing::Step] {
        let task = |rows: &[usize], task: usize, name: usize| {
            let view = shares(sharing, bound(&[1, 2], &[task]));
            on_six(&named(view, rows, &[name]), rows)
        };
        assert_eq!(task(&[1, 2], 1, 1), keep(&[1]), "{sharing:?}");
        assert_eq!(task(&[1, 2], 2, 2), keep(&[2]), "{sharing:?}");
        assert_eq!(task(&[3, 4], 1, 3), keep(&[3]), "{sharing:?}, sorted");
        assert_eq!(task(&[3, 4], 2, 4), keep(&[4]), "{sharing:?}, sorted");
        assert_eq!(task(&[2, 1], 2, 1), keep(&[1]), "{sharing:?}, sorted within the step");
        let refused = Err(Unresolved::Shared { task: vec![0], devices: vec![1, 2] });
        assert_eq!(task(&[1, 2], 0, 1), refused, "{sharing:?}");
    }
    // A GPU that Slurm gives as a number is among devices that it names.
    let view = shares(Sharing::Step, bound(&[1, 2], &[2]));
    assert_eq!(on_six(&listed(view, &["MIG-1", "2"]), &[1, 2]), set(&[2]));
    // Names of no device are no names.
    let view = shares(Sharing::Step, bound(&[1, 2], &[1]));
    assert_eq!(on_six(&listed(view, &["a", "b"]), &[1, 2]), set(&[2]));
}

#[test]
fn without_limits_names_and_indexes_must_agree() {
    let rows: [(&str, StepView, Result<Resolution, Unresolved>); 8] = [
        ("right", named(step(&[1]), &[1], &[1]), keep(&[1])),
        ("sorted", named(step(&[1]), &[4], &[4]), disagree(&[4], &[1])),
        ("bound, right", named(bound(&[1, 2], &[2]), &[1, 2], &[2]), keep(&[2])),
        ("bound, sorted", named(bound(&[1, 2], &[2]), &[3, 4], &[4]), disagree(&[4], &[2])),
        ("every device, sorted", named(step(&ALL), &[5, 4, 3, 2, 1, 0], &[5, 4, 3, 2, 1, 0]), keep(&ALL)),
        (
            "every device, sorted, bound",
            named(bound(&ALL, &[1]), &[5, 4, 3, 2, 1, 0], &[4]),
            disagree(&[4], &[1]),
        ),
        ("fewer names", named(step(&[1, 2]), &[1], &[1]), disagree(&[1], &[1, 2])),
        ("no name of a device", listed(step(&[1]), &["NoDevFiles"]), set(&[1])),
    ];
    for (name, view, wanted) in rows {
        assert_eq!(on_six(&free(view), &ALL), wanted, "{name}");
    }
}

/// Six MIG devices and then two whole GPUs, which Slurm's NVML plugin gives as numbers.
#[test]
fn a_number_beside_names_is_a_whole_gpu() {
    let mut map = map(8);
    for record in &mut map.records[6..] {
        record.instance = None;
    }
    let unlimited = |view: StepView| resolve(&map, &free(view), |_, _| Access::Allowed);
    assert_eq!(unlimited(listed(step(&[1, 6]), &["MIG-1", "6"])), set(&[1, 6]));
    assert_eq!(unlimited(listed(step(&[1, 6, 7]), &["MIG-1", "6", "7"])), set(&[1, 6, 7]));
    // The index says a MIG device, or a name says another one.
    for (devices, names) in [([1, 2], ["MIG-1", "2"]), ([1, 6], ["MIG-2", "6"])] {
        let named = names.map(str::to_owned).to_vec();
        let wanted = Err(Unresolved::Disagree { named, devices: devices.to_vec() });
        assert_eq!(unlimited(listed(step(&devices), &names)), wanted);
    }
}

/// The six rows in any order: as many of them as the step has devices are its names.
fn order() -> impl Strategy<Value = Vec<usize>> {
    Just(ALL.to_vec()).prop_shuffle()
}

fn devices_of(resolution: Result<Resolution, Unresolved>) -> Option<Vec<usize>> {
    match resolution {
        Ok(Resolution::Set(devices) | Resolution::Keep(devices)) => Some(devices.indexes),
        Err(_) => None,
    }
}

proptest! {
    /// A map that is slurmd's: no name leads a task to a device that Slurm did not give to its step.
    #[test]
    fn names_mislead_nobody(mut view in view(), order in order(), task in subset(6), open in subset(6)) {
        view.devices.retain(|index| *index < 6);
        let open: Vec<_> = open.into_iter().filter(|index| view.devices.contains(index)).collect();
        let names: Vec<_> = order.into_iter().take(view.devices.len()).collect();
        if let Some(misled) = devices_of(on_six(&named(view.clone(), &names, &task), &open)) {
            prop_assert!(misled.iter().all(|index| view.devices.contains(index)));
            // Under task sharing names say how the task's list counts.
            prop_assert!(view.sharing != Sharing::Absent || Some(misled) == devices_of(on_six(&view, &open)));
        }
    }

    /// A map whose order is not slurmd's: devices are those that Slurm named and that are open.
    #[test]
    fn names_are_enough_under_limits(view in view(), count in 1..6usize, order in order(), hidden in 0..6usize) {
        let devices = (0..7).rev().take(count).collect();
        let view = StepView { devices, ..shares(Sharing::Absent, view) };
        let names: Vec<_> = order.into_iter().take(view.devices.len()).collect();
        let open: Vec<_> = if view.binds_tasks && names.len() > 1 { names.iter().copied().filter(|row| *row != names[hidden % names.len()]).collect() } else { names.clone() };
        let mut wanted = open.clone();
        wanted.sort_unstable();
        prop_assert_eq!(devices_of(on_six(&named(view, &names, &names), &open)), Some(wanted));
    }
}
