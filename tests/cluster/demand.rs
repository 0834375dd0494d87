//! `gresgen demand` is right: what it says would serve a job that waits does.

use lab::{JobId, Release, Simulated, User};
use serde_json::{Value, json};

use crate::node::Node;
use crate::on_request::{LAYOUTS, ON_REQUEST};

/// Nodes that are never up and have every type, so that slurmctld lets wait what nothing serves now.
pub(crate) const CATALOG: &str = "  catalog: cut-on-request-[1-2]\n";

impl Node {
    /// What is said to a user who sees the inventory and slurmctld alone.
    fn demand(&self) -> Value {
        let ask = ["gresgen", "--json", "demand", "--inventory", "/tmp/nodes"];
        let output = self.lab.command(&ask).user(User::Alice).output().unwrap();
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// Waits until a cut would serve a job, and gives all that is said.
    fn cut_for(&self, job: JobId) -> Value {
        let look = || {
            let all = self.demand();
            let is_cut = row(&all, job)["verdict"] == "cut";
            Ok(is_cut.then_some(all))
        };
        self.lab
            .wait(&format!("a cut for job {job}"), look)
            .unwrap_or_else(|e| panic!("{e}: {}", self.demand()))
    }

    fn take_inventory(&self) {
        let script =
            "mkdir -p /tmp/nodes && gresgen --json status > /tmp/nodes/n1.json && chmod -R a+rX /tmp/nodes";
        self.lab.run(&["sh", "-c", script]).unwrap();
    }

    fn waits_until_it_runs(&self, job: JobId) {
        let look = || {
            let state =
                self.lab.command(&["squeue", "-h", "-o", "%t", "-j", &job.to_string()]).output()?.stdout;
            Ok(state.lines().any(|state| state == "R").then_some(()))
        };
        self.lab.wait("the job to run on what was cut for it", look).unwrap();
    }
}

/// What is said of a job; null where nothing is.
fn row(all: &Value, job: JobId) -> Value {
    let rows = all["jobs"].as_array().unwrap();
    rows.iter().find(|row| row["id"] == job).cloned().unwrap_or_default()
}

#[test]
fn what_would_be_cut_makes_the_job_run() {
    for release in Release::selected() {
        let Some(node) = Node::fresh(release) else { return };
        let config = |more: &str| format!("{LAYOUTS}{more}{}{ON_REQUEST}{CATALOG}", Simulated::NODE);
        node.lab.write_file("/etc/gresgen/config.yaml", config("")).unwrap();
        node.gresgen(&["apply"]).must_be(6);
        node.lab.start_slurm().unwrap();
        let check = node.gresgen(&["check"]);
        assert!(check.stdout.contains("pass  catalog "), "{release}: {}", check.stdout);
        let slices = node.gresgen(&["slices"]).must_be(0).stdout;
        let small = slices.lines().find(|line| line.split_whitespace().next() == Some("1g.5gb")).unwrap();
        assert!(small.contains(" 14 ") && !small.contains(" 42 "), "{release}: {slices}");
        node.take_inventory();
        assert_eq!(
            node.demand(),
            json!({"jobs": [], "cuts": [], "unknown": [], "jobs_not_read": 0}),
            "{release}"
        );

        let submit = |arguments: &[&str]| node.lab.sbatch(User::Alice, arguments, "sleep 3600").unwrap();
        let holders = [submit(&["--gres=gpu:3g.20gb:1", "-t60"]), submit(&["--gres=gpu:3g.20gb:1"])];
        let large = submit(&["--gres=gpu:3g.20gb:1", "-J", "a\nJobId=1 b|c"]);
        let held = submit(&["--hold", "--gres=gpu:1g.5gb:1"]);
        // slurmctld does not look at what has a count of 0. squeue prints a line as of the large job, which asks for nothing.
        let line = format!("--gres=gpu:1g.5gb:1,gpu:x|\n{large}|1|1|1|1|0||NODE|NO||||||\nx:0");
        submit(&["--hold", &line]);
        // Of an array with an element that is held by itself squeue does not say how many may run at once.
        let array = submit(&["--gpus=2g.10gb:1", "--array=1-40%1"]);
        node.lab.run(&["scontrol", "hold", &format!("{array}_7")]).unwrap();
        let whole = submit(&["--exclusive", "--gres=gpu:1g.5gb:1"]);
        let named = ["-w", "n1", "--gres=gpu:2g.10gb:1"];
        assert!(
            node.lab.sbatch(User::Alice, &named, "true").is_err(),
            "{release}: nothing could ever serve it"
        );
        let said = node.cut_for(large);
        assert_eq!(row(&said, large)["nodes"], json!(["n1"]), "{release}: {said}");
        assert_eq!(row(&said, held)["verdict"], "other-reason", "{release}: {said}");
        assert_eq!(row(&said, whole)["verdict"], "not-looked-at", "{release}: {said}");
        assert!(holders.into_iter().all(|job| row(&said, job).is_null()), "{release}: {said}");

        // Both cuts, as layouts.
        let cut = &said["cuts"][0];
        let due = json!({"node": "n1", "gpu": 0, "job": large.to_string(),
            "destroy": [{"profile": "1g.5gb", "start": 0}, {"profile": "1g.5gb", "start": 1}, {"profile": "1g.5gb", "start": 2}],
            "create": [{"profile": "3g.20gb", "start": 0}]});
        assert_eq!(*cut, due, "{release}: {said}");
        let layout =
            "  large:\n    - {devices: [0], mig-enabled: true, mig-devices: {3g.20gb: {at: [0, 4]}}}\n";
        node.lab.write_file("/etc/gresgen/config.yaml", config(layout)).unwrap();
        node.gresgen(&["--layout", "large", "apply"]).must_be(0);
        node.waits_until_it_runs(large);
        // The inventory of before does not know what the job has, and is not believed.
        let old = node.demand();
        assert_eq!(old["unknown"][0]["nodes"], "n1", "{release}: {old}");
        node.take_inventory();

        // Of this type there was none at all, and there is room for two.
        let said = node.cut_for(array);
        let name = array.to_string();
        let cuts = said["cuts"].as_array().unwrap().iter().filter(|cut| cut["job"] == name);
        let made: Vec<&Value> = cuts.flat_map(|cut| cut["create"].as_array().unwrap()).collect();
        assert_eq!(made, [&json!({"profile": "2g.10gb", "start": 2})], "{release}: {said}");
        let layout = "  small:\n    - {devices: [1], mig-enabled: true, mig-devices: {1g.5gb: {at: [0, 1]}, 2g.10gb: {at: 2}, 3g.20gb: {at: 4}}}\n";
        node.lab.write_file("/etc/gresgen/config.yaml", config(layout)).unwrap();
        node.gresgen(&["--layout", "small", "apply"]).must_be(0);
        node.waits_until_it_runs(array);
    }
}
