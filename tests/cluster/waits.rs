//! Waits for jobs, on a terminal and off one.

use lab::Release;

use crate::node::Node;

/// A drain on a terminal that script(1) makes, and Ctrl-C typed once the node is drained.
const TYPED: &str = "\
(until scontrol show node n1 | grep -q DRAIN; do sleep 0.1; done; sleep 5; printf '\\003'; sleep 1) |
TERM=xterm script -qefc 'gresgen --layout more apply --drain=60s' /dev/null; echo rc=$?";

#[test]
fn a_drain_says_whom_it_waits_for_and_ends_at_once() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let before = node.picture();
        let job = node.waiting("1g.5gb");
        let said = node.lab.run(&["sh", "-c", TYPED]).unwrap().stdout;
        assert!(said.trim_end().ends_with("rc=130"), "{release}: {said}");
        let waits: Vec<&str> =
            said.split("\r\u{1b}[K").filter(|line| line.starts_with("waiting for ")).collect();
        assert!(waits.len() >= 2, "{release}: {said:?}");
        let line = waits[1];
        assert!(line.starts_with("waiting for n1 to have no jobs, 0:0"), "{release}: {line}");
        assert!(line.contains(&format!("of 1:00: job {} (alice, since ", job.0)), "{release}: {line}");
        assert!(line.chars().count() < 80, "{release}: {line}");
        // The drain was ours, and is taken back.
        assert_eq!(node.picture(), before, "{release}");
        node.lab
            .wait("the node to be in service", || Ok((node.lab.node_state("n1")? == "MIXED").then_some(())))
            .unwrap();

        // Off a terminal it is a line a minute, and the error names the job.
        let late = node.gresgen(&["--layout", "more", "apply", "--drain=20s"]).must_be(4);
        let waits: Vec<&str> = late.stderr.lines().filter(|line| line.starts_with("waiting for ")).collect();
        let [line] = waits[..] else { panic!("{release}: {}", late.stderr) };
        assert!(line.contains("0:00 of 0:20: job ") && line.contains(", ends "), "{release}: {line}");
        late.must_say(&["still busy after 20 s: job ", "(alice, since "]);
        let quiet = node.gresgen(&["-q", "--layout", "more", "apply", "--drain=1s"]).must_be(4);
        assert!(!quiet.stderr.contains("waiting for"), "{}", quiet.stderr);
        node.go();
        node.reports(job);
    }
}
