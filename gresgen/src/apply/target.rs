//! What a node's GPUs shall be: the outcome of planning, in terms of one inventory.

use mig::{Placed, Profile};

use crate::inventory::{Gpu, Instance};

/// What one GPU shall be. The default leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// MIG mode, where it matters.
    pub mode: Option<bool>,
    /// All instances it shall hold; `None` leaves those it has.
    pub slices: Option<Vec<Slice>>,
}

/// A GPU instance at a place, divided into compute instances.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slice {
    /// Profile and place.
    pub placed: Placed,
    /// Its compute instances, largest first.
    pub compute: Vec<Profile>,
}

impl Slice {
    /// The usual division: one compute instance that fills the GPU instance.
    pub fn whole(gpu: &Gpu, placed: Placed) -> Self {
        Slice { placed, compute: vec![gpu.geometry.spec(placed).profile] }
    }

    /// An instance as it is now.
    pub fn of(instance: &Instance) -> Self {
        let mut compute: Vec<Profile> = instance.compute.iter().map(|c| c.profile).collect();
        compute.sort_unstable_by(|a, b| b.cmp(a));
        Slice { placed: instance.placed, compute }
    }
}

impl Target {
    /// A GPU with MIG on and these slices.
    pub fn slices(slices: Vec<Slice>) -> Self {
        Target { mode: Some(true), slices: Some(slices) }
    }

    /// A GPU as it is now, so that it can be brought back to it.
    pub fn of(gpu: &Gpu) -> Self {
        let slices = gpu.mode.is_on().then(|| gpu.instances.iter().map(Slice::of).collect());
        Target { mode: Some(gpu.mode.is_on()), slices }
    }
}
