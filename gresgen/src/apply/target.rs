//! What a node's GPUs shall be: the outcome of planning, in terms of one inventory.

use mig::{Placement, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inventory::Instance;

/// What one GPU shall be. The default leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// MIG mode, where it matters.
    pub mode: Option<bool>,
    /// All GPU instances it shall hold; `None` leaves those it has.
    pub instances: Option<Vec<Divided>>,
}

impl Target {
    /// Whether the GPU has the same instances by it, in whatever order they stand.
    pub(crate) fn is_cut_like(&self, other: &Target) -> bool {
        let sorted = |target: &Target| {
            let mut instances = target.instances.clone();
            instances.iter_mut().for_each(|instances| instances.sort_unstable());
            instances
        };
        sorted(self) == sorted(other)
    }
}

/// A GPU instance as far as it can be wanted: where it is, and what it is divided into. Targets, steps, previews and
/// the journal all speak of instances in this form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Divided {
    /// Profile and place.
    #[serde(flatten)]
    pub placement: Placement,
    /// Its compute instances, largest first.
    pub compute: Vec<Profile>,
}

impl From<&Instance> for Divided {
    fn from(instance: &Instance) -> Self {
        let mut compute: Vec<Profile> = instance.compute.iter().map(|c| c.profile).collect();
        compute.sort_unstable_by(|a, b| b.cmp(a));
        Divided { placement: instance.placement, compute }
    }
}
