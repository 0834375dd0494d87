//! A request by what it asks for: many jobs have one.

use crate::job::Share;

/// A request, whoever has it.
pub(crate) struct Shape<'a> {
    pub(crate) share: &'a Share,
    /// The number of what it wants of a node.
    pub(crate) want: usize,
    /// Places of each kind that it wants, on a GPU of any model.
    pub(crate) places: Vec<u128>,
}
