//! `gresgen init`: from what is there to a configuration that `plan` takes, and edits that other programs take.

use std::fs;
use std::process::Command;

use crate::node::{Node, Run, file, snapshot, tree};

/// A node of Slurm: its files below `/etc/slurm`.
fn site(gpus: &str, files: &[(&str, &str)]) -> Node {
    let node = Node::new(gpus);
    for (name, text) in files {
        node.write(&format!("etc/slurm/{name}"), text);
    }
    node
}

const LINE: &str = "ClusterName=c\nSlurmctldHost=h\nGresTypes=gpu,nic\nTaskPlugin=task/cgroup\n\
                    NodeName=n1 CPUs=32 RealMemory=4000 Gres=gpu:a100:2,nic:1\nPartitionName=p Nodes=ALL\n";

fn ended(run: Run, code: i32) -> Run {
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    run
}

/// The files of Slurm.
fn slurm(node: &Node) -> Vec<String> {
    let root = node.path("").display().to_string();
    tree(&node.path("etc/slurm"))
        .into_iter()
        .map(|(path, text)| format!("{}\n{text}", path.display()).replace(&root, ""))
        .collect()
}

#[test]
fn a_node_of_slurm_is_described_and_its_edits_are_a_patch() {
    let node =
        site("a100-40gb:2", &[("slurm.conf", LINE), ("plugstack.conf", "required /x/spank_pyxis.so\n")]);
    let run = ended(node.run(&["init"]), 0);
    snapshot("init", &run.snapshot());
    let release = |text: String| {
        let lines = text
            .lines()
            .map(|line| if line.starts_with("  # release: ") { "  # release: [OF THE HOST]" } else { line });
        lines.collect::<Vec<_>>().join("\n")
    };
    snapshot("init config.yaml", &release(file(&node, "etc/gresgen/config.yaml")));
    let before = slurm(&node);

    // patch(1) and git-apply(1) make of it what --write makes.
    let mut made = Vec::new();
    for command in ["patch -p0", "git apply -p0 -"] {
        let copy =
            site("a100-40gb:2", &[("slurm.conf", LINE), ("plugstack.conf", "required /x/spank_pyxis.so\n")]);
        let patch = ended(copy.run(&["-q", "init"]), 0).stdout;
        assert_eq!(slurm(&copy), before, "without --write nothing of Slurm's is touched");
        copy.write("p.diff", &patch);
        let script = format!("cd '{}' && {command} < p.diff", copy.path("").display());
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{command}: {}\n{patch}", String::from_utf8_lossy(&output.stderr));
        made.push(slurm(&copy));
    }
    let written =
        site("a100-40gb:2", &[("slurm.conf", LINE), ("plugstack.conf", "required /x/spank_pyxis.so\n")]);
    let run = ended(written.run(&["init", "--write"]), 0);
    assert!(
        run.stderr
            .contains("kept the previous one as [ROOT]/var/lib/gresgen/previous/slurm.conf.before-init-1"),
        "{}",
        run.stderr
    );
    assert_eq!(written.read("var/lib/gresgen/previous/slurm.conf.before-init-1"), LINE);
    made.push(slurm(&written));
    assert!(made.windows(2).all(|pair| pair[0] == pair[1]), "{made:#?}");

    // A configuration that is there stays, and what is done is not done again.
    let again = ended(written.run(&["init"]), 2);
    assert!(again.stderr.contains("config.yaml: is there already"), "{}", again.stderr);
    written.write("etc/gresgen/config.yaml", "version: v1\n");
    let forced = ended(written.run(&["init", "--force"]), 0);
    assert_eq!(forced.stdout, "");
    assert!(written.path("var/lib/gresgen/previous/config.yaml.before-init-1").exists());
}

/// Nodes as they are found: whatever stands there, `plan` takes what comes out, and `apply` makes it. No Slurm runs here, so
/// none is asked; tests/cluster/init.rs does it beside one.
#[test]
fn plan_and_apply_take_what_comes_out() {
    let several =
        "NodeName=DEFAULT CPUs=64\nNodeName=n[1-4] NodeAddr=10.0.0.[1-4] RealMemory=1000 Gres=gpu:2\n";
    let cases: [(&str, &[(&str, &str)]); 4] = [
        ("a line of its own", &[("slurm.conf", LINE)]),
        (
            "AutoDetect=nvml",
            &[("slurm.conf", LINE), ("gres.conf", "AutoDetect=nvml\nName=nic Type=x Count=1\n")],
        ),
        (
            "several nodes on a line",
            &[
                ("slurm.conf", several),
                ("gres.conf", "NodeName=n[1-4] Name=gpu File=/dev/nvidia[0-1]\n"),
                ("cgroup.conf", "ConstrainCores=yes\n"),
            ],
        ),
        (
            "another place",
            &[
                ("../slurm-llnl/slurm.conf", LINE),
                ("../slurm-llnl/gres.conf", "Name=gpu Type=a100 File=/dev/nvidia[0-1]\n"),
            ],
        ),
    ];
    for (name, files) in cases {
        for layout in ["current", "7x1g", "balanced"] {
            let node = site("a100-40gb:2", files);
            ended(node.run(&["-q", "init", "--write", "--layout-of", layout]), 0);
            let plan = ended(node.run(&["plan", "--offline"]), 0);
            let cut = layout != "current";
            assert_eq!(plan.stdout.contains(" x create"), cut, "{name}, {layout}: {}", plan.stdout);
            let apply = ended(node.run(&["--json", "apply", "--offline"]), 0);
            let folder = if name == "another place" { "etc/slurm-llnl" } else { "etc/slurm" };
            let line = node.read(&format!("{folder}/gresgen-node.conf"));
            let line = line.lines().find(|line| line.starts_with("NodeName=n1 ")).unwrap();
            assert!(line.contains("CPUs=") && line.contains("RealMemory="), "{name}: {line}");
            assert_eq!(
                line.contains("Gres=gpu:1g.5gb:") || line.contains("nic:1,gpu:1g.5gb"),
                cut,
                "{name}: {line}"
            );
            // Every line of the chain that does not need a running Slurm holds.
            let links = node.json(&["check"]);
            let wrong: Vec<_> =
                links.as_array().unwrap().iter().filter(|link| link["verdict"] == "fail").collect();
            // (An include of an absolute path leads out of this root.)
            let here = |link: &serde_json::Value| {
                ["slurmctld", "plugstack.conf"].contains(&link["name"].as_str().unwrap())
            };
            assert!(wrong.iter().all(|link| here(link)), "{name}, {layout}: {wrong:#?}\n{}", apply.stdout);
        }
    }
}

/// Instances that are there stay, and so do the names that jobs ask for.
#[test]
fn what_is_cut_already_stays_with_its_names() {
    let node = Node::with_layout(
        "a100-40gb:2",
        &["devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 3g.20gb: 1}"],
    );
    node.ok(&["apply", "-q"]);
    let gres = node
        .read("etc/slurm/gres.conf")
        .replace("Type=1g.5gb", "Type=small")
        .replace("Type=3g.20gb", "Type=big");
    let gres: String =
        gres.lines().filter(|line| line.starts_with("NodeName=")).map(|line| format!("{line}\n")).collect();
    fs::remove_dir_all(node.path("etc")).unwrap();
    node.write("etc/slurm/gres.conf", &gres);
    node.write("etc/slurm/slurm.conf", LINE);
    ended(node.run(&["-q", "init", "--write"]), 0);
    let config = node.read("etc/gresgen/config.yaml");
    assert!(config.contains("layout: current\n") && config.contains("1g.5gb\": small"), "{config}");
    let plan = node.json(&["plan"]);
    assert_eq!(plan["gpus"].as_array().map(Vec::len), Some(0), "{plan:#}");
    ended(node.run(&["apply", "--offline"]), 0);
    let written = node.read("etc/slurm/gres.conf");
    assert!(written.contains("Type=small ") && written.contains("Type=big "), "{written}");
}

/// What jobs ask for now they find afterwards, or it is said that they do not.
#[test]
fn users_lose_nothing_without_a_word() {
    let line = |gres: &str| LINE.replace("gpu:a100:2,nic:1", gres).replace("gpu,nic", "gpu,shard,mps");
    let made = |gres: &str, gres_conf: &str, asked: &[&str]| {
        let node = site("a100-40gb:2", &[("slurm.conf", &line(gres)), ("gres.conf", gres_conf)]);
        let init = ended(node.run(&[&["init", "--write"], asked].concat()), 0);
        let plan = node.run(&["plan", "--offline"]);
        let apply = node.run(&["-q", "apply", "--offline"]);
        assert_eq!(plan.code, apply.code, "{}{}", plan.stderr, apply.stderr);
        let written = (apply.code == 0).then(|| {
            let text = node.read("etc/slurm/gresgen-node.conf");
            text.lines()
                .find(|line| line.starts_with("NodeName="))
                .unwrap()
                .rsplit_once("Gres=")
                .unwrap()
                .1
                .to_owned()
        });
        (init.stderr, written.unwrap_or(apply.stderr))
    };
    let current = &["--layout-of", "current"][..];
    let balanced = &["--layout-of", "balanced"][..];

    // Types of whole GPUs, by line and as slurmd finds them: the longest that the name of the GPU has in it.
    for (gres, gres_conf, due) in [
        ("gpu:tesla:2", "Name=gpu Type=tesla File=/dev/nvidia[0-1]\n", "gpu:tesla:2"),
        ("gpu:nvidia_a100:2", "AutoDetect=nvml\n", "gpu:nvidia_a100:2"),
        ("gpu:A100-SXM4:2", "AutoDetect=nvml\n", "gpu:A100-SXM4:2"),
        ("gpu:a100:2", "AutoDetect=nvml\n", "gpu:a100:2"),
        ("gpu:2", "AutoDetect=nvml\n", "gpu:a100:2"),
    ] {
        let (said, written) = made(gres, gres_conf, current);
        assert_eq!(written, due, "{gres}: {said}");
        assert!(!said.contains("jobs that ask"), "{gres}: {said}");
        let (said, _) = made(gres, gres_conf, balanced);
        let lost = format!("note: jobs that ask for {} find none", gres.trim_end_matches(":2"));
        assert_eq!(said.contains(&lost), gres != "gpu:2", "{gres}: {said}");
    }

    // Shares of GPUs are shares of whole ones: whoever has them keeps them, unless he asks for something else.
    for gres_conf in [
        "AutoDetect=nvml\nName=shard Count=8\n",
        "Name=gpu Type=a100 File=/dev/nvidia[0-1]\nName=shard Count=8 File=/dev/nvidia[0-1]\n",
    ] {
        let (said, written) = made("gpu:a100:2,shard:8", gres_conf, &[]);
        assert_eq!(written, "gpu:a100:2,shard:8", "{said}");
        assert!(said.contains("layout: current") && !said.contains("a share is one of"), "{said}");
        let (said, refused) = made("gpu:a100:2,shard:8", gres_conf, balanced);
        assert!(
            said.contains("note: shard:8: a share is one of a whole GPU, and layout balanced cuts GPU 0-1"),
            "{said}"
        );
        // Whether slurmctld takes shares that name no GPU where none is whole is Slurm's to say.
        let names_gpus = gres_conf.contains("Name=shard Count=8 File=");
        assert_eq!(refused.contains("given out whole"), names_gpus, "{refused}");
    }
}

/// A machine without Slurm has no section for it, one with GPUs that cannot be cut says so, and one whose hardware nobody
/// tells is refused.
#[test]
fn other_machines() {
    let node = Node::new("a30-24gb");
    let alone = |arguments: &[&str]| node.finish(node.command(arguments).env_remove("SLURMD_NODENAME"));
    ended(alone(&["-q", "init"]), 0);
    let config = node.read("etc/gresgen/config.yaml");
    assert!(!config.contains("slurm:") && config.contains("\"1g.6gb\": 4"), "{config}");
    ended(alone(&["apply", "-q"]), 0);
    assert!(!node.path("etc/slurm").exists());

    let fresh = site("a100-40gb", &[("slurm.conf", "ClusterName=c\n")]);
    fresh.write("bin/slurmd", "#!/bin/sh\necho 'NodeName=h CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=9000'\necho UpTime=0-1\n");
    let path = |mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(fresh.path("bin/slurmd"), fs::Permissions::from_mode(mode)).unwrap();
        format!("{}:/usr/bin:/bin", fresh.path("bin").display())
    };
    ended(fresh.finish(fresh.command(&["-q", "init", "--write"]).env("PATH", path(0o755))), 0);
    let config = fresh.read("etc/gresgen/config.yaml");
    assert!(config.contains("attributes: CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=9000\n"), "{config}");
    assert!(fresh.read("etc/slurm/slurm.conf").ends_with("include /etc/slurm/gresgen-node.conf\n"));
    ended(fresh.run(&["plan", "--offline"]), 0);
}

#[test]
fn a_cluster_is_described_from_its_inventories() {
    let conf = "NodeName=n[1-3] CPUs=32 RealMemory=4000 Gres=gpu:2\nNodeName=login CPUs=2\n";
    let node = site("a100-40gb:2", &[("slurm.conf", conf)]);
    let mut files = Vec::new();
    for name in ["n1", "n2"] {
        let output = node.command(&["--json", "status"]).env("SLURMD_NODENAME", name).output().unwrap();
        node.write(&format!("nodes/{name}.json"), &String::from_utf8(output.stdout).unwrap());
        files.push(node.path(&format!("nodes/{name}.json")).display().to_string());
    }
    ended(node.run(&["-q", "init", "--write", "--inventory", &files[0], &files[1]]), 0);
    let config = node.read("etc/gresgen/cluster.yaml");
    assert!(
        config.contains("    - names: \"n[1-2]\"\n      attributes: CPUs=32 RealMemory=4000\n"),
        "{config}"
    );
    let conf = node.read("etc/slurm/slurm.conf");
    assert_eq!(
        conf,
        "NodeName=n3 CPUs=32 RealMemory=4000 Gres=gpu:2\ninclude /etc/slurm/cluster/nodes.conf\nNodeName=login CPUs=2\n"
    );
    assert!(
        node.read("etc/slurm/cluster/nodes.conf")
            .contains("NodeName=n2 CPUs=32 RealMemory=4000 Gres=gpu:2\n")
    );
    let cluster = node.path("etc/gresgen/cluster.yaml").display().to_string();
    ended(node.run(&["--config", &cluster, "render", "--inventory", &files[0], &files[1]]), 6);
    let lines = node.read("etc/slurm/cluster/nodes.conf");
    assert!(lines.contains("NodeName=n[1-2] CPUs=32 RealMemory=4000 Gres=gpu:a100:2\n"), "{lines}");
}

#[test]
fn what_cannot_be_edited_is_named_and_nothing_is_written() {
    for (conf, due) in [
        ("NodeName=n1 CPUs=2\nNodeName=n[1-2] CPUs=2\n", "slurm.conf:2: names a node that"),
        ("NodeName=n[1- CPUs=2\n", "slurm.conf:1: host list"),
        ("NodeName=n1 CPUs=2\ninclude gone.conf\n", "gone.conf: is included"),
        ("GresTypes=gpu Licenses=a\nNodeName=n1 CPUs=2\n", "slurm.conf:1: GresTypes stands"),
        ("NodeName=n1,n2 CPUs=2 Comment=a\\#b\n", "slurm.conf:1: a word of it has a"),
        ("NodeName=n1 CPUs=2\nNodeName=n2\n", "gresgen-node.conf: has lines about n7"),
    ] {
        let node = site("a100-40gb", &[("slurm.conf", conf)]);
        if due.starts_with("gresgen-node.conf") {
            let first =
                "# Written by gresgen from its configuration and the GPUs of the node; edits are lost.";
            node.write("etc/slurm/gresgen-node.conf", &format!("{first}\nNodeName=n7 CPUs=2\n"));
        }
        let run = ended(node.run(&["init", "--write"]), 2);
        assert!(run.stderr.contains(due) && run.stderr.contains("hint: "), "{}", run.stderr);
        assert!(!node.path("etc/gresgen/config.yaml").exists());
        assert_eq!(node.read("etc/slurm/slurm.conf"), conf);
    }
}

/// What stands in the place of the included file must not take the node out of the cluster.
#[test]
fn notes_in_the_place_of_the_included_file_are_kept_as_a_copy() {
    let node = site("a100-40gb", &[("slurm.conf", LINE), ("gresgen-node.conf", "# notes\n")]);
    ended(node.run(&["-q", "init", "--write"]), 0);
    let included = node.read("etc/slurm/gresgen-node.conf");
    assert!(
        included
            .ends_with("\nGresTypes=gpu,nic\nNodeName=n1 CPUs=32 RealMemory=4000 Gres=gpu:a100:2,nic:1\n")
    );
    assert_eq!(node.read("var/lib/gresgen/previous/gresgen-node.conf.before-init-1"), "# notes\n");
    ended(node.run(&["apply", "--offline"]), 0);

    let node = site("a100-40gb", &[("slurm.conf", LINE)]);
    fs::create_dir(node.path("etc/slurm/gresgen-node.conf")).unwrap();
    let run = ended(node.run(&["init", "--write"]), 1);
    assert!(run.stderr.contains("gresgen-node.conf: is not a regular file"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: a file of text belongs there"), "{}", run.stderr);
    assert_eq!(node.read("etc/slurm/slurm.conf"), LINE);
}
