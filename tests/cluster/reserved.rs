//! What waits for long and is no reason to cut: jobs that would run into a reservation.

use lab::{JobId, Release};
use serde_json::Value;

use crate::arbiter::SETTINGS;
use crate::node::Node;

impl Node {
    /// What `gresgen demand` says of a job.
    fn says_of(&self, job: JobId) -> String {
        let said = self.gresgen(&["--json", "demand", "--job", &job.to_string()]).must_be(0).stdout;
        let said: Value = serde_json::from_str(&said).unwrap();
        said["jobs"][0]["says"].as_str().unwrap_or_default().to_owned()
    }

    fn reserve(&self, name: &str, words: &[&str]) {
        let name = format!("ReservationName={name}");
        let create = ["scontrol", "create", "reservation", &name, "Nodes=n1", "Users=root", "Duration=60"];
        self.lab.run(&[&create[..], words].concat()).unwrap();
    }

    fn why(&self, job: JobId) -> String {
        let asked = ["squeue", "-h", "-o", "%r", "-j", &job.to_string()];
        self.lab.run(&asked).unwrap().stdout.trim().to_owned()
    }
}

#[test]
fn before_maintenance_nothing_is_cut_for_jobs_that_would_run_into_it() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        node.reserve("maintenance", &["StartTime=now+2days", "Flags=MAINT"]);
        node.reserve("some-cores", &["StartTime=now+1hours", "CoreCnt=1"]);
        let arbiter = node.arbiter("");
        let long = node.submit(&["--gres=gpu:2g.10gb:1", "-t3-0"]);
        let without = node.submit(&["--gres=gpu:2g.10gb:1"]);
        node.waits_until("Slurm to have looked", || node.why(long).starts_with("ReqNodeNotAvail"));
        // One behind them that ends before is served, and it alone.
        let short = node.submit(&["--gres=gpu:2g.10gb:1", "-t1-0"]);
        node.runs(short);
        // So is one that makes do with less.
        let least = node.submit(&["--gres=gpu:2g.10gb:1", "-t3-0", "--time-min=60"]);
        node.runs(least);
        for job in [long, without] {
            let says = node.says_of(job);
            assert_eq!(says, "no cut helps: its nodes are reserved before it would have to end", "{release}");
            assert_eq!(node.state_of(job), "PENDING", "{release}");
            assert!(!node.log().contains(&format!("job {job}:")), "{release}: {}", node.log());
        }

        // What Slurm says of them stays for as long as the reservation is there.
        node.lab.run(&["scontrol", "delete", "ReservationName=maintenance"]).unwrap();
        node.runs(long);
        node.runs(without);
        node.end(&arbiter, "TERM");
    }
}
