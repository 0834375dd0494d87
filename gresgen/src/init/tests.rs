use std::fs;

use super::*;

/// A root with these files below `/etc/slurm`.
fn site<T: AsRef<[u8]>>(files: &[(&str, T)]) -> (tempfile::TempDir, Root) {
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
    edits::edits(&EditRequest {
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
        ("slurm.conf", format!("ClusterName=c\n# ours\n{INCLUDE}PartitionName=p Nodes=ALL\n")),
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
        ("NodeName=n1 CPUs=4 Comment=a\\#b\n", "slurm.conf:1: a word of it has"),
        ("NodeName=n1 CPUs=4 Comment=a\\\\b\n", "slurm.conf:1: a word of it has"),
        ("NodeName=DEFAULT Comment=a\\#b\nNodeName=n1 CPUs=4\n", "slurm.conf:1: a word of it has"),
        ("NodeName=n1 CPUs=4 Feature\n", "slurm.conf:1: Slurm does not read all of it"),
    ] {
        let (_directory, root) = site(&[("slurm.conf", conf)]);
        let error = edits_of(&root, &["n1"]).unwrap_err().to_string();
        assert!(error.contains(due), "{error}");
    }
}

#[test]
fn bytes_comments_and_operators_of_the_site_stay() {
    // What is in no line of ours is not looked at, and a comment has any bytes.
    let conf = b"Comment=\xfc\nNodeName=n1,n2 CPUs=2 Comment=\"\" Feature+=x # G\xfcnther\nGresTypes=gpu # \xfc\nNodeName=n3 Comment=\xfc\n";
    let (_directory, root) = site(&[("slurm.conf", &conf[..])]);
    let edits = edits_of(&root, &["n1"]).unwrap();
    let due = [
        &b"Comment=\xfc\n# G\xfcnther\nNodeName=n2 CPUs=2 Comment=\"\" Feature+=x\n"[..],
        INCLUDE.as_bytes(),
        b"# \xfc\nNodeName=n3 Comment=\xfc\n",
    ];
    assert_eq!(edits[1].new.escape_ascii().to_string(), due.concat().escape_ascii().to_string());
    assert!(edits[0].new.ends_with(b"NodeName=n1 CPUs=2 Comment=\"\" Feature+=x\n"));
    let (_directory, root) =
        site(&[("slurm.conf", b"ClusterName=c\nNodeName=n1,n2 CPUs=2 Comment=G\xfcnther\n")]);
    let error = edits_of(&root, &["n1"]).unwrap_err().to_string();
    assert!(error.contains("slurm.conf:2: a word of it has"), "{error}");
}

/// Whatever stands in the place of the included file: afterwards it says what slurm.conf says no more, or nothing is done.
#[test]
fn the_file_that_is_included_says_what_is_taken_out() {
    let conf = "GresTypes=gpu,nic\nNodeName=n1 CPUs=4 Gres=nic:1\n";
    let marker = crate::files::Output::MARKER;
    let due = format!("{marker}\nGresTypes=gpu,nic\nNodeName=n1 CPUs=4 Gres=nic:1\n");
    let keep = format!("{}\nSwitchName=s\n", crate::files::KEEP);
    for (there, due) in [
        ("# notes\n".to_owned(), due.clone()),
        (String::new(), due.clone()),
        ("NodeName=n1 CPUs=4 Gres=nic:1\n".to_owned(), due.clone()),
        (format!("{marker}\nGresTypes=gpu\nNodeName=n1 CPUs=1 Gres=gpu:1\n"), due.clone()),
        (format!("{marker}\n{keep}"), format!("{due}{keep}")),
        (due.clone(), due.clone()),
    ] {
        let (_directory, root) = site(&[("slurm.conf", conf), ("gresgen-node.conf", &there)]);
        let edits = edits_of(&root, &["n1"]).unwrap();
        assert_eq!(edits[0].old.as_deref(), Some(there.as_bytes()));
        assert_eq!(String::from_utf8_lossy(&edits[0].new), due, "{there}");
    }
    let place = |root: &Root| root.path("/etc/slurm/gresgen-node.conf");
    for (there, due) in [
        (
            format!("{marker}\nNodeName=old CPUs=4\n"),
            "gresgen-node.conf: has lines about old, which would be gone",
        ),
        ("/".to_owned(), "gresgen-node.conf: is not a regular file"),
        ("gone".to_owned(), "gresgen-node.conf: No such file"),
    ] {
        let (_directory, root) = site(&[("slurm.conf", conf)]);
        match &*there {
            "/" => fs::create_dir(place(&root)).unwrap(),
            "gone" => std::os::unix::fs::symlink("gone", place(&root)).unwrap(),
            text => fs::write(place(&root), text).unwrap(),
        }
        let error = edits_of(&root, &["n1"]).unwrap_err().to_string();
        assert!(error.contains(due), "{error}");
    }
}

#[test]
fn a_link_out_of_the_root_is_not_followed() {
    let (directory, root) = site::<&str>(&[]);
    let other = tempfile::tempdir().unwrap();
    let place = |folder: &std::path::Path| folder.join("slurm.conf");
    fs::write(place(other.path()), "NodeName=n1 CPUs=4\n").unwrap();
    std::os::unix::fs::symlink(place(other.path()), root.path("/etc/slurm/slurm.conf")).unwrap();
    let error = edits_of(&root, &["n1"]).unwrap_err().to_string();
    assert!(error.contains("slurm.conf: is not below --root"), "{error}");
    fs::create_dir(directory.path().join("real")).unwrap();
    fs::rename(place(other.path()), place(&directory.path().join("real"))).unwrap();
    fs::remove_file(root.path("/etc/slurm/slurm.conf")).unwrap();
    std::os::unix::fs::symlink("../../real/slurm.conf", root.path("/etc/slurm/slurm.conf")).unwrap();
    let edits = edits_of(&root, &["n1"]).unwrap();
    assert!(edits.iter().any(|edit| edit.path.ends_with("real/slurm.conf")), "{edits:?}");
}
