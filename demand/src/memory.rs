//! What was found out about GPUs, by this look or by those before it, for as long as there are GPUs in the same state.
//!
//! What the GPUs of a node can be cut into follows from their state and from what is wanted, and takes longer to find out than
//! everything else. Most nodes are as they were a moment ago, and most jobs want what others want.

use std::collections::HashMap;
use std::rc::Rc;

use crate::cluster::Model;
use crate::job::Want;
use crate::offer::{Board, Offer, Regions};

/// What whoever looks again keeps, so that the next look takes less time. It changes no answer, and may be dropped at any
/// time.
#[derive(Debug, Default)]
pub struct Memory {
    models: Vec<Model>,
    boards: HashMap<Rc<Board>, usize>,
    wants: HashMap<Vec<Want>, usize>,
    offers: HashMap<(usize, usize, Regions), Option<Rc<Offer>>>,
}

/// Most offers that are kept from one look to the next, of some 100 bytes each.
const MOST_OFFERS: usize = 1 << 18;
/// Most boards that are kept from one look to the next, of a kilobyte each where they have eight GPUs.
const MOST_BOARDS: usize = 1 << 15;
/// Most different requests that are kept from one look to the next: users make them up.
const MOST_WANTS: usize = 1 << 14;

impl Memory {
    /// Forgets what is of other models, or more than is kept.
    pub(crate) fn begin(&mut self, models: &[Model]) {
        let full = self.offers.len() > MOST_OFFERS
            || self.boards.len() > MOST_BOARDS
            || self.wants.len() > MOST_WANTS;
        if full || self.models != models {
            *self = Memory { models: models.to_vec(), ..Memory::default() };
        }
    }

    /// The number of what is wanted of a node.
    pub(crate) fn want(&mut self, want: &[Want]) -> usize {
        if let Some(number) = self.wants.get(want) {
            return *number;
        }
        let number = self.wants.len();
        self.wants.insert(want.to_vec(), number);
        number
    }

    /// A board, and its number.
    pub(crate) fn board(&mut self, board: Board) -> (Rc<Board>, usize) {
        if let Some((board, number)) = self.boards.get_key_value(&board) {
            return (Rc::clone(board), *number);
        }
        let (board, number) = (Rc::new(board), self.boards.len());
        self.boards.insert(Rc::clone(&board), number);
        (board, number)
    }

    /// The cheapest way to have what is wanted of a board; `None` if there is none.
    pub(crate) fn offer(
        &mut self,
        (board, board_number): (&Board, usize),
        (want, want_number): (&[Want], usize),
        regions: Regions,
    ) -> Option<Rc<Offer>> {
        let Memory { models, offers, .. } = self;
        let found = offers.entry((board_number, want_number, regions));
        found.or_insert_with(|| board.offer(models, want, regions).map(Rc::new)).clone()
    }
}
