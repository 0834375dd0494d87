use std::fs;

use super::*;

/// A root with these files below `/etc/slurm`.
fn site(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(directory.path()).unwrap();
    fs::create_dir_all(root.path("/etc/slurm")).unwrap();
    for (name, text) in files {
        fs::write(root.path("/etc/slurm").join(name), text).unwrap();
    }
    (directory, root)
}

fn edits_of(root: &Root, nodes: &[&str]) -> Result<Vec<Edit>, InitError> {
    let path = root.path("/etc/slurm/slurm.conf");
    let nodes: Vec<String> = nodes.iter().map(|node| (*node).to_owned()).collect();
    edits::edits(&Purpose {
        slurm_conf: &path,
        conf: &crate::slurm::conf::Conf::read(&path, root),
        nodes: &nodes,
        hardware: "CPUs=2 RealMemory=100",
        node_conf: "/etc/slurm/gresgen-node.conf",
        plugstack_conf: "/etc/slurm/plugstack.conf.d/mig.conf",
        root,
    })
}

/// What the files say after the edits, and that nothing of it was lost or is said twice.
fn texts(edits: &[Edit]) -> Vec<(String, String)> {
    let name = |edit: &Edit| edit.path.file_name().unwrap().to_string_lossy().into_owned();
    edits.iter().map(|edit| (name(edit), String::from_utf8(edit.new.clone()).unwrap())).collect()
}

const INCLUDE: &str = "include /etc/slurm/gresgen-node.conf\n";
const PLUGIN: &str = "include /etc/slurm/plugstack.conf.d/*\n";

#[test]
fn the_nodes_line_moves_into_a_file_of_ours_and_says_the_same() {
    let conf = "ClusterName=c\nGresTypes=gpu,mps\nNodeName=n1 CPUs=4 RealMemory=9 Gres=gpu:a100:2,mps:8 # ours\n\
                PartitionName=p Nodes=ALL\n";
    let (_directory, root) =
        site(&[("slurm.conf", conf), ("plugstack.conf", "# plugins\n\nrequired /x/spank_pyxis.so\n")]);
    let said = texts(&edits_of(&root, &["n1"]).unwrap());
    let marker = crate::files::Output::MARKER;
    let due = [
        (
            "gresgen-node.conf",
            format!("{marker}\nGresTypes=gpu,mps\nNodeName=n1 CPUs=4 RealMemory=9 Gres=gpu:a100:2,mps:8\n"),
        ),
        ("slurm.conf", format!("ClusterName=c\n{INCLUDE}PartitionName=p Nodes=ALL\n")),
        ("plugstack.conf", format!("# plugins\n\n{PLUGIN}required /x/spank_pyxis.so\n")),
    ];
    assert_eq!(said, due.map(|(name, text)| (name.to_owned(), text)));
}

#[test]
fn other_nodes_of_a_line_keep_it() {
    let conf = "NodeName=n[1-4] CPUs=4 \\\n  Gres=gpu:2\r\nPartitionName=p Nodes=ALL";
    let (_directory, root) = site(&[("slurm.conf", conf)]);
    let said = texts(&edits_of(&root, &["n2"]).unwrap());
    assert_eq!(
        said[1].1,
        "NodeName=n[1,3-4] CPUs=4 Gres=gpu:2\r\ninclude /etc/slurm/gresgen-node.conf\r\nPartitionName=p Nodes=ALL"
    );
    assert_eq!(said[2], ("plugstack.conf".to_owned(), PLUGIN.to_owned()));
    // A whole cluster goes at once.
    let said = texts(&edits_of(&root, &["n1", "n2", "n3", "n4"]).unwrap());
    assert_eq!(said[1].1, "include /etc/slurm/gresgen-node.conf\r\nPartitionName=p Nodes=ALL");
    assert_eq!(said[0].1.matches("NodeName=n").count(), 4);
}

#[test]
fn a_line_in_an_included_file_is_edited_there_and_a_new_node_gets_one() {
    let (_directory, root) = site(&[
        ("slurm.conf", "include nodes.conf\nA=1"),
        ("nodes.conf", "NodeName=n1 CPUs=4\nNodeName=n2 CPUs=4\n"),
    ]);
    let said = texts(&edits_of(&root, &["n2"]).unwrap());
    assert_eq!(said[1], ("nodes.conf".to_owned(), format!("NodeName=n1 CPUs=4\n{INCLUDE}")));
    let said = texts(&edits_of(&root, &["n9"]).unwrap());
    assert!(said[0].1.ends_with("NodeName=n9 CPUs=2 RealMemory=100\n"), "{}", said[0].1);
    assert_eq!(said[1], ("slurm.conf".to_owned(), format!("include nodes.conf\nA=1\n{INCLUDE}")));
}

#[test]
fn what_is_done_is_not_done_again_and_what_is_ambiguous_not_at_all() {
    let (_directory, root) = site(&[("slurm.conf", "NodeName=n1 CPUs=4\n")]);
    for edit in edits_of(&root, &["n1"]).unwrap() {
        fs::write(&edit.path, &edit.new).unwrap();
    }
    assert_eq!(edits_of(&root, &["n1"]).unwrap(), []);
    for (conf, due) in [
        ("NodeName=n1 CPUs=4\nNodeName=n[1-2] CPUs=4\n", "slurm.conf:2: names a node"),
        ("NodeName=n[1- CPUs=4\n", "slurm.conf:1: host list"),
        ("NodeName=n1 CPUs=4\nGresTypes=gpu Licenses=x\n", "slurm.conf:2: GresTypes stands among"),
        ("include gone.conf\n", "gone.conf: is included"),
    ] {
        let (_directory, root) = site(&[("slurm.conf", conf)]);
        let error = edits_of(&root, &["n1"]).unwrap_err().to_string();
        assert!(error.contains(due), "{error}");
    }
}
