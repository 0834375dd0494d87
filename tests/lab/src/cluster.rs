//! A running cluster: its daemons, and commands and jobs in it.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    Cgroup, Invocation, Job, JobId, LabError, Output, Release, User, accounting, build, config,
    invocation::exit_code,
    job::{self, Part},
    namespace::Namespace,
    options::{Node, Options},
    rootfs,
};

/// How long a daemon, a node or a job may take before the lab calls it stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at something that is about to happen.
const PAUSE: Duration = Duration::from_millis(20);

/// Standard output of batch jobs, and other files jobs write.
const OUT: &str = "/var/lab/out";

/// Holds one folder per node, seen by its slurmd and jobs as `/run/gresgen`.
const NODES: &str = "/var/lab/node";

/// Where folders of the host are seen that are copied to the lab's root.
const TREES: &str = "/var/lab/trees";

/// The shim that hides cgroup v1 from the daemons.
pub(crate) const SHIM: &str = "/var/lab/bin/cgroup2_shim.so";

/// A running cluster. Dropping it ends all of it; its end needs no cooperation from anything inside.
#[derive(Debug)]
pub struct Lab {
    namespace: Namespace,
    release: Release,
    options: Options,
}

impl Lab {
    /// Starts a cluster and waits until every node can take jobs.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] where no lab can run or no judge can work; otherwise what failed, with the logs.
    pub fn start(release: Release, options: Options) -> Result<Self, LabError> {
        let lab = Self::empty(release, options)?;
        lab.configure()?;
        lab.start_daemons().map_err(|error| lab.with_logs(error))?;
        Ok(lab)
    }

    pub(crate) fn start_daemons(&self) -> Result<(), LabError> {
        if self.options.slurmdbd {
            accounting::start(self)?;
        }
        self.run(&["slurmctld"])?;
        for node in &self.options.nodes {
            self.start_slurmd(&node.name)?;
        }
        self.wait_nodes()
    }

    /// The namespaces and device nodes without Slurm's configuration and daemons.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] where no judge can work; otherwise what failed.
    pub fn empty(release: Release, options: Options) -> Result<Self, LabError> {
        // Of everything that is made for the lab, and of every command in it: its users are others than who starts it.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let root = rootfs::ensure(release)?;
        let places = (0..options.trees.len()).map(|number| format!("{TREES}/{number}"));
        let trees: Vec<_> = options.trees.iter().cloned().zip(places).collect();
        let binds = [&options.binds[..], &trees].concat();
        let namespace = Namespace::start(&root, &options.nodes[0].name, options.cgroup.hierarchy(), &binds)?;
        let lab = Self { namespace, release, options };
        for (_, place) in &trees {
            // A package may have /lib as a folder, which is a link.
            let copy = r#"tar -C "$1" -cf - . | tar -C / --keep-directory-symlink --no-overwrite-dir -xf -"#;
            lab.run(&["sh", "-c", copy, "sh", place])?;
        }
        lab.install(&build::probe()?, "/var/lab/bin/lab-probe")?;
        lab.make_devices()?;
        Ok(lab)
    }

    /// The release it runs.
    pub fn release(&self) -> Release {
        self.release
    }

    /// Pid 1 of the lab, as the host numbers it.
    pub fn pid(&self) -> u32 {
        self.namespace.pid()
    }

    /// Name of its cgroup in every hierarchy.
    pub(crate) fn group(&self) -> &str {
        self.namespace.group()
    }

    // --- files ---

    /// Writes a file, with its folder, by rename.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_file(&self, path: &str, content: impl AsRef<[u8]>) -> Result<(), LabError> {
        self.put(path, "644", content.as_ref())
    }

    /// Writes a program, with its folder, by rename.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_executable(&self, path: &str, content: impl AsRef<[u8]>) -> Result<(), LabError> {
        self.put(path, "755", content.as_ref())
    }

    /// Copies a file of the host into the lab, executable.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn install(&self, host: &Path, path: &str) -> Result<(), LabError> {
        let content = fs::read(host).map_err(LabError::file(host))?;
        self.put(path, "755", &content)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_file(&self, path: &str) -> Result<String, LabError> {
        Ok(self.run(&["cat", path])?.stdout)
    }

    /// Where `file` of a node's `/run/gresgen` lies in the lab.
    pub fn run_file(&self, node: &str, file: &str) -> String {
        format!("{NODES}/{node}/{file}")
    }

    /// Replaces a node's `/run/gresgen/devices`, as `gresgen apply` does.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_map(&self, node: &str, map: &str) -> Result<(), LabError> {
        self.write_file(&self.run_file(node, "devices"), map)
    }

    pub(crate) fn put(&self, path: &str, mode: &str, content: &[u8]) -> Result<(), LabError> {
        const SCRIPT: &str =
            r#"mkdir -p "${1%/*}" && cat >"$1.lab-new" && chmod "$2" "$1.lab-new" && mv "$1.lab-new" "$1""#;
        self.must(self.inside(&["sh", "-c", SCRIPT, "sh", path, mode]).input(content)).map(drop)
    }

    // --- commands ---

    /// Runs a command as root; anything but exit code 0 is an error.
    ///
    /// # Errors
    /// When it cannot run, fails, or takes longer than a minute.
    pub fn run(&self, command: &[&str]) -> Result<Output, LabError> {
        self.must(self.inside(command))
    }

    /// Runs a command that may fail; see [`Invocation`].
    pub fn command(&self, command: &[&str]) -> Invocation {
        self.inside(command)
    }

    /// Runs a command as `user` on the caller's own standard streams and without a time limit; returns its exit
    /// code.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn interactive(&self, user: User, command: &[&str]) -> Result<i32, LabError> {
        let mut inner = self.namespace.command();
        inner.args(user.becoming()).args(command).stdin(Stdio::inherit());
        inner.envs(std::env::var_os("TERM").map(|term| ("TERM", term)));
        inner.status().map(exit_code).map_err(LabError::file(command[0]))
    }

    /// `srun` as root; anything but exit code 0 is an error.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn srun(&self, arguments: &[&str]) -> Result<Output, LabError> {
        self.run(&[&["srun"], arguments].concat())
    }

    /// Submits a batch script as `user` and returns its number.
    ///
    /// # Errors
    /// When Slurm refuses it.
    pub fn sbatch(&self, user: User, arguments: &[&str], script: &str) -> Result<JobId, LabError> {
        self.submit(self.submission(arguments, script).user(user))
    }

    /// The command that submits a batch script, for [`Self::submit`].
    pub fn submission(&self, arguments: &[&str], script: &str) -> Invocation {
        let output = format!("--output={OUT}/%j");
        let command = [&["sbatch", "--parsable", &output], arguments].concat();
        self.inside(&command).input(format!("#!/bin/bash\n{script}\n"))
    }

    /// Submits a batch script and returns the number of the job.
    ///
    /// # Errors
    /// When Slurm refuses it.
    pub fn submit(&self, submission: Invocation) -> Result<JobId, LabError> {
        let answer = self.must(submission)?;
        let number = answer.stdout.trim().split(';').next().unwrap_or_default();
        number.parse().map_err(|_| self.stuck(&format!("sbatch answered {:?}", answer.stdout)))
    }

    /// Waits until a job, and every part of it, has ended.
    ///
    /// # Errors
    /// When it takes longer than a minute.
    pub fn wait_job(&self, id: JobId) -> Result<Job, LabError> {
        let id = id.to_string();
        let text = self.wait(&format!("job {id} to end"), || {
            let text = self.run(&["scontrol", "--oneliner", "show", "job", &id])?.stdout;
            let done = Part::parse_all(&text).iter().all(Part::finished);
            Ok(done.then_some(text))
        })?;
        let parts = Part::parse_all(&text);
        let mut output = String::new();
        for part in &parts {
            output.push_str(&self.command(&["cat", part.output]).output()?.stdout);
        }
        Ok(Job { state: job::verdict(&parts), output })
    }

    /// Submits a batch script as root and waits for its end.
    ///
    /// # Errors
    /// As [`Self::sbatch`] and [`Self::wait_job`].
    pub fn batch(&self, arguments: &[&str], script: &str) -> Result<Job, LabError> {
        self.wait_job(self.sbatch(User::Root, arguments, script)?)
    }

    fn inside(&self, command: &[&str]) -> Invocation {
        Invocation::new(self.namespace.command(), command, PATIENCE)
    }

    fn must(&self, invocation: Invocation) -> Result<Output, LabError> {
        let line = invocation.line().to_owned();
        let output = invocation.output()?;
        if output.success() {
            return Ok(output);
        }
        let what = format!("exit code {}\n{}{}", output.code, output.stdout, output.stderr);
        Err(LabError::Command { command: line, what })
    }

    // --- daemons ---

    /// Stops and starts the slurmd of a node; its jobs go on.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart_slurmd(&self, node: &str) -> Result<(), LabError> {
        let starts = self.starts(node);
        self.stop_slurmd(node)?;
        self.start_slurmd(node)?;
        self.wait_started(node, starts)
    }

    /// Stops the slurmd of a node; its jobs go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop_slurmd(&self, node: &str) -> Result<(), LabError> {
        self.stop(&format!("/run/slurmd-{node}.pid"))
    }

    /// Stops all daemons; [`Self::start_slurm`] starts them again.
    ///
    /// # Errors
    /// When one does not run.
    pub fn stop_slurm(&self) -> Result<(), LabError> {
        for node in &self.options.nodes {
            self.stop_slurmd(&node.name)?;
        }
        self.stop("/run/slurmctld.pid")
    }

    /// Stops and starts slurmctld, which keeps its state.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn restart_slurmctld(&self) -> Result<(), LabError> {
        self.stop("/run/slurmctld.pid")?;
        self.run(&["slurmctld"])?;
        self.wait_nodes()
    }

    /// `scontrol reconfigure`, waiting for the slurmds that start anew on it.
    ///
    /// # Errors
    /// When slurmctld refuses or a slurmd does not come back.
    pub fn reconfigure(&self) -> Result<(), LabError> {
        let starts: Vec<_> = self.options.nodes.iter().map(|node| self.starts(&node.name)).collect();
        self.run(&["scontrol", "reconfigure"])?;
        if self.release.reconfigure_restarts_slurmd() {
            for (node, starts) in self.options.nodes.iter().zip(starts) {
                self.wait_started(&node.name, starts)?;
            }
        }
        self.wait_nodes()
    }

    /// The state of a node as slurmctld has it, such as `IDLE` or `IDLE+DRAIN`.
    ///
    /// # Errors
    /// When slurmctld does not answer.
    pub fn node_state(&self, node: &str) -> Result<String, LabError> {
        let text = self.run(&["scontrol", "--oneliner", "show", "node", node])?.stdout;
        let state = text.split(' ').find_map(|word| word.strip_prefix("State="));
        Ok(state.unwrap_or_default().to_owned())
    }

    /// Waits until every node can take jobs or has some.
    ///
    /// # Errors
    /// When one cannot after a minute.
    pub fn wait_nodes(&self) -> Result<(), LabError> {
        for node in &self.options.nodes {
            self.wait(&format!("node {} to be usable", node.name), || {
                let state =
                    self.command(&["scontrol", "--oneliner", "show", "node", &node.name]).output()?.stdout;
                let usable = ["State=IDLE ", "State=MIXED ", "State=ALLOCATED "];
                Ok(usable.iter().any(|usable| state.contains(usable)).then_some(()))
            })?;
        }
        Ok(())
    }

    /// The end of every daemon's log, each under its place in the lab.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for (path, log) in self.log_files() {
            let lines: Vec<_> = log.lines().collect();
            let _ = writeln!(text, "--- {path}, last of {} lines", lines.len());
            for line in &lines[lines.len().saturating_sub(40)..] {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    /// Copies the daemons' logs to a folder of the host.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save_logs(&self, folder: &Path) -> Result<(), LabError> {
        fs::create_dir_all(folder).map_err(LabError::file(folder))?;
        for (path, log) in self.log_files() {
            let target = folder.join(Path::new(&path).file_name().expect("a log has a name"));
            fs::write(&target, log).map_err(LabError::file(&target))?;
        }
        Ok(())
    }

    /// The whole log of a node's slurmd, with what its slurmstepds wrote.
    pub fn slurmd_log(&self, node: &str) -> String {
        fs::read_to_string(self.namespace.path(&format!("/var/log/slurm/slurmd-{node}.log")))
            .unwrap_or_default()
    }

    fn log_files(&self) -> Vec<(String, String)> {
        let daemons = self.options.nodes.iter().map(|node| format!("slurmd-{}", node.name));
        std::iter::once("slurmctld".to_owned())
            .chain(daemons)
            .map(|daemon| format!("/var/log/slurm/{daemon}.log"))
            .filter_map(|path| Some((path.clone(), fs::read_to_string(self.namespace.path(&path)).ok()?)))
            .collect()
    }

    pub(crate) fn configure(&self) -> Result<(), LabError> {
        self.write_file("/etc/hosts", config::hosts(&self.options))?;
        self.write_file("/etc/slurm/slurm.conf", config::slurm_conf(&self.options))?;
        self.write_file("/etc/slurm/gres.conf", config::gres_conf(&self.options))?;
        self.write_file("/etc/slurm/cgroup.conf", config::cgroup_conf(&self.options))?;
        for (path, text) in &self.options.texts {
            self.write_file(path, text)?;
        }
        for (host, path) in &self.options.files {
            self.install(host, path)?;
        }
        if self.options.cgroup == Cgroup::V2 {
            self.install(&build::cgroup2_shim()?, SHIM)?;
        }
        self.options.nodes.iter().try_for_each(|node| self.make_run_folder(node))
    }

    fn make_run_folder(&self, node: &Node) -> Result<(), LabError> {
        self.run(&["mkdir", "-p", "/run/gresgen", &self.run_file(&node.name, "")])?;
        node.map.as_ref().map_or(Ok(()), |map| self.write_map(&node.name, map))
    }

    fn make_devices(&self) -> Result<(), LabError> {
        let mut script = String::from("set -e; mkdir -p /dev/nvidia-caps\n");
        for node in &self.options.devices {
            let _ = writeln!(script, "mknod -m 666 {} c {} {}", node.path.display(), node.major, node.minor);
        }
        self.must(self.inside(&["sh"]).input(&script)).map(drop)
    }

    /// Starts the slurmd of a node. Each has a mount namespace of its own, in which `/run/gresgen` is its node's
    /// folder.
    ///
    /// # Errors
    /// When it ends at once.
    pub fn start_slurmd(&self, node: &str) -> Result<(), LabError> {
        const SCRIPT: &str = r#"mount --bind "$1" /run/gresgen && shift && exec env "$@""#;
        let folder = self.run_file(node, "");
        let group = format!("LAB_CGROUP={}", self.namespace.group());
        let preload = format!("LD_PRELOAD={}", if self.options.cgroup == Cgroup::V2 { SHIM } else { "" });
        let separate = ["unshare", "--mount", "--propagation=private", "sh", "-c", SCRIPT, "sh"];
        self.run(&[&separate[..], &[&folder, &group, &preload, "slurmd", "-N", node]].concat()).map(drop)
    }

    fn stop(&self, pid_file: &str) -> Result<(), LabError> {
        const SCRIPT: &str =
            r#"pid=$(cat "$1") && kill "$pid" && while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done"#;
        self.run(&["sh", "-c", SCRIPT, "sh", pid_file]).map(drop)
    }

    /// How often the slurmd of a node has started, by its log.
    fn starts(&self, node: &str) -> usize {
        self.slurmd_log(node).matches("slurmd started on").count()
    }

    fn wait_started(&self, node: &str, before: usize) -> Result<(), LabError> {
        self.wait(&format!("slurmd of {node} to start again"), || {
            Ok((self.starts(node) > before).then_some(()))
        })
    }

    /// Looks again and again until `look` finds something.
    ///
    /// # Errors
    /// When `look` fails, or finds nothing for a minute: then with the logs.
    pub fn wait<T>(&self, what: &str, look: impl Fn() -> Result<Option<T>, LabError>) -> Result<T, LabError> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(found) = look()? {
                return Ok(found);
            }
            sleep(PAUSE);
        }
        Err(self.stuck(&format!("waited {} s for {what}", PATIENCE.as_secs())))
    }

    /// Says what the daemons had to say about a failed command.
    pub(crate) fn with_logs(&self, error: LabError) -> LabError {
        match error {
            LabError::Command { .. } => self.stuck(&error.to_string()),
            error => error,
        }
    }

    fn stuck(&self, what: &str) -> LabError {
        LabError::Slurm { what: what.to_owned(), logs: self.logs() }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}
