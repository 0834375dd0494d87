//! What is asked: which jobs, on which nodes, under which scheduler.

use replay::Rules;

use crate::demand::Demand;
use crate::kinds::Kinds;
use crate::layout::{Fleet, Layout};

/// What the advice is asked for.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What a GPU can be given out as.
    pub kinds: &'a Kinds,
    /// The nodes.
    pub fleet: Fleet,
    /// The jobs.
    pub demand: &'a Demand,
    /// The layout that there is; `None` where that is not known.
    pub present: Option<Layout>,
    /// How Slurm schedules.
    pub rules: Rules,
    /// Part of the jobs that the layout is learnt from, 0 to 1; the others judge it.
    pub learn: f64,
    /// Samples of the jobs that choice and judgement rest on.
    pub samples: usize,
    /// What samples depend on.
    pub seed: u64,
}
