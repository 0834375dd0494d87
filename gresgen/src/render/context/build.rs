//! From facts and settings to the parts of a [`Context`](super::Context).

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use device_map::{NoDevice, Record};
use mig::Spec;

use super::near::{Sockets, add_cores};
use super::{Cluster, DeviceContext, GateContext, KeyValue, NodeContext, PluginContext, TypeContext};
use crate::cores::ranges;
use crate::inventory::{Compute, Gpu, Instance, Inventory};
use crate::render::RenderError;
use crate::root::Root;
use crate::slurm::billing;
use crate::slurm::hostlist;
use crate::slurm::links::Links;
use crate::slurm::release::CgroupKey;
use crate::slurm::settings::{Attributes, NodeEntry};
use crate::slurm::slots::{self, Form};
use crate::slurm::{GresTable, Names, Release, Settings};

/// A MIG device: its compute instance, in its GPU instance.
type Slice<'a> = (&'a Instance, &'a Compute);

/// Where everything lies below a prefix, the plugin is told so, unless the site tells it otherwise.
pub(super) fn plugin(settings: &Settings, root: &Root) -> PluginContext {
    let said = &settings.plugin.arguments;
    let map = root.path(Root::DEVICE_MAP).display().to_string();
    let below = (!root.is_host() && !said.contains_key("map"))
        .then(|| KeyValue { key: "map".to_owned(), value: map });
    let said = said.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.to_string() });
    PluginContext { path: settings.plugin.path.clone(), arguments: below.into_iter().chain(said).collect() }
}

pub(super) fn cgroup(settings: &Settings, release: Release) -> Result<Vec<KeyValue>, RenderError> {
    let mut lines = vec![KeyValue { key: "ConstrainDevices".to_owned(), value: "yes".to_owned() }];
    for (key, value) in &settings.cgroup {
        let verdict = release.cgroup_key(key);
        if verdict != CgroupKey::Read || key.eq_ignore_ascii_case("ConstrainDevices") {
            return Err(RenderError::Cgroup { key: key.clone(), verdict, release });
        }
        lines.push(KeyValue { key: key.clone(), value: value.to_string() });
    }
    Ok(lines)
}

impl Cluster<'_> {
    /// A node of it.
    ///
    /// # Errors
    /// [`RenderError`].
    pub(super) fn node(
        &mut self,
        inventory: &Inventory,
        table: &GresTable,
    ) -> Result<NodeContext, RenderError> {
        let Cluster { settings, lines, release, root, weights, .. } = self;
        let release = *release;
        let name = &inventory.node;
        if !hostlist::is_name(name) {
            return Err(RenderError::Node(name.clone()));
        }
        let said = lines.of(name)?;
        let sockets = Sockets::of(&said);
        let Attributes { rest: attributes, gres: other_gres } = said;
        let found: HashMap<&str, (&Gpu, Option<Slice<'_>>)> = inventory
            .devices()
            .map(|(gpu, instance, compute)| (compute.uuid.as_str(), (gpu, Some((instance, compute)))))
            .chain(inventory.gpus.iter().map(|gpu| (gpu.uuid.as_str(), (gpu, None))))
            .collect();
        let links = settings.stable_links.then(|| Links::new(table, inventory));
        let path = |file: &Path| match links.as_ref().and_then(|l| l.path(file)) {
            Some(link) => root.path(link).display().to_string(),
            None => file.display().to_string(),
        };
        let names = Names::new(&settings.types)?;
        let mut devices = Vec::with_capacity(table.records.len());
        let mut vacant = Vacant::new(inventory, settings, &names)?;
        for (record, index) in table.records.iter().zip(0..) {
            let vacant_instance;
            let (gpu, slice, files) = if let Some(kind) = record.no_device() {
                let Some(gpu) = inventory.gpus.iter().find(|gpu| gpu.uuid == record.parent) else { continue };
                vacant_instance = if kind == NoDevice::Void { vacant.next(record) } else { None };
                let slice = vacant_instance.as_ref().map(|instance| (instance, &instance.compute[0]));
                (gpu, slice, no_device_files(kind, record, table))
            } else {
                // A table made from this inventory names nothing else.
                let Some(&(gpu, slice)) = found.get(record.uuid.as_str()) else { continue };
                (gpu, slice, Some(record.files.iter().map(|f| path(&f.path)).collect()))
            };
            // A void is billed as the slice that it becomes before a job has it. Nobody is given a guard or a pad.
            let is_billed = slice.is_some() || record.no_device().is_none();
            if let Some(billing) = settings.billing.as_ref().filter(|_| is_billed) {
                let weight = billing::weight(&record.gres_type, billing, &names, gpu, slice)?;
                weights.add(&record.gres_type, weight)?;
            }
            devices.extend(files.map(|files| device(index, record, gpu, slice, files)));
        }
        let gates = match table.form {
            Some(form) => gated(&mut devices, form, sockets, settings, release, inventory)?,
            None => {
                add_cores(&mut devices, sockets, settings, release, inventory);
                Vec::new()
            }
        };
        let gate = table.form.map(|_| Form::GATE.to_owned()).unwrap_or_default();
        let gres = [table.gres(), gate, other_gres]
            .into_iter()
            .filter(|g| !g.is_empty())
            .collect::<Vec<_>>()
            .join(",");
        let types =
            table.types.iter().map(|(name, count)| TypeContext { name: name.to_string(), count: *count });
        Ok(NodeContext { names: name.clone(), attributes, gres, types: types.collect(), devices, gates })
    }
}

/// The files of a record that is no device; `None` for a pad that stands on the line of another.
fn no_device_files(kind: NoDevice, record: &Record, table: &GresTable) -> Option<Vec<String>> {
    if kind != NoDevice::Pad || table.form != Some(Form::Joined) {
        let paths: Vec<PathBuf> = record.files.iter().map(|file| file.path.clone()).collect();
        return Some(slots::folded(&paths));
    }
    let mut pads = table.records.iter().filter(|r| r.no_device() == Some(NoDevice::Pad)).peekable();
    (*pads.peek()? == record).then(|| slots::joined(&pads.flat_map(|pad| &pad.files).collect::<Vec<_>>()))
}

/// Instances that GPUs on request could have, as if they had them, by GPU and type in the order of their records.
struct Vacant(HashMap<(String, String), VecDeque<Instance>>);

impl Vacant {
    fn new(inventory: &Inventory, settings: &Settings, names: &Names<'_>) -> Result<Self, RenderError> {
        let mut vacant: HashMap<(String, String), VecDeque<Instance>> = HashMap::new();
        for on_request in slots::on_request(inventory, settings)? {
            let mut slots: Vec<_> = on_request.slots.iter().filter(|slot| slot.instance.is_none()).collect();
            slots.sort_by_key(|slot| slot.placement.start);
            let gpu = on_request.gpu;
            for placement in slots.into_iter().map(|slot| slot.placement) {
                let profile = placement.profile;
                let compute = Compute { ci: 0, profile, start: 0, uuid: String::new(), files: Vec::new() };
                let instance =
                    Instance { gi: 0, placement, compute: vec![compute], holders: Vec::new(), closed: false };
                let key = (gpu.uuid.clone(), names.slice(&gpu.model, profile)?.to_string());
                vacant.entry(key).or_default().push_back(instance);
            }
        }
        Ok(Vacant(vacant))
    }

    fn next(&mut self, record: &Record) -> Option<Instance> {
        self.0.get_mut(&(record.parent.clone(), record.gres_type.clone()))?.pop_front()
    }
}

/// Cores of a node with GPUs on request: every record has some, or the two quotes that keep Slurm from giving it away, where it
/// is no device or its instance is closed. Where the GPUs' own are not known, they are all of the node's.
fn gated(
    devices: &mut [DeviceContext],
    form: Form,
    sockets: Option<Sockets>,
    settings: &Settings,
    release: Release,
    inventory: &Inventory,
) -> Result<Vec<GateContext>, RenderError> {
    const NONE: &str = "\"\"";
    let unknown = || RenderError::Cores(inventory.node.clone());
    let counted = || u32::try_from(inventory.topology.count()).ok().filter(|count| *count > 0);
    let all = sockets.map(|sockets| sockets.all).or_else(counted).ok_or_else(unknown)?;
    add_cores(devices, sockets, settings, release, inventory);
    let every = ranges(&(0..all).collect());
    let closed: HashSet<&str> = inventory
        .devices()
        .filter_map(|(_, instance, compute)| instance.closed.then_some(&*compute.uuid))
        .collect();
    for device in devices {
        let is_device = device.uuid == device.parent || device.uuid.starts_with("MIG-");
        if !is_device || closed.contains(&*device.uuid) {
            device.cores = NONE.to_owned();
        } else if device.cores.is_empty() {
            device.cores.clone_from(&every);
        }
    }
    let first = inventory.gpus.iter().find_map(|gpu| gpu.capabilities.as_ref());
    let files = first.map(|capabilities| slots::gate(&capabilities.directory)).unwrap_or_default();
    let line = |file: String, cores: &str| GateContext {
        r#type: Form::GATE_TYPE.to_owned(),
        file,
        cores: cores.to_owned(),
    };
    Ok(match form {
        Form::Joined => {
            let files: Vec<_> = files.iter().collect();
            slots::joined(&files).into_iter().map(|file| line(file, &every)).collect()
        }
        Form::Split => files.iter().map(|file| line(file.path.display().to_string(), NONE)).collect(),
    })
}

fn device(
    index: u32,
    record: &Record,
    gpu: &Gpu,
    slice: Option<Slice<'_>>,
    files: Vec<String>,
) -> DeviceContext {
    let spec = slice.and_then(|(instance, _)| gpu.geometry.spec(instance.placement.profile));
    let engines = |count: fn(&Spec) -> Option<u8>| spec.and_then(count).map(u32::from);
    DeviceContext {
        index,
        r#type: record.gres_type.clone(),
        profile: slice.map(|(_, compute)| compute.profile.to_string()).unwrap_or_default(),
        model: gpu.model.clone(),
        gpu: gpu.index,
        uuid: record.uuid.clone(),
        parent: record.parent.clone(),
        files,
        cores: String::new(),
        start: slice.map(|(instance, _)| instance.placement.start.into()),
        sms: match slice {
            Some((instance, compute)) => billing::sms(gpu, instance, compute),
            None => gpu.geometry.specs.iter().filter_map(|s| s.sms).max(),
        },
        memory_mib: match slice {
            Some(_) => spec.and_then(|s| s.memory_mib),
            None => Some(gpu.memory_mib),
        },
        copy_engines: engines(|s| s.copy_engines),
        decoders: engines(|s| s.decoders),
        encoders: engines(|s| s.encoders),
        jpeg_decoders: engines(|s| s.jpeg_decoders),
        optical_flow: engines(|s| s.optical_flow),
    }
}

/// What the settings say about nodes beside their GPUs: host lists are written out once, however many nodes follow.
pub(super) struct NodeLines<'a> {
    entries: HashMap<String, &'a NodeEntry>,
}

impl<'a> NodeLines<'a> {
    pub(super) fn new(settings: &'a Settings) -> Result<Self, RenderError> {
        let mut entries = HashMap::new();
        for entry in &settings.nodes {
            for name in hostlist::expand(&entry.names)? {
                // The first entry that names a node applies.
                entries.entry(name).or_insert(entry);
            }
        }
        Ok(NodeLines { entries })
    }

    /// Names that stand here and not among these, and the other way round, each as a host list. Nothing is unlike
    /// where no node stands here.
    pub(super) fn unlike(&self, names: &HashSet<String>) -> (String, String) {
        if self.entries.is_empty() {
            return Default::default();
        }
        let missing = self.entries.keys().filter(|name| !names.contains(*name)).map(String::as_str);
        let unnamed = names.iter().filter(|name| !self.entries.contains_key(*name)).map(String::as_str);
        (hostlist::fold(missing), hostlist::fold(unnamed))
    }

    /// Attributes of a node's line, and the GRES among them, which are joined with ours.
    fn of(&self, name: &str) -> Result<Attributes, RenderError> {
        let Some(entry) = self.entries.get(name) else { return Ok(Attributes::default()) };
        entry.parts().map_err(|what| RenderError::Attribute { names: entry.names.clone(), what })
    }
}

/// Nodes by what they are apart from their names.
#[derive(Default)]
pub(super) struct Fold {
    order: Vec<(NodeContext, Vec<String>)>,
    by_content: HashMap<NodeContext, usize>,
    names: HashSet<String>,
}

impl Fold {
    pub(super) fn add(&mut self, mut node: NodeContext) -> Result<(), RenderError> {
        let name = std::mem::take(&mut node.names);
        if !self.names.insert(name.clone()) {
            return Err(RenderError::Duplicate(name));
        }
        // What differs on equal nodes and stands in no file of Slurm's. With the files and types that are left, nodes that are
        // equal here are so to slurmd: a thousand of them are one line in which only the names are more.
        for device in &mut node.devices {
            device.uuid.clear();
            device.parent.clear();
            device.start = None;
        }
        // A place in a list, because a map's own order is another in every run and would change files that say the same.
        let at = *self.by_content.entry(node.clone()).or_insert(self.order.len());
        match self.order.get_mut(at) {
            Some((_, names)) => names.push(name),
            None => self.order.push((node, vec![name])),
        }
        Ok(())
    }

    pub(super) fn names(&self) -> &HashSet<String> {
        &self.names
    }

    pub(super) fn finish(self) -> Vec<NodeContext> {
        self.order
            .into_iter()
            .map(|(node, names)| NodeContext { names: hostlist::fold(&names), ..node })
            .collect()
    }
}
