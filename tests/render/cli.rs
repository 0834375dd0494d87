//! The verbs as a real process on simulated GPUs.

use gresgen::root::Root;

use crate::node::Node;

#[test]
fn a_cluster_is_rendered_from_what_its_nodes_say() {
    let node = Node::new();
    node.ends(0, &["apply", "--reset"]);
    let n1 = node.ends(0, &["--json", "status"]).replace("ROOT", &node.path("/").display().to_string());
    node.write("/n1.json", &n1);
    node.write("/n2.json", &n1.replace("\"node\": \"n1\"", "\"node\": \"n2\""));
    node.write("/later.json", &n1.replace("\"version\": 1", "\"version\": 2"));
    let file = |name: &str| node.path(name).display().to_string();
    let map = std::fs::read_to_string(node.path(Root::DEVICE_MAP)).unwrap();
    node.ends(0, &["render", "--inventory", &file("n1.json"), &file("n2.json")]);
    let gres_conf = std::fs::read_to_string(node.path(Root::GRES_CONF)).unwrap();
    assert!(
        gres_conf.lines().skip(1).all(|line| line.starts_with("NodeName=n[1-2] Name=gpu ")),
        "{gres_conf}"
    );
    assert_eq!(
        std::fs::read_to_string(node.path(Root::DEVICE_MAP)).unwrap(),
        map,
        "no node's map is touched"
    );
    let refused = [
        node.ends(2, &["render", "--inventory", &file("n1.json"), &file("n1.json")]),
        node.ends(2, &["render", "--inventory", &file("later.json")]),
        node.ends(2, &["render", "--inventory", &file("gone.json")]),
    ];
    insta::assert_snapshot!(refused.concat());
}
