//! A machine without Slurm: a workstation that several people use.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::node::{Node, Run, simulator};
use crate::plain::plain;

/// A user with no rights, whose home is nowhere (login.defs, on every Debian).
const NOBODY: u32 = 65534;

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Workstation(Node);

impl Workstation {
    fn new(layout: &[&str]) -> Self {
        let node = Node::with_layout("a30-24gb", layout);
        // A user must reach what root's node lies in.
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(node.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
        // The checkout may be closed to others.
        std::fs::copy(env!("CARGO_BIN_EXE_gresgen"), node.path("gresgen")).unwrap();
        std::fs::copy(simulator(), node.path("libnvml_sim.so")).unwrap();
        Workstation(node)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.command(arguments);
        command.env_remove("SLURMD_NODENAME");
        command
    }

    fn root(&self, arguments: &[&str]) -> Run {
        self.0.finish(&mut self.command(arguments))
    }

    fn user(&self, arguments: &[&str]) -> Command {
        let mut command = plain(self.0.path("gresgen"));
        command.arg("--nvml-lib").arg(self.0.path("libnvml_sim.so")).arg("--root").arg(self.0.path(""));
        command.args(["--simulate", "a30-24gb"]).args(arguments).stdin(Stdio::null());
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    }

    fn user_runs(&self, arguments: &[&str]) -> Run {
        self.0.finish(&mut self.user(arguments))
    }

    /// A user's command that holds a slice until the test ends.
    fn holds(&self, slice: &str) -> Running {
        let mut child = self
            .user(&["run", slice, "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        use std::io::{BufRead, BufReader};
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("MIG-"), "{line}");
        Running(child)
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn it_has_a_device_map_and_nothing_for_slurm() {
    let node = Workstation::new(&["devices: all, mig-enabled: true, mig-devices: {1g.6gb: 4}"]);
    let apply = node.root(&["apply"]);
    assert_eq!(apply.code, 0, "{}{}", apply.stdout, apply.stderr);
    assert_eq!(
        apply.stderr.matches("no Slurm on this node: wrote its device map only").count(),
        1,
        "{}",
        apply.stderr
    );
    assert!(!node.0.path("etc/slurm").exists() && node.0.path("run/gresgen/devices").exists());
    let again = node.root(&["apply"]);
    assert_eq!((again.code, &*again.stdout), (0, "nothing to change\n"));
    assert!(!again.stderr.contains("no Slurm"));
    let check = node.root(&["check"]);
    assert_eq!(check.code, 0, "{}", check.stdout);
    for word in ["slurm", "gres.conf", "cgroup.conf", "plugstack", "Plugin", "map of"] {
        assert!(!check.stdout.to_lowercase().contains(&word.to_lowercase()), "{word}: {}", check.stdout);
    }
    assert_eq!(node.root(&["check", "--quick"]).code, 0);
    for (arguments, code) in [(&["mode", "off", "all"][..], 0), (&["mode", "on"], 0), (&["apply"], 0)] {
        assert_eq!(node.root(arguments).code, code, "{arguments:?}");
        assert!(!node.0.path("etc/slurm").exists(), "{arguments:?}");
    }
    // A `slurm:` section says that it is one of Slurm's.
    node.0.write(
        "etc/gresgen/config.yaml",
        &format!("{}slurm: {{node: n1}}\n", node.0.read("etc/gresgen/config.yaml")),
    );
    assert_eq!(node.root(&["apply", "-q"]).code, 0);
    assert!(node.0.path("etc/slurm/gres.conf").exists());
}

#[test]
fn users_run_on_slices_of_their_own() {
    if !is_root() {
        return;
    }
    let node = Workstation::new(&["devices: all, mig-enabled: true, mig-devices: {1g.6gb: 2}"]);
    assert_eq!(node.root(&["apply", "-q"]).code, 0);
    let uuids = node.0.uuids();
    let run = node.user_runs(&["run", "1g.6gb", "--", "printenv", "CUDA_VISIBLE_DEVICES"]);
    assert_eq!((run.code, run.stdout.trim()), (0, &*uuids[0]), "{}", run.stderr);
    for (command, code) in [("true", 0), ("false", 1), ("/nonexistent", 127), ("/etc/passwd", 126)] {
        assert_eq!(node.user_runs(&["run", "1g.6gb", "--", command]).code, code, "{command}");
    }

    // The first digits of a UUID, as status shows it, that no other has.
    let shown = &uuids[1][..12];
    for given in [shown, &shown.to_lowercase(), &shown["MIG-".len()..]] {
        let run = node.user_runs(&["run", given, "--", "printenv", "CUDA_VISIBLE_DEVICES"]);
        assert_eq!((run.code, run.stdout.trim()), (0, &*uuids[1]), "{given}: {}", run.stderr);
    }
    for (given, says) in [("MIG-", "no such slice"), ("MIG-0000", "no such slice"), ("1", "no such slice")] {
        node.user_runs(&["run", given, "--", "true"]).refused(2, says);
    }

    // Two users, two slices, and none for a third; root does not take what is held.
    let first = node.holds("1g.6gb");
    let second = node.holds("1g.6gb");
    let third = node.user_runs(&["run", "1g.6gb", "--", "true"]);
    assert_eq!(third.code, 4, "{}", third.stderr);
    assert!(third.stderr.contains("all in use"), "{}", third.stderr);
    for arguments in [&["clear", "all"][..], &["mode", "off", "all"]] {
        let refused = node.root(arguments);
        assert_eq!(refused.code, 4, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(&format!("process {}", first.0.id())), "{}", refused.stderr);
    }
    assert_eq!(node.0.uuids(), uuids);
    drop((first, second));
    assert_eq!(node.root(&["clear", "all", "-q"]).code, 0);
    // Slices that root's apply did not make are not there for users.
    let gone = node.user_runs(&["run", "1g.6gb", "--", "true"]);
    assert_eq!(gone.code, 2, "{}", gone.stderr);
}

/// A user who only takes a lock, and runs nothing: he is named, and nobody waits for him.
#[test]
fn a_lock_that_a_user_takes_by_hand_is_a_claim_and_no_more() {
    if !is_root() {
        return;
    }
    let node = Workstation::new(&["devices: all, mig-enabled: true, mig-devices: {1g.6gb: 1}"]);
    assert_eq!(node.root(&["apply", "-q"]).code, 0);
    let uuid = node.0.uuids().remove(0);
    let lock = node.0.path("run/gresgen/slices").join(&uuid);
    // One process, so that ending it leaves no other behind.
    let mut child = Command::new("flock")
        .args(["--exclusive", "--no-fork"])
        .arg(&lock)
        .args(["sh", "-c", "echo held; exec sleep 600"])
        .uid(NOBODY)
        .gid(NOBODY)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
    let held = Running(child);
    let refused = node.root(&["clear", "all"]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("process {}", held.0.id())), "{}", refused.stderr);
    // He can neither replace the file nor write into it.
    let script = format!("rm -f '{0}'; ln -s /etc/passwd '{0}.x'; echo x >> '{0}'", lock.display());
    let tried = Command::new("sh").args(["-c", &script]).uid(NOBODY).gid(NOBODY).output().unwrap();
    assert!(!tried.status.success() && lock.exists());
}
