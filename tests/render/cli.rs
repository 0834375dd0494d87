//! The verbs as a real process on simulated GPUs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gresgen::root::Root;

/// A node of simulated GPUs with a configuration.
struct Node {
    directory: tempfile::TempDir,
}

const CONFIG: &str = "version: v1
layout: a
mig-configs:
  a:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 3g.20gb: 1}}
    - {devices: [1], mig-enabled: false}
slurm: {node: n1}
";

impl Node {
    fn new() -> Self {
        let node = Node { directory: tempfile::tempdir().unwrap() };
        node.write(Root::CONFIG, CONFIG);
        node
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_gresgen"));
        let simulator = program.parent().unwrap().join("deps/libnvml_sim.so");
        assert!(simulator.exists(), "{}: the simulator is not built", simulator.display());
        Command::new(program)
            .arg("--root")
            .arg(self.directory.path())
            .arg("--nvml-lib")
            .arg(simulator)
            .args(["--simulate", "a100-40gb:2"])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .output()
            .unwrap()
    }

    /// Standard output of a run that ends with `code`, without what differs from run to run.
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let [out, err] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}{err}");
        let text = if out.is_empty() { err } else { out };
        text.replace(&self.directory.path().display().to_string(), "ROOT")
    }
}

/// The verdict of one link in a check's JSON.
fn verdict(json: &str, name: &str) -> String {
    let links: serde_json::Value = serde_json::from_str(json).unwrap();
    let link = links.as_array().unwrap().iter().find(|l| l["name"] == name);
    link.map_or("absent", |l| l["verdict"].as_str().unwrap()).to_owned()
}

#[test]
fn check_follows_the_node() {
    let node = Node::new();
    assert_eq!(verdict(&node.ends(3, &["--json", "check"]), "layout"), "fail");
    node.ends(0, &["apply", "--reset"]);
    for arguments in [&["--json", "check"][..], &["--json", "check", "--quick"]] {
        let links = node.ends(0, arguments);
        assert_eq!(verdict(&links, "device map"), "pass");
        assert_eq!(verdict(&links, "device nodes"), "pass");
    }
    // Somebody edits a file.
    let gres_conf = std::fs::read_to_string(node.path(Root::GRES_CONF)).unwrap();
    node.write(Root::GRES_CONF, &gres_conf.replace("3g.20gb", "2g.10gb"));
    assert_eq!(verdict(&node.ends(3, &["--json", "check", "--quick"]), "gres.conf"), "fail");
    assert_eq!(verdict(&node.ends(3, &["--json", "check"]), "files"), "fail");
    assert!(node.ends(0, &["render", "--diff"]).contains("-NodeName=n1 Name=gpu Type=2g.10gb"));
    node.ends(0, &["render"]);
    node.ends(0, &["check"]);
    assert_eq!(node.ends(0, &["render"]), "nothing to change\n");
    // A capability node goes away.
    let map = std::fs::read_to_string(node.path(Root::DEVICE_MAP)).unwrap();
    let cap = map.split(['=', ',', ' ']).rfind(|w| w.contains("nvidia-cap")).unwrap();
    std::fs::remove_file(cap).unwrap();
    assert_eq!(verdict(&node.ends(3, &["--json", "check", "--quick"]), "device nodes"), "fail");
    node.write(Root::DEVICE_MAP, &map[..map.len() / 2]);
    assert_eq!(verdict(&node.ends(3, &["--json", "check", "--quick"]), "device map"), "fail");
}

#[test]
fn a_cluster_is_rendered_from_what_its_nodes_say() {
    let node = Node::new();
    node.ends(0, &["apply", "--reset"]);
    let n1 =
        node.ends(0, &["--json", "status"]).replace("ROOT", &node.directory.path().display().to_string());
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
