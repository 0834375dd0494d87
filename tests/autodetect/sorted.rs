//! Several types on several GPUs: Slurm sorts what it detects (`nvml`, difference 1), so its indexes mean other
//! devices than those of the map, while its names are those of the map.
//!
//! Where the device cgroup is in force it proves the names right, and every task is told what it can open. Where it
//! is not, nothing tells whether the names or the indexes are right: a task is refused unless both say the same.

use std::collections::BTreeSet;

use lab::{Output, Probe, Release, User};

use crate::fetched::skipped;
use crate::node::Node;

/// Minors that run against the index, and a GPU without MIG, which Slurm gives as a number.
const GPUS: &str = "a100-40gb:2:shuffled,a100-80gb";
const LAYOUT: [&str; 2] = [
    "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}",
    "devices: [1], mig-enabled: true, mig-devices: {1g.5gb: 1, 4g.20gb: 1}",
];

/// Requests to `srun`, and how many devices each of their tasks has.
const MIG: [(&str, &[usize]); 9] = [
    ("--gres=gpu:1g.5gb:1", &[1]),
    ("--gres=gpu:3g.20gb:1", &[1]),
    ("--gres=gpu:4g.20gb:1", &[1]),
    ("--gres=gpu:1g.5gb:3", &[3]),
    ("-n2 --gres=gpu:1g.5gb:2", &[2, 2]),
    ("-n2 --gres=gpu:1g.5gb:2 --gpu-bind=single:1", &[1, 1]),
    ("-n2 --gres=gpu:1g.5gb:1,gpu:4g.20gb:1 --gpu-bind=single:1", &[1, 1]),
    ("-n3 --gpus-per-task=1", &[1, 1, 1]),
    ("--gres=gpu:1g.5gb:3,gpu:2g.10gb:1,gpu:3g.20gb:1,gpu:4g.20gb:1", &[6]),
];
const WHOLE: [(&str, &[usize]); 3] = [
    ("--gres=gpu:a100:1", &[1]),
    ("--gres=gpu:a100:1,gpu:4g.20gb:1", &[2]),
    ("--gres=gpu:1g.5gb:3,gpu:2g.10gb:1,gpu:3g.20gb:1,gpu:4g.20gb:1,gpu:a100:1", &[7]),
];

fn srun(node: &Node, arguments: &str) -> Output {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let command = [&["srun"], &arguments[..], &["lab-probe"]].concat();
    node.lab.command(&command).user(User::Alice).output().unwrap()
}

/// The UUIDs a task was told, which must be those it could open.
fn told(node: &Node, probe: &Probe) -> BTreeSet<String> {
    let told: BTreeSet<&str> = probe.cuda_list().into_iter().collect();
    assert_eq!(told, node.opened(probe), "{probe:?}");
    told.into_iter().map(str::to_owned).collect()
}

/// Every task of every request is told what it can open.
fn judge_steps(node: &Node, requests: &[(&str, &[usize])]) {
    for (arguments, devices) in requests {
        let output = srun(node, arguments);
        let told: Vec<_> = output.probes().iter().map(|probe| told(node, probe)).collect();
        let counts: Vec<_> = told.iter().map(BTreeSet::len).collect();
        assert_eq!(&counts, devices, "{arguments}: {output:?}");
        if devices.len() > 1 && devices.iter().all(|count| *count == 1) {
            assert_eq!(BTreeSet::from_iter(told).len(), devices.len(), "{arguments}: a device each");
        }
    }
}

/// So are a batch script and the steps in it.
fn judge_batch(node: &Node) {
    let script = "lab-probe; srun lab-probe; srun --exact -n1 --gres=gpu:4g.20gb:1 lab-probe";
    let job = node.lab.sbatch(User::Alice, &["--gres=gpu:1g.5gb:1,gpu:4g.20gb:1"], script).unwrap();
    let output = node.lab.wait_job(job).unwrap().output;
    let counts: Vec<_> = Probe::parse_all(&output).iter().map(|probe| told(node, probe).len()).collect();
    assert_eq!(counts, [2, 2, 1], "{output}");
    assert!(!output.contains("[mig]"), "{output}");
}

fn judge_constrained(node: &Node) {
    assert_ne!(node.detected(), node.predicted(), "Slurm has sorted its devices");
    judge_steps(node, &MIG);
    judge_batch(node);
}

#[test]
fn the_cgroup_proves_the_names_of_nvml() {
    if skipped() {
        return;
    }
    let Some(node) = Node::cut(GPUS, &LAYOUT) else { return };
    let node = node.notices_off().detecting().start();
    judge_constrained(&node);
    // A whole GPU has no name here, so nothing proves its index wrong.
    for (arguments, _) in &WHOLE[..2] {
        assert_refused(&srun(&node, arguments), "device ");
    }
    judge_steps(&node, &WHOLE[2..]);
}

/// No task ran, and each said why.
fn assert_refused(output: &Output, why: &str) {
    assert!(!output.success() && output.probes().is_empty(), "{output:?}");
    assert!(output.stderr.contains(&format!("[mig] {why}")), "{output:?}");
}

/// Without a cgroup that denies, the names and the indexes stand against each other.
#[test]
fn without_limits_nothing_proves_the_names() {
    let Some(node) = Node::cut(GPUS, &LAYOUT) else { return };
    let node = node.notices_off().unconstrained().faking().start();
    let row = |files: &(String, String)| node.predicted().iter().position(|of_map| of_map == files).unwrap();
    let rows: Vec<usize> = node.detected().iter().map(row).collect();
    let mut right = 0;
    for (kind, _) in node.detected().iter().collect::<BTreeSet<_>>() {
        let output = srun(&node, &format!("--gres=gpu:{kind}:1"));
        // The first of its type in Slurm's order.
        let index = node.detected().iter().position(|(of, _)| of == kind).unwrap();
        if rows[index] == index {
            let uuid = node.map.records[index].uuid.as_str();
            assert_eq!(output.probes()[0].cuda.as_deref(), Some(uuid), "{kind}: {output:?}");
            right += 1;
        } else {
            assert_refused(&output, "devices ");
        }
    }
    assert!(right < rows.len(), "the order differs");
    // All devices are all devices, in whatever order.
    judge_all(&node);
}

fn judge_all(node: &Node) {
    let output = srun(node, WHOLE[2].0);
    let uuids: BTreeSet<&str> = node.map.records.iter().map(|record| record.uuid.as_str()).collect();
    assert_eq!(output.probes()[0].cuda_list().into_iter().collect::<BTreeSet<_>>(), uuids, "{output:?}");
}

/// Up to 25.05 Slurm names whatever `fake_gpus.conf` does, from 26.05 what has `Flags=env_uuid`. With the latter it
/// counts and names devices of the node even for tasks that share them.
#[test]
fn the_cgroup_proves_the_names_of_fake_gpus() {
    for release in Release::selected() {
        let Some(node) = Node::cut_on(release, GPUS, &LAYOUT) else { return };
        let node = node.notices_off().faking().start();
        judge_constrained(&node);
        judge_steps(&node, &WHOLE);
        let sharing =
            "-n2 --gres=gpu:a100:1,gpu:4g.20gb:1 --gpu-bind=single:1 --gres-flags=allow-task-sharing";
        if release == Release::Sid {
            judge_sharing(&srun(&node, sharing), &node);
        }
    }
}

/// Both tasks can open both devices, and each is told one of them.
fn judge_sharing(output: &Output, node: &Node) {
    let probes = output.probes();
    let [one, other] = &probes[..] else { panic!("two tasks: {output:?}") };
    assert_eq!((node.opened(one).len(), &one.open), (2, &other.open), "{output:?}");
    let told: BTreeSet<&str> = [one, other].into_iter().flat_map(Probe::cuda_list).collect();
    assert_eq!(told, node.opened(one), "{output:?}");
    assert_eq!(one.cuda_list().len(), 1, "{output:?}");
}
