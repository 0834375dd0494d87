//! What there is: nodes, their GPUs, and the instances on them.

use std::fmt;

use mig::{Geometry, Placement, Profile};

use crate::masks::Masks;

/// Every node that is asked about.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What GPUs are; [`Gpu::model`] is a position here.
    pub models: Vec<Model>,
    /// The nodes, in the order in which Slurm takes them where it does not matter.
    pub nodes: Vec<Node>,
    /// Sets of nodes, each as ascending positions in `nodes`, that jobs may run on; [`Share::set`](crate::Share::set) is a
    /// position here. Nodes that a job cannot use for its features, partition or reservation are not in its set.
    pub sets: Vec<Vec<usize>>,
}

/// GPUs that can be cut into the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub(crate) masks: Masks,
    /// Largest first.
    pub(crate) menu: Vec<Profile>,
    /// Of each on the menu, its places.
    offered: Vec<u128>,
    pub(crate) default: u128,
}

/// Why there is no such model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelError {
    /// The menu names a profile that the GPU does not have.
    Unknown(Profile),
    /// The default cut has instances that are not on the menu or cannot stand together.
    Default,
    /// The GPU has more places than can be told apart here: 128.
    TooManyPlaces,
    /// The menu is empty, or names more profiles than are compared here: 16.
    Menu,
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelError::Unknown(profile) => write!(f, "the GPU has no profile {profile}"),
            ModelError::Default => f.write_str("the default cut cannot be made of the menu"),
            ModelError::TooManyPlaces => f.write_str("the GPU has more than 128 places for instances"),
            ModelError::Menu => f.write_str("the menu has no profile, or more than 16"),
        }
    }
}

impl std::error::Error for ModelError {}

impl Model {
    /// A model with the profiles on offer, and what its GPUs are cut into while nobody wants otherwise: an empty `default` leaves
    /// them as they are.
    ///
    /// # Errors
    /// The menu or the default cut is not the GPU's.
    pub fn new(geometry: &Geometry, menu: &[Profile], default: &[Placement]) -> Result<Self, ModelError> {
        let mut menu = menu.to_vec();
        menu.sort_unstable_by(|a, b| b.cmp(a));
        menu.dedup();
        if let Some(&unknown) = menu.iter().find(|p| !geometry.specs.iter().any(|s| s.profile == **p)) {
            return Err(ModelError::Unknown(unknown));
        }
        if menu.is_empty() || menu.len() > 16 {
            return Err(ModelError::Menu);
        }
        if !geometry.legal(default) || default.iter().any(|p| !menu.contains(&p.profile)) {
            return Err(ModelError::Default);
        }
        let masks = Masks::new(geometry).ok_or(ModelError::TooManyPlaces)?;
        let default = masks.of(default).ok_or(ModelError::Default)?;
        let offered = menu.iter().map(|&profile| masks.profile(profile)).collect();
        Ok(Model { masks, menu, offered, default })
    }

    /// The places of a profile; all where it does not matter.
    pub(crate) fn places(&self, profile: Option<Profile>) -> u128 {
        profile.map_or(u128::MAX, |profile| self.masks.profile(profile))
    }

    /// Every place of the profiles on the menu.
    pub(crate) fn offered(&self) -> u128 {
        self.offered.iter().fold(0, |all, places| all | places)
    }

    /// What the rest of a region is cut into beside these places: as the default cut has it, and what that leaves, as where it is
    /// one instance of all the GPU, into the smallest on the menu.
    pub(crate) fn rest(&self, present: u128) -> u128 {
        let default = self.masks.filling(self.default, present);
        let smallest = self.offered.last().copied().unwrap_or_default();
        default | self.masks.filling(smallest, present | default)
    }

    /// How many of each profile on the menu still fit beside these places, each taken alone and packed: the largest profile in
    /// the highest of sixteen bytes, each of which has room for the sum over thirty GPUs.
    pub(crate) fn room(&self, mask: u128) -> u128 {
        let fit = |&profile: &u128| u128::from(self.masks.filling(profile, mask).count_ones());
        self.offered
            .iter()
            .zip((0..16u32).rev())
            .fold(0, |packed, (profile, lane)| packed | fit(profile) << (8 * lane))
    }
}

/// Cores and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// Cores, as Slurm counts CPUs.
    pub cpus: u32,
    /// Memory, in MiB.
    pub memory_mib: u64,
}

impl Resources {
    /// Whether these are no more than `other`.
    pub fn within(self, other: Resources) -> bool {
        self.cpus <= other.cpus && self.memory_mib <= other.memory_mib
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in Slurm.
    pub name: String,
    /// Its GPUs. One that is not on request is [`Gpu::fixed`].
    pub gpus: Vec<Gpu>,
    /// Whether Slurm starts jobs on it: neither down nor drained.
    pub usable: bool,
    /// Cores and memory that no job has.
    pub free: Resources,
    /// Cores and memory that would be free if all jobs that have slices had ended.
    pub reachable: Resources,
    /// An order is being carried out: nothing more is ordered, and what it will make is [`State::Coming`].
    pub underway: bool,
    /// How often it was cut during the last hour.
    pub cuts: u32,
    /// It refused to be cut, and is left alone with it for now: nothing is cut there, nor closed for a cut.
    pub refuses: bool,
}

/// A GPU.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// Position in [`Cluster::models`].
    pub model: usize,
    /// Its slices are given out as they are; it is never cut.
    pub fixed: bool,
    /// What is on it.
    pub instances: Vec<Instance>,
}

/// A GPU instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What it is, and where.
    pub placement: Placement,
    /// Who has it.
    pub state: State,
    /// Slurm does not give it out.
    pub closed: bool,
    /// When it was made or last given back; `None`: longer ago than matters.
    pub since: Option<u64>,
}

/// Who has an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody.
    Idle,
    /// A job or anybody else. What cannot be read counts as this.
    Busy {
        /// When it will be given back at the latest; `None` where that is not known.
        until: Option<u64>,
    },
    /// An order under way makes it.
    Coming,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mig::BOARDS;

    #[test]
    fn room_is_what_the_planner_says() {
        for board in BOARDS.iter().filter(|board| !board.rows.is_empty()) {
            let geometry = board.geometry();
            let menu: Vec<Profile> = geometry.specs.iter().map(|spec| spec.profile).take(16).collect();
            let model = Model::new(&geometry, &menu, &[]).unwrap();
            let places: Vec<Placement> = geometry.placements().collect();
            for (n, &a) in places.iter().enumerate() {
                let b = places[(n * 7 + 3) % places.len()];
                let held = if geometry.legal(&[a, b]) { vec![a, b] } else { vec![a] };
                let packed = model.room(model.masks.of(&held).unwrap());
                let room = mig::room(&geometry, &held);
                for (lane, profile) in (0..16u32).rev().zip(&model.menu) {
                    let fit = packed >> (8 * lane) & 0xff;
                    assert_eq!(fit, u128::from(room[profile]), "{} {held:?} {profile}", board.key);
                }
            }
        }
    }
}
