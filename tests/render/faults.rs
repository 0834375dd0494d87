//! Ways to break a node, with what `gresgen check` says of each.

use std::fs;
use std::path::PathBuf;

use gresgen::root::Root;
use nvml_sim::clients::Clients;
use nvml_sim::machine::Machine;

use crate::node::Node;

/// The last capability node of the map.
pub(crate) fn cap(node: &Node) -> PathBuf {
    let map = fs::read_to_string(node.path(Root::DEVICE_MAP)).unwrap();
    map.split(['=', ',', ' ']).rfind(|w| w.contains("nvidia-cap")).unwrap().into()
}

pub(crate) fn edit(node: &Node, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(node.path(path)).unwrap();
    assert!(text.contains(from), "{path}: {text}");
    fs::write(node.path(path), text.replace(from, to)).unwrap();
}

/// What breaks a node.
pub(crate) type Provoke = fn(&Node);

/// One thing that breaks a node.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) provoke: Provoke,
    /// What a check says of it.
    pub(crate) full: &'static [&'static str],
    /// What `check --quick` says of it.
    pub(crate) quick: &'static [&'static str],
}

/// All of them are mended by `gresgen apply`, as the check says.
pub(crate) const CASES: [Case; 14] = [
    Case {
        name: "no map",
        provoke: |n| fs::remove_file(n.path(Root::DEVICE_MAP)).unwrap(),
        full: &[
            "fail device map: ROOT/run/gresgen/devices: No such file",
            "fail files: out of date: ROOT/run/gresgen/devices",
        ],
        quick: &["fail device map: ROOT/run/gresgen/devices: No such file"],
    },
    Case {
        name: "half a map",
        provoke: |n| {
            let map = fs::read_to_string(n.path(Root::DEVICE_MAP)).unwrap();
            fs::write(n.path(Root::DEVICE_MAP), &map[..map.len() / 2]).unwrap();
        },
        full: &[
            "fail device map: ROOT/run/gresgen/devices: line ",
            "fail files: out of date: ROOT/run/gresgen/devices",
        ],
        quick: &["fail device map: ROOT/run/gresgen/devices: line "],
    },
    Case {
        name: "another boot",
        provoke: |n| n.write(Root::BOOT_ID, "6d2f5b1e-0000-4000-8000-000000000002\n"),
        full: &[
            "fail device map: is of an earlier boot",
            "fail files: out of date: ROOT/run/gresgen/devices",
        ],
        quick: &["fail device map: is of an earlier boot"],
    },
    Case {
        name: "a slice moved behind our back",
        provoke: |n| n.tamper(move_a_slice),
        full: &[
            "fail device map: differs from what the driver has",
            "fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap",
            "fail stable links: missing, or pointing elsewhere: ROOT/dev/gresgen/ci",
            "fail files: out of date: ROOT/run/gresgen/devices",
        ],
        quick: &["fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap"],
    },
    Case {
        name: "an instance too few",
        provoke: |n| n.tamper(|machine| drop(machine.gpus[0].instances.pop())),
        full: &[
            "fail layout: differs from the configuration: create GPU 0 1g.5gb at ",
            "fail device map: differs from what the driver has",
            "fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap",
            "fail stable links: missing, or pointing elsewhere: ROOT/dev/gresgen/ci",
            "fail files: out of date: ",
        ],
        quick: &["fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap"],
    },
    Case {
        name: "an instance that nothing can use",
        provoke: |n| n.tamper(|machine| machine.gpus[0].instances[0].compute.clear()),
        full: &[
            "fail instances: GPU 0 3g.20gb: no compute instance",
            "fail layout: differs from the configuration: ",
            "fail device map: differs from what the driver has",
            "fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap",
            "fail files: out of date: ",
        ],
        quick: &["fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap"],
    },
    Case {
        name: "a node missing",
        provoke: |n| fs::remove_file(cap(n)).unwrap(),
        full: &["fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap"],
        quick: &["fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap"],
    },
    Case {
        name: "no gres.conf",
        provoke: |n| fs::remove_file(n.path(Root::GRES_CONF)).unwrap(),
        full: &["fail gres.conf: is not there", "fail files: out of date: ROOT/etc/slurm/gres.conf"],
        quick: &["fail gres.conf: is not there"],
    },
    Case {
        name: "gres.conf edited",
        provoke: |n| edit(n, Root::GRES_CONF, "3g.20gb", "2g.10gb"),
        full: &[
            "fail gres.conf: is not the one the device map belongs to",
            "fail files: out of date: ROOT/etc/slurm/gres.conf",
        ],
        quick: &["fail gres.conf: is not the one the device map belongs to"],
    },
    Case {
        name: "cgroup.conf edited",
        provoke: |n| edit(n, Root::CGROUP_CONF, "=yes", "=no"),
        full: &[
            "fail files: out of date: ROOT/etc/slurm/cgroup.conf",
            "fail cgroup.conf: devices are not constrained",
        ],
        quick: &[],
    },
    Case {
        name: "a stable link missing",
        provoke: |n| fs::remove_file(n.path("/dev/gresgen/ci0")).unwrap(),
        full: &["fail stable links: missing, or pointing elsewhere: ROOT/dev/gresgen/ci0"],
        quick: &[],
    },
    Case {
        name: "a stable link astray",
        provoke: |n| {
            fs::remove_file(n.path("/dev/gresgen/gi1")).unwrap();
            std::os::unix::fs::symlink("/dev/null", n.path("/dev/gresgen/gi1")).unwrap();
        },
        full: &["fail stable links: missing, or pointing elsewhere: ROOT/dev/gresgen/gi1"],
        quick: &[],
    },
    Case {
        name: "a file in the place of a stable link",
        provoke: |n| {
            fs::remove_file(n.path("/dev/gresgen/gi1")).unwrap();
            n.write("/dev/gresgen/gi1", "");
        },
        full: &["fail stable links: missing, or pointing elsewhere: ROOT/dev/gresgen/gi1"],
        quick: &[],
    },
    Case {
        name: "MIG mode switched off",
        provoke: |n| {
            n.tamper(|machine| {
                let gpu = &mut machine.gpus[0];
                gpu.instances.clear();
                (gpu.current, gpu.pending) = (false, false);
            })
        },
        full: &[
            "fail layout: differs from the configuration: GPU 0 MIG mode on",
            "fail device map: differs from what the driver has",
            "fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap",
            "fail files: out of date: ",
        ],
        quick: &["fail device nodes: missing: ROOT/dev/nvidia-caps/nvidia-cap"],
    },
];

/// Destroys the last instance and makes one like it in a free place.
fn move_a_slice(machine: &mut Machine) {
    let gone = machine.gpus[0].instances.pop().unwrap();
    let free = (0..7).rev().find(|&start| {
        start != gone.start
            && machine.create_instance(0, gone.profile, Some((start, 1)), &Clients::default()).is_ok()
    });
    let made = machine.gpus[0].instances.iter().find(|i| i.start == free.unwrap()).unwrap().id;
    machine.create_compute(0, made, gone.compute[0].profile, None).unwrap();
}
