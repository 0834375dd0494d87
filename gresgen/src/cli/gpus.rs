//! GPUs named on the command line.

use std::convert::Infallible;

use clap_complete::engine::ArgValueCandidates;

use super::complete;
use super::report::Failure;
use crate::apply::desired;
use crate::config::Selector;
use crate::inventory::Inventory;

/// GPUs that a change, or the plan of one, leaves out.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct LeftOut {
    /// Leave out a GPU, by index, UUID, PCI address or model: a dead one, say
    #[arg(long, value_name = "GPU", value_parser = selector, add = ArgValueCandidates::new(complete::gpus))]
    pub(super) without: Vec<Selector>,
}

/// Every text selects something, if not on this node.
pub(super) fn selector(text: &str) -> Result<Selector, Infallible> {
    text.parse()
}

/// GPUs that a verb shows: all, unless some are named.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Only {
    /// Only these GPUs, by index, UUID, PCI address or model
    #[arg(value_name = "GPU", value_parser = selector, add = ArgValueCandidates::new(complete::gpus))]
    pub(super) gpus: Vec<Selector>,
}

impl Only {
    /// Leaves the others out of the inventory.
    ///
    /// # Errors
    /// One that the node does not have.
    pub(super) fn keep(&self, inventory: &mut Inventory) -> Result<(), Failure> {
        if !self.gpus.is_empty() {
            let mut selected = desired::selected(inventory, &self.gpus)?.into_iter();
            inventory.gpus.retain(|_| selected.next().unwrap_or_default());
        }
        Ok(())
    }
}
