//! What `gresgen` made, `nvidia-smi` reads and changes, and the other way round.

use crate::smi::{Sleeper, Smi, each, newest, uuids};

const LAYOUT: [&str; 2] = [
    "devices: [0], mig-enabled: true, mig-devices: {3g.20gb: 1, 1c.2g.10gb: 2, 1g.5gb: 1}",
    "devices: [1], mig-enabled: true, mig-devices: {1g.5gb: 7}",
];

/// Profile and UUID of every MIG device, as `-L` has them.
fn listed(smi: &Smi) -> Vec<(String, String)> {
    let line = |line: &str| {
        let profile = line.trim_start().strip_prefix("MIG ")?.split_whitespace().next()?.to_owned();
        Some((profile, uuids(line, "MIG-").pop()?))
    };
    smi.ok("-L").lines().filter_map(line).collect()
}

/// The same of `gresgen status`.
fn status(smi: &Smi) -> Vec<(String, String)> {
    let status = smi.node.json(&["status"]);
    let mut devices = Vec::new();
    for gpu in status["gpus"].as_array().unwrap() {
        for instance in gpu["instances"].as_array().unwrap() {
            for compute in instance["compute"].as_array().unwrap() {
                let text = |key: &str| compute[key].as_str().unwrap().to_owned();
                devices.push((text("profile"), text("uuid")));
            }
        }
    }
    devices
}

fn sorted(mut devices: Vec<(String, String)>) -> Vec<(String, String)> {
    devices.sort();
    devices
}

#[test]
fn nvidia_smi_lists_what_gresgen_made() {
    for smi in each("a100-40gb:2:mirrored") {
        smi.node.layout(&LAYOUT);
        smi.node.ok(&["apply", "-q"]);
        let devices = listed(&smi);
        assert_eq!(devices.len(), 11);
        assert_eq!(sorted(devices), sorted(status(&smi)), "{}", smi.release);
        // The device map, from which jobs take their UUIDs, says the same.
        let map = smi.node.read("run/gresgen/devices");
        for (_, uuid) in listed(&smi) {
            assert!(map.contains(&uuid), "{uuid}: not in\n{map}");
        }
        // Which GPU a compute instance is on, by the handle in its info.
        let on =
            |gpu: &str| smi.rows("mig -lci").iter().filter(|row| row.starts_with(&format!("{gpu} "))).count();
        assert_eq!((on("0"), on("1")), (4, 7));
    }
}

#[test]
fn gresgen_takes_over_what_nvidia_smi_made() {
    for smi in each("a100-40gb:2") {
        smi.ok("-mig 1");
        smi.ok("mig -i 0 -cgi 9,14 -C");
        smi.ok("mig -i 1 -cgi 19,19 -C");
        assert_eq!(sorted(status(&smi)), sorted(listed(&smi)), "{}", smi.release);
        let before = listed(&smi);

        // Its own export is a layout that there is nothing to change for.
        let export = smi.node.ok(&["export"]);
        smi.node.write("etc/gresgen/config.yaml", &export);
        assert_eq!(smi.node.json(&["plan"])["gpus"], serde_json::json!([]), "{export}");
        smi.node.ok(&["apply", "-q"]);
        assert_eq!(listed(&smi), before);

        // One GPU changes, the other keeps its instances.
        smi.node.layout(&[
            "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 7}",
            "devices: [1], mig-enabled: true, mig-devices: {1g.5gb: 2}",
        ]);
        smi.node.ok(&["apply", "-q"]);
        let after = listed(&smi);
        assert_eq!(after.len(), 9);
        assert_eq!(after[7..], before[2..]);
    }
}

#[test]
fn what_nvidia_smi_takes_away_gresgen_makes_again() {
    let Some(smi) = newest("h100-80gb-sxm") else { return };
    smi.node.layout(&["devices: all, mig-enabled: true, mig-devices: {1g.10gb: 3, 2g.20gb: 1}"]);
    smi.node.ok(&["apply", "-q"]);
    let before = sorted(listed(&smi));
    let id = smi.rows("mig -lgi")[0].split(' ').nth(4).unwrap().to_owned();
    smi.ok(&format!("mig -gi {id} -dci"));
    smi.ok(&format!("mig -gi {id} -dgi"));
    assert_eq!(listed(&smi).len(), 3);
    assert_eq!(smi.node.run(&["check"]).code, 3, "check sees that a slice is gone");
    smi.node.ok(&["apply", "-q"]);
    assert_eq!(sorted(listed(&smi)), before);
    smi.ok("mig -dci");
    smi.ok("mig -dgi");
    smi.ok("-mig 0");
    assert_eq!(smi.node.json(&["status"])["gpus"][0]["mode"]["current"], false);
}

/// On Ampere the mode of a GPU that somebody holds waits for a reset, for which NVML has no call: gresgen has nvidia-smi
/// do it.
#[test]
fn gresgen_resets_gpus_through_nvidia_smi() {
    let Some(smi) = newest("a100-40gb:1:held") else { return };
    smi.node.layout(&["devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}"]);
    let waits = smi.node.run(&["apply", "-q"]);
    assert_eq!(waits.code, 5, "{}", waits.stderr);
    let mut apply = smi.node.command(&["apply", "--reset", "-q"]);
    let applied = smi.node.finish(smi.installed(&mut apply));
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    assert_eq!(listed(&smi).len(), 7);
}

#[test]
fn nvidia_smi_resets_a_gpu_that_nobody_uses() {
    let Some(smi) = newest("a100-40gb:2:held") else { return };
    smi.ok("-i 0 -mig 1");
    let uuid = uuids(&smi.ok("-L"), "GPU-")[0].clone();
    let said = "GPU 00000000:03:00.0 was successfully reset.\nAll done.\n";
    assert_eq!(smi.ok(&format!("--gpu-reset -i {uuid}")), said);
    let modes = "--query-gpu=mig.mode.current,mig.mode.pending --format=csv,noheader";
    assert_eq!(smi.ok(modes), "Enabled, Enabled\nDisabled, Disabled\n");
    smi.ok("mig -cgi 9 -C");
    smi.node.occupy(&smi.node.uuids()[0], std::process::id());
    let refused = smi.run("-r -i 0");
    assert_eq!(refused.code, 19, "{}", refused.stdout);
    assert!(refused.stdout.contains("In use by another client"), "{}", refused.stdout);
    assert_eq!(listed(&smi).len(), 1);
}

/// On a GPU without MIG, whatever they do there.
#[test]
fn both_see_who_uses_a_gpu() {
    for smi in each("a100-40gb:2") {
        let gpu = uuids(&smi.ok("-L"), "GPU-")[1].clone();
        let sleepers = ["compute", "graphics", "mps"].map(|activity| (Sleeper::start(), activity));
        let line = |(sleeper, activity): &(Sleeper, &str)| format!("{gpu} {} {activity}\n", sleeper.pid());
        smi.node.write("var/lib/nvml-sim/processes", &sleepers.iter().map(line).collect::<String>());
        let table = smi.ok("");
        let mut pids: Vec<u64> = sleepers.iter().map(|(sleeper, _)| sleeper.pid().into()).collect();
        pids.sort_unstable();
        for pid in &pids {
            assert!(table.contains(&format!(" {pid} ")), "{pid}: not in\n{table}");
        }
        let status = smi.node.json(&["status"]);
        let holders = status["gpus"][1]["holders"].as_array().unwrap();
        let mut held: Vec<u64> = holders.iter().filter_map(|holder| holder["pid"].as_u64()).collect();
        held.sort_unstable();
        assert_eq!(held, pids, "{}", smi.release);
    }
}
