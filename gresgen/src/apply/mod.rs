//! Carrying out a change: plan, check, journal, change, verify, write the files; and back, when something fails.
//!
//! The engine knows no configuration and no verb. A [`Wish`] turns a fresh picture of the node into what its
//! GPUs shall be, and is asked again after every change of MIG mode and once more at the end: when it then
//! wants nothing, the change is verified. Rolling back is the same engine with another wish. The journal goes last,
//! so that GPUs and files which do not belong together are never taken for finished.

mod error;
pub mod forecast;
pub mod intent;
pub mod lock;
mod mode;
pub mod preview;
pub mod steps;
pub mod target;
pub mod wish;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::devices;
use crate::files::Committed;
use crate::holders;
use crate::inventory::{Gpu, Inventory};
use crate::nvml::{Activation, Code, Driver};
use crate::publish::{Publication, PublishError};
use crate::root::Root;
use error::in_the_way;
pub use error::{ApplyError, Held};
use intent::Intent;
use mode::{Refusal, Refusals, pending, refused, reset};
use steps::{Step, disturbed, ready, steps};
use target::{Slice, Target};
use wish::WishError;

/// What the GPUs of a node shall be, as a function of what they are.
pub trait Wish {
    /// One target per GPU of the inventory.
    ///
    /// # Errors
    /// Why the wish cannot be met; nothing has been changed for it.
    fn targets(&self, inventory: &Inventory) -> Result<Vec<Target>, WishError>;

    /// GPUs it names that the node does not have, where that is no error.
    fn unmatched(&self, _inventory: &Inventory) -> Vec<String> {
        Vec::new()
    }
}

/// What an apply is told beside its wish.
pub struct Options<'a> {
    /// Slurm's name of the node.
    pub node: &'a str,
    /// Words for the journal: what was asked for.
    pub what: &'a str,
    /// Whether a GPU may be reset to activate its MIG mode.
    pub reset: bool,
    /// Adds who Slurm says holds an instance; the driver cannot know.
    pub annotate: &'a dyn Fn(&mut Inventory),
    /// Makes the files ready that belong to GPUs as they were read.
    pub publish: &'a dyn Fn(&Inventory) -> Result<Publication, PublishError>,
}

/// What happens, for a progress display.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step begins: its number, of how many.
    Begin(usize, usize, &'a Step, &'a Gpu),
    /// A GPU is being reset.
    Reset(&'a Gpu),
    /// Something failed and what was done is being undone.
    RollingBack(&'a ApplyError),
}

/// What an apply did.
#[derive(Debug)]
pub struct Applied {
    /// The node as read afterwards.
    pub inventory: Inventory,
    /// Steps carried out.
    pub steps: usize,
    /// GPUs whose MIG mode waits for a reset or reboot, with the driver's reason.
    pub pending: Vec<(String, Code)>,
    /// Files written for them.
    pub files: Committed,
}

/// Carries out wishes on one node.
pub struct Engine<'a> {
    /// The driver.
    pub driver: &'a mut Driver,
    /// Where journal and device nodes are.
    pub root: &'a Root,
    /// Told what happens.
    pub events: &'a mut dyn FnMut(Event<'_>),
    /// Set by SIGINT and SIGTERM; looked at between steps.
    pub stop: Arc<AtomicBool>,
}

/// Mode changes come first and are followed by a fresh read. One round switches modes and one creates what
/// the wish wants then; a third has nothing left to do unless the driver does not keep its word.
const ROUNDS: usize = 3;

impl Engine<'_> {
    /// Reads the node with everybody who holds an instance.
    ///
    /// # Errors
    /// The driver's.
    pub fn read(&self, options: &Options<'_>) -> Result<Inventory, ApplyError> {
        let mut inventory = self.driver.inventory(options.node)?;
        holders::annotate(&mut inventory, self.root);
        (options.annotate)(&mut inventory);
        Ok(inventory)
    }

    /// Makes the node, which was just read as `before`, what the wish says, verifies it and writes its files; or
    /// puts back what was.
    ///
    /// # Errors
    /// [`ApplyError`]. All but [`ApplyError::RolledBack`] and [`ApplyError::Unpublished`] mean that nothing was
    /// changed.
    pub fn apply(
        &mut self,
        before: Inventory,
        wish: &dyn Wish,
        options: &Options<'_>,
    ) -> Result<Applied, ApplyError> {
        let first = self.prepare(&before, wish)?;
        // What would refuse the files afterwards must refuse the change beforehand.
        let current = (options.publish)(&before)?.is_current();
        let interrupted = Intent::load(self.root)?;
        if first.is_empty() && current && interrupted.is_none() {
            let pending = pending(&before, &Refusals::new());
            return Ok(Applied { inventory: before, steps: 0, pending, files: Committed::default() });
        }
        // An apply that was cut off keeps its journal: what was before it is what an undo means.
        let resumes = interrupted.is_some();
        let intent = interrupted.unwrap_or_else(|| Intent::new(options.what, &before));
        intent.save(self.root)?;
        match self.reach(before, wish, options) {
            Ok((applied, publication)) => self.finish(applied, publication),
            Err((0, error)) => {
                if !resumes {
                    Intent::clear(self.root)?;
                }
                Err(error)
            }
            Err((_, error)) => Err(self.roll_back(error, &intent, resumes, options)),
        }
    }

    /// Writes the files and ends the journal.
    fn finish(&self, applied: Applied, publication: Publication) -> Result<Applied, ApplyError> {
        let mut files = publication.commit().map_err(ApplyError::Unpublished)?;
        Intent::clear(self.root)?;
        files.written.splice(0..0, applied.files.written);
        Ok(Applied { files, ..applied })
    }

    /// What would be done, with everything checked that can be checked before the first change.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn prepare(&self, inventory: &Inventory, wish: &dyn Wish) -> Result<Vec<Step>, ApplyError> {
        let targets = wish.targets(inventory).map_err(|error| in_the_way(inventory, error))?;
        let steps = steps(inventory, &targets);
        for step in &steps {
            let gpu = &inventory.gpus[step.gpu()];
            if gpu.guest {
                return Err(ApplyError::Guest(gpu.uuid.clone()));
            }
            if gpu.mode == crate::inventory::Mode::Unsupported {
                return Err(ApplyError::NoMig { gpu: gpu.uuid.clone(), model: gpu.model.clone() });
            }
        }
        let in_use =
            steps.iter().filter_map(|s| disturbed(inventory, s)).filter(|(_, i)| !i.holders.is_empty());
        let mut held: Vec<Held> = in_use
            .map(|(gpu, i)| Held { name: name(gpu, &Slice::of(i)), holders: i.holders.clone() })
            .collect();
        // A change of mode takes the whole GPU, and may reset it.
        let switched = steps.iter().filter(|step| matches!(step, Step::Mode { .. }));
        let whole = switched.map(|step| &inventory.gpus[step.gpu()]).filter(|gpu| !gpu.holders.is_empty());
        held.extend(
            whole.map(|gpu| Held { name: format!("GPU {}", gpu.index), holders: gpu.holders.clone() }),
        );
        if held.is_empty() { Ok(steps) } else { Err(ApplyError::Busy(held)) }
    }

    /// Runs steps until the wish wants nothing more, and makes the files ready. The error carries how many steps
    /// were done.
    fn reach(
        &mut self,
        inventory: Inventory,
        wish: &dyn Wish,
        options: &Options<'_>,
    ) -> Result<(Applied, Publication), (usize, ApplyError)> {
        let mut applied = self.change(inventory, wish, options)?;
        let ready = self
            .make_nodes(&applied.inventory)
            .and_then(|made| Ok((made, (options.publish)(&applied.inventory)?)));
        match ready {
            Ok((made, publication)) => {
                applied.files.written = made;
                Ok((applied, publication))
            }
            Err(error) => Err((applied.steps, error)),
        }
    }

    fn change(
        &mut self,
        mut inventory: Inventory,
        wish: &dyn Wish,
        options: &Options<'_>,
    ) -> Result<Applied, (usize, ApplyError)> {
        let mut done = 0;
        let mut refusals = Refusals::new();
        for _ in 0..ROUNDS {
            let todo = self.prepare(&inventory, wish).map_err(|e| (done, e))?;
            let waiting = pending(&inventory, &refusals);
            // A GPU that waits for its reset cannot be brought further now.
            let blocked = |s: &Step| waiting.iter().any(|(uuid, _)| *uuid == inventory.gpus[s.gpu()].uuid);
            let todo: Vec<Step> = ready(todo).into_iter().filter(|s| done == 0 || !blocked(s)).collect();
            if todo.is_empty() {
                return Ok(Applied { inventory, steps: done, pending: waiting, files: Committed::default() });
            }
            refusals.extend(self.run(&inventory, &todo, options, &mut done).map_err(|e| (done, e))?);
            inventory = self.read(options).map_err(|e| (done, e))?;
            refused(&inventory, &refusals).map_err(|e| (done, e.into()))?;
        }
        let left = self.prepare(&inventory, wish).map_err(|e| (done, e))?;
        Err((done, ApplyError::Unverified(left.len())))
    }

    fn run(
        &mut self,
        inventory: &Inventory,
        todo: &[Step],
        options: &Options<'_>,
        done: &mut usize,
    ) -> Result<Refusals, ApplyError> {
        let mut refusals = Refusals::new();
        for (number, step) in todo.iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(ApplyError::Interrupted);
            }
            let gpu = &inventory.gpus[step.gpu()];
            (self.events)(Event::Begin(number + 1, todo.len(), step, gpu));
            // Counted before it is tried: a step that fails may still have changed something.
            *done += 1;
            let refusal = self.step(gpu, step, options)?;
            refusals.extend(refusal.map(|refusal| (gpu.uuid.clone(), refusal)));
        }
        Ok(refusals)
    }

    fn step(&mut self, gpu: &Gpu, step: &Step, options: &Options<'_>) -> Result<Option<Refusal>, ApplyError> {
        let (uuid, geometry) = (&gpu.uuid, &gpu.geometry);
        match step {
            Step::Mode { on, .. } => match self.driver.set_mode(uuid, *on)? {
                Activation::Active => {}
                Activation::Pending(_) if options.reset => {
                    (self.events)(Event::Reset(gpu));
                    self.driver.closed(|| reset(uuid))??;
                }
                Activation::Pending(code) => return Ok(Some(Refusal { on: *on, code })),
            },
            Step::Destroy { slice, .. } => self.driver.destroy(uuid, geometry, slice.placed)?,
            Step::Create { slice, .. } => self.driver.create(uuid, geometry, slice.placed, &slice.compute)?,
            Step::Recut { slice, .. } => self.driver.recut(uuid, geometry, slice.placed, &slice.compute)?,
        }
        Ok(None)
    }

    /// Capability nodes are made by whoever needs them, not by the kernel, and slurmd dies of a missing one. Gives
    /// those that were missing.
    fn make_nodes(&self, inventory: &Inventory) -> Result<Vec<PathBuf>, ApplyError> {
        let mut made = Vec::new();
        for file in inventory.devices().flat_map(|(_, _, compute)| &compute.files) {
            if devices::ensure(file, self.root)? {
                made.push(file.path.clone());
            }
        }
        Ok(made)
    }

    /// Brings back what was. The files are those of before still, unless an earlier apply was cut off while it
    /// wrote them.
    fn roll_back(
        &mut self,
        error: ApplyError,
        intent: &Intent,
        resumes: bool,
        options: &Options<'_>,
    ) -> ApplyError {
        (self.events)(Event::RollingBack(&error));
        // No signal stops the undoing, neither the one that stopped the apply nor an impatient second one.
        self.stop = Arc::default();
        let undone = self.undo(intent, resumes, options).err();
        ApplyError::RolledBack { error: Box::new(error), undo: undone.map(Box::new) }
    }

    fn undo(&mut self, intent: &Intent, files: bool, options: &Options<'_>) -> Result<(), ApplyError> {
        let now = self.read(options)?;
        if files {
            let (applied, publication) = self.reach(now, intent, options).map_err(|(_, e)| e)?;
            self.finish(applied, publication)?;
        } else {
            let applied = self.change(now, intent, options).map_err(|(_, e)| e)?;
            self.make_nodes(&applied.inventory)?;
            Intent::clear(self.root)?;
        }
        Ok(())
    }
}

impl Wish for Intent {
    fn targets(&self, inventory: &Inventory) -> Result<Vec<Target>, WishError> {
        Ok(Intent::targets(self, inventory))
    }
}

/// A slice for a person: `GPU 0 3g.20gb at 4`.
pub fn name(gpu: &Gpu, slice: &Slice) -> String {
    format!("GPU {} {} at {}", gpu.index, gpu.geometry.spec(slice.placed).profile, slice.placed.start)
}
