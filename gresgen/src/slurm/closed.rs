//! Instances that orders have closed: who has one keeps it, and Slurm gives it to nobody until it is opened.
//!
//! Neither the driver nor Slurm remembers that, so it stands in a file of this boot ([`Root::CLOSED`]), written together with
//! the gres.conf that has it. It is not read back from gres.conf: a site may have that written in a way of its own, and
//! a line that somebody edited there has to show as drift. What nobody but root can have written counts; a file that cannot
//! be read closes nothing, which harms nobody: nothing is destroyed because it is closed.

use std::collections::HashSet;

use device_map::trust;

use crate::inventory::{Gpu, Instance, Inventory};
use crate::root::Root;

/// First word of the file, see [`Kind::Closed`](crate::files::Kind::Closed).
pub(crate) const MARKER: &str = "gresgen-closed ";

const VERSION: u32 = 1;

/// The lines before those of instances. Of another boot or in another version, the file is about no instance there is.
fn head(boot: &str) -> String {
    format!("{MARKER}{VERSION}\nboot {boot}\n")
}

/// An instance by all that it is known by: one that is made anew at the same place is another.
fn row(gpu: &Gpu, instance: &Instance) -> String {
    let uuid = instance.compute.first().map_or("-", |compute| &compute.uuid);
    let placement = instance.placement;
    format!("{} {} {} {uuid}", gpu.uuid, placement.profile, placement.start)
}

/// What the file says of a node.
pub(crate) fn text(inventory: &Inventory) -> String {
    let of = |gpu: &Gpu| {
        let closed = gpu.instances.iter().filter(|instance| instance.closed);
        let mut rows: Vec<String> = closed.map(|instance| row(gpu, instance) + "\n").collect();
        rows.sort_unstable();
        rows.concat()
    };
    std::iter::once(head(&inventory.boot)).chain(inventory.gpus.iter().map(of)).collect()
}

/// Whether the file is to be there: something is closed, or was.
pub(crate) fn is_due(inventory: &Inventory, root: &Root) -> bool {
    inventory.gpus.iter().flat_map(|gpu| &gpu.instances).any(|instance| instance.closed)
        || read(root).starts_with(MARKER)
}

/// Says of the instances of some GPUs whether they are closed.
pub(super) fn mark(inventory: &mut Inventory, root: &Root, takes_orders: impl Fn(&Gpu) -> bool) {
    let text = read(root);
    let Some(rows) = text.strip_prefix(&head(&inventory.boot)) else { return };
    let rows: HashSet<&str> = rows.lines().collect();
    for gpu in inventory.gpus.iter_mut().filter(|gpu| takes_orders(gpu)) {
        let closed: Vec<bool> = gpu.instances.iter().map(|i| rows.contains(&*row(gpu, i))).collect();
        gpu.instances.iter_mut().zip(closed).for_each(|(instance, closed)| instance.closed = closed);
    }
}

fn read(root: &Root) -> String {
    trust::text(&root.path(Root::CLOSED)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use mig::Placement;
    use tempfile::TempDir;

    use super::*;

    fn at(profile: &str, start: u8) -> Placement {
        Placement { profile: profile.parse().unwrap(), start }
    }

    /// Two GPUs of which the second instance of the first is closed.
    fn node() -> Inventory {
        let cut = [at("1g.5gb", 0), at("3g.20gb", 4)];
        let gpus = (0..2).map(|index| Gpu::a100_cut(index, &cut)).collect();
        let mut inventory = Inventory { node: "n1".into(), boot: "b".into(), gpus, ..Inventory::default() };
        inventory.gpus[0].instances[1].closed = true;
        inventory
    }

    /// A directory as the root of a node, and where the file is to be there.
    fn place() -> (TempDir, Root, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        let path = root.path(Root::CLOSED);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        (directory, root, path)
    }

    /// What a fresh reading of the node says is closed, as GPU and place.
    fn closed(inventory: &Inventory, root: &Root, takes_orders: impl Fn(&Gpu) -> bool) -> Vec<(u32, u8)> {
        let mut fresh = inventory.clone();
        fresh.gpus.iter_mut().flat_map(|gpu| &mut gpu.instances).for_each(|i| i.closed = false);
        mark(&mut fresh, root, takes_orders);
        let of = |gpu: &Gpu| {
            let closed = gpu.instances.iter().filter(|i| i.closed);
            closed.map(|i| (gpu.index, i.placement.start)).collect::<Vec<_>>()
        };
        fresh.gpus.iter().flat_map(of).collect()
    }

    #[test]
    fn what_was_closed_in_this_boot_is_closed_and_nothing_else() {
        let (_directory, root, path) = place();
        let node = node();
        insta::assert_snapshot!(text(&node), @"
        gresgen-closed 1
        boot b
        GPU-0 3g.20gb 4 MIG-0-2
        ");
        assert_eq!(closed(&node, &root, |_| true), []);
        fs::write(&path, text(&node)).unwrap();
        assert_eq!(closed(&node, &root, |_| true), [(0, 4)]);
        assert_eq!(
            closed(&node, &root, |gpu| gpu.index == 1),
            [],
            "a GPU that takes no orders has none closed"
        );
        let other_boot = Inventory { boot: "c".into(), ..node.clone() };
        assert_eq!(closed(&other_boot, &root, |_| true), []);
        assert!(is_due(&other_boot, &root));
        let mut anew = node.clone();
        anew.gpus[0].instances[1].compute[0].uuid = "MIG-0-9".into();
        assert_eq!(closed(&anew, &root, |_| true), [], "one that was made anew is open");
    }

    #[test]
    fn what_others_can_write_or_nobody_can_read_closes_nothing() {
        let (directory, root, path) = place();
        let node = node();
        let right = text(&node);
        for wrong in ["", "\0", "gresgen-closed 2\n", &right.replace(" 1\n", " 2\n"), &format!(" {right}")] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(closed(&node, &root, |_| true), [], "{wrong:?}");
        }
        fs::write(&path, &right).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(closed(&node, &root, |_| true), []);
        fs::rename(&path, directory.path().join("other")).unwrap();
        std::os::unix::fs::symlink(directory.path().join("other"), &path).unwrap();
        assert_eq!(closed(&node, &root, |_| true), []);
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(closed(&node, &root, |_| true), []);
    }
}
