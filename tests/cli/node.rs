//! A node in a directory: simulated GPUs, a configuration, and `gresgen` as a real process on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::plain::plain;

/// A simulated node.
pub(crate) struct Node {
    root: TempDir,
    gpus: String,
}

/// How a run of `gresgen` ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// It ended with this code and said this on standard error.
    pub(crate) fn refused(&self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(says), "{}", self.stderr);
    }
}

impl Node {
    /// GPUs as for `--simulate`, and no configuration.
    pub(crate) fn new(gpus: &str) -> Self {
        // Other users have to read what a test writes, whatever whoever runs it grants them.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        Node { root: TempDir::new().unwrap(), gpus: gpus.to_owned() }
    }

    /// The same with `mig-configs` whose only label is `test`; each entry is a flow mapping.
    pub(crate) fn with_layout(gpus: &str, entries: &[&str]) -> Self {
        let node = Node::new(gpus);
        node.layout(entries);
        node
    }

    /// Labels and files of which a shell would run some: `plain-1.a_b` and `one.yaml` alone are plain.
    pub(crate) fn write_names_for_shells(&self) {
        let labels =
            ["plain-1.a_b", "a$(id)", "a`id`", "a;id", "a*", "a b", "--force", "a&b", "~root", "a'b"];
        let entries: String = labels
            .iter()
            .map(|label| format!("  \"{label}\": [{{devices: all, mig-enabled: false}}]\n"))
            .collect();
        self.write("etc/gresgen/config.yaml", &format!("version: v1\nmig-configs:\n{entries}"));
        for name in ["one.yaml", "o$(id).yaml", "o`id`", "o;id"] {
            self.write(&format!("srv/{name}"), "");
        }
    }

    /// Replaces the configuration.
    pub(crate) fn layout(&self, entries: &[&str]) {
        let entries: String = entries.iter().map(|e| format!("    - {{{e}}}\n")).collect();
        self.write("etc/gresgen/config.yaml", &format!("version: v1\nmig-configs:\n  test:\n{entries}"));
    }

    /// Its GPUs, as for `--simulate`.
    pub(crate) fn gpus(&self) -> &str {
        &self.gpus
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Says that a process runs on a MIG device, as the driver would.
    pub(crate) fn occupy(&self, uuid: &str, pid: u32) {
        self.write("var/lib/nvml-sim/processes", &format!("{uuid} {pid}\n"));
    }

    /// The command, for a caller that changes it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = plain(env!("CARGO_BIN_EXE_gresgen"));
        command
            .args(["--simulate", &self.gpus, "--root"])
            .arg(self.root.path())
            .arg("--nvml-lib")
            .arg(simulator())
            .args(arguments)
            .env("SLURMD_NODENAME", "n1")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.finish(&mut self.command(arguments))
    }

    /// Runs a command of this node; its root is told apart from the text around it.
    pub(crate) fn finish(&self, command: &mut Command) -> Run {
        let output = command.output().unwrap();
        let root = self.root.path().display().to_string();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&root, "[ROOT]");
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs what must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "gresgen {}: {}{}", arguments.join(" "), run.stdout, run.stderr);
        run.stdout
    }

    /// `status --json`, or another verb's.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let run = self.run(&[&["--json"], arguments].concat());
        serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", run.stdout, run.stderr))
    }

    /// UUIDs of the MIG devices, by GPU and instance.
    pub(crate) fn uuids(&self) -> Vec<String> {
        let status = self.json(&["status"]);
        let gpus = status["gpus"].as_array().unwrap().iter();
        let instances = gpus.flat_map(|gpu| gpu["instances"].as_array().unwrap());
        let compute = instances.flat_map(|instance| instance["compute"].as_array().unwrap());
        compute.map(|c| c["uuid"].as_str().unwrap().to_owned()).collect()
    }
}

/// The simulator, which cargo puts beside the test for the dev-dependency on it.
pub(crate) fn simulator() -> PathBuf {
    nvml_sim::library_path().expect("cargo builds the simulator with this test")
}

impl Run {
    /// Everything a user sees, for a snapshot. What differs from host to host is replaced.
    pub(crate) fn snapshot(&self) -> String {
        let stderr: String = self.stderr.lines().map(|line| format!("{}\n", untimed(line))).collect();
        format!("exit code {}\n--- stdout\n{}--- stderr\n{stderr}", self.code, self.stdout)
    }
}

/// A line of progress, without the time that its step took.
fn untimed(line: &str) -> String {
    let step = line.starts_with('[').then(|| line.strip_suffix(" s")?.rsplit_once("  ")).flatten();
    match step {
        Some((step, seconds)) if seconds.parse::<f64>().is_ok() => format!("{step}  [TIME]"),
        _ => line.to_owned(),
    }
}

/// The text of a file, for a snapshot.
pub(crate) fn file(node: &Node, path: &str) -> String {
    let root = node.path("");
    node.read(path).replace(root.to_str().unwrap().trim_end_matches('/'), "[ROOT]")
}

/// Files below a directory, with their text.
pub(crate) fn tree(path: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(tree(&path))
        } else {
            found.push((path.clone(), fs::read_to_string(&path).unwrap_or_default()))
        }
    }
    found.sort();
    found
}

/// Compares what a user sees with what was recorded under `name`.
pub(crate) fn snapshot(name: &str, text: &str) {
    insta::assert_snapshot!(name.replace(' ', "_"), text);
}
