//! The same life on every kind of GPU, canonical and mirrored: the steps of a first day with MIG, one line each.

use crate::node::Node;

/// Simulated GPU, its smallest profile and how many fit.
const MODELS: [(&str, &str, usize); 10] = [
    ("a30-24gb", "1g.6gb", 4),
    ("a100-40gb", "1g.5gb", 7),
    ("a100-40gb:1:mirrored", "1g.5gb", 7),
    ("a100-80gb:2:shuffled", "1g.10gb", 7),
    ("h100-80gb-sxm", "1g.10gb", 7),
    ("h100-80gb-sxm:1:mirrored", "1g.10gb", 7),
    ("h200-141gb", "1g.18gb", 7),
    ("h200-141gb:1:mirrored", "1g.18gb", 7),
    ("b200-180gb", "1g.23gb", 7),
    ("rtx-pro-6000-blackwell-96gb", "1g.24gb", 4),
];

#[test]
fn a_first_day_with_mig() {
    for (gpus, profile, count) in MODELS {
        let demand = format!("devices: all, mig-enabled: true, mig-devices: {{{profile}: {count}}}");
        let node = Node::with_layout(gpus, &[&demand]);
        assert!(node.ok(&["status"]).contains("MIG off"), "{gpus}");
        node.ok(&["mode", "on", "-q"]);
        assert!(node.ok(&["status"]).contains("MIG on"), "{gpus}");
        assert!(node.ok(&["profiles"]).contains(profile), "{gpus}");
        node.ok(&["apply", "-q"]);
        let uuids = node.uuids();
        let boards = node.json(&["status"])["gpus"].as_array().unwrap().len();
        assert_eq!(uuids.len(), count * boards, "{gpus}");
        let seen = node.ok(&["run", profile, "printenv", "CUDA_VISIBLE_DEVICES"]);
        assert!(uuids.contains(&seen.trim().to_owned()), "{gpus}: {seen}");
        node.ok(&["clear", "all", "-q"]);
        assert!(node.uuids().is_empty(), "{gpus}");
        let unnamed = node.run(&["mode", "off", "-q"]);
        assert_eq!(unnamed.code, 2, "it ends instances, so it asks for a GPU, as clear does");
        assert!(unnamed.stderr.contains("gresgen mode off all"), "{}", unnamed.stderr);
        node.ok(&["mode", "off", "all", "-q"]);
        assert!(node.ok(&["status"]).contains("MIG off"), "{gpus}");
    }
}

#[test]
fn what_is_exported_is_what_is_there() {
    for (gpus, profile, count) in MODELS {
        let demand = format!("devices: all, mig-enabled: true, mig-devices: {{{profile}: {}}}", count - 1);
        let node = Node::with_layout(gpus, &[&demand]);
        node.ok(&["apply", "-q"]);
        node.write("etc/gresgen/config.yaml", &node.ok(&["export"]));
        assert_eq!(node.ok(&["apply"]), "nothing to change\n", "{gpus}");
    }
}

/// Parts of instances, media engines and several models included; as YAML and as JSON, which is YAML too.
#[test]
fn an_export_is_a_configuration_that_changes_nothing() {
    let node = Node::with_layout(
        "a100-40gb:2,h100-80gb-sxm:1:mirrored,rtx-pro-6000-blackwell-96gb,a30-24gb",
        &[
            "devices: [0], mig-enabled: true, mig-devices: {1c.3g.20gb: 3, 2g.10gb: 1, 1g.5gb+me: 1}",
            "devices: [1], mig-enabled: true, mig-devices: {2c.3g.20gb: 1, 1c.3g.20gb: 1, 3g.20gb: 1}",
            "devices: [2], mig-enabled: true, mig-devices: {1g.20gb: 1, 1g.10gb: 2, 2c.3g.40gb: 1}",
            "devices: [3], mig-enabled: true, mig-devices: {1g.24gb+me.all: 1, 1g.24gb-me: 2}",
            "devices: [4], mig-enabled: false",
        ],
    );
    node.ok(&["apply", "-q"]);
    let before = node.uuids();
    for arguments in [&["export"][..], &["export", "--json"], &["export", "--label", "a: #b"]] {
        node.write("etc/gresgen/config.yaml", &node.ok(arguments));
        assert_eq!(node.ok(&["apply"]), "nothing to change\n", "{arguments:?}");
    }
    assert_eq!((node.uuids(), node.run(&["export"]).stderr), (before, String::new()));
    let one = node.json(&["export", "rtx-pro-6000-blackwell-96gb"]);
    let entry = serde_json::json!({
        "devices": [3], "mig-enabled": true, "mig-devices": {"1g.24gb+me.all": 1, "1g.24gb-me": 2},
    });
    assert_eq!(one["mig-configs"]["current"], serde_json::json!([entry]));
}

/// An instance without a compute instance is no MIG device, and mig-parted's grammar counts those.
#[test]
fn an_export_that_leaves_something_out_says_so() {
    let node =
        Node::with_layout("h100-80gb-sxm:2", &["devices: [1], mig-enabled: true, mig-devices: {1g.10gb: 2}"]);
    // MIG mode, the first GPU instance, and no further.
    let cut = node.finish(node.command(&["apply"]).env("NVML_SIM_FAULTS", "kill@3"));
    assert_eq!(cut.code, -1, "{}", cut.stderr);
    assert!(node.ok(&["status"]).contains("nobody can: no compute instance"));
    let export = node.run(&["export"]);
    assert_eq!(
        export.stderr,
        "warning: GPU 1: holds what a configuration cannot say; applying this one changes it\n"
    );
}

/// Every profile of every model can be made, alone, by its name.
#[test]
fn every_profile_of_every_model_is_created_as_named() {
    for gpus in
        ["a30-24gb", "a100-40gb:1:mirrored", "h100-94gb-nvl", "gh200-96gb", "rtx-pro-6000-blackwell-96gb"]
    {
        let node = Node::new(gpus);
        let profiles: Vec<String> = node.json(&["profiles"])[0]["profiles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap().to_owned())
            .collect();
        assert!(profiles.len() >= 5, "{gpus}");
        for profile in profiles {
            node.layout(&[&format!("devices: all, mig-enabled: true, mig-devices: {{\"{profile}\": 1}}")]);
            node.ok(&["apply", "-q"]);
            let gpu = node.json(&["status"])["gpus"][0].clone();
            assert_eq!(gpu["instances"].as_array().unwrap().len(), 1, "{gpus} {profile}");
            assert_eq!(gpu["instances"][0]["profile"], profile, "{gpus}");
        }
    }
}
