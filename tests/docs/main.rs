//! The documents, done: what a reader is told to type is typed on a simulated node, in order, and what the
//! reader is shown is what comes out.
#![forbid(unsafe_code)]

mod archive;
mod beliefs;
mod boot;
mod demo;
mod document;
#[path = "../shared/fetched.rs"]
#[allow(dead_code, reason = "other tests fetch from Debian, too")]
mod fetched;
mod install;
mod node;
mod owners;
mod packages;
mod places;
#[path = "../shared/plain.rs"]
mod plain;
mod reference;
mod rooms;
mod users;

use std::path::{Path, PathBuf};

use document::{Step, steps};
use lab::Release;
use node::{DocNode, Start};

/// The checkout.
fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// README and what it leads to.
fn documents() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(checkout().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = docs.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    found.sort();
    found.insert(0, checkout().join("README.md"));
    found
}

/// Documents that begin on a node without this project; the others follow them.
const FROM_NOTHING: [&str; 2] = ["README.md", "install.md"];

/// Documents for those who find slices, not for those who make them.
const CUT: [&str; 1] = ["users.md"];

/// The document whose reader has Ansible, and the releases of it that it is true of.
const WITH_ANSIBLE: (&str, &str) = ("ansible.md", "ansible-core>=2.17,<2.18");

/// A node for the reader of a document; `None` where none can be had and that is accepted.
fn node_for(name: &str) -> Option<DocNode> {
    if name != WITH_ANSIBLE.0 {
        return DocNode::new(match name {
            name if FROM_NOTHING.contains(&name) => Start::FromNothing,
            name if CUT.contains(&name) => Start::Cut,
            _ => Start::Installed,
        });
    }
    if fetched::skipped() {
        return None;
    }
    const PLACE: &str = "/opt/ansible";
    let ansible = fetched::pip(WITH_ANSIBLE.1);
    // On which a change of MIG mode waits for a reset: the document ends with one.
    let gpus = "a100-40gb:2:held";
    let node =
        DocNode::with(Release::Bookworm, Start::Installed, gpus, |options| options.bind(&ansible, PLACE))?;
    let program = format!("#!/bin/sh\nPYTHONPATH={PLACE} exec /usr/bin/python3 -m ansible playbook \"$@\"\n");
    node.write("/usr/local/bin/ansible-playbook", &program);
    node.ends(0, "chmod 755 /usr/local/bin/ansible-playbook");
    Some(node)
}

/// `DOCUMENTS=TEXT` works through those whose name has the text.
#[test]
fn every_document_works_as_written() {
    let chosen = std::env::var("DOCUMENTS").unwrap_or_default();
    let mut failures = Vec::new();
    for path in documents() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.contains(&chosen) {
            continue;
        }
        let steps = steps(&std::fs::read_to_string(&path).unwrap());
        let steps = steps.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let runs = steps.iter().filter(|step| matches!(step, Step::Run { .. })).count();
        let excused: Vec<_> = steps.iter().filter_map(excuse).collect();
        println!("{name}: {runs} blocks run, {} excused {excused:?}", excused.len());
        if runs == 0 {
            continue;
        }
        let Some(node) = node_for(&name) else { continue };
        if let Err(error) = steps.iter().try_for_each(|step| node.take(step)) {
            eprintln!("{name}: {error}");
            failures.push(format!("{name}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn excuse(step: &Step) -> Option<String> {
    match step {
        Step::Excused { line, why } => Some(format!("line {line}: {why}")),
        _ => None,
    }
}

/// Links between documents lead somewhere.
#[test]
fn links_lead_to_files() {
    let beside = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| checkout().join(name));
    for path in documents().into_iter().chain(beside) {
        let text = std::fs::read_to_string(&path).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = path.with_file_name(target.split('#').next().unwrap());
            assert!(file.exists(), "{}: {target}: no such file", path.display());
        }
    }
}
