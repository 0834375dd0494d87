//! Carrying out an order from another host, as far as it is one that may be.
//!
//! The change itself is that of any apply: the same reading of who holds what, the same fence, the same engine. What is
//! asked here is whether it is nothing more than another cut of GPUs that take orders: what else the configuration, a change
//! that was cut off or a file of the site would have done is the admin's to do.

use super::carry_out::Done;
use super::error::ApplyError;
use super::events::Events;
use super::{FileChange, Node, Options, Prepared};
use crate::apply::DesiredState;
use crate::apply::desired::DesiredStateError;
use crate::apply::intent::Intent;
use crate::apply::ordered::{OrderRefused, check};
use crate::files::Kind;
use crate::lock::Lock;
use crate::order::Cut;
use crate::site::{OPEN, ORDER, PendingActions, is_order};
use crate::slurm::transition::Action;

/// What an order is called: `order for job 17, from 192.0.2.1`.
pub(crate) fn name(cut: &Cut, from: Option<std::net::IpAddr>) -> String {
    let job = cut.job.as_ref().map(|job| format!(" for job {}", job.as_str())).unwrap_or_default();
    let from = from.map(|address| format!(", from {address}")).unwrap_or_default();
    format!("{ORDER}{job}{from}")
}

impl Node<'_> {
    /// Carries an order out. Whoever calls holds the lock since before the node was read.
    ///
    /// # Errors
    /// [`ApplyError`]; an order that may not be is a [`DesiredStateError::Order`].
    pub(crate) fn carry_out_order(
        &mut self,
        lock: &Lock,
        cut: &Cut,
        options: &Options<'_>,
        events: &mut Events<'_>,
    ) -> Result<Done, ApplyError> {
        let desired = DesiredState::Ordered(self.settings, cut);
        let picture = self.read(options)?;
        check(cut, self.settings, &picture.inventory).map_err(DesiredStateError::from)?;
        let prepared = self.prepare(picture, desired, options)?;
        self.is_a_cut_alone(&prepared).map_err(DesiredStateError::from)?;
        self.carry_out(lock, prepared, desired, options, events)
    }

    /// Whether what was cut off is one that a change which keeps the cut finishes: an order, or such a change.
    ///
    /// # Errors
    /// [`OrderRefused::CutOff`] for any other, which another apply has to finish.
    pub(super) fn keeps_the_cut(interrupted: Option<&Intent>) -> Result<(), DesiredStateError> {
        match interrupted.filter(|intent| !is_order(&intent.what) && intent.what != OPEN) {
            Some(Intent { what, .. }) => Err(OrderRefused::CutOff(what.clone()).into()),
            None => Ok(()),
        }
    }

    /// Whether a change that an order asks for is a cut and nothing beside it.
    fn is_a_cut_alone(&self, prepared: &Prepared) -> Result<(), OrderRefused> {
        if let Some(Intent { what, .. }) =
            prepared.interrupted.as_ref().filter(|intent| !is_order(&intent.what))
        {
            return Err(OrderRefused::CutOff(what.clone()));
        }
        let is_own =
            |file: &&FileChange| matches!(file.kind, Kind::GresConf | Kind::DeviceMap | Kind::Closed);
        if let Some(file) = prepared.files.iter().find(|file| !is_own(file)) {
            let path = file.path.display();
            return Err(OrderRefused::NotApplied(format!(
                "{path}: is not as the configuration says ({})",
                file.what
            )));
        }
        let node = &self.site.node;
        let (slurm, records) = (&prepared.slurm, &prepared.table.records);
        if !slurm.present_records().iter().map(|r| &r.gres_type).eq(records.iter().map(|r| &r.gres_type)) {
            return Err(OrderRefused::NotApplied(format!(
                "{node}: its records are not as the configuration says"
            )));
        }
        let lowers = |action: &Action| matches!(action, Action::Release(_) | Action::Resume(_));
        let actions = prepared.pending_actions.actions.iter().filter(|action| !lowers(action)).cloned();
        let left = PendingActions { actions: actions.collect(), here: true };
        match left.actions.first().filter(|_| !self.site.concerns_node_alone(slurm, &left)) {
            Some(first) => Err(OrderRefused::NotApplied(format!("{node}: Slurm has to be told: {first}"))),
            None => Ok(()),
        }
    }
}
