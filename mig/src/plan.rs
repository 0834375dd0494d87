//! From what the GPUs of a node hold to what is wanted, with the fewest changes.

use std::collections::BTreeMap;

use crate::geometry::{Geometry, Placed};
use crate::profile::Profile;

/// How many instances of each GPU instance profile.
pub type Demand = BTreeMap<Profile, u32>;

/// One GPU as it is.
#[derive(Clone, Debug)]
pub struct GpuState<'a> {
    /// What it can be cut into.
    pub geometry: &'a Geometry,
    /// Instances in use: they stay where they are.
    pub busy: Vec<Placed>,
    /// Instances nobody uses.
    pub idle: Vec<Placed>,
}

/// What a set of GPUs shall hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Indexes into the GPUs given to [`plan`]. No GPU belongs to two goals.
    pub gpus: Vec<usize>,
    /// What they shall hold.
    pub want: Want,
}

/// The content of a goal: exactly this and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// These counts, anywhere on the goal's GPUs.
    Exactly(Demand),
    /// These instances at these places. The goal has one GPU.
    At(Vec<Placed>),
}

/// The layout each GPU shall have. What to destroy and create follows from the present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Sorted placements, one list per GPU given to [`plan`].
    pub layouts: Vec<Vec<Placed>>,
    /// What it costs.
    pub cost: Cost,
}

/// What a plan costs, compared field by field in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Idle instances destroyed.
    pub destroyed: u32,
    /// Instances created.
    pub created: u32,
}

/// Why no plan exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infeasible {
    /// Index of the goal.
    pub goal: usize,
}

/// The best plan, or why there is none.
pub fn plan(gpus: &[GpuState<'_>], goals: &[Goal]) -> Result<Plan, Infeasible> {
    let _ = (gpus, goals);
    Err(Infeasible { goal: 0 })
}
