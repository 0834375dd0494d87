//! Host lists as Slurm reads them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use gresgen::slurm::hostlist::{expand, fold};
use proptest::prelude::*;

/// What `scontrol show hostnames` makes of a list. It reads a slurm.conf before anything else.
fn hostnames(list: &str, conf: &Path) -> Vec<String> {
    let output = Command::new("scontrol")
        .args(["show", "hostnames", list])
        .env("SLURM_CONF", conf)
        .output()
        .expect("scontrol is not installed; this test asks it how it reads our host lists");
    assert!(output.status.success(), "{list}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn slurm_expands_what_we_fold_and_as_we_do() {
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("slurm.conf");
    std::fs::write(&conf, "ClusterName=judge\nSlurmctldHost=localhost\nAuthType=auth/none\n").unwrap();
    let names = proptest::collection::btree_set("(n|gpu-|r1n|x|rack2-)[0-9]{0,4}", 1..80);
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(names in names)| {
        let folded = fold(names.iter().map(String::as_str));
        let theirs = hostnames(&folded, &conf);
        prop_assert_eq!(&theirs, &expand(&folded).unwrap());
        prop_assert_eq!(theirs.into_iter().collect::<BTreeSet<_>>(), names);
    });
}
