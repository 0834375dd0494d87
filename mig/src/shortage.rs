//! Why a goal cannot be met, and what could be had instead, as values and as text.

use std::fmt;

use crate::geometry::Placement;
use crate::goal::{Demand, Goal};
use crate::profile::Profile;

/// Why no plan exists for a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infeasible {
    /// Index of the goal.
    pub goal: usize,
    /// GPUs of the goal, as it lists them.
    pub gpus: Vec<usize>,
    /// What is wrong.
    pub reason: Reason,
    /// Instances of the demand that the nearest layout lacks.
    pub short: Demand,
    /// The nearest layout that fits; absent where the goal itself is wrong.
    pub nearest: Option<Nearest>,
    /// Instances in use that would have to go: no smaller part of this set would do.
    pub blockers: Vec<Blocker>,
}

/// What is wrong with a goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No GPU of the goal has these profiles; `valid` are those they have.
    Unknown {
        /// Profiles asked for.
        profiles: Vec<Profile>,
        /// Profiles of the goal's GPUs, ascending.
        valid: Vec<Profile>,
    },
    /// The fixed places overlap, or the GPU does not have them.
    Places {
        /// The GPU.
        gpu: usize,
    },
    /// Instances in use are not part of the demand, or not at a wanted place.
    Unwanted,
    /// The demand would fit, but instances in use are in the way.
    Blocked,
    /// The demand does not fit even on empty GPUs.
    TooMuch,
    /// The demand names dozens of profiles, more than one goal can hold.
    TooManyProfiles,
}

/// The nearest layout that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// What it holds.
    pub holds: Demand,
    /// Its distance: instances given up, plus instances in use that stay although nobody wants them.
    pub distance: u32,
}

/// An instance in use that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Its GPU.
    pub gpu: usize,
    /// What it is, and where.
    pub placement: Placement,
}

impl Infeasible {
    /// A goal that is wrong in itself.
    pub(crate) fn plain(goal: &Goal, reason: Reason) -> Box<Self> {
        Box::new(Infeasible {
            goal: 0,
            gpus: goal.gpus.clone(),
            reason,
            short: Demand::new(),
            nearest: None,
            blockers: Vec::new(),
        })
    }

    /// The same with GPUs called by these numbers instead of their positions; where there is none, the position stays.
    pub fn numbered(&self, numbers: &[usize]) -> Infeasible {
        let number = |&position: &usize| numbers.get(position).copied().unwrap_or(position);
        let mut named = self.clone();
        named.gpus = self.gpus.iter().map(number).collect();
        named.blockers.iter_mut().for_each(|blocker| blocker.gpu = number(&blocker.gpu));
        if let Reason::Places { gpu } = &mut named.reason {
            *gpu = number(gpu);
        }
        named
    }

    /// The same, for the goal of this index.
    pub(crate) fn of(mut self: Box<Self>, goal: usize) -> Box<Self> {
        self.goal = goal;
        self
    }
}

impl fmt::Display for Infeasible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Reason::Places { gpu } = self.reason {
            return write!(f, "GPU {gpu}: the wanted places overlap or do not exist");
        }
        write!(f, "{}: ", gpu_list(&self.gpus))?;
        match &self.reason {
            Reason::Unknown { profiles, valid } => {
                return write!(f, "no profile {}, only {}", list(profiles), list(valid));
            }
            Reason::Places { .. } => {}
            Reason::TooManyProfiles => {
                return f.write_str("too many different profiles for one goal, split it by GPU");
            }
            Reason::Unwanted => f.write_str("instances in use are not part of the layout")?,
            Reason::Blocked => f.write_str("instances in use are in the way")?,
            Reason::TooMuch => f.write_str("the layout does not fit")?,
        }
        if !self.blockers.is_empty() {
            write!(f, ": {}", list(&self.blockers))?;
        }
        if !self.short.is_empty() {
            write!(f, "; short of {}", Counted(&self.short))?;
        }
        match &self.nearest {
            Some(nearest) => {
                let plural = if nearest.distance == 1 { "" } else { "s" };
                let Nearest { holds, distance } = nearest;
                write!(f, "; nearest that fits, {distance} instance{plural} away: {}", Counted(holds))
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Infeasible {}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of GPU {}", self.placement, self.gpu)
    }
}

/// A demand as text, largest profile first: `1 x 3g.20gb, 4 x 1g.5gb`.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a>(pub &'a Demand);

impl Counted<'_> {
    /// One text per profile.
    pub fn parts(&self) -> Vec<String> {
        self.0.iter().rev().map(|(profile, n)| format!("{n} x {profile}")).collect()
    }
}

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        f.write_str(if parts.is_empty() { "nothing" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

fn gpu_list(gpus: &[usize]) -> String {
    format!("{} {}", if gpus.len() == 1 { "GPU" } else { "GPUs" }, list(gpus))
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
