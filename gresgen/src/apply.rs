//! The parts a change is made of: wishes, targets, steps, what they come to, and the journal.

pub mod forecast;
pub mod intent;
pub mod preview;
pub mod steps;
pub mod target;
pub mod wish;

use mig::Placement;

use crate::inventory::Gpu;
pub use wish::Wish;

/// A GPU instance for a person: `GPU 0 3g.20gb at 4`.
pub fn name(gpu: &Gpu, placement: Placement) -> String {
    format!("GPU {} {placement}", gpu.index)
}
