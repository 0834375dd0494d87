//! Jobs under `fake_gpus.conf` are given the UUIDs that the plugin gives.
//!
//! Slurm sorts detected devices by file, so a request that leaves a choice may be served another device. Here every
//! request takes all devices of its types, hence both sides serve it with the same ones.

use std::collections::BTreeSet;

use lab::{Job, Probe, User};

use crate::node::Node;

const GPUS: &str = "a100-40gb:2:shuffled,a100-80gb";
const LAYOUT: [&str; 2] = [
    "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}",
    "devices: [1], mig-enabled: true, mig-devices: {1g.5gb: 1, 4g.20gb: 1}",
];

/// One type, several of it, several types, and a whole GPU.
const REQUESTS: [&str; 6] = [
    "gpu:2g.10gb:1",
    "gpu:1g.5gb:3",
    "gpu:3g.20gb:1,gpu:4g.20gb:1",
    "gpu:1g.5gb:3,gpu:2g.10gb:1,gpu:3g.20gb:1,gpu:4g.20gb:1",
    "gpu:a100:1",
    "gpu:a100:1,gpu:3g.20gb:1",
];

/// UUIDs that the batch script, a step and an `srun` of its own see, for each request.
fn seen(node: &Node) -> Vec<[BTreeSet<String>; 3]> {
    let mut all = Vec::new();
    for request in REQUESTS {
        let gres = format!("--gres={request}");
        let job = node.lab.sbatch(User::Alice, &[&gres], "lab-probe; srun lab-probe").unwrap();
        let Job { state, output } = node.lab.wait_job(job).unwrap();
        assert_eq!(state, "COMPLETED", "{output}");
        let mut probes = Probe::parse_all(&output);
        probes.extend(node.lab.srun(&[&gres, "lab-probe"]).unwrap().probes());
        let of = |probe: &Probe| {
            let named: BTreeSet<String> = probe.cuda_list().into_iter().map(str::to_owned).collect();
            let opened: BTreeSet<String> = node.opened(probe).into_iter().map(str::to_owned).collect();
            assert_eq!(named, opened, "{request}: {probe:?}");
            named
        };
        let named: Vec<_> = probes.iter().map(of).collect();
        all.push(named.try_into().expect("a batch script and two steps"));
    }
    all
}

#[test]
fn jobs_are_given_the_uuids_that_the_plugin_gives() {
    let Some(plugin) = Node::cut(GPUS, &LAYOUT) else { return };
    let plugin = seen(&plugin.start());
    let fake = seen(&Node::cut(GPUS, &LAYOUT).unwrap().without_plugin().faking().start());
    assert_eq!(plugin, fake);
    assert!(plugin.iter().flatten().all(|uuids| !uuids.is_empty()));
}
