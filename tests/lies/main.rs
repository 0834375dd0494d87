//! An NVML that lies: every lie is refused by name, before anything is changed.
//!
//! `liar.c` stands between `gresgen` and the simulator and spoils one answer of one call. What it spoils, a broken
//! driver, a foreign library or a GPU that falls off the bus could.

mod liar;
#[path = "../shared/plain.rs"]
mod plain;

use liar::{Node, Run};

/// What is read: a lie, and the words that say what is wrong with what.
const REFUSED: &[(&str, &str)] = &[
    ("count_huge", "driver: nvmlDeviceGetCount_v2 gives 4294967295 GPUs"),
    ("count_more", "GPU 2: nvmlDeviceGetHandleByIndex_v2: Invalid Argument"),
    ("handle_null", "GPU 0: nvmlDeviceGetHandleByIndex_v2 gives no handle"),
    ("handle_same", "is GPU 0 and GPU 1"),
    ("driver_endless", "driver: nvmlSystemGetDriverVersion gives a text without an end"),
    ("driver_escape", "driver: nvmlSystemGetDriverVersion gives \"GPU-\\u{1b}[2J"),
    ("uuid_endless", "GPU 0: nvmlDeviceGetUUID gives a text without an end"),
    ("uuid_empty", "GPU 0: nvmlDeviceGetUUID gives an empty text"),
    ("uuid_newline", "GPU 0: nvmlDeviceGetUUID gives \"GPU-a 1 2\\nend 1\""),
    ("uuid_escape", "GPU 0: nvmlDeviceGetUUID gives \"GPU-\\u{1b}[2J"),
    ("uuid_binary", "GPU 0: nvmlDeviceGetUUID gives"),
    ("uuid_path", "GPU 0: nvmlDeviceGetUUID gives \"../../../x\", which is no GPU-... UUID"),
    ("uuid_blank", "GPU 0: nvmlDeviceGetUUID gives \"GPU-a b\", which is no GPU-... UUID"),
    ("uuid_mig", "GPU 0: nvmlDeviceGetUUID gives \"MIG-a\", which is no GPU-... UUID"),
    ("name_endless", "nvmlDeviceGetName gives a text without an end"),
    ("name_empty", "nvmlDeviceGetName gives an empty text"),
    ("name_escape", "nvmlDeviceGetName gives \"GPU-\\u{1b}[2J"),
    ("name_binary", "nvmlDeviceGetName gives"),
    ("vbios_endless", "nvmlDeviceGetVbiosVersion gives a text without an end"),
    ("pci_endless", "nvmlDeviceGetPciInfo_v3 gives a text without an end"),
    ("pci_path", "nvmlDeviceGetPciInfo_v3 gives \"../../../x\", which is no PCI address"),
    ("minor_huge", "nvmlDeviceGetMinorNumber gives 4294967295"),
    ("minor_same", "has the minor number 0 of GPU GPU-"),
    ("mode_odd", "nvmlDeviceGetMigMode gives the modes 7 and"),
    ("processes_huge", "nvmlDeviceGetComputeRunningProcesses_v3 gives 4294967295 processes"),
    ("processes_beyond", "nvmlDeviceGetComputeRunningProcesses_v3 gives 65 processes where 64 fit"),
    ("processes_endless", "nvmlDeviceGetComputeRunningProcesses_v3: Insufficient Size"),
    ("profile_endless", "nvmlDeviceGetGpuInstanceProfileInfoV gives a text without an end"),
    ("profile_escape", "nvmlDeviceGetGpuInstanceProfileInfoV gives \"MIG \\u{1b}[2J\""),
    ("profile_zero", "has no name this program can read"),
    ("profile_wide", "is named 255g.65535gb, which no GPU has"),
    ("profile_twice", "is 1g.5gb, as profile 19 is 1g.5gb"),
    ("profile_unnamed", "has no name this program can read"),
    ("profile_sliceless", "has no name this program can read"),
    ("profile_count", "gives room for 4294967295 instances of one profile"),
    ("profiles_none", "NVML does not list GPU instance"),
    ("places_huge", "nvmlDeviceGetGpuInstancePossiblePlacements_v2 gives 4294967295 placements"),
    (
        "places_beyond",
        "nvmlDeviceGetGpuInstancePossiblePlacements_v2 gives 7000 placements where it announced 7",
    ),
    ("places_none", "has no placement"),
    ("places_far", "cannot have a placement of 1 units at 250"),
    ("places_wrap", "cannot have a placement of 4294967295 units at 4294967295"),
    ("places_wide", "cannot have a placement of 255 units at 0"),
    ("places_empty", "cannot have a placement of 0 units at 0"),
    ("instances_beyond", "nvmlDeviceGetGpuInstances gives 4294967295 instances where"),
    ("instances_null", "nvmlDeviceGetGpuInstances gives no handle"),
    ("instance_vanishes", "nvmlGpuInstanceGetInfo: Invalid Argument"),
    ("instance_same", "cannot be beside GPU instance 7"),
    ("instance_id", "GPU instance 4294967295"),
    ("instance_start", "starts at 4294967280, which is no placement"),
    ("instance_place", "cannot be beside GPU instance"),
    ("instance_profile", "is listed as of profile 19 and says 77"),
    ("compute_vanishes", "nvmlGpuInstanceGetComputeInstanceById: Invalid Argument"),
    ("compute_id", "nvmlGpuInstanceGetComputeInstanceById"),
    ("compute_same", "has compute instance 0 twice"),
    ("devices_huge", "nvmlDeviceGetMaxMigDeviceCount gives 4294967295 MIG devices"),
    ("devices_none", "NVML does not list"),
    ("device_null", "nvmlDeviceGetMigDeviceHandleByIndex gives no handle"),
    ("device_parent", "MIG device 0: nvmlDeviceGetGpuInstanceId: Invalid Argument"),
    ("device_same", "twice"),
    ("device_vanishes", "MIG device 0: nvmlDeviceGetUUID: Invalid Argument"),
    ("device_elsewhere", "NVML does not list GPU instance 99, which its MIG device has"),
    ("device_gpu", "MIG device 0: nvmlDeviceGetUUID gives \"GPU-a\", which is no MIG-... UUID"),
    ("device_mig_newline", "MIG device 0: nvmlDeviceGetUUID gives \"MIG-a 1 2\\nend 1\""),
    ("device_mig_path", "nvmlDeviceGetUUID gives \"MIG-../../x\", which is no MIG-... UUID"),
    ("device_mig_blank", "nvmlDeviceGetUUID gives \"MIG-a b\", which is no MIG-... UUID"),
    ("device_mig_bare", "nvmlDeviceGetUUID gives \"MIG-\", which is no MIG-... UUID"),
    ("device_mig", "has MIG device MIG-a twice"),
    ("device_escape", "MIG device 0: nvmlDeviceGetUUID gives \"GPU-\\u{1b}[2J"),
    ("device_path", "nvmlDeviceGetUUID gives \"../../../x\", which is no MIG-... UUID"),
    ("device_empty", "MIG device 0: nvmlDeviceGetUUID gives an empty text"),
    ("device_endless", "MIG device 0: nvmlDeviceGetUUID gives a text without an end"),
    ("attributes_none", "nvmlDeviceGetAttributes_v2 gives 0 compute slices"),
    ("attributes_huge", "nvmlDeviceGetAttributes_v2 gives 4294967295 compute slices"),
];

/// Verbs that read the whole node, whatever else they do.
const VERBS: &[&[&str]] = &[
    &["--layout", "other", "apply"],
    &["status"],
    &["status", "--json"],
    &["--layout", "other", "plan"],
    &["clear", "all"],
    &["run", "1g.5gb", "--", "true"],
];

fn harmless(run: &Run, about: &str) {
    let shown = run.stdout.clone() + &run.stderr;
    assert!(!shown.contains('\u{1b}'), "{about}: {shown:?}");
    assert!(!shown.contains("panicked"), "{about}: {shown}");
}

#[test]
fn what_cannot_be_is_refused_by_name_and_nothing_is_changed() {
    let node = Node::cut();
    let before = node.picture();
    for ((lie, says), number) in REFUSED.iter().zip(0..) {
        // An apply and one of the others: they read by the same way.
        for verb in [VERBS[0], VERBS[1 + number % (VERBS.len() - 1)]] {
            let about = format!("{lie}: {}", verb.join(" "));
            let run = node.told(lie, verb);
            harmless(&run, &about);
            assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{about}: {}", run.stderr);
            let first = run.stderr.lines().next().unwrap_or_default();
            assert!(first.starts_with("error: ") && first.contains(says), "{about}: {}", run.stderr);
        }
        let check = node.told(lie, &["check"]);
        harmless(&check, lie);
        assert!(check.code != Some(0) && check.stdout.contains(says), "{lie}: check: {}", check.stdout);
        assert!(node.picture() == before, "{lie}: something changed");
    }
}

/// Odd, but possible: what is shown may be odd, too.
#[test]
fn what_may_be_is_borne() {
    let node = Node::cut();
    for lie in ["memory_none", "memory_huge", "cpus_all", "profile_numbers", "compute_beyond"] {
        for verb in [VERBS[1], VERBS[2], VERBS[3]] {
            let run = node.told(lie, verb);
            harmless(&run, lie);
            assert_eq!(run.code, Some(0), "{lie}: {}: {}", verb.join(" "), run.stderr);
        }
    }
}

/// A driver that does not do what it says it did is found out by looking, and what it did is taken back.
#[test]
fn what_was_not_done_is_not_believed() {
    for (lie, start, says) in [
        ("mode_unset", Node::uncut as fn() -> Node, "the GPUs are not as they were set"),
        ("create_nothing", Node::uncut, "nvmlDeviceCreateGpuInstanceWithPlacement gives no handle"),
        ("create_elsewhere", Node::uncut, "nvmlDeviceCreateGpuInstanceWithPlacement"),
        ("destroy_nothing", Node::cut, "nvmlDeviceCreateGpuInstanceWithPlacement"),
        ("compute_beyond", Node::cut, "nvmlGpuInstanceGetComputeInstances gives 4294967295 instances where"),
    ] {
        let node = start();
        let before = node.hardware();
        let run = node.told(lie, &["--layout", "other", "apply"]);
        harmless(&run, lie);
        assert!(matches!(run.code, Some(1 | 5)), "{lie}: {:?} {}", run.code, run.stderr);
        assert!(run.stderr.contains(says), "{lie}: {}", run.stderr);
        if node.interrupted() {
            node.honest(&["apply", "--undo"]);
        }
        assert!(node.hardware() == before, "{lie}: {}: something changed", run.stderr);
        node.honest(&["--layout", "other", "apply"]);
    }
}

#[test]
fn a_library_without_a_symbol_is_older_or_refused() {
    let node = Node::cut();
    let known = node.honest(&["status"]);
    for older in [
        "nvmlDeviceGetAttributes_v2",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetGpuInstanceProfileInfoV",
    ] {
        let run = node.without(older, &["status"]);
        assert_eq!((run.code, run.stdout), (Some(0), known.clone()), "{older}: {}", run.stderr);
    }
    let before = node.picture();
    for needed in ["nvmlDeviceGetUUID", "nvmlDeviceGetMigDeviceHandleByIndex"] {
        for verb in VERBS {
            let run = node.without(needed, verb);
            assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{needed}: {}", run.stderr);
            assert!(run.stderr.contains(&format!("{needed}: Function Not Found")), "{}", run.stderr);
        }
    }
    assert!(node.picture() == before, "something changed");
}

/// Not lies: what draws, or computes through MPS, uses the GPU too; process 1 the whole of it, process 2 one instance.
/// Nor does it matter how long a driver makes the entries of its list.
#[test]
fn whoever_is_in_any_list_uses_the_gpu() {
    let node = Node::cut();
    for list in ["draws", "draws_wide", "shares"] {
        let status = node.told(list, &["--json", "status"]);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        let pids = |holders: &serde_json::Value| {
            let list = holders.as_array().unwrap().iter();
            list.map(|holder| holder["pid"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        let gpu = &status["gpus"][0];
        assert_eq!(pids(&gpu["holders"]), [1], "{list}");
        for instance in gpu["instances"].as_array().unwrap() {
            let expected: &[u64] = if instance["gi"] == 7 { &[2] } else { &[] };
            assert_eq!(pids(&instance["holders"]), expected, "{list}: {instance}");
        }
        let before = node.picture();
        let clear = node.told(list, &["clear", "0"]);
        assert_eq!(clear.code, Some(4), "{list}: {}", clear.stderr);
        assert!(clear.stderr.contains("process 2 "), "{list}: {}", clear.stderr);
        assert!(node.picture() == before, "{list}: something changed");
    }
}

/// A GPU instance of one slice and twice the memory has 26 SMs on an H100, and compute instances of 16 and of 26. With the
/// small one it is not what was asked for.
#[test]
fn a_slice_that_lacks_sms_is_named_so_and_replaced() {
    let config = "version: v1\nlayout: x\nslurm: {release: '24.11'}\nmig-configs:\n  x:\n    \
                  - {devices: all, mig-enabled: true, mig-devices: {1g.20gb: 1}}\n";
    // It dies before it could find out: after the mode, the GPU instance and the compute instance.
    let node = Node::with("h100-80gb-sxm", config).faulty("kill@3!");
    assert_eq!(node.told("compute_small", &["apply"]).code, None);
    let node = node.faulty("");
    let status = node.honest(&["status"]);
    assert!(status.contains("1c.1g.20gb"), "{status}");
    let plan = node.honest(&["plan"]);
    assert!(plan.contains("1 x recut") || plan.contains("recut "), "{plan}");
    node.honest(&["apply"]);
    let status = node.honest(&["status"]);
    assert!(status.contains("1g.20gb") && !status.contains("1c.1g.20gb"), "{status}");
    assert!(node.honest(&["plan"]).contains("nothing to change"), "it is as wanted");
    // It can be asked for, too.
    let small = config.replace("1g.20gb: 1", "1c.1g.20gb: 1");
    node.configure(&small);
    node.honest(&["apply"]);
    assert!(node.honest(&["status"]).contains("1c.1g.20gb"));
}
