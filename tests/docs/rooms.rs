//! The picture of the house in docs/design.md: crates, the rooms in each, who imports whom. It is drawn from the
//! source, so it cannot be out of date; and the source has no circles, at no level.
//!
//! `ROOMS=write cargo test -p gresgen --test docs rooms` draws it anew.

mod draw;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use crate::checkout;
use source::{Crate, crates};

/// Who imports whom, by name.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_picture_is_what_the_source_says() {
    let file = checkout().join("docs/rooms.svg");
    let drawn = draw::svg(&crates(&checkout()));
    if std::env::var("ROOMS").is_ok_and(|wish| wish == "write") {
        std::fs::write(&file, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == drawn, "docs/rooms.svg is not what the source says; draw it anew with ROOMS=write");
}

/// Siblings, from the crates down to the files of the smallest folder, import each other in one direction.
#[test]
fn no_rooms_import_each_other_in_a_circle() {
    let crates = crates(&checkout());
    let between: Imports = crates.iter().map(|c| (c.name.clone(), c.depends.clone())).collect();
    let mut found = circles("workspace", &between);
    for Crate { name, folders, .. } in &crates {
        for (folder, imports) in folders {
            let place = if folder.is_empty() { name.clone() } else { format!("{name}::{folder}") };
            found.extend(circles(&place, imports));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// Sets of rooms that reach each other, as text.
fn circles(place: &str, imports: &Imports) -> Vec<String> {
    let reaches: Imports = imports.keys().map(|room| (room.clone(), reached(imports, room))).collect();
    let mut found = BTreeSet::new();
    for room in imports.keys().filter(|room| reaches[*room].contains(*room)) {
        let both = reaches[room].iter().filter(|other| reaches.get(*other).is_some_and(|r| r.contains(room)));
        found.insert(format!("{place}: {}", both.cloned().collect::<Vec<_>>().join(" <-> ")));
    }
    found.into_iter().collect()
}

/// Rooms that one reaches by one import or more.
fn reached(imports: &Imports, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<&String> = imports.get(from).into_iter().flatten().collect();
    while let Some(room) = todo.pop() {
        if seen.insert(room.clone()) {
            todo.extend(imports.get(room).into_iter().flatten());
        }
    }
    seen
}

#[test]
fn a_circle_is_found_and_a_line_is_none() {
    let imports = |pairs: &[(&str, &[&str])]| -> Imports {
        let room = |(from, to): &(&str, &[&str])| {
            ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect())
        };
        pairs.iter().map(room).collect()
    };
    assert!(circles("", &imports(&[("a", &["b"]), ("b", &["c"]), ("c", &[])])).is_empty());
    let round = imports(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"])]);
    assert_eq!(circles("x", &round), ["x: a <-> b <-> c"]);
}
