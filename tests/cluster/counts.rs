//! Devices that slurmctld counts in use, and no job has.

use std::collections::BTreeSet;

use lab::{Lab, Release, User};
use serde_json::json;

use crate::arbiter::SETTINGS;
use crate::node::Node;

/// Starts of slurmctld at most until it has given a job what it did not know; one was enough.
const STARTS: usize = 4;

/// Ends slurmctld, and starts it anew when a job may start that was to wait for two seconds. It ends another then, by which it hears
/// of the node.
const ANEW: &str = r#"pid=$(cat /run/slurmctld.pid) && kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
sleep 2 && slurmctld && until scancel "$1"; do sleep 0.02; done"#;

/// What the arbiter says when it has slurmctld count anew.
const ASKED: &str = "n1: slurmctld counts devices in use that no job has, and is asked to count anew\n";

/// Indexes of the records of what is cut, by the layout `first`: the seven places of a 1g.5gb of each GPU come first, then those of a
/// 2g.10gb and of a 3g.20gb.
const CUT: [usize; 8] = [0, 1, 2, 7, 8, 9, 21, 23];

/// Indexes of the GPU devices that slurmctld counts in use.
fn used(lab: &Lab) -> Option<BTreeSet<usize>> {
    let shown = lab.run(&["scontrol", "-d", "-o", "show", "node", "n1"]).unwrap().stdout;
    let used = shown.split_whitespace().find_map(|word| word.strip_prefix("GresUsed="))?;
    let gpus = used.split("gpu:").skip(1);
    let lists = gpus.map(|entry| Some(entry.split_once("(IDX:")?.1.split_once(')')?.0));
    let lists: Option<Vec<&str>> = lists.collect();
    let ends = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    let ranges = lists?.into_iter().flat_map(|list| list.split(',')).filter_map(ends);
    Some(ranges.flat_map(|(first, last): (usize, usize)| first..=last).collect())
}

/// A slurmctld 22.05 that begins anew goes on with a node as soon as it hears of a job there, and knows no types until the node has
/// registered. A job that asks for so many GPUs in all (`--gpus`) is then given a bit of the node's, which its allocation does not
/// have: `_job_alloc` in src/slurmctld/gres_ctld.c picks as many as it has added to the counts of types, which is `gres_per_node`, 0
/// there. So `_job_dealloc` leaves it set when the job ends.
#[test]
fn a_job_is_served_of_what_slurmctld_counts_and_no_job_has() {
    for release in Release::selected().into_iter().filter(|release| *release == Release::Bookworm) {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let lab = &node.lab;
        let beside = node.waiting("1g.5gb");
        let right = used(lab).unwrap();
        let leaves = |_: usize| {
            let ends = node.waiting("1g.5gb");
            let early = lab.sbatch(User::Alice, &["--begin=now+2", "--gpus=1g.5gb:1"], "true").unwrap();
            lab.run(&["sh", "-c", ANEW, "sh", &ends.0.to_string()]).unwrap();
            let over = || {
                let state = lab.run(&["squeue", "-h", "-t", "all", "-o", "%T", "-j", &early.to_string()])?;
                let is_over = !["PENDING", "RUNNING", "COMPLETING"].contains(&state.stdout.trim());
                // Indexes are there once the node has registered.
                Ok(used(lab).filter(|_| is_over))
            };
            let used = lab.wait("the job to be over", over).unwrap();
            lab.wait_nodes().unwrap();
            used.difference(&right).copied().find(|index| CUT.contains(index))
        };
        let Some(left) = (0..STARTS).find_map(leaves) else {
            eprintln!("{release}: in {STARTS} starts slurmctld counted nothing that no job has; not tried");
            return;
        };
        node.go();
        node.reports(beside);
        assert_eq!(used(lab), Some([left].into()));

        // The node believes it, and has nobody ask slurmctld for more than that.
        assert!(left < 14, "a 1g.5gb: {left}");
        let gpu = node.order(&json!({"look": {}}))["look"]["gpus"][left / 7]["uuid"].clone();
        let destroy = json!([{"profile": "1g.5gb", "start": left % 7}]);
        let refused = node.order(&json!({"cut": {"gpus": [{"gpu": gpu, "destroy": destroy}]}}));
        assert_eq!(refused["code"], json!("in-use"), "{refused:#}");
        assert_eq!(used(lab), Some([left].into()));

        // Nobody but an administrator may have it counted anew.
        let denied = lab.command(&["scontrol", "setdebugflags", "+"]).user(User::Alice).output().unwrap();
        assert!(denied.code != 0 && denied.stderr.contains("denied"), "{}", denied.stderr);
        assert_eq!(used(lab), Some([left].into()));

        // Any user can hold a job for its exit code, for as long as he likes. It has no node, and nothing there.
        let held = node.submit(&["--gres=gpu:1g.5gb:1"]);
        node.runs(held);
        let hold = ["scontrol", "requeuehold", "State=SpecialExit", &held.to_string()];
        lab.command(&hold).user(User::Alice).output().unwrap();
        node.waits_until("the job to be held", || node.state_of(held) == "SPECIAL_EXIT");

        // Somebody waits for a cut of all there is.
        let arbiter = node.arbiter("");
        let job = node.submit(&["--gres=gpu:3g.20gb:4"]);
        // Passes are the further apart the longer slurmctld takes to answer.
        let asked = |_: usize| lab.wait("it", || Ok(node.log().contains(ASKED).then_some(()))).is_ok();
        assert!((0..3).any(asked), "{}", node.log());
        node.runs(job);
        assert_eq!(used(lab), Some([20, 21, 22, 23].into()), "{}", node.log());
        assert_eq!(node.log().matches(ASKED).count(), 1, "{}", node.log());
        assert!(!node.log().contains("does not count anew"), "{}", node.log());
        node.end(&arbiter, "TERM");
    }
}
