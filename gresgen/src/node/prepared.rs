//! A change as a value.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::error::{ApplyError, InUse, in_the_way};
use super::files::{FileChange, changes};
use super::{Node, Options, Picture};
use crate::apply::desired::DesiredStateError;
use crate::apply::forecast::forecast;
use crate::apply::intent::{Intent, lost};
use crate::apply::steps::{Step, disturbed, steps};
use crate::apply::target::Target;
use crate::apply::{DesiredState, gates, name};
use crate::inventory::{Holder, Inventory, Mode};
use crate::publish::PublishError;
use crate::site::{PendingActions, SlurmState};
use crate::slurm::transition::Action;
use crate::slurm::{GresTable, SlurmError, slots};

/// What a desired state comes to on one picture of a node. Making one only reads.
pub(crate) struct Prepared {
    /// The node it was made for.
    pub before: Inventory,
    /// What Slurm worked with then.
    pub slurm: SlurmState,
    /// What is done to the GPUs, in order.
    pub steps: Vec<Step>,
    /// What becomes closed or open, in words.
    pub gates: Vec<String>,
    /// What stands in the way, for a person: instances in use that would have to go, and what Slurm could not bear beside
    /// the jobs that run.
    pub blocked: Vec<String>,
    /// Files that become others.
    pub files: Vec<FileChange>,
    /// What the node will offer to Slurm. UUIDs and device files of instances to come are invented.
    pub table: GresTable,
    /// What is then to be done in Slurm.
    pub pending_actions: PendingActions,
    /// Whether Slurm must not start jobs on the node meanwhile.
    pub fenced: bool,
    /// Why it would be refused as things are; nothing is changed then.
    pub refusal: Option<ApplyError>,
    /// An apply that was cut off, which this one finishes.
    pub interrupted: Option<Intent>,
    /// Whether device nodes and links are there as the files name them.
    pub(super) has_nodes: bool,
}

impl Prepared {
    /// Whether GPUs or files become others.
    pub(crate) fn changes(&self) -> bool {
        !self.steps.is_empty() || !self.files.is_empty()
    }

    /// Whether there is nothing to do at all, in Slurm neither.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.changes()
            && self.pending_actions.actions.is_empty()
            && self.interrupted.is_none()
            && self.has_nodes
    }

    /// Whether waiting until Slurm's jobs have ended may make it possible.
    pub(super) fn may_wait(&self) -> bool {
        !self.blocked.is_empty()
    }
}

impl Node<'_> {
    /// Works out what a desired state comes to, with everything that can be checked before the first change.
    ///
    /// # Errors
    /// What no waiting and no option would make possible: a desired state that cannot be met, a GPU without MIG, files that
    /// cannot be rendered. What else would refuse it is [`Prepared::refusal`].
    pub(crate) fn prepare(
        &self,
        picture: Picture,
        desired: DesiredState<'_>,
        options: &Options<'_>,
    ) -> Result<Prepared, ApplyError> {
        if let DesiredState::Before(noted) = desired
            && let Some((gpu, why)) = lost(noted, &self.driver.inventory(&self.site.node)?, options.without)
        {
            return Err(DesiredStateError::Lost { gpu, why }.into());
        }
        let Picture { inventory: mut before, mut slurm, .. } = picture;
        let interrupted = Intent::load(self.root)?.filter(|intent| !intent.is_of_before(&before.boot));
        if let DesiredState::Open(_) = desired {
            Self::keeps_the_cut(interrupted.as_ref())?;
        }
        // Where some are left out, those may be the ones that an entry names.
        if options.without.is_empty() {
            slots::check_entries(&before, self.settings).map_err(PublishError::from)?;
        }
        let mut wanted = Wanted::new(desired, &before)?;
        let patience = Patience::new();
        while wanted.waits_for_processes() && patience.pause() {
            before = self.inventory(options)?.0;
            self.look_ahead(&mut before, &slurm.allocations, options);
            wanted = Wanted::new(desired, &before)?;
        }
        let Wanted { steps, in_use, in_the_way } = wanted;
        let mut after = forecast(&before, &steps);
        desired.gate(&mut after);
        let read = slurm.view.as_ref().and_then(|view| view.form_read());
        let expected = self.files(&after, read, options)?;
        if steps.is_empty() {
            slurm.presume(&expected);
        }
        let foreign = expected.foreign(self.adopts(options))?;
        let files = changes(&expected, &slurm, self.adopts(options))?;
        let has_nodes = !steps.is_empty() || expected.has_nodes(self.root);
        let table = expected.table;

        let changes = !steps.is_empty() || !files.is_empty();
        let beside_jobs =
            if changes || options.tell_slurm { self.site.allow(&slurm, &table.records) } else { Ok(()) };
        let (blocked, refusal) = blocked(in_the_way, in_use, beside_jobs);
        let refusal = if foreign.is_empty() {
            refusal
        } else {
            refusal.or(Some(PublishError::Foreign(foreign).into()))
        };
        // What is there already and only waits for the daemons needs no fence: a node that an apply has left waiting
        // is out of scheduling still, or was put back by somebody who knows why.
        let fenced = changes
            && slurm.answered
            && slurm.view.is_some()
            && (!steps.is_empty() || slurm.records() != table.records);
        let mut pending_actions = self.site.pending(&slurm, &table);
        let resume = if fenced {
            self.will_resume(desired, &slurm, &pending_actions, options)
        } else {
            self.site.resume(&slurm, &pending_actions)
        };
        pending_actions.actions.extend(resume);
        if !matches!(desired, DesiredState::Ordered(..)) && !options.boot {
            let learn = self.site.learn(&slurm, &table, &pending_actions);
            pending_actions.here &= learn.here;
            pending_actions.actions.extend(learn.actions);
        }
        Ok(Prepared {
            slurm,
            steps,
            gates: gates::words(&before, &after),
            blocked,
            files,
            table,
            pending_actions,
            fenced,
            refusal,
            interrupted,
            has_nodes,
            before,
        })
    }

    /// How the fence will be taken back, where it will not be by the change itself: nobody else's drain is.
    fn will_resume(
        &self,
        desired: DesiredState<'_>,
        slurm: &SlurmState,
        pending_actions: &PendingActions,
        options: &Options<'_>,
    ) -> Vec<Action> {
        let node = || self.site.node.clone();
        let stands = self.site.resume(slurm, pending_actions);
        let theirs = slurm.view.as_ref().is_some_and(|view| view.is("DRAIN"));
        let forgotten = pending_actions.actions.iter().any(|action| matches!(action, Action::Delete(_)));
        if !stands.is_empty() || theirs || forgotten || pending_actions.actions.is_empty() {
            return stands;
        }
        vec![if beside_jobs(desired, slurm, options) {
            Action::Release(node())
        } else {
            Action::Resume(node())
        }]
    }
}

/// What a desired state comes to on the GPUs.
struct Wanted {
    steps: Vec<Step>,
    in_use: Vec<InUse>,
    in_the_way: Option<ApplyError>,
}

impl Wanted {
    fn new(desired: DesiredState<'_>, inventory: &Inventory) -> Result<Self, ApplyError> {
        let (targets, in_the_way) = targets(desired, inventory)?;
        let steps = steps(inventory, &targets);
        possible(inventory, &steps)?;
        Ok(Wanted { in_use: in_use(inventory, &steps), steps, in_the_way })
    }

    fn waits_for_processes(&self) -> bool {
        let in_the_way = match &self.in_the_way {
            Some(ApplyError::InTheWay { held, .. }) => &held[..],
            _ => &[],
        };
        are_processes(self.in_use.iter().chain(in_the_way))
    }
}

/// How long a change that only processes are in the way of looks again before it is refused. Every client of NVML has
/// the GPU's node open while it asks (seen on an H100), be it a monitor, a health script or another look of this
/// program: none is known by its name, and all are gone in moments.
pub(super) struct Patience(Instant);

impl Patience {
    const LIMIT: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_millis(50);

    pub(super) fn new() -> Self {
        Patience(Instant::now())
    }

    /// Waits a little before the next look; `false` when there has been time enough.
    pub(super) fn pause(&self) -> bool {
        let goes_on = self.0.elapsed() < Self::LIMIT;
        if goes_on {
            sleep(Self::PAUSE);
        }
        goes_on
    }
}

/// Whether somebody is in the way, and nobody who has been given what he holds: neither a job nor a `gresgen run`.
pub(super) fn are_processes<'a>(held: impl IntoIterator<Item = &'a InUse>) -> bool {
    let mut holders = held.into_iter().flat_map(|held| &held.holders).peekable();
    holders.peek().is_some() && holders.all(|holder| matches!(holder, Holder::Process { .. }))
}

/// Whether jobs stay on the node while it changes, or may: by an order.
pub(super) fn beside_jobs(desired: DesiredState<'_>, slurm: &SlurmState, options: &Options<'_>) -> bool {
    matches!(desired, DesiredState::Ordered(..)) || options.drain.is_none() && slurm.is_busy()
}

/// The targets of a desired state. Where instances in use are all that is in its way, those it would have if nobody used them,
/// and who does.
fn targets(
    desired: DesiredState<'_>,
    inventory: &Inventory,
) -> Result<(Vec<Target>, Option<ApplyError>), ApplyError> {
    match desired.targets(inventory) {
        Ok(targets) => Ok((targets, None)),
        Err(error) if error.blockers().is_empty() => Err(error.into()),
        Err(error) => {
            let refusal = in_the_way(inventory, error);
            let mut idle = inventory.clone();
            idle.gpus.iter_mut().flat_map(|gpu| &mut gpu.instances).for_each(|i| i.holders.clear());
            Ok((desired.targets(&idle)?, Some(refusal)))
        }
    }
}

/// Refuses steps that no GPU of this kind can take.
pub(super) fn possible(inventory: &Inventory, steps: &[Step]) -> Result<(), ApplyError> {
    for step in steps {
        let gpu = &inventory.gpus[step.gpu()];
        if gpu.guest {
            return Err(ApplyError::Guest(gpu.to_string()));
        }
        if gpu.mode == Mode::Unsupported {
            return Err(ApplyError::NoMig { gpu: gpu.to_string(), model: gpu.model.clone() });
        }
    }
    Ok(())
}

/// What steps disturb and somebody uses: instances, and GPUs whose mode changes, since that may reset them.
pub(super) fn in_use(inventory: &Inventory, steps: &[Step]) -> Vec<InUse> {
    let instances = steps.iter().filter_map(|step| disturbed(inventory, step));
    let instances =
        instances.map(|(gpu, i)| InUse { name: name(gpu, i.placement), holders: i.holders.clone() });
    let switched = steps.iter().filter(|step| matches!(step, Step::Mode { .. }));
    let gpus = switched.map(|step| &inventory.gpus[step.gpu()]);
    let gpus = gpus.map(|gpu| InUse { name: format!("GPU {}", gpu.index), holders: gpu.holders.clone() });
    instances.chain(gpus).filter(|held| !held.holders.is_empty()).collect()
}

/// Everything in the way, and the error that an apply ends with for it.
fn blocked(
    in_the_way: Option<ApplyError>,
    in_use: Vec<InUse>,
    beside_jobs: Result<(), SlurmError>,
) -> (Vec<String>, Option<ApplyError>) {
    // Steps of a desired state that somebody is in the way of are those of a node that nobody uses: they may disturb more than
    // what has to go.
    let held = match &in_the_way {
        Some(ApplyError::InTheWay { held, .. }) => held,
        _ => &in_use,
    };
    let mut blocked: Vec<String> = held.iter().map(ToString::to_string).collect();
    blocked.extend(beside_jobs.as_ref().err().map(ToString::to_string));
    let busy = (!in_use.is_empty()).then_some(ApplyError::Busy(in_use));
    let refusal = in_the_way.or(busy).or(beside_jobs.err().map(ApplyError::from));
    (blocked, refusal)
}
