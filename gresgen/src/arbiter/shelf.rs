//! Inventories of nodes, with the sheet of each for as long as the inventory stays as it is: most nodes are as they were a moment
//! ago, and a sheet takes longer to make than everything else that a pass does with its node.

use crate::demand::{Known, Sheet, Sheets};
use crate::inventory::Inventory;

/// The inventories, each at a position of its own.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    all: Vec<(Known, Option<Sheet>)>,
}

impl Shelf {
    pub(super) fn get(&self, at: usize) -> Option<&Known> {
        self.all.get(at).map(|(known, _)| known)
    }

    /// Puts an inventory there, or where there was none behind all others; its position.
    pub(super) fn put(&mut self, at: Option<usize>, known: Known) -> usize {
        match at {
            Some(at) => {
                self.all[at] = (known, None);
                at
            }
            None => {
                self.all.push((known, None));
                self.all.len() - 1
            }
        }
    }

    /// The inventory there, to be changed.
    pub(super) fn change(&mut self, at: usize) -> Option<&mut Inventory> {
        let (known, sheet) = self.all.get_mut(at)?;
        *sheet = None;
        Some(&mut known.0)
    }

    /// Takes an inventory away. The last one has its position from then on; the name of that one's node, where it is another.
    pub(super) fn remove(&mut self, at: usize) -> Option<&str> {
        self.all.swap_remove(at);
        self.get(at).map(|(inventory, _)| inventory.node.as_str())
    }

    /// A sheet of each, made by `sheets` where there is none.
    pub(super) fn sheets(&mut self, sheets: &mut Sheets<'_>) -> impl Iterator<Item = &Sheet> {
        self.all.iter_mut().map(|(known, sheet)| &*sheet.get_or_insert_with(|| sheets.of(known)))
    }
}
