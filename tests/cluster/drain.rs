//! `--drain`.

use lab::Release;

use crate::node::Node;

#[test]
fn a_drained_node_is_changed_and_resumed() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let before = node.picture();

        // What is not possible at all drains nothing.
        node.gresgen(&["--layout", "impossible", "apply", "--drain=30s"]).must_be(2);
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");

        // A job that does not end.
        let job = node.waiting("1g.5gb");
        let late = node.gresgen(&["--layout", "more", "apply", "--drain=2s"]).must_be(4);
        late.must_say(&["n1", "stays drained", "scontrol update NodeName=n1 State=RESUME"]);
        assert_eq!(node.picture(), before, "{release}");
        assert_eq!(node.lab.node_state("n1").unwrap(), "MIXED+DRAIN", "{release}");

        // Again, and the job ends in time: the drain was gresgen's, so the node is resumed.
        node.go();
        node.reports(job);
        node.gresgen(&["--layout", "more", "apply", "--drain=30s", "--slurm=apply"]).must_be(0);
        // Slurm asks a resumed node whether it is there.
        node.lab.wait_nodes().unwrap();
        assert_eq!(node.devices().len(), 6);

        // Drained by somebody else.
        let drain = ["scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=a broken fan"];
        node.lab.run(&drain).unwrap();
        let answer =
            node.gresgen(&["--layout", "without-1g", "apply", "--drain=30s", "--slurm=apply"]).must_be(0);
        assert!(answer.stdout.contains("n1: was drained before (a broken fan"), "{}", answer.stdout);
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE+DRAIN", "{release}");
        node.lab.run(&["scontrol", "update", "NodeName=n1", "State=RESUME"]).unwrap();

        // A job that ends in time.
        node.lab.run(&["rm", "/var/lab/out/go"]).unwrap();
        let job = node.waiting("3g.20gb");
        std::thread::scope(|scope| {
            let change =
                scope.spawn(|| node.gresgen(&["--layout", "day", "apply", "--drain=30s", "--slurm=apply"]));
            node.lab
                .wait("the node to drain", || Ok(node.lab.node_state("n1")?.contains("DRAIN").then_some(())))
                .unwrap();
            node.go();
            change.join().unwrap().must_be(0);
        });
        node.reports(job);
        node.settled();
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        assert_eq!(node.picture()[4], before[4]);
        assert_eq!(node.job("3g.20gb").kind, "3g.20gb");
    }
}

#[test]
fn what_is_printed_waits_for_the_node() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let state = || node.lab.node_state("n1").unwrap();
        let answer = node.gresgen(&["--layout", "more", "apply", "--drain=10s"]).must_be(6);
        let [.., wait, resume] = answer.left()[..] else { panic!("{release}: {:?}", answer.left()) };
        assert!(
            wait.starts_with("until ") && resume.ends_with("State=RESUME"),
            "{release}: {wait}; {resume}"
        );
        for line in answer.left() {
            node.lab.run(&["sh", "-c", line]).unwrap();
            if line == wait {
                assert_eq!(state(), "IDLE+DRAIN", "{release}");
            }
        }
        node.settled();

        // A node that was resumed is asked whether it is there, and has no job until it answers.
        node.lab.run(&["scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=a test"]).unwrap();
        node.lab.run(&["sh", "-c", &format!("{resume}; {wait}")]).unwrap();
        assert_eq!(state(), "IDLE", "{release}");
    }
}
