//! The parts a change is made of: desired states, targets, steps, what they come to, and the journal.

pub(crate) mod desired;
pub(crate) mod forecast;
pub(crate) mod gates;
pub(crate) mod intent;
pub(crate) mod ordered;
pub(crate) mod preview;
pub(crate) mod steps;
pub(crate) mod target;

use mig::Placement;

use crate::inventory::Gpu;
pub(crate) use desired::DesiredState;

/// A GPU instance for a person: `GPU 0 3g.20gb at 4`.
pub(crate) fn name(gpu: &Gpu, placement: Placement) -> String {
    format!("GPU {} {placement}", gpu.index)
}
