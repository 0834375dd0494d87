//! `nvidia-smi` as a process on a simulated node, and its tables taken apart.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::fetched::{debian, file_of, skipped};
use crate::node::{Node, Run, simulator};

/// A release of nvidia-smi on a node.
pub(crate) struct Smi {
    pub(crate) release: u32,
    pub(crate) node: Node,
    gpus: String,
    pub(crate) program: PathBuf,
}

/// Release, suite of Debian, package.
const RELEASES: [(u32, &str, &str); 2] =
    [(470, "bookworm", "nvidia-tesla-470-smi"), (550, "trixie", "nvidia-smi")];

/// Each release on a node of its own; none where judges are passed over.
pub(crate) fn each(gpus: &str) -> Vec<Smi> {
    if skipped() {
        return Vec::new();
    }
    RELEASES.map(|(release, suite, package)| Smi::new(release, &debian(suite, &[package]), gpus)).into()
}

/// The newest release alone, for what does not depend on it.
pub(crate) fn newest(gpus: &str) -> Option<Smi> {
    each(gpus).pop()
}

impl Smi {
    fn new(release: u32, tree: &Path, gpus: &str) -> Smi {
        let node = Node::new(gpus);
        // Where the loader looks for the driver's library, under the name that nvidia-smi asks for.
        node.write("lib/README", "The simulator in place of the driver's library.\n");
        symlink(simulator(), node.path("lib/libnvidia-ml.so.1")).unwrap();
        Smi { release, node, gpus: gpus.to_owned(), program: file_of(tree, "nvidia-smi") }
    }

    /// Runs it with a line of arguments as a user would type it.
    pub(crate) fn run(&self, line: &str) -> Run {
        self.finish(&mut Command::new(&self.program), line)
    }

    /// The same through another program, which takes it as an argument.
    pub(crate) fn finish(&self, command: &mut Command, line: &str) -> Run {
        self.node.finish(self.installed(command).args(line.split_whitespace()))
    }

    /// A command on a host that has nvidia-smi and the driver's library where programs look for them.
    pub(crate) fn installed<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let own = self.program.parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{own}:{path}"))
            .env("LD_LIBRARY_PATH", self.node.path("lib"))
            .env("NVML_SIM_ROOT", self.node.path(""))
            .env("NVML_SIM_GPUS", &self.gpus)
    }

    /// What it prints when it succeeds.
    pub(crate) fn ok(&self, line: &str) -> String {
        let run = self.run(line);
        assert_eq!(run.code, 0, "nvidia-smi {} {line}: {}{}", self.release, run.stdout, run.stderr);
        run.stdout
    }

    /// The rows of the table it prints.
    pub(crate) fn rows(&self, line: &str) -> Vec<String> {
        rows(&self.ok(line))
    }

    /// The lines it prints.
    pub(crate) fn lines(&self, line: &str) -> Vec<String> {
        self.ok(line).lines().map(str::to_owned).collect()
    }
}

/// Rows of a table below its head, their fields one blank apart; the widths of columns differ between releases.
/// Lines of one row are one, with a stroke between.
pub(crate) fn rows(text: &str) -> Vec<String> {
    let body = text.lines().skip_while(|line| !line.starts_with("|=")).skip(1);
    let mut rows: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in body {
        let fields = line.trim_matches('|').split_whitespace().collect::<Vec<_>>().join(" ");
        match rows.last_mut() {
            _ if line.starts_with('+') => goes_on = false,
            Some(row) if goes_on => *row += &format!(" / {fields}"),
            _ => {
                rows.push(fields);
                goes_on = true;
            }
        }
    }
    rows
}

/// A process that ends with the test.
pub(crate) struct Sleeper(Child);

impl Sleeper {
    pub(crate) fn start() -> Sleeper {
        Sleeper(Command::new("sleep").arg("600").spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// UUIDs that start so, in the order they are printed.
pub(crate) fn uuids(text: &str, prefix: &str) -> Vec<String> {
    let of_line = |line: &str| Some(line.split_once("(UUID: ")?.1.trim_end_matches(')').to_owned());
    text.lines().filter_map(of_line).filter(|uuid| uuid.starts_with(prefix)).collect()
}
