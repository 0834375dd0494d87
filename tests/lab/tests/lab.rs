//! The lab itself: what it promises the tests that stand on it.

use lab::{Cgroup, FakeGpus, Lab, Node, Options, Release};

fn two_slices() -> (FakeGpus, Options) {
    let gpus = FakeGpus::new(&[(0, 7, 0), (0, 8, 0)]);
    let node = Node::new("n1").gres("gpu:a:2").gres_conf(&gpus.gres_conf("n1", &["a", "a"]));
    let options = Options::new(node).gpus(&gpus);
    (gpus, options)
}

/// Every selected release on both cgroup plugins.
fn configurations() -> impl Iterator<Item = (Release, Cgroup)> {
    Release::selected()
        .into_iter()
        .flat_map(|release| [Cgroup::V1, Cgroup::V2].map(|cgroup| (release, cgroup)))
}

#[test]
fn the_judge_sees_exactly_the_allocated_device() {
    for (release, cgroup) in configurations() {
        let (gpus, options) = two_slices();
        let Some(lab) = lab::require(Lab::start(release, options.cgroup(cgroup))) else { return };
        let output = lab.srun(&["--gres=gpu:a:1", "lab-probe"]).unwrap();
        let probes = output.probes();
        assert_eq!(probes.len(), 1, "{output:?}");
        let (open, all) = (gpus.files(0), gpus.files_of(&[0, 1]));
        assert_eq!(probes[0].open, open, "{release}");
        assert_eq!(probes[0].denied, all.difference(&open).cloned().collect(), "{release}");
        assert!(probes[0].other.is_empty());
    }
}
