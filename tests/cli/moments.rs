//! What is only so for a moment, and what a boot finds.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};

use crate::node::{Node, Run};

/// A process that the driver has on the first GPU until `gresgen` has asked for such so many times.
fn client(node: &Node, looks: u32) -> Child {
    let script = "until [ \"$(grep -c ComputeRunningProcesses \"$1\")\" -ge \"$2\" ]; do sleep 0.02; done";
    let gpu = node.json(&["status"])["gpus"][0]["uuid"].as_str().unwrap().to_owned();
    node.write("calls", "");
    let child = Command::new("sh")
        .args(["-c", script, "health"])
        .arg(node.path("calls"))
        .arg(looks.to_string())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    node.occupy(&gpu, child.id());
    child
}

fn recording(node: &Node, arguments: &[&str]) -> Run {
    node.finish(node.command(arguments).env("NVML_SIM_CALLS", node.path("calls")))
}

/// Every client of NVML has the GPU open while it asks: a look of cron, a health script, `nvidia-smi` of a user.
#[test]
fn a_client_that_only_looks_does_not_refuse_a_change() {
    let node = Node::new("a100-40gb:1");
    let mut looking = client(&node, 2);
    let run = recording(&node, &["mode", "on", "--reset"]);
    let ended = looking.wait().unwrap();
    assert!([0, 5].contains(&run.code), "{}{}", run.stdout, run.stderr);
    assert!(ended.success());
}

/// One that stays is in the way, whatever it is called.
#[test]
fn a_client_that_stays_is_named() {
    let node = Node::new("a100-40gb:1");
    let mut staying = client(&node, u32::MAX);
    let run = recording(&node, &["mode", "on"]);
    staying.kill().unwrap();
    staying.wait().unwrap();
    assert_eq!(run.code, 4, "{}{}", run.stdout, run.stderr);
    let name = format!("process {} (sh", staying.id());
    assert!(run.stderr.contains(&name), "{}", run.stderr);
}

const LAYOUT: &str = "devices: all, mig-enabled: true, mig-devices: {1g.5gb: 2}";
const GRES_CONF: &str = "etc/slurm/gres.conf";
const CONFIG: &str = "etc/gresgen/config.yaml";
const JOURNAL: &str = "var/lib/gresgen/intent.json";

/// A node whose name stands in its configuration alone.
fn named(name: &str) -> Node {
    let node = Node::new("a100-40gb:1");
    node.write(
        CONFIG,
        &format!(
            "version: v1\nlayout: day\nmig-configs:\n  day: [{{{LAYOUT}}}]\nslurm:\n  node: {name}\n  release: '22.05'\n  \
             nodes: [{{names: {name}, attributes: CPUs=2 RealMemory=1000}}]\n"
        ),
    );
    node
}

fn apply(node: &Node, arguments: &[&str]) -> Run {
    node.finish(node.command(&[&["apply"], arguments].concat()).env_remove("SLURMD_NODENAME"))
}

/// A reboot takes the instances, the device nodes and /run.
fn reboot(node: &Node) {
    for gone in ["run", "dev"] {
        fs::remove_dir_all(node.path(gone)).unwrap();
    }
    node.write("proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n");
    let gpus = node.path("var/lib/nvml-sim");
    fs::remove_dir_all(gpus).unwrap();
}

fn boot(node: &Node) -> Run {
    apply(node, &["--boot", "--wait=0s"])
}

#[test]
fn a_boot_without_a_configuration_writes_what_slurmd_can_load() {
    for wrong in [Some("mig-configs: [\n"), Some("\u{0}"), None] {
        let node = named("gpu-node-7");
        assert_eq!(apply(&node, &["-q"]).code, 0);
        let kept = "# Lines below this one are kept as they are.\nName=bandwidth Count=4\n";
        node.write(GRES_CONF, &format!("{}{kept}", node.read(GRES_CONF)));
        reboot(&node);
        match wrong {
            Some(text) => node.write(CONFIG, text),
            None => fs::remove_file(node.path(CONFIG)).unwrap(),
        }
        let run = boot(&node);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("slurmd can start"), "{}", run.stderr);
        let text = node.read(GRES_CONF);
        assert!(!text.contains("/dev/nvidia-caps/") && text.ends_with(kept), "{text}");
    }
}

/// A file of another node, or of several, is not this node's for want of a configuration.
#[test]
fn a_boot_without_a_configuration_leaves_other_nodes_their_lines() {
    let other = "NodeName=n2 Name=gpu Type=1g.5gb File=/dev/nvidia9\n";
    let list = "NodeName=n[3-4] Name=gpu Type=1g.5gb File=/dev/nvidia9\n";
    for lines in [other, list] {
        let node = named("n1");
        assert_eq!(apply(&node, &["-q"]).code, 0);
        let before = format!("{}{lines}", node.read(GRES_CONF));
        node.write(GRES_CONF, &before);
        node.write(CONFIG, "mig-configs: [\n");
        let run = boot(&node);
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(run.stderr.contains("slurmd finds gres.conf as it was"), "{}", run.stderr);
        assert_eq!(node.read(GRES_CONF), before);
    }
    // One line, of the only other node that has written so far.
    let node = named("n1");
    assert_eq!(apply(&node, &["-q"]).code, 0);
    let shared = node.path("shared.conf");
    fs::rename(node.path(GRES_CONF), &shared).unwrap();
    symlink(&shared, node.path(GRES_CONF)).unwrap();
    let before = node.read(GRES_CONF);
    node.write(CONFIG, "mig-configs: [\n");
    assert_eq!(boot(&node).code, 2);
    assert_eq!(node.read(GRES_CONF), before);
}

/// What slurm.conf says of this host stands above a name in the configuration and above the file.
#[test]
fn a_boot_knows_itself_by_slurm_conf() {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim();
    for (line, ours) in [
        (format!("NodeName=n1 NodeHostName={host}"), true),
        (format!("NodeName=n2 NodeHostName={host}\nNodeName=n1 NodeHostName=elsewhere"), false),
        (format!("NodeName=n[1-2] NodeHostName={host} Port=[7001-7002]"), false),
    ] {
        let node = named("n1");
        assert_eq!(apply(&node, &["-q"]).code, 0);
        let before = node.read(GRES_CONF);
        node.write("etc/slurm/slurm.conf", &format!("ClusterName=x\nSlurmctldHost=h\n{line}\n"));
        // The name was changed, or taken over from another node's file.
        node.write(CONFIG, &node.read(CONFIG).replace("n1", "n2").replace("day: [", "night: ["));
        reboot(&node);
        let run = boot(&node);
        assert_eq!(run.code, 2, "{line}: {}", run.stderr);
        assert_eq!(node.read(GRES_CONF) == before, !ours, "{line}: {}", run.stderr);
    }
}

/// What a reboot cut off is finished by nobody: an order that comes to nothing leaves no journal of it either.
#[test]
fn a_journal_of_a_boot_before_is_not_one_to_be_finished() {
    let node = named("gpu-node-7");
    assert_eq!(apply(&node, &["-q"]).code, 0);
    let journal = r#"{"version": 1, "what": "order for job 17", "boot": "22222222-2222", "before": []}"#;
    node.write(JOURNAL, journal);
    let status = node.ok(&["status"]);
    let says =
        "interrupted by a reboot: order for job 17; make what is meant with gresgen apply, or go back with";
    assert!(status.contains(says), "{status}");
    assert_eq!(node.json(&["status"])["interrupted"], serde_json::Value::Null);
    assert_eq!(apply(&node, &["-q"]).code, 0);
    assert!(!node.path(JOURNAL).exists());
    assert!(node.ok(&["history"]).contains("cut off"));
}
