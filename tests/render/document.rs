//! Inventories survive being written and read.

use gresgen::document::{self, Document};
use gresgen::inventory::{CapabilityNumbers, Holder, Inventory};
use gresgen::root::Root;

use crate::fixture::Case;

fn read(inventory: &Inventory) -> Inventory {
    document::read(&serde_json::to_string(&Document::from(inventory)).unwrap()).unwrap()
}

#[test]
fn every_node_of_the_corpus_reads_back_as_it_was() {
    for entry in std::fs::read_dir(crate::judge::NODES).unwrap() {
        for inventory in Case::read(&entry.unwrap().path()).inventories(&Root::host()) {
            assert_eq!(read(&inventory), inventory);
        }
    }
}

fn small() -> Inventory {
    let text =
        "nodes: [{names: n1, cpus: [2, 2, 2], gpus: [{board: a30-24gb, near: [0, 4], slices: [1g.6gb@1]}]}]";
    let mut inventory = Case::parse(text).unwrap().inventories(&Root::host()).remove(0);
    inventory.gpus[0].instances[0].holders = vec![
        Holder::Process { pid: 7, command: "python".into(), user: "ada".into() },
        Holder::Job { id: 3, user: "ada".into() },
        Holder::Run { pid: 9 },
        Holder::Unknown,
    ];
    inventory
}

#[test]
fn the_json_is_a_public_interface() {
    let inventory = small();
    assert_eq!(read(&inventory), inventory);
    insta::assert_json_snapshot!(Document::from(&inventory));
}

#[test]
fn what_is_no_inventory_is_refused_by_name() {
    let good = serde_json::to_string(&Document::from(&small())).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} in {good}");
        good.replacen(from, to, 1)
    };
    let texts = [
        "{}".to_owned(),
        good[..good.len() / 2].to_owned(),
        changed("\"version\":1", "\"version\":2"),
        changed("\"1g.6gb\",\"start\"", "\"1g.7gb\",\"start\""),
        changed("\"1g.6gb\",\"start\"", "\"small\",\"start\""),
        changed("/dev/nvidia0", "/dev/nvidia0 Count=7"),
        changed("\"0,4\"", "\"zero\""),
    ];
    let errors: Vec<String> = texts.iter().map(|t| document::read(t).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(errors.join("\n"));

    // A directory is a word of gres.conf, too: it must not make a line about another node.
    for directory in
        ["/dev/gresgen\nNodeName=n9 Name=gpu File=/dev/sda", "/dev/a,/dev/b", "/dev/a b", "", "dev"]
    {
        let mut inventory = small();
        let minors = [3, 4].into();
        inventory.gpus[0].capabilities =
            Some(CapabilityNumbers { major: 238, minors, directory: directory.into() });
        let text = serde_json::to_string(&Document::from(&inventory)).unwrap();
        let error = document::read(&text).unwrap_err().to_string();
        assert!(error.contains("capabilities: directory"), "{directory:?}: {error}");
    }
}
