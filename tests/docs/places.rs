//! A stranger finds a file from docs/design.md alone: what it names is there.

use std::fs;

use crate::checkout;

/// Where paths of the document begin, when not at the top.
const BASES: [&str; 3] = ["", "gresgen/src", "slurm-plugin/src"];

#[test]
fn every_place_that_the_design_names_is_there() {
    let text = fs::read_to_string(checkout().join("docs/design.md")).unwrap();
    let words = text.split('`').skip(1).step_by(2).filter(|word| !word.contains([' ', ':', '<', '(']));
    let places: Vec<&str> = words
        .filter(|word| !word.starts_with('/') && (word.contains('/') || word.ends_with(".rs")))
        .collect();
    assert!(places.len() > 60, "{places:?}");
    let gone: Vec<&&str> = places
        .iter()
        .filter(|place| !BASES.iter().any(|base| checkout().join(base).join(place).exists()))
        .collect();
    assert!(gone.is_empty(), "no such places: {gone:?}");
}
