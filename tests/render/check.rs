//! `gresgen check` on a node whose GPUs, files and device nodes are broken one after another. The failures that
//! take a running Slurm, and clients of the GPUs, are in tests/cluster.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use device_map::DeviceMap;
use device_map::version::VERSION;
use gresgen::root::Root;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::faults::{CASES, Case, Provoke, cap, edit};
use crate::node::{CONFIG, Node};

/// Links that do not hold, as `fail name: what`. Who else uses GPUs on the machine that runs this is not told.
fn wrong(node: &Node, arguments: &[&str]) -> Vec<String> {
    let output = node.run(&[&["--json"], arguments].concat());
    let json = String::from_utf8(output.stdout).unwrap();
    let links: serde_json::Value = serde_json::from_str(&json)
        .unwrap_or_else(|e| panic!("{e}: {json}{}", String::from_utf8_lossy(&output.stderr)));
    let links = links.as_array().unwrap().iter();
    let wrong = links.filter(|l| l["verdict"] != "pass" && l["name"] != "clients");
    let text = |l: &serde_json::Value, key: &str| l[key].as_str().unwrap().to_owned();
    let lines: Vec<String> = wrong
        .clone()
        .map(|l| format!("{} {}: {}", text(l, "verdict"), text(l, "name"), text(l, "what")))
        .collect();
    let fails = lines.iter().any(|line| line.starts_with("fail"));
    assert_eq!(output.status.code(), Some(if fails { 3 } else { 0 }), "{json}");
    assert!(wrong.clone().all(|l| !text(l, "fix").is_empty()), "{json}");
    lines.iter().map(|line| line.replace(&node.path("/").display().to_string(), "ROOT/")).collect()
}

/// A node that is as it shall be, and that nothing is wrong with.
fn well() -> Node {
    let node = Node::with("a100-40gb:2", &CONFIG.replace("{node: n1}", "{node: n1, stable-links: true}"));
    node.ends(0, &["apply"]);
    load(&node);
    assert_eq!(wrong(&node, &["check"]), [""; 0]);
    node
}

/// What the plugin does in slurmd.
fn load(node: &Node) {
    let map: DeviceMap = fs::read_to_string(node.path(Root::DEVICE_MAP)).unwrap().parse().unwrap();
    let loaded = DeviceMap { plugin: Some(VERSION.to_owned()), ..map };
    fs::write(node.path(Root::LOADED_MAP), loaded.to_string()).unwrap();
}

/// Whether each line begins with what is due, in order.
fn are(lines: &[String], due: &[&str]) -> bool {
    lines.len() == due.len() && lines.iter().zip(due).all(|(line, due)| line.starts_with(due))
}

#[test]
fn every_fault_is_noticed_and_mended_by_an_apply() {
    let node = well();
    for Case { name, provoke, full, quick } in CASES {
        provoke(&node);
        let seen = wrong(&node, &["check"]);
        assert!(are(&seen, full), "{name}: {seen:#?}");
        let seen = wrong(&node, &["check", "--quick"]);
        assert!(are(&seen, quick), "{name}: {seen:#?}");
        let said = node.ends(0, &["apply"]);
        assert_ne!(said, "nothing to change\n", "{name}");
        load(&node);
        assert_eq!(wrong(&node, &["check"]), [""; 0], "{name}");
    }
}

#[test]
fn what_slurmd_loaded_is_compared() {
    let node = well();
    let due: [(Provoke, &str); 3] = [
        (|n| fs::remove_file(n.path(Root::LOADED_MAP)).unwrap(), "warn map of slurmd: there is none"),
        (
            |n| fs::write(n.path(Root::LOADED_MAP), "x\n").unwrap(),
            "fail map of slurmd: ROOT/run/gresgen/devices.slurmd: ",
        ),
        (
            |n| edit(n, Root::LOADED_MAP, " 3g.20gb ", " 4g.20gb "),
            "fail map of slurmd: slurmd started before the last apply",
        ),
    ];
    for (provoke, line) in due {
        provoke(&node);
        for arguments in [&["check"][..], &["check", "--quick"]] {
            let seen = wrong(&node, arguments);
            assert!(are(&seen, &[line]), "{seen:#?}");
        }
        load(&node);
        assert_eq!(wrong(&node, &["check"]), [""; 0]);
    }
}

#[test]
fn nodes_that_are_not_the_driver_s_are_left_to_the_admin() {
    let node = well();
    let cap = cap(&node);
    let real = fs::metadata(&cap).unwrap().rdev();
    let make = |number: u64| {
        let _ = fs::remove_file(&cap);
        let mode = Mode::from_raw_mode(0o444);
        mknodat(CWD, &cap, FileType::CharacterDevice, mode, number).unwrap();
        fs::set_permissions(&cap, fs::Permissions::from_mode(0o444)).unwrap();
    };
    // As is left after the module was loaded anew with another major.
    make(makedev(1, 3));
    let line = "fail device nodes: not the devices that the map says: ROOT/dev/nvidia-caps/nvidia-cap";
    let seen = wrong(&node, &["check"]);
    assert!(are(&seen, &[line]), "{seen:#?}");
    make(real);
    assert_eq!(wrong(&node, &["check"]), [""; 0]);

    fs::remove_file(&cap).unwrap();
    fs::write(&cap, "").unwrap();
    let seen = wrong(&node, &["check"]);
    assert!(are(&seen, &[line]), "{seen:#?}");
    make(real);

    fs::set_permissions(&cap, fs::Permissions::from_mode(0o400)).unwrap();
    let line = "fail device nodes: users cannot read ROOT/dev/nvidia-caps/nvidia-cap";
    let seen = wrong(&node, &["check"]);
    assert!(are(&seen, &[line]), "{seen:#?}");
}

#[test]
fn files_of_the_admin_are_named() {
    let node = well();
    node.write(Root::CGROUP_CONF, "ConstrainDevices=yes\n");
    let seen = wrong(&node, &["check"]);
    assert!(are(&seen, &["fail files: ROOT/etc/slurm/cgroup.conf: not written by gresgen"]), "{seen:#?}");
    node.ends(0, &["apply", "--adopt"]);
    assert_eq!(wrong(&node, &["check"]), [""; 0]);
}

#[test]
fn layouts_that_cannot_be_and_modes_that_wait_are_named() {
    let config = CONFIG.replace("3g.20gb: 1", "3g.20gb: 1, 4g.20gb: 1");
    let node = Node::with("a100-40gb:2", &config);
    let seen = wrong(&node, &["check"]);
    assert!(seen.iter().any(|l| l.starts_with("fail layout: ") && l.contains("1g.5gb")), "{seen:#?}");

    let node = Node::with("a100-40gb:2:held", CONFIG);
    node.ends(5, &["apply"]);
    let seen = wrong(&node, &["check"]);
    assert!(seen.iter().any(|l| l == "fail MIG mode: GPU 0: a change waits for a GPU reset"), "{seen:#?}");
}

#[test]
fn a_driver_without_gpus_is_named() {
    let node = well();
    let source = node.path("/no_gpus.c");
    let library = node.path("/no_gpus.so");
    let nvml = "int nvmlInit_v2(void) { return 0; }
        int nvmlInitWithFlags(unsigned f) { (void)f; return 0; }
        int nvmlShutdown(void) { return 0; }
        int nvmlDeviceGetCount_v2(unsigned *n) { *n = 0; return 0; }
        int nvmlSystemGetDriverVersion(char *v, unsigned n) { (void)n; v[0] = '1'; v[1] = 0; return 0; }
        const char *nvmlErrorString(int e) { (void)e; return \"\"; }\n";
    fs::write(&source, nvml).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    assert!(built.unwrap().success());
    let seen = wrong(&node, &["--nvml-lib", library.to_str().unwrap(), "check"]);
    assert!(seen.contains(&"fail driver: it knows no GPU".to_owned()), "{seen:#?}");
    fs::remove_file(&library).unwrap();
    let seen = wrong(&node, &["--nvml-lib", library.to_str().unwrap(), "check"]);
    assert!(seen[0].starts_with("fail driver: ROOT/no_gpus.so: "), "{seen:#?}");
}

#[test]
fn types_that_other_models_have_by_the_same_number_are_told_to_a_lone_node() {
    let config = CONFIG.replace("3g.20gb: 1", "4g.20gb: 1");
    let node = Node::with("a100-40gb:2", &config);
    node.ends(0, &["apply"]);
    load(&node);
    let seen = wrong(&node, &["check"]);
    assert!(
        are(&seen, &["warn type names: beside other models Slurm would take 4g.20gb for 1g.23gb of "]),
        "{seen:#?}"
    );
    node.write(
        Root::CONFIG,
        &config.replace("{node: n1}", "{node: n1, types: {pattern: '{model}_{profile}'}}"),
    );
    node.ends(0, &["apply"]);
    load(&node);
    assert_eq!(wrong(&node, &["check"]), [""; 0]);
}
