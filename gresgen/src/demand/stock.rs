//! What there is: the nodes of the inventories as slurmctld has them, with who holds each instance.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ::demand::{Gpu, Instance, Model, Node, Resources, State};
use mig::Profile;

use super::answers::{Answers, Held};
use super::sheet::{Face, Sheet, Slice};
use crate::slurm::control::{Devices, NodeView};

/// GRES types: the profile of each, with the nodes that have it or could.
pub(crate) type Kinds = BTreeMap<String, BTreeMap<Profile, BTreeSet<usize>>>;

/// What there is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stock {
    pub(crate) nodes: Vec<Node>,
    /// NVML indexes of the GPUs of each node, in its order.
    pub(crate) gpus: Vec<Vec<u32>>,
    /// Devices of each node that slurmctld counts in use and no job has; `None` where that cannot be said now.
    pub(crate) unexplained: Vec<Option<Devices>>,
    pub(crate) models: Vec<Model>,
    pub(crate) kinds: Kinds,
    /// Nodes that take no cut, by why.
    pub(crate) unknown: BTreeMap<String, Vec<String>>,
}

/// Stock that is being taken.
struct Taking<'a> {
    answers: &'a Answers,
    /// Those of the stock.
    models: Vec<&'a Arc<Model>>,
    stock: Stock,
}

/// Takes stock of the nodes that slurmctld has, by what their inventories say.
pub(crate) fn take<'a>(answers: &Answers, sheets: impl IntoIterator<Item = &'a Sheet>) -> Stock {
    let known: HashMap<&str, &Sheet> = sheets.into_iter().map(|sheet| (sheet.node.as_str(), sheet)).collect();
    let on = answers.on_nodes();
    let mut taking = Taking { answers, models: Vec::new(), stock: Stock::default() };
    for view in answers.nodes.iter().filter(|view| view.count() > 0) {
        let done = match known.get(view.name.as_str()) {
            Some(sheet) => {
                let held = answers.held(view, on.get(&view.name).map_or(&[][..], Vec::as_slice));
                taking.node(view, sheet, &held)
            }
            // One that takes no jobs takes no cut either, whatever is on it.
            None if !view.takes_jobs() => Ok(()),
            None => Err("there is no inventory of it".to_owned()),
        };
        if let Err(why) = done {
            taking.stock.unknown.entry(why).or_default().push(view.name.clone());
        }
    }
    let views: HashSet<&str> = answers.nodes.iter().map(|view| view.name.as_str()).collect();
    let mut strange: Vec<&Sheet> =
        known.into_values().filter(|sheet| !views.contains(sheet.node.as_str())).collect();
    strange.sort_unstable_by_key(|sheet| &sheet.node);
    for Sheet { node, records } in strange {
        let why = records.as_ref().err().map_or("slurmctld has no node of this name", String::as_str);
        taking.stock.unknown.entry(why.to_owned()).or_default().push(node.clone());
    }
    taking.stock
}

impl<'a> Taking<'a> {
    /// Adds a node, or says why it takes no cut.
    fn node(&mut self, view: &NodeView, sheet: &'a Sheet, held: &Held) -> Result<(), String> {
        let records = sheet.records.as_ref().map_err(String::clone)?;
        if records.gres != view.gres() {
            return Err("slurmctld has other GPUs on it than its inventory".to_owned());
        }
        // A job that has the whole node has what is not there, too.
        let all = (0..records.count).all(|index| held.is_named(index));
        if !all && records.void.iter().any(|index| held.is_named(*index)) {
            return Err("a job has an instance that its inventory lacks; take it anew".to_owned());
        }
        let faces = records.gpus.as_ref().map_err(String::clone)?;
        let number = self.stock.nodes.len();
        let mut gpus = Vec::new();
        for Face { model, fixed, instances, types, .. } in faces {
            let instance = |slice: &Slice| Instance {
                placement: slice.placement,
                state: match slice.device.map(|index| held.state(index)) {
                    Some(State::Idle) if slice.elsewhere => State::Busy { until: None },
                    Some(state) => state,
                    // Nobody can be given it, so nobody gives it back.
                    None => State::Busy { until: None },
                },
                closed: slice.closed,
                since: None,
            };
            let instances = instances.iter().map(instance).collect();
            gpus.push(Gpu { model: self.model(model), fixed: *fixed, instances });
            for (name, profile) in types {
                let profiles = match self.stock.kinds.get_mut(name) {
                    Some(profiles) => profiles,
                    None => self.stock.kinds.entry(name.clone()).or_default(),
                };
                profiles.entry(*profile).or_default().insert(number);
            }
        }
        let free = self.free(view);
        let reachable = Resources {
            cpus: free.cpus.saturating_add(held.freed.cpus),
            memory_mib: free.memory_mib.saturating_add(held.freed.memory_mib),
        };
        let usable = view.takes_jobs();
        let name = view.name.clone();
        self.stock.nodes.push(Node {
            name,
            gpus,
            usable,
            free,
            reachable,
            underway: false,
            cuts: 0,
            refuses: false,
        });
        self.stock.unexplained.push(held.unexplained().cloned());
        self.stock.gpus.push(faces.iter().map(|face| face.index).collect());
        Ok(())
    }

    /// The position of a model.
    fn model(&mut self, model: &'a Arc<Model>) -> usize {
        if let Some(known) = self.models.iter().position(|other| *other == model) {
            return known;
        }
        self.models.push(model);
        self.stock.models.push(Model::clone(model));
        self.models.len() - 1
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
