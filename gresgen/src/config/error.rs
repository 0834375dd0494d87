//! What can be wrong with a configuration, and where.

use std::fmt;

use device_map::MAX_RECORDS;
use mig::{Infeasible, Placement, Profile, ProfileError};
use thiserror::Error;

use super::snippet::{Mark, Source};
use crate::slurm::settings::Fault;
use crate::words::did_you_mean_of;

/// A mistake in a configuration file, or something it asks for that this node cannot be.
#[derive(Clone, Debug)]
pub struct ConfigError {
    place: Box<Place>,
    pub problem: Problem,
}

/// Where it is wrong, and what the node's GPUs are called.
#[derive(Clone, Debug)]
struct Place {
    position: String,
    snippet: Option<String>,
    /// Index of each GPU, for problems that name them by position.
    indexes: Vec<usize>,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, Error)]
pub enum Problem {
    /// Not YAML, or not of this grammar.
    #[error("{0}")]
    Yaml(String),
    /// `version` is not one this program reads.
    #[error("version {0:?} is not known, write v1")]
    Version(String),
    /// A label without entries.
    #[error("label {0:?} has no entries")]
    EmptyLabel(String),
    /// A label that is not there.
    #[error("no label {label:?} in mig-configs{} only {}", did_you_mean_of(.label, .known.iter().map(String::as_str)), list(.known))]
    NoLabel {
        /// The label asked for.
        label: String,
        known: Vec<String>,
    },
    /// There is nothing to choose from.
    #[error("no layouts, write them under mig-configs:")]
    NoLabels,
    /// No label was asked for, and which is meant is not clear.
    #[error("no layout chosen, add layout: or ask for one of {}", list(.0))]
    NoLayout(Vec<String>),
    /// An entry that turns MIG on says nothing about instances.
    #[error("mig-devices is missing, which mig-enabled: true needs ({{}} for none)")]
    NoDevices,
    /// An entry that turns MIG off wants instances.
    #[error("mig-devices needs mig-enabled: true")]
    DevicesWhileDisabled,
    /// A profile's name.
    #[error("{0}")]
    Name(#[from] ProfileError),
    /// Neither a count nor places.
    #[error("{0}: neither a count nor a place is given")]
    NoCount(String),
    /// More places than instances.
    #[error("{profile}: {places} places for {count} GPU instance{}", if *.count == 1 { "" } else { "s" })]
    TooManyPlaces {
        /// Profile as written.
        profile: Profile,
        /// Places given.
        places: usize,
        /// GPU instances wanted.
        count: usize,
    },
    /// Places with counts over several GPUs.
    #[error("places need per: gpu, with per: node it is open which GPU they are on")]
    PlacesPerNode,
    /// No GPU of this node is meant.
    #[error("label {label:?} selects no GPU of this node, which has {gpus}")]
    NoGpu {
        label: String,
        /// GPUs of the node, as text.
        gpus: String,
    },
    /// Digits that several UUIDs begin with.
    #[error("{selector}: begins the UUIDs of several GPUs: {}", list(.uuids))]
    SeveralGpus {
        /// As written.
        selector: String,
        uuids: Vec<String>,
    },
    /// A GPU that cannot be partitioned.
    #[error("{gpu}: has no MIG profiles")]
    NoMig {
        /// The GPU, as text.
        gpu: String,
    },
    /// A profile the GPU lacks.
    #[error("{gpu}: no profile {profile}, only {}", list(.valid))]
    NoProfile {
        /// The GPU or GPUs, as text.
        gpu: String,
        /// The profile, as written.
        profile: Profile,
        valid: Vec<Profile>,
    },
    /// A place the profile does not have.
    #[error("{gpu}: {profile} cannot start at {start}, only at {}", list(.valid))]
    NoPlace {
        /// The GPU, as text.
        gpu: String,
        profile: Profile,
        /// The place asked for, in placement units.
        start: u8,
        valid: Vec<u8>,
    },
    /// Two places that exclude each other.
    #[error("{gpu}: {one} and {other} cannot stand side by side")]
    Overlap {
        /// The GPU, as text.
        gpu: String,
        one: Placement,
        /// The one before it.
        other: Placement,
    },
    /// A count of which no node can have so many.
    #[error("{0}: more than {MAX_RECORDS}, which is what Slurm takes per node")]
    Count(u32),
    /// Something in the `slurm:` section.
    #[error("{}", .0.what)]
    Slurm(Fault),
    /// The layout does not fit.
    #[error("{0}")]
    Infeasible(Box<Infeasible>),
}

impl ConfigError {
    pub(super) fn new(source: &Source, mark: Mark, problem: impl Into<Problem>) -> Self {
        let place =
            Place { position: source.position(mark), snippet: source.snippet(mark), indexes: Vec::new() };
        ConfigError { place: Box::new(place), problem: problem.into() }
    }

    /// With GPUs named by index where the problem knows their positions alone.
    pub(super) fn indexed(mut self, indexes: Vec<usize>) -> Self {
        self.place.indexes = indexes;
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { position, snippet, indexes } = &*self.place;
        write!(f, "{position}: ")?;
        match &self.problem {
            Problem::Infeasible(error) => error.numbered(indexes).fmt(f)?,
            problem => problem.fmt(f)?,
        }
        match snippet {
            Some(snippet) => write!(f, "\n{snippet}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

pub(super) fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
