//! The engine: brings the GPUs to what is asked of them, with a journal, and back when something fails.
//!
//! It knows no configuration and no verb. A [`DesiredState`] turns a fresh picture of the node into what its
//! GPUs shall be, and is asked again after every change of MIG mode and once more at the end: when it then
//! wants nothing, the change is verified. Rolling back is the same engine with another desired state. The journal goes last,
//! so that GPUs and files which do not belong together are never taken for finished.

use std::path::PathBuf;

use super::change_hooks::{self, ChangeHooks};
use super::chosen::{ChosenLayout, who};
use super::error::{ApplyError, InUse, in_the_way};
use super::events::{Event, Events};
use super::fence::Fence;
use super::gating::Gating;
use super::mode::{InactiveModes, check_active, pending, reset};
use super::prepared::{Patience, are_processes, in_use, possible};
use super::{Node, Options, Prepared};
use crate::apply::DesiredState;
use crate::apply::intent::{Before, Intent};
use crate::apply::steps::{Step, disturbed, ready, steps};
use crate::devices;
use crate::files::Committed;
use crate::hooks::HookContext;
use crate::inventory::{Gpu, Inventory};
use crate::lock::{Lock, LockError};
use crate::nvml::Code;
use crate::publish::Publication;
use crate::slurm::{GresTable, SlurmError};
use crate::wait::Stop;

/// What the engine did.
pub(super) struct Applied {
    pub inventory: Inventory,
    pub steps: usize,
    pub pending: Vec<(String, Code)>,
    pub files: Committed,
    /// The table the files were made of.
    pub table: GresTable,
    /// What went wrong beside it.
    pub beside: Vec<String>,
}

/// Mode changes come first and are followed by a fresh read. One round switches modes and one creates what
/// the desired state wants then; a third has nothing left to do unless the driver does not keep its word.
const ROUNDS: usize = 3;

/// The GPUs after a change.
struct Changed {
    inventory: Inventory,
    steps: usize,
    pending: Vec<(String, Code)>,
}

/// One change on its way.
pub(super) struct Engine<'r, 'n, 'e> {
    pub node: &'r mut Node<'n>,
    pub desired: DesiredState<'r>,
    pub options: &'r Options<'r>,
    pub events: &'r mut Events<'e>,
    pub fence: Option<&'r mut Fence<'n>>,
    /// What is gated before it goes.
    pub gating: Option<Gating>,
}

impl Engine<'_, '_, '_> {
    /// Carries a prepared change out. An error says whether the node is what it was ([`ApplyError::is_undone`]).
    pub(super) fn apply(mut self, mut prepared: Prepared) -> Result<Applied, ApplyError> {
        let root = self.node.root;
        if !prepared.changes() && prepared.has_nodes && prepared.interrupted.is_none() {
            let beside = change_hooks::recover(root, self.options.boot, self.events);
            self.choose()?;
            // One of a boot before this: all is as it shall be without it, and the history has what was before it.
            if change_hooks::note_cut_off(root, self.events) {
                Intent::clear(root)?;
            }
            let Prepared { before: inventory, table, .. } = prepared;
            let pending = pending(&inventory, &InactiveModes::new());
            return Ok(Applied { inventory, steps: 0, pending, files: Committed::default(), table, beside });
        }
        let resumes = prepared.interrupted.is_some();
        let steps = prepared.steps.iter().map(|step| step.words(&prepared.before.gpus[step.gpu()]));
        let steps = steps.chain(prepared.gates.iter().cloned()).collect();
        let node = self.node.site.node.clone();
        let label = self.desired.label().map(str::to_owned);
        let hooks = ChangeHooks::new(
            self.options.hooks.filter(|_| !prepared.steps.is_empty()),
            HookContext {
                root,
                node: &node,
                what: self.options.what,
                layout: label.as_deref(),
                mode: prepared.steps.iter().any(|step| matches!(step, Step::Mode { .. })),
                boot: self.options.boot,
            },
        );
        change_hooks::note_cut_off(root, self.events);
        let intent = match prepared.interrupted.take() {
            Some(interrupted) if self.options.layout.is_none() => interrupted,
            Some(interrupted) => self.intent(&prepared.before).after(interrupted),
            None => self.intent(&prepared.before),
        };
        let intent =
            intent.signed(who(), steps, ChosenLayout::load(root).ok().flatten().map(|chosen| chosen.label));
        // The journal is on disk before the first step, and goes after the last file: whatever ends this process in
        // between, the next one finds what the GPUs were.
        intent.save(root)?;
        let begun = hooks
            .begin(self.events)
            .map_err(ApplyError::from)
            .and_then(|()| self.gate(&prepared, &intent.before));
        let reached = match begun {
            Ok(()) => self.reach(prepared.before, Some(prepared.steps)),
            Err(error) => Err((0, error)),
        };
        match reached {
            Ok((applied, publication)) => {
                let finished = self.finish(applied, publication);
                let files = finished.as_ref().map(|applied| &*applied.files.written);
                let beside = hooks.end(files, &intent, self.events);
                finished.map(|applied| Applied { beside, ..applied })
            }
            // Nothing was changed.
            Err((0, error)) => {
                hooks.leave(self.events);
                if let Some(Err(undo)) =
                    self.gating.take().map(|gating| self.node.open_gates(&gating, self.options))
                {
                    return Err(ApplyError::RolledBack { error: error.into(), undo: Some(undo.into()) });
                }
                if !resumes {
                    Intent::clear(root)?;
                }
                Err(error)
            }
            Err((_, error)) => {
                let error = self.roll_back(error, &intent, resumes);
                hooks.end(Err(&error), &intent, self.events);
                Err(error)
            }
        }
    }

    /// Gates what is to go, and looks who has it.
    fn gate(&mut self, prepared: &Prepared, journal: &[Before]) -> Result<(), ApplyError> {
        self.gating = self.node.write_gates(prepared, journal, self.options)?;
        let Some(gating) = &self.gating else {
            // An admin may make GPUs those on request, which have no gates before. An order finds them so, in Slurm, too, where it runs.
            let goes = prepared.slurm.answered
                && prepared.steps.iter().any(|step| matches!(step, Step::Destroy { .. }));
            return match self.desired {
                DesiredState::Ordered(..) if goes => {
                    let command = format!("scontrol show node {}", self.node.site.node);
                    Err(SlurmError::refused(command, "slurmctld has other records of the node than it has")
                        .into())
                }
                _ => Ok(()),
            };
        };
        self.node.close_gates(gating, (&prepared.before, &prepared.steps), self.options, self.events)
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
        Ok(self.options.layout.map_or(Ok(()), |label| ChosenLayout::new(label).save(self.node.root))?)
    }

    /// Runs steps until the desired state wants nothing more, and makes the files ready. The error carries how many steps
    /// were done.
    fn reach(
        &mut self,
        inventory: Inventory,
        first: Option<Vec<Step>>,
    ) -> Result<(Applied, Publication), (usize, ApplyError)> {
        let Changed { inventory, steps, pending } = self.change(inventory, first)?;
        let ready = self.make_nodes(&inventory).and_then(|made| {
            let expected = self.node.expected(inventory.clone(), self.desired, self.options)?;
            Ok((made, expected.stage(self.node.root, self.node.adopts(self.options))?))
        });
        let (made, publication) = ready.map_err(|error| (steps, error))?;
        let files = Committed { written: made, ..Committed::default() };
        let table = publication.table.clone();
        Ok((Applied { inventory, steps, pending, files, table, beside: Vec::new() }, publication))
    }

    /// Runs steps until the desired state wants nothing more. Those of the first round are known where the node was just prepared.
    fn change(
        &mut self,
        mut inventory: Inventory,
        mut first: Option<Vec<Step>>,
    ) -> Result<Changed, (usize, ApplyError)> {
        let mut done = 0;
        let mut inactive = InactiveModes::new();
        for _ in 0..ROUNDS {
            let todo = first.take().map_or_else(|| self.plan(&mut inventory), Ok).map_err(|e| (done, e))?;
            let waiting = pending(&inventory, &inactive);
            // A GPU that waits for its reset cannot be brought further now.
            let blocked = |s: &Step| waiting.iter().any(|(uuid, _)| *uuid == inventory.gpus[s.gpu()].uuid);
            let todo: Vec<Step> = ready(todo).into_iter().filter(|s| done == 0 || !blocked(s)).collect();
            // The end of a change is nothing more to do on a fresh reading, never the last call's success.
            if todo.is_empty() {
                return Ok(Changed { inventory, steps: done, pending: waiting });
            }
            inactive.extend(self.run(&inventory, &todo, &mut done).map_err(|e| (done, e))?);
            inventory = self.node.held(self.options).map_err(|e| (done, e.into()))?;
            check_active(&inventory, &inactive).map_err(|e| (done, e.into()))?;
        }
        let left = self.plan(&mut inventory).map_err(|e| (done, e))?;
        Err((done, ApplyError::Unverified(left.len())))
    }

    /// The steps of the desired state on a fresh picture, which is taken anew while processes alone are in their way.
    fn plan(&self, inventory: &mut Inventory) -> Result<Vec<Step>, ApplyError> {
        let patience = Patience::new();
        loop {
            let targets = self.desired.targets(inventory).map_err(|error| in_the_way(inventory, error))?;
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
    ) -> Result<InactiveModes, ApplyError> {
        let mut inactive = InactiveModes::new();
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
            inactive.extend(refusal.map(|refusal| (gpu.uuid.clone(), refusal)));
        }
        Ok(inactive)
    }

    /// Looks once more at what is about to go: a process may have come from outside Slurm, and somebody may
    /// have resumed the node. Processes that have a context on it the driver does not let be destroyed.
    /// The locks that come back are those of its slices: who has none yet gets none before it is gone.
    fn ask_again(&mut self, inventory: &Inventory, step: &Step) -> Result<Vec<Lock>, ApplyError> {
        if matches!(step, Step::Create { .. }) {
            return Ok(Vec::new());
        }
        self.fence.as_mut().map_or(Ok(()), |fence| fence.hold())?;
        if let Some(gating) = &self.gating {
            self.node.hold_gates(gating, self.events)?;
        }
        let patience = Patience::new();
        loop {
            let mut now = inventory.clone();
            self.node.annotate(&mut now, &self.node.site.allocations());
            let held: Vec<InUse> = in_use(&now, std::slice::from_ref(step));
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
        let undo = Engine {
            node: &mut *self.node,
            desired: DesiredState::Before(&intent.before),
            options: &options,
            events: &mut events,
            fence: self.fence.as_deref_mut(),
            gating: self.gating.take(),
        };
        let undone = undo.undo(resumes).err();
        ApplyError::RolledBack { error: Box::new(error), undo: undone.map(Box::new) }
    }

    fn undo(mut self, files: bool) -> Result<(), ApplyError> {
        // Which steps were done is not remembered: what the GPUs are now says it, also after a step that half happened.
        let now = self.node.held(self.options)?;
        // What came and goes again was open to nobody.
        let gating = self.gating.take();
        if files {
            let (applied, publication) = self.reach(now, None).map_err(|(_, e)| e)?;
            self.finish(applied, publication)?;
            gating.map_or(Ok(()), |gating| self.node.open_gates(&gating, self.options))?;
        } else {
            let Changed { inventory, .. } = self.change(now, None).map_err(|(_, e)| e)?;
            self.make_nodes(&inventory)?;
            if let Some(gating) = &gating {
                self.node.open_gates(gating, self.options)?;
            }
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
