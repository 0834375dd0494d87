//! Why an apply did not reach its end.

use thiserror::Error;

use super::intent::IntentError;
use super::name;
use super::target::Slice;
use super::wish::WishError;
use crate::devices::DeviceError;
use crate::inventory::{Holder, Inventory};
use crate::nvml::DriverError;
use crate::publish::PublishError;

/// Why an apply did not reach its end.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The wish cannot be met.
    #[error(transparent)]
    Wish(#[from] WishError),
    /// The wish would have instances go that are in use. Nothing was changed.
    #[error("{wish}\n{}", busy(.held))]
    InTheWay {
        /// What cannot be.
        wish: Box<WishError>,
        /// Who is in the way.
        held: Vec<Held>,
    },
    /// An instance that would have to go is in use. Nothing was changed.
    #[error("{}", busy(.0))]
    Busy(Vec<Held>),
    /// MIG belongs to the hypervisor of this GPU.
    #[error("{0}: is a vGPU guest, whose MIG instances belong to the hypervisor")]
    Guest(String),
    /// The GPU has no MIG.
    #[error("{gpu}: {model} has no MIG")]
    NoMig {
        /// Its UUID.
        gpu: String,
        /// Its model.
        model: String,
    },
    /// The driver refused or failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A device node is missing and cannot be made.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The journal could not be kept.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// The files that belong to the GPUs cannot be made ready; none was replaced.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The GPUs are as they shall be, the files are not all there. The journal stays.
    #[error("the GPUs are done, but not the files: {0}")]
    Unpublished(#[source] PublishError),
    /// Resetting a GPU failed.
    #[error("{gpu}: nvidia-smi --gpu-reset: {reason}")]
    Reset {
        /// Its UUID.
        gpu: String,
        /// What nvidia-smi said.
        reason: String,
    },
    /// SIGINT or SIGTERM came.
    #[error("interrupted by a signal")]
    Interrupted,
    /// The driver reported success, but a fresh read shows something else.
    #[error("the GPUs are not as they were set: {0} steps would still be needed")]
    Unverified(usize),
    /// A step failed; what was done before it has been undone, or not.
    #[error("{error}")]
    RolledBack {
        /// What failed.
        #[source]
        error: Box<ApplyError>,
        /// Why undoing failed; `None` when the previous layout is back.
        undo: Option<Box<ApplyError>>,
    },
}

/// A GPU or an instance in use that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// GPU, or GPU and instance, for a person.
    pub name: String,
    /// Who.
    pub holders: Vec<Holder>,
}

fn busy(held: &[Held]) -> String {
    let one = |h: &Held| {
        let who: Vec<String> = h.holders.iter().map(ToString::to_string).collect();
        format!("{}: in use by {}", h.name, who.join(", "))
    };
    held.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Names who holds the instances that a wish cannot be met beside.
pub(super) fn in_the_way(inventory: &Inventory, wish: WishError) -> ApplyError {
    let instance = |b: &mig::Blocker| {
        let gpu = inventory.gpus.get(b.gpu)?;
        let instance = gpu.instances.iter().find(|i| i.placed == b.placed)?;
        Some(Held { name: name(gpu, &Slice::of(instance)), holders: instance.holders.clone() })
    };
    let held: Vec<Held> = wish.blockers().iter().filter_map(instance).collect();
    if held.is_empty() { ApplyError::Wish(wish) } else { ApplyError::InTheWay { wish: wish.into(), held } }
}
