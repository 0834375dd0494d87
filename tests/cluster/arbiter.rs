//! The arbiter: jobs that wait for what is not there run with nobody's help, whatever ends it meanwhile.

use lab::{JobId, Release, Simulated, User};

use crate::demand::CATALOG;
use crate::node::Node;
use crate::on_request::LAYOUTS;

/// GPUs take orders, which come without a network, with little patience.
const SETTINGS: &str = "  on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb], orders: true}]
  arbiter: {reach: [sh, -c, 'exec gresgen order', '{node}'], patience: 1s}
";

impl Node {
    /// Starts an arbiter, which ends with the lab, and gives its number there.
    fn arbiter(&self, more: &str) -> String {
        let script = format!("setsid gresgen arbiter {more} </dev/null >>/var/lab/arbiter.log 2>&1 & echo $!");
        self.lab.run(&["sh", "-c", &script]).unwrap().stdout.trim().to_owned()
    }

    /// As the kernel does, or an admin who is in a hurry.
    fn kill(&self, arbiter: &str) {
        self.lab.run(&["kill", "-KILL", arbiter]).unwrap();
    }

    /// The node on request in service, with a catalog.
    fn for_arbiter(release: Release, settings: &str) -> Option<Self> {
        let node = Node::fresh(release)?;
        let config = format!("{LAYOUTS}{}{settings}", Simulated::NODE);
        node.lab.write_file("/etc/gresgen/config.yaml", config).unwrap();
        node.gresgen(&["apply"]).must_be(6);
        node.lab.run(&["sh", "-c", &format!("echo '{CATALOG}' >> /etc/slurm/slurm.conf")]).unwrap();
        node.lab.start_slurm().unwrap();
        Some(node)
    }

    fn log(&self) -> String {
        self.lab.read_file("/var/lab/arbiter.log").unwrap_or_default()
    }

    fn waits_until(&self, what: &str, is: impl Fn() -> bool) {
        let look = || Ok(is().then_some(()));
        self.lab.wait(what, look).unwrap_or_else(|error| panic!("{error}: {}", self.log()));
    }

    fn says(&self, words: &str) {
        self.waits_until(words, || self.log().contains(words));
    }

    fn state(&self, job: JobId) -> String {
        let output = self.lab.command(&["squeue", "-h", "-o", "%T", "-j", &job.to_string()]).output().unwrap();
        output.stdout.trim().to_owned()
    }

    fn comment(&self, job: JobId) -> String {
        let job = job.to_string();
        self.lab.run(&["squeue", "-h", "-O", "AdminComment:200", "-j", &job]).unwrap().stdout.trim().to_owned()
    }
}

#[test]
fn jobs_that_wait_for_a_cut_run_with_nobodys_help() {
    for release in Release::selected() {
        let Some(node) = Node::for_arbiter(release, SETTINGS) else { return };
        let beside = node.waiting("1g.5gb");
        let submit = |arguments: &[&str]| node.lab.sbatch(User::Alice, arguments, "lab-probe; sleep 3600").unwrap();
        let holders = [submit(&["--gres=gpu:3g.20gb:1"]), submit(&["--gres=gpu:3g.20gb:1"])];
        let first = node.arbiter("--metrics /var/lab/arbiter.prom");
        node.says("n1: is known, 2 of its 2 GPUs take orders");

        // One for which the idle part of GPU 1 is cut, and one of a kind that nobody has.
        let large = submit(&["--gres=gpu:3g.20gb:1", "-J", "a\nJobId=1 AdminComment=b"]);
        node.waits_until("the large job to run", || node.state(large) == "RUNNING");
        let other = submit(&["--gpus=2g.10gb:1"]);
        node.waits_until("the other job to run", || node.state(other) == "RUNNING");
        assert_eq!(node.comment(large), "gresgen: cut for it on n1", "{release}: {}", node.log());

        // A second one stands by, and takes over.
        let second = node.arbiter("");
        node.says("arbiter: stands by while process");
        node.kill(&first);
        node.waits_until("the second to begin", || node.log().matches("arbiter: begins").count() == 2);
        node.kill(&second);

        assert!(holders.iter().all(|job| node.state(*job) == "RUNNING"), "{release}: {}", node.log());
        node.go();
        let reports = node.reports(beside);
        assert_eq!(reports[0], reports[1], "{release}: {}", node.log());
    }
}
