//! What an inventory says of its node, whatever slurmctld says: worked out once for as long as neither it nor the configuration
//! changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ::demand::Model;
use device_map::NoDevice;
use mig::{Geometry, Placement, Profile};

use crate::apply::DesiredState;
use crate::config::Config;
use crate::inventory::{self, Holder, Inventory};
use crate::slurm::{GresTable, Names, PreviousOrder, Settings, slots};

/// The inventory of a node, with Slurm's indexes of its devices by UUID.
pub(crate) type Known = (Inventory, BTreeMap<String, usize>);

/// Makes sheets, and keeps what they have in common.
pub(crate) struct Sheets<'a> {
    settings: &'a Settings,
    names: Names<'a>,
    /// The cut of idle GPUs.
    layout: Option<(&'a Config, &'a str)>,
    models: Vec<(Made, Arc<Model>)>,
    defaults: Vec<(Vec<Kind>, Arc<Defaults>)>,
}

/// What each GPU of a node is cut into while nobody wants otherwise.
type Defaults = Vec<Vec<Placement>>;

/// What a model is made of: geometry, profiles on offer, the cut of idle GPUs.
type Made = (Geometry, Vec<Profile>, Vec<Placement>);

/// All that a layout goes by on a GPU, but for its UUID.
#[derive(PartialEq)]
struct Kind {
    index: u32,
    pci: String,
    ids: (u32, Option<u32>),
    model: String,
    geometry: Geometry,
    menu: Option<Vec<Profile>>,
}

/// A node by its inventory.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    pub(super) node: String,
    /// Its records, or why there are none.
    pub(super) records: Result<Records, String>,
}

impl Sheet {
    /// The sheet of a node whose inventory cannot be read.
    pub(crate) fn unread(node: String, why: String) -> Self {
        Sheet { node, records: Err(why) }
    }

    /// The name of its node.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }
}

/// What a node offers to Slurm.
#[derive(Clone, Debug)]
pub(super) struct Records {
    /// As `Gres=` has them.
    pub(super) gres: String,
    pub(super) count: usize,
    /// Indexes of those whose instance is not there.
    pub(super) void: Vec<usize>,
    /// GPUs that have slices or could have some, or why they cannot be taken.
    pub(super) gpus: Result<Vec<Face>, String>,
    /// What it was made of, which [`Sheets`] keeps for as long.
    _defaults: Arc<Defaults>,
}

/// A GPU by its inventory.
#[derive(Clone, Debug)]
pub(super) struct Face {
    /// NVML index.
    pub(super) index: u32,
    pub(super) model: Arc<Model>,
    pub(super) fixed: bool,
    pub(super) instances: Vec<Slice>,
    /// GRES types that it has or could have.
    pub(super) types: Vec<(String, Profile)>,
}

/// An instance by its inventory.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) placement: Placement,
    /// Slurm's index; `None` where it is no device that a job can be given.
    pub(super) device: Option<usize>,
    /// Somebody has it whom slurmctld does not know.
    pub(super) elsewhere: bool,
    /// Slurm gives it out no more.
    pub(super) closed: bool,
}

impl<'a> Sheets<'a> {
    /// `layout` is what idle GPUs are cut into.
    pub(crate) fn new(
        settings: &'a Settings,
        names: Names<'a>,
        layout: Option<(&'a Config, &'a str)>,
    ) -> Self {
        Sheets { settings, names, layout, models: Vec::new(), defaults: Vec::new() }
    }

    /// The sheet of an inventory.
    pub(crate) fn of(&mut self, known: &Known) -> Sheet {
        Sheet { node: known.0.node.clone(), records: self.records(known) }
    }

    /// Forgets what no sheet has that is still there.
    pub(crate) fn forget(&mut self) {
        self.models.retain(|(_, model)| Arc::strong_count(model) > 1);
        self.defaults.retain(|(_, defaults)| Arc::strong_count(defaults) > 1);
    }

    fn records(&mut self, (inventory, indexes): &Known) -> Result<Records, String> {
        let table = |previous: &PreviousOrder| {
            GresTable::new(inventory, self.settings, previous).map_err(|error| error.to_string())
        };
        let mut table_of_node = table(&PreviousOrder::default())?;
        // Records of GPUs on request have one order, whatever was before.
        if table_of_node.form.is_none() {
            table_of_node = table(&PreviousOrder::of_indexes(&table_of_node, indexes))?;
        }
        let defaults = self.defaults(inventory);
        let GresTable { records, .. } = &table_of_node;
        let is_void = |index: &usize| records[*index].no_device() == Some(NoDevice::Void);
        Ok(Records {
            gres: table_of_node.gres(),
            count: records.len(),
            void: (0..records.len()).filter(is_void).collect(),
            gpus: self.gpus(inventory, &table_of_node, &defaults),
            _defaults: defaults,
        })
    }

    fn gpus(
        &mut self,
        inventory: &Inventory,
        table: &GresTable,
        defaults: &Defaults,
    ) -> Result<Vec<Face>, String> {
        let index: HashMap<&str, usize> =
            table.records.iter().enumerate().map(|(index, record)| (record.uuid.as_str(), index)).collect();
        let mut faces = Vec::new();
        for (gpu, default) in inventory.gpus.iter().zip(defaults) {
            let menu = slots::menu(&inventory.node, gpu, self.settings);
            let present: BTreeSet<Profile> =
                gpu.instances.iter().map(|instance| instance.placement.profile).collect();
            // MIG that is off would have to be switched on, which takes the whole GPU.
            let fixed = menu.is_none() || !gpu.mode.is_on();
            if fixed && present.is_empty() {
                continue;
            }
            let offered: Vec<Profile> = menu.unwrap_or_else(|| present.iter().copied().collect());
            let default = if fixed { Vec::new() } else { default.clone() };
            let slice = |instance: &inventory::Instance| Slice {
                placement: instance.placement,
                device: device(instance).and_then(|uuid| index.get(uuid).copied()),
                elsewhere: is_elsewhere(instance),
                closed: instance.closed,
            };
            let name = |profile: &Profile| {
                let name = self.names.slice(&gpu.model, *profile).map_err(|error| error.to_string())?;
                Ok((name.to_string(), *profile))
            };
            faces.push(Face {
                index: gpu.index,
                fixed,
                types: offered.iter().map(name).collect::<Result<_, String>>()?,
                instances: gpu.instances.iter().map(slice).collect(),
                model: self.model(&gpu.geometry, offered, default)?,
            });
        }
        Ok(faces)
    }

    /// What each GPU is cut into while nobody wants otherwise, as far as the layout says it. Nodes that are alike are planned
    /// for once.
    fn defaults(&mut self, inventory: &Inventory) -> Arc<Defaults> {
        let none = || Arc::new(vec![Vec::new(); inventory.gpus.len()]);
        let Some((config, label)) = self.layout else { return none() };
        let kind = |gpu: &inventory::Gpu| Kind {
            index: gpu.index,
            pci: gpu.pci.clone(),
            ids: (gpu.pci_device, gpu.pci_subsystem),
            model: gpu.model.clone(),
            geometry: gpu.geometry.clone(),
            menu: slots::menu(&inventory.node, gpu, self.settings),
        };
        let kinds: Vec<Kind> = inventory.gpus.iter().map(kind).collect();
        let alike = !config.names_uuids(label);
        let known = self.defaults.iter().find(|(other, _)| alike && *other == kinds);
        if let Some((_, known)) = known {
            return Arc::clone(known);
        }
        let mut bare = inventory.clone();
        bare.gpus.iter_mut().for_each(|gpu| gpu.instances.clear());
        let Ok(targets) = DesiredState::Layout(config, label).targets(&bare) else { return none() };
        let placements = |target: crate::apply::target::Target| {
            target.instances.unwrap_or_default().into_iter().map(|instance| instance.placement).collect()
        };
        let defaults: Arc<Defaults> = Arc::new(targets.into_iter().map(placements).collect());
        if alike {
            self.defaults.push((kinds, Arc::clone(&defaults)));
        }
        defaults
    }

    /// The model of GPUs that can be cut into the same: one, however many have it.
    fn model(
        &mut self,
        geometry: &Geometry,
        menu: Vec<Profile>,
        default: Vec<Placement>,
    ) -> Result<Arc<Model>, String> {
        let is_same = |(other, _): &&(Made, _)| other.0 == *geometry && other.1 == menu && other.2 == default;
        if let Some((_, model)) = self.models.iter().find(is_same) {
            return Ok(Arc::clone(model));
        }
        let model = Model::new(geometry, &menu, &default).map_err(|error| error.to_string())?;
        let model = Arc::new(model);
        self.models.push(((geometry.clone(), menu, default), Arc::clone(&model)));
        Ok(model)
    }
}

/// The device that is all of an instance, by UUID.
fn device(instance: &inventory::Instance) -> Option<&str> {
    match &instance.compute[..] {
        [compute] if compute.profile == instance.placement.profile => Some(&compute.uuid),
        _ => None,
    }
}

/// Whether somebody has it whom slurmctld does not know. Processes beside a job are the job's.
fn is_elsewhere(instance: &inventory::Instance) -> bool {
    let of_job = instance.holders.iter().any(|holder| matches!(holder, Holder::Job { .. }));
    let own = |holder: &Holder| match holder {
        Holder::Run { .. } => true,
        Holder::Process { .. } => !of_job,
        _ => false,
    };
    instance.holders.iter().any(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Gpu;

    /// A node that says something else each time leaves nothing behind.
    #[test]
    fn what_no_sheet_has_is_forgotten() {
        let config = Config::parse("c", include_str!("recorded/config.yaml")).unwrap();
        let names = Names::new(&config.slurm.types).unwrap();
        let mut sheets = Sheets::new(&config.slurm, names, Some((&config, "first")));
        let sheet = |id: u32, unreadable: bool, sheets: &mut Sheets<'_>| {
            let mut gpu = Gpu::a100_cut(0, &[]);
            gpu.pci_device = id;
            gpu.geometry.specs[0].id = id;
            // More places than can be told apart.
            if unreadable {
                gpu.geometry.specs.iter_mut().for_each(|spec| spec.starts = (0..200).collect());
            }
            let inventory = Inventory { node: "n1".into(), gpus: vec![gpu], ..Inventory::default() };
            sheets.of(&(inventory, BTreeMap::new()))
        };
        let stays = sheet(0, false, &mut sheets);
        for id in 1..10 {
            let last = sheet(id, false, &mut sheets);
            sheets.forget();
            assert_eq!((sheets.models.len(), sheets.defaults.len()), (2, 2), "{:?}", last.records);
        }
        assert!(sheet(10, true, &mut sheets).records.is_ok_and(|records| records.gpus.is_err()));
        sheets.forget();
        assert_eq!((sheets.models.len(), sheets.defaults.len()), (1, 1));
        drop(stays);
    }
}
