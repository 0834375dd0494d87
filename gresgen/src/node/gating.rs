//! Gates what is about to go: before an instance on request is destroyed, Slurm gives it to nobody any more.
//!
//! The fence alone does not carry a cut. It may be a drain of an admin, who takes it back when he likes; anybody who may can
//! lift one of ours; and a slurmctld that is killed has forgotten what it had not saved yet (`slurmctld_state_save` in
//! src/slurmctld/state_save.c writes some seconds later), fences among it. So what goes is gated first, as what orders have
//! [closed](crate::slurm::closed) is, slurmctld is seen to have read that, and only then is looked at who has it.
//!
//! So Slurm gives out nothing that is gone, whatever dies and whoever resumes the node, but for the first seconds of a slurmctld that
//! begins anew beside jobs, which goes by what it saved, or by nothing, until slurmd has registered with it (docs/on-request.md, limits):
//! * Until the new gres.conf is in place, the one there has all that goes gated, and what comes *void*, which is gated, too. It
//!   is what slurmd reads when it starts, and what slurmctld is told, however often either of them begins anew. Before the first
//!   instance goes, it says void of all of them: a slurmd that starts in the midst looks for no device that is gone.
//! * The new one is put in place when the instances it opens are there. So both say of each instance that is open that it is
//!   there, and of what both have open nothing is changed.
//! * A job that was given some of it before slurmctld had read the gates is seen by the look that follows, and by the one before
//!   each instance: then nothing goes.
//!
//! Gates of a change that is under way stand in gres.conf alone and under the change's journal. Whoever finishes it, undoes it or
//! makes another change writes a gres.conf without them.

use std::time::Duration;

use super::events::{Event, Events, Waiting};
use super::prepared::{are_processes, in_use};
use super::{ApplyError, Node, Options, Prepared};
use crate::apply::DesiredState;
use crate::apply::forecast::forecast;
use crate::apply::intent::Before;
use crate::apply::steps::Step;
use crate::files::Kind;
use crate::inventory::Inventory;
use crate::publish::{Expected, PublishError};
use crate::slurm::GresTable;
use crate::slurm::slots::{self, Form};
use crate::slurm::transition::{Action, Change};
use crate::wait::Stop;

/// What was gated for a change, and how the node was before.
#[derive(Clone)]
pub(super) struct Gating {
    /// The node as that has it.
    gated: Inventory,
    /// The table whose gres.conf has the gates.
    table: GresTable,
    /// What makes slurmctld read it.
    actions: Vec<Action>,
    /// GPUs with what was closed before.
    before: Vec<Before>,
}

impl Node<'_> {
    /// Writes the gres.conf in which all is gated that the steps of a change destroy of GPUs on request. `None` where nothing is to
    /// be gated, or slurmctld has more to learn of this node than that: then it works with no such records yet.
    ///
    /// # Errors
    /// [`ApplyError::Publish`]; some of the files may be written.
    pub(super) fn write_gates(
        &self,
        prepared: &Prepared,
        journal: &[Before],
        options: &Options<'_>,
    ) -> Result<Option<Gating>, ApplyError> {
        let gated = self.gated(&prepared.before, &prepared.steps, journal);
        let Some(gated) = gated.filter(|_| prepared.fenced) else { return Ok(None) };
        let expected = self.records(&gated, self.site.form_read(), options, is_record)?;
        if Change::between(prepared.slurm.records(), &expected.table.records) > Change::Devices {
            return Ok(None);
        }
        let mut pending = self.site.pending(&prepared.slurm, &expected.table);
        if pending.actions.is_empty() {
            // Orders have closed all of it. A slurmctld that begins anew has to hear of it all the same.
            pending = self.site.anew(&prepared.slurm, &expected.table);
        }
        if !self.site.concerns_node_alone(&prepared.slurm, &pending) {
            return Ok(None);
        }
        let publication = expected.stage(self.root, self.adopts(options))?;
        let before = prepared.before.gpus.iter().map(Before::from).collect();
        let (table, actions) = (publication.table.clone(), pending.actions);
        let gating = Gating { gated, table, actions, before };
        publication.commit()?;
        Ok(Some(gating))
    }

    /// Waits until slurmctld has read gates, looks who has what is to go, and writes that it is gone.
    ///
    /// # Errors
    /// [`ApplyError::Busy`], [`ApplyError::Slurm`], [`ApplyError::Publish`]; the gates are still there.
    pub(super) fn close_gates(
        &self,
        gating: &Gating,
        (inventory, steps): (&Inventory, &[Step]),
        options: &Options<'_>,
        events: &mut Events<'_>,
    ) -> Result<(), ApplyError> {
        self.hold_gates(gating, events)?;
        let mut now = inventory.clone();
        self.annotate(&mut now, &self.site.allocations());
        let held = in_use(&now, steps);
        // Processes alone may be gone by the time their instance is asked about once more.
        if !held.is_empty() && !are_processes(&held) {
            return Err(ApplyError::Busy(held));
        }
        // In the form that slurmctld has read, since nothing in it is new to it. The map stays: it tells of whoever was given some of it
        // after all what that is.
        let (form, is_conf) = (gating.table.form.map(Form::other), |kind| kind == Kind::GresConf);
        let gone = forecast(&gating.gated, &self.going(inventory, steps));
        self.records(&gone, form, options, is_conf)?.stage(self.root, self.adopts(options))?.commit()?;
        Ok(())
    }

    /// Makes sure that slurmctld still works with gates that it has read: one that began anew since has to hear of them first, and
    /// what slurmd said before it heard of them may have come late.
    ///
    /// # Errors
    /// [`ApplyError::Slurm`]
    pub(super) fn hold_gates(&self, gating: &Gating, events: &mut Events<'_>) -> Result<(), ApplyError> {
        if self.site.view()?.form_read() == gating.table.form {
            Ok(())
        } else {
            self.have_read(gating, events)
        }
    }

    fn have_read(&self, gating: &Gating, events: &mut Events<'_>) -> Result<(), ApplyError> {
        let what = format!("slurmd of {} to register", self.site.node);
        let show = &mut *events.show;
        let mut report = |since: Duration, limit: Duration, why: &str| {
            show(Event::Waiting(&Waiting { what: &what, since, limit, why }));
        };
        Ok(self.site.read_anew(&gating.actions, &gating.table, &events.stop, &mut report)?)
    }

    /// Takes gates back for a change that has destroyed nothing, or has brought back what it destroyed.
    ///
    /// # Errors
    /// [`ApplyError`]; the gates may be there still, and the next change takes them back.
    pub(super) fn open_gates(&self, gating: &Gating, options: &Options<'_>) -> Result<(), ApplyError> {
        let mut now = self.inventory(options)?.0;
        DesiredState::Before(&gating.before).gate(&mut now);
        // What was made anew is another one than the one that was closed.
        let kinds = |kind| is_record(kind) || kind == Kind::Closed;
        let expected = self.records(&now, self.site.form_read(), options, kinds)?;
        let publication = expected.stage(self.root, self.adopts(options))?;
        let table = publication.table.clone();
        publication.commit()?;
        // What slurmctld was to do for the gates it is to do for their end.
        self.site.read_anew(&gating.actions, &table, &Stop::default(), &mut |_, _, _| {})?;
        Ok(())
    }

    /// The steps that destroy instances on request.
    fn going(&self, inventory: &Inventory, steps: &[Step]) -> Vec<Step> {
        let is_on_request =
            |gpu: usize| slots::entry(&inventory.node, &inventory.gpus[gpu], self.settings).is_some();
        let goes = |step: &&Step| matches!(step, Step::Destroy { gpu, .. } if is_on_request(*gpu));
        steps.iter().filter(goes).cloned().collect()
    }

    /// A node on which all is closed that steps destroy of GPUs on request, and what a change that was cut off had made, which goes
    /// where this one fails; `None` where nothing is destroyed.
    fn gated(&self, inventory: &Inventory, steps: &[Step], journal: &[Before]) -> Option<Inventory> {
        let going = self.going(inventory, steps);
        let mut gated = inventory.clone();
        for (index, gpu) in gated.gpus.iter_mut().enumerate() {
            let before = journal.iter().find(|before| before.gpu == gpu.uuid);
            for instance in &mut gpu.instances {
                let place = instance.placement;
                let goes = going.iter().any(|step| step.gpu() == index && step.placement() == Some(place));
                let was = before.is_none_or(|before| before.slices.iter().any(|one| one.placement == place));
                instance.closed |= goes || !was;
            }
        }
        (!going.is_empty()).then_some(gated)
    }

    /// Some of the files of a node.
    fn records(
        &self,
        inventory: &Inventory,
        read: Option<Form>,
        options: &Options<'_>,
        kinds: impl Fn(Kind) -> bool,
    ) -> Result<Expected, PublishError> {
        let writes = |kind| kinds(kind) && options.writes(kind, &self.site);
        Expected::new(inventory, self.settings, self.root, read, writes)
    }
}

/// What tells Slurm of records, and nothing of what orders have closed.
fn is_record(kind: Kind) -> bool {
    matches!(kind, Kind::GresConf | Kind::DeviceMap)
}
