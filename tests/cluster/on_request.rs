//! GPUs on request: they are cut anew beside running jobs, and slurmctld gives out what is there and nothing else.

use lab::{Release, Simulated, User};

use crate::boot::BOOT;
use crate::node::Node;

/// Layouts of two A100 with every third of a place in another state: what jobs hold at the lowest indexes stays.
pub(crate) const LAYOUTS: &str = "\
version: v1
layout: first
mig-configs:
  first:
    - devices: all
      mig-enabled: true
      mig-devices: {1g.5gb: {at: [0, 1, 2]}, 3g.20gb: {at: 4}}
  second:
    - devices: [0]
      mig-enabled: true
      mig-devices: {1g.5gb: {at: [0, 1]}, 2g.10gb: {at: 2}, 3g.20gb: {at: 4}}
    - devices: [1]
      mig-enabled: true
      mig-devices: {2g.10gb: {at: [0, 2]}, 1g.5gb: {at: [4, 5, 6]}}
  whole:
    - devices: all
      mig-enabled: true
      mig-devices: {7g.40gb: 1}
";

pub(crate) const ON_REQUEST: &str = "  on-request: [{profiles: [1g.5gb, 2g.10gb, 3g.20gb]}]\n";

/// What the node has for good: 7, 3 and 2 places a GPU, a guard for each and two pads.
const GRES: &str = "gpu:1g.5gb:14,gpu:2g.10gb:6,gpu:3g.20gb:4,gpu:guard:4,gresgen:gate:2";

impl Node {
    /// The node with its GPUs on request, in service on layout `first`.
    fn on_request(release: Release) -> Option<Self> {
        let node = Node::fresh(release)?;
        let config = format!("{LAYOUTS}{}{ON_REQUEST}", Simulated::NODE);
        node.lab.write_file("/etc/gresgen/config.yaml", config).unwrap();
        node.gresgen(&["apply"]).must_be(6);
        node.lab.start_slurm().unwrap();
        Some(node)
    }

    /// Types by index, which no cut changes.
    fn types(&self) -> Vec<String> {
        self.devices().into_values().map(|device| device.kind).collect()
    }

    /// How many of a type one job could have, by slurmctld's own account.
    pub(crate) fn most(&self, gres: &str) -> usize {
        let could = |count: &usize| {
            let request = format!("--gres=gpu:{gres}:{count}");
            let ask = ["sbatch", "--test-only", "-w", "n1", &request, "--wrap", "true"];
            self.lab.command(&ask).output().unwrap().code == 0
        };
        (1..=14).take_while(could).count()
    }

    fn open(&self) -> [usize; 3] {
        ["1g.5gb", "2g.10gb", "3g.20gb"].map(|gres| self.most(gres))
    }

    /// What slurmctld prints of the node's GRES, without the sockets that its records are near.
    fn gres(&self) -> String {
        let text = self.lab.run(&["scontrol", "-o", "show", "node", "n1"]).unwrap().stdout;
        let gres = text.split_whitespace().find_map(|word| word.strip_prefix("Gres=")).unwrap().to_owned();
        let bare = |entry: &str| entry.split("(S:").next().unwrap().to_owned();
        // 0-31 is one socket list as 0,2 would be two.
        let entries = gres.split(",g").enumerate();
        let entries: Vec<String> = entries
            .map(|(at, entry)| bare(&if at == 0 { entry.to_owned() } else { format!("g{entry}") }))
            .collect();
        entries.into_iter().filter(|entry| !entry.ends_with(":0")).collect::<Vec<_>>().join(",")
    }
}

#[test]
fn a_region_is_cut_anew_beside_running_jobs() {
    for release in Release::selected() {
        let Some(node) = Node::on_request(release) else { return };
        let types = node.types();
        assert_eq!((types.len(), node.gres().as_str()), (28, GRES), "{release}");
        assert_eq!(node.open(), [6, 0, 2], "{release}");
        for flag in ["--gres-flags=disable-binding", "--gres-flags=enforce-binding"] {
            let could = |gres: &str| {
                let ask = ["sbatch", "--test-only", "-w", "n1", flag, gres, "--wrap", "true"];
                node.lab.command(&ask).output().unwrap().code == 0
            };
            let both = (could("--gres=gpu:1g.5gb:6"), could("--gres=gpu:2g.10gb:1"));
            assert_eq!(both, (true, false), "{release}: {flag}");
        }
        // Both on GPU 0, of which a third place goes.
        let jobs = [node.waiting("1g.5gb"), node.waiting("3g.20gb")];
        let answer = node.gresgen(&["--layout", "second", "apply"]).must_be(0);
        assert!(answer.left().is_empty(), "{release}: {}", answer.stdout);
        assert_eq!((node.types(), node.gres().as_str()), (types.clone(), GRES), "{release}");
        assert_eq!(node.open(), [5, 3, 1], "{release}");
        node.gresgen(&["apply"]).must_be(0);
        assert_eq!(node.lab.node_state("n1").unwrap(), "MIXED", "{release}");
        for gres in ["1g.5gb", "2g.10gb"] {
            assert_eq!(node.job(gres).kind, gres, "{release}");
        }
        node.go();
        for job in jobs {
            let reports = node.reports(job);
            assert_eq!(reports[0], reports[1], "{release}");
        }

        // Killed half way, and finished by the next one.
        let apply = "NVML_SIM_FAULTS=kill@3 gresgen --layout first apply";
        let killed = node.lab.command(&["sh", "-c", apply]).output().unwrap();
        assert_eq!(killed.code, 137, "{release}: {}{}", killed.stdout, killed.stderr);
        // An admin who resumes the node meanwhile has nothing given away of what goes, three 1g.5gb and all 2g.10gb; nor have daemons
        // that begin anew, of which slurmd would end for a device file that is gone.
        let idle = || Ok((node.lab.node_state("n1")? == "IDLE").then_some(()));
        let resume = || node.lab.run(&["scontrol", "update", "NodeName=n1", "State=RESUME"]).unwrap();
        resume();
        node.lab.wait("the node to be idle", idle).unwrap();
        assert_eq!(node.open(), [2, 0, 1], "{release}");
        node.lab.restart_slurmd("n1").unwrap();
        node.lab.restart_slurmctld().unwrap();
        node.lab.wait("the node to be idle", idle).unwrap();
        assert_eq!(node.open(), [2, 0, 1], "{release}");
        let answer = node.gresgen(&["apply"]).must_be(0);
        assert!(answer.left().is_empty(), "{release}: {}", answer.stdout);
        assert_eq!((node.types(), node.open()), (types, [6, 0, 2]), "{release}");
        assert_eq!(node.lab.node_state("n1").unwrap(), "IDLE", "{release}");
        assert_eq!(node.job("3g.20gb").kind, "3g.20gb", "{release}");

        // Whoever takes the whole node is told of its devices alone.
        let all = node.lab.sbatch(User::Alice, &["-w", "n1", "--exclusive"], "lab-probe").unwrap();
        let all = node.lab.wait_job(all).unwrap();
        let probes = lab::Probe::parse_all(&all.output);
        let devices: Vec<String> = node.devices().into_values().map(|device| device.uuid).collect();
        let devices: Vec<&String> = devices.iter().filter(|uuid| uuid.starts_with("MIG-")).collect();
        assert_eq!((all.state.as_str(), devices.len()), ("COMPLETED", 8), "{release}: {}", all.output);
        assert_eq!(probes[0].cuda_list(), devices, "{release}");

        // What nobody could ask for is not made.
        node.gresgen(&["--layout", "whole", "apply"])
            .must_be(2)
            .must_say(&["GPU 0 is on request", "7g.40gb"]);
        // Boots into other cuts: slurmctld, which answers, reads each of them when slurmd registers.
        for (layout, open) in [("second", [5, 3, 1]), ("first", [6, 0, 2]), ("second", [5, 3, 1])] {
            node.reboot();
            node.gresgen(&[&["--layout", layout][..], &BOOT].concat()).must_be(0);
            node.lab.start_slurmd("n1").unwrap();
            node.lab.wait("the cut to be given out", || Ok((node.open() == open).then_some(()))).unwrap();
            assert_eq!(node.job("3g.20gb").kind, "3g.20gb", "{release}: {layout}");
            let again = node.gresgen(&["--layout", layout, "apply"]).must_be(0);
            assert!(again.left().is_empty(), "{release}: {layout}: {}", again.stdout);
        }
        // A node that is left from another major number of the driver.
        let numbers = || node.lab.run(&["stat", "-c", "%t:%T", "/dev/gresgen/cap10"]).unwrap().stdout;
        let right = numbers();
        node.lab.run(&["sh", "-c", "rm /dev/gresgen/cap10 && mknod /dev/gresgen/cap10 c 200 10"]).unwrap();
        node.gresgen(&["--layout", "second", "apply"]).must_be(0);
        assert_eq!(numbers(), right, "{release}");
        if release == Release::Bookworm {
            // As on a host with cgroup v2 alone, where its limits do not load for so many devices.
            let command =
                "mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && gresgen --layout first apply";
            let answer = node.lab.command(&["unshare", "--mount", "sh", "-c", command]).output().unwrap();
            assert_eq!(answer.code, 2, "{}{}", answer.stdout, answer.stderr);
            let words = "confines nothing on a node with GPUs on request";
            assert!(answer.stderr.contains(words), "{}", answer.stderr);
        }
        let log = node.lab.read_file("/var/log/slurm/slurmctld.log").unwrap_or_default();
        for wrong in ["count mismatch", "type changed", "Setting node n1 state to INVAL", "invalid GRES"] {
            assert!(!log.contains(wrong), "{release}: {wrong}: {log}");
        }
    }
}
