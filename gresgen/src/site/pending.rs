//! What is left to do to Slurm's daemons until they work with a node's table, and doing it.

use std::path::Path;
use std::time::Duration;

use device_map::DeviceMap;

use super::{Site, SlurmState, anew, is_ours};
use crate::publish::release;
use crate::root::Root;
use crate::slurm::conf::Conf;
use crate::slurm::control::{Config, NodeView};
use crate::slurm::plugstack;
use crate::slurm::transition::{Action, Change, Node, transition};
use crate::slurm::{GresTable, Release, SlurmError, attributes, here, include};
use crate::wait::{self, Ended, Stop};

/// How long daemons may take from their start until the node is registered. slurmctld itself gives a slurmd
/// SlurmdTimeout, 300 s by default; one that starts well needs a few seconds.
const REGISTERED: Duration = Duration::from_secs(60);

/// What is left to do to Slurm's daemons.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PendingActions {
    /// In order.
    pub actions: Vec<Action>,
    /// Whether all of it can be done on this host.
    pub here: bool,
}

impl Site<'_> {
    /// What is to be done, until Slurm works with a table that is written or about to be: by slurmctld's own account
    /// and by the map that slurmd loaded. A drain of ours is not among it, see [`Site::resume`].
    pub(crate) fn pending(&self, slurm: &SlurmState, table: &GresTable) -> PendingActions {
        if !self.asks_slurmctld {
            return PendingActions { actions: Vec::new(), here: true };
        }
        let controller = controls(&slurm.config);
        let slurmd = match &slurm.loaded {
            Some(map) => Change::between(&map.records, &table.records),
            None => Change::between(&[], &table.records),
        };
        let change = match self.controller_has(slurm, table, self.attributes()) {
            // What it would say is not known: it knows what slurmd registered with.
            None if table.form.is_some() && !has_loaded(slurm) => slurmd.max(Change::Devices),
            None => slurmd,
            Some(false) => slurmd.max(Change::Types),
            Some(true) if slurmd == Change::None && has_read(slurm, table) => Change::None,
            // It has the line already, so slurmd alone has to read its files again.
            Some(true) => Change::Devices,
        };
        let release = release(self.settings).unwrap_or_else(|_| Release::latest());
        let mut actions = transition(&self.told_of(slurm, controller), change, table, release);
        if slurm.loaded.is_none() {
            // A slurmd that never had a map has no copy of it that could be brought up to date.
            for action in &mut actions {
                if let Action::ReloadSlurmd(node) = action {
                    *action = Action::RestartSlurmd(std::mem::take(node));
                }
            }
        }
        if let Some(how) = self.plugin_line(slurm) {
            actions.insert(0, Action::LoadPlugin(how));
            if actions.len() == 1 {
                actions.push(Action::RestartSlurmd(self.node.clone()));
            }
        }
        PendingActions { here: actions.iter().all(|action| action.is_local(controller)), actions }
    }

    /// What makes Slurm read once more what it has read of a table whose node line it has.
    pub(crate) fn anew(&self, slurm: &SlurmState, table: &GresTable) -> PendingActions {
        let release = release(self.settings).unwrap_or_else(|_| Release::latest());
        let node = self.told_of(slurm, controls(&slurm.config));
        PendingActions { actions: transition(&node, Change::Devices, table, release), here: true }
    }

    /// The node as Slurm is told of it.
    fn told_of(&self, slurm: &SlurmState, controller: bool) -> Node {
        let parts = self.settings.entry(&self.node).and_then(|entry| entry.parts().ok());
        Node {
            name: self.node.clone(),
            dynamic: slurm.view.as_ref().is_some_and(NodeView::is_dynamic),
            attributes: self.attributes().to_owned(),
            line: self.node_line(slurm, controller),
            gres: parts.map(|parts| parts.gres),
        }
    }

    /// Whether slurmctld has the node line of a table; `None` where it does not answer.
    fn controller_has(&self, slurm: &SlurmState, table: &GresTable, attributes: &str) -> Option<bool> {
        let same = |view: &NodeView| {
            view.gres() == table.gres()
                && (view.is_dynamic() || attributes::differing(attributes, &slurm.shown).is_empty())
        };
        slurm.answered.then(|| slurm.view.as_ref().is_some_and(same))
    }

    /// What the configuration says of the node beside its GPUs.
    fn attributes(&self) -> &str {
        self.settings.entry(&self.node).map_or("", |entry| &entry.attributes)
    }

    /// Whether what is left concerns nobody but this node, and no job on it: then a change does it by itself.
    pub(crate) fn concerns_node_alone(&self, slurm: &SlurmState, pending_actions: &PendingActions) -> bool {
        slurm.answered && slurm.loaded.is_some() && anew::covers(&pending_actions.actions)
    }

    /// What is to be done to slurmctld's slurm.conf so that it has the node line; `None` where it includes it.
    pub(super) fn node_line(&self, slurm: &SlurmState, controller: bool) -> Option<String> {
        let node_conf = Path::new(self.settings.paths.node_conf());
        match slurm.config.get("SLURM_CONF").map(Path::new) {
            Some(conf) if controller => {
                let said = Conf::read(&self.root.path(conf), self.root);
                include::missing_node_line(conf, &said, &self.node, node_conf, self.root)
            }
            _ => {
                let host = slurm.config.controllers().next().map(|host| format!(" on {host}"));
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
    fn plugin_line(&self, slurm: &SlurmState) -> Option<String> {
        let path = here::plugstack_conf(slurm.config.get("PlugStackConfig"), self.root)?;
        let name = Path::new(&self.settings.plugin.path).file_name()?;
        if plugstack::read(&path).iter().any(|line| line.plugin.file_name() == Some(name)) {
            return None;
        }
        let include = include::plugin_include(Path::new(self.settings.paths.plugstack_conf()));
        Some(format!("{}: add a line: {include}", path.display()))
    }

    /// What is left to put a node back into scheduling that this program took out of it; nothing where it comes back
    /// by itself or was not taken out.
    pub(crate) fn resume(&self, slurm: &SlurmState, pending_actions: &PendingActions) -> Vec<Action> {
        // A dynamic node that is forgotten comes back without its drain (seen on 22.05.8, 24.11.5 and 26.05.5).
        if pending_actions.actions.iter().any(|action| matches!(action, Action::Delete(_))) {
            return Vec::new();
        }
        let release = slurm.reserved.then(|| Action::Release(self.node.clone()));
        let drained = slurm.view.as_ref().is_some_and(is_ours);
        release.into_iter().chain(drained.then(|| Action::Resume(self.node.clone()))).collect()
    }

    /// Does what is left, and waits until the node has registered with its new table. Meanwhile `report` is given how long
    /// it has been waited, how long it is at most, and why the node is not there yet.
    ///
    /// # Errors
    /// [`SlurmError`], among them [`SlurmError::Unregistered`].
    pub(crate) fn carry_out(
        &self,
        pending_actions: &PendingActions,
        table: &GresTable,
        stop: &Stop,
        report: &mut dyn FnMut(Duration, Duration, &str),
    ) -> Result<(), SlurmError> {
        if anew::covers(&pending_actions.actions) {
            return self.read_anew(&pending_actions.actions, table, stop, report);
        }
        for action in &pending_actions.actions {
            action.run(stop)?;
        }
        if pending_actions.actions.is_empty() {
            Ok(())
        } else {
            self.registered(REGISTERED, table, stop, report)
        }
    }

    pub(super) fn registered(
        &self,
        limit: Duration,
        table: &GresTable,
        stop: &Stop,
        report: &mut dyn FnMut(Duration, Duration, &str),
    ) -> Result<(), SlurmError> {
        const PAUSE: Duration = Duration::from_millis(200);
        let fault = || match self.view() {
            Ok(view) => self.fault(&view, table).map_or(Ok(()), Err),
            Err(error) => Err(error.to_string()),
        };
        let mut report = |since: Duration, why: &String| report(since, limit, why);
        wait::until_reporting(limit, PAUSE, stop, &mut report, fault).map_err(|ended| match ended {
            Ended::Stopped => SlurmError::Stopped,
            Ended::Late(what) => {
                SlurmError::Unregistered { node: self.node.clone(), seconds: limit.as_secs(), what }
            }
        })
    }

    /// Waits until a node that was put back into scheduling has answered slurmctld, which gives it no job before; not
    /// for long, since a node that does not answer was as silent before.
    pub(crate) fn settle(&self, stop: &Stop) {
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
        } else if view.form_read() != table.form {
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

/// Whether slurmctld has read the records of GPUs on request that are in place.
fn has_read(slurm: &SlurmState, table: &GresTable) -> bool {
    // Two texts of one form may follow each other where a change was cut off between them.
    let loaded = table.form.is_none() || has_loaded(slurm);
    loaded && slurm.view.as_ref().is_some_and(|view| view.form_read() == table.form)
}

/// Whether slurmd has loaded the gres.conf in place: some of the same records may be closed in it.
fn has_loaded(slurm: &SlurmState) -> bool {
    let digest = |map: &Option<DeviceMap>| map.as_ref().map(|map| map.digest.clone());
    digest(&slurm.loaded) == digest(&slurm.present)
}

/// Whether this host runs the only slurmctld. What a backup reads is not known here.
pub(super) fn controls(config: &Config) -> bool {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let hosts: Vec<String> = config.controllers().map(short).collect();
    hosts == [short(&host)]
}
