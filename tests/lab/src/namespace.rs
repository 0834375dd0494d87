//! The namespaces of a lab, held by one process and gone with it.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::LabError;

const KEEPER: &str = include_str!("../assets/keeper.sh");
const INIT: &str = include_str!("../assets/init.sh");

/// Start of the name of every lab's cgroup; the pid of its owner follows.
const GROUP: &str = "gresgen-lab-";

/// Where Slurm and its helpers are found, inside and outside.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/var/lab/bin";

/// A running set of namespaces. Dropping it ends every process inside.
#[derive(Debug)]
pub(crate) struct Namespace {
    keeper: Child,
    /// Pid 1 reads this; its end is the end of the lab.
    lifeline: Option<ChildStdin>,
    pid: u32,
    group: String,
}

impl Namespace {
    /// Builds the namespaces over `root`, for limits by the cgroups in `hierarchy`. `binds` are (path of the host,
    /// path inside).
    pub(crate) fn start(
        root: &Path,
        hostname: &str,
        hierarchy: &str,
        binds: &[(PathBuf, String)],
    ) -> Result<Self, LabError> {
        preflight()?;
        sweep();
        let mut command = Command::new("sh");
        let group = group();
        command.args(["-c", KEEPER, "keeper", INIT, &group]).arg(root).args([hostname, hierarchy]);
        for (source, target) in binds {
            command.arg(source).arg(target);
        }
        let mut keeper = command
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A group of its own: what kills the test's process group must not kill the one who cleans up.
            .process_group(0)
            .spawn()
            .map_err(LabError::file("/bin/sh"))?;
        let lifeline = keeper.stdin.take();
        let answer = BufReader::new(keeper.stdout.take().expect("stdout is piped"));
        let mut namespace = Self { keeper, lifeline, pid: 0, group };
        namespace.pid = read_answer(answer)?;
        Ok(namespace)
    }

    /// A command that will run inside, with a bare environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid.to_string(), "--mount", "--uts", "--net", "--pid", "--root", "--wd"])
            .arg("--")
            .env_clear()
            .envs([("PATH", PATH), ("HOME", "/tmp"), ("SHELL", "/bin/bash"), ("LC_ALL", "C.UTF-8")])
            .stdin(Stdio::null());
        command
    }

    /// A path inside, as the host sees it. Only for reading files that no symlink leads to: an absolute link
    /// would lead to the host's own files.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }

    /// Name of its cgroup in every hierarchy.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// Pid 1 of the lab as the host numbers it.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.keeper.wait();
    }
}

fn read_answer(answer: impl BufRead) -> Result<u32, LabError> {
    let mut pid = 0;
    let mut said = String::new();
    for line in answer.lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("pid", number)) => pid = number.parse().unwrap_or(0),
            Some(("unavailable", reason)) => return Err(LabError::Unavailable(reason.into())),
            _ if line == "ready" => return Ok(pid),
            _ => said.push_str(&format!("{line}; ")),
        }
    }
    Err(LabError::Unavailable(format!("its namespaces could not be built: {said}")))
}

/// What no lab can do without.
fn preflight() -> Result<(), LabError> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root =
        status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"));
    if !root {
        return Err(LabError::Unavailable("a lab needs root; run it with sudo".into()));
    }
    for program in ["unshare", "nsenter", "bash", "ip"] {
        if !PATH.split(':').any(|folder| Path::new(folder).join(program).exists()) {
            let install = "install util-linux, bash and iproute2";
            return Err(LabError::Unavailable(format!("{program} is not installed; {install}")));
        }
    }
    Ok(())
}

fn group() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{GROUP}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Removes the cgroups of labs whose owner and keeper are both dead.
fn sweep() {
    for hierarchy in ["", "/devices", "/freezer", "/cpuset", "/unified"] {
        let Ok(entries) = fs::read_dir(format!("/sys/fs/cgroup{hierarchy}")) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(GROUP)?.split('-').next());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                remove_group(&entry.path());
            }
        }
    }
}

/// Removes a cgroup and those below it, as far as they are empty.
fn remove_group(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}
