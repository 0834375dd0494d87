//! Why a task's devices cannot be told, in the words its user reads.

use std::fmt;
use std::path::PathBuf;

/// Why there is no certain answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// Slurm gave the step a device beyond the end of the map.
    Beyond { index: usize, rows: usize },
    /// Slurm gave the step a record without an instance.
    Void { index: usize },
    /// A device of the step has no node.
    Missing { index: usize, path: PathBuf },
    /// The node of a device of the step is another device than when slurmd started.
    Changed { index: usize, path: PathBuf, found: String },
    /// The mode of the node hides what the cgroup says.
    Hidden { index: usize, path: PathBuf },
    /// The kernel gave no verdict on a device of the step.
    Unknown { index: usize, path: PathBuf, why: String },
    /// The cgroup opens a device that Slurm did not give to the step.
    Foreign { index: usize, devices: Vec<usize> },
    /// The cgroup denies devices of a step whose tasks are not bound.
    Denied { index: usize },
    /// The cgroup denies all devices.
    AllDenied { devices: Vec<usize> },
    /// The list of the task counts something else than devices of the node.
    Shared { task: Vec<usize>, devices: Vec<usize> },
    /// The task is bound, the limits are not in force, and Slurm's list for the task cannot be right.
    NotEnforced { task: Vec<usize> },
    /// Without limits there is no telling whether Slurm's names or the map are right.
    Disagree { named: Vec<String>, devices: Vec<usize> },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::Beyond { index, rows } => {
                write!(
                    f,
                    "device {index}: the device map ends after {rows} devices; restart slurmd after gresgen apply"
                )
            }
            Unresolved::Void { index } => {
                write!(
                    f,
                    "device {index}: no such MIG device is cut now; in a job that has the whole node, ask for no devices in its steps"
                )
            }
            Unresolved::Missing { index, path } => {
                write!(
                    f,
                    "device {index}: {} does not exist; the MIG device is gone since slurmd started",
                    path.display()
                )
            }
            Unresolved::Changed { index, path, found } => {
                write!(
                    f,
                    "device {index}: {} is {found} since slurmd started; restart slurmd",
                    path.display()
                )
            }
            Unresolved::Hidden { index, path } => {
                write!(
                    f,
                    "device {index}: the mode of {} denies it to this user, which hides the device cgroup's answer; chmod a+r it",
                    path.display()
                )
            }
            Unresolved::Unknown { index, path, why } => {
                write!(f, "device {index}: {}: {why}", path.display())
            }
            Unresolved::Foreign { index, devices } => {
                write!(
                    f,
                    "device {index}: open to this task although Slurm gave the step only {}; restart slurmd after gresgen apply",
                    join(devices)
                )
            }
            Unresolved::Denied { index } => {
                write!(
                    f,
                    "device {index}: denied by the device cgroup although Slurm gave it to the job; restart slurmd after gresgen apply"
                )
            }
            Unresolved::AllDenied { devices } => {
                write!(
                    f,
                    "devices {}: all denied by the device cgroup although Slurm gave them to the step; restart slurmd after gresgen apply",
                    join(devices)
                )
            }
            Unresolved::Shared { task, devices } => {
                write!(
                    f,
                    "task devices {}: not among the step's {}; Slurm's task sharing cannot be told apart without ConstrainDevices=yes",
                    join(task),
                    join(devices)
                )
            }
            Unresolved::NotEnforced { task } => {
                write!(
                    f,
                    "task devices {}: Slurm's device limits are not in force on this node, so the tasks of the step cannot be told apart; see the size limit of Slurm 22.05 on cgroup v2",
                    join(task)
                )
            }
            Unresolved::Disagree { named, devices } => {
                write!(
                    f,
                    "devices {}: Slurm set {}, which the device map does not confirm; restart slurmd after gresgen apply",
                    join(devices),
                    named.join(",")
                )
            }
        }
    }
}

impl std::error::Error for Unresolved {}

fn join(indexes: &[usize]) -> String {
    indexes.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}
