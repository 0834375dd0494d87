//! The node's line in slurm.conf is never poorer than it was: one without CPUs makes slurmctld take the node for one of
//! one CPU and one megabyte, and no job asks for so little.

use super::RenderError;
use crate::read;
use crate::root::Root;
use crate::slurm::conf::Conf;
use crate::slurm::hostlist;
use crate::slurm::lines::{lines, value};
use crate::slurm::settings::Attributes;
use crate::slurm::{Settings, here};

/// Checks what a node's line will say of it beside its GPUs. Where `slurm.nodes` says nothing about any node, the line is
/// only something to copy from, unless slurm.conf includes it, or it said more until now.
///
/// # Errors
/// [`RenderError::Unnamed`].
pub(crate) fn check(node: &str, settings: &Settings, root: &Root) -> Result<(), RenderError> {
    let poor = match settings.entry(node) {
        Some(entry) => !entry.parts().unwrap_or_default().have_cpus(),
        None => !settings.nodes.is_empty() || is_read(settings, root) || was_richer(node, settings, root),
    };
    if poor { Err(RenderError::Unnamed(node.to_owned())) } else { Ok(()) }
}

/// Whether slurm.conf on this host includes the line.
fn is_read(settings: &Settings, root: &Root) -> bool {
    let Some(path) = here::directory(root).map(|directory| directory.join("slurm.conf")) else {
        return false;
    };
    Conf::read(&path, root).includes(&root.path(settings.paths.node_conf()))
}

/// Whether the line in place says how many CPUs the node has.
fn was_richer(node: &str, settings: &Settings, root: &Root) -> bool {
    let text = read::bytes(&root.path(settings.paths.node_conf()), read::MAX_TEXT).unwrap_or_default();
    let mut lines = lines(&text).into_iter().filter(|line| {
        let pairs = line.pairs();
        value(&pairs, "nodename")
            .is_some_and(|list| hostlist::unfold(list).is_ok_and(|n| n.iter().any(|n| n == node)))
    });
    lines.any(|line| Attributes { rest: line.code, ..Attributes::default() }.have_cpus())
}
