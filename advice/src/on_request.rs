//! What jobs would have waited had slices been cut on request, and had nothing stood in the way of cutting.

mod bound;
mod floor;
mod placed;

pub use bound::bound;
pub use placed::placed;

use mig::{Geometry, Placement, Profile};
use replay::{Cluster, Recut, Rules, Start, Waits, replay_recut};

use crate::demand::{Class, Request};
use crate::judge::Figures;
use crate::kinds::{KindIndex, Kinds};
use crate::layout::Fleet;
use floor::Floor;

/// How slices are cut on request.
#[derive(Clone, Debug)]
pub struct CutRules {
    /// What a GPU is cut into while nobody wants otherwise.
    pub default: Vec<Placement>,
    /// How decisions are made.
    pub policy: demand::Policy,
    /// Seconds from an order to cut until the new slices can be given out: closing, NVML, opening, each verified.
    pub cut: u32,
    /// Seconds from an order to open until Slurm gives out again.
    pub open: u32,
    /// Seconds between looks: so late is seen at worst what no job that waits asks for.
    pub pass: u32,
}

/// What became of the jobs, and what it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What became of the jobs. Utilisation is not measured.
    pub figures: Figures,
    /// How long those of them waited that need more than two compute slices.
    pub large: Waits,
    /// Cuts.
    pub cuts: u32,
    /// Cordons: orders to close beside those of a cut.
    pub cordons: u32,
}

/// Replays jobs of these classes on equal nodes that are cut on request. Jobs that need a whole GPU get a slice as large as one.
///
/// # Panics
/// When the default cut is not one of the model.
pub fn on_request(
    geometry: &Geometry,
    kinds: &Kinds,
    rules: Rules,
    fleet: Fleet,
    how: &CutRules,
    classes: &[Class],
    jobs: &[Request],
) -> Outcome {
    let mut counts = (0, 0);
    let floor = Floor::new(geometry, kinds, fleet, how, classes, &mut counts);
    let outcome = replayed(geometry, kinds, rules, fleet, classes, jobs, floor);
    Outcome { cuts: counts.0, cordons: counts.1, ..outcome }
}

/// Replays jobs on nodes that are recut so.
fn replayed(
    geometry: &Geometry,
    kinds: &Kinds,
    rules: Rules,
    fleet: Fleet,
    classes: &[Class],
    jobs: &[Request],
    recut: impl Recut,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut started = |_: u32, job: &replay::Job, start: Start| outcome.count(kinds, job, start);
    let ever = ever(geometry, kinds, fleet);
    replay_recut(&ever, rules, recut, jobs.iter().map(|job| to_job(job, classes)), &mut started);
    outcome
}

impl Outcome {
    fn count(&mut self, kinds: &Kinds, job: &replay::Job, start: Start) {
        let Start::At(start) = start else {
            self.figures.never += 1;
            return;
        };
        self.figures.waits.add(start - job.submit);
        if kinds.all[usize::from(job.pool)].slices > 2 {
            self.large.add(start - job.submit);
        }
    }
}

fn to_job(request: &Request, classes: &[Class]) -> replay::Job {
    let Class { need, count, nodes } = classes[usize::from(request.class)];
    let Request { submit, run, limit, priority, .. } = *request;
    replay::Job { submit, run, limit, priority, pool: need as u16, count, nodes }
}

/// The most slots of each kind that a node can have.
fn ever(geometry: &Geometry, kinds: &Kinds, fleet: Fleet) -> Cluster {
    let most = |kind: KindIndex| {
        profile(geometry, kinds, kind).and_then(|p| geometry.spec(p)).map_or(0, |spec| u32::from(spec.max))
    };
    let pool = |kind: KindIndex| vec![most(kind) * fleet.gpus; fleet.nodes as usize];
    Cluster { pools: (0..kinds.all.len()).map(pool).collect() }
}

/// The profile of a kind: for the whole GPU that of the slice as large as it, if there is one.
fn profile(geometry: &Geometry, kinds: &Kinds, kind: KindIndex) -> Option<Profile> {
    let whole = |spec: &&mig::Spec| spec.size == geometry.units && spec.profile.slices() == geometry.slices;
    kinds.all[kind].profile.or_else(|| geometry.specs.iter().find(whole).map(|spec| spec.profile))
}
