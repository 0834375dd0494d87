//! Reboots: instances are gone, and slurmd ends when gres.conf names a device that is not there.

use lab::Release;

use crate::node::{Device, Node};

const BOOT: [&str; 3] = ["apply", "--boot", "--wait=1s"];

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
