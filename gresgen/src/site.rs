//! This node as part of a Slurm cluster: who holds its slices, what a change means to running jobs, and what is left
//! to do when it is made.

use std::time::Duration;

use device_map::{DeviceMap, Record};
use thiserror::Error;

use crate::apply::forecast::forecast;
use crate::apply::steps::Step;
use crate::inventory::Inventory;
use crate::publish::{PublishError, present_map, release, table};
use crate::root::Root;
use crate::slurm::control::{Control, ControlError, JobGres, NodeView};
use crate::slurm::transition::{Action, ActionError, Change, Node, Refused, Transition, allow, transition};
use crate::slurm::{GresTable, Settings, jobs};

/// Why a change stops before it begins, or is not completed, because of Slurm.
#[derive(Debug, Error)]
pub enum SiteError {
    /// Running jobs forbid it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Jobs run here, and which slices they hold cannot be asked.
    #[error("node {node}: jobs run on it and which slices they hold is not known: {error}")]
    Unknown {
        /// The node.
        node: String,
        /// Why slurmctld gave no answer.
        error: ControlError,
    },
    /// slurmctld gave no answer where one is needed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// An action failed.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The new layout makes no table.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What Slurm is asked and told about one node. Of a node that is in no cluster, nothing.
pub struct Site<'a> {
    /// Where the device maps are.
    pub root: &'a Root,
    /// The `slurm:` section.
    pub settings: &'a Settings,
    /// Slurm's name of the node.
    pub node: String,
    /// Whether the node belongs to a cluster and its slurmctld is to be asked.
    pub asked: bool,
}

impl Site<'_> {
    /// Adds the jobs that hold slices. Where slurmctld cannot be asked while jobs run, every slice counts as held.
    pub fn annotate(&self, inventory: &mut Inventory) {
        if self.asked {
            // The reason is told where a change is refused for it.
            let _ = jobs::annotate(inventory, self.loaded_map().as_ref());
        }
    }

    /// Whether the steps may be taken beside the jobs that run now.
    ///
    /// # Errors
    /// [`SiteError::Refused`] when Slurm would end jobs or hand their next step another slice;
    /// [`SiteError::Unknown`] when that cannot be known.
    pub fn allow(&self, inventory: &Inventory, steps: &[Step]) -> Result<(), SiteError> {
        if !self.asked || steps.is_empty() || !jobs::any() {
            return Ok(());
        }
        let jobs = self.jobs()?;
        let after = table(&forecast(inventory, steps), self.settings, self.root)?;
        Ok(allow(&self.node, &self.loaded(), &after.records, &jobs)?)
    }

    fn jobs(&self) -> Result<Vec<JobGres>, SiteError> {
        let jobs = Control::connect().and_then(|control| control.jobs(&self.node));
        jobs.map_err(|error| SiteError::Unknown { node: self.node.clone(), error })
    }

    /// Takes the node out of scheduling and waits until its jobs have ended. `false` when somebody else has
    /// drained it already: then it is not ours to resume.
    ///
    /// # Errors
    /// [`SiteError`]; the node stays drained when jobs do not end in time.
    pub fn drain(&self, reason: &str, limit: Duration) -> Result<bool, SiteError> {
        let drained = self.view()?.is("DRAIN");
        if !drained {
            let reason = format!("gresgen: {reason}");
            Action::Drain { node: self.node.clone(), reason }.run(limit)?;
        }
        Action::WaitIdle(self.node.clone()).run(limit)?;
        Ok(!drained)
    }

    /// Puts the node back into scheduling.
    ///
    /// # Errors
    /// [`SiteError::Action`].
    pub fn resume(&self) -> Result<(), SiteError> {
        Ok(Action::Resume(self.node.clone()).run(Duration::ZERO)?)
    }

    fn view(&self) -> Result<NodeView, ControlError> {
        Control::connect()?.node(&self.node)
    }

    /// What Slurm's daemons need to know the new table: nothing, when it is the one slurmd loaded.
    pub fn transition(&self, before: &[Record], after: &GresTable) -> Transition {
        if !self.asked {
            let change = Change::between(before, &after.records);
            return Transition { change, before: Vec::new(), after: Vec::new() };
        }
        let dynamic = self.view().is_ok_and(|view| view.is_dynamic());
        let entry = |names: &str| crate::slurm::hostlist::expand(names).is_ok_and(|n| n.contains(&self.node));
        let attributes = self.settings.nodes.iter().find(|n| entry(&n.names)).map(|n| n.attributes.clone());
        let node = Node { name: self.node.clone(), dynamic, attributes: attributes.unwrap_or_default() };
        transition(&node, before, after, release(self.settings), false)
    }

    /// What Slurm's indexes mean now: what slurmd loaded, or before it ever loaded a map, what is in place.
    pub fn loaded(&self) -> Vec<Record> {
        self.loaded_map().map(|map| map.records).unwrap_or_default()
    }

    fn loaded_map(&self) -> Option<DeviceMap> {
        device_map::load(&self.root.path(Root::LOADED_MAP)).ok().or_else(|| present_map(self.root))
    }
}
