//! A folder of tests belongs to one crate, which hangs it into its Cargo.toml.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::checkout;

/// Folders that no crate's test is made of: what several share, the lab, and judges of form.
const OTHERS: [&str; 3] = ["lab", "lint", "shared"];

#[test]
fn every_folder_of_tests_has_one_owner() {
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir(checkout()).unwrap() {
        let manifest = entry.unwrap().path().join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap_or_default();
        for path in text.lines().filter_map(|line| line.strip_prefix("path = \"../tests/")) {
            let folder = path.split('/').next().unwrap().to_owned();
            owners.entry(folder).or_default().insert(manifest.display().to_string());
        }
    }
    let folders = fs::read_dir(checkout().join("tests")).unwrap().map(|entry| entry.unwrap().file_name());
    // Of what failed once, proptest keeps a folder there.
    let folders = folders.filter(|name| name != "proptest-regressions");
    for folder in folders.map(|name| name.into_string().unwrap()) {
        let owners = owners.remove(&folder).unwrap_or_default();
        let expected = usize::from(!OTHERS.contains(&folder.as_str()));
        assert_eq!(owners.len(), expected, "tests/{folder}: {owners:?}");
    }
    assert!(owners.is_empty(), "no such folders: {owners:?}");
}
