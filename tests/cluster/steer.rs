//! Which idle instance Slurm takes, as the arbiter steers it, and what is left when the arbiter ends.

use lab::{JobId, Release};
use serde_json::{Value, json};

use crate::arbiter::SETTINGS;
use crate::node::Node;

impl Node {
    /// GPUs, by index, on which something is closed.
    fn closed_on(&self) -> Vec<usize> {
        let closed = self.instances(|instance| instance["closed"] == true);
        (0..closed.len()).filter(|gpu| !closed[*gpu].is_empty()).collect()
    }

    fn holds(&self, gpu: usize, job: JobId) -> bool {
        self.instances(|_| true)[gpu].contains(&self.uuid_of(job))
    }
}

#[test]
fn slurm_takes_what_stands_least_in_the_way_and_nothing_stays_closed() {
    for release in Release::selected() {
        let settings = SETTINGS.replace("dwell: 1s", "dwell: 1s, linger: never, steer: true");
        let Some(node) = Node::for_arbiter(release, &settings) else { return };
        let submit = || node.submit(&["--gres=gpu:1g.5gb:1"]);
        // One that stays is on the second GPU: the first is the one to be kept whole, and the one that Slurm takes from.
        let holders: Vec<JobId> = (0..4).map(|_| submit()).collect();
        holders.iter().for_each(|job| node.runs(*job));
        let (stays, go) = holders.split_last().unwrap();
        assert!(node.holds(1, *stays), "{release}: Slurm takes the first of a node");
        go.iter().for_each(|job| drop(node.lab.run(&["scancel", &job.to_string()]).unwrap()));
        node.waits_until("the first GPU to be idle", || go.iter().all(|job| node.state_of(*job).is_empty()));

        let arbiter = node.arbiter("");
        node.waits_until("the idle GPU to be closed", || node.closed_on() == [0] && node.closed().len() == 3);
        let beside = submit();
        node.runs(beside);
        assert!(node.holds(1, beside), "{release}: {}", node.log());
        // Whoever needs what is closed gets it: beside the two there is room for one.
        let more = [submit(), submit(), submit()];
        more.iter().for_each(|job| node.runs(*job));

        // Nobody is on the first GPU again; what is closed there opens with the end of the arbiter.
        more.iter()
            .chain([&beside])
            .for_each(|job| drop(node.lab.run(&["scancel", &job.to_string()]).unwrap()));
        node.waits_until("the idle GPU to be closed again", || node.closed_on().contains(&0));
        node.end(&arbiter, "TERM");
        node.says("arbiter: ends by a signal; nothing is closed");
        assert_eq!(node.closed(), [""; 0], "{release}: {}", node.log());
        assert_eq!(node.state_of(*stays), "RUNNING", "{release}: {}", node.log());

        // One that is killed opens nothing, and neither does one of which no node hears: it says so.
        let arbiter = node.arbiter("");
        node.waits_until("the idle GPU to be closed", || node.closed_on().contains(&0));
        let closed = node.closed();
        node.end(&arbiter, "KILL");
        assert_eq!(node.closed(), closed, "{release}: {}", node.log());
        let arbiter = node.arbiter("");
        node.waits_until("another to begin", || node.log().matches("n1: is known").count() == 3);
        node.lab.run(&["mv", "/var/lab/reach", "/var/lab/away"]).unwrap();
        node.lab.run(&["kill", "-TERM", &arbiter]).unwrap();
        node.waits_until("it to be refused", || node.log().contains("n1: no answer: "));
        node.end(&arbiter, "TERM");
        node.says(" closed; `gresgen apply --open` on the node opens them");
        node.says("arbiter: ends by a signal; something stays closed");
        let late = ["touch", "--date=5 hours ago", "/run/gresgen/heard", "/run/gresgen/closed"];
        node.lab.run(&late).unwrap();
        for (verb, says) in [
            ("status", "closed, and no order has come for "),
            ("check", "closed, and no order and no look has come for "),
        ] {
            let answer = node.gresgen(&[verb]).must_be(0);
            assert!(answer.stdout.contains(says), "{release}: {}", answer.stdout);
        }
        node.gresgen(&["--layout", "first", "apply"]).must_be(0);
        assert_eq!(node.closed(), [""; 0], "{release}");
        assert!(!node.log().contains("panicked"), "{release}: {}", node.log());
    }
}

/// What steering closes for jobs that wait for long: where everything of a type is closed, whoever has it, Slurm plans no job on it,
/// does not hold the job, and starts those behind it.
#[test]
fn a_job_is_not_planned_on_what_is_closed() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let submit = || node.submit(&["--gres=gpu:3g.20gb:1", "-t60"]);
        let holders = [submit(), submit()];
        holders.iter().for_each(|job| node.runs(*job));
        let waits = submit();
        let of = |format: &str, job: JobId| {
            let asked = ["squeue", "-h", "-o", format, "-j", &job.to_string()];
            node.lab.run(&asked).unwrap().stdout.trim().to_owned()
        };
        node.waits_until("a plan for the job", || of("%S", waits) != "N/A");

        let look = node.order(&json!({"look": {}}));
        let order = |verb: &str| {
            let all = |gpu: &Value| {
                let large = |instance: &&Value| instance["profile"] == "3g.20gb";
                let of = gpu["instances"].as_array().unwrap().iter().filter(large);
                let of: Vec<Value> =
                    of.map(|i| json!({"profile": i["profile"], "start": i["start"]})).collect();
                json!({"gpu": gpu["uuid"], verb: of})
            };
            let gpus: Vec<Value> = look["look"]["gpus"].as_array().unwrap().iter().map(all).collect();
            let done = node.order(&json!({"cut": {"gpus": gpus}}));
            assert_eq!(done["code"], "done", "{release}: {done:#}");
        };
        order("close");
        node.waits_until("no plan for the job", || {
            of("%r", waits).starts_with("ReqNodeNotAvail") && of("%S", waits) == "N/A"
        });
        // It would be until the holders' limits that Slurm left the node to those alone who end before.
        let behind = node.submit(&["--gres=gpu:1g.5gb:1", "-t600"]);
        node.runs(behind);
        assert_eq!(node.state_of(waits), "PENDING", "{release}");
        assert!(of("%r", waits).starts_with("ReqNodeNotAvail"), "{release}: {}", of("%r", waits));
        assert!(holders.iter().all(|job| node.state_of(*job) == "RUNNING"), "{release}");

        node.lab.run(&["scancel", &holders[0].to_string()]).unwrap();
        node.waits_until("it to be given back", || node.state_of(holders[0]).is_empty());
        order("open");
        node.runs(waits);
    }
}
