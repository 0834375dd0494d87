//! What was found out about GPUs, by this look or by those before it, for as long as there are GPUs in the same state.
//!
//! What the GPUs of a node can be cut into follows from their state and from what is wanted, and takes longer to find out than
//! everything else. Most nodes are as they were a moment ago, and most jobs want what others want.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::cluster::Model;
use crate::job::Want;
use crate::offer::{Board, Offer, Regions};

/// What whoever looks again keeps, so that the next look takes less time. It changes no answer, and may be dropped at any
/// time.
#[derive(Debug, Default)]
pub struct Memory {
    /// Models of boards, each at a position of its own for as long as boards of it are kept.
    models: Vec<Model>,
    /// Where the models of this look are among them.
    known: Vec<usize>,
    /// Boards, of which the seats name models by their position here, with their numbers.
    boards: HashMap<Rc<Board>, usize>,
    /// The number of the next board.
    next: usize,
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
    /// Makes these the models of the look. Forgets what is more than is kept, and where one of them is new what is of models that are
    /// gone: of all others nothing is to be found out anew.
    pub(crate) fn begin(&mut self, models: &[Model]) {
        let full = self.offers.len() > MOST_OFFERS
            || self.boards.len() > MOST_BOARDS
            || self.wants.len() > MOST_WANTS;
        if full {
            *self = Memory::default();
        }
        let mut free = Vec::new();
        if models.iter().any(|model| !self.models.contains(model)) {
            free = (0..self.models.len()).filter(|at| !models.contains(&self.models[*at])).collect();
            self.forget(&free);
        }
        self.known.clear();
        for model in models {
            let known = self.models.iter().position(|other| other == model);
            let at = known.unwrap_or_else(|| match free.pop() {
                Some(at) => {
                    self.models[at] = model.clone();
                    at
                }
                None => {
                    self.models.push(model.clone());
                    self.models.len() - 1
                }
            });
            self.known.push(at);
        }
    }

    /// Forgets boards that have one of these models, and what was found out of them.
    fn forget(&mut self, models: &[usize]) {
        let Memory { boards, offers, .. } = self;
        let before = boards.len();
        boards.retain(|board, _| !board.seats.iter().any(|seat| models.contains(&seat.model)));
        if boards.len() < before {
            let left: HashSet<usize> = boards.values().copied().collect();
            offers.retain(|(board, ..), _| left.contains(board));
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

    /// A board whose seats name models of this look, as it is kept, and its number.
    pub(crate) fn board(&mut self, mut board: Board) -> (Rc<Board>, usize) {
        board.seats.iter_mut().for_each(|seat| seat.model = self.known[seat.model]);
        if let Some((board, number)) = self.boards.get_key_value(&board) {
            return (Rc::clone(board), *number);
        }
        let (board, number) = (Rc::new(board), self.next);
        self.next += 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::Seat;
    use mig::{BOARDS, Profile};

    fn model(name: &str) -> Model {
        let board = BOARDS.iter().find(|board| board.key == "a100-40gb").unwrap();
        Model::new(&board.geometry(), &[name.parse::<Profile>().unwrap()], &[]).unwrap()
    }

    fn board(model: usize) -> Board {
        let seat = Seat { model, cuttable: true, open: 0, closed: 0, stays: 0, busy: 0, ends: Vec::new() };
        Board { seats: vec![seat], now: 0 }
    }

    #[test]
    fn another_model_makes_nothing_forgotten_of_those_that_stay() {
        let [one, two, three] = ["1g.5gb", "2g.10gb", "3g.20gb"].map(model);
        let mut memory = Memory::default();
        memory.begin(&[one.clone(), two.clone()]);
        let numbers = [memory.board(board(0)).1, memory.board(board(1)).1];
        let want = [Want { profile: Some("2g.10gb".parse().unwrap()), count: 1 }];
        let offers = |memory: &mut Memory, at: usize| {
            let (board, number) = memory.board(board(at));
            let count = memory.offers.len();
            let is_there = memory.offer((&board, number), (&want, 0), Regions::Idle).is_some();
            (is_there, memory.offers.len() - count)
        };
        assert_eq!([offers(&mut memory, 0), offers(&mut memory, 1)], [(false, 1), (true, 1)]);
        // A third comes, before those that stay, and the first goes.
        memory.begin(&[three.clone(), two.clone()]);
        assert_eq!(memory.board(board(1)).1, numbers[1]);
        assert_eq!([offers(&mut memory, 1), offers(&mut memory, 0)], [(true, 0), (false, 1)]);
        assert!(!numbers.contains(&memory.board(board(0)).1));
        for name in ["1g.5gb", "4g.20gb", "7g.40gb", "3g.20gb"] {
            memory.begin(&[model(name), two.clone()]);
            assert_eq!((offers(&mut memory, 1), memory.models.len()), ((true, 0), 2));
        }
        assert_eq!(memory.boards.len(), 1);
    }
}
