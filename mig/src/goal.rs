//! What planning is asked: GPUs as they are, and what sets of them shall hold.

use std::collections::BTreeMap;

use crate::geometry::{Geometry, Placement};
use crate::profile::Profile;

/// How many instances of each GPU instance profile.
pub type Demand = BTreeMap<Profile, u32>;

/// One GPU as it is.
#[derive(Clone, Debug)]
pub struct GpuState<'a> {
    /// What it can be cut into.
    pub geometry: &'a Geometry,
    /// Instances in use: they stay where they are.
    pub busy: Vec<Placement>,
    /// Instances nobody uses.
    pub idle: Vec<Placement>,
}

impl GpuState<'_> {
    /// Every instance, in use or not, sorted.
    pub fn placed(&self) -> Vec<Placement> {
        let mut all: Vec<Placement> = self.busy.iter().chain(&self.idle).copied().collect();
        all.sort_unstable();
        all
    }
}

/// What a set of GPUs shall hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Indexes into the GPUs given to [`plan()`](crate::plan()). No GPU belongs to two goals.
    pub gpus: Vec<usize>,
    /// What they shall hold.
    pub want: Want,
}

/// The content of a goal: exactly this and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// These counts, anywhere on the goal's GPUs. A GPU that lacks a profile provides none of it.
    Exactly(Demand),
    /// These instances at these places, on each of the goal's GPUs.
    At(Vec<Placement>),
    /// These counts over all of the goal's GPUs, among them these instances on each GPU.
    Including {
        /// Instances at fixed places, part of the demand.
        places: Vec<Placement>,
        /// All instances wanted, those at fixed places included.
        demand: Demand,
    },
}
