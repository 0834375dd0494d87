//! Device map, device nodes, files on disk.

use std::path::{Path, PathBuf};

use device_map::DeviceMap;
use device_map::version::{VERSION, is_same};

use super::{Facts, Link, few, shared};
use crate::words::count;

/// A device file of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub path: PathBuf,
    /// Major and minor by the map.
    pub numbers: (u32, u32),
    pub seen: Seen,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Missing,
    /// Something that is no character device.
    Other,
    /// A character device: its numbers, and whether its mode lets every user read it.
    Device {
        /// Major and minor.
        numbers: (u32, u32),
        /// Whether others may read.
        readable: bool,
    },
}

pub(super) fn judge(facts: &Facts, links: &mut Vec<Link>) {
    links.extend(map(facts));
    if let Some(Ok(map)) = &facts.map {
        if !map.records.is_empty() {
            links.push(nodes(&facts.nodes));
        }
        links.extend(gres_conf(facts, map));
        links.extend(loaded(facts, map));
        links.extend(plugin(facts));
    }
    links.extend(facts.bad_links.as_ref().map(|bad| stable(bad)));
    links.extend(facts.stale_files.as_ref().map(files));
    links.extend(facts.shared_gres_conf.as_ref().map(|(path, agrees)| shared::judge(path, *agrees)));
    links.extend(facts.directories.iter().map(|(path, mode)| directory(path, *mode)));
}

/// Below a directory that others can write, root's files are theirs; below a closed one, users' srun finds no plugin
/// and jobs no device map.
fn directory(path: &Path, mode: u32) -> Link {
    let what = match mode & 0o022 {
        0 => "users cannot read it",
        _ => "others can write it, and what is in it",
    };
    let path = path.display();
    Link::fail("directory", format!("{path} has mode {mode:04o}: {what}"), format!("chmod 755 {path}"))
}

fn map(facts: &Facts) -> Option<Link> {
    const NAME: &str = "device map";
    let map = match facts.map.as_ref()? {
        Err(error) => {
            return Some(Link::fail(NAME, error, "gresgen apply writes it; jobs get no device without"));
        }
        Ok(map) => map,
    };
    if map.boot != facts.boot {
        let fix = "gresgen apply --boot, and enable gresgen-boot.service";
        return Some(Link::fail(NAME, "is of an earlier boot, and instances do not survive one", fix));
    }
    let real = facts.table.as_ref().map(|table| &table.records);
    if real.is_some_and(|records| *records != map.records) {
        return Some(Link::fail(NAME, "differs from what the driver has", "gresgen apply"));
    }
    Some(Link::pass(NAME, count(map.records.len(), "device")))
}

fn nodes(nodes: &[Node]) -> Link {
    const NAME: &str = "device nodes";
    let paths = |wrong: &dyn Fn(&Node) -> bool| {
        let found = nodes.iter().filter(|n| wrong(n)).map(|n| n.path.display().to_string());
        found.collect::<Vec<_>>()
    };
    let missing = paths(&|n| n.seen == Seen::Missing);
    if !missing.is_empty() {
        let fix = "gresgen apply makes them; slurmd does not start without";
        return Link::fail(NAME, format!("missing: {}", few(&missing)), fix);
    }
    let wrong = paths(&|n| !matches!(n.seen, Seen::Device { numbers, .. } if numbers == n.numbers));
    if !wrong.is_empty() {
        let fix = "gresgen apply, which says what to remove; then restart slurmd, which has the old numbers";
        return Link::fail(NAME, format!("not the devices that the map says: {}", few(&wrong)), fix);
    }
    let closed = paths(&|n| matches!(n.seen, Seen::Device { readable: false, .. }));
    if closed.is_empty() {
        Link::pass(NAME, format!("all {} are there", nodes.len()))
    } else {
        Link::fail(NAME, format!("users cannot read {}", few(&closed)), "chmod a+r them")
    }
}

fn gres_conf(facts: &Facts, map: &DeviceMap) -> Option<Link> {
    const NAME: &str = "gres.conf";
    Some(match facts.gres_digest.as_ref()? {
        None => Link::fail(NAME, "is not there", "gresgen apply"),
        Some(digest) if *digest != map.digest => {
            Link::fail(NAME, "is not the one the device map belongs to", "gresgen apply")
        }
        Some(_) => Link::pass(NAME, "belongs to the device map"),
    })
}

fn loaded(facts: &Facts, map: &DeviceMap) -> Option<Link> {
    const NAME: &str = "map of slurmd";
    Some(match facts.loaded.as_ref()? {
        None => Link::warn(NAME, "there is none", "start slurmd with the plugin in its plugstack.conf"),
        Some(Err(error)) => Link::fail(NAME, error, "restart slurmd"),
        Some(Ok(loaded)) if !loaded.is_copy_of(map) => Link::fail(
            NAME,
            "slurmd started before the last apply and works with an older map",
            "restart slurmd",
        ),
        Some(Ok(_)) => Link::pass(NAME, "is the present one"),
    })
}

/// Whether slurmd has the plugin of this program loaded: packages replace the file under a slurmd that runs on.
fn plugin(facts: &Facts) -> Option<Link> {
    const NAME: &str = "plugin of slurmd";
    const FIX: &str = "install both of one version, then restart slurmd";
    let Some(Some(Ok(loaded))) = &facts.loaded else { return None };
    Some(match &loaded.plugin {
        Some(version) if is_same(version, VERSION) => Link::pass(NAME, version),
        Some(version) => Link::warn(NAME, format!("is {version}, this program is {VERSION}"), FIX),
        None => Link::warn(NAME, format!("does not say its version, this program is {VERSION}"), FIX),
    })
}

fn stable(bad: &[PathBuf]) -> Link {
    const NAME: &str = "stable links";
    let paths: Vec<String> = bad.iter().map(|p| p.display().to_string()).collect();
    if bad.is_empty() {
        Link::pass(NAME, "point to their devices")
    } else {
        Link::fail(
            NAME,
            format!("missing, or pointing elsewhere: {}", few(&paths)),
            "gresgen apply --boot, then restart slurmd",
        )
    }
}

fn files(stale: &Result<Vec<PathBuf>, String>) -> Link {
    const NAME: &str = "files";
    match stale {
        Err(error) => Link::fail(NAME, error, "mend what it names; gresgen render --diff shows the rest"),
        Ok(stale) if stale.is_empty() => Link::pass(NAME, "say what the driver and the configuration say"),
        Ok(stale) => {
            let paths: Vec<String> = stale.iter().map(|p| p.display().to_string()).collect();
            Link::fail(
                NAME,
                format!("out of date: {}", few(&paths)),
                "gresgen render --diff shows it; gresgen apply",
            )
        }
    }
}
