//! The one place that orders GRES records.
//!
//! Slurm's device index is a position in slurmd's final list: types in the order of `Gres=` in slurm.conf, and
//! within a type the order of gres.conf (Slurm src/interfaces/gres.c, `_merge_config`). A running job knows its
//! devices by that index alone, so a record that stays must keep it wherever types and counts allow.

use std::collections::{BTreeMap, HashMap, HashSet};

use device_map::{DeviceMap, MAX_RECORDS, Record};
use mig::Profile;

use super::error::GresError;
use super::names::{Names, TypeName};
use super::settings::Settings;
use super::slots::{self, Form, GpuSlots};
use crate::inventory::{Compute, Gpu, Inventory};

/// What a node offers to Slurm, in Slurm's order. gres.conf, the node line, the device map and every index come
/// from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GresTable {
    /// Types with their counts, in the order of `Gres=`.
    pub types: Vec<(TypeName, u32)>,
    /// Records; the position is Slurm's index.
    pub records: Vec<Record>,
    /// How its pads are written, on a node with GPUs on request.
    pub form: Option<Form>,
}

/// The order records had before: what it takes for them to keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviousOrder {
    types: Vec<String>,
    indexes: HashMap<Identity, usize>,
}

/// A device a running job may hold: its UUID and what its files are to the kernel.
type Identity = (String, Vec<(u32, u32)>);

fn identity(record: &Record) -> Identity {
    (record.uuid.clone(), record.files.iter().map(|f| (f.major, f.minor)).collect())
}

impl PreviousOrder {
    /// The order of a device map.
    pub fn of(map: &DeviceMap) -> Self {
        let indexes = map.records.iter().zip(0..).map(|(record, index)| (identity(record), index)).collect();
        PreviousOrder { types: distinct(map.records.iter().map(|r| r.gres_type.as_str())), indexes }
    }

    /// The order that devices of a table have on their node, by UUID. A node keeps indexes from one layout to the next,
    /// so what is rendered for it elsewhere has to keep them, too: its device map goes by them.
    pub fn of_indexes(table: &GresTable, indexes: &BTreeMap<String, usize>) -> Self {
        let index = |record: &Record| indexes.get(&record.uuid).copied();
        let mut known: Vec<&Record> = table.records.iter().filter(|record| index(record).is_some()).collect();
        known.sort_by_key(|record| index(record));
        PreviousOrder {
            types: distinct(known.iter().map(|record| record.gres_type.as_str())),
            indexes: known.iter().filter_map(|record| Some((identity(record), index(record)?))).collect(),
        }
    }

    /// The order of types in a gres.conf of ours, which survives the reboot that the map does not.
    pub fn of_gres_conf(text: &str) -> Self {
        let lines = text.lines().filter(|line| line.contains("Name=gpu "));
        let types =
            lines.filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("Type=")));
        PreviousOrder { types: distinct(types), indexes: HashMap::new() }
    }

    fn index(&self, record: &Record) -> Option<usize> {
        self.indexes.get(&identity(record)).copied()
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).map(str::to_owned).collect()
}

impl GresTable {
    /// Orders the devices of a node: its MIG devices and its GPUs outside MIG.
    ///
    /// Records that `previous` knows keep their index whenever types and counts allow it for all of them;
    /// otherwise the order is as for a new node: types as they stood before, new ones after them from the
    /// smallest profile up, whole GPUs last (the first type is what a request without a type receives), and
    /// devices by GPU and place.
    ///
    /// # Errors
    /// [`GresError`], which names the node and the object.
    pub fn new(
        inventory: &Inventory,
        settings: &Settings,
        previous: &PreviousOrder,
    ) -> Result<Self, GresError> {
        let on_request = slots::on_request(inventory, settings)?;
        let mut groups = groups(inventory, &on_request, &Names::new(&settings.types)?)?;
        if !on_request.is_empty() {
            return Self::on_request(&inventory.node, groups, &on_request);
        }
        check(&inventory.node, groups.iter().flat_map(|g| &g.records))?;
        check_case(&inventory.node, &groups)?;
        let known =
            |g: &Group| previous.types.iter().position(|t| t == g.name.as_str()).unwrap_or(usize::MAX);
        groups.sort_by_key(known);
        let groups = stable_order(groups, previous);
        let types = groups.iter().map(|g| (g.name.clone(), g.records.len() as u32)).collect();
        Ok(GresTable { types, records: groups.into_iter().flat_map(|g| g.records).collect(), form: None })
    }

    /// A node with GPUs on request: nothing of its order follows from what was before, so that it stays whatever comes.
    fn on_request(node: &str, mut groups: Vec<Group>, gpus: &[GpuSlots<'_>]) -> Result<Self, GresError> {
        if let Some(group) = groups.iter().find(|g| {
            // `none` is the type of which there is none, see `Action::ReadAnew`.
            [slots::GUARD, "none"].iter().any(|taken| g.name.as_str().eq_ignore_ascii_case(taken))
        }) {
            return Err(GresError::Guard { node: node.to_owned(), name: group.name.to_string() });
        }
        groups.push(Group { name: TypeName::new(slots::GUARD)?, records: slots::behind(node, gpus)? });
        check(node, groups.iter().flat_map(|g| &g.records))?;
        check_case(node, &groups)?;
        let types = groups.iter().map(|g| (g.name.clone(), g.records.len() as u32)).collect();
        let mut records: Vec<Record> = groups.into_iter().flat_map(|g| g.records).collect();
        slots::name(&mut records);
        Ok(GresTable { types, records, form: Some(Form::Joined) })
    }

    /// The value of `Gres=`. Counts always: slurm.conf refuses `gpu:1g.5gb` without one.
    pub fn gres(&self) -> String {
        let entries: Vec<String> =
            self.types.iter().map(|(name, count)| format!("gpu:{name}:{count}")).collect();
        entries.join(",")
    }

    /// The map of these records.
    pub fn map(&self, inventory: &Inventory, digest: String) -> DeviceMap {
        let Inventory { node, boot, .. } = inventory.clone();
        let gpus = inventory.gpus.iter().map(|gpu| (gpu.index, gpu.uuid.clone())).collect();
        DeviceMap { node, boot, digest, plugin: None, gpus, records: self.records.clone() }
    }
}

/// The devices of one type, in natural order.
struct Group {
    name: TypeName,
    records: Vec<Record>,
}

fn groups(
    inventory: &Inventory,
    on_request: &[GpuSlots<'_>],
    names: &Names<'_>,
) -> Result<Vec<Group>, GresError> {
    let mut found: BTreeMap<TypeName, Vec<(Size, Place, Record)>> = BTreeMap::new();
    for GpuSlots { gpu, slots, .. } in on_request {
        let directory = &slots::capabilities(&inventory.node, gpu)?.directory;
        for slot in slots {
            let profile = slot.placement.profile;
            let name = names.slice(&gpu.model, profile)?;
            let record = match slot.instance {
                Some((instance, compute)) => slice(&name, gpu, instance.gi, compute),
                None => slots::void(gpu, name.as_str(), directory),
            };
            let place = (gpu.index, slot.placement.start, 0);
            found.entry(name).or_default().push((Size::Slice(profile), place, record));
        }
    }
    let is_static = |gpu: &Gpu| !on_request.iter().any(|other| other.gpu.uuid == gpu.uuid);
    for (gpu, instance, compute) in inventory.devices().filter(|(gpu, ..)| is_static(gpu)) {
        let name = names.slice(&gpu.model, compute.profile)?;
        let place = (gpu.index, instance.placement.start, compute.start);
        let record = slice(&name, gpu, instance.gi, compute);
        found.entry(name).or_default().push((Size::Slice(compute.profile), place, record));
    }
    for gpu in inventory.whole_gpus().filter(|gpu| is_static(gpu)) {
        let name = names.whole(&gpu.model)?;
        let record = whole(&name, gpu);
        found.entry(name).or_default().push((Size::Whole, (gpu.index, 0, 0), record));
    }
    let mut groups: Vec<_> = found.into_iter().collect();
    for (_, devices) in &mut groups {
        devices.sort_by_key(|(_, place, _)| *place);
    }
    groups.sort_by_key(|(_, devices)| devices.iter().map(|(size, ..)| *size).min());
    let bare = |devices: Vec<(Size, Place, Record)>| devices.into_iter().map(|(.., record)| record).collect();
    Ok(groups.into_iter().map(|(name, devices)| Group { name, records: bare(devices) }).collect())
}

/// What types are ordered by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    Slice(Profile),
    Whole,
}

/// GPU index, start of the GPU instance, start of the compute instance.
type Place = (u32, u8, u32);

fn slice(name: &TypeName, gpu: &Gpu, gi: u32, compute: &Compute) -> Record {
    Record {
        gres_type: name.to_string(),
        uuid: compute.uuid.clone(),
        parent: gpu.uuid.clone(),
        instance: Some((gi, compute.ci)),
        files: compute.files.clone(),
    }
}

fn whole(name: &TypeName, gpu: &Gpu) -> Record {
    Record {
        gres_type: name.to_string(),
        uuid: gpu.uuid.clone(),
        parent: gpu.uuid.clone(),
        instance: None,
        files: vec![gpu.file.clone()],
    }
}

/// Refuses what slurmd would load wrongly or not at all. Duplicates within `MultipleFiles=` it never checks.
fn check<'a>(node: &str, records: impl Iterator<Item = &'a Record>) -> Result<(), GresError> {
    let (mut seen, mut count) = (HashSet::new(), 0);
    for record in records {
        count += 1;
        if record.no_device().is_some() {
            continue;
        }
        let file = record.own_file().map(|f| f.path.display().to_string()).unwrap_or_default();
        if let Some(device) = [record.uuid.clone(), file].into_iter().find(|d| !seen.insert(d.clone())) {
            return Err(GresError::Duplicate { node: node.to_owned(), device });
        }
    }
    if count > MAX_RECORDS { Err(GresError::TooMany { node: node.to_owned(), count }) } else { Ok(()) }
}

fn check_case(node: &str, groups: &[Group]) -> Result<(), GresError> {
    let mut seen: HashMap<String, &TypeName> = HashMap::new();
    for name in groups.iter().map(|group| &group.name) {
        if let Some(other) = seen.insert(name.as_str().to_ascii_lowercase(), name) {
            let (one, other) = (other.to_string(), name.to_string());
            return Err(GresError::Case { node: node.to_owned(), one, other });
        }
    }
    Ok(())
}

/// Types that one name makes of several models, with the product names: a job that asks for it is given any of them.
pub(crate) fn mixed(
    inventory: &Inventory,
    settings: &Settings,
) -> Result<Vec<(TypeName, Vec<String>)>, GresError> {
    let names = Names::new(&settings.types)?;
    let mut models: BTreeMap<TypeName, Vec<String>> = BTreeMap::new();
    let slices = inventory.devices().map(|(gpu, _, compute)| (gpu, names.slice(&gpu.model, compute.profile)));
    for (gpu, name) in slices.chain(inventory.whole_gpus().map(|gpu| (gpu, names.whole(&gpu.model)))) {
        let models = models.entry(name?).or_default();
        if !models.contains(&gpu.model) {
            models.push(gpu.model.clone());
        }
    }
    Ok(models.into_iter().filter(|(_, models)| models.len() > 1).collect())
}

/// The order of types that lets every surviving record keep its index, with the records in their places; the
/// given order when there is none.
fn stable_order(groups: Vec<Group>, previous: &PreviousOrder) -> Vec<Group> {
    let Some(order) = Search::new(&groups, previous).and_then(Search::run) else { return groups };
    let mut groups: Vec<Option<Group>> = groups.into_iter().map(Some).collect();
    let mut start = 0;
    let mut ordered = Vec::new();
    for index in order {
        let group = groups[index].take().expect("an order names each group once");
        let length = group.records.len();
        ordered.push(seat(group, start, previous));
        start += length;
    }
    ordered
}

/// Puts the survivors of a group at their index and the others, in order, into the rest.
fn seat(group: Group, start: usize, previous: &PreviousOrder) -> Group {
    let mut seats: Vec<Option<Record>> = vec![None; group.records.len()];
    let mut newcomers = Vec::new();
    for record in group.records {
        // A seat is taken once: no device goes because another one has its index.
        let seat = previous.index(&record).and_then(|index| seats.get_mut(index.checked_sub(start)?));
        match seat {
            Some(seat @ None) => *seat = Some(record),
            _ => newcomers.push(record),
        }
    }
    let mut newcomers = newcomers.into_iter();
    let records = seats.into_iter().filter_map(|seat| seat.or_else(|| newcomers.next())).collect();
    Group { name: group.name, records }
}

/// Search for an order of groups. What is left to place depends only on which groups were placed, not on how,
/// so every set is tried once.
struct Search {
    lengths: Vec<usize>,
    /// First and last index that survivors of the group had.
    fixed: Vec<Option<(usize, usize)>>,
    dead_ends: HashSet<u32>,
}

impl Search {
    /// Most types the search looks at; the number of sets doubles with each. Nodes have a handful.
    const MAX_TYPES: usize = 20;

    fn new(groups: &[Group], previous: &PreviousOrder) -> Option<Self> {
        let span = |g: &Group| {
            let indexes = g.records.iter().filter_map(|r| previous.index(r));
            indexes.fold(None, |span: Option<(usize, usize)>, i| {
                Some(span.map_or((i, i), |(a, b)| (a.min(i), b.max(i))))
            })
        };
        let lengths = groups.iter().map(|g| g.records.len()).collect();
        let fixed = groups.iter().map(span).collect();
        (groups.len() <= Self::MAX_TYPES).then(|| Search { lengths, fixed, dead_ends: HashSet::new() })
    }

    fn run(mut self) -> Option<Vec<usize>> {
        let mut order = Vec::new();
        self.place(0, 0, &mut order).then_some(order)
    }

    fn place(&mut self, used: u32, start: usize, order: &mut Vec<usize>) -> bool {
        if order.len() == self.lengths.len() {
            return true;
        }
        for group in 0..self.lengths.len() {
            let (bit, end) = (1 << group, start + self.lengths[group]);
            // Outside of its own indexes a group would hand a running job's next step another device.
            let fits = self.fixed[group].is_none_or(|(first, last)| start <= first && last < end);
            if used & bit != 0 || !fits || self.dead_ends.contains(&(used | bit)) {
                continue;
            }
            order.push(group);
            if self.place(used | bit, end, order) {
                return true;
            }
            // The same groups in another order end at the same index, and leave the same groups to place.
            order.pop();
            self.dead_ends.insert(used | bit);
        }
        false
    }
}

#[cfg(test)]
mod tests;
