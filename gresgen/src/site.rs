//! This node as part of a Slurm cluster: who holds its slices, what Slurm works with, what a change means to running
//! jobs, and what is left to do when it is made.

mod anew;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use device_map::{DeviceMap, Record};

use crate::files::Output;
use crate::inventory::Inventory;
use crate::publish::{present_map, release};
use crate::read;
use crate::root::Root;
use crate::slurm::conf::Conf;
use crate::slurm::control::{Config, NodeView, reservation};
use crate::slurm::jobs::Given;
use crate::slurm::plugstack;
use crate::slurm::settings::NodeEntry;
use crate::slurm::transition::{Action, Change, Node, allow, transition};
use crate::slurm::{GresTable, Release, Settings, SlurmError, attributes, here, hostlist, include, jobs};
use crate::wait::{self, Ended, Stop};

/// How long daemons may take from their start until the node is registered. slurmctld itself gives a slurmd
/// SlurmdTimeout, 300 s by default; one that starts well needs a few seconds.
const REGISTERED: Duration = Duration::from_secs(60);

/// Begins the reason of every drain of ours, which is how it is known again.
pub const OURS: &str = "gresgen: ";

/// What is left to do to Slurm's daemons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// In order.
    pub actions: Vec<Action>,
    /// Whether all of it can be done on this host.
    pub here: bool,
}

/// What Slurm works with, read once.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whether slurmctld answered.
    pub answered: bool,
    /// Its picture of the node; `None` also where it knows no such node.
    pub view: Option<NodeView>,
    /// The same as it was printed; empty without one.
    shown: String,
    /// Its configuration.
    config: Config,
    /// The map that slurmd loaded; `None` where it never loaded one.
    loaded: Option<DeviceMap>,
    /// The map in its place, which slurmd reads at its next start.
    present: Option<DeviceMap>,
    /// What it has given out.
    pub given: Occupied,
    /// Whether a reservation of ours is on the node.
    pub reserved: bool,
}

/// What Slurm has given out, or why that is not known.
pub type Occupied = Result<Given, Arc<SlurmError>>;

impl Seen {
    /// What Slurm's indexes mean now: what slurmd loaded, or before it ever loaded a map, what is in place.
    pub fn map(&self) -> Option<&DeviceMap> {
        self.loaded.as_ref().or(self.present.as_ref())
    }

    /// The records of [`Seen::map`].
    pub fn records(&self) -> &[Record] {
        self.map().map_or(&[], |map| &map.records)
    }

    /// How many records the map in its place has.
    pub fn present_records(&self) -> usize {
        self.present.as_ref().map_or(0, |map| map.records.len())
    }

    /// Whether this program took the node out of scheduling.
    pub fn is_ours(&self) -> bool {
        self.reserved || self.view.as_ref().is_some_and(is_ours)
    }

    /// Whether jobs are on the node.
    pub fn is_busy(&self) -> bool {
        self.given.as_ref().is_ok_and(|given| !given.jobs.is_empty())
    }
}

/// Whether a node is drained by this program. Only operators can drain, so nobody else gives such a reason.
pub fn is_ours(view: &NodeView) -> bool {
    view.is("DRAIN") && view.reason.starts_with(OURS)
}

/// What Slurm is asked and told about one node. Of a node that is in no cluster, nothing.
#[derive(Clone)]
pub struct Site<'a> {
    /// Where the device maps are.
    pub root: &'a Root,
    /// The `slurm:` section.
    pub settings: &'a Settings,
    /// Slurm's name of the node.
    pub node: String,
    /// Whether the node belongs to a cluster and its slurmctld is to be asked.
    pub asked: bool,
    /// Whether Slurm reads files here, or is to. A machine without it needs the device map alone.
    pub in_slurm: bool,
}

/// Whether a node is, or is meant to be, one of Slurm's: by a slurm.conf or a slurmd, by what the configuration says, by
/// what slurmd says to the processes of its jobs, or because it had files for Slurm: a node whose slurm.conf comes from
/// slurmctld has none before its slurmd has started.
pub fn is_slurms(root: &Root, settings: &Settings) -> bool {
    let written = || {
        let gres_conf = read::bytes(&root.path(settings.paths.gres_conf()), read::MAX_TEXT);
        gres_conf.is_ok_and(|text| text.starts_with(Output::MARKER.as_bytes()))
    };
    !matches!(here::configuration(root), Ok(None))
        || *settings != Settings::default()
        || std::env::var_os("SLURMD_NODENAME").is_some()
        || written()
}

impl Site<'_> {
    /// What Slurm works with now, and what it has given out.
    pub fn look(&self) -> Seen {
        let given = self.given();
        let control = match &given {
            Ok(_) if self.asked => here::reach(self.root).ok(),
            _ => None,
        };
        let shown = control.and_then(|control| control.node_text(&self.node).ok()).unwrap_or_default();
        Seen {
            answered: control.is_some(),
            view: NodeView::parse(&shown),
            shown,
            config: control.and_then(|control| control.config().ok()).unwrap_or_default(),
            loaded: self.loaded_map(),
            present: present_map(self.root),
            reserved: control
                .is_some_and(|control| control.is_reserved(&reservation(&self.node)).unwrap_or_default()),
            given,
        }
    }

    /// What Slurm has given out here now: nothing where the node is in no cluster.
    pub fn given(&self) -> Occupied {
        if !self.asked {
            return Ok(Given::default());
        }
        let answer = here::reach(self.root).and_then(|control| {
            Given::ask_beside(control, &self.node, &here::neighbours(self.root, &self.node))
        });
        match answer {
            Err(SlurmError::UnknownNode(_)) => self.unknown_to_slurm().map_err(Arc::new),
            Err(_) if !here::was_in_service(self.root) => Ok(Given::default()),
            answer => answer.map_err(Arc::new),
        }
    }

    /// A node that slurmctld does not know yet has no jobs, unless it knows this host by another name; nodes that share
    /// a host are told apart by the settings.
    fn unknown_to_slurm(&self) -> Result<Given, SlurmError> {
        let ours = |names: &str| hostlist::expand(names).is_ok_and(|names| names.contains(&self.node));
        if self.settings.nodes.iter().any(|node| ours(&node.names)) {
            return Ok(Given::default());
        }
        match &here::other_names(&here::reach(self.root)?.nodes()?)[..] {
            [] => Ok(Given::default()),
            names => Err(SlurmError::OtherName { node: self.node.clone(), names: names.join(", ") }),
        }
    }

    /// Adds the jobs that hold devices. Where slurmctld cannot be asked, every device of a node that was in service
    /// counts as held.
    pub fn annotate(&self, inventory: &mut Inventory, given: &Occupied) {
        match given {
            Ok(given) => {
                let map = self.loaded_map().or_else(|| present_map(self.root));
                jobs::annotate(inventory, map.as_ref(), given);
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
    /// [`SlurmError::Count`] and [`SlurmError::Index`] when Slurm would end jobs or hand their next step another slice;
    /// [`SlurmError::Unknown`] when that cannot be known.
    pub fn allow(&self, seen: &Seen, after: &[Record]) -> Result<(), SlurmError> {
        if !self.asked || seen.records() == after {
            return Ok(());
        }
        let unknown = |error: &Arc<SlurmError>| SlurmError::Unknown {
            node: self.node.clone(),
            error: Arc::clone(error),
        };
        let given = seen.given.as_ref().map_err(unknown)?;
        allow(&self.node, seen.records(), after, &given.jobs)?;
        match given.unexplained.is_empty() {
            true => Ok(()),
            false => Err(SlurmError::Unexplained(self.node.clone())),
        }
    }

    /// slurmctld's picture of the node now.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub fn view(&self) -> Result<NodeView, SlurmError> {
        here::reach(self.root)?.node(&self.node)
    }

    /// What is to be done, until Slurm works with a table that is written or about to be: by slurmctld's own account
    /// and by the map that slurmd loaded. A drain of ours is not among it, see [`Site::resume`].
    pub fn pending(&self, seen: &Seen, table: &GresTable) -> Left {
        if !self.asked {
            return Left { actions: Vec::new(), here: true };
        }
        let controller = controls(&seen.config);
        let attributes = self.attributes();
        let node = Node {
            name: self.node.clone(),
            dynamic: seen.view.as_ref().is_some_and(NodeView::is_dynamic),
            attributes: attributes.to_owned(),
            line: self.node_line(seen, controller),
            gres: self.entry().and_then(|entry| entry.parts().ok()).map(|parts| parts.gres),
        };
        let slurmd = match &seen.loaded {
            Some(map) => Change::between(&map.records, &table.records),
            None => Change::between(&[], &table.records),
        };
        let change = match self.controller_has(seen, table, attributes) {
            // What it would say is not known: it knows what slurmd registered with.
            None => slurmd,
            Some(false) => slurmd.max(Change::Types),
            Some(true) if slurmd == Change::None && self.has_read(seen, table) => Change::None,
            // It has the line already, so slurmd alone has to read its files again.
            Some(true) => Change::Devices,
        };
        let release = release(self.settings).unwrap_or_else(|_| Release::latest());
        let mut actions = transition(&node, change, table, release);
        if seen.loaded.is_none() {
            // A slurmd that never had a map has no copy of it that could be brought up to date.
            for action in &mut actions {
                if let Action::ReloadSlurmd(node) = action {
                    *action = Action::RestartSlurmd(std::mem::take(node));
                }
            }
        }
        if let Some(how) = self.plugin_line(seen) {
            actions.insert(0, Action::LoadPlugin(how));
            if actions.len() == 1 {
                actions.push(Action::RestartSlurmd(self.node.clone()));
            }
        }
        Left { here: actions.iter().all(|action| action.is_local(controller)), actions }
    }

    /// Whether slurmctld has the node line of a table; `None` where it does not answer.
    fn controller_has(&self, seen: &Seen, table: &GresTable, attributes: &str) -> Option<bool> {
        let same = |view: &NodeView| {
            view.gres() == table.gres()
                && (view.is_dynamic() || attributes::differing(attributes, &seen.shown).is_empty())
        };
        seen.answered.then(|| seen.view.as_ref().is_some_and(same))
    }

    /// Whether slurmctld has read the records of GPUs on request that are in place.
    fn has_read(&self, seen: &Seen, table: &GresTable) -> bool {
        seen.view.as_ref().is_some_and(|view| view.form == table.form)
    }

    /// What the configuration says of the node beside its GPUs.
    fn attributes(&self) -> &str {
        self.entry().map_or("", |entry| &entry.attributes)
    }

    fn entry(&self) -> Option<&NodeEntry> {
        let is_it = |names: &str| hostlist::expand(names).is_ok_and(|n| n.contains(&self.node));
        self.settings.nodes.iter().find(|entry| is_it(&entry.names))
    }

    /// Whether what is left concerns nobody but this node, and no job on it: then a change does it by itself.
    pub fn is_own(&self, seen: &Seen, left: &Left) -> bool {
        seen.answered && seen.loaded.is_some() && anew::is_it(&left.actions)
    }

    /// What is to be done to slurmctld's slurm.conf so that it has the node line; `None` where it includes it.
    fn node_line(&self, seen: &Seen, controller: bool) -> Option<String> {
        let node_conf = Path::new(self.settings.paths.node_conf());
        match seen.config.get("SLURM_CONF").map(Path::new) {
            Some(conf) if controller => {
                let said = Conf::read(&self.root.path(conf), self.root);
                include::missing_node_line(conf, &said, &self.node, node_conf, self.root)
            }
            _ => {
                let host = seen.config.controllers().next().map(|host| format!(" on {host}"));
                Some(format!(
                    "slurm.conf of slurmctld{} needs the NodeName line of {} in the place of its own for {}",
                    host.unwrap_or_default(),
                    node_conf.display(),
                    self.node
                ))
            }
        }
    }

    /// What is to be done to plugstack.conf so that it loads the plugin; `None` where it does.
    fn plugin_line(&self, seen: &Seen) -> Option<String> {
        let said = seen.config.get("PlugStackConfig").map(PathBuf::from);
        let said = said.filter(|path| self.root.path(path).exists());
        let folder = here::directory(self.root)?;
        let path = said.map_or_else(|| folder.join("plugstack.conf"), |path| self.root.path(path));
        let name = Path::new(&self.settings.plugin.path).file_name()?;
        if plugstack::read(&path).iter().any(|line| line.plugin.file_name() == Some(name)) {
            return None;
        }
        let include = include::plugin_include(Path::new(self.settings.paths.plugstack_conf()));
        Some(format!("{}: add a line: {include}", path.display()))
    }

    /// What is left to put a node back into scheduling that this program took out of it; nothing where it comes back
    /// by itself or was not taken out.
    pub fn resume(&self, seen: &Seen, left: &Left) -> Vec<Action> {
        // A dynamic node that is forgotten comes back without its drain (seen on 22.05.8, 24.11.5 and 26.05.5).
        if left.actions.iter().any(|action| matches!(action, Action::Delete(_))) {
            return Vec::new();
        }
        let release = seen.reserved.then(|| Action::Release(self.node.clone()));
        let drained = seen.view.as_ref().is_some_and(is_ours);
        release.into_iter().chain(drained.then(|| Action::Resume(self.node.clone()))).collect()
    }

    /// Does what is left, and waits until the node has registered with its new table. Meanwhile `told` is given how long
    /// it has been waited, how long it is at most, and why the node is not there yet.
    ///
    /// # Errors
    /// [`SlurmError`], among them [`SlurmError::Unregistered`].
    pub fn carry_out(
        &self,
        left: &Left,
        table: &GresTable,
        stop: &Stop,
        told: &mut dyn FnMut(Duration, Duration, &str),
    ) -> Result<(), SlurmError> {
        if anew::is_it(&left.actions) {
            return self.read_anew(&left.actions, table, stop, told);
        }
        for action in &left.actions {
            action.run(Duration::ZERO, stop)?;
        }
        if left.actions.is_empty() { Ok(()) } else { self.registered(REGISTERED, table, stop, told) }
    }

    fn registered(
        &self,
        limit: Duration,
        table: &GresTable,
        stop: &Stop,
        told: &mut dyn FnMut(Duration, Duration, &str),
    ) -> Result<(), SlurmError> {
        const PAUSE: Duration = Duration::from_millis(200);
        let fault = || match self.view() {
            Ok(view) => self.fault(&view, table).map_or(Ok(()), Err),
            Err(error) => Err(error.to_string()),
        };
        let mut told = |since: Duration, why: &String| told(since, limit, why);
        wait::until_told(limit, PAUSE, stop, &mut told, fault).map_err(|ended| match ended {
            Ended::Stopped => SlurmError::Stopped,
            Ended::Late(what) => {
                SlurmError::Unregistered { node: self.node.clone(), seconds: limit.as_secs(), what }
            }
        })
    }

    /// Waits until a node that was put back into scheduling has answered slurmctld, which gives it no job before; not
    /// for long, since a node that does not answer was as silent before.
    pub fn settle(&self, stop: &Stop) {
        const ANSWER: Duration = Duration::from_secs(10);
        const PAUSE: Duration = Duration::from_millis(200);
        let answered = || match self.view() {
            Ok(view) if view.is("NOT_RESPONDING") => Err(()),
            _ => Ok(()),
        };
        let _ = wait::until(ANSWER, PAUSE, stop, answered);
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
        } else if view.form != table.form {
            Some("slurmctld has not read the node's records".to_owned())
        } else if loaded.exists()
            && device_map::load(&loaded).ok().map(|map| map.records).as_ref() != Some(&table.records)
        {
            Some("slurmd has not loaded the new device map".to_owned())
        } else {
            None
        }
    }
}

/// Whether this host runs the only slurmctld. What a backup reads is not known here.
fn controls(config: &Config) -> bool {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let hosts: Vec<String> = config.controllers().map(short).collect();
    hosts == [short(&host)]
}
