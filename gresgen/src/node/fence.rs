//! Keeps Slurm from starting jobs on a node while instances go.
//!
//! On a node without jobs the fence is a drain with a reason of ours. A drain holds back every new job from the moment
//! `scontrol update` has returned, on 22.05.8, 24.11.5 and 26.05.5 alike; a job that was started just before (CONFIGURING, in
//! its Prolog) is on the node by then and is seen by the look that follows. Nobody but an operator can drain a
//! node, so nobody else gives such a reason.
//!
//! Taking a drain back disturbs jobs, though: slurmctld asks the node whether it is there, and a step that is started in
//! the half second until it answers waits for minutes (more than two, seen on 22.05.8 and 24.11.5; RESUME and UNDRAIN do
//! the same, and State=IDLE is refused on a node with jobs). So where jobs stay, the fence is a reservation, which
//! leaves running jobs and their steps alone from beginning to end. It is not the fence everywhere: a job in
//! somebody's reservation with the flag MAINT runs through ours, whatever flags ours has (seen on 22.05.8;
//! `job_test_resv` passes over other reservations for it), and with accounting it needs an association for its user. Where
//! there is such a reservation, or ours cannot be made, it is a drain.
//!
//! For an order it is a reservation also on a node without jobs: orders come all day, and between the look at whose drain it is and
//! taking it back an admin may drain the node, whose drain would be taken back then (seen on 22.05.8).
//!
//! Either stays when this process dies: the node is half cut then. The next change, or boot, finds it by its name or
//! reason, finishes or undoes, and takes it back. It is taken back when GPUs and files are what they were, or are done
//! and Slurm knows them; until then Slurm's indexes mean instances that are gone, and the release is among what is left to
//! do. A drain is taken back with UNDRAIN, which leaves a node that is down for another reason down. A drain of somebody
//! else's serves as well while it lasts, and stays.

use std::time::Duration;

use crate::site::{OURS, Site, is_of_order, is_order, is_ours};
use crate::slurm::SlurmError;
use crate::slurm::control::{Control, reservation};
use crate::slurm::transition::{Action, wait_idle};
use crate::wait::Stop;

/// The fence of one change.
pub(super) struct Fence<'a> {
    site: Site<'a>,
    /// What the node is taken out of scheduling for.
    reason: String,
    /// Whether jobs stay on the node.
    beside: bool,
    /// Why the node was out of service before, without being drained: down, say.
    before: Option<String>,
    /// Whether an order asked for the change.
    is_order: bool,
}

impl<'a> Fence<'a> {
    /// Takes the node out of scheduling, unless it is.
    ///
    /// # Errors
    /// [`SlurmError`]; the node is as it was.
    pub(super) fn raise(site: Site<'a>, what: &str, beside: bool) -> Result<Self, SlurmError> {
        let (reason, is_order) = (format!("{OURS}{what}"), is_order(what));
        let mut fence = Fence { site, reason, beside, before: None, is_order };
        fence.hold()?;
        Ok(fence)
    }

    /// Makes sure that it stands: somebody may have resumed the node.
    pub(super) fn hold(&mut self) -> Result<(), SlurmError> {
        // Also on a node that somebody else has drained, who may resume it any time.
        if self.beside && self.reserve()? {
            return Ok(());
        }
        let view = self.site.view()?;
        if view.is("DRAIN") {
            return Ok(());
        }
        self.beside = false;
        self.before = Some(view.reason).filter(|reason| !reason.is_empty());
        let drain = Action::Drain { node: self.site.node.clone(), reason: self.reason.clone() };
        drain.run(&Stop::default())
    }

    /// Whether the reservation stands, or could be made.
    fn reserve(&self) -> Result<bool, SlurmError> {
        let (control, node) = (Control::connect()?, &self.site.node);
        if control.is_maintained_by_others(node)? {
            return Ok(false);
        }
        let reserve = Action::Reserve(node.clone());
        Ok(control.is_reserved(&reservation(node))? || reserve.run(&Stop::default()).is_ok())
    }

    /// What takes it back, as a shell line.
    pub(super) fn release(&self) -> String {
        let node = self.site.node.clone();
        if self.beside { Action::Release(node) } else { Action::Resume(node) }.to_string()
    }

    /// Why the node was out of service before, without being drained.
    pub(super) fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// Waits until no job is on the node.
    ///
    /// # Errors
    /// [`SlurmError::Busy`] when jobs do not end in time.
    pub(super) fn wait_idle(
        &self,
        limit: Duration,
        stop: &Stop,
        report: &mut dyn FnMut(Duration, &str),
    ) -> Result<(), SlurmError> {
        wait_idle(&self.site.node, limit, stop, report)
    }

    /// Takes it back. See [`lower`].
    ///
    /// # Errors
    /// [`SlurmError`]; the node stays out of scheduling.
    pub(super) fn lower(&self, stop: &Stop) -> Result<Option<String>, SlurmError> {
        lower(&self.site, self.before.as_deref(), self.is_order, stop)
    }
}

/// Takes a drain of ours back, whoever of us made it, says again why the node was out of service `before` it, and waits
/// until the node takes jobs. Where somebody else has drained the node, it stays so: for the reason given then. An order takes no
/// drain back but that of an order: an admin's `apply --drain` keeps the node until its jobs have ended.
pub(super) fn lower(
    site: &Site<'_>,
    before: Option<&str>,
    is_order: bool,
    stop: &Stop,
) -> Result<Option<String>, SlurmError> {
    let view = site.view()?;
    let node = || site.node.clone();
    let run = |action: Action| action.run(&Stop::default());
    if Control::connect()?.is_reserved(&reservation(&site.node))? {
        run(Action::Release(node()))?;
    }
    if !view.is("DRAIN") {
        return Ok(None);
    }
    if !is_ours(&view) || is_order && !is_of_order(&view) {
        return Ok(Some(view.reason));
    }
    run(Action::Undrain(node()))?;
    if let Some(reason) = before {
        run(Action::Reason { node: node(), reason: reason.to_owned() })?;
    }
    site.settle(stop);
    Ok(None)
}
