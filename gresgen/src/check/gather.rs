//! Reading the world into [`Facts`].

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use device_map::{DeviceFile, DeviceMap};

use super::clients::{COMMANDS, DRM, OPENCL, OTHER};
use super::{Facts, Node, Seen, SlurmFacts, shared};
use crate::devices::boot_id;
use crate::holders;
use crate::hooks::services::Services;
use crate::inventory::{Holder, Inventory};
use crate::open::OpenNodes;
use crate::order::heard;
use crate::publish;
use crate::read;
use crate::render;
use crate::root::Root;
use crate::site::is_slurms;
use crate::slurm::control::{Control, NodeView, host_hardware};
use crate::slurm::hardware::Hardware;
use crate::slurm::here;
use crate::slurm::links::Links;
use crate::slurm::plugstack;
use crate::slurm::{GresTable, Names, Settings, SlurmError, gres};

/// What can be known without driver and slurmctld, in milliseconds: for Prolog and HealthCheckProgram, which every
/// node runs at once.
pub(crate) fn quick(settings: &Settings, root: &Root) -> Facts {
    let map = device_map::load(&root.path(Root::DEVICE_MAP)).map_err(|e| e.to_string());
    let loaded = root.path(Root::LOADED_MAP);
    let gres_conf = read::bytes(&root.path(settings.paths.gres_conf()), read::MAX_TEXT);
    let in_slurm = is_slurms(root, settings);
    Facts {
        boot: boot_id(root).unwrap_or_default(),
        nodes: map.as_ref().map(nodes).unwrap_or_default(),
        loaded: in_slurm
            .then(|| loaded.exists().then(|| device_map::load(&loaded).map_err(|e| e.to_string()))),
        gres_digest: in_slurm.then(|| gres_conf.ok().map(|text| render::digest(&text))),
        map: Some(map),
        ..Facts::default()
    }
}

/// Everything. `inventory` is the driver's picture and `drift` what an apply would do, both as far as they could
/// be had. slurmctld is asked about `node`, where this node has one.
pub(crate) fn full(
    node: Option<&str>,
    inventory: Result<Inventory, String>,
    drift: Option<Result<Vec<String>, String>>,
    settings: &Settings,
    root: &Root,
) -> Facts {
    let mut facts = quick(settings, root);
    facts.drift = drift;
    facts.stopped = Services::stopped(root);
    facts.silence = inventory.as_ref().ok().and_then(|inventory| silence(inventory, root));
    let in_slurm = is_slurms(root, settings);
    if let Ok(inventory) = &inventory {
        published(&mut facts, inventory, settings, root, in_slurm);
    }
    facts.clients = Some(clients(root, inventory.as_ref().ok()));
    facts.directories = directories(settings, root);
    facts.inventory = Some(inventory);
    if !in_slurm {
        return facts;
    }
    // The one that Slurm reads, wherever ours is written for others to take.
    let cgroup_conf = match here::directory(root) {
        Some(directory) => directory.join("cgroup.conf"),
        None => root.path(settings.paths.cgroup_conf()),
    };
    let text = read::bytes(&cgroup_conf, read::MAX_TEXT).unwrap_or_default();
    facts.cgroup_conf = Some(String::from_utf8_lossy(&text).into_owned());
    facts.unified_cgroup = here::has_unified_cgroup(root);
    facts.other_gres = node.map(|node| shared::other_gres(node, settings, root)).unwrap_or_default();
    if let Some(node) = node {
        facts.slurm = Some(controller(node).map_err(|e| e.to_string()));
        let entry = settings.entry(node).and_then(|entry| entry.parts().ok());
        facts.configured = entry.map(|entry| Hardware::of(&entry));
        let orders = settings.on_request.iter().any(|entry| entry.orders && entry.is_about(node));
        facts.catalog_is_written = settings.catalog.is_some();
        facts.catalog = settings.catalog.clone().or_else(|| orders.then(|| CATALOG.to_owned()));
        facts.host = host_hardware().map(|line| Hardware::read(&line));
        plugin(&mut facts, settings, root);
    }
    facts
}

/// What orders have closed, where nobody who gives them was heard for long.
fn silence(inventory: &Inventory, root: &Root) -> Option<(usize, Duration)> {
    let closed = inventory.gpus.iter().flat_map(|gpu| &gpu.instances).filter(|i| i.closed).count();
    heard::silence(root).filter(|_| closed > 0).map(|since| (closed, since))
}

/// The table that the inventory makes, and the files that differ from it. Nothing is written.
fn published(facts: &mut Facts, inventory: &Inventory, settings: &Settings, root: &Root, in_slurm: bool) {
    match publish::compare(inventory, settings, root, false, in_slurm) {
        Ok((table, comparison)) => {
            facts.stale_files = Some(Ok(comparison.changed().map(Path::to_owned).collect()));
            facts.table = Some(table.clone());
            if !in_slurm {
                return;
            }
            facts.bad_links = settings.stable_links.then(|| Links::new(&table, inventory).wrong(root));
            facts.rivals = rivals(&table, settings);
            facts.mixed = mixed(inventory, settings);
            facts.shared_gres_conf = shared::compare(&inventory.node, settings, root);
        }
        Err(error) => facts.stale_files = Some(Err(error.to_string())),
    }
}

fn rivals(table: &GresTable, settings: &Settings) -> Vec<String> {
    let Ok(names) = Names::new(&settings.types) else { return Vec::new() };
    let rivals = names.rivals(table.types.iter().map(|(name, _)| name)).into_iter();
    rivals.map(|(name, other, product)| format!("{name} for {other} of {product}")).collect()
}

fn mixed(inventory: &Inventory, settings: &Settings) -> Vec<String> {
    let found = gres::mixed(inventory, settings).unwrap_or_default().into_iter();
    found.map(|(name, models)| format!("{name} is {}", models.join(" and "))).collect()
}

/// Directories of what Slurm's daemons and users read that have another mode than they need.
fn directories(settings: &Settings, root: &Root) -> Vec<(PathBuf, u32)> {
    let plugstack = root.path(settings.paths.plugstack_conf());
    let all = [Root::RUN, Root::SLICES, "/var/lib/gresgen"].map(|directory| root.path(directory));
    let all = all.into_iter().chain(plugstack.parent().map(Path::to_owned));
    let mode = |path: PathBuf| Some((path.metadata().ok()?.permissions().mode() & 0o7777, path));
    let wrong = |mode: u32| mode & 0o022 != 0 && mode & 0o1000 == 0 || mode & 0o055 != 0o055;
    all.filter_map(mode).filter(|(mode, _)| wrong(*mode)).map(|(mode, path)| (path, mode)).collect()
}

fn nodes(map: &DeviceMap) -> Vec<Node> {
    let mut files: Vec<&DeviceFile> = map.records.iter().flat_map(|r| &r.files).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup();
    let node = |file: &DeviceFile| Node {
        path: file.path.clone(),
        numbers: (file.major, file.minor),
        seen: seen(&file.path),
    };
    files.into_iter().map(node).collect()
}

fn seen(path: &Path) -> Seen {
    match path.metadata() {
        Err(_) => Seen::Missing,
        Ok(metadata) if !metadata.file_type().is_char_device() => Seen::Other,
        Ok(metadata) => Seen::Device {
            numbers: (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev())),
            readable: metadata.permissions().mode() & 0o004 != 0,
        },
    }
}

/// Names of nodes of a catalog, where the site has not said its own.
const CATALOG: &str = "cut-on-request-[1-2]";

fn controller(node: &str) -> Result<SlurmFacts, SlurmError> {
    let control = Control::connect()?;
    let config = control.config()?;
    let release = config.release();
    let nodes = control.nodes()?;
    let types: BTreeSet<&str> = nodes.iter().flat_map(NodeView::types).collect();
    Ok(SlurmFacts {
        node: control.node(node).map_err(|e| e.to_string()),
        types: types.into_iter().map(str::to_owned).collect(),
        nodes,
        release,
        config,
    })
}

/// The plugin's line, where slurmctld says that plugstack.conf is, or beside slurm.conf.
fn plugin(facts: &mut Facts, settings: &Settings, root: &Root) {
    let config = facts.slurm.as_ref().and_then(|s| s.as_ref().ok()).map(|s| &s.config);
    let path = here::plugstack_conf(config.and_then(|c| c.get("PlugStackConfig")), root);
    let lines = path.map(|path| plugstack::read(&path)).unwrap_or_default();
    let name =
        Path::new(&settings.plugin.path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let line = lines.iter().find(|l| l.plugin.file_name().is_some_and(|n| *n == *name));
    let directories = config.and_then(|c| c.get("PluginDir"));
    let there = line.and_then(|line| {
        if line.plugin.is_absolute() {
            Some(root.path(&line.plugin).exists())
        } else {
            directories.map(|all| all.split(':').any(|d| root.path(d).join(&line.plugin).exists()))
        }
    });
    facts.plugin = Some((name, there));
    facts.plugstack = Some(lines);
}

fn clients(root: &Root, inventory: Option<&Inventory>) -> Vec<(String, &'static str)> {
    let mut clients = Vec::new();
    let mut named = BTreeSet::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let Ok(comm) = read::kernel(process.path().join("comm")) else { continue };
        // The kernel cuts names to 15 characters.
        let known = COMMANDS.iter().find(|(command, _)| comm.trim_end() == *command);
        let pid = process.file_name().to_string_lossy().into_owned();
        named.extend(known.and(pid.parse::<u32>().ok()));
        clients.extend(known.map(|(command, fix)| (format!("{command} (process {pid})"), *fix)));
        if comm.trim_end() == "slurmd" && has_opencl(&process.path()) {
            clients.push((OPENCL.0.to_owned(), OPENCL.1));
        }
    }
    clients.extend(inventory.into_iter().flat_map(|inventory| others(inventory, &named)));
    let modeset = read::kernel(root.path("/sys/module/nvidia_drm/parameters/modeset"));
    if modeset.is_ok_and(|value| value.trim() == "Y") {
        clients.push((DRM.0.to_owned(), DRM.1));
    }
    clients
}

/// Whoever else has a GPU's device node open, or a descriptor of it: what it is for is not known here.
fn others(inventory: &Inventory, named: &BTreeSet<u32>) -> Vec<(String, &'static str)> {
    let open = OpenNodes::read(&holders::devices(inventory));
    let mut found: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for gpu in &inventory.gpus {
        // A slice is held by its own nodes alone, and by whoever the driver says is on it.
        let parts = gpu.instances.iter().flat_map(|i| &i.compute).flat_map(|compute| &compute.files);
        let numbers: BTreeSet<_> =
            [&gpu.file].into_iter().chain(parts).map(|file| (file.major, file.minor)).collect();
        let opened = numbers.into_iter().flat_map(|numbers| open.all(numbers).map(|(pid, _)| pid));
        let told = gpu.holders.iter().chain(gpu.instances.iter().flat_map(|i| &i.holders));
        let told = told.filter_map(|holder| match holder {
            Holder::Process { pid, .. } | Holder::Run { pid } => Some(*pid),
            _ => None,
        });
        let all: BTreeSet<u32> = opened.chain(told).filter(|pid| *pid != 0 && !named.contains(pid)).collect();
        for pid in all {
            found.entry(pid).or_default().insert(gpu.index);
        }
    }
    let client = |(pid, gpus): (u32, BTreeSet<u32>)| {
        let gpus: Vec<String> = gpus.iter().map(u32::to_string).collect();
        (format!("{} on GPU {}", holders::process(pid), gpus.join(", ")), OTHER)
    };
    found.into_iter().map(client).collect()
}

/// Whether a process has hwloc's OpenCL plugin mapped.
fn has_opencl(process: &Path) -> bool {
    read::kernel(process.join("maps")).is_ok_and(|maps| maps.contains("hwloc_opencl"))
}
