//! Layouts changed GPU by GPU, as long as the replay says that jobs wait less.
//!
//! The search in `search` takes kinds for independent. Under Slurm's backfill they are not: a job that waits keeps those of
//! other kinds off its node, so that it matters which node has what, and how many slots are to spare of which kind.

use replay::Rules;

use crate::demand::{Class, Request};
use crate::judge::total_below;
use crate::kinds::{Cut, Kinds};
use crate::layout::Layout;
use crate::random::Random;

/// How the GPUs of one node are cut.
type Node = Vec<(Cut, u32)>;

/// Whom a layout is to serve.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) kinds: &'a Kinds,
    pub(crate) rules: Rules,
    pub(crate) classes: &'a [Class],
    /// Samples of the jobs.
    pub(crate) samples: &'a [Vec<Request>],
    /// Cuts to choose from.
    pub(crate) cuts: &'a [Cut],
    pub(crate) seed: u64,
}

/// A change of a layout: on one node a GPU gets another cut, or two nodes exchange GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    node: usize,
    from: usize,
    to: usize,
    /// The node that gets what this one gives.
    with: Option<usize>,
}

impl Task<'_> {
    /// What the jobs of all samples wait together, in seconds; `None` where it is not below `most`.
    fn cost(&self, nodes: &[Node], most: f64, budget: &mut usize) -> Option<f64> {
        let layout = Layout::of_nodes(nodes.to_vec());
        let mut total = 0.0;
        for jobs in self.samples {
            *budget = budget.saturating_sub(jobs.len());
            total += total_below(self.kinds, self.rules, &layout, self.classes, jobs, most - total)?;
        }
        Some(total)
    }

    /// From a layout, takes whatever change helps, until none does or `budget` jobs were replayed.
    pub(crate) fn refine(&self, layout: &Layout, mut budget: usize) -> Layout {
        let mut nodes: Vec<Node> = layout
            .patterns
            .iter()
            .flat_map(|pattern| std::iter::repeat_n(pattern.gpus.clone(), pattern.nodes as usize))
            .collect();
        let Some(mut best) = self.cost(&nodes, f64::INFINITY, &mut budget) else { return layout.clone() };
        let mut moves = self.moves(nodes.len());
        let mut random = Random::new(self.seed);
        (1..moves.len()).rev().for_each(|at| moves.swap(at, random.below(at + 1)));
        let mut in_vain = 0;
        for change in moves.iter().cycle() {
            if in_vain == moves.len() || budget == 0 || best == 0.0 {
                break;
            }
            in_vain += 1;
            let Some(changed) = self.changed(&nodes, *change) else { continue };
            if let Some(cost) = self.cost(&changed, best, &mut budget) {
                (nodes, best, in_vain) = (changed, cost, 0);
            }
        }
        Layout::of_nodes(nodes)
    }

    fn moves(&self, nodes: usize) -> Vec<Move> {
        let cuts = self.cuts.len();
        let pairs = (0..cuts).flat_map(move |from| (0..cuts).map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, to)| from != to);
        let of = |(from, to): (usize, usize)| {
            (0..nodes).flat_map(move |node| {
                let others = (node + 1..nodes).map(Some);
                std::iter::once(None).chain(others).map(move |with| Move { node, from, to, with })
            })
        };
        pairs.flat_map(of).collect()
    }

    /// `None` where no GPU is cut so.
    fn changed(&self, nodes: &[Node], Move { node, from, to, with }: Move) -> Option<Vec<Node>> {
        let (from, to) = (&self.cuts[from], &self.cuts[to]);
        let mut nodes = nodes.to_vec();
        recut(&mut nodes[node], from, to)?;
        with.map_or(Some(()), |other| recut(&mut nodes[other], to, from))?;
        Some(nodes)
    }
}

/// Cuts one GPU of a node otherwise; `None` where none is cut like `from`. Large slices stay first, so that equal nodes look
/// equal.
fn recut(node: &mut Node, from: &Cut, to: &Cut) -> Option<()> {
    let at = node.iter().position(|(cut, _)| cut == from)?;
    node[at].1 -= 1;
    node.retain(|(_, count)| *count > 0);
    match node.iter_mut().find(|(cut, _)| cut == to) {
        Some((_, count)) => *count += 1,
        None => node.push((to.clone(), 1)),
    }
    node.sort_unstable_by(|(a, _), (b, _)| a.iter().rev().cmp(b.iter().rev()).reverse());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::judge;
    use crate::layout::Fleet;
    use crate::synthetic::Mix;
    use mig::Board;

    #[test]
    fn a_layout_gets_better_within_its_nodes_and_is_the_same_again() {
        let kinds = Kinds::new(&Board::by_key("a100-40gb").unwrap().geometry(), 40960, &[]);
        let fleet = Fleet { nodes: 2, gpus: 2 };
        let weights = vec![(0, 0.5), (3, 0.4), (kinds.whole(), 0.1)];
        let mix = Mix { weights: [weights.clone(), weights], median: 900.0, sigma: 1.0, longest: 36_000 };
        let demand = mix.jobs(&kinds, fleet, 0.7, 400, 5);
        let cuts = kinds.cuts_of(|kind| [0, 3, kinds.whole()].contains(&kind));
        let task = Task {
            kinds: &kinds,
            rules: Rules::default(),
            classes: &demand.classes,
            samples: std::slice::from_ref(&demand.jobs),
            cuts: &cuts,
            seed: 3,
        };
        let whole = Layout::uniform(fleet, kinds.uncut());
        let refined = task.refine(&whole, usize::MAX);
        let cost =
            |layout: &Layout| judge(&kinds, Rules::default(), layout, &demand.classes, &demand.jobs).cost();
        assert!(cost(&refined) < cost(&whole) / 5.0, "{} {}", cost(&refined), cost(&whole));
        assert_eq!(refined, task.refine(&whole, usize::MAX));
        let gpus =
            |pattern: &crate::layout::Pattern| pattern.gpus.iter().map(|(_, count)| count).sum::<u32>();
        assert!(refined.patterns.iter().all(|pattern| gpus(pattern) == fleet.gpus));
        // No single change helps any more.
        let nodes: Vec<Node> = refined
            .patterns
            .iter()
            .flat_map(|p| std::iter::repeat_n(p.gpus.clone(), p.nodes as usize))
            .collect();
        let changed = task.moves(nodes.len()).into_iter().filter_map(|change| task.changed(&nodes, change));
        assert!(changed.into_iter().all(|nodes| cost(&Layout::of_nodes(nodes)) >= cost(&refined)));
        // Nothing is looked at without a budget.
        assert_eq!(task.refine(&whole, 0), whole);
    }
}
