//! GPUs that are cut by orders: what an order makes of them, and what it may.
//!
//! An order comes from another host, and whoever can send one must not be able to do more than an admin's layout over the
//! profiles on offer could. So everything it names is judged by this node's own configuration: the GPU has to take
//! orders, and what goes and what comes have to be whole instances that the GPU offers. Who holds what goes is looked at
//! where every change does it.

use mig::{Placement, Profile};
use thiserror::Error;

use super::name;
use super::target::{Divided, Target};
use crate::inventory::{Gpu, Instance, Inventory};
use crate::order::{Change, Cut};
use crate::slurm::settings::on_request::OnRequest;
use crate::slurm::{Settings, slots};

/// Why an order is not carried out. Nothing was changed.
#[derive(Debug, Error)]
pub enum OrderRefused {
    /// There is no such GPU.
    #[error("{0}: no such GPU on this node")]
    NoGpu(String),
    /// This node's configuration does not let it be cut by orders.
    #[error("GPU {0}: takes no orders")]
    TakesNone(u32),
    /// MIG is off, or is to be.
    #[error("GPU {0}: MIG mode is not on")]
    ModeOff(u32),
    /// What is to go or to come is none of the instances that the GPU offers.
    #[error("{instance}: is not on offer, only {}", list(.menu))]
    NotOffered {
        /// GPU and instance, for a person.
        instance: String,
        /// Profiles on offer.
        menu: Vec<Profile>,
    },
    /// What is to go is divided, which no order does.
    #[error("{0}: is divided into compute instances; orders are about whole instances")]
    Divided(String),
    /// What comes cannot stand beside what stays.
    #[error("GPU {gpu}: cannot hold {} together", list(.instances))]
    Impossible {
        /// NVML index.
        gpu: u32,
        /// What it would hold.
        instances: Vec<Placement>,
    },
    /// What is to go, to be closed or to be opened is not there: the order was made from an older picture.
    #[error("{0}: is not there")]
    NotThere(String),
    /// A change that was no order was cut off, and is not an order's to finish.
    #[error("{0}: was cut off and is not finished")]
    CutOff(String),
    /// The configuration asks for more than another cut.
    #[error("{0}")]
    NotApplied(String),
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Checks that all that is to go is there, or that nothing is left to do at all, as where an order comes for the second
/// time. Asked once, before the first change: afterwards what goes is gone.
///
/// # Errors
/// [`OrderRefused`], also what [`targets`] refuses.
pub(crate) fn check(cut: &Cut, settings: &Settings, inventory: &Inventory) -> Result<(), OrderRefused> {
    for change in &cut.gpus {
        let target = target(change, settings, inventory);
        if matches!(target, Ok(_) | Err(OrderRefused::Impossible { .. }))
            && let Some(gpu) = position(change, inventory).map(|position| &inventory.gpus[position])
        {
            let there = |placement: &Placement| gpu.instances.iter().any(|i| i.placement == *placement);
            let is_done = !change.destroy.iter().any(there) && change.create.iter().all(there);
            if let Some(gone) = change.destroy.iter().find(|placement| !there(placement) && !is_done) {
                return Err(OrderRefused::NotThere(name(gpu, *gone)));
            }
        }
        target?;
    }
    Ok(())
}

/// One target per GPU of the inventory: what the order does not name stays [as it is](as_cut).
///
/// # Errors
/// [`OrderRefused`] for what no order may have.
pub(crate) fn targets(
    cut: &Cut,
    settings: &Settings,
    inventory: &Inventory,
) -> Result<Vec<Target>, OrderRefused> {
    let mut targets = as_cut(settings, inventory);
    for change in &cut.gpus {
        let (position, target) = target(change, settings, inventory)?;
        targets[position] = target;
    }
    Ok(targets)
}

/// One target per GPU of the inventory: all stays as it is, but for instances of GPUs that take orders which whoever was killed
/// has left without a compute instance: they are given one.
pub(crate) fn as_cut(settings: &Settings, inventory: &Inventory) -> Vec<Target> {
    let target = |gpu: &Gpu| match menu(&inventory.node, gpu, settings) {
        Some(menu) if gpu.mode.is_on() => {
            Target { mode: None, instances: Some(gpu.instances.iter().map(|i| finished(i, &menu)).collect()) }
        }
        _ => Target::default(),
    };
    inventory.gpus.iter().map(target).collect()
}

fn position(change: &Change, inventory: &Inventory) -> Option<usize> {
    inventory.gpus.iter().position(|gpu| change.is_of(gpu))
}

/// What becomes of the GPU of a change, and its position.
fn target(
    change: &Change,
    settings: &Settings,
    inventory: &Inventory,
) -> Result<(usize, Target), OrderRefused> {
    let uuid = change.gpu.as_str();
    let position = position(change, inventory).ok_or_else(|| OrderRefused::NoGpu(uuid.to_owned()))?;
    let gpu = &inventory.gpus[position];
    let menu = menu(&inventory.node, gpu, settings).ok_or(OrderRefused::TakesNone(gpu.index))?;
    if !gpu.mode.is_on() || gpu.mode.is_pending() {
        return Err(OrderRefused::ModeOff(gpu.index));
    }
    let Change { destroy, create, close, open, .. } = change;
    for &placement in [destroy, create, close, open].into_iter().flatten() {
        if !menu.contains(&placement.profile) {
            return Err(OrderRefused::NotOffered { instance: name(gpu, placement), menu });
        }
        let present = gpu.instances.iter().find(|instance| instance.placement == placement);
        if present.is_some_and(|instance| !is_whole(instance)) {
            return Err(OrderRefused::Divided(name(gpu, placement)));
        }
    }
    let stays = gpu.instances.iter().filter(|instance| !destroy.contains(&instance.placement));
    let mut instances: Vec<Divided> = stays.map(|instance| finished(instance, &menu)).collect();
    for &placement in create {
        instances.retain(|instance| instance.placement != placement);
        instances.push(whole(placement));
    }
    let mut places: Vec<Placement> = instances.iter().map(|instance| instance.placement).collect();
    if !gpu.geometry.legal(&places) {
        places.sort_unstable_by_key(|placement| placement.start);
        return Err(OrderRefused::Impossible { gpu: gpu.index, instances: places });
    }
    if let Some(gone) = close.iter().chain(open).find(|placement| !places.contains(placement)) {
        return Err(OrderRefused::NotThere(name(gpu, *gone)));
    }
    Ok((position, Target { mode: None, instances: Some(instances) }))
}

/// What a GPU that takes orders shall be where no layout is asked for by name: what it is cut into, as far as that is on
/// offer and whole. `None` for every other GPU, and for one that is not cut, which its layout is for.
pub(crate) fn kept(node: &str, gpu: &Gpu, settings: &Settings) -> Option<Target> {
    let menu = menu(node, gpu, settings).filter(|_| gpu.mode.is_on() && !gpu.mode.is_pending())?;
    let offered = gpu.instances.iter().filter(|i| menu.contains(&i.placement.profile) && is_whole(i));
    let instances: Vec<Divided> = offered.map(|instance| whole(instance.placement)).collect();
    (!instances.is_empty()).then_some(Target { mode: None, instances: Some(instances) })
}

/// The profiles that a GPU has cut by orders; `None` where it takes none.
pub(crate) fn menu(node: &str, gpu: &Gpu, settings: &Settings) -> Option<Vec<Profile>> {
    slots::entry(node, gpu, settings).filter(|entry| entry.orders).map(OnRequest::menu)
}

/// Whether an instance is one that Slurm can give out, or was about to become one when whoever made it was killed.
fn is_whole(instance: &Instance) -> bool {
    match &instance.compute[..] {
        [] => true,
        [compute] => compute.profile == instance.placement.profile,
        _ => false,
    }
}

/// An instance that stays: as it is, or whole where it was about to be.
fn finished(instance: &Instance, menu: &[Profile]) -> Divided {
    if instance.compute.is_empty() && menu.contains(&instance.placement.profile) {
        whole(instance.placement)
    } else {
        Divided::from(instance)
    }
}

fn whole(placement: Placement) -> Divided {
    Divided { placement, compute: vec![placement.profile] }
}

#[cfg(test)]
mod tests;
