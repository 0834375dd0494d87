//! An order from elsewhere cuts what a job waits for, beside jobs that run, and nothing that anybody has. What it closes nobody
//! is given, and who has it keeps it.

use lab::{Probe, Release, Simulated, User};
use serde_json::{Value, json};

use crate::node::{Node, Waiting};

pub(crate) const LAYOUT: &str = "\
version: v1
mig-configs:
  small:
    - devices: all
      mig-enabled: true
      mig-devices: {1g.5gb: {at: [0, 1, 2]}, 3g.20gb: {at: 4}}
";

pub(crate) const ON_REQUEST: &str = "  on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb], orders: true}]\n";

impl Node {
    /// A node in service whose GPUs take orders; `more` stands below `slurm`.
    pub(crate) fn for_orders(release: Release, more: &str) -> Option<Node> {
        let node = Node::fresh(release)?;
        node.takes_orders(more);
        node.gresgen(&["apply"]).must_be(6);
        node.lab.start_slurm().unwrap();
        Some(node)
    }

    /// Writes the configuration of one.
    pub(crate) fn takes_orders(&self, more: &str) {
        let config = format!("{LAYOUT}{}{ON_REQUEST}{more}", Simulated::NODE);
        self.lab.write_file("/etc/gresgen/config.yaml", config).unwrap();
    }

    /// The answer to an order, which ends with the code that is in it.
    pub(crate) fn order(&self, order: &Value) -> Value {
        let command = self.lab.command(&["gresgen", "order"]).input(order.to_string());
        let output = command.output().unwrap();
        let answer: Value = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", output.stdout, output.stderr));
        assert_eq!(answer["exit"], output.code, "{answer:#}");
        answer
    }

    fn done(&self, order: &Value, code: &str) {
        let done = self.order(order);
        assert_eq!((&done["code"], &done["exit"]), (&json!(code), &json!(0)), "{order}: {done:#}");
    }

    /// A batch job of one probe, which is not waited for.
    fn submitted(&self, gres: &str) -> lab::JobId {
        let gres = format!("--gres=gpu:{gres}:1");
        self.lab.sbatch(User::Alice, &["-w", "n1", &gres], "lab-probe").unwrap()
    }

    fn state(&self, job: lab::JobId) -> String {
        let squeue = ["squeue", "-h", "-o", "%T", "-j", &job.to_string()];
        self.lab.run(&squeue).unwrap().stdout.trim().to_owned()
    }

    /// The UUID that a job was given, once it has ended.
    fn given(&self, job: lab::JobId) -> String {
        let done = self.lab.wait_job(job).unwrap();
        assert_eq!(done.state, "COMPLETED", "{}", done.output);
        self.report(&Probe::parse_all(&done.output)[0]).uuid
    }

    /// The UUID that a further step of a job is given.
    fn step(&self, job: &Waiting) -> String {
        let inside = format!("--jobid={}", job.0);
        let step = self.lab.command(&["srun", &inside, "--overlap", "lab-probe"]).user(User::Alice);
        let output = step.output().unwrap();
        assert_eq!(output.code, 0, "{}", output.stderr);
        self.report(&output.probes()[0]).uuid
    }

    /// The 1g.5gb of a GPU by place, with their UUIDs and whether they are closed.
    fn small(&self, gpu: usize) -> Vec<(Value, String, bool)> {
        let look = self.order(&json!({"look": {}}));
        let all = look["look"]["gpus"][gpu]["instances"].as_array().unwrap();
        let of = |start: u64| {
            let instance = all.iter().find(|i| i["profile"] == "1g.5gb" && i["start"] == start).unwrap();
            let uuid = instance["compute"][0]["uuid"].as_str().unwrap().to_owned();
            (json!({"profile": "1g.5gb", "start": start}), uuid, instance["closed"] == json!(true))
        };
        (0..3).map(of).collect()
    }

    /// Whoever has a closed instance goes on with it, in further steps too, and nobody else is given one until it is opened.
    fn closes_and_opens(&self, release: Release, gpus: [&Value; 2], holder: &Waiting) {
        let beside = self.waiting("1g.5gb");
        let (held, taken) = (self.step(holder), self.step(&beside));
        let all = || [0, 1].map(|gpu| self.small(gpu));
        let places = |close: &dyn Fn(&str) -> bool| {
            let of = |small: Vec<(Value, String, bool)>| {
                small
                    .into_iter()
                    .filter(|(_, uuid, _)| close(uuid))
                    .map(|(place, ..)| place)
                    .collect::<Vec<_>>()
            };
            all().map(of)
        };
        let order = |verb: &str, [first, second]: [Vec<Value>; 2]| json!({"cut": {"gpus": [{"gpu": gpus[0], verb: first}, {"gpu": gpus[1], verb: second}]}});
        let close = order("close", places(&|uuid| uuid != taken));
        self.done(&close, "done");
        self.done(&close, "nothing");
        let closed = all().concat().into_iter().filter(|(.., closed)| *closed).map(|(_, uuid, _)| uuid);
        let closed: Vec<String> = closed.collect();
        assert!(closed.len() == 5 && closed.contains(&held), "{release}: {closed:?}");
        assert_eq!(self.most("1g.5gb"), 1, "{release}");
        self.gresgen(&["plan", "--detailed-exitcode"]).must_be(0);
        let waits = self.submitted("1g.5gb");
        // Whoever comes after it runs, and it does not.
        self.lab.run(&["srun", "-w", "n1", "true"]).unwrap();
        assert_eq!((self.state(waits).as_str(), self.step(holder)), ("PENDING", held.clone()), "{release}");

        // Killed when the files say that one is open, and slurmctld has not read them.
        let opened = self.small(1)[2].clone();
        let open = json!({"cut": {"gpus": [{"gpu": gpus[1], "open": [opened.0]}]}});
        let deadly = "#!/bin/sh\ncase $* in *Gres=*) kill -KILL $PPID; exit 1 ;; esac\n\
                      PATH=${PATH#*:} exec scontrol \"$@\"\n";
        self.lab.write_file("/var/lab/deadly/scontrol", deadly).unwrap();
        let killed = "chmod +x /var/lab/deadly/scontrol && PATH=/var/lab/deadly:$PATH gresgen order";
        let killed = self.lab.command(&["sh", "-c", killed]).input(open.to_string()).output().unwrap();
        assert_eq!((killed.code, killed.stdout.as_str()), (137, ""), "{release}: {}", killed.stderr);
        self.done(&json!({"cut": {"gpus": []}}), "nothing");
        assert_eq!((self.given(waits), self.step(holder)), (opened.1.clone(), held.clone()), "{release}");

        // A slurmctld that starts anew gives out no more than it did, and neither does one that reads its files again.
        self.lab.restart_slurmctld().unwrap();
        assert_eq!(self.given(self.submitted("1g.5gb")), opened.1, "{release}");
        self.lab.reconfigure().unwrap();
        let two = || Ok((self.most("1g.5gb") == 2).then_some(()));
        self.lab.wait("slurmctld to give out what is open", two).unwrap();
        assert_eq!(self.step(holder), held, "{release}");

        // Where slurmctld is away, what is left to do is said, and done by the next order.
        let stop = "pid=$(cat /run/slurmctld.pid) && kill $pid && while kill -0 $pid 2>/dev/null; do sleep 0.02; done";
        self.lab.run(&["sh", "-c", stop]).unwrap();
        let away = self.order(&json!({"cut": {"gpus": [{"gpu": gpus[1], "close": [opened.0]}]}}));
        assert_eq!((&away["code"], &away["exit"]), (&json!("pending"), &json!(6)), "{release}: {away:#}");
        self.lab.run(&["slurmctld"]).unwrap();
        self.lab.wait_nodes().unwrap();
        self.done(&json!({"cut": {"gpus": []}}), "nothing");
        assert_eq!((self.most("1g.5gb"), self.step(holder)), (1, held.clone()), "{release}");
        // An admin opens all of it beside the jobs, and one that waits is given some.
        let waits = self.submitted("1g.5gb");
        self.lab.run(&["srun", "-w", "n1", "true"]).unwrap();
        assert_eq!(self.state(waits), "PENDING", "{release}");
        let plan = self.gresgen(&["plan", "--open", "--detailed-exitcode"]).must_be(10);
        assert_eq!(plan.stdout.matches("open GPU ").count(), 5, "{release}: {}", plan.stdout);
        self.gresgen(&["apply", "--open"]).must_be(0);
        assert!(![&held, &taken].contains(&&self.given(waits)), "{release}");
        self.gresgen(&["apply", "--open"]).must_be(0);
        assert_eq!(
            (self.most("1g.5gb"), self.step(holder), self.step(&beside)),
            (6, held, taken),
            "{release}"
        );
        self.lab.run(&["scancel", &beside.0.to_string()]).unwrap();
        self.lab.wait_job(beside.0).unwrap();
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
        let Some(node) = Node::for_orders(release, "") else { return };

        // Somebody has a part of GPU 0, and all of its kind that a job now waits for are taken.
        let held = [node.waiting("1g.5gb"), node.waiting("3g.20gb"), node.waiting("3g.20gb")];
        let look = node.order(&json!({"look": {}}));
        let gpu = |index: usize| &look["look"]["gpus"][index]["uuid"];
        node.closes_and_opens(release, [gpu(0), gpu(1)], &held[0]);
        let holder = format!("job {}", held[0].0);
        let waits = node.lab.sbatch(User::Alice, &["-w", "n1", "--gres=gpu:3g.20gb:1"], "lab-probe").unwrap();
        let job = waits.to_string();
        let state = || node.lab.run(&["squeue", "-h", "-o", "%T", "-j", &job]).unwrap().stdout;
        assert_eq!(state().trim(), "PENDING", "{release}");

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

        node.done(&cut(gpu(1), &job), "done");
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
        let fenced = || {
            let reservations = node.lab.run(&["scontrol", "-o", "show", "reservation"]).unwrap();
            reservations.stdout.contains("ReservationName=gresgen-n1 ")
        };
        assert!(fenced(), "{release}");
        node.done(&json!({"cut": {"gpus": []}}), "done");
        assert!(!fenced(), "{release}");
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        assert_eq!(node.job("3g.20gb").kind, "3g.20gb", "{release}");
        let log = node.lab.read_file("/var/log/slurm/slurmctld.log").unwrap_or_default();
        for wrong in ["count mismatch", "type changed", "Setting node n1 state to INVAL", "invalid GRES"] {
            assert!(!log.contains(wrong), "{release}: {wrong}: {log}");
        }
    }
}

/// What lies in `/run/gresgen` is written anew beside the job that is there, also where some of it was closed.
#[test]
fn a_node_that_has_forgotten_its_map_finds_it_again() {
    for release in Release::selected() {
        let Some(node) = Node::for_orders(release, "") else { return };
        let holder = node.waiting("3g.20gb");
        let look = node.order(&json!({"look": {}}));
        let gpu = &look["look"]["gpus"][1]["uuid"];
        for close in [json!([]), json!([{"profile": "1g.5gb", "start": 1}])] {
            if close != json!([]) {
                node.done(&json!({"cut": {"gpus": [{"gpu": gpu, "close": close}]}}), "done");
            }
            node.lab.run(&["sh", "-c", "rm -r /run/gresgen/*"]).unwrap();
            let plan = node.gresgen(&["plan"]).must_be(0);
            assert!(plan.stdout.contains("create  /run/gresgen/devices"), "{release}: {}", plan.stdout);
            for wrong in [" 0 -> ", "blocked", "takes no new jobs"] {
                assert!(!plan.stdout.contains(wrong), "{release}: {wrong}: {}", plan.stdout);
            }
            let left = node.gresgen(&["apply"]).must_be(6);
            assert!(left.left().iter().any(|line| line.starts_with("systemctl restart slurmd ")), "{left:?}");
            node.gresgen(&["apply", "--slurm", "apply"]).must_be(0);
            node.gresgen(&["plan", "--detailed-exitcode"]).must_be(0);
            assert_eq!(node.job("1g.5gb").kind, "1g.5gb", "{release}");
        }
        node.go();
        let reports = node.reports(holder);
        assert_eq!(reports[0], reports[1], "{release}");
    }
}
