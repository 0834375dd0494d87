//! The verbs as a real process on simulated GPUs.

use gresgen::root::Root;

use crate::node::{CONFIG, Node};

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

    // A cluster whose nodes are named is rendered for all of them or not at all.
    let before = std::fs::read_to_string(node.path(Root::GRES_CONF)).unwrap();
    let named = |names: &str, code: i32| {
        node.write(
            "/cluster.yaml",
            &format!("version: v1\nslurm: {{nodes: [{{names: '{names}', attributes: CPUs=8}}]}}\n"),
        );
        let cluster = file("cluster.yaml");
        let files = ["n1.json", "n2.json"].map(&file);
        node.ends(code, &["--config", &cluster, "render", "--inventory", &files[0], &files[1]])
    };
    let missing = named("n[1-4],login", 2);
    assert!(missing.starts_with("error: node login,n[3-4]: named in slurm.nodes, but"), "{missing}");
    let unnamed = named("n1", 2);
    assert!(unnamed.starts_with("error: node n2: no entry of slurm.nodes names it"), "{unnamed}");
    assert_eq!(std::fs::read_to_string(node.path(Root::GRES_CONF)).unwrap(), before);
    named("n[1-2]", 0);
}

#[test]
fn an_installed_slurm_that_is_unknown_is_refused_by_name() {
    let node = Node::new();
    node.ends(0, &["apply"]);
    let before = std::fs::read_to_string(node.path(Root::CGROUP_CONF)).unwrap();
    node.write("/bin/slurmd", "#!/bin/sh\necho slurm 27.05.1\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(node.path("/bin/slurmd"), executable).unwrap();
    let due = "error: the installed Slurm: \"slurm 27.05.1\": not a Slurm release from 22.05 to 26.05; slurm.release says";
    for arguments in [&["render"][..], &["apply"]] {
        let said = node.ends(2, arguments);
        assert!(said.starts_with(due), "{arguments:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(node.path(Root::CGROUP_CONF)).unwrap(), before);
    // The node comes up nevertheless, and what the admin says counts.
    std::fs::remove_file(node.path(Root::DEVICE_MAP)).unwrap();
    node.ends(0, &["apply", "--boot"]);
    node.write(Root::CONFIG, &CONFIG.replace("{node: n1}", "{node: n1, release: '26.05'}"));
    node.ends(0, &["apply"]);
}

#[test]
fn what_cannot_be_rendered_is_bad_input_and_touches_nothing() {
    let alias = CONFIG.replace("{node: n1}", "{node: n1, types: {aliases: {1g.5gb: 'mig:small'}}}");
    let node = Node::with("a100-40gb:2", &alias);
    let said = node.ends(2, &["apply"]);
    let due = "error: ROOT/etc/gresgen/config.yaml:7:37: GRES type \"mig:small\": ':' cannot stand in it";
    assert!(said.starts_with(due), "{said}");
    node.write(Root::CONFIG, CONFIG);
    node.write("/etc/gresgen/templates/gres.conf.j2", "# x\n{{ nodes[0].nmae }}\n");
    let said = node.ends(2, &["apply"]);
    let due =
        "error: ROOT/etc/gresgen/templates/gres.conf.j2:2: the context has no such value: nodes[0].nmae";
    assert!(said.starts_with(due) && said.contains("\n  | {{ nodes[0].nmae }}\n"), "{said}");
    assert!(!node.ends(0, &["status"]).contains("MIG-") && !node.path("/etc/slurm").exists());
}

#[test]
fn a_node_keeps_its_indexes_in_files_rendered_elsewhere() {
    let more = CONFIG.replace("  a:\n", "  b:\n    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}}\n  a:\n");
    let node = Node::with("a100-40gb:2", &more.replace("{node: n1}", "{node: n1, stable-links: true}"));
    node.ends(0, &["apply"]);
    // The new type comes after those that were there.
    node.ends(0, &["--layout", "b", "apply"]);
    let files = [Root::NODE_CONF, Root::GRES_CONF].map(|path| node.path(path));
    let written = || files.clone().map(|file| std::fs::read_to_string(file).unwrap());
    let own = written();
    assert!(own[0].contains("Gres=gpu:1g.5gb:2,gpu:3g.20gb:1,gpu:a100:1,gpu:2g.10gb:1"), "{}", own[0]);
    let status = String::from_utf8(node.run(&["--json", "status"]).stdout).unwrap();
    node.write("/n1.json", &status);
    node.ends(0, &["render", "--inventory", node.path("/n1.json").to_str().unwrap()]);
    assert_eq!(written(), own);
}
