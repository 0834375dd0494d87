//! Nodes that are never up and let requests wait: what is written of them, and what is refused.

use crate::node::Node;

/// Two A100, of which the first takes orders, in a cluster where the other node has more of everything but GPUs on request.
const CONFIG: &str = "\
version: v1
layout: small
mig-configs:
  small:
    - devices: all
      mig-enabled: true
      mig-devices: {1g.5gb: {at: [0, 1, 2]}, 3g.20gb: {at: 4}}
slurm:
  node: n1
  release: '24.11'
  nodes:
    - {names: n1, attributes: CPUs=32 RealMemory=4000 Feature=a100 Weight=5 Gres=nvme:2}
  gres-types: [gpu, nvme]
  on-request:
    - {devices: 0, profiles: [1g.5gb, 2g.10gb, 3g.20gb], orders: true}
    - {profiles: [1g.5gb, 3g.20gb]}
";

fn node(more: &str) -> Node {
    let node = Node::new("a100-40gb:2");
    node.write("etc/gresgen/config.yaml", &format!("{CONFIG}{more}"));
    node
}

#[test]
fn the_catalog_stands_below_the_node_s_line() {
    let node = node("  catalog: wait-[1-3]\n");
    node.ok(&["apply", "-q"]);
    insta::assert_snapshot!(node.read("etc/slurm/gresgen-node.conf"));
    // The next one writes the file anew, under other names, too, and a boot takes it for this node's.
    node.write("etc/gresgen/config.yaml", &format!("{CONFIG}  catalog: later-[1-2]\n"));
    node.ok(&["apply", "-q"]);
    let later = node.read("etc/slurm/gresgen-node.conf");
    assert!(later.contains("\nNodeName=later-[1-2] ") && !later.contains("wait-"), "{later}");
    node.ok(&["apply", "-q", "--boot"]);
    node.write("etc/gresgen/config.yaml", &format!("{CONFIG}  catalog: wait-[1-3]\n"));
    let status = node.ok(&["status"]);
    let line = "GPUs 0-1 on request: 8 of 21 possible slices are cut; GPU 0 takes orders";
    assert!(status.lines().any(|said| said == line), "{status}");
    // A line that Slurm cannot read, of an earlier release, is replaced, too.
    let path = "etc/slurm/gresgen-node.conf";
    for wrong in ["cut on", "cut-[1-2],x y", "x, y", "cut-1,cut-1"] {
        let text = node.read(path).replace("NodeName=later-[1-2] ", &format!("NodeName={wrong} "));
        assert!(text.contains(wrong), "{text}");
        node.write(path, &text);
        node.write("etc/gresgen/config.yaml", &format!("{CONFIG}  catalog: later-[1-2]\n"));
        node.ok(&["apply", "-q"]);
        assert_eq!(node.read(path), later, "{wrong}");
    }
    node.write("etc/gresgen/config.yaml", &format!("{CONFIG}  catalog: wait-[1-3]\n"));
    // Of another node alone nothing has to wait.
    let all = node.ok(&["render", "--context"]);
    assert!(all.contains("\"names\": \"wait-[1-3]\""), "{all}");
    node.write(
        "etc/gresgen/config.yaml",
        &format!("{CONFIG}  catalog: wait\n")
            .replace("devices: 0,", "nodes: n2,")
            .replace("    - {profiles", "    - {nodes: n2, profiles"),
    );
    let none = node.ok(&["render", "--context"]);
    assert!(none.contains("\"catalog\": []"), "{none}");
}

#[test]
fn a_catalog_that_would_not_do_is_refused_by_name() {
    for (more, says) in [
        ("  catalog: 'wait-['\n", "slurm.catalog \"wait-[\""),
        // What slurmctld does not start with, which is found at the key.
        ("  catalog: cut on\n", "slurm.catalog \"cut on\": has a blank"),
        ("  catalog: 'cut-[1-2],x y'\n", "slurm.catalog \"cut-[1-2],x y\": has a blank"),
        ("  catalog: 'cut-1, cut-2'\n", "has a blank, which ends a value in slurm.conf"),
        ("  catalog: 'cut-1,cut-1'\n", "slurm.catalog \"cut-1,cut-1\": names cut-1 twice"),
        ("  catalog: 'cut-[1-3],cut-2'\n", "names cut-2 twice"),
        ("  catalog: 'cut-[1-2]x,y'\n", "has text behind a bracket"),
        ("  catalog: 'n[1-2]'\n", "n1 stands in slurm.nodes"),
        ("  arbiter: {reach: [ssh, root@n1]}\n", "slurm.arbiter.reach: {node} stands in no word"),
        ("  arbiter: {dwell: 1}\n", "write 90s or 2m"),
    ] {
        node(more).run(&["plan"]).refused(2, says);
    }
    let without = CONFIG.split("  on-request:").next().unwrap();
    let node = Node::new("a100-40gb:2");
    node.write("etc/gresgen/config.yaml", &format!("{without}  catalog: wait\n"));
    node.run(&["plan"]).refused(2, "nothing can be missing without slurm.on-request");
}
