//! This node as part of a Slurm cluster: who holds its slices, what Slurm works with, and what a change means to running
//! jobs.

mod anew;
mod catalog;
mod forgotten;
mod pending;

use std::sync::Arc;

use device_map::{DeviceMap, Record};

use crate::files::Output;
use crate::inventory::Inventory;
use crate::publish::{present_map, release};
use crate::read;
use crate::root::Root;
use crate::slurm::control::{Config, NodeView, reservation};
use crate::slurm::jobs::Allocations;
use crate::slurm::slots::Form;
use crate::slurm::transition::allow;
use crate::slurm::{Release, Settings, SlurmError, here, jobs};

pub(crate) use catalog::is_missing;
pub(crate) use pending::PendingActions;

/// Begins the reason of every drain of ours, which is how it is known again.
pub(crate) const OURS: &str = "gresgen: ";

/// Begins what an order is called in the journal, the history and the reason of a fence.
pub(crate) const ORDER: &str = "order";

/// What a change is called that opens what orders have closed.
pub(crate) const OPEN: &str = "open";

/// What Slurm works with, read once.
#[derive(Clone, Debug)]
pub(crate) struct SlurmState {
    pub answered: bool,
    /// Its picture of the node; `None` also where it knows no such node.
    pub view: Option<NodeView>,
    /// The same as it was printed; empty without one.
    shown: String,
    config: Config,
    /// The map that slurmd loaded; `None` where it never loaded one.
    loaded: Option<DeviceMap>,
    /// The map in its place, which slurmd reads at its next start.
    present: Option<DeviceMap>,
    /// What it has given out.
    pub allocations: KnownAllocations,
    /// Whether a reservation of ours is on the node.
    pub reserved: bool,
}

/// What Slurm has given out, or why that is not known.
pub(crate) type KnownAllocations = Result<Allocations, Arc<SlurmError>>;

impl SlurmState {
    /// What Slurm's indexes mean now: what slurmd loaded, or before it ever loaded a map, what is in place.
    pub(crate) fn map(&self) -> Option<&DeviceMap> {
        self.loaded.as_ref().or(self.present.as_ref())
    }

    /// The records of [`SlurmState::map`].
    pub(crate) fn records(&self) -> &[Record] {
        self.map().map_or(&[], |map| &map.records)
    }

    /// The records of the map in its place.
    pub(crate) fn present_records(&self) -> &[Record] {
        self.present.as_ref().map_or(&[], |map| &map.records)
    }

    /// Whether this program took the node out of scheduling.
    pub(crate) fn is_ours(&self) -> bool {
        self.reserved || self.view.as_ref().is_some_and(is_ours)
    }

    /// Whether jobs are on the node.
    pub(crate) fn is_busy(&self) -> bool {
        self.allocations.as_ref().is_ok_and(|allocations| !allocations.jobs.is_empty())
    }
}

/// Whether a node is drained by this program. Only operators can drain, so nobody else gives such a reason.
pub(crate) fn is_ours(view: &NodeView) -> bool {
    view.is("DRAIN") && view.reason.starts_with(OURS)
}

/// Whether such a drain is that of an order.
pub(crate) fn is_of_order(view: &NodeView) -> bool {
    view.is("DRAIN") && view.reason.strip_prefix(OURS).is_some_and(is_order)
}

/// Whether a change that is called so is an order's.
pub(crate) fn is_order(what: &str) -> bool {
    what.strip_prefix(ORDER).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ',']))
}

/// What Slurm is asked and told about one node. Of a node that is in no cluster, nothing.
#[derive(Clone)]
pub(crate) struct Site<'a> {
    /// Where the device maps are.
    pub root: &'a Root,
    pub settings: &'a Settings,
    /// Slurm's name of the node.
    pub node: String,
    /// Whether the node belongs to a cluster and its slurmctld is to be asked.
    pub asks_slurmctld: bool,
    /// Whether Slurm reads files here, or is to. A machine without it needs the device map alone.
    pub in_slurm: bool,
}

/// Whether a node is, or is meant to be, one of Slurm's: by a slurm.conf or a slurmd, by what the configuration says, by
/// what slurmd says to the processes of its jobs, or because it had files for Slurm: a node whose slurm.conf comes from
/// slurmctld has none before its slurmd has started.
pub(crate) fn is_slurms(root: &Root, settings: &Settings) -> bool {
    let written = || {
        let gres_conf = read::bytes(&root.path(settings.paths.gres_conf()), read::MAX_TEXT);
        gres_conf.is_ok_and(|text| text.starts_with(Output::MARKER.as_bytes()))
    };
    !matches!(here::configuration(root), Ok(None))
        || *settings != Settings::default()
        || here::told_node().is_some()
        || written()
}

impl Site<'_> {
    /// The form of gres.conf that slurmctld works with, on a node with GPUs on request.
    pub(crate) fn form_read(&self) -> Option<Form> {
        let asked = self.asks_slurmctld && !self.settings.on_request.is_empty();
        asked.then(|| self.view().ok()?.form_read()).flatten()
    }

    /// What Slurm works with now, and what it has given out.
    pub(crate) fn look(&self) -> SlurmState {
        let allocations = self.allocations();
        let control = match &allocations {
            Ok(_) if self.asks_slurmctld => here::reach(self.root).ok(),
            _ => None,
        };
        let shown = control.and_then(|control| control.node_text(&self.node).ok()).unwrap_or_default();
        SlurmState {
            answered: control.is_some(),
            view: NodeView::parse(&shown),
            shown,
            config: control.and_then(|control| control.config().ok()).unwrap_or_default(),
            loaded: self.loaded_map(),
            present: present_map(self.root),
            reserved: control
                .is_some_and(|control| control.is_reserved(&reservation(&self.node)).unwrap_or_default()),
            allocations,
        }
    }

    /// What Slurm has given out here now: nothing where the node is in no cluster.
    pub(crate) fn allocations(&self) -> KnownAllocations {
        self.answered().0
    }

    /// The same, and whether it is slurmctld that said so.
    pub(crate) fn answered(&self) -> (KnownAllocations, bool) {
        if !self.asks_slurmctld {
            return (Ok(Allocations::default()), false);
        }
        let answer = here::reach(self.root).and_then(|control| {
            Allocations::ask_beside(control, &self.node, &here::neighbours(self.root, &self.node))
        });
        let answered = matches!(&answer, Ok(_) | Err(SlurmError::UnknownNode(_)));
        let known = match answer {
            Err(SlurmError::UnknownNode(_)) => self.unknown_to_slurm(),
            Err(_) if !here::was_in_service(self.root) => Ok(Allocations::default()),
            answer => answer,
        };
        (known.map_err(Arc::new), answered)
    }

    /// A node that slurmctld does not know yet has no jobs, unless it knows this host by another name; nodes that share
    /// a host are told apart by the settings.
    fn unknown_to_slurm(&self) -> Result<Allocations, SlurmError> {
        if self.settings.entry(&self.node).is_some() {
            return Ok(Allocations::default());
        }
        match &here::other_names(&here::reach(self.root)?.nodes()?)[..] {
            [] => Ok(Allocations::default()),
            names => Err(SlurmError::OtherName { node: self.node.clone(), names: names.join(", ") }),
        }
    }

    /// Adds the jobs that hold devices. Where slurmctld cannot be asked, every device of a node that was in service
    /// counts as held.
    pub(crate) fn annotate(&self, inventory: &mut Inventory, allocations: &KnownAllocations) {
        match allocations {
            Ok(allocations) => {
                let map = self.loaded_map().or_else(|| present_map(self.root));
                jobs::annotate(inventory, map.as_ref(), allocations);
            }
            // The reason is told where a change is refused for it.
            Err(_) => jobs::annotate_unknown(inventory),
        }
    }

    fn loaded_map(&self) -> Option<DeviceMap> {
        device_map::load(&self.root.path(Root::LOADED_MAP)).ok()
    }

    /// Whether slurmd's records may become others beside the jobs that run now.
    ///
    /// # Errors
    /// [`SlurmError::Count`], [`SlurmError::Type`] and [`SlurmError::Index`] when Slurm would end jobs or hand their next step another slice;
    /// [`SlurmError::Unknown`] when that cannot be known.
    pub(crate) fn allow(&self, slurm: &SlurmState, after: &[Record]) -> Result<(), SlurmError> {
        if !self.asks_slurmctld || slurm.records() == after {
            return Ok(());
        }
        let unknown = |error: &Arc<SlurmError>| SlurmError::Unknown {
            node: self.node.clone(),
            error: Arc::clone(error),
        };
        let allocations = slurm.allocations.as_ref().map_err(unknown)?;
        let release = release(self.settings).unwrap_or_else(|_| Release::latest());
        allow(&self.node, release, (slurm.records(), after), &allocations.jobs)?;
        if allocations.unexplained.is_empty() {
            Ok(())
        } else {
            Err(SlurmError::Unexplained(self.node.clone()))
        }
    }

    /// slurmctld's picture of the node now.
    pub(crate) fn view(&self) -> Result<NodeView, SlurmError> {
        here::reach(self.root)?.node(&self.node)
    }
}
