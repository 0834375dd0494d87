//! What goes wrong: cases derived from what a peaceful apply does.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;

use crate::disk;
use crate::node::{APPLY, Bench, changes};

/// One disturbance of one apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Faults for `NVML_SIM_FAULTS`.
    Nvml(String),
    /// A fault that is an answer in its own right: the driver says there is no such thing, or nobody to see. What an
    /// apply makes of it may differ from the wish, but must be safe.
    Answer(String),
    /// A fault injected by strace at a system call.
    System(disk::Fault),
    /// Directories on a file system that is full or read-only.
    Disk(disk::Mount),
}

/// Codes each NVML call may return: nvml.h on the call, and what any call may say.
const CODES: &[(&str, &[&str])] = &[
    ("nvmlInit_v2", &["DRIVER_NOT_LOADED", "NO_PERMISSION", "LIB_RM_VERSION_MISMATCH"]),
    ("nvmlShutdown", &[]),
    ("nvmlSystemGetDriverVersion", &["INSUFFICIENT_SIZE"]),
    ("nvmlDeviceGetCount_v2", &[]),
    ("nvmlDeviceGetHandleByIndex_v2", &["NO_PERMISSION", "IRQ_ISSUE", "INSUFFICIENT_POWER"]),
    ("nvmlDeviceGetHandleByUUID", &["NOT_FOUND", "INSUFFICIENT_POWER"]),
    ("nvmlDeviceGetMigMode", &["NOT_SUPPORTED"]),
    ("nvmlDeviceSetMigMode", &["NOT_SUPPORTED", "NO_PERMISSION", "IN_USE", "INVALID_ARGUMENT"]),
    ("nvmlDeviceGetGpuInstanceProfileInfoV", &["NOT_SUPPORTED", "INVALID_ARGUMENT"]),
    ("nvmlDeviceGetGpuInstancePossiblePlacements_v2", &["NOT_SUPPORTED", "NO_PERMISSION"]),
    (
        "nvmlDeviceCreateGpuInstanceWithPlacement",
        &["INSUFFICIENT_RESOURCES", "NOT_SUPPORTED", "NO_PERMISSION", "INVALID_ARGUMENT", "IN_USE"],
    ),
    ("nvmlGpuInstanceDestroy", &["IN_USE", "NO_PERMISSION", "INVALID_ARGUMENT", "NOT_SUPPORTED"]),
    ("nvmlDeviceGetGpuInstances", &["NOT_SUPPORTED", "NO_PERMISSION", "INSUFFICIENT_SIZE"]),
    ("nvmlGpuInstanceGetInfo", &["INVALID_ARGUMENT"]),
    ("nvmlGpuInstanceGetComputeInstanceProfileInfo", &["NOT_SUPPORTED", "INVALID_ARGUMENT"]),
    (
        "nvmlGpuInstanceCreateComputeInstance",
        &["INSUFFICIENT_RESOURCES", "NOT_SUPPORTED", "NO_PERMISSION", "INVALID_ARGUMENT"],
    ),
    ("nvmlComputeInstanceDestroy", &["IN_USE", "NO_PERMISSION", "INVALID_ARGUMENT"]),
    ("nvmlGpuInstanceGetComputeInstances", &["NOT_SUPPORTED", "NO_PERMISSION", "INSUFFICIENT_SIZE"]),
    ("nvmlDeviceGetMaxMigDeviceCount", &["INVALID_ARGUMENT"]),
    ("nvmlDeviceGetMigDeviceHandleByIndex", &["NOT_FOUND", "INVALID_ARGUMENT"]),
    ("nvmlDeviceGetGpuInstanceId", &["INVALID_ARGUMENT"]),
    ("nvmlDeviceGetComputeInstanceId", &["INVALID_ARGUMENT"]),
    ("nvmlDeviceGetAttributes_v2", &["NOT_SUPPORTED", "INVALID_ARGUMENT"]),
    ("nvmlGpuInstanceGetComputeInstanceById", &["NOT_FOUND", "INVALID_ARGUMENT"]),
    ("nvmlDeviceGetComputeRunningProcesses_v3", &["NO_PERMISSION", "NOT_SUPPORTED", "INSUFFICIENT_SIZE"]),
    ("nvmlDeviceGetGraphicsRunningProcesses_v3", &["NO_PERMISSION", "NOT_SUPPORTED", "INSUFFICIENT_SIZE"]),
    ("nvmlDeviceGetMPSComputeRunningProcesses_v3", &["NO_PERMISSION", "NOT_SUPPORTED", "INSUFFICIENT_SIZE"]),
];

/// What any call may say.
const ANYTIME: &[&str] = &["UNKNOWN", "GPU_IS_LOST", "UNINITIALIZED"];

/// Calls whose "not here" is no failure but an answer.
const ANSWERS: &[(&str, &[&str])] = &[
    ("nvmlDeviceGetMigMode", &["NOT_SUPPORTED"]),
    ("nvmlDeviceGetGpuInstanceProfileInfoV", &["NOT_SUPPORTED", "INVALID_ARGUMENT"]),
    ("nvmlGpuInstanceGetComputeInstanceProfileInfo", &["NOT_SUPPORTED", "INVALID_ARGUMENT"]),
    ("nvmlDeviceGetMigDeviceHandleByIndex", &["NOT_FOUND", "INVALID_ARGUMENT"]),
    ("nvmlDeviceGetAttributes_v2", &["NOT_SUPPORTED"]),
    ("nvmlDeviceGetComputeRunningProcesses_v3", &["NO_PERMISSION", "NOT_SUPPORTED"]),
    ("nvmlDeviceGetGraphicsRunningProcesses_v3", &["NO_PERMISSION", "NOT_SUPPORTED"]),
    ("nvmlDeviceGetMPSComputeRunningProcesses_v3", &["NO_PERMISSION", "NOT_SUPPORTED"]),
];

/// How many calls of one name, and codes of one changing call, the default run takes.
const READS: usize = 3;
const CHANGE_CODES: usize = 2;
/// How many points the default run lets the driver vanish at.
const LOSSES: usize = 6;

/// Whether every fault is wanted.
pub(crate) fn full() -> bool {
    std::env::var_os("GRESGEN_SWEEP").is_some_and(|value| value == "full")
}

/// All cases of a scenario, or a spread of them.
pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let mut cases = calls(bench);
    cases.extend(
        (1..=bench.changes).flat_map(|n| [format!("kill@{n}"), format!("kill@{n}!")]).map(Case::Nvml),
    );
    let losses: Vec<usize> = (1..=bench.calls.len()).collect();
    cases.extend(spread(&losses, LOSSES).map(|n| Case::Nvml(format!("*@{n}+=GPU_IS_LOST"))));
    cases.extend(disk::faults(bench).into_iter().map(Case::System));
    cases.extend(disk::mounts(bench).into_iter().map(Case::Disk));
    cases
}

fn calls(bench: &Bench) -> Vec<Case> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for call in &bench.calls {
        *times.entry(call).or_default() += 1;
    }
    let mut cases = Vec::new();
    for (call, times) in times {
        let all: Vec<usize> = (1..=times).collect();
        let changing = changes(call);
        let wanted: Vec<usize> = if changing { all } else { spread(&all, READS).collect() };
        for n in wanted {
            for code in some(&codes(call), n, if changing { CHANGE_CODES } else { 1 }) {
                let of = |text| if is_answer(call, code) { Case::Answer(text) } else { Case::Nvml(text) };
                cases.push(of(format!("{call}@{n}={code}")));
                if changing {
                    cases.push(of(format!("{call}@{n}={code}!")));
                }
            }
        }
    }
    cases
}

fn codes(call: &str) -> Vec<&'static str> {
    let own = CODES.iter().find(|(name, _)| *name == call).map_or(&[][..], |(_, codes)| codes);
    own.iter().chain(ANYTIME).copied().collect()
}

fn is_answer(call: &str, code: &str) -> bool {
    ANSWERS.iter().any(|(name, codes)| *name == call && codes.contains(&code))
}

/// So many codes, others for each call, so that all of them have their turn.
fn some(codes: &[&'static str], n: usize, count: usize) -> Vec<&'static str> {
    if full() || codes.len() <= count {
        return codes.to_vec();
    }
    (0..count).map(|i| codes[(n * count + i) % codes.len()]).collect()
}

/// So many of a list, from its first to its last.
pub(crate) fn spread<T: Clone>(list: &[T], count: usize) -> impl Iterator<Item = T> {
    let chosen: Vec<T> = if full() || list.len() <= count {
        list.to_vec()
    } else {
        (0..count).map(|i| list[i * (list.len() - 1) / (count - 1)].clone()).collect()
    };
    chosen.into_iter()
}

impl Case {
    /// An apply that meets it.
    pub(crate) fn apply(&self, bench: &Bench) -> Command {
        let apply = APPLY;
        match self {
            Case::Nvml(faults) | Case::Answer(faults) => {
                let mut command = bench.node.gresgen(&[], &apply);
                command.env("NVML_SIM_FAULTS", faults);
                command
            }
            Case::System(fault) => {
                let wrapped = fault.wrapper();
                let words: Vec<&str> = wrapped.iter().map(String::as_str).collect();
                bench.node.gresgen(&words, &apply)
            }
            Case::Disk(mount) => {
                let wrapped = mount.wrapper(&bench.node);
                let words: Vec<&str> = wrapped.iter().map(String::as_str).collect();
                bench.node.gresgen(&words, &apply)
            }
        }
    }

    /// Whether the process is killed, where it reaches the place.
    pub(crate) fn kills(&self) -> bool {
        match self {
            Case::Nvml(faults) => faults.starts_with("kill"),
            Case::System(fault) => fault.kills(),
            Case::Answer(_) | Case::Disk(_) => false,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Case::Nvml(faults) | Case::Answer(faults) => f.write_str(faults),
            Case::System(fault) => write!(f, "{fault}"),
            Case::Disk(mount) => write!(f, "{mount}"),
        }
    }
}
