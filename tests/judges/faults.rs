//! Faults, latency, the call log and refusals, as a client meets them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nvml_sim::Store;

use crate::{Bench, skipped};

const SIGKILL: i32 = 9;

/// What the client printed: a line per call.
struct Told {
    calls: Vec<String>,
    stderr: String,
    signal: Option<i32>,
}

fn told(command: &mut Command) -> Told {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let calls = String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect();
    Told { calls, stderr: String::from_utf8_lossy(&stderr).into_owned(), signal: status.signal() }
}

impl Told {
    /// Answers to one call, in order.
    fn to(&self, call: &str) -> Vec<&str> {
        self.calls.iter().filter_map(|line| line.strip_prefix(call)?.strip_prefix(' ')).collect()
    }
}

/// `client.py cut 3` with a variable set.
fn cut_with(bench: &Bench, name: &str, value: &str) -> Told {
    told(bench.python("client.py").args(["cut", "3"]).env(name, value))
}

/// Numbers of GPU instances and of compute instances on GPU 0.
fn held(bench: &Bench) -> (usize, usize) {
    let machine = Store::open(&bench.root(), None).unwrap().read().unwrap().machine;
    let gpu = &machine.gpus[0];
    (gpu.instances.len(), gpu.mig_devices().count())
}

const CREATE: &str = "nvmlDeviceCreateGpuInstance";
const COMPUTE: &str = "nvmlGpuInstanceCreateComputeInstance";

#[test]
fn a_fault_hits_its_call_instead_of_the_work_or_after_it() {
    if skipped() {
        return;
    }
    let bench = Bench::new("a100-40gb");
    let said = cut_with(
        &bench,
        "NVML_SIM_FAULTS",
        &format!("{CREATE}@2=INSUFFICIENT_RESOURCES,{COMPUTE}@2=IN_USE!"),
    );
    assert_eq!(said.to(CREATE), ["Success", "InsufficientResources", "Success"], "{}", said.stderr);
    assert_eq!(said.to(COMPUTE), ["Success", "InUse"]);
    assert_eq!(held(&bench), (2, 2), "the second compute instance was made before its call failed");
}

#[test]
fn a_fault_can_hit_every_call() {
    if skipped() {
        return;
    }
    let bench = Bench::new("a100-40gb");
    let said = cut_with(&bench, "NVML_SIM_FAULTS", &format!("{CREATE}@*=999"));
    assert_eq!(said.to(CREATE), ["Unknown"; 3]);
    assert_eq!(held(&bench), (0, 0));
}

#[test]
fn a_kill_comes_before_the_change_or_after_it() {
    if skipped() {
        return;
    }
    // Changes: the mode, then GPU instance and compute instance by turns.
    for (kill, left) in [("kill@1", (0, 0)), ("kill@4", (1, 1)), ("kill@4!", (2, 1)), ("kill@5!", (2, 2))] {
        let bench = Bench::new("a100-40gb");
        let said = cut_with(&bench, "NVML_SIM_FAULTS", kill);
        assert_eq!(said.signal, Some(SIGKILL), "{kill}: {}", said.stderr);
        assert_eq!(held(&bench), left, "{kill}");
    }
}

#[test]
fn latency_is_a_minimum() {
    if skipped() {
        return;
    }
    let bench = Bench::new("a100-40gb");
    let start = Instant::now();
    cut_with(&bench, "NVML_SIM_LATENCY", &format!("{CREATE}=120"));
    assert!(start.elapsed() >= Duration::from_millis(3 * 120));
}

#[test]
fn the_call_log_has_a_line_per_call() {
    if skipped() {
        return;
    }
    let bench = Bench::new("a100-40gb");
    let log = bench.directory.path().join("calls");
    cut_with(&bench, "NVML_SIM_CALLS", log.to_str().unwrap());
    let log = fs::read_to_string(log).unwrap();
    let count = |call: &str| log.lines().filter(|l| l.split(' ').next() == Some(call)).count();
    assert_eq!(
        [count("nvmlInitWithFlags"), count(CREATE), count(COMPUTE), count("nvmlShutdown")],
        [1, 3, 3, 0]
    );
}

#[test]
fn an_environment_that_names_no_machine_is_a_missing_driver() {
    if skipped() {
        return;
    }
    let mut texts = Vec::new();
    let bench = Bench::new("a100-40gb");
    for (name, value) in [
        ("NVML_SIM_ROOT", ""),
        ("NVML_SIM_GPUS", ""),
        ("NVML_SIM_GPUS", "a100"),
        ("NVML_SIM_FAULTS", "nvmlInt@1=IN_USE"),
        ("NVML_SIM_LATENCY", "nvmlInit_v2=soon"),
        ("NVML_SIM_CALLS", "/no/such/place"),
        ("NVML_SIM_CI_DEVICE", "gpu"),
    ] {
        let said = cut_with(&bench, name, value);
        assert_eq!(said.calls[0], "nvmlInit DriverNotLoaded", "{}", said.stderr);
        let place = bench.directory.path().to_str().unwrap();
        texts.push(said.stderr.lines().next().unwrap_or_default().replace(place, "BENCH"));
    }
    assert!(!bench.root().exists(), "nothing was made");
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_damaged_state_is_refused_and_kept() {
    if skipped() {
        return;
    }
    let bench = Bench::new("a100-40gb");
    Store::open(&bench.root(), Some(&bench.spec.parse().unwrap())).unwrap();
    let state = bench.root().join("var/lib/nvml-sim/state.json");
    let text = fs::read_to_string(&state).unwrap();
    let half = &text[..text.len() / 2];
    fs::write(&state, half).unwrap();
    let said = told(bench.python("client.py").args(["cut", "1"]));
    assert_eq!(said.calls[0], "nvmlInit DriverNotLoaded");
    assert!(said.stderr.contains(state.to_str().unwrap()), "{}", said.stderr);
    assert_eq!(fs::read_to_string(&state).unwrap(), half);
}

#[test]
fn only_root_changes_the_machine() {
    if skipped() {
        return;
    }
    let bench = Bench::new("a100-40gb");
    assert_eq!(cut_with(&bench, "NVML_SIM_FAULTS", "").to(CREATE), ["Success"; 3]);
    // The temporary directory is its owner's alone; the state in it is for all to read.
    fs::set_permissions(bench.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = told(bench.python("client.py").args(["nobody", "1"]));
    assert_eq!(said.to("nvmlDeviceGetHandleByIndex"), ["Success"], "{}", said.stderr);
    assert_eq!(said.to("nvmlDeviceSetMigMode"), ["NoPermission"]);
    assert_eq!(said.to(CREATE), ["NoPermission"]);
    assert_eq!(held(&bench), (3, 3));
}
