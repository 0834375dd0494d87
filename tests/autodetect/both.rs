//! The plugin where Slurm names devices itself: its names are kept where right, and mended where they are not.
//!
//! One type on one GPU, so that Slurm's sorting of what it detects leaves the indexes as gresgen wrote them; `sorted`
//! has the other nodes.

use lab::Probe;

use crate::fetched::skipped;
use crate::node::Node;

const GPUS: &str = "a100-40gb";
const ONE_TYPE: [&str; 1] = ["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}"];

/// Each task bound to one of two devices: Slurm names the first one to both (seen on 22.05.8 to 26.05.5).
const BOUND: [&[&str]; 2] =
    [&["--ntasks=2", "--gres=gpu:1g.5gb:2", "--gpu-bind=single:1"], &["--ntasks=2", "--gpus-per-task=1"]];

/// No binding: Slurm's names are right.
const UNBOUND: [&[&str]; 2] = [&["--gres=gpu:1g.5gb:1"], &["--gres=gpu:1g.5gb:3"]];

fn tasks(node: &Node, arguments: &[&str]) -> Vec<Probe> {
    node.lab.srun(&[arguments, &["lab-probe"]].concat()).unwrap().probes()
}

fn names_what_it_opened(node: &Node, probe: &Probe) -> bool {
    let named = probe.cuda_list();
    !named.is_empty() && node.opened(probe) == named.into_iter().collect()
}

/// What Slurm alone does: right without a binding, wrong for the second task with one.
fn judge_slurm(node: &Node) {
    assert_eq!(node.detected(), node.predicted(), "Slurm's indexes are the map's");
    for arguments in UNBOUND {
        assert!(
            tasks(node, arguments).iter().all(|probe| names_what_it_opened(node, probe)),
            "{arguments:?}"
        );
    }
    for arguments in BOUND {
        let probes = tasks(node, arguments);
        assert_eq!(probes[0].cuda, probes[1].cuda, "{arguments:?}");
        assert_ne!(probes[0].open, probes[1].open, "{arguments:?}");
    }
}

/// What the plugin makes of it: right everywhere, and Slurm's own text where that was right.
fn judge_plugin(node: &Node) {
    assert_eq!(node.detected(), node.predicted(), "Slurm's indexes are the map's");
    // Who asks for numbers gets what Slurm has; that must not be the wrong name.
    let numbers = BOUND.map(|arguments| [arguments, &["--mig-devices=index"]].concat());
    let requests = UNBOUND.into_iter().chain(BOUND).chain(numbers.iter().map(Vec::as_slice));
    for arguments in requests {
        let probes = tasks(node, arguments);
        assert!(!probes.is_empty());
        for probe in probes {
            assert!(names_what_it_opened(node, &probe), "{arguments:?}: {probe:?}");
        }
    }
}

#[test]
fn the_plugin_mends_what_slurm_says_of_nvml() {
    if skipped() {
        return;
    }
    let Some(node) = Node::cut(GPUS, &ONE_TYPE) else { return };
    judge_slurm(&node.without_plugin().detecting().start());
    judge_plugin(&Node::cut(GPUS, &ONE_TYPE).unwrap().detecting().start());
}

#[test]
fn the_plugin_mends_what_slurm_says_of_fake_gpus() {
    let Some(node) = Node::cut(GPUS, &ONE_TYPE) else { return };
    judge_slurm(&node.without_plugin().faking().start());
    judge_plugin(&Node::cut(GPUS, &ONE_TYPE).unwrap().faking().start());
}

/// Without a map the plugin has nothing to say, and Slurm has said it all.
#[test]
fn a_node_without_map_is_left_to_the_names_of_slurm() {
    let Some(node) = Node::cut(GPUS, &ONE_TYPE) else { return };
    node.lab.run(&["rm", "/run/gresgen/devices"]).unwrap();
    let node = node.faking().start();
    judge_slurm(&node);
    // Numbers are no names: there the missing map is an error.
    node.lab.run(&["rm", "/etc/slurm/fake_gpus.conf"]).unwrap();
    node.lab.restart_slurmd("n1").unwrap();
    let refused = node.lab.command(&["srun", "--gres=gpu:1g.5gb:1", "lab-probe"]).output().unwrap();
    assert!(!refused.success() && refused.probes().is_empty(), "{refused:?}");
    assert!(refused.stderr.contains("no such file although this node has MIG devices"), "{refused:?}");
}
