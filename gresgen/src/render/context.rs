//! What templates see. This is a public interface: strings and integers only, and fields are added, never
//! renamed or given another meaning. `gresgen render --context` prints it as JSON.

use std::collections::HashMap;
use std::path::Path;

use device_map::Record;
use serde::Serialize;

use crate::inventory::{Compute, Gpu, Instance, Inventory};
use crate::root::Root;
use crate::slurm::billing::{self, BillingError, Weights};
use crate::slurm::cores::ranges;
use crate::slurm::hostlist;
use crate::slurm::links::Links;
use crate::slurm::names::{Clash, clashes};
use crate::slurm::release::CgroupKey;
use crate::slurm::{GresTable, Release, Settings};

/// Version of [`Context`]: it changes when a template written for an older one would render something else.
pub const SCHEMA: u32 = 1;

/// Everything templates see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Context {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Slurm release the files are for, as `22.05.8`.
    pub release: String,
    /// Value of `GresTypes=`; empty when the site's slurm.conf says it.
    pub gres_types: String,
    /// 1 when accounting by type was asked for, else 0.
    pub accounting: u32,
    /// Value of `AccountingStorageTRES=` for all types; empty without types.
    pub accounting_tres: String,
    /// Value of `TRESBillingWeights=`; empty unless asked for.
    pub billing_weights: String,
    /// Lines of cgroup.conf.
    pub cgroup: Vec<KeyValue>,
    /// The SPANK plugin.
    pub plugin: PluginContext,
    /// Nodes; alike ones are one entry.
    pub nodes: Vec<NodeContext>,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyValue {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The SPANK plugin's line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginContext {
    /// Its file.
    pub path: String,
    /// Its arguments.
    pub arguments: Vec<KeyValue>,
}

/// One node, or several alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct NodeContext {
    /// Its name, or a host list.
    pub names: String,
    /// What slurm.conf says about it beside `Gres=`, as `CPUs=64 RealMemory=515000`; may be empty.
    pub attributes: String,
    /// Value of `Gres=`; empty when it has no devices.
    pub gres: String,
    /// GRES types in Slurm's order.
    pub types: Vec<TypeContext>,
    /// Devices in Slurm's index order.
    pub devices: Vec<DeviceContext>,
}

/// A GRES type of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct TypeContext {
    /// Its name.
    pub name: String,
    /// How many devices have it.
    pub count: u32,
}

/// One device: a MIG device or a whole GPU. Figures are of the GPU instance unless said, and null when the
/// driver does not tell them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct DeviceContext {
    /// Slurm's index.
    pub index: u32,
    /// GRES type.
    pub r#type: String,
    /// MIG profile, as `1g.5gb`; empty for a whole GPU.
    pub profile: String,
    /// Product name of the GPU.
    pub model: String,
    /// NVML index of the GPU.
    pub gpu: u32,
    /// UUID; empty where alike nodes are one entry.
    pub uuid: String,
    /// UUID of the GPU; empty where alike nodes are one entry.
    pub parent: String,
    /// Device files: the GPU, then the capabilities of GPU instance and compute instance.
    pub files: Vec<String>,
    /// Cores near it in Slurm's numbers, as `0-15`; empty when unknown for any device of the node.
    pub cores: String,
    /// First placement unit of the GPU instance; null for a whole GPU, and where alike nodes are one entry.
    pub start: Option<u32>,
    /// Streaming multiprocessors of the compute instance, or of the largest GPU instance for a whole GPU.
    pub sms: Option<u32>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Copy engines.
    pub copy_engines: Option<u32>,
    /// Video decoders.
    pub decoders: Option<u32>,
    /// Video encoders.
    pub encoders: Option<u32>,
    /// JPEG decoders.
    pub jpeg_decoders: Option<u32>,
    /// Optical flow accelerators.
    pub optical_flow: Option<u32>,
}

/// Why facts and settings make no context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// A weight is unknown or ambiguous.
    #[error(transparent)]
    Billing(#[from] BillingError),
    /// Two types of the cluster that Slurm takes for one.
    #[error(transparent)]
    Clash(#[from] Clash),
    /// A text in `slurm.nodes` that is no host list.
    #[error("slurm.nodes: {0}")]
    Hostlist(#[from] hostlist::HostlistError),
    /// An attribute that is ours, or would break the line.
    #[error("slurm.nodes {names:?}: {what}")]
    Attribute {
        /// The entry.
        names: String,
        /// What is wrong.
        what: String,
    },
    /// A key of `slurm.cgroup` that the release does not read.
    #[error("slurm.cgroup {key}: {}", cgroup_phrase(*.verdict, *.release))]
    Cgroup {
        /// The key.
        key: String,
        /// What the release does with it.
        verdict: CgroupKey,
        /// The release.
        release: Release,
    },
    /// A node name that Slurm cannot hold.
    #[error("node {0:?}: not a node name; set slurm.node")]
    Node(String),
    /// The same node in two inventories.
    #[error("node {0}: stands in two inventories")]
    Duplicate(String),
}

fn cgroup_phrase(verdict: CgroupKey, release: Release) -> String {
    match verdict {
        CgroupKey::Gone => format!("Slurm {release} does not read it; remove it"),
        CgroupKey::Unknown => {
            "no release reads it that gresgen knows; it may stand below the kept line of cgroup.conf"
                .to_owned()
        }
        CgroupKey::Read => "the renderer writes it".to_owned(),
    }
}

impl Context {
    /// The context of one node.
    ///
    /// # Errors
    /// [`ContextError`].
    pub fn of_node(
        inventory: &Inventory,
        table: &GresTable,
        settings: &Settings,
        release: Release,
        root: &Root,
    ) -> Result<Self, ContextError> {
        let mut weights = Weights::default();
        let node = node(inventory, table, settings, root, &mut weights)?;
        Self::assemble(vec![node], weights, settings, release, root)
    }

    /// The context of a cluster: alike nodes share an entry.
    ///
    /// # Errors
    /// [`ContextError`]; beside those of one node, a node that stands twice and types that clash.
    pub fn of_cluster<'a>(
        nodes: impl IntoIterator<Item = (&'a Inventory, &'a GresTable)>,
        settings: &Settings,
        release: Release,
        root: &Root,
    ) -> Result<Self, ContextError> {
        let mut weights = Weights::default();
        let mut fold = Fold::default();
        for (inventory, table) in nodes {
            fold.add(node(inventory, table, settings, root, &mut weights)?)?;
        }
        let context = Self::assemble(fold.finish(), weights, settings, release, root)?;
        let types = context.nodes.iter().flat_map(|n| &n.types).map(|t| t.name.as_str());
        match clashes(types).into_iter().next() {
            Some(clash) => Err(clash.into()),
            None => Ok(context),
        }
    }

    fn assemble(
        nodes: Vec<NodeContext>,
        weights: Weights,
        settings: &Settings,
        release: Release,
        root: &Root,
    ) -> Result<Self, ContextError> {
        let mut types: Vec<&str> = nodes.iter().flat_map(|n| &n.types).map(|t| t.name.as_str()).collect();
        types.sort_unstable();
        types.dedup();
        let mut tres = vec!["gres/gpu".to_owned()];
        tres.extend(types.iter().map(|name| format!("gres/gpu:{name}")));
        Ok(Context {
            schema: SCHEMA,
            release: release.to_string(),
            gres_types: settings.gres_types.0.join(","),
            accounting: settings.accounting.into(),
            accounting_tres: if types.is_empty() { String::new() } else { tres.join(",") },
            billing_weights: weights.line(),
            cgroup: cgroup(settings, release)?,
            plugin: plugin(settings, root),
            nodes,
        })
    }
}

/// Where everything lies below a prefix, the plugin is told so, unless the site tells it otherwise.
fn plugin(settings: &Settings, root: &Root) -> PluginContext {
    let said = &settings.plugin.arguments;
    let map = root.path(Root::DEVICE_MAP).display().to_string();
    let below = (!root.is_host() && !said.contains_key("map"))
        .then(|| KeyValue { key: "map".to_owned(), value: map });
    let said = said.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.to_string() });
    PluginContext { path: settings.plugin.path.clone(), arguments: below.into_iter().chain(said).collect() }
}

fn cgroup(settings: &Settings, release: Release) -> Result<Vec<KeyValue>, ContextError> {
    let mut lines = vec![KeyValue { key: "ConstrainDevices".to_owned(), value: "yes".to_owned() }];
    for (key, value) in &settings.cgroup {
        let verdict = release.cgroup_key(key);
        if verdict != CgroupKey::Read || key.eq_ignore_ascii_case("ConstrainDevices") {
            return Err(ContextError::Cgroup { key: key.clone(), verdict, release });
        }
        lines.push(KeyValue { key: key.clone(), value: value.to_string() });
    }
    Ok(lines)
}

fn node(
    inventory: &Inventory,
    table: &GresTable,
    settings: &Settings,
    root: &Root,
    weights: &mut Weights,
) -> Result<NodeContext, ContextError> {
    let name = &inventory.node;
    if !hostlist::is_name(name) {
        return Err(ContextError::Node(name.clone()));
    }
    let (attributes, other_gres) = attributes(name, settings)?;
    let found: HashMap<&str, (&Gpu, Option<(&Instance, &Compute)>)> = inventory
        .devices()
        .map(|(gpu, instance, compute)| (compute.uuid.as_str(), (gpu, Some((instance, compute)))))
        .chain(inventory.gpus.iter().map(|gpu| (gpu.uuid.as_str(), (gpu, None))))
        .collect();
    let links = settings.stable_links.then(|| Links::new(table, inventory));
    let path = |file: &Path| match links.as_ref().and_then(|l| l.path(file)) {
        Some(link) => root.path(link).display().to_string(),
        None => file.display().to_string(),
    };
    let mut devices = Vec::with_capacity(table.records.len());
    for (record, index) in table.records.iter().zip(0..) {
        // A table made from this inventory names nothing else.
        let Some(&(gpu, slice)) = found.get(record.uuid.as_str()) else { continue };
        if let Some(by) = settings.billing {
            weights.add(&record.gres_type, billing::share(&record.gres_type, by, gpu, slice)?)?;
        }
        let files = record.files.iter().map(|f| path(&f.path)).collect();
        devices.push(device(index, record, gpu, slice, files));
    }
    if settings.cores.unwrap_or(true) {
        add_cores(&mut devices, inventory);
    }
    let gres = [table.gres(), other_gres].into_iter().filter(|g| !g.is_empty()).collect::<Vec<_>>().join(",");
    let types = table.types.iter().map(|(name, count)| TypeContext { name: name.to_string(), count: *count });
    Ok(NodeContext { names: name.clone(), attributes, gres, types: types.collect(), devices })
}

fn device(
    index: u32,
    record: &Record,
    gpu: &Gpu,
    slice: Option<(&Instance, &Compute)>,
    files: Vec<String>,
) -> DeviceContext {
    let spec = slice.map(|(instance, _)| gpu.geometry.spec(instance.placed));
    let engines = spec.map(|s| s.engines).unwrap_or_default();
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
        start: slice.map(|(instance, _)| instance.placed.start.into()),
        sms: match slice {
            Some((instance, compute)) => billing::sms(gpu, instance, compute),
            None => gpu.geometry.specs.iter().filter_map(|s| s.sms).max(),
        },
        memory_mib: spec.map_or(Some(gpu.memory_mib), |s| s.memory_mib),
        copy_engines: engines.copy.map(u32::from),
        decoders: engines.decoder.map(u32::from),
        encoders: engines.encoder.map(u32::from),
        jpeg_decoders: engines.jpeg.map(u32::from),
        optical_flow: engines.ofa.map(u32::from),
    }
}

/// Cores on all devices or none: with some missing, Slurm reports an error and gives those all cores.
fn add_cores(devices: &mut [DeviceContext], inventory: &Inventory) {
    let of_gpu: Option<HashMap<u32, String>> = inventory
        .gpus
        .iter()
        .map(|gpu| {
            let cores = inventory.topology.cores(&gpu.cpus).filter(|cores| !cores.is_empty())?;
            Some((gpu.index, ranges(&cores)))
        })
        .collect();
    if let Some(of_gpu) = of_gpu {
        for device in devices {
            device.cores = of_gpu[&device.gpu].clone();
        }
    }
}

/// Attributes of a node's line, and the GRES among them, which are joined with ours.
fn attributes(name: &str, settings: &Settings) -> Result<(String, String), ContextError> {
    for entry in &settings.nodes {
        let fail = |what: String| ContextError::Attribute { names: entry.names.clone(), what };
        if !hostlist::expand(&entry.names)?.iter().any(|n| n == name) {
            continue;
        }
        if entry.attributes.contains(|c: char| c.is_control() || c == '#') {
            return Err(fail("attributes stand on one line and hold no '#'".to_owned()));
        }
        let mut rest: Vec<&str> = Vec::new();
        let mut gres = "";
        for word in entry.attributes.split_whitespace() {
            match word.split_once('=') {
                Some((key, _)) if key.eq_ignore_ascii_case("NodeName") => {
                    return Err(fail("NodeName= is written from names; remove it".to_owned()));
                }
                Some((key, value)) if key.eq_ignore_ascii_case("Gres") => gres = value,
                _ => rest.push(word),
            }
        }
        if gres.split(',').any(|g| g == "gpu" || g.starts_with("gpu:")) {
            return Err(fail("Gres=gpu is written from the hardware; remove it".to_owned()));
        }
        return Ok((rest.join(" "), gres.to_owned()));
    }
    Ok((String::new(), String::new()))
}

/// Nodes by what they are apart from their names.
#[derive(Default)]
struct Fold {
    order: Vec<(NodeContext, Vec<String>)>,
    by_content: HashMap<NodeContext, usize>,
    names: std::collections::HashSet<String>,
}

impl Fold {
    fn add(&mut self, mut node: NodeContext) -> Result<(), ContextError> {
        let name = std::mem::take(&mut node.names);
        if !self.names.insert(name.clone()) {
            return Err(ContextError::Duplicate(name));
        }
        for device in &mut node.devices {
            device.uuid.clear();
            device.parent.clear();
            device.start = None;
        }
        let at = *self.by_content.entry(node.clone()).or_insert(self.order.len());
        match self.order.get_mut(at) {
            Some((_, names)) => names.push(name),
            None => self.order.push((node, vec![name])),
        }
        Ok(())
    }

    fn finish(self) -> Vec<NodeContext> {
        let fold = |names: &[String]| hostlist::fold(names.iter().map(String::as_str));
        self.order.into_iter().map(|(node, names)| NodeContext { names: fold(&names), ..node }).collect()
    }
}
