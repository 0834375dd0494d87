//! Why an apply did not reach its end.

use std::fmt;

use thiserror::Error;

use crate::apply::desired::DesiredStateError;
use crate::apply::name;
use crate::hooks::HookError;
use crate::inventory::{Holder, Inventory};
use crate::lock::LockError;
use crate::nvml::DriverError;
use crate::path_error::PathError;
use crate::publish::PublishError;
use crate::slurm::SlurmError;

/// Why an apply did not reach its end.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The desired state cannot be met.
    #[error(transparent)]
    DesiredState(#[from] DesiredStateError),
    /// The desired state would have instances go that are in use. Nothing was changed.
    #[error("{desired}\n{}", busy(.held))]
    InTheWay {
        /// What cannot be.
        desired: Box<DesiredStateError>,
        /// Who is in the way.
        held: Vec<InUse>,
    },
    /// An instance that would have to go is in use. Nothing was changed.
    #[error("{}", busy(.0))]
    Busy(Vec<InUse>),
    /// MIG belongs to the hypervisor of this GPU.
    #[error("{0}: is a vGPU guest, whose MIG instances belong to the hypervisor")]
    Guest(String),
    /// The GPU has no MIG.
    #[error("{gpu}: {model} has no MIG")]
    NoMig { gpu: String, model: String },
    /// The driver refused or failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A device node is missing and cannot be made, the journal cannot be kept, or the layout chosen not remembered.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A slice is held by somebody.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A hook failed before the first step.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// Slurm refuses, or cannot be asked or told.
    #[error(transparent)]
    Slurm(#[from] SlurmError),
    /// GPUs and files are done; Slurm could not be told.
    #[error("the GPUs and the files are done, but not Slurm: {error}")]
    Untold {
        /// What puts the node back into scheduling, as a shell line; `None` where it is not out of it.
        drained: Option<String>,
        #[source]
        error: SlurmError,
    },
    /// It failed, and the node stays out of scheduling.
    #[error("{error}")]
    Drained {
        /// What puts it back, as a shell line.
        release: String,
        #[source]
        error: Box<ApplyError>,
    },
    /// The files that belong to the GPUs cannot be made ready; none was replaced.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The GPUs are as they shall be, the files are not all there. The journal stays.
    #[error("the GPUs are done, but not the files: {0}")]
    Unpublished(#[source] PublishError),
    /// GPUs and files are done, and the journal that says they are not is still there.
    #[error("the GPUs and the files are done, but that is not noted: {0}")]
    Unfinished(#[source] Box<ApplyError>),
    /// Resetting a GPU failed.
    #[error("{gpu}: nvidia-smi --gpu-reset: {reason}")]
    Reset { gpu: String, reason: String },
    /// SIGINT or SIGTERM came.
    #[error("interrupted by a signal")]
    Interrupted,
    /// The driver reported success, but a fresh read shows something else.
    #[error("the GPUs are not as they were set: {0} steps would still be needed")]
    Unverified(usize),
    /// A step failed; what was done before it has been undone, or not.
    #[error("{error}")]
    RolledBack {
        #[source]
        error: Box<ApplyError>,
        /// Why undoing failed; `None` when the previous layout is back.
        undo: Option<Box<ApplyError>>,
    },
}

impl ApplyError {
    /// Whether GPUs and files are what they were.
    pub fn is_undone(&self) -> bool {
        match self {
            ApplyError::RolledBack { undo, .. } => undo.is_none(),
            ApplyError::Unpublished(_)
            | ApplyError::Unfinished(_)
            | ApplyError::Untold { .. }
            | ApplyError::Drained { .. } => false,
            _ => true,
        }
    }
}

/// An instance in use that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// GPU, or GPU and instance, for a person.
    pub name: String,
    pub holders: Vec<Holder>,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who: Vec<String> = self.holders.iter().map(ToString::to_string).collect();
        write!(f, "{}: in use by {}", self.name, who.join(", "))
    }
}

fn busy(held: &[InUse]) -> String {
    held.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Names who holds the instances that a desired state cannot be met beside.
pub(crate) fn in_the_way(inventory: &Inventory, desired: DesiredStateError) -> ApplyError {
    let instance = |b: &mig::Blocker| {
        let gpu = inventory.gpus.get(b.gpu)?;
        let instance = gpu.instances.iter().find(|i| i.placement == b.placement)?;
        Some(InUse { name: name(gpu, b.placement), holders: instance.holders.clone() })
    };
    let held: Vec<InUse> = desired.blockers().iter().filter_map(instance).collect();
    if held.is_empty() {
        ApplyError::DesiredState(desired)
    } else {
        ApplyError::InTheWay { desired: desired.into(), held }
    }
}
