//! Reboots: instances are gone, and slurmd ends when gres.conf names a device that is not there.

use lab::{Release, User};

use crate::node::{Device, Node};

pub(crate) const BOOT: [&str; 3] = ["apply", "--boot", "--wait=1s"];

fn kinds(node: &Node) -> Vec<String> {
    node.devices().into_values().map(|Device { kind, .. }| kind).collect()
}

/// What slurmctld says of the node once it has seen that devices are missing.
fn refused(node: &Node) -> String {
    node.lab
        .wait("the node to be refused", || {
            let text = node.lab.run(&["scontrol", "-o", "show", "node", "n1"])?.stdout;
            Ok(text.contains("INVAL").then_some(text))
        })
        .unwrap()
}

#[test]
fn a_reboot_brings_the_same_devices_back() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let (before, files) = (kinds(&node), node.picture());
        node.reboot();
        node.gresgen(&BOOT).must_be(0);
        assert_eq!(kinds(&node), before, "{release}");
        node.lab.start_slurmd("n1").unwrap();
        node.settled();
        assert_eq!(node.picture()[..3], files[..3], "{release}");
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        assert_eq!(node.job("2g.10gb").uuid, node.devices()[&2].uuid, "{release}");
        node.gresgen(&["check"]).must_be(0);
    }
}

#[test]
fn without_a_driver_slurmd_starts_and_the_node_is_drained() {
    const LIBRARY: &str = "/usr/local/lib/gresgen/libnvml_sim.so";
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let before = kinds(&node);
        node.reboot();
        node.lab.run(&["mv", LIBRARY, "/var/lab/away"]).unwrap();
        node.gresgen(&BOOT).must_be(1).must_say(&[
            LIBRARY,
            "slurmd can start, without GPUs",
            "n1 is drained",
        ]);
        node.lab.start_slurmd("n1").unwrap();
        let view = refused(&node);
        assert!(view.contains("DRAIN"), "{release}: {view}");
        // From 24.11 on slurmctld puts its own reason in the place of the one the node was drained for.
        let reason = match release {
            Release::Bookworm => "Reason=gresgen: /usr/local/lib",
            Release::Trixie | Release::Sid => "Reason=gres/gpu count reported lower than configured (0 < 5)",
        };
        assert!(view.contains(reason), "{release}: {view}");
        assert_eq!(kinds(&node), [""; 0]);

        // Mended. The node is resumed where it can still be seen that the drain was gresgen's.
        node.lab.run(&["mv", "/var/lab/away", LIBRARY]).unwrap();
        let answer = node.gresgen(&["apply", "--drain", "--slurm=apply"]).must_be(0);
        if release != Release::Bookworm {
            let said = "n1: was drained before (gres/gpu count reported lower";
            assert!(answer.stdout.contains(said), "{}", answer.stdout);
            node.lab.run(&["scontrol", "update", "NodeName=n1", "State=RESUME"]).unwrap();
        }
        node.settled();
        assert_eq!(kinds(&node), before, "{release}");
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        assert_eq!(node.job("3g.20gb").kind, "3g.20gb");
    }
}

#[test]
fn a_dead_gpu_is_left_out_and_slurm_says_so() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        node.reboot();
        let answer = node.gresgen(&["apply", "--boot", "--without", "1"]).must_be(0);
        let said =
            "n1: GRES type 3g.20gb: slurm.conf says 2, the node has 0; slurmctld will mark the node INVALID";
        assert!(answer.stdout.contains(said), "{}", answer.stdout);
        assert_eq!(kinds(&node), ["1g.5gb", "1g.5gb", "2g.10gb"]);
        node.lab.start_slurmd("n1").unwrap();
        let view = refused(&node);
        assert!(view.contains("gres/gpu count reported lower than configured (3 < 5)"), "{release}: {view}");
    }
}

#[test]
fn on_a_node_in_service_a_boot_hurts_no_job() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let job = node.waiting("1g.5gb");
        let before = node.picture();
        // The layout has been changed, and somebody starts the boot unit.
        for layout in ["without-1g", "more", "impossible"] {
            let answer = node.gresgen(&[&["--layout", layout], &BOOT[..]].concat());
            assert!([2, 4].contains(&answer.code), "{release}: {layout}: {answer:?}");
            answer.must_say(&["the node is in service, and is left as it is"]);
            assert_eq!(node.picture(), before, "{release}: {layout}");
        }
        node.gresgen(&BOOT).must_be(0);
        assert_eq!(node.picture(), before, "{release}");
        assert_eq!(node.lab.node_state("n1").unwrap(), "MIXED", "{release}");
        node.go();
        node.reports(job);
    }
}

/// flock(2) asks for no right but to open a file, so that the lock files are root's alone.
#[test]
fn no_user_holds_up_a_change_or_a_boot() {
    let Some(node) = Node::in_service(Release::Bookworm) else { return };
    let alice = |words: &[&str]| node.lab.command(words).user(User::Alice).output().unwrap();
    // The same words work on a file that alice may open.
    assert_eq!(alice(&["flock", "-n", "/etc/hostname", "true"]).code, 0);
    let refused = alice(&["flock", "-n", "/run/gresgen/lock", "true"]);
    assert!(refused.code != 0 && refused.stderr.contains("Permission denied"), "{refused:?}");
    assert_ne!(alice(&["sh", "-c", "echo >/run/gresgen/slices/MIG-x"]).code, 0);
    // Neither does one who looks: not even while the look is made to last.
    let watch =
        "while [ ! -e /tmp/done ]; do gresgen status >/tmp/status 2>&1; done </dev/null >/dev/null 2>&1 &";
    node.lab.run(&["sh", "-c", watch]).unwrap();
    for _ in 0..10 {
        node.gresgen(&["apply"]).must_be(0);
    }
    node.lab.run(&["touch", "/tmp/done"]).unwrap();
}

#[test]
fn a_boot_waits_for_whoever_is_changing_the_node() {
    let Some(node) = Node::in_service(Release::Bookworm) else { return };
    let before = kinds(&node);
    node.reboot();
    let script = "\
        flock /run/gresgen/lock sh -c 'touch /tmp/has; until [ -e /tmp/let ]; do sleep 0.05; done' \
            >/tmp/held 2>&1 </dev/null & \
        until [ -e /tmp/has ]; do sleep 0.05; done";
    // Nobody knows for how long: slurmd shall find files of what is there, on a node that takes no jobs.
    node.lab.run(&["sh", "-c", script]).unwrap();
    let said = [
        "/run/gresgen/lock: held by process",
        "slurmd can start, with the GPUs as they are",
        "n1 is drained",
    ];
    node.gresgen(&BOOT).must_be(4).must_say(&said);
    let gres_conf = node.lab.read_file("/etc/slurm/gres.conf").unwrap();
    assert_eq!(gres_conf.matches("Name=gpu").count(), 0, "{gres_conf}");
    let reason = || node.lab.run(&["scontrol", "-o", "show", "node", "n1"]).unwrap().stdout;
    assert!(reason().contains("Reason=gresgen: /run/gresgen/lock: held by"), "{}", reason());
    // The boot that succeeds takes the drain back.
    node.lab.run(&["sh", "-c", "(sleep 1; touch /tmp/let) >/dev/null 2>&1 </dev/null &"]).unwrap();
    node.gresgen(&["apply", "--boot", "--wait=30s"]).must_be(0);
    assert_eq!(kinds(&node), before);
    assert!(!reason().contains("DRAIN"), "{}", reason());
}

/// A typing error must not keep slurmd from starting.
#[test]
fn a_wrong_configuration_does_not_keep_slurmd_out() {
    const CONFIG: &str = "/etc/gresgen/config.yaml";
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let (before, config) = (kinds(&node), node.lab.read_file(CONFIG).unwrap());
        node.reboot();
        for (wrong, said) in [
            (format!("{config}  bad: [\n"), "/etc/gresgen/config.yaml:"),
            (config.replace("layout: day", "layout: night"), "night"),
            (config.replace("layout: day", "layout: impossible"), "the layout does not fit"),
        ] {
            node.lab.write_file(CONFIG, wrong).unwrap();
            node.gresgen(&BOOT).must_be(2).must_say(&[said, "slurmd can start", "n1 is drained"]);
            assert_eq!(kinds(&node), [""; 0], "{release}: {said}");
        }
        node.lab.start_slurmd("n1").unwrap();
        assert!(refused(&node).contains("DRAIN"), "{release}");
        node.lab.write_file(CONFIG, config).unwrap();
        node.gresgen(&["apply", "--slurm=apply"]).must_be(0);
        // From 24.11 on slurmctld has put its own reason in the place of ours, which is for a person to take back.
        node.lab.run(&["scontrol", "update", "NodeName=n1", "State=UNDRAIN"]).unwrap();
        node.settled();
        assert_eq!(kinds(&node), before, "{release}");
    }
}
