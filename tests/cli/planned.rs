//! What `plan` prints is what `apply` does: steps, files, who is in the way, exit codes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use crate::node::Node;

/// Machines with profiles that fit them, and that do not.
const MACHINES: [(&str, &[&str]); 3] = [
    ("a100-40gb:2", &["1g.5gb", "2g.10gb", "3g.20gb", "1c.3g.20gb", "7g.40gb"]),
    ("h100-80gb-sxm", &["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "1g.10gb+me"]),
    ("a30-24gb:2", &["1g.6gb", "2g.12gb", "4g.24gb"]),
];

/// What one GPU shall be: MIG off, or so many of some of the machine's profiles.
#[derive(Clone, Debug)]
enum Demand {
    Off,
    On(Vec<(usize, u32)>),
}

/// One node, twice configured.
#[derive(Clone, Debug)]
struct Case {
    machine: usize,
    first: [Demand; 2],
    second: [Demand; 2],
    /// Which instances somebody uses, by position.
    busy: Vec<bool>,
    /// Whether a file of the site stands where one of ours belongs.
    foreign: bool,
    adopt: bool,
}

fn demand() -> impl Strategy<Value = Demand> {
    let some = proptest::collection::vec((0..5usize, 1..3u32), 0..3);
    prop_oneof![1 => Just(Demand::Off), 6 => some.prop_map(Demand::On)]
}

fn case() -> impl Strategy<Value = Case> {
    let layout = || [demand(), demand()];
    let busy = proptest::collection::vec(proptest::bool::weighted(0.2), 14);
    (0..MACHINES.len(), layout(), layout(), busy, proptest::bool::weighted(0.2), any::<bool>()).prop_map(
        |(machine, first, second, busy, foreign, adopt)| Case {
            machine,
            first,
            second,
            busy,
            foreign,
            adopt,
        },
    )
}

impl Case {
    fn entries(&self, layout: &[Demand; 2]) -> Vec<String> {
        let (machine, profiles) = MACHINES[self.machine];
        let gpus = if machine.ends_with(":2") { 2 } else { 1 };
        let entry = |(gpu, demand): (usize, &Demand)| match demand {
            Demand::Off => format!("devices: [{gpu}], mig-enabled: false"),
            Demand::On(counts) => {
                let mut all: Vec<(&str, u32)> = Vec::new();
                for (profile, count) in counts {
                    let profile = profiles[profile % profiles.len()];
                    if all.iter().all(|(known, _)| *known != profile) {
                        all.push((profile, *count));
                    }
                }
                let all: Vec<String> = all.iter().map(|(name, count)| format!("{name}: {count}")).collect();
                format!("devices: [{gpu}], mig-enabled: true, mig-devices: {{{}}}", all.join(", "))
            }
        };
        layout.iter().take(gpus).enumerate().map(entry).collect()
    }

    fn node(&self) -> Option<Node> {
        let node = Node::new(MACHINES[self.machine].0);
        let configure = |layout| {
            let entries = self.entries(layout);
            node.layout(&entries.iter().map(String::as_str).collect::<Vec<_>>());
        };
        configure(&self.first);
        if node.run(&["apply", "-q"]).code != 0 {
            return None;
        }
        let busy = node.uuids().into_iter().zip(&self.busy).filter(|(_, busy)| **busy);
        let lines: String = busy.map(|(uuid, _)| format!("{uuid} {}\n", std::process::id())).collect();
        node.write("var/lib/nvml-sim/processes", &lines);
        if self.foreign {
            node.write("etc/slurm/cgroup.conf", "ConstrainCores=yes\n");
        }
        configure(&self.second);
        Some(node)
    }
}

fn paths(value: &Value) -> BTreeSet<String> {
    // Capability nodes are made with the instances, and are no text of ours.
    let paths = value.as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned());
    paths.filter(|path| !path.contains("/dev/")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_is_planned_is_what_is_done(case in case()) {
        let Some(node) = case.node() else { return Ok(()) };
        let verb = |words: &[&str]| {
            let adopt: &[&str] = if case.adopt { &["--adopt"] } else { &[] };
            node.run(&[words, adopt].concat())
        };
        let before = node.uuids();
        let planned = verb(&["plan", "--json"]);
        let told = verb(&["plan", "-q", "--detailed-exitcode"]);
        prop_assert_eq!(node.uuids(), before.clone(), "a plan changes nothing");
        let done = verb(&["apply", "--json"]);
        let plan: Value = serde_json::from_str(&planned.stdout).unwrap_or_default();
        if done.code != 0 {
            prop_assert_eq!(planned.code, done.code, "{}\n{}", planned.stderr, done.stderr);
            prop_assert_eq!(told.code, done.code);
            prop_assert_eq!(node.uuids(), before, "what is refused changes nothing");
            match done.code {
                4 => for blocked in plan["blocked"].as_array().unwrap() {
                    let blocked = blocked.as_str().unwrap();
                    prop_assert!(done.stderr.contains(blocked), "{}: {}", blocked, done.stderr);
                },
                _ => prop_assert_eq!(planned.stderr, done.stderr),
            }
            return Ok(());
        }
        prop_assert_eq!(planned.code, 0, "{}", planned.stderr);
        let done: Value = serde_json::from_str(&done.stdout).unwrap();
        prop_assert_eq!(&plan["gpus"], &done["preview"]["gpus"]);
        prop_assert_eq!(&plan["slurm_pending"], &done["slurm_pending"]);
        let files = plan["files"].as_array().unwrap();
        let listed = |certain: bool| -> BTreeSet<String> {
            let files = files.iter().filter(|file| !certain || file["certain"] == true);
            files.map(|file| file["path"].as_str().unwrap().replace(node.path("").to_str().unwrap(), "[ROOT]/")).collect()
        };
        let written: BTreeSet<String> = paths(&done["files"]);
        prop_assert!(listed(true).is_subset(&written), "{:?} {written:?}", listed(true));
        prop_assert!(written.is_subset(&listed(false)), "{:?} {written:?}", listed(false));
        if listed(true) == listed(false) {
            prop_assert_eq!(&plan["changed"], &done["changed"]);
        }
        prop_assert_eq!(told.code, if plan["changed"] == true { 10 } else { 0 });
        // And nothing is left of it.
        let after: Value = serde_json::from_str(&verb(&["plan", "--json"]).stdout).unwrap();
        prop_assert_eq!(&after["changed"], false, "{}", after);
        prop_assert_eq!(verb(&["plan", "-q", "--detailed-exitcode"]).code, 0);
    }
}
