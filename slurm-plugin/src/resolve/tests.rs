//! One row per launch mode seen on a real Slurm, and one per way in which the sources can contradict each other.

mod names;

use std::path::PathBuf;

use super::*;
use crate::names::Visible;
use device_map::DeviceFile;
use proptest::prelude::*;

/// `rows` MIG devices; `uuid(3)` is the one of row 3.
fn map(rows: usize) -> DeviceMap {
    let record = |index: usize| Record {
        gres_type: "1g.5gb".into(),
        uuid: uuid(index),
        parent: "GPU-p".into(),
        instance: Some((7 + index as u32, 0)),
        files: vec![DeviceFile { path: format!("/cap{index}").into(), major: 238, minor: index as u32 }],
    };
    DeviceMap { records: (0..rows).map(record).collect(), ..DeviceMap::default() }
}

fn uuid(index: usize) -> String {
    format!("MIG-{index}")
}

/// A numbered step of 22.05 with these devices, constrained, its task not bound.
fn step(devices: &[usize]) -> StepView {
    StepView {
        binds_tasks: true,
        devices: devices.to_vec(),
        task: Some(devices.to_vec()),
        step_cuda: Visible::Positions((0..devices.len()).collect()),
        cuda: Visible::Positions((0..devices.len()).collect()),
        constrained: true,
        sharing: Sharing::Absent,
    }
}

fn bound(devices: &[usize], task: &[usize]) -> StepView {
    StepView { task: Some(task.to_vec()), ..step(devices) }
}

fn free(view: StepView) -> StepView {
    StepView { constrained: false, ..view }
}

fn shares(sharing: Sharing, view: StepView) -> StepView {
    StepView { sharing, ..view }
}

fn batch(devices: &[usize]) -> StepView {
    StepView { binds_tasks: false, ..step(devices) }
}

/// Resolves on a node of six devices of which the cgroup opens `open`.
fn on_six(view: &StepView, open: &[usize]) -> Result<Resolution, Unresolved> {
    resolve(&map(6), view, |index, _| if open.contains(&index) { Access::Allowed } else { Access::Denied })
}

const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

fn set(indexes: &[usize]) -> Result<Resolution, Unresolved> {
    Ok(Resolution::Set(Devices { indexes: indexes.to_vec(), limits_not_in_force: false }))
}

fn set_without_limits(indexes: &[usize]) -> Result<Resolution, Unresolved> {
    Ok(Resolution::Set(Devices { indexes: indexes.to_vec(), limits_not_in_force: true }))
}

/// Two devices of a node with a GPU on request, at 0 and 2, beside one that is not cut, a guard and a pad.
fn on_request(view: &StepView, open: &[usize]) -> Result<Resolution, Unresolved> {
    let mut map = map(5);
    for (index, kind) in [(1, NoDevice::Void), (3, NoDevice::Guard), (4, NoDevice::Pad)] {
        let record = &mut map.records[index];
        (record.uuid, record.instance) = (kind.name(index), None);
    }
    resolve(&map, view, |index, _| if open.contains(&index) { Access::Allowed } else { Access::Denied })
}

#[test]
fn records_of_nothing_are_no_devices() {
    assert_eq!(on_request(&step(&[2]), &[2]), set(&[2]));
    assert_eq!(on_request(&step(&[0, 2]), &[0, 2]), set(&[0, 2]));
    // --exclusive, and its script.
    let all = [0, 1, 2, 3, 4];
    assert_eq!(on_request(&step(&all), &all), set(&[0, 2]));
    assert_eq!(on_request(&batch(&all), &all), set(&[0, 2]));
    // A node that is not cut at all, to a job that asked for no devices.
    assert_eq!(on_request(&batch(&[1, 3, 4]), &[1, 3, 4]), set(&[]));
    // Tasks bound within it.
    assert_eq!(on_request(&bound(&all, &[2]), &[2]), set(&[2]));
    // What is not there.
    assert_eq!(on_request(&step(&[1]), &[1]), Err(Unresolved::Void { index: 1 }));
    assert_eq!(on_request(&step(&[0, 1]), &[0, 1]), Err(Unresolved::Void { index: 1 }));
    // Something is denied, so limits are in force.
    assert_eq!(on_request(&step(&[0, 2]), &[0, 2, 3]), set(&[0, 2]));
    // Nothing is, and the guard shows it where the step has every device.
    assert_eq!(on_request(&step(&[0, 2]), &all), set_without_limits(&[0, 2]));
    assert!(matches!(on_request(&step(&[0]), &[0, 2]), Err(Unresolved::Foreign { index: 2, .. })));
}

#[test]
fn constrained() {
    let rows: [(&str, StepView, &[usize], &[usize]); 12] = [
        ("batch", batch(&[2, 3]), &[2, 3], &[2, 3]),
        ("step, not bound", step(&[2, 3]), &[2, 3], &[2, 3]),
        ("step, every device of the node", step(&ALL), &ALL, &ALL),
        // Every task sees the step's first device in its variables; its cgroup knows better.
        ("gpus-per-task=1, task 0", bound(&[1, 2], &[1]), &[1], &[1]),
        ("gpus-per-task=1, task 1", bound(&[1, 2], &[1]), &[2], &[2]),
        ("gpu-bind=single, every device in the step", bound(&ALL, &[0]), &[4], &[4]),
        ("gpu-bind=map_gpu:2,0, task 0", bound(&[0, 1, 4], &[0]), &[4], &[4]),
        ("gpu-bind=mask_gpu:0x6", bound(&[0, 1, 2], &[0, 1]), &[1, 2], &[1, 2]),
        ("gpu-bind=closest to all", bound(&[0, 1, 2], &[0, 1, 2]), &[0, 1, 2], &[0, 1, 2]),
        // 22.05 with a typed --gpus-per-task of a letter-led type leaves the task without a list.
        ("task list unset", StepView { task: None, ..step(&[0, 3]) }, &[0, 3], &[0, 3]),
        ("task list unset, bound", StepView { task: None, ..step(&[0, 3]) }, &[3], &[3]),
        // A shorter list without sharing, and a cgroup open to the whole step: all of it, for every task.
        ("bound, cgroup of the step", bound(&[0, 3], &[0]), &[0, 3], &[0, 3]),
    ];
    for (name, view, open, devices) in rows {
        assert_eq!(on_six(&view, open), set(devices), "{name}");
    }
}

#[test]
fn constrained_with_task_sharing() {
    let step_counts = |task: &[usize]| shares(Sharing::Step, bound(&[0, 2], task));
    let node_counts = |task: &[usize]| shares(Sharing::Node, bound(&[0, 2], task));
    assert_eq!(on_six(&step_counts(&[0]), &[0, 2]), set(&[0]));
    assert_eq!(on_six(&step_counts(&[1]), &[0, 2]), set(&[2]));
    assert_eq!(on_six(&node_counts(&[0]), &[0, 2]), set(&[0]));
    assert_eq!(on_six(&node_counts(&[2]), &[0, 2]), set(&[2]));
    // A bound task of these releases that does not share is known by its smaller cgroup.
    assert_eq!(on_six(&step_counts(&[0]), &[2]), set(&[2]));
    assert_eq!(on_six(&node_counts(&[0]), &[2]), set(&[2]));
    // The step has the whole node: nothing is denied, and positions are devices.
    let whole = shares(Sharing::Step, bound(&ALL, &[3]));
    assert_eq!(on_six(&whole, &ALL), set(&[3]));
    let misread = shares(Sharing::Step, bound(&[0, 2], &[2]));
    assert_eq!(on_six(&misread, &[0, 2]), Err(Unresolved::Shared { task: vec![2], devices: vec![0, 2] }));
    let misread = shares(Sharing::Node, bound(&[0, 2], &[1]));
    assert_eq!(on_six(&misread, &[0, 2]), Err(Unresolved::Shared { task: vec![1], devices: vec![0, 2] }));
}

#[test]
fn unconstrained() {
    let rows: [(&str, StepView, &[usize]); 7] = [
        ("batch", batch(&[2, 3]), &[2, 3]),
        ("step, not bound", step(&[2, 3]), &[2, 3]),
        ("gpus-per-task=1, task 0", bound(&[1, 2], &[1]), &[1]),
        ("gpus-per-task=1, task 1", bound(&[1, 2], &[2]), &[2]),
        ("whole node, bound", bound(&ALL, &[4]), &[4]),
        ("mask", bound(&[0, 1, 2], &[1, 2]), &[1, 2]),
        ("task list unset", StepView { task: None, ..step(&[0, 3]) }, &[0, 3]),
    ];
    for (name, view, devices) in rows {
        for sharing in [Sharing::Absent, Sharing::Node, Sharing::Step] {
            let view = free(shares(sharing, view.clone()));
            assert_eq!(on_six(&view, &ALL), set(devices), "{name}, {sharing:?}");
        }
    }
}

#[test]
fn unconstrained_task_sharing_is_only_read_where_both_readings_agree() {
    let task = |devices: &[usize], task: &[usize]| free(shares(Sharing::Step, bound(devices, task)));
    assert_eq!(on_six(&task(&[0, 1], &[0]), &ALL), set(&[0]));
    assert_eq!(on_six(&task(&[0, 1], &[1]), &ALL), set(&[1]));
    // Seen on 24.11.5 and 26.05.5: a step with devices 1 and 2, tasks with lists 0 and 1.
    let refused = Err(Unresolved::Shared { task: vec![0], devices: vec![1, 2] });
    assert_eq!(on_six(&task(&[1, 2], &[0]), &ALL), refused);
    // One device is one device, however the task counts it.
    assert_eq!(on_six(&task(&[2], &[0]), &ALL), set(&[2]));
}

#[test]
fn limits_that_are_not_in_force_are_noticed() {
    // Slurm 22.05.8 on cgroup v2 with 11 instances or more: constrained by configuration, open in fact.
    assert_eq!(on_six(&batch(&[1]), &ALL), set_without_limits(&[1]));
    assert_eq!(on_six(&step(&[1, 2]), &ALL), set_without_limits(&[1, 2]));
    for task in 0..2 {
        // Both tasks have the same list, and one of them would be wrong.
        let view = bound(&[1, 2], &[1]);
        assert_eq!(on_six(&view, &ALL), Err(Unresolved::NotEnforced { task: vec![1] }), "task {task}");
    }
    // With the whole node in the step nothing can be denied, so the lists are refused all the same.
    assert_eq!(on_six(&bound(&ALL, &[0]), &ALL), Err(Unresolved::NotEnforced { task: vec![0] }));
    assert_eq!(on_six(&step(&ALL), &ALL), set(&ALL));
    // Nor does task sharing explain a device of another step.
    let view = shares(Sharing::Step, bound(&[1, 2], &[0]));
    assert_eq!(on_six(&view, &ALL), Err(Unresolved::NotEnforced { task: vec![0] }));
}

#[test]
fn a_map_that_is_not_slurmds_is_noticed() {
    assert_eq!(on_six(&step(&[6]), &[0]), Err(Unresolved::Beyond { index: 6, rows: 6 }));
    // Reordered: the cgroup opens another row than the one Slurm gave.
    let foreign = Err(Unresolved::Foreign { index: 3, devices: vec![2] });
    assert_eq!(on_six(&step(&[2]), &[3]), foreign);
    assert_eq!(on_six(&batch(&[2]), &[3]), foreign);
    // A row slurmd does not know is open to everybody.
    let foreign = Err(Unresolved::Foreign { index: 5, devices: vec![0] });
    assert_eq!(on_six(&step(&[0]), &[0, 5]), foreign);
    // Slurm denies a device it gave.
    assert_eq!(on_six(&batch(&[0, 1]), &[0]), Err(Unresolved::Denied { index: 1 }));
    assert_eq!(on_six(&batch(&[0]), &[]), Err(Unresolved::Denied { index: 0 }));
    assert_eq!(on_six(&step(&[0]), &[]), Err(Unresolved::AllDenied { devices: vec![0] }));
}

/// Resolves on six devices of which the first is the step's and open, and the others as given.
fn with(verdicts: &[(usize, Access)], view: &StepView) -> Result<Resolution, Unresolved> {
    resolve(&map(6), view, |index, _| {
        let given = verdicts.iter().find(|(at, _)| *at == index).map(|(_, access)| access.clone());
        given.unwrap_or(if view.devices.contains(&index) { Access::Allowed } else { Access::Denied })
    })
}

#[test]
fn a_device_of_the_step_without_a_verdict_is_no_device() {
    let path = PathBuf::from("/cap0");
    let cases = [
        (Access::Missing, Unresolved::Missing { index: 0, path: path.clone() }),
        (Access::Hidden, Unresolved::Hidden { index: 0, path: path.clone() }),
        (
            Access::Changed("238:9".into()),
            Unresolved::Changed { index: 0, path: path.clone(), found: "238:9".into() },
        ),
        (Access::Unknown("EIO".into()), Unresolved::Unknown { index: 0, path, why: "EIO".into() }),
    ];
    for (access, error) in cases {
        assert_eq!(with(&[(0, access)], &step(&[0, 1])), Err(error));
    }
}

#[test]
fn a_device_of_somebody_else_without_a_verdict_is_not_our_matter() {
    for access in [Access::Missing, Access::Hidden, Access::Changed("x".into())] {
        assert_eq!(with(&[(3, access)], &step(&[0, 1])), set(&[0, 1]));
    }
}

#[test]
fn every_reason_names_its_object_first() {
    let path = PathBuf::from("/dev/nvidia-caps/nvidia-cap66");
    let reasons = [
        Unresolved::Beyond { index: 7, rows: 7 },
        Unresolved::Void { index: 4 },
        Unresolved::Missing { index: 0, path: path.clone() },
        Unresolved::Changed { index: 0, path: path.clone(), found: "238:70".into() },
        Unresolved::Hidden { index: 0, path: path.clone() },
        Unresolved::Unknown { index: 0, path, why: "input/output error".into() },
        Unresolved::Foreign { index: 3, devices: vec![1, 2] },
        Unresolved::Denied { index: 1 },
        Unresolved::AllDenied { devices: vec![0, 1] },
        Unresolved::Shared { task: vec![0], devices: vec![1, 2] },
        Unresolved::NotEnforced { task: vec![0] },
        Unresolved::Disagree { named: vec!["MIG-a".into()], devices: vec![1] },
    ];
    let text: Vec<String> = reasons.iter().map(Unresolved::to_string).collect();
    insta::assert_snapshot!(text.join("\n"));
}

fn subset(of: usize) -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence((0..of).collect::<Vec<_>>(), 0..=of)
}

fn view() -> impl Strategy<Value = StepView> {
    let sharing = prop_oneof![Just(Sharing::Absent), Just(Sharing::Node), Just(Sharing::Step)];
    (any::<bool>(), subset(7), proptest::option::of(subset(7)), any::<bool>(), sharing).prop_map(
        |(binds_tasks, devices, task, constrained, sharing)| StepView {
            binds_tasks,
            step_cuda: Visible::Positions((0..devices.len()).collect()),
            cuda: Visible::Positions((0..devices.len()).collect()),
            devices,
            task,
            constrained,
            sharing,
        },
    )
}

proptest! {
    /// Whatever Slurm says, a task never gets a device that Slurm did not give to its step, nor one that it
    /// cannot open.
    #[test]
    fn only_devices_that_are_given_and_open(view in view(), open in subset(6)) {
        if let Ok(Resolution::Set(devices) | Resolution::Keep(devices)) = on_six(&view, &open) {
            prop_assert!(devices.indexes.iter().all(|index| view.devices.contains(index)));
            prop_assert!(devices.indexes.iter().all(|index| open.contains(index)));
        }
    }

    /// Nor do two tasks of one step ever get the same device unless their lists have one in common, whatever these
    /// count.
    #[test]
    fn separate_lists_give_separate_devices(view in view(), order in Just(ALL.to_vec()).prop_shuffle(), at in 0..6usize) {
        let (first, second) = order.split_at(at);
        let indexes = |task: &[usize]| match on_six(&free(StepView { task: Some(task.to_vec()), ..view.clone() }), &ALL) {
            Ok(Resolution::Set(devices)) if task.len() < view.devices.len() && view.binds_tasks => devices.indexes,
            _ => Vec::new(),
        };
        let (first, second) = (indexes(first), indexes(second));
        prop_assert!(first.iter().all(|index| !second.contains(index)));
    }

    /// Two bound tasks whose cgroups open different devices never get the same one.
    #[test]
    fn separate_cgroups_give_separate_devices(view in view(), first in subset(6), second in subset(6)) {
        prop_assume!(first.iter().all(|index| !second.contains(index)));
        let indexes = |open: &[usize]| match on_six(&view, open) {
            Ok(Resolution::Set(devices)) => devices.indexes,
            _ => Vec::new(),
        };
        let (first, second) = (indexes(&first), indexes(&second));
        prop_assert!(first.iter().all(|index| !second.contains(index)));
    }
}
