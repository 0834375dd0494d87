//! Desired states: a layout of the configuration, no instances at all, another MIG mode.

use mig::{Goal, GpuState, Placement, Plan, Profile, plan};
use thiserror::Error;

use super::intent::{self, Before};
use super::ordered::{self, OrderRefused};
use super::target::{Divided, Target};
use crate::config::{
    Config, ConfigError, Cuts, GpuFacts, Problem, Selector, WantedInstance, divide, present,
};
use crate::inventory::{Gpu, Inventory};
use crate::order::Cut;
use crate::path_error::PathError;
use crate::slurm::{Settings, slots};

/// Why a desired state cannot be met.
#[derive(Debug, Error)]
pub enum DesiredStateError {
    /// The configuration is wrong or asks for what cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A selector that names nothing on this node.
    #[error("{selector}: no such GPU on this node, which has {present}")]
    NoGpu {
        /// As given.
        selector: String,
        /// What there is.
        present: String,
    },
    /// Digits that several UUIDs begin with.
    #[error("{selector}: begins the UUIDs of {} GPUs", uuids.len())]
    Several {
        /// As given.
        selector: String,
        /// Those that it begins.
        uuids: Vec<String>,
    },
    /// A GPU that cannot be brought back to what it was.
    #[error("{gpu}: {why}, and cannot be brought back to what it was")]
    Lost {
        /// Its name, or its UUID where it is gone.
        gpu: String,
        why: String,
    },
    /// A layout that makes of a GPU on request what nobody could ask for.
    #[error("layout {layout}: GPU {gpu} is on request, and {what}")]
    OnRequest {
        layout: String,
        /// NVML index.
        gpu: u32,
        /// What cannot be.
        what: String,
    },
    /// An order that may not be.
    #[error(transparent)]
    Order(#[from] OrderRefused),
    /// The layout that was last chosen cannot be read.
    #[error(transparent)]
    Path(#[from] PathError),
    /// What stands in its place is no choice of a layout.
    #[error(transparent)]
    Choice(PathError),
    /// The configuration has the layout that was chosen no more.
    #[error(
        "layout {label}: chosen {at} by {by}, but the configuration has no such layout; it has {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    Gone {
        label: String,
        by: String,
        at: String,
        /// Layouts there are.
        known: Vec<String>,
    },
}

impl DesiredStateError {
    /// The instances in use where they are all that stands in the way; else none.
    pub fn blockers(&self) -> &[mig::Blocker] {
        match self {
            DesiredStateError::Config(ConfigError { problem: Problem::Infeasible(error), .. })
                if matches!(error.reason, mig::Reason::Blocked | mig::Reason::Unwanted) =>
            {
                &error.blockers
            }
            _ => &[],
        }
    }
}

/// What the GPUs of a node shall be, as a function of what they are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DesiredState<'a> {
    /// A layout of the configuration, by its label.
    Layout(&'a Config, &'a str),
    /// The same but for GPUs that take orders: as they are cut, where they are.
    InForce(&'a Config, &'a str),
    /// What an order makes of GPUs that take orders.
    Ordered(&'a Settings, &'a Cut),
    /// What the GPUs are, with nothing of it closed.
    Open(&'a Settings),
    /// No instances on the selected GPUs.
    Clear(&'a [Selector]),
    /// MIG mode of the selected GPUs, on or off. Switching it on leaves instances that are there; switching it off ends
    /// them.
    Mode(&'a [Selector], bool),
    /// What the GPUs were before an apply.
    Before(&'a [Before]),
}

impl<'a> DesiredState<'a> {
    /// One target per GPU of the inventory.
    ///
    /// # Errors
    /// Why the desired state cannot be met; nothing has been changed for it.
    pub(crate) fn targets(self, inventory: &Inventory) -> Result<Vec<Target>, DesiredStateError> {
        match self {
            DesiredState::Layout(config, label) => layout(config, label, inventory, &[]),
            DesiredState::InForce(config, label) => {
                let kept = kept(config, inventory);
                let targets = layout(config, label, inventory, &kept)?;
                Ok(targets.into_iter().zip(kept).map(|(target, kept)| kept.unwrap_or(target)).collect())
            }
            DesiredState::Ordered(settings, cut) => Ok(ordered::targets(cut, settings, inventory)?),
            DesiredState::Open(settings) => Ok(ordered::as_cut(settings, inventory)),
            DesiredState::Clear(gpus) => {
                let instances = |gpu: &Gpu| gpu.mode.is_on().then(Vec::new);
                selected_targets(inventory, gpus, |gpu| Target { mode: None, instances: instances(gpu) })
            }
            DesiredState::Mode(gpus, on) => {
                selected_targets(inventory, gpus, |_| Target { mode: Some(on), instances: None })
            }
            DesiredState::Before(before) => Ok(intent::targets(before, inventory)),
        }
    }

    /// The layout that it is, where it is one.
    pub(crate) fn label(self) -> Option<&'a str> {
        self.layout().map(|(_, label)| label)
    }

    /// GPUs it names in a way that comes to nothing, because it names them again.
    pub(crate) fn overruled(self, inventory: &Inventory) -> Vec<String> {
        let Some((config, label)) = self.layout() else { return Vec::new() };
        let facts: Vec<GpuFacts<'_>> = inventory.gpus.iter().map(GpuFacts::from).collect();
        config.overruled(label, &facts)
    }

    /// GPUs that take orders and are cut otherwise than the layout says, or have instances that are closed: so they stay.
    pub(crate) fn stays(self, inventory: &Inventory) -> Vec<u32> {
        let DesiredState::InForce(config, label) = self else { return Vec::new() };
        let kept = kept(config, inventory);
        let Ok(targets) = layout(config, label, inventory, &kept) else { return Vec::new() };
        let differs = |gpu: &usize| {
            let is_closed = || inventory.gpus[*gpu].instances.iter().any(|instance| instance.closed);
            kept[*gpu].as_ref().is_some_and(|kept| !targets[*gpu].is_cut_like(kept) || is_closed())
        };
        (0..kept.len()).filter(differs).map(|gpu| inventory.gpus[gpu].index).collect()
    }

    /// GPUs it names that the node does not have, where that is no error: one file may serve nodes that differ.
    pub(crate) fn unmatched(self, inventory: &Inventory) -> Vec<String> {
        let Some((config, label)) = self.layout() else { return Vec::new() };
        let facts: Vec<GpuFacts<'_>> = inventory.gpus.iter().map(GpuFacts::from).collect();
        config.unmatched(label, &facts)
    }

    fn layout(self) -> Option<(&'a Config, &'a str)> {
        match self {
            DesiredState::Layout(config, label) | DesiredState::InForce(config, label) => {
                Some((config, label))
            }
            _ => None,
        }
    }
}

/// What GPUs that take orders stay, in the order of the inventory.
fn kept(config: &Config, inventory: &Inventory) -> Vec<Option<Target>> {
    inventory.gpus.iter().map(|gpu| ordered::kept(&inventory.node, gpu, &config.slurm)).collect()
}

/// The targets of a layout. Who has a part of a GPU that is kept as it is stands in no layout's way.
fn layout(
    config: &Config,
    label: &str,
    inventory: &Inventory,
    kept: &[Option<Target>],
) -> Result<Vec<Target>, DesiredStateError> {
    let facts: Vec<GpuFacts<'_>> = inventory.gpus.iter().map(GpuFacts::from).collect();
    let wanted = config.wanted(label, &facts)?;
    let mut states: Vec<GpuState<'_>> = inventory.gpus.iter().map(state).collect();
    for (state, _) in states.iter_mut().zip(kept).filter(|(_, kept)| kept.is_some()) {
        let busy = std::mem::take(&mut state.busy);
        state.idle.extend(busy);
    }
    let plan = plan(&states, &wanted.goals).map_err(|error| config.infeasible(&wanted, error))?;
    let mut targets: Vec<Target> =
        wanted.modes.iter().map(|&mode| Target { mode, instances: None }).collect();
    for (goal, cuts) in wanted.goals.iter().zip(&wanted.cuts) {
        for &gpu in &goal.gpus {
            targets[gpu].instances = Some(Vec::new());
        }
        for (gpu, instance) in divided(inventory, &plan, goal, cuts) {
            targets[gpu].instances.get_or_insert_default().push(instance);
        }
    }
    for (gpu, target) in inventory.gpus.iter().zip(&targets) {
        if let Some(menu) = slots::menu(&inventory.node, gpu, &config.slurm)
            && let Some(what) = not_offered(target, &menu)
        {
            return Err(DesiredStateError::OnRequest { layout: label.to_owned(), gpu: gpu.index, what });
        }
    }
    Ok(targets)
}

/// What of a target no record of a GPU on request is for; `None` where there is nothing.
fn not_offered(target: &Target, menu: &[Profile]) -> Option<String> {
    if target.mode == Some(false) {
        return Some("needs mig-enabled: true".to_owned());
    }
    target.instances.iter().flatten().find_map(|instance| {
        let profile = instance.placement.profile;
        if !menu.contains(&profile) {
            let menu: Vec<String> = menu.iter().map(Profile::to_string).collect();
            return Some(format!("{profile} is not on offer, only {}", menu.join(", ")));
        }
        let part = instance.compute.iter().find(|compute| **compute != profile);
        part.map(|part| format!("only whole GPU instances are cut on request, not {part}"))
    })
}

/// The GPU instances of a goal, each with its division into compute instances.
fn divided(inventory: &Inventory, plan: &Plan, goal: &Goal, cuts: &Cuts) -> Vec<(usize, Divided)> {
    let placed = goal.gpus.iter().flat_map(|&gpu| plan.layouts[gpu].iter().map(move |&p| (gpu, p)));
    let placed: Vec<(usize, Placement)> = placed.collect();
    let held = placed.iter().map(|&(gpu, placed)| {
        let present = inventory.gpus[gpu].instances.iter().find(|i| i.placement == placed);
        let compute = present.map(|i| i.compute.iter().map(|c| c.profile).collect());
        WantedInstance { profile: placed.profile, compute }
    });
    let divisions = divide(cuts, &held.collect::<Vec<_>>());
    placed
        .into_iter()
        .zip(divisions)
        .map(|((gpu, placement), compute)| (gpu, Divided { placement, compute }))
        .collect()
}

/// The target of each selected GPU; the others stay as they are.
fn selected_targets(
    inventory: &Inventory,
    selectors: &[Selector],
    target: impl Fn(&Gpu) -> Target,
) -> Result<Vec<Target>, DesiredStateError> {
    let selected = selected(inventory, selectors)?;
    let each = inventory.gpus.iter().zip(selected);
    Ok(each.map(|(gpu, selected)| if selected { target(gpu) } else { Target::default() }).collect())
}

/// Refuses digits that begin several UUIDs.
///
/// # Errors
/// [`DesiredStateError::Several`]
pub(crate) fn unequivocal(inventory: &Inventory, selectors: &[Selector]) -> Result<(), DesiredStateError> {
    selectors.iter().try_for_each(|selector| {
        match selector.several(inventory.gpus.iter().map(|gpu| &*gpu.uuid)) {
            Some(uuids) => Err(DesiredStateError::Several {
                selector: selector.to_string(),
                uuids: uuids.into_iter().map(str::to_owned).collect(),
            }),
            None => Ok(()),
        }
    })
}

/// Whether each GPU is named by one of the selectors.
///
/// # Errors
/// A selector that names no GPU of the node, or does not say which.
pub(crate) fn selected(
    inventory: &Inventory,
    selectors: &[Selector],
) -> Result<Vec<bool>, DesiredStateError> {
    let facts: Vec<GpuFacts<'_>> = inventory.gpus.iter().map(GpuFacts::from).collect();
    unequivocal(inventory, selectors)?;
    for selector in selectors {
        if !facts.iter().any(|gpu| selector.matches(gpu)) {
            return Err(DesiredStateError::NoGpu {
                selector: selector.to_string(),
                present: present(&facts),
            });
        }
    }
    Ok(facts.iter().map(|gpu| selectors.iter().any(|s| s.matches(gpu))).collect())
}

/// A GPU for the planner: instances with holders stay.
pub(crate) fn state(gpu: &Gpu) -> GpuState<'_> {
    let (busy, idle): (Vec<_>, Vec<_>) = gpu.instances.iter().partition(|i| !i.holders.is_empty());
    let places = |list: Vec<&crate::inventory::Instance>| list.into_iter().map(|i| i.placement).collect();
    GpuState { geometry: &gpu.geometry, busy: places(busy), idle: places(idle) }
}
