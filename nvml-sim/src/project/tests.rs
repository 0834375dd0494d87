use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::clients::Clients;
use crate::node::{By, is_already};

const MAJORS: Majors = Majors { nvidia: 244, caps: 243, uvm: 242 };

/// Two GPUs with swapped minors; the first has a 3g with a compute instance and a bare 1g.
fn machine(spec: &str, majors: Option<Majors>) -> Machine {
    let nobody = Clients::default();
    let mut machine = Machine::new(&spec.parse().unwrap(), majors);
    machine.set_mode(0, true, &nobody).unwrap().unwrap();
    let half = machine.create_instance(0, 9, None, &nobody).unwrap();
    machine.create_compute(0, half, 2, None).unwrap();
    machine.create_instance(0, 19, None, &nobody).unwrap();
    machine
}

fn listing(machine: &Machine) -> String {
    let line = |(path, node): (&PathBuf, &Node)| {
        let path = path.display();
        match node {
            // The only files that differ from host to host.
            Node::Text(mode, _) if path.to_string().contains("/local_cpu") => {
                format!("{path} {mode:04o} CPUs of the host")
            }
            Node::Directory => format!("{path}/"),
            Node::Text(mode, text) if text.len() > 400 => {
                format!("{path} {mode:04o} {} lines", text.lines().count())
            }
            Node::Text(mode, text) => format!("{path} {mode:04o} {text:?}"),
            Node::Device(mode, (major, minor)) => format!("{path} {mode:04o} c {major} {minor}"),
            Node::Link(target) => format!("{path} -> {target}"),
        }
    };
    tree(machine).iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_tree_of_a_machine() {
    insta::assert_snapshot!(listing(&machine("a100-40gb:2:shuffled", Some(MAJORS))));
}

#[test]
fn without_the_right_to_make_nodes_they_are_empty_files() {
    let tree = tree(&machine("a100-40gb", None));
    assert_eq!(tree[Path::new("dev/nvidia0")], Node::Text(0o666, String::new()));
    assert!(!tree.values().any(|n| matches!(n, Node::Device(..))));
}

/// NVML's mask is made of the same CPUs, so whoever reads the affinity finds the same in both places.
#[test]
fn the_cpus_near_a_gpu_are_those_of_the_host() {
    let root = tempfile::tempdir().unwrap();
    apply(root.path(), &machine("a100-40gb:2", None), By::Text).unwrap();
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    for directory in ["sys/bus/pci/devices/0000:03:00.0", "sys/bus/pci/drivers/nvidia/0000:0a:00.0"] {
        let list = fs::read_to_string(root.path().join(directory).join("local_cpulist")).unwrap();
        assert_eq!(list, online, "{directory}");
    }
}

/// Lines of a real `/proc/driver/nvidia-caps/mig-minors`; the last number of 32 x 15 x 9 is 4322.
#[test]
fn mig_minors_are_those_of_the_driver() {
    let text = mig_minors();
    assert!(text.starts_with("config 1\nmonitor 2\ngpu0/gi0/access 3\ngpu0/gi0/ci0/access 4\n"));
    assert!(text.ends_with("gpu31/gi14/ci7/access 4322\n"));
    // From `slurmd -G` on an H100 host: GI 2 and 7 of GPU 2, GI 1 and 11 of GPU 3.
    for line in ["gpu2/gi2/access 291", "gpu2/gi7/access 336", "gpu3/gi1/access 417", "gpu3/gi11/access 507"]
    {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn nocaps_leaves_the_capability_nodes_to_others() {
    let root = tempfile::tempdir().unwrap();
    let machine = machine("a100-40gb:nocaps", None);
    let caps = root.path().join(CAPS);
    apply(root.path(), &machine, By::Text).unwrap();
    assert_eq!(
        fs::read_dir(&caps).unwrap().count(),
        3,
        "those of the fabric manager, config and monitor alone"
    );
    assert!(root.path().join(CAPABILITIES).join("gpu0/mig/gi2/ci0/access").exists());
    fs::write(caps.join("nvidia-cap21"), "").unwrap();
    apply(root.path(), &machine, By::Text).unwrap();
    assert!(caps.join("nvidia-cap21").exists(), "somebody else made it");
}

#[test]
fn a_second_time_changes_nothing_and_what_was_spoilt_is_mended() {
    for by in [By::Text, By::Status] {
        second_time(by);
    }
}

fn second_time(by: By) {
    let root = tempfile::tempdir().unwrap();
    let mut machine = machine("a100-40gb", None);
    let inode = |path: &str| fs::symlink_metadata(root.path().join(path)).unwrap().ino();
    apply(root.path(), &machine, By::Text).unwrap();
    let paths = ["dev/nvidia0", "proc/driver/nvidia-caps/mig-minors", "dev/nvidia-caps/nvidia-cap21"];
    let before = paths.map(inode);
    apply(root.path(), &machine, by).unwrap();
    assert_eq!(paths.map(inode), before);

    fs::remove_file(root.path().join("dev/nvidia0")).unwrap();
    fs::set_permissions(root.path().join(paths[2]), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(root.path().join(CAPS).join("nvidia-cap99"), "").unwrap();
    machine.gpus[0].instances.retain(|i| !i.compute.is_empty());
    apply(root.path(), &machine, by).unwrap();
    for (path, node) in tree(&machine) {
        assert!(is_already(&root.path().join(&path), &node, By::Text), "{}", path.display());
    }
    assert!(!root.path().join(CAPS).join("nvidia-cap99").exists());
    assert!(!root.path().join(CAPABILITIES).join("gpu0/mig/gi11").exists());
}

/// Needs root with the right to make device nodes, and a temporary directory that is not mounted `nodev`.
#[test]
fn an_allowed_open_of_a_node_reaches_no_driver() {
    let root = tempfile::tempdir().unwrap();
    let Some(majors) = unused_majors(root.path()) else {
        assert!(!rustix::process::geteuid().is_root(), "root, but device nodes cannot be made here");
        return;
    };
    apply(root.path(), &machine("a100-40gb", Some(majors)), By::Text).unwrap();
    for path in ["dev/nvidia0", "dev/nvidiactl", "dev/nvidia-uvm", "dev/nvidia-caps/nvidia-cap21"] {
        let error = fs::File::open(root.path().join(path)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NXIO.raw_os_error()), "{path}");
    }
}

/// Every file below a directory, by its path under `root`.
fn found(root: &Path, directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            found(root, &path, into)
        } else {
            into.push(path.strip_prefix(root).unwrap().to_owned())
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// A process may die anywhere on the way from one tree to the next. Whatever mixture it leaves, its
    /// successor makes exactly the tree of the state.
    #[test]
    fn any_mixture_of_two_trees_becomes_the_second(
        before in proptest::collection::vec(0usize..7, 0..5),
        after in proptest::collection::vec(0usize..7, 0..5),
        chance in proptest::collection::vec(proptest::bool::ANY, 64),
        by in proptest::sample::select(vec![By::Text, By::Status]),
    ) {
        let cut = |rows: &[usize]| {
            let nobody = Clients::default();
            let mut machine = Machine::new(&"a100-40gb".parse().unwrap(), None);
            machine.set_mode(0, true, &nobody).unwrap().unwrap();
            for &row in rows {
                let row = &machine.gpus[0].board.rows[row];
                if let Ok(id) = machine.create_instance(0, row.id, None, &nobody) {
                    machine.create_compute(0, id, row.default_compute, None).unwrap();
                }
            }
            machine
        };
        let (before, after) = (cut(&before), cut(&after));
        let root = tempfile::tempdir().unwrap();
        apply(root.path(), &before, By::Text).unwrap();
        let mut chance = chance.iter().cycle();
        for (path, node) in tree(&after) {
            if *chance.next().unwrap() {
                make(&root.path().join(&path), &node, By::Text).unwrap();
            }
        }
        let is_there = |path: &PathBuf| fs::symlink_metadata(root.path().join(path)).is_ok_and(|m| !m.is_dir());
        for path in tree(&before).into_keys().filter(is_there) {
            if *chance.next().unwrap() {
                fs::remove_file(root.path().join(&path)).unwrap();
            }
        }
        fs::write(root.path().join(CAPS).join(".next-nvidia-cap66"), "").unwrap();

        apply(root.path(), &after, by).unwrap();
        let mut files = Vec::new();
        found(root.path(), root.path(), &mut files);
        files.sort();
        let wanted: Vec<PathBuf> =
            tree(&after).into_iter().filter(|(_, n)| *n != Node::Directory).map(|(p, _)| p).collect();
        proptest::prop_assert_eq!(files, wanted);
        for (path, node) in tree(&after) {
            proptest::prop_assert!(is_already(&root.path().join(&path), &node, By::Text), "{}", path.display());
        }
    }
}
