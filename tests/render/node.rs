//! A node of simulated GPUs in a directory, and `gresgen` as a real process on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use gresgen::root::Root;
use nvml_sim::Store;
use nvml_sim::machine::Machine;

/// A node of simulated GPUs with a configuration.
pub(crate) struct Node {
    directory: tempfile::TempDir,
    gpus: String,
    config: String,
}

pub(crate) const CONFIG: &str = "version: v1
layout: a
mig-configs:
  a:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 3g.20gb: 1}}
    - {devices: [1], mig-enabled: false}
slurm: {node: n1}
";

impl Node {
    /// Two A100 and [`CONFIG`].
    pub(crate) fn new() -> Self {
        Self::with("a100-40gb:2", CONFIG)
    }

    /// GPUs as for `--simulate`, and a configuration.
    pub(crate) fn with(gpus: &str, config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let node = Node { directory, gpus: gpus.to_owned(), config: config.to_owned() };
        node.write(Root::CONFIG, &node.config);
        node
    }

    /// Changes the machine behind the driver's back.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut Machine)) {
        let store = Store::open(self.directory.path(), None).unwrap();
        let change = |snapshot: &mut nvml_sim::Snapshot| {
            change(Arc::make_mut(&mut snapshot.machine));
            Ok::<(), ()>(())
        };
        store.change(change).unwrap().unwrap();
    }

    /// A path of the node.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs `gresgen`, for which a program in `/bin` of the node stands before the host's.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_gresgen"));
        let simulator = program.parent().unwrap().join("deps/libnvml_sim.so");
        assert!(simulator.exists(), "{}: the simulator is not built", simulator.display());
        Command::new(program)
            .arg("--root")
            .arg(self.directory.path())
            .args(["--simulate", &self.gpus])
            .args(arguments)
            .env_clear()
            .env("GRESGEN_NVML_LIB", simulator)
            .env("PATH", format!("{}:{}", self.path("/bin").display(), std::env::var("PATH").unwrap()))
            .output()
            .unwrap()
    }

    /// Standard output of a run that ends with `code`, without what differs from run to run.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let [out, err] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}{err}");
        let text = if out.is_empty() { err } else { out };
        text.replace(&self.directory.path().display().to_string(), "ROOT")
    }
}
