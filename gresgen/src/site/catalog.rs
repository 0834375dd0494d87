//! Whether slurmctld knows the nodes of the catalog, of which it learns when it starts.
//!
//! Nothing of the node itself depends on it: a change that waits for it is done, and orders are carried out.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::pending::controls;
use super::{PendingActions, Site, SlurmState};
use crate::slurm::conf::Conf;
use crate::slurm::control::NodeView;
use crate::slurm::transition::Action;
use crate::slurm::{GresTable, here, hostlist};

impl Site<'_> {
    /// What is left to do, beside `pending`, until slurmctld knows the nodes of the catalog and none that it no longer has.
    /// Nothing where slurmctld does not answer, or reads all of slurm.conf anyway.
    pub(crate) fn learn(
        &self,
        slurm: &SlurmState,
        table: &GresTable,
        pending: &PendingActions,
    ) -> PendingActions {
        let reads = |action: &Action| matches!(action, Action::RestartSlurmctld | Action::Reconfigure);
        let controller = controls(&slurm.config);
        let catalog = self.settings.catalog.as_deref();
        let is_asked = slurm.answered && table.form.is_some() && (catalog.is_some() || controller);
        if !is_asked || pending.actions.iter().any(reads) {
            return PendingActions { actions: Vec::new(), here: true };
        }
        let known = here::reach(self.root).and_then(|control| control.nodes()).unwrap_or_default();
        let is_missing = is_missing(catalog, &known);
        let is_learned = !(is_missing || controller && self.has_gone(slurm, &known));
        if known.is_empty() || is_learned {
            return PendingActions { actions: Vec::new(), here: true };
        }
        let line = is_missing.then(|| self.catalog_line(slurm, controller)).flatten();
        let restart = [Action::RestartSlurmctld, Action::WaitRegistered(self.node.clone())];
        let actions: Vec<Action> = line.map(Action::CarryNodeLine).into_iter().chain(restart).collect();
        PendingActions { here: actions.iter().all(|action| action.is_local(controller)), actions }
    }

    /// Whether slurmctld has nodes of a catalog of which slurm.conf, which is here, has no line any more. This node's own file has
    /// what the configuration says, or is about to.
    fn has_gone(&self, slurm: &SlurmState, known: &[NodeView]) -> bool {
        let Some(conf) = slurm.config.get("SLURM_CONF").map(Path::new) else { return false };
        let never_up: Vec<&str> =
            known.iter().filter(|node| node.is_never_up()).map(|node| &*node.name).collect();
        let catalog = self.settings.catalog.as_deref().unwrap_or_default();
        let mut left = never_up.into_iter().filter(|name| !hostlist::has(catalog, name)).peekable();
        if left.peek().is_none() {
            return false;
        }
        let place = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let own = place(&self.root.path(self.settings.paths.node_conf()));
        let said = Conf::read(&self.root.path(conf), self.root);
        let others = said.nodes().filter(|(line, _)| place(&line.file) != own);
        let others: HashSet<String> = others.flat_map(|(_, names)| names).collect();
        left.any(|name| !others.contains(name))
    }

    /// What is to be done so that slurm.conf has the line of the catalog; `None` where it includes it.
    fn catalog_line(&self, slurm: &SlurmState, controller: bool) -> Option<String> {
        if controller {
            return self.node_line(slurm, controller);
        }
        let host = slurm.config.controllers().next().map(|host| format!(" on {host}"));
        Some(format!(
            "slurm.conf of slurmctld{} needs the NodeName line of {} in {}",
            host.unwrap_or_default(),
            self.settings.catalog.as_deref().unwrap_or_default(),
            self.settings.paths.node_conf()
        ))
    }
}

/// Whether slurmctld lacks a node of the catalog.
pub(crate) fn is_missing(catalog: Option<&str>, known: &[NodeView]) -> bool {
    let names = catalog.and_then(|list| hostlist::expand(list).ok()).unwrap_or_default();
    let known: HashSet<&str> = known.iter().map(|node| &*node.name).collect();
    names.iter().any(|name| !known.contains(&**name))
}
