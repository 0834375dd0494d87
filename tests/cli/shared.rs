//! Files that are not ours alone, and input that others write: as sites have them, and as an attacker would.
//! What slurmd makes of the results it is asked itself (`slurmd -G`).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::node::{Node, Run};
use crate::plain::plain;

const CUT: &str = "devices: all, mig-enabled: true, mig-devices: {1g.5gb: 2}";
const MIXED: [&str; 2] =
    ["devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2}", "devices: [1], mig-enabled: false"];

/// A node `n1` with a layout and, for its Slurm, its hardware and what is added.
fn node(gpus: &str, entries: &[&str], slurm: &str) -> Node {
    let node = Node::with_layout(gpus, entries);
    let config = node.read("etc/gresgen/config.yaml");
    let nodes = "  nodes: [{names: n1, attributes: CPUs=2 RealMemory=1000}]\n";
    node.write("etc/gresgen/config.yaml", &format!("{config}slurm:\n{nodes}  release: '22.05'\n{slurm}"));
    node
}

const GRES_CONF: &str = "etc/slurm/gres.conf";

/// Adopts a gres.conf, with `/dev/` below the node's root.
fn adopt(node: &Node, gres_conf: &str) -> Run {
    let devices = node.path("dev/").display().to_string();
    node.write(GRES_CONF, &gres_conf.replace("/dev/", &devices));
    node.run(&["apply", "--adopt", "-q"])
}

/// The GRES that slurmd gives a node, by the gres.conf in place and the node's line.
fn slurmd(node: &Node, name: &str, line: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let conf = format!(
        "ClusterName=x\nSlurmctldHost=h\nSlurmdSpoolDir={0}/spool\nSlurmdLogFile=/dev/null\nAuthType=auth/none\n\
         CredType=cred/none\nSelectType=select/cons_tres\nSlurmdParameters=config_overrides\n{line}\nPartitionName=p Nodes=ALL\n",
        place.path().display()
    );
    fs::write(place.path().join("slurm.conf"), conf).unwrap();
    fs::copy(node.path(GRES_CONF), place.path().join("gres.conf")).unwrap();
    let output = Command::new("slurmd")
        .args(["-G", "-N", name])
        .env("SLURM_CONF", place.path().join("slurm.conf"))
        .output()
        .expect("slurmd is not installed; this test asks it how it reads gres.conf");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn ours(node: &Node) -> String {
    format!("include {}", node.path("etc/slurm/gresgen-node.conf").display())
}

#[test]
fn a_line_of_several_nodes_loses_only_this_one() {
    let node = node("a100-40gb:2", &MIXED, "");
    let run = adopt(&node, "Nodename=n[1-5]  Name=gpu  Type=a100  File=/dev/nvidia[0-1]\n");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let own = slurmd(&node, "n1", &ours(&node));
    assert!(own.matches("Gres Name=gpu").count() == 3 && !own.contains("fatal"), "{own}");
    let others = "GresTypes=gpu\nNodeName=n[2-5] CPUs=2 Gres=gpu:a100:2";
    for name in ["n2", "n5"] {
        let theirs = slurmd(&node, name, others);
        assert!(theirs.contains("Gres Name=gpu Type=a100 Count=2"), "{theirs}");
    }
}

#[test]
fn lists_that_slurm_reads_are_read_and_others_kept() {
    let node = node("a100-40gb:1", &[CUT], "");
    let others = "NodeName=compute-r3i[4-7]n[0-8],compute-r[6-10]i[0-7]n[0-8] Name=gpu Type=v100\n\
                  NodeName=rack[0-3]_blade[0-63] Name=gpu File=/dev/null\n\
                  NodeName=deep-chungus-1, AutoDetect=off Name=gpu Type=a100\n\
                  NodeName=n[1-2]-ib,n[1 Name=gpu Type=h100\n";
    let run = adopt(&node, &format!("{others}NodeName=n1 Name=gpu Type=a100\n").replace("/dev/null", "/x"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(node.read(GRES_CONF).ends_with(&others.replace("/dev/null", "/x")), "{}", node.read(GRES_CONF));
}

#[test]
fn other_nodes_keep_their_lines_where_this_one_has_none() {
    let node = node("a100-40gb:1", &["devices: all, mig-enabled: true, mig-devices: {}"], "");
    let others = "NodeName=n2 Name=gpu Type=v100 Count=4\nNodeName=n3 AutoDetect=nvml\n";
    let run = adopt(&node, &format!("NodeName=n1 Name=gpu Type=a100\n{others}"));
    assert!(
        run.code == 0 && node.read(GRES_CONF).ends_with(others),
        "{}{}",
        run.stderr,
        node.read(GRES_CONF)
    );
    node.ok(&["clear", "all", "-q"]);
    assert!(node.read(GRES_CONF).ends_with(others));
}

#[test]
fn a_file_of_two_nodes_is_left_to_the_first() {
    let shared = tempfile::tempdir().unwrap();
    fs::write(shared.path().join("gres.conf"), "").unwrap();
    let (first, second) = (node("a100-40gb:1", &[CUT], ""), node("a100-40gb:1", &[CUT], ""));
    for node in [&first, &second] {
        fs::create_dir_all(node.path("etc/slurm")).unwrap();
        symlink(shared.path().join("gres.conf"), node.path(GRES_CONF)).unwrap();
    }
    first.ok(&["apply", "--adopt", "-q"]);
    let before = first.read(GRES_CONF);
    let config = second.read("etc/gresgen/config.yaml").replace("n1", "n2");
    second.write("etc/gresgen/config.yaml", &config);
    let run = second.finish(second.command(&["apply", "--adopt"]).env("SLURMD_NODENAME", "n2"));
    assert!(
        run.code == 1 && run.stderr.contains("has lines about n1, which would be gone"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("gresgen render --inventory") && run.stderr.contains("slurm.paths"));
    assert_eq!(first.read(GRES_CONF), before);
    assert!(second.uuids().is_empty(), "nothing was changed");
}

#[test]
fn gpus_in_an_included_file_are_seen() {
    for line in ["NodeName=n1 Name=gpu Count=2", "NodeName=n[1-9] Name=gpu Type=a100", "Name=gpu Type=a100"] {
        let node = node("a100-40gb:2", &MIXED, "");
        node.write("etc/slurm/queue.conf", &format!("{line}\n"));
        node.write("etc/slurm/cloud.conf", "include queue.conf\n");
        let run = adopt(&node, "include cloud.conf\n");
        let due = "error: [ROOT]/etc/slurm/queue.conf:1: has GPUs of this node, and [ROOT]/etc/slurm/gres.conf includes it";
        assert!(run.code == 1 && run.stderr.starts_with(due), "{}", run.stderr);
        assert!(node.uuids().is_empty(), "nothing was changed");
        // Without them the include stays.
        node.write("etc/slurm/queue.conf", "Name=nic Count=1\n");
        let run = adopt(&node, "include cloud.conf\n");
        assert!(run.code == 0 && node.read(GRES_CONF).ends_with("\ninclude cloud.conf\n"), "{}", run.stderr);
        // And where they come back later, check says so.
        node.write("etc/slurm/queue.conf", &format!("{line}\n"));
        let check = node.run(&["check"]);
        assert!(
            check.code == 3 && check.stdout.contains("queue.conf:1: has GPUs of this node"),
            "{}",
            check.stdout
        );
    }
}

#[test]
fn a_comment_behind_a_backslash_ends_no_line() {
    let node = node("a100-40gb:2", &MIXED, "");
    let run = adopt(&node, "NodeName=n1 Name=gpu Type=a100 \\   # both boards\n   File=/dev/nvidia[0-1]\n");
    let own = slurmd(&node, "n1", &ours(&node));
    assert!(run.code == 0 && own.matches("Gres Name=gpu").count() == 3, "{}{own}", run.stderr);
}

#[test]
fn shares_of_a_gpu_that_is_to_be_cut_stop_the_change() {
    let node = node("a100-40gb:2", &MIXED, "  gres-types: [gpu, shard]\n");
    let run = adopt(
        &node,
        "Name=gpu Type=a100 File=/dev/nvidia0\nName=shard Count=8 File=/dev/nvidia0\nName=shard Count=8 File=/dev/nvidia1\n",
    );
    assert!(
        run.code == 1 && run.stderr.contains("gres.conf:2: this kept line shares nvidia0 as shard"),
        "{}",
        run.stderr
    );
    assert!(node.uuids().is_empty() && !node.read(GRES_CONF).contains("gresgen"), "what was is back");
    let run = adopt(&node, "Name=shard Count=8 File=/dev/nvidia1\n");
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn owner_group_and_mode_survive() {
    if !is_root() {
        assert!(std::env::var("LAB_SKIP").is_ok_and(|skip| skip == "1"), "run it as root, or set LAB_SKIP=1");
        return;
    }
    let node = node("a100-40gb:1", &[CUT], "");
    node.ok(&["apply", "-q"]);
    let files =
        ["etc/slurm/gres.conf", "etc/slurm/gresgen-node.conf", "etc/slurm/cgroup.conf"].map(|f| node.path(f));
    for file in &files {
        chown(file, Some(64030), Some(64031)).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
    }
    let config = node.read("etc/gresgen/config.yaml");
    let more = "  cgroup: {ConstrainCores: yes}\n";
    node.write("etc/gresgen/config.yaml", &(config.replace("1g.5gb: 2", "1g.5gb: 3") + more));
    node.ok(&["apply", "-q"]);
    for file in &files {
        let status = file.metadata().unwrap();
        assert_eq!(
            (status.uid(), status.gid(), status.mode() & 0o777),
            (64030, 64031, 0o640),
            "{}",
            file.display()
        );
    }
    assert!(node.read("etc/slurm/gres.conf").matches("MultipleFiles=").count() == 3);
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|status| status.uid() == 0)
}

#[test]
fn directories_and_locks_have_their_modes_whatever_the_umask() {
    for umask in ["000", "002", "077"] {
        let node = node("a100-40gb:1", &[CUT], "");
        let gresgen = node.command(&["apply", "-q"]);
        let mut shell = plain("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(gresgen.get_program());
        shell.args(gresgen.get_args()).env("SLURMD_NODENAME", "n1");
        let run = node.finish(&mut shell);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let mode = |path: &str| node.path(path).metadata().unwrap().mode() & 0o7777;
        for directory in [
            "run/gresgen",
            "run/gresgen/slices",
            "var/lib/gresgen",
            "etc/slurm",
            "etc/slurm/plugstack.conf.d",
            // What stands for the kernel's.
            "dev",
            "proc/driver/nvidia/capabilities",
            "var/lib/nvml-sim",
        ] {
            assert_eq!(mode(directory), 0o755, "{umask}: {directory}");
        }
        assert_eq!(mode("run/gresgen/lock"), 0o600, "{umask}");
        for file in ["var/lib/gresgen/history", "var/lib/nvml-sim/lock", "var/lib/nvml-sim/state.json"] {
            assert_eq!(mode(file), 0o644, "{umask}: {file}");
        }
        // What an earlier umask left is mended, and named until it is.
        fs::set_permissions(node.path("run/gresgen"), fs::Permissions::from_mode(0o777)).unwrap();
        let check = node.run(&["check"]).stdout;
        assert!(check.contains("/run/gresgen has mode 0777: others can write it"), "{check}");
        node.ok(&["apply", "-q"]);
        assert_eq!(mode("run/gresgen"), 0o755);
    }
}

#[test]
fn the_lock_leads_root_nowhere() {
    let node = node("a100-40gb:1", &[CUT], "");
    node.write("victim", "precious");
    fs::create_dir_all(node.path("run/gresgen")).unwrap();
    symlink(node.path("victim"), node.path("run/gresgen/lock")).unwrap();
    let run = node.run(&["apply"]);
    assert!(run.code == 1 && run.stderr.starts_with("error: [ROOT]/run/gresgen/lock: "), "{}", run.stderr);
    assert!(node.read("victim") == "precious" && node.uuids().is_empty());
    fs::remove_file(node.path("run/gresgen/lock")).unwrap();
    assert!(Command::new("mkfifo").arg(node.path("run/gresgen/lock")).status().unwrap().success());
    let run = node.run(&["apply"]);
    assert!(run.code == 1 && run.stderr.contains("is not a regular file"), "{}", run.stderr);
}

#[test]
fn what_is_no_file_where_one_is_due_is_refused_at_once() {
    let fifo = |node: &Node, path: &str| {
        let _ = fs::remove_file(node.path(path));
        fs::create_dir_all(node.path(path).parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(node.path(path)).status().unwrap().success());
    };
    for (path, verb) in [
        ("etc/gresgen/config.yaml", &["apply"][..]),
        ("etc/gresgen/config.yaml", &["status"]),
        (GRES_CONF, &["apply", "--adopt"]),
        ("etc/slurm/cgroup.conf", &["apply", "--adopt"]),
        ("etc/gresgen/templates/gres.conf.j2", &["apply"]),
        ("run/gresgen/devices", &["apply"]),
        ("etc/slurm/plugstack.conf", &["check"]),
    ] {
        let node = node("a100-40gb:1", &[CUT], "");
        fifo(&node, path);
        let start = Instant::now();
        let run = node.run(verb);
        assert!(start.elapsed() < Duration::from_secs(60), "{path}: it waited");
        let named = run.stderr.contains(path) && run.stderr.contains("is not a regular file");
        assert!(
            named || ["status", "check"].contains(&verb[0]),
            "{path} {verb:?}: {}{}",
            run.stdout,
            run.stderr
        );
    }
}

/// An inventory of a node as its JSON.
fn inventory() -> (Node, serde_json::Value) {
    let node = node("a100-40gb:1", &[CUT], "");
    node.ok(&["apply", "-q"]);
    let json = node.run(&["--json", "status"]).stdout.replace("[ROOT]", node.path("").to_str().unwrap());
    (node, serde_json::from_str(&json).unwrap())
}

#[test]
fn an_inventory_speaks_for_its_sender_alone_and_within_bounds() {
    let (node, sound) = inventory();
    node.write("etc/gresgen/cluster.yaml", "version: v1\nslurm: {release: '22.05', billing: memory}\n");
    let render = |file: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut inventory = sound.clone();
        change(&mut inventory);
        let name = file.split('=').next_back().unwrap();
        node.write(name, &inventory.to_string());
        let argument = file.replace(name, node.path(name).to_str().unwrap());
        let config = node.path("etc/gresgen/cluster.yaml").display().to_string();
        node.run(&["--config", &config, "render", "--diff", "--inventory", &argument])
    };
    let none = |_: &mut serde_json::Value| {};
    assert_eq!(render("n1.json", &none).code, 0);
    assert_eq!(render("n1=other.json", &none).code, 0);
    let many = vec!["0-4294967295"; 100_000].join(",");
    let uuid = sound["gpus"][0]["instances"][0]["compute"][0]["uuid"].clone();
    type Change<'a> = &'a dyn Fn(&mut serde_json::Value);
    let cases: [(&str, Change<'_>, &str); 14] = [
        ("n2.json", &none, "is the inventory of node n1, not of n2"),
        ("n2=n1.json", &none, "is the inventory of node n1, not of n2"),
        ("DEFAULT.json", &|i| i["node"] = "DEFAULT".into(), "not a node name"),
        ("all.json", &|i| i["node"] = "all".into(), "not a node name"),
        ("n1.json", &|i| i["node"] = "n1\u{1b}[2J".into(), "n1\u{fffd}[2J: not a node name"),
        (
            "n1.json",
            &|i| {
                i["version"] = 2.into();
                i["node"] = "n2\u{1b}]0;pwned\u{7}".into()
            },
            "has version 2",
        ),
        ("n1.json", &|i| i["cores"] = serde_json::json!([many]), "CPUs are ranges upwards below 65536"),
        ("n1.json", &|i| i["cores"] = serde_json::json!(["0-3", "3"]), "cores: CPU 3 stands twice"),
        ("n1.json", &|i| i["gpus"][0]["uuid"] = "GPU-\u{1b}]52;c;aGVsbG8=\u{7}".into(), "is not one word"),
        ("n1.json", &|i| i["gpus"][0]["model"] = "A\u{202e}100".into(), "is not a line of text"),
        ("n1.json", &|i| i["driver"] = "5\n8".into(), "is not a line of text"),
        (
            "n1.json",
            &|i| i["gpus"][0]["instances"][0]["compute"][0]["uuid"] = "GPU-x".into(),
            "does not begin with MIG-",
        ),
        (
            "n1.json",
            &|i| {
                let second = i["gpus"][0]["instances"][1]["compute"][0]["uuid"].as_str().unwrap().to_owned();
                i["gres_index"] = serde_json::json!({uuid.as_str().unwrap(): 0, second: 0});
            },
            "both have 0",
        ),
        (
            "n1.json",
            &|i| {
                for profile in i["gpus"][0]["geometry"]["profiles"].as_array_mut().unwrap() {
                    profile["memory_mib"] = 0.into();
                }
            },
            "the driver gives no memory size",
        ),
    ];
    for (file, change, due) in cases {
        let run = render(file, change);
        assert!(run.code == 2 && run.stderr.contains(due), "{file}, {due}: {} {}", run.code, run.stderr);
        assert!(!run.stderr.contains(|c: char| c.is_control() && c != '\n'), "{:?}", run.stderr);
    }
    // Larger than any node's.
    let filler = " ".repeat(5 << 20);
    node.write("n1.json", &(sound.to_string() + &filler));
    let run = node.run(&["render", "--diff", "--inventory", node.path("n1.json").to_str().unwrap()]);
    assert!(run.code == 2 && run.stderr.contains("has more than 4194304 bytes"), "{}", run.stderr);
}

#[test]
fn a_template_that_does_not_end_is_ended() {
    let node = node("a100-40gb:1", &[CUT], "");
    let endless =
        "{% for a in range(10000) %}{% for b in range(10000) %}{{ a * b }}{% endfor %}{% endfor %}\n";
    node.write("etc/gresgen/templates/gres.conf.j2", endless);
    let run = node.run(&["apply"]);
    assert!(run.code == 2 && run.stderr.contains("gres.conf.j2:1: takes too many steps"), "{}", run.stderr);
    assert!(node.uuids().is_empty());
}

#[test]
fn notices_off_is_what_the_plugin_takes() {
    let node = node("a100-40gb:1", &[CUT], "  plugin: {arguments: {notices: off}}\n");
    node.ok(&["apply", "-q"]);
    assert!(node.read("etc/slurm/plugstack.conf.d/mig.conf").contains(" notices=no"));
    // The plugin's own reader says the same in its tests; check knows it.
    node.write("etc/slurm/plugstack.conf", "include plugstack.conf.d/*\n");
    let check = node.run(&["check"]).stdout;
    assert!(!check.contains("notices"), "{check}");
}

#[test]
fn a_node_line_is_never_without_cpus() {
    let config = |nodes: &str| {
        format!("version: v1\nmig-configs:\n  test: [{{{CUT}}}]\nslurm:\n  release: '22.05'\n{nodes}")
    };
    let node = Node::new("a100-40gb:1");
    for (nodes, due) in [
        (
            "  nodes: [{names: 'gpu[1-16]', attributes: CPUs=32}]\n",
            "error: node n1: no entry of slurm.nodes names it",
        ),
        (
            "  nodes: [{names: n1, attributes: RealMemory=1000}]\n",
            "config.yaml:6:35: slurm.nodes \"n1\": no CPUs=",
        ),
    ] {
        node.write("etc/gresgen/config.yaml", &config(nodes));
        let run = node.run(&["apply"]);
        assert!(run.code == 2 && run.stderr.contains(due), "{}", run.stderr);
        assert!(run.stderr.contains("\nhint: slurmd -C says of this host: CPUs="), "{}", run.stderr);
        assert!(node.uuids().is_empty() && !node.path("etc/slurm").exists(), "nothing was changed");
    }
    // What it said once, it goes on saying.
    node.write("etc/gresgen/config.yaml", &config("  nodes: [{names: n1, attributes: CPUs=2}]\n"));
    node.ok(&["apply", "-q"]);
    node.write("etc/gresgen/config.yaml", &config("  node: n1\n"));
    assert_eq!(node.run(&["apply"]).code, 2);
}
