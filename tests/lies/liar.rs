//! A node whose NVML is `liar.c`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io};

use tempfile::TempDir;

use crate::plain::plain;

const CONFIG: &str = "\
version: v1
layout: cut
slurm: {release: '24.11'}
mig-configs:
  cut:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 3, 1c.3g.20gb: 3}}
    - {devices: [1], mig-enabled: false}
  other:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}}
    - {devices: [1], mig-enabled: true, mig-devices: {7g.40gb: 1}}
";

/// Simulated GPUs below a directory.
pub(crate) struct Node {
    root: TempDir,
    liar: PathBuf,
    gpus: &'static str,
    faults: &'static str,
}

/// How a run of `gresgen` ended; no code is a signal.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Node {
    /// Two GPUs as they come.
    pub(crate) fn uncut() -> Node {
        Node::with("a100-40gb:2", CONFIG)
    }

    /// Other GPUs with another configuration.
    pub(crate) fn with(gpus: &'static str, config: &str) -> Node {
        let root = TempDir::new().unwrap();
        let node = Node { liar: root.path().join("liar.so"), root, gpus, faults: "" };
        fs::create_dir_all(node.path("etc/gresgen")).unwrap();
        node.configure(config);
        compile(&node.liar, &[]);
        node
    }

    /// The first GPU with GPU instances of which one is divided, the second whole.
    pub(crate) fn cut() -> Node {
        let node = Node::uncut();
        node.honest(&["apply"]);
        node
    }

    /// Replaces the configuration.
    pub(crate) fn configure(&self, config: &str) {
        fs::write(self.path("etc/gresgen/config.yaml"), config).unwrap();
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn run(&self, library: &Path, lie: &str, arguments: &[&str]) -> Run {
        let output = plain(env!("CARGO_BIN_EXE_gresgen"))
            .args(["--simulate", self.gpus, "--root"])
            .arg(self.root.path())
            .arg("--nvml-lib")
            .arg(library)
            .args(arguments)
            .env("NVML_LIE", lie)
            .env("NVML_SIM_FAULTS", self.faults)
            .env("NVML_LIAR_FOR", simulator())
            .env("SLURMD_NODENAME", "n1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Runs `gresgen` on an NVML that tells this lie.
    pub(crate) fn told(&self, lie: &str, arguments: &[&str]) -> Run {
        self.run(&self.liar, lie, arguments)
    }

    /// The same on a simulator that meets these faults.
    pub(crate) fn faulty(self, faults: &'static str) -> Node {
        Node { faults, ..self }
    }

    /// Runs it on an NVML that lacks a function.
    pub(crate) fn without(&self, function: &str, arguments: &[&str]) -> Run {
        let library = self.path(function);
        if !library.exists() {
            compile(&library, &[&format!("-DWITHOUT_{function}")]);
        }
        self.run(&library, "", arguments)
    }

    /// Runs it on the simulator itself, which must succeed.
    pub(crate) fn honest(&self, arguments: &[&str]) -> String {
        let run = self.run(&simulator(), "", arguments);
        assert!(matches!(run.code, Some(0 | 6)), "{}: {}", arguments.join(" "), run.stderr);
        run.stdout
    }

    /// Whether an apply left its journal.
    pub(crate) fn interrupted(&self) -> bool {
        self.path("var/lib/gresgen/intent.json").exists()
    }

    /// What the GPUs hold.
    pub(crate) fn hardware(&self) -> String {
        self.honest(&["--json", "status"])
    }

    /// What the GPUs hold, and every file of the node that is not the simulator's own.
    pub(crate) fn picture(&self) -> (String, BTreeMap<PathBuf, Vec<u8>>) {
        let mut files = BTreeMap::new();
        for directory in ["etc", "run", "var/lib/gresgen"] {
            collect(&self.path(directory), &mut files).unwrap();
        }
        // It says who held it last.
        files.remove(&self.path("run/gresgen/lock"));
        (self.hardware(), files)
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?
        } else {
            drop(files.insert(path.clone(), fs::read(&path)?))
        }
    }
    Ok(())
}

fn simulator() -> PathBuf {
    nvml_sim::library_path().expect("cargo builds the simulator with this test")
}

fn compile(library: &Path, flags: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lies/liar.c");
    let mut cc = Command::new("cc");
    cc.args([
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-parameter",
        "-Wno-unused-function",
        "-shared",
        "-fPIC",
    ])
    .args(flags);
    let built = cc.arg("-o").arg(library).arg(source).status().unwrap();
    assert!(built.success(), "{}: not built", library.display());
}
