//! Which GPUs of which nodes are cut how.

use crate::kinds::{Cut, KindIndex, Kinds};

/// Nodes of a group that are cut alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    /// How many GPUs are cut how; all GPUs of a node together.
    pub gpus: Vec<(Cut, u32)>,
    /// Nodes.
    pub nodes: u32,
}

/// A layout of a group of equal nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Nodes that are cut alike, together all nodes of the group.
    pub patterns: Vec<Pattern>,
}

/// Equal nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Nodes.
    pub nodes: u32,
    /// GPUs of each.
    pub gpus: u32,
}

impl Fleet {
    /// GPUs of all nodes.
    pub fn total(self) -> u32 {
        self.nodes * self.gpus
    }
}

/// GPUs that are cut alike, together all GPUs of a group, wherever they are.
pub type Shares = Vec<(Cut, u32)>;

impl Layout {
    /// Every GPU cut alike.
    pub fn uniform(fleet: Fleet, cut: Cut) -> Self {
        Layout { patterns: vec![Pattern { gpus: vec![(cut, fleet.gpus)], nodes: fleet.nodes }] }
    }

    /// GPUs that are cut alike beside each other: as few nodes as can be have GPUs of several sorts. Whole GPUs come
    /// first, in the order of `shares` for the rest. Good for jobs that want several GPUs of a node, and jobs that wait for one kind keep those
    /// of another off few nodes.
    pub fn together(fleet: Fleet, shares: &Shares) -> Self {
        let mut rest = shares.clone();
        let mut nodes: Vec<Vec<(Cut, u32)>> = Vec::new();
        for _ in 0..fleet.nodes {
            let mut free = fleet.gpus;
            let mut gpus = Vec::new();
            for (cut, count) in &mut rest {
                let taken = free.min(*count);
                if taken > 0 {
                    gpus.push((cut.clone(), taken));
                    *count -= taken;
                    free -= taken;
                }
            }
            nodes.push(gpus);
        }
        Layout::of_nodes(nodes)
    }

    /// Every node as much like the others as can be.
    pub fn spread(fleet: Fleet, shares: &Shares) -> Self {
        let mut nodes: Vec<Vec<(Cut, u32)>> = vec![Vec::new(); fleet.nodes as usize];
        let mut filled = 0;
        for (cut, count) in shares {
            // One GPU after the other, to each node in turn.
            for number in filled..filled + count {
                let node = &mut nodes[(number % fleet.nodes) as usize];
                match node.last_mut() {
                    Some((last, gpus)) if last == cut => *gpus += 1,
                    _ => node.push((cut.clone(), 1)),
                }
            }
            filled += count;
        }
        Layout::of_nodes(nodes)
    }

    /// From nodes one by one.
    pub fn of_nodes(nodes: Vec<Vec<(Cut, u32)>>) -> Self {
        let mut patterns: Vec<Pattern> = Vec::new();
        for gpus in nodes {
            match patterns.iter_mut().find(|pattern| pattern.gpus == gpus) {
                Some(pattern) => pattern.nodes += 1,
                None => patterns.push(Pattern { gpus, nodes: 1 }),
            }
        }
        Layout { patterns }
    }

    /// GPUs that are cut alike, wherever they are.
    pub fn shares(&self) -> Shares {
        let mut shares: Shares = Vec::new();
        for (pattern, (cut, count)) in self.patterns.iter().flat_map(|p| p.gpus.iter().map(move |g| (p, g))) {
            match shares.iter_mut().find(|(other, _)| other == cut) {
                Some((_, total)) => *total += count * pattern.nodes,
                None => shares.push((cut.clone(), count * pattern.nodes)),
            }
        }
        shares
    }

    /// Slots of a kind on every node, in the order of the patterns.
    pub fn slots(&self, kind: KindIndex) -> Vec<u32> {
        let of = |pattern: &Pattern| pattern.gpus.iter().map(|(cut, count)| cut[kind] * count).sum::<u32>();
        self.patterns.iter().flat_map(|p| std::iter::repeat_n(of(p), p.nodes as usize)).collect()
    }

    /// Slots of a kind on all nodes.
    pub fn total(&self, kind: KindIndex) -> u32 {
        self.slots(kind).iter().sum()
    }

    /// Whether every GPU is left whole.
    pub fn is_whole(&self, kinds: &Kinds) -> bool {
        let cuts = self.patterns.iter().flat_map(|pattern| &pattern.gpus);
        cuts.into_iter().all(|(cut, count)| *count == 0 || *cut == kinds.uncut())
    }

    /// The nodes one by one, each with its slots of every kind.
    pub fn nodes(&self, kinds: &Kinds) -> Vec<Vec<u32>> {
        let pools: Vec<Vec<u32>> = (0..kinds.all.len()).map(|kind| self.slots(kind)).collect();
        let nodes = pools.first().map_or(0, Vec::len);
        (0..nodes).map(|node| pools.iter().map(|pool| pool[node]).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> Shares {
        vec![(vec![0, 1], 5), (vec![7, 0], 3)]
    }

    #[test]
    fn alike_gpus_are_put_together_or_spread() {
        let fleet = Fleet { nodes: 2, gpus: 4 };
        let together = Layout::together(fleet, &shares());
        assert_eq!((together.slots(0), together.slots(1)), (vec![0, 21], vec![4, 1]));
        let spread = Layout::spread(fleet, &shares());
        assert_eq!((spread.slots(0), spread.slots(1)), (vec![7, 14], vec![3, 2]));
        assert_eq!((spread.total(0), spread.total(1)), (21, 5));
        assert_eq!(together.shares(), shares());
    }

    #[test]
    fn equal_nodes_are_one_pattern() {
        let fleet = Fleet { nodes: 100, gpus: 8 };
        let layout = Layout::together(fleet, &vec![(vec![0, 1], 403), (vec![7, 0], 397)]);
        assert_eq!(layout.patterns.iter().map(|p| p.nodes).collect::<Vec<_>>(), [50, 1, 49]);
        assert_eq!(layout.total(1), 403);
        assert_eq!(Layout::uniform(fleet, vec![7, 0]).total(0), 5600);
    }
}
