//! GPUs on request: one record for every instance that such a GPU can have, whatever it has now.
//!
//! Slurm ends or mistakes the devices of jobs when a node's records become more, fewer or others (docs/on-request.md), so
//! on these GPUs they never do: number and order follow from the GPU's geometry and the profiles on offer alone. A
//! record whose instance is there names it; every other one is *void*: it names a device that nothing is behind, and is
//! gated. `Cores=""` is what gates one: a GRES near no core is given to no job that asks for GRES (select/cons_tres,
//! seen on 22.05.8, 24.11.5 and 26.05.5).
//!
//! So is one of an instance that an order has [closed]: its job keeps it, and Slurm gives it to no other.
//!
//! Devices that gres.conf does not name are open to every job, and steps that run keep what they may open. So the
//! capabilities of all instances that a GPU has not stand in its *guard*, which is gated too: a step that runs is denied
//! an instance that is made later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use device_map::{DeviceFile, NoDevice, Record};
use mig::{Placement, Profile, Spec};

use super::closed;
use super::error::GresError;
use super::settings::{Settings, on_request};
use crate::devices;
use crate::inventory::{CAPABILITY, CapabilityNumbers, Compute, Gpu, Instance, Inventory};
use crate::root::Root;

/// Type of guards and pads, which nobody is given.
pub const GUARD: &str = "guard";

/// Reason of the nodes that are never up and let requests wait (templates/gresgen-node.conf.j2).
pub(crate) const NEVER_UP: &str = "never_up";

/// How many records a node has beside those of its GPUs, see [`Form`].
pub const PADS: u32 = 2;

/// How the pads and the gate are written, which alternates: slurmctld up to 23.02 reads a node's records anew only where
/// their lines are more or fewer than before (`_node_config_validate` in src/common/gres.c: `set_cnt != topo_cnt`), and
/// in `scontrol show node` the gate says of every release which of the two it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// The pads on one line, the gate near a core.
    Joined,
    /// Each pad on a line of its own, the gate near none.
    Split,
}

impl Form {
    /// The gate in a node's `Gres=`.
    pub const GATE: &str = "gresgen:gate:2";
    /// Its type.
    pub const GATE_TYPE: &str = "gate";

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Form::Joined => Form::Split,
            Form::Split => Form::Joined,
        }
    }

    /// That of a gres.conf of ours; `None` where it has no pads.
    pub fn of_gres_conf(text: &str) -> Option<Self> {
        let of = |line: &str| {
            let pads = line.split_whitespace().any(|word| word == format!("Type={GUARD}"));
            let file = line.split_whitespace().find_map(|word| word.strip_prefix("File="))?;
            pads.then_some(if file.ends_with(']') { Form::Joined } else { Form::Split })
        };
        text.lines().filter(|line| line.contains("Name=gpu ")).find_map(of)
    }
}

/// The device nodes of records that are no devices, below the directory of an inventory's own. Major 120 is for
/// local use (Linux Documentation/admin-guide/devices.txt, 120-127), and nothing answers there.
const MAJOR: u32 = 120;

/// Stands for the device of every instance that is not there.
const VOID: &str = "void";

fn own(directory: &Path, name: &str, minor: u32) -> DeviceFile {
    DeviceFile { path: directory.join(name), major: MAJOR, minor }
}

/// The two devices of the gate, which is a GRES of its own: `gresgen:gate:2`.
pub fn gate(directory: &Path) -> Vec<DeviceFile> {
    vec![own(directory, "gate0", 3), own(directory, "gate1", 4)]
}

/// A place for an instance on a GPU, and what is there.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// What it is the place of.
    pub placement: Placement,
    /// The instance, where it is there and undivided.
    pub instance: Option<(&'a Instance, &'a Compute)>,
}

/// A GPU on request.
#[derive(Clone, Debug)]
pub struct GpuSlots<'a> {
    /// The GPU.
    pub gpu: &'a Gpu,
    /// Every instance of the profiles on offer that it can have, by profile and place.
    pub slots: Vec<Slot<'a>>,
}

/// The profiles that a GPU offers on request; `None` where it is none of those.
pub fn menu(node: &str, gpu: &Gpu, settings: &Settings) -> Option<Vec<Profile>> {
    entry(node, gpu, settings).map(on_request::OnRequest::menu)
}

/// The entry of the configuration that a GPU is on request by.
pub fn entry<'a>(node: &str, gpu: &Gpu, settings: &'a Settings) -> Option<&'a on_request::OnRequest> {
    settings.on_request.iter().find(|entry| entry.selects(node, gpu))
}

/// The GPUs of a node that are on request, in its order.
///
/// # Errors
/// [`GresError::OnRequest`] for one without MIG, or without a profile on offer.
pub fn on_request<'a>(inventory: &'a Inventory, settings: &Settings) -> Result<Vec<GpuSlots<'a>>, GresError> {
    let mut all = Vec::new();
    for gpu in &inventory.gpus {
        let Some(menu) = menu(&inventory.node, gpu, settings) else { continue };
        let wrong =
            |what: String| GresError::OnRequest { node: inventory.node.clone(), gpu: gpu.index, what };
        if gpu.geometry.specs.is_empty() {
            return Err(wrong(format!("{} has no MIG profiles; leave it out of devices", gpu.model)));
        }
        let mut slots = Vec::new();
        for profile in menu {
            let spec = gpu.geometry.specs.iter().find(|spec| spec.profile == profile);
            let spec = spec
                .ok_or_else(|| wrong(format!("no profile {profile}, only {}", known(&gpu.geometry.specs))))?;
            slots.extend(
                spec.placements().map(|placement| Slot { placement, instance: whole(gpu, placement) }),
            );
        }
        all.push(GpuSlots { gpu, slots });
    }
    Ok(all)
}

/// Refuses an entry about this node that is about none of its GPUs: what it was to offer would be missing without a word. And
/// one that offers what its GPUs cannot have, before a layout is refused for what is not on offer.
///
/// # Errors
/// [`GresError::OnRequestEntry`], also those of [`on_request()`].
pub fn check_entries(inventory: &Inventory, settings: &Settings) -> Result<(), GresError> {
    let entries = settings.on_request.iter().enumerate();
    for (number, entry) in entries.filter(|(_, entry)| entry.is_about(&inventory.node)) {
        entry.check_devices(&inventory.gpus).map_err(|what| GresError::OnRequestEntry {
            node: inventory.node.clone(),
            number,
            what,
        })?;
    }
    on_request(inventory, settings).map(drop)
}

/// Adds what an inventory that was read on its node needs beside, to make records of GPUs on request: also which instances are
/// closed, where orders can open them.
pub fn complete(inventory: &mut Inventory, settings: &Settings, root: &Root) {
    if settings.on_request.is_empty() {
        return;
    }
    let capabilities = devices::Capabilities::read(root);
    let Inventory { node, gpus, .. } = inventory;
    for gpu in gpus.iter_mut().filter(|gpu| menu(node, gpu, settings).is_some()) {
        gpu.capabilities = capabilities.of_gpu(gpu.minor);
    }
    let node = inventory.node.clone();
    closed::mark(inventory, root, |gpu| entry(&node, gpu, settings).is_some_and(|entry| entry.orders));
}

fn known(specs: &[Spec]) -> String {
    let mut names: Vec<Profile> = specs.iter().map(|spec| spec.profile).collect();
    names.sort_unstable();
    names.iter().map(Profile::to_string).collect::<Vec<_>>().join(", ")
}

/// The instance at a place, where one compute instance fills it.
fn whole(gpu: &Gpu, placement: Placement) -> Option<(&Instance, &Compute)> {
    let instance = gpu.instances.iter().find(|instance| instance.placement == placement)?;
    match &instance.compute[..] {
        [compute] if compute.profile == placement.profile => Some((instance, compute)),
        _ => None,
    }
}

/// The record of a place where nothing is. Its name is given when its index is known.
pub(super) fn void(gpu: &Gpu, gres_type: &str, directory: &Path) -> Record {
    Record {
        gres_type: gres_type.to_owned(),
        uuid: NoDevice::Void.name(0),
        parent: gpu.uuid.clone(),
        instance: None,
        files: vec![gpu.file.clone(), own(directory, VOID, 0)],
    }
}

impl GpuSlots<'_> {
    /// The GPU's guard.
    fn guard(&self, capabilities: &CapabilityNumbers) -> Record {
        let offered = self.slots.iter().filter_map(|slot| slot.instance);
        let taken: Vec<&DeviceFile> = offered.flat_map(|(_, compute)| &compute.files).collect();
        let is_free = |file: &DeviceFile| {
            !taken.iter().any(|other| (other.major, other.minor) == (file.major, file.minor))
        };
        let free = capabilities.files().filter(is_free);
        Record {
            gres_type: GUARD.to_owned(),
            uuid: NoDevice::Guard.name(0),
            parent: self.gpu.uuid.clone(),
            instance: None,
            files: std::iter::once(self.gpu.file.clone()).chain(free).collect(),
        }
    }
}

/// The records that stand behind all others: the guard of each GPU, and the pads.
///
/// # Errors
/// [`GresError::OnRequest`] for an inventory that does not say which capabilities a GPU has.
pub(super) fn behind(node: &str, gpus: &[GpuSlots<'_>]) -> Result<Vec<Record>, GresError> {
    let mut records = Vec::new();
    for on_request in gpus {
        records.push(on_request.guard(capabilities(node, on_request.gpu)?));
    }
    let Some(first) = gpus.first() else { return Ok(records) };
    let directory = &capabilities(node, first.gpu)?.directory;
    records.extend((0..PADS).map(|pad| Record {
        gres_type: GUARD.to_owned(),
        uuid: NoDevice::Pad.name(0),
        parent: first.gpu.uuid.clone(),
        instance: None,
        files: vec![own(directory, &format!("pad{pad}"), 1 + pad)],
    }));
    Ok(records)
}

/// The capabilities of a GPU on request.
///
/// # Errors
/// [`GresError::OnRequest`] for an inventory that does not say them.
pub(super) fn capabilities<'a>(node: &str, gpu: &'a Gpu) -> Result<&'a CapabilityNumbers, GresError> {
    gpu.capabilities.as_ref().ok_or_else(|| GresError::OnRequest {
        node: node.to_owned(),
        gpu: gpu.index,
        what: "its capabilities are not known; the driver lists them in /proc/driver/nvidia-caps/mig-minors, and an \
               inventory has them where the node's own configuration has slurm.on-request"
            .to_owned(),
    })
}

/// Gives records that are no devices the names of their indexes.
pub(super) fn name(records: &mut [Record]) {
    for (index, record) in records.iter_mut().enumerate() {
        if let Some(kind) = record.no_device() {
            record.uuid = kind.name(index);
        }
    }
}

/// Device nodes that this program makes on a node with GPUs on request: those of records that are no devices, the gate's,
/// and those of all capabilities, so that each is there when its instance goes.
pub fn own_files(inventory: &Inventory, records: &[Record]) -> Vec<DeviceFile> {
    let capabilities: Vec<&CapabilityNumbers> =
        inventory.gpus.iter().filter_map(|gpu| gpu.capabilities.as_ref()).collect();
    let Some(first) = capabilities.first() else { return Vec::new() };
    let placeholders = records.iter().filter(|record| record.no_device().is_some());
    let named = placeholders.flat_map(|record| &record.files).cloned();
    let all = named
        .chain(gate(&first.directory))
        .chain([own(&first.directory, VOID, 0)])
        .chain(capabilities.iter().flat_map(|capabilities| capabilities.files()));
    let is_own = |file: &DeviceFile| capabilities.iter().any(|c| file.path.parent() == Some(&*c.directory));
    let files: BTreeMap<PathBuf, DeviceFile> =
        all.filter(is_own).map(|file| (file.path.clone(), file)).collect();
    files.into_values().collect()
}

/// Device nodes `pad0` and `pad1` as one word, `pad[0-1]`.
pub fn joined(files: &[&DeviceFile]) -> Vec<String> {
    let Some(first) = files.first() else { return Vec::new() };
    let stem = first.path.display().to_string();
    vec![format!("{}[0-{}]", stem.trim_end_matches('0'), files.len() - 1)]
}

/// Paths as gres.conf has them: those of our capabilities in one pair of brackets.
pub fn folded(files: &[PathBuf]) -> Vec<String> {
    let number = |path: &PathBuf| -> Option<u32> {
        path.file_name()?.to_str()?.strip_prefix(CAPABILITY)?.parse().ok()
    };
    let numbers = files.iter().filter_map(number).collect();
    let mut words: Vec<String> =
        files.iter().filter(|path| number(path).is_none()).map(|path| path.display().to_string()).collect();
    if let Some(directory) = files.iter().find(|path| number(path).is_some()).and_then(|path| path.parent()) {
        words.push(format!("{}/{CAPABILITY}[{}]", directory.display(), crate::cores::ranges(&numbers)));
    }
    words
}

#[cfg(test)]
mod tests;
