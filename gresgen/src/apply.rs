//! The parts a change is made of: wishes, targets, steps, what they come to, the journal and the lock.

pub(crate) mod error;
pub mod forecast;
pub mod intent;
pub mod lock;
pub(crate) mod mode;
pub mod preview;
pub mod steps;
pub mod target;
pub mod wish;

use crate::inventory::{Gpu, Inventory};
pub use error::{ApplyError, Held};
use intent::Intent;
use mig::Placement;
use target::Target;
use wish::WishError;

/// What the GPUs of a node shall be, as a function of what they are.
pub trait Wish {
    /// One target per GPU of the inventory.
    ///
    /// # Errors
    /// Why the wish cannot be met; nothing has been changed for it.
    fn targets(&self, inventory: &Inventory) -> Result<Vec<Target>, WishError>;

    /// The layout that it is, where it is one.
    fn label(&self) -> Option<&str> {
        None
    }

    /// GPUs it names that the node does not have, where that is no error.
    fn unmatched(&self, _inventory: &Inventory) -> Vec<String> {
        Vec::new()
    }

    /// GPUs it names in a way that comes to nothing, because it names them again.
    fn overruled(&self, _inventory: &Inventory) -> Vec<String> {
        Vec::new()
    }
}

impl Wish for Intent {
    fn targets(&self, inventory: &Inventory) -> Result<Vec<Target>, WishError> {
        Ok(Intent::targets(self, inventory))
    }
}

/// A GPU instance for a person: `GPU 0 3g.20gb at 4`.
pub fn name(gpu: &Gpu, placement: Placement) -> String {
    format!("GPU {} {placement}", gpu.index)
}
