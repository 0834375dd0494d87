//! `AutoDetect=nvml` and gresgen describe the same GPUs.
//!
//! Both give the same device files, counts, types and UUIDs, but for the differences below. Those without a release
//! are of 22.05.8, and a test here shows each; `models` lists the types that differ on every model and release. On 26.05
//! none does, and gresgen's names are NVML's there and everywhere.
//!
//! 1. **Order.** Slurm sorts what it detected by the place of -1 in `Links`, which counts the devices of one GPU,
//!    then by file: first devices of every GPU, then second ones. Without detection the order is that of `Gres=`
//!    (Slurm src/interfaces/gres.c and src/plugins/gres/gpu).
//! 2. **`+me`.** The type is made of the device's slices and memory, so an instance with media engines is called
//!    like one without, and a node that says `1g.5gb+me` lacks it. From 23.02 Slurm takes NVML's name.
//! 3. **Parts of a GPU instance.** For the same reason `1c.3g.20gb` is called `3g.20gb`, although it is a third of
//!    one.
//! 4. **Memory.** For the same reason a `1g.18gb` of an H200, which has 16 GiB, is called `1g.16gb`; likewise wherever
//!    the name of a profile rounds another way than GiB to the nearest.
//! 5. **No instances.** slurmd ends where MIG mode is on and a GPU has no instance (21.08.1 to 24.05); gresgen
//!    writes no record for such a GPU.
//! 6. **Whole GPUs** are given as numbers: Slurm notes UUIDs of MIG devices alone.
//! 7. **Long names.** 24.11 asks NVML for a name with room for 63 characters (src/plugins/gpu/nvml/gpu_nvml.c,
//!    `NVML_DEVICE_NAME_BUFFER_SIZE`). Those of an RTX PRO 6000's MIG devices with `+gfx`, `+me` and the like are longer;
//!    for them it puts the type together as 22.05 does, so 2, 3 and 4 are true of them.
//!
//! gresgen is right in 2, 3, 4 and 7: with Slurm's types a job could not ask for what these devices are. In 1 and 6
//! nobody is wrong, both name the same devices; 5 Slurm has mended.
//!
//! Where NVML index and device minor differ, both follow the minor.

use std::collections::BTreeSet;

use device_map::Record;

use crate::fetched::skipped;
use crate::node::{Node, counts, files};

/// A node on which Slurm detects GPUs, without this project's plugin.
fn detecting(gpus: &str, layout: &[&str]) -> Option<Node> {
    if skipped() {
        return None;
    }
    Some(Node::cut(gpus, layout)?.without_plugin().detecting())
}

/// Mixed layouts on GPUs whose minors run against the index, a mirrored board, and a GPU without MIG.
const MIXED: (&str, [&str; 3]) = (
    "a100-40gb:2:shuffled,h100-80gb-sxm:1:mirrored,a100-80gb",
    [
        "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}",
        "devices: [1], mig-enabled: true, mig-devices: {1g.5gb: 1, 4g.20gb: 1}",
        "devices: [2], mig-enabled: true, mig-devices: {1g.20gb: 1, 3g.40gb: 1}",
    ],
);

#[test]
fn slurm_finds_the_devices_of_the_map() {
    let Some(node) = detecting(MIXED.0, &MIXED.1) else { return };
    let (detected, predicted) = (node.detected(), node.predicted());
    assert_eq!(BTreeSet::from_iter(&detected), BTreeSet::from_iter(&predicted));
    assert_eq!(counts(&detected), counts(&predicted));
}

/// Types are put together from slices and rounded memory: other sizes of memory, other roundings.
#[test]
fn slurm_names_the_profiles_of_other_boards_alike() {
    let gpus = "h100-80gb-sxm,a100-80gb,a30-24gb";
    let layout = [
        "devices: [0], mig-enabled: true, mig-devices: {1g.10gb: 2, 2g.20gb: 1, 3g.40gb: 1}",
        "devices: [1], mig-enabled: true, mig-devices: {1g.10gb: 1, 1g.20gb: 1}",
        "devices: [2], mig-enabled: true, mig-devices: {1g.6gb: 2, 2g.12gb: 1}",
    ];
    let Some(node) = detecting(gpus, &layout) else { return };
    assert_eq!(BTreeSet::from_iter(node.detected()), BTreeSet::from_iter(node.predicted()));
}

#[test]
fn jobs_are_given_the_uuids_of_the_map() {
    let Some(node) = detecting(MIXED.0, &MIXED.1) else { return };
    let node = node.start();
    let mut seen = BTreeSet::new();
    for probe in node.one_job_per_device().iter().flatten() {
        let opened = node.opened(probe);
        assert_eq!(opened.len(), 1, "{probe:?}");
        // Slurm's names on one side; on the other the map, read by what the kernel opens.
        let named = BTreeSet::from_iter(probe.cuda_list());
        if opened.iter().any(|uuid| uuid.starts_with("GPU-")) {
            // Difference 6.
            assert_eq!(named, BTreeSet::from(["0"]), "{probe:?}");
        } else {
            assert_eq!(named, opened, "{probe:?}");
        }
        seen.extend(opened.into_iter().map(str::to_owned));
    }
    let all: BTreeSet<String> = node.map.records.iter().map(|record| record.uuid.clone()).collect();
    assert_eq!(seen, all);
}

#[test]
fn difference_1_slurm_orders_what_it_detects_by_place_within_the_gpu() {
    let Some(node) = detecting(MIXED.0, &MIXED.1) else { return };
    let place = |record: &Record| match record.instance {
        Some(_) => {
            // The driver numbers the devices of a GPU by GPU instance.
            let before = |other: &&Record| other.parent == record.parent && other.instance < record.instance;
            node.map.records.iter().filter(before).count()
        }
        // Among GPUs, by NVML index: the only whole one is the last of four.
        None => 3,
    };
    let mut expected: Vec<&Record> = node.map.records.iter().collect();
    expected.sort_by_key(|record| (place(record), record.files[0].minor));
    let expected: Vec<_> = expected.iter().map(|r| (r.gres_type.clone(), files(r))).collect();
    assert_eq!(node.detected(), expected);
    assert_ne!(node.predicted(), expected);
}

/// Slurm finds the records of `kind` by file and UUID, calls them `found`, and leaves them out.
fn assert_misnamed(node: &Node, kind: &str, found: &str) {
    let said = node.slurmd_lists();
    let missing: Vec<_> = node.map.records.iter().filter(|record| record.gres_type == kind).collect();
    assert!(!missing.is_empty(), "the layout has a {kind}");
    for record in &missing {
        let named = [
            format!("Type:{found} "),
            format!("File:{} ", files(record)),
            format!("UniqueId:{}", record.uuid),
        ];
        let ignored = said.lines().any(|line| named.iter().all(|part| line.contains(part)));
        assert!(ignored, "{named:?} not in\n{said}");
    }
    let mut rest = node.predicted();
    rest.retain(|(of, _)| of != kind);
    assert_eq!(BTreeSet::from_iter(node.detected()), BTreeSet::from_iter(rest), "the others are found");
}

#[test]
fn difference_2_slurm_does_not_see_media_engines() {
    let layout = ["devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 1g.5gb+me: 1, 3g.20gb: 1}"];
    let Some(node) = detecting("a100-40gb", &layout) else { return };
    assert_misnamed(&node, "1g.5gb+me", "nvidia_a100_1g.5gb");
}

#[test]
fn difference_3_slurm_takes_a_part_of_an_instance_for_all_of_it() {
    let layout = ["devices: [0], mig-enabled: true, mig-devices: {1c.3g.20gb: 3, 2g.10gb: 1}"];
    let Some(node) = detecting("a100-40gb", &layout) else { return };
    assert_misnamed(&node, "1c.3g.20gb", "nvidia_a100_3g.20gb");
}

#[test]
fn difference_4_slurm_counts_the_memory_of_an_instance() {
    let layout = ["devices: [0], mig-enabled: true, mig-devices: {1g.18gb: 2}"];
    let Some(node) = detecting("h200-141gb", &layout) else { return };
    assert_misnamed(&node, "1g.18gb", "nvidia_h200_1g.16gb");
}

#[test]
fn difference_5_slurmd_ends_on_a_gpu_without_instances() {
    let layout = [
        "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2}",
        "devices: [1], mig-enabled: true, mig-devices: {}",
    ];
    let Some(node) = detecting("a100-40gb:2", &layout) else { return };
    let output = node.lab.command(&["slurmd", "-G", "-N", "n1"]).output().unwrap();
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("fatal: MIG mode is enabled, but no MIG devices were found"),
        "{output:?}"
    );
    assert_eq!(counts(&node.predicted()), [("1g.5gb", 2)].into());
}
