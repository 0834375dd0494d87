//! The nodes of a catalog: slurmctld learns of them when it starts, and until then that is what is left to do.

use lab::{Release, User};
use serde_json::json;

use crate::node::Node;

const RESTART: &str = "systemctl restart slurmctld";

impl Node {
    /// What `check` says of the catalog.
    fn says_of_catalog(&self) -> String {
        let check = self.gresgen(&["check"]).stdout;
        let from = check.lines().skip_while(|line| line.split_whitespace().nth(1) != Some("catalog"));
        from.take(3).collect::<Vec<_>>().join("\n")
    }

    /// Whether slurmctld knows a node.
    fn knows(&self, name: &str) -> bool {
        self.lab.command(&["scontrol", "show", "node", name]).output().unwrap().code == 0
    }
}

#[test]
fn slurmctld_learns_of_a_catalog_by_a_restart() {
    for release in Release::selected() {
        let Some(node) = Node::for_orders(release, "") else { return };
        node.gresgen(&["apply"]).must_be(0);
        let holder = node.waiting("3g.20gb");

        for (more, come, gone) in [
            ("  catalog: cut-[1-2]\n", "cut-2", "later-1"),
            ("  catalog: later-1\n", "later-1", "cut-2"),
            ("", "n1", "later-1"),
        ] {
            node.takes_orders(more);
            node.gresgen(&["plan", "--detailed-exitcode"]).must_be(10);
            for _ in 0..2 {
                let left = node.gresgen(&["apply"]).must_be(6);
                let restart = left.left().iter().any(|line| line.starts_with(RESTART));
                assert!(restart, "{release}: {more}: {}", left.stdout);
            }
            if !more.is_empty() {
                assert!(!node.knows(come), "{release}: {more}");
                let said = node.says_of_catalog();
                assert!(said.contains("restart slurmctld"), "{release}: {more}: {said}");
            }
            // What orders may do does not wait for it.
            let look = node.order(&json!({"look": {}}));
            let small = json!([{"profile": "1g.5gb", "start": 0}]);
            for verb in ["close", "open"] {
                let gpu = &look["look"]["gpus"][1]["uuid"];
                let done = node.order(&json!({"cut": {"gpus": [{"gpu": gpu, verb: small}]}}));
                assert_eq!(done["code"], "done", "{release}: {more}: {done:#}");
            }
            node.gresgen(&["apply", "--slurm", "apply"]).must_be(0);
            assert!(node.knows(come) && !node.knows(gone), "{release}: {more}");
            node.gresgen(&["plan", "--detailed-exitcode"]).must_be(0);
            if !more.is_empty() {
                assert!(node.says_of_catalog().contains("pass  catalog"), "{release}: {more}");
            }
        }
        node.go();
        let reports = node.reports(holder);
        assert_eq!(reports[0], reports[1], "{release}");
    }
}

/// What docs/on-request.md says of reservations and of the gate.
#[test]
fn a_reservation_needs_the_nodes_of_the_catalog() {
    for release in Release::selected() {
        let Some(node) = Node::for_orders(release, "  catalog: cut-[1-2]\n") else { return };
        let submit = |more: &[&str]| node.lab.sbatch(User::Alice, more, "lab-probe");
        let asked = ["--reservation=only", "--gres=gpu:2g.10gb:1"];
        let reserve = |nodes: &str| {
            let nodes = format!("Nodes={nodes}");
            let create = ["scontrol", "create", "reservation", "ReservationName=only", "StartTime=now"];
            let create = [&create[..], &["Duration=60", "Users=alice", &nodes]].concat();
            node.lab.run(&create).unwrap();
        };
        reserve("n1");
        assert!(submit(&asked).is_err(), "{release}");
        node.lab.run(&["scontrol", "delete", "ReservationName=only"]).unwrap();
        reserve("n1,cut-[1-2]");
        let job = submit(&asked).unwrap();

        // A user may ask for the gate, and it is cut for others beside.
        let holder = node.lab.sbatch(User::Alice, &["--reservation=only", "--gres=gresgen:1"], "sleep 600");
        let state = ["squeue", "-h", "-o", "%T", "-j", &holder.unwrap().to_string()];
        let began = || Ok((node.lab.run(&state)?.stdout.trim() == "RUNNING").then_some(()));
        node.lab.wait("the job with the gate to begin", began).unwrap();
        let look = node.order(&json!({"look": {}}));
        let gpu = &look["look"]["gpus"][0]["uuid"];
        let small = [0, 1].map(|start| json!({"profile": "1g.5gb", "start": start}));
        let large = json!([{"profile": "2g.10gb", "start": 0}]);
        let cut = json!({"gpu": gpu, "destroy": small, "create": large});
        assert_eq!(node.order(&json!({"cut": {"gpus": [cut]}}))["code"], "done", "{release}");
        let done = node.lab.wait_job(job).unwrap();
        assert_eq!(done.state, "COMPLETED", "{release}: {}", done.output);
        let back = json!({"gpu": gpu, "destroy": large, "create": small});
        assert_eq!(node.order(&json!({"cut": {"gpus": [back]}}))["code"], "done", "{release}");
        assert_eq!(node.lab.run(&state).unwrap().stdout.trim(), "RUNNING", "{release}");
    }
}
