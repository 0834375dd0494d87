//! Runs the plugin in the stand-in for slurmstepd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The plugin of this build: cargo puts it beside the test.
pub(crate) fn plugin() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let plugin = test.with_file_name("libspank_mig.so");
    assert!(plugin.is_file(), "{}: not built", plugin.display());
    plugin
}

/// The stand-in, compiled once; `flags` make variants of it.
fn host(flags: &[&str]) -> PathBuf {
    static HOSTS: OnceLock<TempDir> = OnceLock::new();
    let directory = HOSTS.get_or_init(|| TempDir::new().unwrap()).path();
    let host = directory.join(format!("host{}", flags.concat()));
    // Tests run side by side: each compiles to a name of its own and moves it into place.
    if !host.is_file() {
        let ours = host.with_extension(format!("{:?}", std::thread::current().id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/abi/fake_slurm.c");
        let include = std::env::var("SLURM_INCLUDE_DIR").map(|dir| format!("-I{dir}")).ok();
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Werror", "-rdynamic"]).args(flags).args(include);
        let built = cc.arg("-o").arg(&ours).arg(source).status().unwrap();
        assert!(built.success());
        fs::rename(ours, &host).unwrap();
    }
    host
}

/// Exit code of a process in which valgrind found an error. That of a forked task shows in the host's output.
const MEMORY_ERROR: i32 = 99;

/// A node: a directory with the map and its copy, and how Slurm is to behave.
pub(crate) struct Node {
    directory: TempDir,
    flags: &'static [&'static str],
}

/// What a run of the hooks left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Lines on stdout, which say what each hook returned and what the task would have in its environment.
    pub(crate) out: Vec<String>,
    /// Lines on stderr: Slurm's log.
    pub(crate) log: Vec<String>,
}

impl Node {
    /// A node with four devices; `None` unless we are root, whose maps alone are trusted.
    pub(crate) fn new() -> Option<Node> {
        let directory = TempDir::new().unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(directory.path()).unwrap());
        if owner != 0 {
            eprintln!("skipped: the plugin trusts maps of root only");
            return None;
        }
        let node = Node { directory, flags: &[] };
        fs::write(node.map(), map()).unwrap();
        fs::write(node.copy(), map()).unwrap();
        Some(node)
    }

    /// The same with as many slices as a GPU has at most, and nothing besides.
    pub(crate) fn of_seven_slices(self) -> Node {
        let files = ["null=1:3", "zero=1:5", "full=1:7", "random=1:8", "urandom=1:9", "tty=5:0", "ptmx=5:2"];
        let rows = files
            .iter()
            .enumerate()
            .map(|(index, file)| format!("{index} 1g.5gb MIG-{index} GPU-p {} 0 /dev/{file}\n", index + 7));
        let text = map();
        let head = text.split_inclusive('\n').take_while(|line| !line.starts_with("0 "));
        let text: String = head.map(str::to_owned).chain(rows).chain(["end 7\n".to_owned()]).collect();
        fs::write(self.map(), &text).unwrap();
        fs::write(self.copy(), text).unwrap();
        self
    }

    /// The same with a Slurm that lacks the functions of internal name.
    pub(crate) fn without_local_index(self) -> Node {
        Node { flags: &["-DWITHOUT_LOCAL_INDEX"], ..self }
    }

    pub(crate) fn map(&self) -> PathBuf {
        self.directory.path().join("devices")
    }

    /// A folder or file of the node.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// slurmd's copy of the map.
    pub(crate) fn copy(&self) -> PathBuf {
        self.directory.path().join("devices.slurmd")
    }

    /// Runs the hooks with `environment` and the plugin arguments `arguments`.
    pub(crate) fn run(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
        let Output { stdout, stderr, status } = self.command(environment, arguments).output().unwrap();
        assert_ne!(status.code(), Some(MEMORY_ERROR), "{}", self.memory_errors());
        let place = self.directory.path().display().to_string();
        let lines = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap().replace(&place, "DIR");
            text.lines().map(str::to_owned).collect()
        };
        Run { out: lines(stdout), log: lines(stderr) }
    }

    fn command(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = self.watched(host(self.flags));
        command.env_clear().env("FAKE_CONSTRAINED", "0").envs(environment.iter().copied());
        command.arg(plugin()).arg(format!("map={}", self.map().display())).args(arguments);
        command
    }
}

/// Under valgrind where `ABI_VALGRIND=1` asks for it; `make valgrind` does.
impl Node {
    fn watched(&self, host: PathBuf) -> Command {
        if std::env::var_os("ABI_VALGRIND").is_none() {
            return Command::new(host);
        }
        let mut command = Command::new("valgrind");
        command.args(["--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible"]);
        command.arg(format!("--error-exitcode={MEMORY_ERROR}"));
        command.arg(format!("--log-file={}", self.valgrind_log("%p")));
        command.arg(host);
        command
    }

    fn valgrind_log(&self, pid: &str) -> String {
        self.directory.path().join(format!("valgrind.{pid}")).display().to_string()
    }

    fn memory_errors(&self) -> String {
        let entries = fs::read_dir(self.directory.path()).unwrap().flatten().map(|entry| entry.path());
        let logs = entries.filter(|path| path.display().to_string().starts_with(&self.valgrind_log("")));
        logs.map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

/// Four devices that every system has, the last a whole GPU.
fn map() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    format!(
        "gresgen-devices 1\nnode n1\nboot {}\ngres-conf d\ngpu 1 GPU-p\ngpu 0 GPU-d\ncolumns index type uuid parent gi ci files\n\
         0 1g.5gb MIG-a GPU-p 7 0 /dev/null=1:3\n\
         1 1g.5gb MIG-b GPU-p 8 0 /dev/zero=1:5\n\
         2 2g.10gb MIG-c GPU-p 3 0 /dev/full=1:7\n\
         3 a100 GPU-d GPU-d - - /dev/urandom=1:9\n\
         end 4\n",
        boot.trim_end()
    )
}
