//! Devices that slurmctld counts in use, and no job has.

use lab::{Release, Simulated, User};
use serde_json::json;

use crate::node::Node;
use crate::orders::{LAYOUT, ON_REQUEST};

/// Starts of slurmctld until it has given a job what it did not know; one was enough.
const STARTS: usize = 10;

/// Ends slurmctld, and starts it anew when a job may start that was to wait for two seconds. It ends another then, by which it hears
/// of the node.
const ANEW: &str = r#"pid=$(cat /run/slurmctld.pid) && kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
sleep 2 && slurmctld && until scancel "$1"; do sleep 0.02; done"#;

/// A slurmctld 22.05 that begins anew goes on with a node as soon as it hears of a job there, and knows no types until the node has
/// registered. A job that asks for so many GPUs in all (`--gpus`) is then given a bit of the node's, which its allocation does not
/// have: `_job_alloc` in src/slurmctld/gres_ctld.c picks as many as it has added to the counts of types, which is `gres_per_node`, 0
/// there. So `_job_dealloc` leaves it set when the job ends.
#[test]
fn what_slurmctld_counts_and_no_job_has_refuses_no_order() {
    for release in Release::selected().into_iter().filter(|release| *release == Release::Bookworm) {
        let Some(node) = Node::fresh(release) else { return };
        let lab = &node.lab;
        let config = format!("{LAYOUT}{}{ON_REQUEST}", Simulated::NODE);
        lab.write_file("/etc/gresgen/config.yaml", config).unwrap();
        node.gresgen(&["apply"]).must_be(6);
        lab.start_slurm().unwrap();
        let beside = node.waiting("1g.5gb");
        let used = || {
            let shown = lab.run(&["scontrol", "-d", "-o", "show", "node", "n1"]).unwrap().stdout;
            shown.split_whitespace().filter(|word| word.starts_with("GresUsed=")).collect::<String>()
        };
        let right = used();
        let leaves = |_: usize| {
            let ends = node.waiting("1g.5gb");
            let early = lab.sbatch(User::Alice, &["--begin=now+2", "--gpus=1g.5gb:1"], "true").unwrap();
            lab.run(&["sh", "-c", ANEW, "sh", &ends.0.to_string()]).unwrap();
            let over = || {
                let state = lab.run(&["squeue", "-h", "-t", "all", "-o", "%T", "-j", &early.to_string()])?;
                let is_over = !["PENDING", "RUNNING", "COMPLETING"].contains(&state.stdout.trim());
                // Indexes are there once the node has registered.
                Ok((is_over && used().contains("(IDX:")).then_some(()))
            };
            lab.wait("the job to be over", over).unwrap();
            lab.wait_nodes().unwrap();
            used() != right
        };
        assert!((0..STARTS).any(leaves), "nothing is counted that no job has: {right}");
        let counted = used();
        let gpu = node.order(&json!({"look": {}}))["look"]["gpus"][1]["uuid"].clone();
        let of = |profile: &str, start: u8| json!({"profile": profile, "start": start});
        let cut = json!({"cut": {"gpus": [{"gpu": gpu, "destroy": [of("3g.20gb", 4)], "create": [of("2g.10gb", 4)]}]}});
        let done = node.order(&cut);
        assert_eq!(done["code"], json!("done"), "{done:#}");
        assert_eq!(used(), right, "{counted} before");
        node.go();
        node.reports(beside);
    }
}
