//! A simulated node: its directory, what is run on it, and how it comes back to where it was.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nvml_sim::Store;
use nvml_sim::machine::Machine;
use tempfile::TempDir;

use crate::corpus::Scenario;
use crate::picture::{Busy, Picture};
use crate::plain::plain;

/// The apply that is disturbed. Its layout is named, because the one chosen before would be meant otherwise.
pub(crate) const APPLY: [&str; 4] = ["--layout", "after", "-q", "apply"];

/// Files an apply writes for others to read.
pub(crate) const PUBLISHED: [&str; 5] = [
    "etc/slurm/gres.conf",
    "etc/slurm/gresgen-node.conf",
    "etc/slurm/cgroup.conf",
    "etc/slurm/plugstack.conf.d/mig.conf",
    "run/gresgen/devices",
];
/// The journal.
pub(crate) const JOURNAL: &str = "var/lib/gresgen/intent.json";
/// What makes up a node's state; everything else is derived from it.
const STATE: [&str; 4] = ["etc/slurm", "run/gresgen", "var/lib/gresgen", "var/lib/nvml-sim"];

/// A node under a directory of its own.
pub(crate) struct Node {
    root: PathBuf,
    machine: &'static str,
    _directory: TempDir,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; none when it was killed.
    pub(crate) code: Option<i32>,
    /// What it said.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Node {
    pub(crate) fn new(machine: &'static str, config: &str) -> Node {
        // A disk in memory makes thousands of applies cheap; fsync costs nothing there.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = tempfile::Builder::new().prefix("gresgen-sweep-").tempdir_in(parent).unwrap();
        let root = directory.path().join("node");
        fs::create_dir_all(root.join("etc/gresgen")).unwrap();
        fs::write(root.join("etc/gresgen/config.yaml"), config).unwrap();
        Node { root, machine, _directory: directory }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A place beside the node's root.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.root.with_file_name(name)
    }

    /// `gresgen` on this node, with a program before it where one is given.
    pub(crate) fn gresgen(&self, before: &[&str], arguments: &[&str]) -> Command {
        // The one that is shipped, where it is at hand: it does the same in half the time.
        let shipped = std::env::var("SWEEP_GRESGEN").ok();
        let gresgen = shipped.as_deref().unwrap_or(env!("CARGO_BIN_EXE_gresgen"));
        let words = [before, &[gresgen]].concat();
        let mut command = plain(words[0]);
        command.args(&words[1..]);
        command.args(["--simulate", self.machine, "--root"]).arg(&self.root).args(arguments);
        command.arg("--nvml-lib").arg(library());
        command
    }

    /// Runs `gresgen` in peace.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.gresgen(&[], arguments).output().unwrap())
    }

    /// The machine as the simulator has it.
    pub(crate) fn machine(&self) -> Machine {
        self.store().read().unwrap().machine.as_ref().clone()
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.root, None).unwrap()
    }

    /// The published files, `None` for one that is not there.
    pub(crate) fn published(&self) -> Vec<Option<String>> {
        PUBLISHED.iter().map(|name| fs::read_to_string(self.path(name)).ok()).collect()
    }

    /// Keeps the state aside.
    fn save(&self, to: &Path) {
        for directory in STATE {
            copy(&self.path(directory), &to.join(directory));
        }
    }

    /// Brings the kept state back. The simulator derives the device files anew when it is next asked.
    pub(crate) fn restore(&self, from: &Path) {
        for directory in STATE {
            let _ = fs::remove_dir_all(self.path(directory));
            copy(&from.join(directory), &self.path(directory));
        }
        let _ = fs::remove_file(self.path("var/lib/nvml-sim/projected"));
    }
}

impl Ended {
    pub(crate) fn of(output: Output) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // A shell or strace in between reports a signal as 128 + its number.
        let code = match (output.status.code(), output.status.signal()) {
            (Some(137), _) | (None, Some(9)) => None,
            (code, _) => code,
        };
        Ended { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A scenario made ready: the node in its first state, and what a peaceful apply makes of it.
pub(crate) struct Bench {
    pub(crate) scenario: &'static Scenario,
    pub(crate) node: Node,
    /// The state every run begins with.
    pub(crate) template: PathBuf,
    pub(crate) busy: Vec<Busy>,
    pub(crate) before: Picture,
    pub(crate) before_files: Vec<Option<String>>,
    pub(crate) after: Picture,
    pub(crate) after_files: Vec<Option<String>>,
    /// NVML calls of the peaceful apply, in order.
    pub(crate) calls: Vec<String>,
    /// Of the calls, how many can change the machine.
    pub(crate) changes: usize,
}

impl Bench {
    pub(crate) fn new(scenario: &'static Scenario) -> Bench {
        let node = Node::new(scenario.machine, &scenario.config());
        let verb: &[&str] = match scenario.before {
            [] => &["status"],
            _ => &["--layout", "before", "-q", "apply"],
        };
        let ended = node.run(verb);
        assert_eq!(ended.code, Some(0), "{}: {}", scenario.name, ended.stderr);
        if let Some((gpu, profile, start)) = scenario.orphan {
            let make = |s: &mut nvml_sim::Snapshot| {
                std::sync::Arc::make_mut(&mut s.machine).create_instance(
                    gpu,
                    profile,
                    Some((start, 2)),
                    &s.clients,
                )
            };
            node.store().change(make).unwrap().unwrap();
        }
        let machine = node.machine();
        let (busy, lines): (Vec<Busy>, Vec<String>) = scenario
            .busy
            .iter()
            .map(|&(gpu, start)| {
                let (busy, uuid) = Busy::find(&machine, gpu, start);
                (busy, format!("{uuid} {}\n", std::process::id()))
            })
            .unzip();
        fs::write(node.store().processes_file(), lines.concat()).unwrap();
        let template = node.beside("template");
        node.save(&template);
        let (before, before_files) = (Picture::of(&machine), node.published());

        let log = node.beside("calls");
        let output = node.gresgen(&[], &APPLY).env("NVML_SIM_CALLS", &log).output().unwrap();
        let ended = Ended::of(output);
        assert_eq!(ended.code, Some(scenario.exit), "{}: {}", scenario.name, ended.stderr);
        let (after, after_files) = (Picture::of(&node.machine()), node.published());
        let log = fs::read_to_string(log).unwrap();
        let calls: Vec<String> = log.lines().filter_map(|l| Some(l.split_once(' ')?.0.to_owned())).collect();
        let changes = calls.iter().filter(|call| changes(call)).count();
        if scenario.exit != 4 {
            assert_eq!(after.lacks(scenario), None, "{}", scenario.name);
        }
        Bench { scenario, node, template, busy, before, before_files, after, after_files, calls, changes }
    }
}

/// Whether a call changes the machine: those that `kill@n` counts.
pub(crate) fn changes(call: &str) -> bool {
    call == "nvmlDeviceSetMigMode" || call.contains("Create") || call.contains("Destroy")
}

fn library() -> PathBuf {
    nvml_sim::library_path().unwrap()
}

/// Files by their path under a directory, and their text.
type Tree = BTreeMap<PathBuf, Vec<u8>>;

fn read_tree(directory: &Path, tree: &mut Tree) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            read_tree(&path, tree)
        } else {
            drop(tree.insert(path.clone(), fs::read(&path).unwrap()))
        }
    }
}

/// Copies the plain files of a directory; one that is not there stays so.
pub(crate) fn copy(from: &Path, to: &Path) {
    let mut tree = Tree::new();
    read_tree(from, &mut tree);
    for (path, content) in tree {
        let to = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, content).unwrap();
    }
}
