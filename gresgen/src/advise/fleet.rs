//! Groups of equal nodes: the GPUs of one model that each has, and how they are cut now.

use advice::kinds::{Cut, Kinds};
use advice::layout::{Fleet, Layout};
use mig::{Attribute, Board, Geometry};

use super::error::AdviseError;
use crate::alike;
use crate::config::is_model;
use crate::inventory::{Gpu, Inventory};
use crate::slurm::hostlist;

/// Equal nodes, as far as GPUs of one model go.
#[derive(Clone, Debug)]
pub struct Group {
    /// Product name of the GPUs.
    pub product: String,
    /// Slurm's names of the nodes.
    pub nodes: Vec<String>,
    /// NVML indexes of these GPUs on each node.
    pub gpus: Vec<u32>,
    /// What one can be cut into.
    pub geometry: Geometry,
    /// What one can be given out as.
    pub kinds: Kinds,
    /// How they are cut; `None` where that is not known.
    pub present: Option<Layout>,
    /// Of each node, how its GPUs are cut.
    cuts: Vec<Vec<(Cut, u32)>>,
}

/// GPUs of one node, at most: Slurm's own limit on records is 1,024, and no server has more than some dozens.
const MOST_GPUS: u32 = 64;

impl Group {
    /// How many there are.
    pub fn fleet(&self) -> Fleet {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Fleet { nodes: count(self.nodes.len()), gpus: count(self.gpus.len()) }
    }

    /// Nodes that are not there: `gpu[01-16]=8xa100-40gb`.
    ///
    /// # Errors
    /// [`AdviseError`], which names what is wrong.
    pub fn parse(text: &str) -> Result<Self, AdviseError> {
        let form = || AdviseError::Form(text.to_owned());
        let (names, gpus) = text.split_once('=').ok_or_else(form)?;
        let (count, model) = gpus.split_once('x').ok_or_else(form)?;
        let count = count.parse().ok().filter(|count| (1..=MOST_GPUS).contains(count)).ok_or_else(form)?;
        let board = mig::BOARDS.iter().find(|board| is_model(model, board));
        let board = board.ok_or_else(|| AdviseError::Model(model.to_owned()))?;
        let geometry = Board::geometry(board);
        let product = board.names.first().copied().unwrap_or(board.key);
        let none = Group::new(product, (0..count).collect(), geometry, board.memory_mib.unwrap_or(0));
        Ok(Group { nodes: hostlist::expand(names)?, ..none })
    }

    /// No node yet.
    fn new(product: &str, gpus: Vec<u32>, geometry: Geometry, memory_mib: u64) -> Self {
        let kinds = kinds(&geometry, memory_mib);
        let (product, nodes, cuts) = (product.to_owned(), Vec::new(), Vec::new());
        Group { product, nodes, gpus, geometry, kinds, present: None, cuts }
    }

    fn matches(&self, product: &str, gpus: &[u32], geometry: &Geometry) -> bool {
        self.product == product && self.gpus == gpus && self.geometry == *geometry
    }
}

/// Groups of the nodes of these inventories. GPUs without MIG are left out.
pub fn groups(inventories: &[Inventory]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for inventory in inventories {
        for gpus in alike::groups(&inventory.gpus, |one, other| one.model == other.model) {
            let product = &gpus[0].model;
            let Some(geometry) = geometry(gpus[0]) else { continue };
            let indexes: Vec<u32> = gpus.iter().map(|gpu| gpu.index).collect();
            let known = groups.iter().position(|group| group.matches(product, &indexes, &geometry));
            let at = known.unwrap_or_else(|| {
                groups.push(Group::new(product, indexes, geometry, gpus[0].memory_mib));
                groups.len() - 1
            });
            let group = &mut groups[at];
            group.nodes.push(inventory.node.clone());
            let cuts = node(&group.kinds, &group.geometry, &gpus);
            group.cuts.push(cuts);
        }
    }
    for group in &mut groups {
        group.present = Some(Layout::of_nodes(group.cuts.clone()));
    }
    groups
}

/// A driver may tell the geometry with MIG on alone; then the table of the model has it.
fn geometry(gpu: &Gpu) -> Option<Geometry> {
    if !gpu.geometry.specs.is_empty() {
        return Some(gpu.geometry.clone());
    }
    mig::BOARDS.iter().find(|board| is_model(&gpu.model, board)).map(Board::geometry)
}

/// Slices with media engines are among them, for jobs that ask for one by name.
fn kinds(geometry: &Geometry, memory_mib: u64) -> Kinds {
    let special = geometry.specs.iter().map(|spec| spec.profile);
    let special: Vec<_> = special.filter(|profile| profile.attribute() == Attribute::Me).collect();
    Kinds::new(geometry, memory_mib, &special)
}

/// How the GPUs of a node are cut, equal ones together.
fn node(kinds: &Kinds, geometry: &Geometry, gpus: &[&Gpu]) -> Vec<(Cut, u32)> {
    let cut = |gpu: &&Gpu| {
        if !gpu.mode.is_on() {
            return kinds.uncut();
        }
        let mut cut = vec![0; kinds.all.len()];
        let instances = gpu.instances.iter().filter_map(|i| kinds.of(i.placement.profile, geometry));
        instances.for_each(|kind| cut[kind] += 1);
        cut
    };
    let count = |group: Vec<Cut>| (group[0].clone(), group.len() as u32);
    let equal = alike::groups(gpus.iter().map(cut), |one, other| one == other);
    let mut cuts: Vec<(Cut, u32)> = equal.into_iter().map(count).collect();
    cuts.sort_unstable_by(|a, b| b.cmp(a));
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_named_with_their_gpus() {
        let group = Group::parse("gpu[01-16]=8xa100-40gb").unwrap();
        assert_eq!((group.fleet(), group.nodes[15].as_str()), (Fleet { nodes: 16, gpus: 8 }, "gpu16"));
        assert_eq!(group.product, "NVIDIA A100-SXM4-40GB");
        for (text, said) in [
            ("gpu01", "\"gpu01\": not nodes with their GPUs, such as gpu[01-16]=8xa100-40gb"),
            (
                "gpu01=0xa100-40gb",
                "\"gpu01=0xa100-40gb\": not nodes with their GPUs, such as gpu[01-16]=8xa100-40gb",
            ),
            ("gpu01=8xv100", "v100: no such GPU model"),
        ] {
            assert_eq!(Group::parse(text).unwrap_err().to_string(), said);
        }
        assert!(Group::parse("gpu[=8xa100-40gb").is_err());
    }
}
