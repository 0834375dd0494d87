//! The pictures of the documents are what the program draws. `PICTURES=write cargo test -p gresgen --test cli pictures` draws
//! them anew.

use std::path::Path;

use crate::node::Node;

/// Holds what the program draws against the picture that is kept.
fn same(name: &str, drawn: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var("PICTURES").is_ok_and(|wish| wish == "write") {
        std::fs::write(&file, drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == drawn, "docs/{name} is not what gresgen draws; draw it anew with PICTURES=write");
}

#[test]
fn pictures_are_what_is_drawn() {
    let node = Node::with_layout(
        "a100-40gb:2",
        &[
            "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 4}",
            "devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 1, 2g.10gb: 1, 1g.5gb: 1}",
        ],
    );
    // docs/advice.md: two whole GPUs.
    let jobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/jobs.csv");
    let advice = node.ok(&["-q", "advise", "--jobs", jobs.to_str().unwrap(), "--svg", "-"]);
    same("waiting.svg", advice.split_inclusive("</svg>").next().unwrap());
    node.ok(&["-q", "apply", "--offline"]);
    same("node.svg", &node.ok(&["status", "--svg", "-"]));
}
