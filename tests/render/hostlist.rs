//! Host lists as Slurm reads them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use gresgen::slurm::hostlist::{expand, fold, unfold, without};
use proptest::prelude::*;

/// What `scontrol show hostnames` makes of a list; `None` for one that is none to it.
fn read(list: &str, conf: &Path) -> Option<Vec<String>> {
    let output = Command::new("scontrol")
        .args(["show", "hostnames", list])
        .env("SLURM_CONF", conf)
        .output()
        .expect("scontrol is not installed; this test asks it how it reads host lists");
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| text.lines().map(str::to_owned).collect())
}

/// Lists as others write them, right and wrong: several brackets, zeros, commas and blanks too many, open ends.
fn lists() -> impl Strategy<Value = String> {
    let number = "[0-9]{1,3}|0[0-9]{1,2}";
    let range = (number, proptest::option::of(number)).prop_map(|(a, b)| match b {
        Some(b) => format!("{a}-{b}"),
        None => a,
    });
    let ranges = proptest::collection::vec(prop_oneof![8 => range, 1 => "[0-9]{0,2}-?|[a-z]"], 1..4);
    let piece = ("([a-z.][a-z.-]{0,2})?|node", ranges)
        .prop_map(|(text, ranges)| format!("{text}[{}]", ranges.join(",")));
    let name = (proptest::collection::vec(piece, 0..3), "[a-z]{1,2}[0-9]{0,3}|");
    // A name goes on behind its last bracket from 23.11 on only.
    let token = name.prop_map(|(pieces, plain)| if pieces.is_empty() { plain } else { pieces.concat() });
    proptest::collection::vec((token, "[, ]|,,|, |,"), 1..5)
        .prop_map(|tokens| tokens.into_iter().map(|(token, end)| token + &end).collect())
}

#[test]
fn lists_of_others_are_read_as_slurm_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("slurm.conf");
    std::fs::write(&conf, "ClusterName=judge\nSlurmctldHost=localhost\nAuthType=auth/none\n").unwrap();
    let config = ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(list in lists())| {
        let theirs = read(&list, &conf).filter(|names| !names.is_empty());
        match unfold(&list) {
            Ok(names) => {
                prop_assert_eq!(Some(&names), theirs.as_ref());
                // What is taken out of it is gone for Slurm, and nothing else.
                let gone = &names[names.len() / 2];
                let left: Vec<String> = names.iter().filter(|name| *name != gone).cloned().collect();
                let kept = without(&list, |name| name == gone).unwrap();
                let kept = kept.and_then(|kept| read(&kept, &conf)).unwrap_or_default();
                let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
                prop_assert_eq!(set(&kept), set(&left));
            }
            // More names than are held here are more than Slurm has nodes.
            Err(error) => prop_assert!(theirs.is_none() || error.what.contains("too many"), "{}", error),
        }
    });
}

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
