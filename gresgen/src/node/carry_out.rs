//! Carrying a change out: the fence before it, the engine, and Slurm after it.

use std::time::Duration;

use super::engine::{Applied, Engine};
use super::error::ApplyError;
use super::events::{Event, Events, Waiting};
use super::fence::{self, Fence};
use super::prepared::beside_jobs;
use super::{Node, Options, Prepared};
use crate::apply::DesiredState;
use crate::apply::forecast::forecast;
use crate::apply::steps::Step;
use crate::files::Committed;
use crate::inventory::Inventory;
use crate::lock::{Lock, let_users_hold};
use crate::nvml::Code;
use crate::publish::{Expected, PublishError};
use crate::site::{PendingActions, is_order, is_ours};
use crate::slurm::shortfall::refused as slurm_refuses;
use crate::slurm::slots::Form;
use crate::slurm::transition::Action;
use crate::slurm::{GresTable, SlurmError};
use crate::wait::Stop;

#[derive(Debug)]
pub(crate) struct Done {
    /// The node as it was.
    pub before: Inventory,
    /// Steps that were planned for it.
    pub steps: Vec<Step>,
    /// How many steps were carried out.
    pub carried_out: usize,
    /// GPUs whose MIG mode waits for a reset or reboot, with the driver's reason.
    pub pending: Vec<(String, Code)>,
    /// Files written for them.
    pub files: Committed,
    /// What the node offers to Slurm.
    pub table: GresTable,
    /// What is left to do in Slurm.
    pub pending_actions: PendingActions,
    /// What was done in Slurm, where it was to be.
    pub done_in_slurm: Vec<Action>,
    /// What slurmctld will not accept of what the node has; only a boot asks.
    pub slurm_refuses: Vec<String>,
    /// Why somebody else has drained the node, which stays so.
    pub stays_drained: Option<String>,
    /// What went wrong beside it: commands after it, services that were not started again.
    pub beside: Vec<String>,
}

impl<'n> Node<'n> {
    /// Carries a prepared change out. Whoever calls holds the lock since before the node was read.
    ///
    /// # Errors
    /// [`ApplyError`]. [`ApplyError::is_undone`] says whether the node is what it was.
    pub(crate) fn carry_out(
        &mut self,
        _lock: &Lock,
        mut prepared: Prepared,
        desired: DesiredState<'_>,
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
            self.expected(forecast(&prepared.before, &prepared.steps), desired, options)?
                .stage(self.root, self.adopts(options))?;
        }
        if prepared.fenced {
            let beside = beside_jobs(desired, &prepared.slurm, options);
            return self.fenced(desired, options, waits, beside, events);
        }
        let (before, steps) = (prepared.before.clone(), prepared.steps.clone());
        let applied =
            Engine { node: self, desired, options, events, fence: None, gating: None }.apply(prepared)?;
        self.tell((before, steps), applied, None, options, events)
    }

    /// A change that takes the node out of scheduling.
    fn fenced(
        &mut self,
        desired: DesiredState<'_>,
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
            .and_then(|()| self.prepare(self.read(options)?, desired, options))
            .and_then(|mut prepared| prepared.refusal.take().map_or(Ok(prepared), Err));
        let prepared = match prepared {
            Ok(prepared) => prepared,
            // The same command waits again: the jobs that are left keep the node to themselves until then.
            Err(error @ ApplyError::Slurm(SlurmError::Busy { .. })) => return Err(error),
            Err(error) => return Err(lower_for(&fence, error, &events.stop)),
        };
        let (before, steps) = (prepared.before.clone(), prepared.steps.clone());
        let applied = Engine { node: self, desired, options, events, fence: Some(&mut fence), gating: None }
            .apply(prepared);
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
        let Applied { inventory, steps: carried_out, pending, files, table, beside } = applied;
        let slurm = self.site.look();
        let mut pending_actions = self.site.pending(&slurm, &table);
        let mut done_in_slurm = Vec::new();
        let own = self.site.concerns_node_alone(&slurm, &pending_actions);
        if own || options.tell_slurm && pending_actions.here {
            let resume = self.site.resume(&slurm, &pending_actions);
            let drained = resume.first().map(ToString::to_string);
            self.told(&pending_actions, &table, drained, events)?;
            done_in_slurm = std::mem::take(&mut pending_actions.actions);
        }
        let theirs = slurm.view.as_ref().filter(|view| view.is("DRAIN") && !is_ours(view));
        let mut stays_drained = theirs.filter(|_| fence.is_some()).map(|view| view.reason.clone());
        if slurm.is_ours() && pending_actions.actions.is_empty() {
            let before = fence.and_then(|fence| fence.before());
            match fence::lower(&self.site, before, is_order(options.what), &events.stop) {
                Ok(theirs) => stays_drained = theirs.or(stays_drained),
                Err(_) => pending_actions.actions.extend(self.site.resume(&slurm, &pending_actions)),
            }
        } else {
            pending_actions.actions.extend(self.site.resume(&slurm, &pending_actions));
        }
        if !is_order(options.what) && !options.boot {
            let learn = self.site.learn(&slurm, &table, &pending_actions);
            if options.tell_slurm && learn.here && pending_actions.actions.is_empty() {
                self.told(&learn, &table, None, events)?;
                done_in_slurm.extend(learn.actions);
            } else {
                pending_actions.actions.extend(learn.actions);
            }
        }
        let slurm_refuses = if options.boot {
            slurm_refuses(self.settings, self.root, &self.site.node, &table)
        } else {
            Vec::new()
        };
        let slices = inventory.devices().map(|(_, _, compute)| &*compute.uuid);
        let_users_hold(self.root, slices, !self.site.in_slurm)?;
        Ok(Done {
            before,
            steps,
            carried_out,
            pending,
            files,
            table,
            pending_actions,
            done_in_slurm,
            slurm_refuses,
            stays_drained,
            beside,
        })
    }

    /// Does what is left to do in Slurm. `drained` is what takes back a fence that stands meanwhile.
    fn told(
        &self,
        pending_actions: &PendingActions,
        table: &GresTable,
        drained: Option<String>,
        events: &mut Events<'_>,
    ) -> Result<(), ApplyError> {
        let what = format!("slurmd of {} to register", self.site.node);
        let show = &mut *events.show;
        let mut report = |since: Duration, limit: Duration, why: &str| {
            show(Event::Waiting(&Waiting { what: &what, since, limit, why }));
        };
        let told = self.site.carry_out(pending_actions, table, &events.stop, &mut report);
        told.map_err(|error| ApplyError::Untold { drained, error })
    }

    /// The files of a node after a change.
    pub(super) fn expected(
        &self,
        mut after: Inventory,
        desired: DesiredState<'_>,
        options: &Options<'_>,
    ) -> Result<Expected, ApplyError> {
        desired.gate(&mut after);
        Ok(self.files(&after, self.site.form_read(), options)?)
    }

    /// The files of a node like this. `read` is the form of gres.conf that slurmctld has read.
    pub(super) fn files(
        &self,
        inventory: &Inventory,
        read: Option<Form>,
        options: &Options<'_>,
    ) -> Result<Expected, PublishError> {
        Expected::new(inventory, self.settings, self.root, read, |kind| options.writes(kind, &self.site))
    }
}

/// Takes the fence back for an error that left the node as it was.
fn lower_for(fence: &Fence<'_>, error: ApplyError, stop: &Stop) -> ApplyError {
    match fence.lower(stop) {
        Ok(_) => error,
        Err(_) => ApplyError::Drained { release: fence.release(), error: error.into() },
    }
}
