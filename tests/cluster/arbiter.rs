//! The arbiter: jobs that wait for what is not there run with nobody's help, whatever ends it meanwhile.

use std::time::{Duration, Instant};

use lab::{JobId, Release, Simulated, User};

use serde_json::Value;

use crate::demand::CATALOG;
use crate::monitoring::judged;
use crate::node::Node;
use crate::on_request::LAYOUTS;

/// GPUs take orders, which come without a network, and there is little patience.
pub(crate) const SETTINGS: &str = "  on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb], orders: true}]
  arbiter: {reach: [sh, /var/lab/reach, '{node}'], patience: 1s, cordon-after: 1s, cordon-within: 1s, dwell: 1s}
";

/// The way to the node. Where the file is there, the next cut dies half way.
const REACH: &str = "\
order=$(cat)
case $order in
  *create*) rm /var/lab/die 2>/dev/null && export NVML_SIM_FAULTS=kill@2 ;;
esac
printf %s \"$order\" | gresgen order
";

impl Node {
    /// Starts an arbiter, which ends with the lab, and gives its number there.
    pub(crate) fn arbiter(&self, more: &str) -> String {
        let script =
            format!("setsid gresgen arbiter {more} </dev/null >>/var/lab/arbiter.log 2>&1 & echo $!");
        self.lab.run(&["sh", "-c", &script]).unwrap().stdout.trim().to_owned()
    }

    /// As the kernel does, or an admin who is in a hurry.
    fn kill(&self, arbiter: &str) {
        self.lab.run(&["kill", "-KILL", arbiter]).unwrap();
    }

    /// The node on request in service, with a catalog.
    pub(crate) fn for_arbiter(release: Release, settings: &str) -> Option<Self> {
        let node = Node::fresh(release)?;
        let config = format!("{LAYOUTS}{}{settings}{CATALOG}", Simulated::NODE);
        node.lab.write_file("/etc/gresgen/config.yaml", config).unwrap();
        node.lab.write_file("/var/lab/reach", REACH).unwrap();
        node.gresgen(&["apply"]).must_be(6);
        node.lab.start_slurm().unwrap();
        Some(node)
    }

    pub(crate) fn log(&self) -> String {
        self.lab.read_file("/var/lab/arbiter.log").unwrap_or_default()
    }

    pub(crate) fn waits_until(&self, what: &str, is: impl Fn() -> bool) {
        let look = || Ok(is().then_some(()));
        self.lab.wait(what, look).unwrap_or_else(|error| panic!("{error}: {}", self.log()));
    }

    pub(crate) fn says(&self, words: &str) {
        self.waits_until(words, || self.log().contains(words));
    }

    /// UUIDs of the instances of each GPU of which this is so.
    pub(crate) fn instances(&self, is: impl Fn(&Value) -> bool) -> Vec<Vec<String>> {
        let text = self.lab.run(&["gresgen", "--json", "status"]).unwrap().stdout;
        let status: Value = serde_json::from_str(&text).unwrap();
        let uuid = |instance: &Value| instance["compute"][0]["uuid"].as_str().unwrap().to_owned();
        let of = |gpu: &Value| {
            gpu["instances"].as_array().unwrap().iter().filter(|one| is(one)).map(uuid).collect()
        };
        status["gpus"].as_array().unwrap().iter().map(of).collect()
    }

    /// UUIDs of what is closed.
    pub(crate) fn closed(&self) -> Vec<String> {
        self.instances(|instance| instance["closed"] == true).concat()
    }

    /// Ends an arbiter, and waits until it is gone.
    pub(crate) fn end(&self, arbiter: &str, signal: &str) {
        self.lab.run(&["kill", "-s", signal, arbiter]).unwrap();
        self.waits_until("the arbiter to be gone", || {
            self.lab.command(&["kill", "-0", arbiter]).output().unwrap().code != 0
        });
    }

    /// What a job that runs was given.
    pub(crate) fn uuid_of(&self, job: JobId) -> String {
        let path = format!("/var/lab/out/{job}");
        let told = || Ok(Some(self.lab.read_file(&path)?).filter(|text| text.contains("MIG-")));
        self.lab.wait("what the job was told", told).unwrap().trim().to_owned()
    }

    pub(crate) fn submit(&self, arguments: &[&str]) -> JobId {
        self.lab.sbatch(User::Alice, arguments, "echo $CUDA_VISIBLE_DEVICES; sleep 3600").unwrap()
    }

    pub(crate) fn runs(&self, job: JobId) {
        self.waits_until(&format!("job {job} to run"), || self.state_of(job) == "RUNNING");
    }

    pub(crate) fn state_of(&self, job: JobId) -> String {
        let output =
            self.lab.command(&["squeue", "-h", "-o", "%T", "-j", &job.to_string()]).output().unwrap();
        output.stdout.trim().to_owned()
    }

    /// The job's AdminComment. Its name has one, too, on a line of its own.
    fn comment(&self, job: JobId) -> String {
        let text = self.lab.run(&["scontrol", "show", "job", &job.to_string()]).unwrap().stdout;
        let comment = text.lines().find_map(|line| line.strip_prefix("   AdminComment="));
        comment.unwrap_or_default().trim().to_owned()
    }
}

#[test]
fn jobs_that_wait_for_a_cut_run_whatever_dies_meanwhile() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let beside = node.waiting("1g.5gb");
        let holders = [node.submit(&["--gres=gpu:3g.20gb:1"]), node.submit(&["--gres=gpu:3g.20gb:1"])];
        // What is cut for others is not theirs: later a region is free whose other half somebody has.
        holders.iter().for_each(|job| node.runs(*job));
        let first = node.arbiter("--metrics /var/lab/arbiter.prom");
        node.says("n1: is known, 2 of its 2 GPUs take orders");

        // The idle part of GPU 1 is cut; then there is a job of a kind that nobody has, with a comment in its name.
        let large = node.submit(&["--gres=gpu:3g.20gb:1"]);
        node.runs(large);
        let other = node.submit(&["--gpus=2g.10gb:1", "-J", "a\n   AdminComment=b"]);
        node.runs(other);
        // It may run before the arbiter hears that the cut is done.
        node.waits_until("the user to be told", || node.comment(large) == "gresgen: cut for it on n1");
        assert_eq!(node.comment(other), "b", "{release}: {}", node.log());
        let figures = || node.lab.read_file("/var/lab/arbiter.prom").unwrap();
        node.waits_until("the figures", || {
            figures().contains("gresgen_arbiter_orders_total{answer=\"done\"} 2\n")
        });
        assert!(figures().contains("gresgen_arbiter_cuts_total 2\n"), "{release}: {}", figures());
        judged(&figures());

        // A second one stands by, and takes over.
        let second = node.arbiter("");
        node.says("arbiter: stands by while process");
        node.kill(&first);
        node.waits_until("the second to begin", || node.log().matches("arbiter: begins").count() == 2);
        // One that is to make one pass does not wait for its turn.
        let once = node.gresgen(&["arbiter", "--once"]).must_be(1);
        assert!(once.stderr.contains("/run/gresgen/arbiter.lock: held by process"), "{}", once.stderr);
        node.kill(&second);

        // The cut dies, and so does who ordered it.
        node.lab.run(&["scancel", &large.to_string()]).unwrap();
        node.lab.write_file("/var/lab/die", "").unwrap();
        let arbiter = node.arbiter("");
        let job = node.submit(&["--gres=gpu:2g.10gb:1"]);
        node.waits_until("the cut to die", || node.lab.read_file("/var/lab/die").is_err());
        node.kill(&arbiter);
        node.waits_until("the order to end", || {
            // The pattern is not its own text, which stands in the command lines of who looks.
            node.lab.command(&["pgrep", "-f", "gresgen orde[r]"]).output().unwrap().code != 0
        });

        let arbiter = node.arbiter("");
        node.runs(job);
        node.says("n1: finishes what was cut off");
        // The cut dies, and who ordered it hears nothing of it.
        node.lab.write_file("/var/lab/die", "").unwrap();
        let job = node.submit(&["--gres=gpu:2g.10gb:1"]);
        node.runs(job);
        node.says(&format!("n1: job {job}: no answer: "));
        node.kill(&arbiter);

        assert!(holders.iter().all(|job| node.state_of(*job) == "RUNNING"), "{release}: {}", node.log());
        node.go();
        let reports = node.reports(beside);
        assert_eq!(reports[0], reports[1], "{release}: {}", node.log());
        // With nobody who waits there is nothing to do, and nothing is done.
        let before = node.picture();
        node.gresgen(&["arbiter", "--once"]).must_be(0);
        assert_eq!(node.picture(), before, "{release}");
        assert_eq!(node.lab.node_state("n1").unwrap(), "MIXED", "{release}");
        assert!(!node.log().contains("panicked"), "{release}: {}", node.log());
        let log = node.lab.read_file("/var/log/slurm/slurmctld.log").unwrap_or_default();
        for wrong in ["count mismatch", "type changed", "Setting node n1 state to INVAL", "invalid GRES"] {
            assert!(!log.contains(wrong), "{release}: {wrong}: {log}");
        }
    }
}

#[test]
fn a_large_job_is_not_starved_by_small_ones() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let small = || node.submit(&["--gres=gpu:1g.5gb:1"]);
        let short = ["--gres=gpu:1g.5gb:1", "-t60"];
        let holders: Vec<JobId> = (0..6).map(|_| node.submit(&short)).collect();
        let halves = [node.submit(&["--gres=gpu:3g.20gb:1"]), node.submit(&["--gres=gpu:3g.20gb:1"])];
        holders.iter().chain(&halves).for_each(|job| node.runs(*job));
        let arbiter = node.arbiter("");

        // Nothing is idle, and small jobs wait for whatever falls idle. Where they run is free long before what others have.
        let large = node.submit(&["--gres=gpu:3g.20gb:1"]);
        node.says(&format!("n1: job {large}: GPU "));
        node.says(&format!("n1: job {large}: done"));
        let closed = node.closed();
        assert_eq!(closed.len(), 3, "{release}: {closed:?}: {}", node.log());
        let waiting: Vec<JobId> = (0..6).map(|_| small()).collect();
        node.waits_until("the user to be told", || {
            node.comment(large).starts_with("gresgen: kept for it on n1, free at ")
        });

        // They end one by one, and nobody gets what is given back.
        for holder in holders.iter().filter(|job| closed.contains(&node.uuid_of(**job))) {
            node.lab.run(&["scancel", &holder.to_string()]).unwrap();
            node.waits_until("it to end", || node.state_of(*holder) != "RUNNING");
        }
        node.runs(large);
        let started = waiting.iter().filter(|job| node.state_of(**job) == "RUNNING");
        assert!(started.count() < waiting.len(), "{release}: {}", node.log());

        // With nobody who waits nothing stays closed.
        waiting.iter().for_each(|job| drop(node.lab.run(&["scancel", &job.to_string()]).unwrap()));
        node.waits_until("nothing to be closed", || node.closed().is_empty());
        node.kill(&arbiter);
    }
}

/// It was told that it was being cut for, for good.
#[test]
fn one_pass_tells_what_it_has_cut() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let holders = [node.submit(&["--gres=gpu:3g.20gb:1"]), node.submit(&["--gres=gpu:3g.20gb:1"])];
        holders.iter().for_each(|job| node.runs(*job));
        let large = node.submit(&["--gres=gpu:3g.20gb:1"]);
        // The first may come before it has waited for long enough.
        node.waits_until("the user to be told", || {
            node.gresgen(&["arbiter", "--once"]).must_be(0);
            node.comment(large) == "gresgen: cut for it on n1"
        });
        node.runs(large);
    }
}

/// Nothing is known of it, and it is back some day: the job does not wait for good, and the arbiter has closed nothing there.
#[test]
fn a_node_that_is_down_from_the_start_is_named_and_is_no_failure() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let is = |state: &str| {
            let state = format!("state={state}");
            node.lab.run(&["scontrol", "update", "nodename=n1", &state, "reason=broken"]).unwrap();
        };
        let job = || node.submit(&["--gres=gpu:3g.20gb:1"]);
        let out = "gresgen: what can be cut so takes no jobs now: n1";
        is("down");
        let arbiter = node.arbiter("");
        let first = job();
        node.waits_until("the user to be told", || node.comment(first) == out);
        node.lab.run(&["kill", "-TERM", &arbiter]).unwrap();
        node.says("arbiter: ends by a signal; nothing is closed");

        is("resume");
        node.arbiter("");
        node.runs(first);
        // Of one that is held that is no reason to wait any more.
        is("drain");
        let held = job();
        node.waits_until("the other to be told", || node.comment(held) == out);
        node.lab.run(&["scontrol", "hold", &held.to_string()]).unwrap();
        node.waits_until("that to be taken away", || node.comment(held).is_empty());
    }
}

/// The arbiter's look of before has a slice that the admin's cut took away: without a new one the job would wait for it, and be told
/// that it is free, until the node is seen for its age.
#[test]
fn a_cut_beside_it_is_seen_at_once() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let arbiter = node.arbiter("");
        node.says("n1: is known, 2 of its 2 GPUs take orders");
        let first = node.submit(&["--gres=gpu:2g.10gb:1"]);
        node.runs(first);
        node.lab.run(&["scancel", &first.to_string()]).unwrap();
        node.waits_until("it to end", || !["RUNNING", "COMPLETING"].contains(&&*node.state_of(first)));
        // While nobody waits it does not ask for nodes: it sees nothing of the change itself.
        let signal = |signal: &str| drop(node.lab.run(&["kill", "-s", signal, &arbiter]).unwrap());
        signal("STOP");
        node.gresgen(&["--layout", "first", "apply"]).must_be(0);
        signal("CONT");

        let begin = Instant::now();
        let job = node.submit(&["--gres=gpu:2g.10gb:1"]);
        node.runs(job);
        let waited = begin.elapsed();
        assert!(waited < Duration::from_secs(60), "{release}: {waited:?}: {}", node.log());
        node.kill(&arbiter);
    }
}
