//! After a reboot: instances are gone, and slurmd ends when a device file of its gres.conf is missing.
//!
//! A boot is an apply that writes gres.conf, the device map and the links, never the node line. A node must come up
//! with what it has, whatever is wrong with its configuration, its driver or its lock: then what is there is
//! written, so that slurmd can start, and the node is drained with the reason.

use std::time::Duration;

use super::Options;
use super::fence::{Fence, lower};
use crate::files;
use crate::inventory::Inventory;
use crate::nvml::Driver;
use crate::publish::{Expected, PublishError, present_map};
use crate::root::Root;
use crate::site::Site;
use crate::slurm::transition::Action;
use crate::slurm::{GresTable, SlurmError, here, slots};
use crate::wait::{self, Ended, Stop};

/// Waits for what may not be there yet at a boot: the driver, the lock that somebody else has.
pub(crate) fn retry<T, E>(
    limit: Duration,
    stop: &Stop,
    report: &mut dyn FnMut(Duration, &E),
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, Ended<E>> {
    wait::until_reporting(limit, Duration::from_millis(500), stop, report, attempt)
}

/// Whether the node has been brought up in this boot and runs Slurm's daemon or jobs.
pub(crate) fn in_service(root: &Root, boot: &str) -> bool {
    present_map(root).is_some_and(|map| map.boot == boot && here::in_service(root, &map.node))
}

/// What became of a node that could not be what it shall be.
#[derive(Debug)]
pub(crate) struct BootFallback {
    /// The name that it has in its files, and that slurmctld was told.
    pub node: String,
    /// Whether its files have the GPUs as they are rather than none, or why slurmd may find files that name devices
    /// which are gone.
    pub files: Result<bool, PublishError>,
    /// Why slurmctld could not be told: it drains the node by itself when slurmd registers with fewer devices than
    /// configured.
    pub drained: Result<(), SlurmError>,
}

/// How a boot that could not restore the layout leaves the node.
#[derive(Debug)]
pub(crate) enum BootLeft {
    /// As it is: a person stopped it, who is there.
    Interrupted,
    /// As it is: slurmd and jobs are running.
    InService,
    /// With files that slurmd can load, and drained.
    Drained(BootFallback),
}

/// After the layout could not be restored, for `reason`. A node must come up, with what it has: slurmd ends when its
/// gres.conf names a device that is not there. One that is in service already is left as it is, as by any apply that fails.
/// `configured` is whether the configuration was read, which says what the node is called.
pub(crate) fn give_up(
    site: &Site<'_>,
    configured: bool,
    boot: &str,
    in_service: bool,
    stop: &Stop,
    driver: impl FnOnce() -> Option<Driver>,
    reason: &str,
) -> BootLeft {
    if stop.is_by_person() {
        return BootLeft::Interrupted;
    }
    if in_service {
        return BootLeft::InService;
    }
    let mut there = driver().and_then(|driver| driver.inventory(&site.node).ok());
    if let Some(inventory) = &mut there {
        slots::complete(inventory, site.settings, site.root);
    }
    BootLeft::Drained(fall_back(site, configured, boot, there.as_ref(), reason))
}

/// When the node cannot be what it shall be: writes files of what is there, or of no GPUs where that is not known or
/// makes no files, and drains the node.
fn fall_back(
    site: &Site<'_>,
    configured: bool,
    boot: &str,
    inventory: Option<&Inventory>,
    reason: &str,
) -> BootFallback {
    let node = written_for(site, configured).unwrap_or_else(|| site.node.clone());
    let site = Site { node: node.clone(), ..site.clone() };
    let there =
        inventory.map(|inventory| publish(&Inventory { node: node.clone(), ..inventory.clone() }, &site));
    let files = match there {
        Some(Ok(())) => Ok(true),
        _ => publish(&nothing(&site, boot), &site).map(|()| false),
    };
    // An error may have more lines than one; sinfo shows one.
    let reason: String = reason.lines().next().unwrap_or_default().chars().take(200).collect();
    let drained = Fence::raise(site, &reason, false).map(drop);
    BootFallback { node, files, drained }
}

/// The node that gres.conf was written for, where that is this one by another name than is known now: by the only line
/// of slurm.conf about this host, or, where slurm.conf knows nothing of it and the configuration cannot be read, because
/// nobody but this node can have written the file. A file behind a link may be another host's.
fn written_for(site: &Site<'_>, configured: bool) -> Option<String> {
    // An earlier try of this boot has told it; the map is this host's alone, and gone with the boot.
    if let (false, Some(map)) = (configured, present_map(site.root)) {
        return Some(map.node);
    }
    let path = site.root.path(site.settings.paths.gres_conf());
    let written = files::only_node(&path)?;
    let own = here::own_names(site.root);
    let is_this = match own.len() {
        0 => !configured && !path.is_symlink(),
        count => count == 1 && own.contains(&written),
    };
    is_this.then_some(written)
}

fn publish(inventory: &Inventory, site: &Site<'_>) -> Result<(), PublishError> {
    let options = Options { boot: true, ..Options::default() };
    let expected =
        Expected::new(inventory, site.settings, site.root, None, |kind| options.writes(kind, site))?;
    expected.stage(site.root, false)?.commit().map(drop)
}

fn nothing(site: &Site<'_>, boot: &str) -> Inventory {
    Inventory { node: site.node.clone(), boot: boot.to_owned(), ..Inventory::default() }
}

/// Tells slurmctld, where it is there, of a node whose layout is restored. Gives whose drain holds the node. One that was
/// in service has been told by the change itself.
pub(crate) fn announce(site: &Site<'_>, table: &GresTable, in_service: bool) -> Option<String> {
    if in_service {
        return None;
    }
    if table.form.is_some() {
        have_read(site, table);
    }
    lift_drain(site, table)
}

/// Before slurmd of a node with GPUs on request starts: its first registration has to be read. A slurmctld that does not answer
/// knows nothing of it until the next apply.
fn have_read(site: &Site<'_>, table: &GresTable) {
    let actions = site.pending(&site.look(), table).actions;
    for action in actions.iter().filter(|action| matches!(action, Action::ReadAnew { .. })) {
        // What slurmctld has not read shows in the node's gate, and is then left to do.
        let _ = action.run(&Stop::default());
    }
}

/// Takes a drain of ours back when a boot has restored what slurmctld was told of the node; gives whose drain
/// holds it otherwise. A slurmctld that does not answer is left alone.
fn lift_drain(site: &Site<'_>, table: &GresTable) -> Option<String> {
    let slurm = site.look();
    let knows =
        slurm.view.as_ref().is_some_and(|view| view.gres() == table.gres() && view.form_read() == table.form);
    if !slurm.is_ours() || !knows {
        return None;
    }
    match lower(site, None, false, &Stop::default()) {
        Ok(theirs) => theirs,
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::Settings;

    #[test]
    fn a_node_without_gpus_gets_files_that_slurmd_can_load() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        let node_conf = root.path(Root::NODE_CONF);
        std::fs::create_dir_all(node_conf.parent().unwrap()).unwrap();
        std::fs::write(&node_conf, "NodeName=n1 Gres=gpu:1g.5gb:2\n").unwrap();
        let settings = Settings::default();
        let site = Site {
            root: &root,
            settings: &settings,
            node: "n1".into(),
            asks_slurmctld: false,
            in_slurm: true,
        };
        fall_back(&site, true, "b", None, "no driver").files.unwrap();
        let text = std::fs::read_to_string(root.path(Root::GRES_CONF)).unwrap();
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
        assert_eq!(present_map(&root).unwrap().records, []);
        assert_eq!(std::fs::read_to_string(&node_conf).unwrap(), "NodeName=n1 Gres=gpu:1g.5gb:2\n");
    }
}
