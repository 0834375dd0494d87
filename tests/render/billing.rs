//! Billing weights on a real slurmctld.

use std::path::Path;

use gresgen::render::{Context, Templates};
use gresgen::root::Root;
use lab::{Lab, Options, Release};

use crate::fixture::Case;

/// Why weights are a comment: where the site does not account for the types, slurmctld would end.
#[test]
fn slurmctld_ends_at_weights_of_types_it_does_not_account_for() {
    let text = "nodes: [{names: n1, gpus: [{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb+me@1]}]}]\nslurm: {billing: sms}";
    let case = Case::parse(text).unwrap();
    let inventories = case.inventories(&Root::host());
    let tables = case.tables(&inventories);
    let context =
        Context::of_node(&inventories[0], &tables[0], &case.slurm, case.release, &Root::host()).unwrap();
    let rendered =
        Templates::load(Path::new("/nonexistent")).unwrap().render("gresgen-node.conf.j2", &context).unwrap();
    let weights = rendered.lines().find_map(|line| line.strip_prefix("# TRESBillingWeights=")).unwrap();
    for release in Release::selected() {
        let Some(lab) = lab::require(Lab::empty(release, Options::new(lab::Node::new("n1")))) else { return };
        lab.write_file("/etc/hosts", "127.0.0.1 localhost\n10.0.0.1 n1\n").unwrap();
        let configure = |partition: &str| {
            let conf = format!(
                "ClusterName=lab\nSlurmctldHost=n1(10.0.0.1)\nAuthType=auth/none\nCredType=cred/none\nSlurmUser=root\n\
                 SelectType=select/cons_tres\nStateSaveLocation=/tmp\nMailProg=/bin/true\n{rendered}\
                 PartitionName=p Nodes=ALL {partition}\n"
            );
            lab.write_file("/etc/slurm/slurm.conf", conf).unwrap();
        };
        configure(&format!("TRESBillingWeights={weights}"));
        let ended = lab.command(&["slurmctld", "-D"]).output().unwrap();
        assert!(
            ended.code == 1 && ended.stderr.contains("is not a configured TRES type"),
            "{release}: {ended:?}"
        );
        configure("");
        lab.run(&["sh", "-c", "slurmctld >/tmp/said 2>&1 </dev/null"]).unwrap();
        let up = || Ok(lab.command(&["scontrol", "ping"]).output()?.stdout.contains(" is UP").then_some(()));
        lab.wait("slurmctld without weights to answer", up).unwrap();
    }
}
