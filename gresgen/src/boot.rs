//! After a reboot: instances are gone, and slurmd ends when a device file of its gres.conf is missing.
//!
//! A boot writes gres.conf, the device map and the links, never the node line: what slurmctld is told changes by
//! an apply alone. When less is there than slurmctld was told, it drains the node and says why.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::config::Selector;
use crate::files::{Committed, Kind};
use crate::inventory::{Gpu, Inventory};
use crate::publish::{Publication, PublishError};
use crate::root::Root;
use crate::slurm::shortfall::{Shortfall, configured, shortfalls};
use crate::slurm::transition::{Action, ActionError};
use crate::slurm::{GresTable, Settings};

/// Tries until it works or `limit` has passed: at boot the driver may not be loaded yet.
///
/// # Errors
/// That of the last attempt.
pub fn wait<T, E>(limit: Duration, mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    const PAUSE: Duration = Duration::from_millis(500);
    let start = Instant::now();
    loop {
        match attempt() {
            Err(_) if start.elapsed() + PAUSE < limit => sleep(PAUSE),
            result => return result,
        }
    }
}

/// Leaves out GPUs that are not to be used (`--without`), and returns the selectors that name none: a dead GPU may
/// be one that the driver no longer lists.
pub fn without(inventory: &mut Inventory, selectors: &[Selector]) -> Vec<Selector> {
    let is = |gpu: &Gpu, selector: &Selector| selector.matches(&gpu.into());
    let unknown = selectors.iter().filter(|s| !inventory.gpus.iter().any(|gpu| is(gpu, s)));
    let unknown = unknown.cloned().collect();
    inventory.gpus.retain(|gpu| !selectors.iter().any(|s| is(gpu, s)));
    unknown
}

/// What a boot wrote.
#[derive(Debug)]
pub struct Booted {
    /// What the node offers.
    pub table: GresTable,
    /// Files that were written.
    pub committed: Committed,
    /// What slurmctld will refuse.
    pub shortfalls: Vec<Shortfall>,
}

/// Whether a boot writes files of this kind.
pub fn writes(kind: Kind) -> bool {
    matches!(kind, Kind::GresConf | Kind::DeviceMap)
}

/// Writes what is there: gres.conf, the device map, and the links where they are used.
///
/// # Errors
/// [`PublishError`] naming the object at fault.
pub fn publish(inventory: &Inventory, settings: &Settings, root: &Root) -> Result<Booted, PublishError> {
    let publication = Publication::stage_where(inventory, settings, root, false, writes)?;
    let node_conf = std::fs::read_to_string(root.path(settings.paths.node_conf())).unwrap_or_default();
    let shortfalls = shortfalls(&configured(&node_conf, &inventory.node), &publication.table);
    let table = publication.table.clone();
    Ok(Booted { committed: publication.commit()?, shortfalls, table })
}

/// When the GPUs cannot be restored: writes files without them, so that slurmd starts, and drains the node.
///
/// # Errors
/// The files'. That slurmctld cannot be told yet is no error: it drains the node by itself when slurmd registers
/// with fewer devices than configured; what it said comes back beside what was written.
pub fn give_up(
    node: &str,
    boot: &str,
    settings: &Settings,
    root: &Root,
    reason: &str,
) -> Result<(Booted, Option<ActionError>), PublishError> {
    let nothing = Inventory {
        node: node.to_owned(),
        boot: boot.to_owned(),
        driver: String::new(),
        topology: Default::default(),
        gpus: Vec::new(),
    };
    let booted = publish(&nothing, settings, root)?;
    let drain = Action::Drain { node: node.to_owned(), reason: format!("gresgen: {reason}") };
    Ok((booted, drain.run(Duration::ZERO).err()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_success_or_with_the_limit() {
        let mut tries = 0;
        let third = wait(Duration::from_secs(30), || {
            tries += 1;
            if tries == 3 { Ok(tries) } else { Err("not yet") }
        });
        assert_eq!(third, Ok(3));
        assert_eq!(wait::<(), _>(Duration::ZERO, || Err("never")), Err("never"));
    }

    #[test]
    fn a_node_without_gpus_gets_files_that_slurmd_can_load() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        let node_conf = root.path(Root::NODE_CONF);
        std::fs::create_dir_all(node_conf.parent().unwrap()).unwrap();
        std::fs::write(&node_conf, "NodeName=n1 Gres=gpu:1g.5gb:2\n").unwrap();
        let (booted, _) = give_up("n1", "b", &Settings::default(), &root, "no driver").unwrap();
        assert_eq!(booted.committed.written, [root.path(Root::GRES_CONF), root.path(Root::DEVICE_MAP)]);
        assert_eq!((booted.shortfalls[0].configured, booted.shortfalls[0].present), (2, 0));
        let text = std::fs::read_to_string(root.path(Root::GRES_CONF)).unwrap();
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
        assert_eq!(std::fs::read_to_string(&node_conf).unwrap(), "NodeName=n1 Gres=gpu:1g.5gb:2\n");
    }
}
