//! Carrying a change out: fence, journal, change, verify, write the files, tell Slurm; and back, when something fails.
//!
//! The engine knows no configuration and no verb. A [`Wish`] turns a fresh picture of the node into what its
//! GPUs shall be, and is asked again after every change of MIG mode and once more at the end: when it then
//! wants nothing, the change is verified. Rolling back is the same engine with another wish. The journal goes last,
//! so that GPUs and files which do not belong together are never taken for finished.

use std::path::PathBuf;
use std::time::Duration;

use super::around::{self, Around};
use super::chosen::{Chosen, who};
use super::error::{ApplyError, Held, in_the_way};
use super::events::{Event, Events, Waiting};
use super::fence::{self, Fence};
use super::mode::{Refusals, pending, refused, reset};
use super::prepared::{Patience, are_processes, beside_jobs, in_use, possible};
use super::{Node, Options, Prepared};
use crate::apply::Wish;
use crate::apply::forecast::forecast;
use crate::apply::intent::Intent;
use crate::apply::steps::{Step, disturbed, ready, steps};
use crate::devices;
use crate::files::Committed;
use crate::hooks::About;
use crate::inventory::{Gpu, Inventory};
use crate::lock::{Lock, LockError};
use crate::nvml::Code;
use crate::publish::{Expected, Publication};
use crate::site::{Left, is_ours};
use crate::slurm::shortfall::refused as slurm_refuses;
use crate::slurm::transition::Action;
use crate::slurm::{GresTable, SlurmError};
use crate::wait::Stop;

/// What was done.
#[derive(Debug)]
pub struct Done {
    /// The node as it was.
    pub before: Inventory,
    /// Steps that were planned for it.
    pub steps: Vec<Step>,
    /// The node as read afterwards.
    pub inventory: Inventory,
    /// How many steps were carried out.
    pub carried_out: usize,
    /// GPUs whose MIG mode waits for a reset or reboot, with the driver's reason.
    pub pending: Vec<(String, Code)>,
    /// Files written for them.
    pub files: Committed,
    /// What the node offers to Slurm.
    pub table: GresTable,
    /// What is left to do in Slurm.
    pub left: Left,
    /// What was done in Slurm, where it was to be.
    pub told_slurm: Vec<Action>,
    /// What slurmctld will not accept of what the node has; only a boot asks.
    pub slurm_refuses: Vec<String>,
    /// Why somebody else has drained the node, which stays so.
    pub stays_drained: Option<String>,
    /// What went wrong beside it: commands after it, services that were not started again.
    pub beside: Vec<String>,
}

/// What the engine did.
struct Applied {
    inventory: Inventory,
    steps: usize,
    pending: Vec<(String, Code)>,
    files: Committed,
    /// The table the files were made of.
    table: GresTable,
    /// What went wrong beside it.
    beside: Vec<String>,
}

/// Mode changes come first and are followed by a fresh read. One round switches modes and one creates what
/// the wish wants then; a third has nothing left to do unless the driver does not keep its word.
const ROUNDS: usize = 3;

impl<'n> Node<'n> {
    /// Carries a prepared change out. Whoever calls holds the lock since before the node was read.
    ///
    /// # Errors
    /// [`ApplyError`]. [`ApplyError::is_undone`] says whether the node is what it was.
    pub fn carry_out(
        &mut self,
        _lock: &Lock,
        mut prepared: Prepared,
        wish: Wish<'_>,
        options: &Options<'_>,
        events: &mut Events<'_>,
    ) -> Result<Done, ApplyError> {
        let waits =
            options.drain.filter(|_| prepared.fenced && (prepared.may_wait() || prepared.refusal.is_none()));
        if let (None, Some(refusal)) = (waits, prepared.refusal.take()) {
            return Err(refusal);
        }
        // What would refuse the files afterwards must refuse the change before anything else is touched.
        if prepared.changes() {
            self.expected(&forecast(&prepared.before, &prepared.steps), options)?
                .stage(self.root, self.adopts(options))?;
        }
        if prepared.fenced {
            let beside = beside_jobs(&prepared.seen, options);
            return self.fenced(wish, options, waits, beside, events);
        }
        let (before, steps) = (prepared.before.clone(), prepared.steps.clone());
        let applied = Run { node: self, wish, options, events, fence: None }.apply(prepared)?;
        self.tell((before, steps), applied, None, options, events)
    }

    /// A change that takes the node out of scheduling.
    fn fenced(
        &mut self,
        wish: Wish<'_>,
        options: &Options<'_>,
        waits: Option<Duration>,
        beside: bool,
        events: &mut Events<'_>,
    ) -> Result<Done, ApplyError> {
        let node = self.site.node.clone();
        let mut fence: Fence<'n> = Fence::raise(self.site.clone(), options.what, beside)?;
        let idle = waits.map_or(Ok(()), |limit| {
            let what = format!("{node} to have no jobs");
            let show = &mut *events.show;
            fence.wait_idle(limit, &events.stop, &mut |since, why| {
                show(Event::Waiting(&Waiting { what: &what, since, limit, why }));
            })
        });
        // Who held what before the fence stood may not be who holds it now.
        let prepared = idle
            .map_err(ApplyError::from)
            .and_then(|()| self.prepare(self.read(options)?, wish, options))
            .and_then(|mut prepared| prepared.refusal.take().map_or(Ok(prepared), Err));
        let prepared = match prepared {
            Ok(prepared) => prepared,
            // The same command waits again: the jobs that are left keep the node to themselves until then.
            Err(error @ ApplyError::Slurm(SlurmError::Busy { .. })) => return Err(error),
            Err(error) => return Err(lower_for(&fence, error, &events.stop)),
        };
        let (before, steps) = (prepared.before.clone(), prepared.steps.clone());
        let applied = Run { node: self, wish, options, events, fence: Some(&mut fence) }.apply(prepared);
        match applied {
            Ok(applied) => self.tell((before, steps), applied, Some(&fence), options, events),
            // Slurm's indexes mean what they meant.
            Err(error) if error.is_undone() => Err(lower_for(&fence, error, &events.stop)),
            Err(error) => Err(ApplyError::Drained { release: fence.release(), error: error.into() }),
        }
    }

    /// Tells Slurm what was done, or says what is left to tell it, and opens the node where nothing is left.
    fn tell(
        &self,
        (before, steps): (Inventory, Vec<Step>),
        applied: Applied,
        fence: Option<&Fence<'n>>,
        options: &Options<'_>,
        events: &mut Events<'_>,
    ) -> Result<Done, ApplyError> {
        let stop = &events.stop;
        let Applied { inventory, steps: carried_out, pending, files, table, beside } = applied;
        let seen = self.site.look();
        let mut left = self.site.pending(&seen, &table);
        let mut told_slurm = Vec::new();
        let own = !options.boot && self.site.is_own(&seen, &left);
        if own || options.tell_slurm && left.here {
            let resume = self.site.resume(&seen, &left);
            let drained = resume.first().map(ToString::to_string);
            let what = format!("slurmd of {} to register", self.site.node);
            let show = &mut *events.show;
            self.site
                .carry_out(&left, &table, stop, &mut |since, limit, why| {
                    show(Event::Waiting(&Waiting { what: &what, since, limit, why }));
                })
                .map_err(|error| ApplyError::Untold { drained, error })?;
            told_slurm = std::mem::take(&mut left.actions);
        }
        let theirs = seen.view.as_ref().filter(|view| view.is("DRAIN") && !is_ours(view));
        let mut stays_drained = theirs.filter(|_| fence.is_some()).map(|view| view.reason.clone());
        if seen.is_ours() && left.actions.is_empty() {
            match fence::lower(&self.site, fence.and_then(|fence| fence.before()), stop) {
                Ok(theirs) => stays_drained = theirs.or(stays_drained),
                Err(_) => left.actions.extend(self.site.resume(&seen, &left)),
            }
        } else {
            left.actions.extend(self.site.resume(&seen, &left));
        }
        if options.boot && seen.answered {
            self.announce(&mut left, stop);
        }
        let slurm_refuses = match options.boot {
            true => slurm_refuses(self.settings, self.root, &self.site.node, &table),
            false => Vec::new(),
        };
        Ok(Done {
            before,
            steps,
            inventory,
            carried_out,
            pending,
            files,
            table,
            left,
            told_slurm,
            slurm_refuses,
            stays_drained,
            beside,
        })
    }

    /// Before slurmd of a node with GPUs on request starts at a boot: its first registration has to be read. Where slurmctld
    /// refuses, it is left to do.
    fn announce(&self, left: &mut Left, stop: &Stop) {
        left.actions.retain(|action| match action {
            Action::ReadAnew { .. } => action.run(Duration::ZERO, stop).is_err(),
            _ => true,
        });
    }

    fn expected(&self, inventory: &Inventory, options: &Options<'_>) -> Result<Expected, ApplyError> {
        Ok(Expected::new(inventory, self.settings, self.root, |kind| options.writes(kind, &self.site))?)
    }
}

/// The GPUs after a change.
struct Changed {
    inventory: Inventory,
    steps: usize,
    pending: Vec<(String, Code)>,
}

/// Takes the fence back for an error that left the node as it was.
fn lower_for(fence: &Fence<'_>, error: ApplyError, stop: &Stop) -> ApplyError {
    match fence.lower(stop) {
        Ok(_) => error,
        Err(_) => ApplyError::Drained { release: fence.release(), error: error.into() },
    }
}

/// One change on its way.
struct Run<'r, 'n, 'e> {
    node: &'r mut Node<'n>,
    wish: Wish<'r>,
    options: &'r Options<'r>,
    events: &'r mut Events<'e>,
    fence: Option<&'r mut Fence<'n>>,
}

impl Run<'_, '_, '_> {
    fn apply(mut self, prepared: Prepared) -> Result<Applied, ApplyError> {
        let root = self.node.root;
        if !prepared.changes() && prepared.has_nodes && prepared.interrupted.is_none() {
            let beside = around::recover(root, self.options.boot, self.events);
            self.choose()?;
            let Prepared { before: inventory, table, .. } = prepared;
            let pending = pending(&inventory, &Refusals::new());
            return Ok(Applied { inventory, steps: 0, pending, files: Committed::default(), table, beside });
        }
        let resumes = prepared.interrupted.is_some();
        let steps = prepared.steps.iter().map(|step| step.words(&prepared.before.gpus[step.gpu()])).collect();
        let node = self.node.site.node.clone();
        let label = self.wish.label().map(str::to_owned);
        let around = Around::new(
            self.options.hooks.filter(|_| !prepared.steps.is_empty()),
            About {
                root,
                node: &node,
                what: self.options.what,
                layout: label.as_deref(),
                mode: prepared.steps.iter().any(|step| matches!(step, Step::Mode { .. })),
                boot: self.options.boot,
            },
        );
        around.note_cut_off(self.events);
        let intent = match prepared.interrupted {
            Some(interrupted) if self.options.layout.is_none() => interrupted,
            Some(interrupted) => self.intent(&prepared.before).after(interrupted),
            None => self.intent(&prepared.before),
        };
        let intent =
            intent.signed(who(), steps, Chosen::load(root).ok().flatten().map(|chosen| chosen.label));
        intent.save(root)?;
        let reached = match around.begin(self.events) {
            Ok(()) => self.reach(prepared.before, Some(prepared.steps)),
            Err(error) => Err((0, error.into())),
        };
        match reached {
            Ok((applied, publication)) => {
                let finished = self.finish(applied, publication);
                let files = finished.as_ref().map(|applied| &*applied.files.written);
                let beside = around.end(files, &intent, self.events);
                finished.map(|applied| Applied { beside, ..applied })
            }
            // Nothing was changed.
            Err((0, error)) => {
                around.leave(self.events);
                if !resumes {
                    Intent::clear(root)?;
                }
                Err(error)
            }
            Err((_, error)) => {
                let error = self.roll_back(error, &intent, resumes);
                around.end(Err(&error), &intent, self.events);
                Err(error)
            }
        }
    }

    fn intent(&self, before: &Inventory) -> Intent {
        Intent::new(self.options.what, self.options.layout, before)
    }

    /// Writes the files, remembers the layout, and ends the journal.
    fn finish(&self, applied: Applied, publication: Publication) -> Result<Applied, ApplyError> {
        let mut files = publication.commit().map_err(ApplyError::Unpublished)?;
        let noted = self.choose().and_then(|()| Ok(Intent::clear(self.node.root)?));
        noted.map_err(|error| ApplyError::Unfinished(error.into()))?;
        files.written.splice(0..0, applied.files.written);
        Ok(Applied { files, ..applied })
    }

    fn choose(&self) -> Result<(), ApplyError> {
        Ok(self.options.layout.map_or(Ok(()), |label| Chosen::now(label).save(self.node.root))?)
    }

    /// Runs steps until the wish wants nothing more, and makes the files ready. The error carries how many steps
    /// were done.
    fn reach(
        &mut self,
        inventory: Inventory,
        first: Option<Vec<Step>>,
    ) -> Result<(Applied, Publication), (usize, ApplyError)> {
        let Changed { inventory, steps, pending } = self.change(inventory, first)?;
        let ready = self.make_nodes(&inventory).and_then(|made| {
            let expected = self.node.expected(&inventory, self.options)?;
            Ok((made, expected.stage(self.node.root, self.node.adopts(self.options))?))
        });
        let (made, publication) = ready.map_err(|error| (steps, error))?;
        let files = Committed { written: made, ..Committed::default() };
        let table = publication.table.clone();
        Ok((Applied { inventory, steps, pending, files, table, beside: Vec::new() }, publication))
    }

    /// Runs steps until the wish wants nothing more. Those of the first round are known where the node was just prepared.
    fn change(
        &mut self,
        mut inventory: Inventory,
        mut first: Option<Vec<Step>>,
    ) -> Result<Changed, (usize, ApplyError)> {
        let mut done = 0;
        let mut refusals = Refusals::new();
        for _ in 0..ROUNDS {
            let todo = first.take().map_or_else(|| self.plan(&mut inventory), Ok).map_err(|e| (done, e))?;
            let waiting = pending(&inventory, &refusals);
            // A GPU that waits for its reset cannot be brought further now.
            let blocked = |s: &Step| waiting.iter().any(|(uuid, _)| *uuid == inventory.gpus[s.gpu()].uuid);
            let todo: Vec<Step> = ready(todo).into_iter().filter(|s| done == 0 || !blocked(s)).collect();
            if todo.is_empty() {
                return Ok(Changed { inventory, steps: done, pending: waiting });
            }
            refusals.extend(self.run(&inventory, &todo, &mut done).map_err(|e| (done, e))?);
            inventory = self.node.held(self.options).map_err(|e| (done, e.into()))?;
            refused(&inventory, &refusals).map_err(|e| (done, e.into()))?;
        }
        let left = self.plan(&mut inventory).map_err(|e| (done, e))?;
        Err((done, ApplyError::Unverified(left.len())))
    }

    /// The steps of the wish on a fresh picture, which is taken anew while processes alone are in their way.
    fn plan(&self, inventory: &mut Inventory) -> Result<Vec<Step>, ApplyError> {
        let patience = Patience::new();
        loop {
            let targets = self.wish.targets(inventory).map_err(|error| in_the_way(inventory, error))?;
            let steps = steps(inventory, &targets);
            possible(inventory, &steps)?;
            let held = in_use(inventory, &steps);
            if held.is_empty() {
                return Ok(steps);
            }
            if !are_processes(&held) || !patience.pause() {
                return Err(ApplyError::Busy(held));
            }
            *inventory = self.node.held(self.options)?;
        }
    }

    fn run(
        &mut self,
        inventory: &Inventory,
        todo: &[Step],
        done: &mut usize,
    ) -> Result<Refusals, ApplyError> {
        let mut refusals = Refusals::new();
        for (number, step) in todo.iter().enumerate() {
            if self.events.stop.is_set() {
                return Err(ApplyError::Interrupted);
            }
            let _claims = self.ask_again(inventory, step)?;
            let gpu = &inventory.gpus[step.gpu()];
            (self.events.show)(Event::Begin(number + 1, todo.len(), step, gpu));
            // Counted before it is tried: a step that fails may still have changed something.
            *done += 1;
            let refusal = self.step(gpu, step).map_err(|error| on(gpu, error))?;
            (self.events.show)(Event::End);
            refusals.extend(refusal.map(|refusal| (gpu.uuid.clone(), refusal)));
        }
        Ok(refusals)
    }

    /// Looks once more at what is about to go: a process may have come from outside Slurm, and somebody may
    /// have resumed the node. Processes that have a context on it the driver does not let be destroyed.
    /// The locks that come back are those of its slices: who has none yet gets none before it is gone.
    fn ask_again(&mut self, inventory: &Inventory, step: &Step) -> Result<Vec<Lock>, ApplyError> {
        if matches!(step, Step::Create { .. }) {
            return Ok(Vec::new());
        }
        self.fence.as_mut().map_or(Ok(()), |fence| fence.hold())?;
        let patience = Patience::new();
        loop {
            let mut now = inventory.clone();
            self.node.annotate(&mut now, &self.node.site.given());
            let held: Vec<Held> = in_use(&now, std::slice::from_ref(step));
            if held.is_empty() {
                match self.claims(&now, step) {
                    Ok(claims) => return Ok(claims),
                    // Somebody came between; the next look names him.
                    Err(LockError::Held { .. }) if !self.events.stop.is_set() && patience.pause() => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            if !are_processes(&held) || self.events.stop.is_set() || !patience.pause() {
                return Err(ApplyError::Busy(held));
            }
        }
    }

    /// Holds the slices that a step disturbs, where users may hold them.
    fn claims(&self, inventory: &Inventory, step: &Step) -> Result<Vec<Lock>, LockError> {
        if self.node.site.in_slurm {
            return Ok(Vec::new());
        }
        let instance = disturbed(inventory, step).map(|(_, instance)| instance);
        let compute = instance.into_iter().flat_map(|instance| &instance.compute);
        compute.map(|compute| Lock::slice(self.node.root, &compute.uuid)).collect()
    }

    fn step(&mut self, gpu: &Gpu, step: &Step) -> Result<Option<(bool, Code)>, ApplyError> {
        let uuid = &gpu.uuid;
        let driver = &mut self.node.driver;
        match step {
            Step::Mode { on, .. } => match driver.set_mode(uuid, *on)? {
                None => {}
                Some(_) if self.options.reset => {
                    (self.events.show)(Event::Reset(gpu));
                    driver.closed(|| reset(uuid))??;
                }
                Some(code) => return Ok(Some((*on, code))),
            },
            Step::Destroy { placement, .. } => driver.destroy(gpu, *placement)?,
            Step::Create { instance, .. } => driver.create(gpu, instance.placement, &instance.compute)?,
            Step::Recut { instance, .. } => driver.recut(gpu, instance.placement, &instance.compute)?,
        }
        Ok(None)
    }

    /// Capability nodes are made by whoever needs them, not by the kernel, and slurmd dies of a missing one. Gives
    /// those that were missing.
    fn make_nodes(&self, inventory: &Inventory) -> Result<Vec<PathBuf>, ApplyError> {
        let mut made = Vec::new();
        for file in inventory.devices().flat_map(|(_, _, compute)| &compute.files) {
            if devices::ensure(file, self.node.root)? {
                made.push(file.path.clone());
            }
        }
        Ok(made)
    }

    /// Brings back what was. The files are those of before still, unless an earlier apply was cut off while it
    /// wrote them.
    fn roll_back(&mut self, error: ApplyError, intent: &Intent, resumes: bool) -> ApplyError {
        (self.events.show)(Event::RollingBack(&error));
        // No signal stops the undoing, neither the one that stopped the apply nor an impatient second one.
        let mut events = Events { show: &mut *self.events.show, stop: Stop::default() };
        let options = Options { layout: None, ..*self.options };
        let undo = Run {
            node: &mut *self.node,
            wish: Wish::Before(&intent.before),
            options: &options,
            events: &mut events,
            fence: self.fence.as_deref_mut(),
        };
        let undone = undo.undo(resumes).err();
        ApplyError::RolledBack { error: Box::new(error), undo: undone.map(Box::new) }
    }

    fn undo(mut self, files: bool) -> Result<(), ApplyError> {
        let now = self.node.held(self.options)?;
        if files {
            let (applied, publication) = self.reach(now, None).map_err(|(_, e)| e)?;
            self.finish(applied, publication)?;
        } else {
            let Changed { inventory, .. } = self.change(now, None).map_err(|(_, e)| e)?;
            self.make_nodes(&inventory)?;
            Intent::clear(self.node.root)?;
        }
        Ok(())
    }
}

/// An error of the driver or a reset, which know the GPU by its UUID, with the index that a person knows it by.
fn on(gpu: &Gpu, error: ApplyError) -> ApplyError {
    match error {
        ApplyError::Driver(error) => ApplyError::Driver(error.on(gpu)),
        ApplyError::Reset { reason, .. } => ApplyError::Reset { gpu: gpu.to_string(), reason },
        error => error,
    }
}
