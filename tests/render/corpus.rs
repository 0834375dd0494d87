//! Snapshots of everything rendered for each file of the corpus.

use std::fmt::Write;

use gresgen::render::{self, Context, Templates};
use gresgen::root::Root;

use crate::fixture::Case;

fn rendered(case: &Case) -> String {
    let root = Root::host();
    let inventories = case.inventories(&root);
    let tables = case.tables(&inventories);
    let mut text = String::new();
    let outputs = match &inventories[..] {
        [inventory] => render::node(inventory, &tables[0], &case.slurm, case.release, &root).unwrap(),
        _ => {
            let nodes = inventories.iter().zip(&tables);
            let context = Context::of_cluster(nodes, &case.slurm, case.release, &root).unwrap();
            let templates = Templates::load(&root.path("/nonexistent")).unwrap();
            render::slurm_files(&templates, &context, &case.slurm, &root).unwrap()
        }
    };
    for output in outputs {
        let _ = writeln!(text, "==> {}\n{}", output.path.display(), output.text);
    }
    text
}

#[test]
fn files() {
    insta::glob!("nodes/*.yaml", |path| {
        let case = Case::read(path);
        insta::assert_snapshot!(rendered(&case));
    });
}

#[test]
fn the_corpus_has_every_board_and_forty_nodes() {
    let mut text = String::new();
    let mut nodes = 0;
    for entry in std::fs::read_dir(crate::judge::NODES).unwrap() {
        let path = entry.unwrap().path();
        text.push_str(&std::fs::read_to_string(&path).unwrap());
        nodes += Case::read(&path).inventories(&Root::host()).len();
    }
    let missing: Vec<&str> = mig::BOARDS
        .iter()
        .filter(|b| !b.rows.is_empty() && !text.contains(&format!("board: {},", b.key)))
        .map(|b| b.key)
        .collect();
    assert!(missing.is_empty(), "boards without a node: {missing:?}");
    assert!(nodes >= 40, "{nodes} nodes");
}

#[test]
fn gpus_on_request_have_a_line_for_every_instance() {
    let case = Case::parse(
        "nodes: [{names: n1, cpus: [1, 4, 2], gpus: [{board: a100-40gb, slices: [3g.20gb@4, 1g.5gb@0]}, {board: a100-40gb, slices: [2g.10gb@0]}]}]\n\
         slurm: {billing: sms, on-request: [{devices: [0], profiles: [3g.20gb, 7g.40gb]}]}",
    )
    .unwrap();
    insta::assert_snapshot!(rendered(&case));
}

#[test]
fn the_context_is_a_public_interface() {
    let case = Case::parse(
        "nodes: [{names: n1, cpus: [1, 4, 2], gpus: [{board: a100-40gb, near: [0, 4], slices: [1g.5gb+me@0, 1c.3g.20gb@4]}]}]\nslurm: {billing: sms}",
    )
    .unwrap();
    let inventories = case.inventories(&Root::host());
    let tables = case.tables(&inventories);
    let context =
        Context::of_node(&inventories[0], &tables[0], &case.slurm, case.release, &Root::host()).unwrap();
    insta::assert_json_snapshot!(context);
}
