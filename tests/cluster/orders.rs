//! An order from elsewhere cuts what a job waits for, beside jobs that run, and nothing that anybody has.

use lab::{Probe, Release, Simulated, User};
use serde_json::{Value, json};

use crate::node::Node;

const LAYOUT: &str = "\
version: v1
mig-configs:
  small:
    - devices: all
      mig-enabled: true
      mig-devices: {1g.5gb: {at: [0, 1, 2]}, 3g.20gb: {at: 4}}
";

const ON_REQUEST: &str = "  on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb], orders: true}]\n";

impl Node {
    /// The answer to an order, which ends with the code that is in it.
    fn order(&self, order: &Value) -> Value {
        let command = self.lab.command(&["gresgen", "order"]).input(order.to_string());
        let output = command.output().unwrap();
        let answer: Value = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", output.stdout, output.stderr));
        assert_eq!(answer["exit"], output.code, "{answer:#}");
        answer
    }
}

/// Destroys the first three eighths of a GPU, and makes one instance of them.
fn cut(gpu: &Value, job: &str) -> Value {
    let small: Vec<Value> = (0..3).map(|start| json!({"profile": "1g.5gb", "start": start})).collect();
    let large = json!([{"profile": "3g.20gb", "start": 0}]);
    json!({"cut": {"gpus": [{"gpu": gpu, "destroy": small, "create": large}], "job": job}})
}

#[test]
fn an_order_cuts_what_a_job_waits_for() {
    for release in Release::selected() {
        let Some(node) = Node::fresh(release) else { return };
        let config = format!("{LAYOUT}{}{ON_REQUEST}", Simulated::NODE);
        node.lab.write_file("/etc/gresgen/config.yaml", config).unwrap();
        node.gresgen(&["apply"]).must_be(6);
        node.lab.start_slurm().unwrap();

        // Somebody has a part of GPU 0, and all of its kind that a job now waits for are taken.
        let held = [node.waiting("1g.5gb"), node.waiting("3g.20gb"), node.waiting("3g.20gb")];
        let holder = format!("job {}", held[0].0);
        let waits = node.lab.sbatch(User::Alice, &["-w", "n1", "--gres=gpu:3g.20gb:1"], "lab-probe").unwrap();
        let job = waits.to_string();
        let state = || node.lab.run(&["squeue", "-h", "-o", "%T", "-j", &job]).unwrap().stdout;
        assert_eq!(state().trim(), "PENDING", "{release}");
        let look = node.order(&json!({"look": {}}));
        let gpu = |index: usize| &look["look"]["gpus"][index]["uuid"];

        let before = node.picture();
        let refused = node.order(&cut(gpu(0), &job));
        assert_eq!(
            (&refused["code"], &refused["exit"]),
            (&json!("in-use"), &json!(4)),
            "{release}: {refused:#}"
        );
        assert!(refused["error"].as_str().unwrap().contains(&holder), "{release}: {holder}: {refused:#}");
        assert_eq!(node.picture(), before, "{release}");
        assert_eq!(state().trim(), "PENDING", "{release}");

        let done = node.order(&cut(gpu(1), &job));
        assert_eq!((&done["code"], &done["exit"]), (&json!("done"), &json!(0)), "{release}: {done:#}");
        let done = node.lab.wait_job(waits).unwrap();
        assert_eq!(done.state, "COMPLETED", "{release}: {}", done.output);
        let report = node.report(&Probe::parse_all(&done.output)[0]);
        assert_eq!(report.kind, "3g.20gb", "{release}");
        // It is of GPU 1, at the place that was cut: the others are those that were there.
        assert!(!before.iter().any(|text| text.contains(&report.uuid)), "{release}");

        // Whoever ran beside it goes on with what he had.
        node.gresgen(&["plan", "--detailed-exitcode"]).must_be(0).must_say(&["GPU 1: takes orders"]);
        node.go();
        for job in held {
            let reports = node.reports(job);
            assert_eq!(reports[0], reports[1], "{release}");
        }
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");

        // Killed half way, it leaves the fence up, and the next order goes on from there.
        let back =
            json!({"cut": {"gpus": [{"gpu": gpu(1), "destroy": [{"profile": "3g.20gb", "start": 0}]}]}});
        let killed = ["sh", "-c", "NVML_SIM_FAULTS=kill@2 gresgen order"];
        let killed = node.lab.command(&killed).input(back.to_string()).output().unwrap();
        assert_eq!((killed.code, killed.stdout.as_str()), (137, ""), "{release}: {}", killed.stderr);
        assert_ne!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        let done = node.order(&json!({"cut": {"gpus": []}}));
        assert_eq!((&done["code"], &done["exit"]), (&json!("done"), &json!(0)), "{release}: {done:#}");
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        assert_eq!(node.job("3g.20gb").kind, "3g.20gb", "{release}");
        let log = node.lab.read_file("/var/log/slurm/slurmctld.log").unwrap_or_default();
        for wrong in ["count mismatch", "type changed", "Setting node n1 state to INVAL", "invalid GRES"] {
            assert!(!log.contains(wrong), "{release}: {wrong}: {log}");
        }
    }
}
