//! The parts a change is made of: wishes, targets, steps, what they come to, and the journal.

pub(crate) mod forecast;
pub(crate) mod intent;
pub(crate) mod preview;
pub(crate) mod steps;
pub(crate) mod target;
pub(crate) mod wish;

use mig::Placement;

use crate::inventory::Gpu;
pub(crate) use wish::Wish;

/// A GPU instance for a person: `GPU 0 3g.20gb at 4`.
pub(crate) fn name(gpu: &Gpu, placement: Placement) -> String {
    format!("GPU {} {placement}", gpu.index)
}
