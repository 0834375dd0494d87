//! Panics inside real daemons and commands, in a plugin with the gate and the unwinder of the real one.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use lab::{Lab, Release};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};

const PANICKING: &str = "/usr/local/lib/slurm/panicking.so";

/// `tests/safety/panicking.rs`, which Cargo builds beside this test only where all targets are built.
fn panicking() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("TARGET/PROFILE/deps/TEST");
    let name = profile.file_name().and_then(OsStr::to_str).expect("a name in ASCII");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--package=slurm-plugin", "--example=panicking"]);
    cargo.arg(format!("--profile={}", if name == "debug" { "dev" } else { name }));
    cargo.arg("--target-dir").arg(profile.parent().expect("TARGET"));
    assert!(cargo.status().expect("cargo runs").success());
    profile.join("examples/libpanicking.so")
}

/// The plugin panics in slurmd as well, which must come up all the same.
fn start(release: Release, how: &str) -> Option<Lab> {
    let options = options(&[&Layout::n1()], "notices=off").file(&panicking(), PANICKING);
    lab::require(Lab::start(release, options.plugstack(&format!("{how} {PANICKING}\n"))))
}

/// Both hooks of a step panicked, and the log says where.
fn assert_logged(lab: &Lab) {
    let log = lab.slurmd_log("n1");
    for line in ["in init", "in the task"] {
        assert!(log.contains("spank plugin: panicked at") && log.contains(line), "{line}: {log}");
    }
}

#[test]
fn in_an_optional_plugin_they_are_logged_and_jobs_run() {
    on_each_release(|release| {
        let Some(lab) = start(release, "optional") else { return };
        assert_eq!(lab.srun(&["-n2", "--gres=gpu:1g.5gb:1", "lab-probe"]).unwrap().probes().len(), 2);
        let job = lab.batch(&["--gres=gpu:1g.5gb:1"], "lab-probe; srun lab-probe").unwrap();
        assert_eq!((job.state.as_str(), job.output.matches("probe begin=").count()), ("COMPLETED", 2));
        let salloc = lab.command(&["salloc", "--gres=gpu:1g.5gb:1", "srun", "lab-probe"]).output().unwrap();
        assert_eq!(salloc.probes().len(), 1, "{salloc:?}");
        assert_logged(&lab);
        assert_healthy(&lab, &[&Layout::n1()]);
    });
}

#[test]
fn in_a_required_plugin_they_end_the_task_and_not_the_node() {
    on_each_release(|release| {
        let Some(lab) = start(release, "required") else { return };
        let srun = lab.command(&["srun", "--gres=gpu:1g.5gb:1", "lab-probe"]).output().unwrap();
        assert!(!srun.success() && srun.probes().is_empty(), "{release}: {srun:?}");
        let job = lab.batch(&["--gres=gpu:1g.5gb:1"], "lab-probe").unwrap();
        assert_eq!(job.state, "FAILED", "{release}: {}", job.output);
        assert!(!job.output.contains("probe begin="), "{release}: {}", job.output);
        assert_logged(&lab);
        assert_healthy(&lab, &[&Layout::n1()]);
    });
}
