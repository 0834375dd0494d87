//! This node as part of a Slurm cluster: who holds its slices, what a change means to running jobs, and what is left
//! to do when it is made.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use device_map::{DeviceMap, Record};
use thiserror::Error;

use crate::apply::forecast::forecast;
use crate::apply::steps::Step;
use crate::inventory::Inventory;
use crate::publish::{PublishError, present_map, release, table};
use crate::root::Root;
use crate::slurm::control::{Config, Control, ControlError, NodeView};
use crate::slurm::jobs::Given;
use crate::slurm::transition::{Action, ActionError, Node, Refused, allow, transition};
use crate::slurm::{GresTable, Release, Settings, here, hostlist, jobs};

/// Why a change stops before it begins, or is not completed, because of Slurm.
#[derive(Debug, Error)]
pub enum SiteError {
    /// Running jobs forbid it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Which devices the node's jobs hold cannot be asked.
    #[error("node {node}: which devices its jobs hold is not known: {error}")]
    Unknown {
        /// The node.
        node: String,
        /// Why slurmctld gave no answer.
        error: ControlError,
    },
    /// slurmctld counts devices as given out, and has no job that has them.
    #[error("node {0}: slurmctld counts devices in use that no job on it explains")]
    Unexplained(String),
    /// slurmctld gave no answer where one is needed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// An action failed.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// Jobs did not end in time.
    #[error(transparent)]
    NotIdle(ActionError),
    /// The daemons were told, and the node is not in service.
    #[error("node {node}: has not registered with its devices after {} s: {what}", REGISTERED.as_secs())]
    Unregistered {
        /// The node.
        node: String,
        /// What slurmctld says of it.
        what: String,
    },
    /// The new layout makes no table.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// How long daemons may take from their start until the node is registered. slurmctld itself gives a slurmd
/// SlurmdTimeout, 300 s by default; one that starts well needs a few seconds.
const REGISTERED: Duration = Duration::from_secs(60);

/// Begins the reason of every drain of ours, which is how it is known again.
const OURS: &str = "gresgen: ";

/// What taking a node out of scheduling came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drained {
    /// It is ours to resume.
    Ours,
    /// Somebody else had drained it before, for this reason.
    Theirs(String),
}

/// What is left to do to Slurm's daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// In order.
    pub actions: Vec<Action>,
    /// Whether all of it can be done on this host.
    pub here: bool,
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
    /// Adds the jobs that hold devices. Where slurmctld cannot be asked, every device of a node that was in service
    /// counts as held.
    pub fn annotate(&self, inventory: &mut Inventory) {
        match self.given() {
            Ok(given) => jobs::annotate(inventory, self.loaded_map().as_ref(), &given),
            // The reason is told where a change is refused for it.
            Err(_) => jobs::annotate_unknown(inventory),
        }
    }

    /// What Slurm has given out here: nothing where the node is in no cluster.
    fn given(&self) -> Result<Given, ControlError> {
        if !self.asked {
            return Ok(Given::default());
        }
        match here::reach(self.root).and_then(|control| {
            Given::ask_beside(control, &self.node, &here::neighbours(self.root, &self.node))
        }) {
            Err(ControlError::UnknownNode(_)) => self.unknown_to_slurm(),
            Err(_) if !here::was_in_service(self.root) => Ok(Given::default()),
            answer => answer,
        }
    }

    /// A node that slurmctld does not know yet has no jobs, unless it knows this host by another name; nodes that share
    /// a host are told apart by the settings.
    fn unknown_to_slurm(&self) -> Result<Given, ControlError> {
        let ours = |names: &str| hostlist::expand(names).is_ok_and(|names| names.contains(&self.node));
        if self.settings.nodes.iter().any(|node| ours(&node.names)) {
            return Ok(Given::default());
        }
        match &here::other_names(&here::reach(self.root)?.nodes()?)[..] {
            [] => Ok(Given::default()),
            names => Err(ControlError::OtherName { node: self.node.clone(), names: names.join(", ") }),
        }
    }

    /// Whether the steps may be taken beside the jobs that run now.
    ///
    /// # Errors
    /// [`SiteError::Refused`] when Slurm would end jobs or hand their next step another slice;
    /// [`SiteError::Unknown`] when that cannot be known.
    pub fn allow(&self, inventory: &Inventory, steps: &[Step]) -> Result<(), SiteError> {
        if !self.asked {
            return Ok(());
        }
        let (before, after) = (self.loaded(), self.forecast(inventory, steps)?);
        if before == after {
            return Ok(());
        }
        let unknown = |error| SiteError::Unknown { node: self.node.clone(), error };
        let given = self.given().map_err(unknown)?;
        allow(&self.node, &before, &after, &given.jobs)?;
        match given.unexplained.is_empty() {
            true => Ok(()),
            false => Err(SiteError::Unexplained(self.node.clone())),
        }
    }

    /// Whether slurmd would have other records after the steps than it has now.
    ///
    /// # Errors
    /// [`SiteError::Publish`].
    pub fn differs(&self, inventory: &Inventory, steps: &[Step]) -> Result<bool, SiteError> {
        Ok(self.loaded() != self.forecast(inventory, steps)?)
    }

    fn forecast(&self, inventory: &Inventory, steps: &[Step]) -> Result<Vec<Record>, SiteError> {
        Ok(table(&forecast(inventory, steps), self.settings, self.root)?.records)
    }

    /// Takes the node out of scheduling and waits until its jobs have ended.
    ///
    /// # Errors
    /// [`SiteError`]; the node stays drained when jobs do not end in time ([`SiteError::NotIdle`]).
    pub fn drain(&self, reason: &str, limit: Duration) -> Result<Drained, SiteError> {
        let view = self.view()?;
        let before = view.is("DRAIN");
        if !before {
            Action::Drain { node: self.node.clone(), reason: format!("{OURS}{reason}") }.run(limit)?;
        }
        Action::WaitIdle(self.node.clone()).run(limit).map_err(SiteError::NotIdle)?;
        Ok(match before && !view.reason.starts_with(OURS) {
            true => Drained::Theirs(view.reason),
            false => Drained::Ours,
        })
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

    /// What Slurm's daemons need to know a new table: nothing, when it is the one slurmd loaded.
    pub fn left(&self, before: &[Record], after: &GresTable) -> Left {
        if !self.asked {
            return Left { actions: Vec::new(), here: true };
        }
        let dynamic = self.view().is_ok_and(|view| view.is_dynamic());
        let entry = |names: &str| hostlist::expand(names).is_ok_and(|n| n.contains(&self.node));
        let attributes = self.settings.nodes.iter().find(|n| entry(&n.names)).map(|n| n.attributes.clone());
        let node = Node { name: self.node.clone(), dynamic, attributes: attributes.unwrap_or_default() };
        let release = release(self.settings).unwrap_or_else(|_| Release::latest());
        let mut actions = transition(&node, before, after, release, false).after;
        let config = Control::connect().and_then(Control::config).unwrap_or_default();
        let controller = controls(&config);
        if controller && self.is_included(&config) {
            actions.retain(|action| *action != Action::CarryNodeLine);
        }
        Left { here: actions.iter().all(|action| action.is_local(controller)), actions }
    }

    /// Does what is left, and waits until the node has registered with its new table. `limit` bounds the wait
    /// for jobs.
    ///
    /// # Errors
    /// [`SiteError::Action`], [`SiteError::Unregistered`].
    pub fn carry_out(&self, left: &Left, table: &GresTable, limit: Duration) -> Result<(), SiteError> {
        for action in &left.actions {
            action.run(limit)?;
        }
        if left.actions.is_empty() { Ok(()) } else { self.registered(table) }
    }

    fn registered(&self, table: &GresTable) -> Result<(), SiteError> {
        const PAUSE: Duration = Duration::from_millis(200);
        let start = Instant::now();
        loop {
            let what = match self.view() {
                Ok(view) => match self.fault(&view, table) {
                    None => return Ok(()),
                    Some(fault) => fault,
                },
                Err(error) => error.to_string(),
            };
            if start.elapsed() > REGISTERED {
                return Err(SiteError::Unregistered { node: self.node.clone(), what });
            }
            sleep(PAUSE);
        }
    }

    /// What keeps the node from being registered with a table. Without the plugin in slurmd there is no word of
    /// what slurmd loaded.
    fn fault(&self, view: &NodeView, table: &GresTable) -> Option<String> {
        // UNKNOWN is a node whose slurmd slurmctld has not heard since it started itself; it cannot be resumed.
        let unwell = ["UNKNOWN", "INVAL", "INVALID_REG", "NOT_RESPONDING", "DOWN"];
        let unwell = unwell.iter().any(|state| view.is(state));
        let loaded = self.root.path(Root::LOADED_MAP);
        if unwell {
            Some(format!("{}: {}", view.state.join("+").to_lowercase(), view.reason))
        } else if view.gres() != table.gres() {
            Some(format!("slurmctld has Gres={}, the node has {}", view.gres(), table.gres()))
        } else if loaded.exists() && self.loaded() != table.records {
            Some("slurmd has not loaded the new device map".to_owned())
        } else {
            None
        }
    }

    /// Whether slurmctld's slurm.conf, read on this host, includes the node line that is written here.
    fn is_included(&self, config: &Config) -> bool {
        let Some(path) = config.get("SLURM_CONF").map(Path::new) else { return false };
        let text = std::fs::read_to_string(self.root.path(path)).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new("/"));
        text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace)).any(|(word, file)| {
            word.eq_ignore_ascii_case("include")
                && folder.join(file.trim()) == Path::new(self.settings.paths.node_conf())
        })
    }

    /// What Slurm's indexes mean now: what slurmd loaded, or before it ever loaded a map, what is in place.
    pub fn loaded(&self) -> Vec<Record> {
        self.loaded_map().map(|map| map.records).unwrap_or_default()
    }

    fn loaded_map(&self) -> Option<DeviceMap> {
        device_map::load(&self.root.path(Root::LOADED_MAP)).ok().or_else(|| present_map(self.root))
    }
}

/// Whether this host runs the only slurmctld. What a backup reads is not known here.
fn controls(config: &Config) -> bool {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let hosts: Vec<String> = config.controllers().map(short).collect();
    hosts == [short(&host)]
}
