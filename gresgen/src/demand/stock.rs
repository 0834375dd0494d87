//! What there is: the nodes of the inventories as slurmctld has them, with who holds each instance.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ::demand::{Gpu, Instance, Model, Node, Resources, State};
use device_map::NoDevice;
use mig::{Geometry, Placement, Profile};

use super::answers::{Answers, Held};
use crate::apply::DesiredState;
use crate::config::Config;
use crate::inventory::{self, Holder, Inventory};
use crate::slurm::control::NodeView;
use crate::slurm::{GresTable, Names, PreviousOrder, Settings, slots};

/// The inventory of a node, with Slurm's indexes of its devices by UUID.
pub(crate) type Known = (Inventory, BTreeMap<String, usize>);

/// GRES types: the profile of each, with the nodes that have it or could.
pub(crate) type Kinds = BTreeMap<String, BTreeMap<Profile, BTreeSet<usize>>>;

/// What there is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stock {
    pub(crate) nodes: Vec<Node>,
    /// NVML indexes of the GPUs of each node, in its order.
    pub(crate) gpus: Vec<Vec<u32>>,
    pub(crate) models: Vec<Model>,
    pub(crate) kinds: Kinds,
    /// Nodes that take no cut, by why.
    pub(crate) unknown: BTreeMap<String, Vec<String>>,
}

/// A model, with what it was made of.
type Made = (Geometry, Vec<Profile>, Vec<Placement>);

/// Stock that is being taken.
struct Taking<'a> {
    answers: &'a Answers,
    settings: &'a Settings,
    names: Names<'a>,
    /// The cut of idle GPUs.
    layout: Option<(&'a Config, &'a str)>,
    made: Vec<Made>,
    stock: Stock,
}

/// Takes stock of the nodes that slurmctld has. `layout` is what idle GPUs are cut into.
pub(crate) fn take<'a>(
    answers: &'a Answers,
    inventories: &[Known],
    settings: &'a Settings,
    names: Names<'a>,
    layout: Option<(&'a Config, &'a str)>,
) -> Stock {
    let known: HashMap<&str, &Known> =
        inventories.iter().map(|known| (known.0.node.as_str(), known)).collect();
    let on = answers.on_nodes();
    let mut taking = Taking { answers, settings, names, layout, made: Vec::new(), stock: Stock::default() };
    for view in answers.nodes.iter().filter(|view| view.count() > 0) {
        let done = match known.get(view.name.as_str()) {
            Some(known) => {
                let held = answers.held(view, on.get(&view.name).map_or(&[][..], Vec::as_slice));
                taking.node(view, known, &held)
            }
            // One that takes no jobs takes no cut either, whatever is on it.
            None if !view.takes_jobs() => Ok(()),
            None => Err("there is no inventory of it".to_owned()),
        };
        if let Err(why) = done {
            taking.stock.unknown.entry(why).or_default().push(view.name.clone());
        }
    }
    for (inventory, _) in
        inventories.iter().filter(|(inventory, _)| !answers.nodes.iter().any(|v| v.name == inventory.node))
    {
        let why = "slurmctld has no node of this name".to_owned();
        taking.stock.unknown.entry(why).or_default().push(inventory.node.clone());
    }
    taking.stock
}

impl Taking<'_> {
    /// Adds a node, or says why it takes no cut.
    fn node(&mut self, view: &NodeView, (inventory, indexes): &Known, held: &Held) -> Result<(), String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let table = |previous: &PreviousOrder| {
            GresTable::new(inventory, self.settings, previous).map_err(|e| said(&e))
        };
        let fresh = table(&PreviousOrder::default())?;
        let table = table(&PreviousOrder::of_indexes(&fresh, indexes))?;
        if table.gres() != view.gres() {
            return Err("slurmctld has other GPUs on it than its inventory".to_owned());
        }
        // A job that has the whole node has what is not there, too.
        let is_void = |index: &usize| table.records[*index].no_device() == Some(NoDevice::Void);
        let all = (0..table.records.len()).all(|index| held.is_named(index));
        if !all && (0..table.records.len()).filter(is_void).any(|index| held.is_named(index)) {
            return Err("a job has an instance that its inventory lacks; take it anew".to_owned());
        }
        let index: HashMap<&str, usize> =
            table.records.iter().enumerate().map(|(index, record)| (record.uuid.as_str(), index)).collect();
        let defaults = self.defaults(inventory);
        let number = self.stock.nodes.len();
        let (mut gpus, mut indexes, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
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
            let default = if fixed { Vec::new() } else { default };
            let model = self.model((gpu.geometry.clone(), offered.clone(), default))?;
            let instances = gpu.instances.iter().map(|instance| {
                let state = device(instance).and_then(|uuid| index.get(uuid)).map(|index| held.state(*index));
                let state = match state {
                    Some(State::Idle) if is_elsewhere(instance) => State::Busy { until: None },
                    Some(state) => state,
                    // Nobody can be given it, so nobody gives it back.
                    None => State::Busy { until: None },
                };
                Instance { placement: instance.placement, state, closed: instance.closed, since: None }
            });
            gpus.push(Gpu { model, fixed, instances: instances.collect() });
            indexes.push(gpu.index);
            for profile in offered {
                let name = self.names.slice(&gpu.model, profile).map_err(|e| said(&e))?;
                kinds.push((name.to_string(), profile));
            }
        }
        for (name, profile) in kinds {
            self.stock.kinds.entry(name).or_default().entry(profile).or_default().insert(number);
        }
        let free = self.free(view);
        let reachable = Resources {
            cpus: free.cpus.saturating_add(held.freed.cpus),
            memory_mib: free.memory_mib.saturating_add(held.freed.memory_mib),
        };
        let usable = view.takes_jobs();
        let name = view.name.clone();
        self.stock.nodes.push(Node { name, gpus, usable, free, reachable, underway: false, cuts: 0 });
        self.stock.gpus.push(indexes);
        Ok(())
    }

    /// What each GPU is cut into while nobody wants otherwise, as far as the layout says it.
    fn defaults(&self, inventory: &Inventory) -> Vec<Vec<Placement>> {
        let none = || vec![Vec::new(); inventory.gpus.len()];
        let Some((config, label)) = self.layout else { return none() };
        let mut bare = inventory.clone();
        bare.gpus.iter_mut().for_each(|gpu| gpu.instances.clear());
        let Ok(targets) = DesiredState::Layout(config, label).targets(&bare) else { return none() };
        let placements = |target: crate::apply::target::Target| {
            target.instances.unwrap_or_default().into_iter().map(|instance| instance.placement).collect()
        };
        targets.into_iter().map(placements).collect()
    }

    /// The position of a model.
    fn model(&mut self, made: Made) -> Result<usize, String> {
        if let Some(known) = self.made.iter().position(|other| *other == made) {
            return Ok(known);
        }
        let (geometry, menu, default) = &made;
        let model = Model::new(geometry, menu, default).map_err(|error| error.to_string())?;
        self.stock.models.push(model);
        self.made.push(made);
        Ok(self.made.len() - 1)
    }

    /// CPUs and memory that no job has; all memory where Slurm does not give it out.
    fn free(&self, view: &NodeView) -> Resources {
        let cpus = view.cpus_usable.saturating_sub(view.cpus_allocated.into());
        let memory = view.hardware.memory.unwrap_or_default().saturating_sub(view.memory_allocated);
        Resources {
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            memory_mib: if self.answers.counts_memory { memory } else { u64::MAX / 4 },
        }
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
