//! Layouts to begin with.

use mig::{Attribute, Demand, Geometry, Spec};

use crate::config::written::{self, LayoutEntry};
use crate::inventory::{Gpu, Inventory, Mode};

/// What the layout that is meant is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LayoutOf {
    /// What the GPUs hold now
    Current,
    // Seven of an A100, four of an A30.
    /// As many of the smallest slices as fit
    #[value(name = "7x1g")]
    Smallest,
    /// Half of each GPU, half of the rest, and the smallest
    Balanced,
}

impl LayoutOf {
    /// All of them, in the order they are written.
    pub(crate) const ALL: [LayoutOf; 3] = [LayoutOf::Current, LayoutOf::Smallest, LayoutOf::Balanced];

    pub(crate) fn label(self) -> &'static str {
        match self {
            LayoutOf::Current => "current",
            LayoutOf::Smallest => "7x1g",
            LayoutOf::Balanced => "balanced",
        }
    }

    /// What it is, as a sentence of a comment.
    pub(crate) fn what(self) -> &'static str {
        match self {
            LayoutOf::Current => "What the GPUs were when this file was made.",
            LayoutOf::Smallest => "As many of the smallest slices as each GPU holds.",
            LayoutOf::Balanced => "Half of each GPU, half of the rest, and the smallest ones.",
        }
    }

    /// The one that is meant where nobody says: what is there is kept, and whole GPUs are cut into sizes for everybody.
    pub(crate) fn default_for(inventory: &Inventory) -> LayoutOf {
        match inventory.devices().next() {
            Some(_) => LayoutOf::Current,
            None => LayoutOf::Balanced,
        }
    }

    /// The entries of the label; a GPU that cannot be cut is in none and stays as it is.
    pub(crate) fn entries(self, inventory: &Inventory) -> Vec<LayoutEntry> {
        let gpus: Vec<&Gpu> = inventory.gpus.iter().filter(|gpu| can_be_cut(gpu)).collect();
        let content = |gpu: &Gpu| match self {
            LayoutOf::Current => written::content_of(gpu),
            LayoutOf::Smallest => Some(smallest(&gpu.geometry)),
            LayoutOf::Balanced => Some(balanced(&gpu.geometry)),
        };
        let entries = written::fold(gpus.iter().map(|gpu| (gpu.index, content(gpu))));
        match &entries[..] {
            // A GPU that is added, or whose index changes, is like the others.
            [only] if only.gpus.len() == inventory.gpus.len() => {
                vec![LayoutEntry { gpus: Vec::new(), content: only.content.clone() }]
            }
            _ => entries,
        }
    }
}

/// Whether this program can cut a GPU, and knows into what.
pub(crate) fn can_be_cut(gpu: &Gpu) -> bool {
    gpu.mode != Mode::Unsupported && !gpu.guest && !gpu.geometry.specs.is_empty()
}

/// The instance of so many slices with the least memory and no more engines than its share.
fn plain(geometry: &Geometry, slices: u8) -> Option<&Spec> {
    let fits = |spec: &&Spec| {
        let profile = spec.profile;
        profile.slices() == slices && profile.compute().is_none() && profile.attribute() == Attribute::None
    };
    geometry.specs.iter().filter(fits).min_by_key(|spec| spec.profile)
}

fn smallest(geometry: &Geometry) -> Demand {
    let spec = plain(geometry, 1).or_else(|| geometry.specs.iter().min_by_key(|spec| spec.profile));
    spec.map(|spec| (spec.profile, u32::from(spec.max))).into_iter().collect()
}

/// That of NVIDIA's mig-parted where it has one of this name: 3g, 2g and two 1g of an A100, 2g and two 1g of an A30
/// (deployments/systemd/config-default.yaml, `all-balanced`).
fn balanced(geometry: &Geometry) -> Demand {
    let mut demand = Demand::new();
    let mut left = geometry.slices;
    while left > 0 {
        let slices = (left / 2).max(1);
        let Some(spec) = plain(geometry, slices) else { return smallest(geometry) };
        *demand.entry(spec.profile).or_default() += 1;
        left -= slices;
    }
    demand
}

#[cfg(test)]
mod tests {
    use mig::{Goal, GpuState, Want, plan};

    use super::*;

    /// Every board that is known, empty: what is written must be possible on all of them.
    #[test]
    fn each_board_can_be_cut_so() {
        for board in mig::BOARDS {
            let geometry = board.geometry();
            for demand in [smallest(&geometry), balanced(&geometry)] {
                let gpu = GpuState { geometry: &geometry, busy: Vec::new(), idle: Vec::new() };
                let goal = Goal { gpus: vec![0], want: Want::Exactly(demand.clone()) };
                let planned = plan(&[gpu], &[goal]);
                assert!(planned.is_ok() && !demand.is_empty(), "{}: {demand:?}: {planned:?}", board.key);
            }
        }
    }

    #[test]
    fn balanced_is_that_of_mig_parted() {
        let text = |key: &str| {
            let board = mig::BOARDS.iter().find(|board| board.key == key).unwrap();
            let demand = balanced(&board.geometry());
            demand
                .iter()
                .rev()
                .map(|(profile, count)| format!("{count} x {profile}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        assert_eq!(text("a100-40gb"), "1 x 3g.20gb, 1 x 2g.10gb, 2 x 1g.5gb");
        assert_eq!(text("a30-24gb"), "1 x 2g.12gb, 2 x 1g.6gb");
        assert_eq!(text("h100-80gb-sxm"), "1 x 3g.40gb, 1 x 2g.20gb, 2 x 1g.10gb");
    }
}
