//! From what is to what shall be, as single steps: pure, so that `plan` shows exactly what `apply` does.

use mig::Placement;

use super::name;
use super::target::{Divided, Target};
use crate::inventory::{Gpu, Instance, Inventory, Mode};

/// One change of the hardware. `gpu` is a position in [`Inventory::gpus`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Switch MIG mode.
    Mode {
        gpu: usize,
        /// To on or off.
        on: bool,
    },
    /// Destroy a GPU instance and its compute instances.
    Destroy { gpu: usize, placement: Placement },
    /// Create a GPU instance and its compute instances.
    Create { gpu: usize, instance: Divided },
    /// Divide a GPU instance that stays into other compute instances.
    Recut {
        gpu: usize,
        /// The same with its new division.
        instance: Divided,
    },
}

impl Step {
    /// The GPU it changes.
    pub(crate) fn gpu(&self) -> usize {
        match self {
            Step::Mode { gpu, .. }
            | Step::Destroy { gpu, .. }
            | Step::Create { gpu, .. }
            | Step::Recut { gpu, .. } => *gpu,
        }
    }

    /// The step for a person, on its GPU: `create GPU 0 1g.5gb at 2`.
    pub(crate) fn words(&self, gpu: &Gpu) -> String {
        match self {
            Step::Mode { on, .. } => format!("GPU {} MIG mode {}", gpu.index, if *on { "on" } else { "off" }),
            Step::Destroy { placement, .. } => format!("destroy {}", name(gpu, *placement)),
            Step::Create { instance, .. } => format!("create {}", name(gpu, instance.placement)),
            Step::Recut { instance, .. } => format!("divide {}", name(gpu, instance.placement)),
        }
    }

    /// The GPU instance it is about; a mode change has none.
    pub(crate) fn placement(&self) -> Option<Placement> {
        match self {
            Step::Mode { .. } => None,
            Step::Destroy { placement, .. } => Some(*placement),
            Step::Create { instance, .. } | Step::Recut { instance, .. } => Some(instance.placement),
        }
    }
}

/// The steps that lead from `inventory` to `targets` (one per GPU). All destroys come before all creates, which
/// is always a legal order because instances never move. A GPU whose mode changes is emptied, switched and
/// filled; see [`ready`].
pub(crate) fn steps(inventory: &Inventory, targets: &[Target]) -> Vec<Step> {
    let mut destroys = Vec::new();
    let mut modes = Vec::new();
    let mut creates = Vec::new();
    for (gpu, (facts, target)) in inventory.gpus.iter().zip(targets).enumerate() {
        match target.mode {
            Some(on) if needs_switch(facts.mode, on) => {
                destroys
                    .extend(facts.instances.iter().map(|i| Step::Destroy { gpu, placement: i.placement }));
                modes.push(Step::Mode { gpu, on });
                let wanted = target.instances.iter().flatten();
                creates.extend(wanted.map(|instance| Step::Create { gpu, instance: instance.clone() }));
            }
            _ => {
                let Some(wanted) = &target.instances else { continue };
                let stays = |i: &&Instance| wanted.iter().any(|wanted| wanted.placement == i.placement);
                let goes = facts.instances.iter().filter(|i| !stays(i));
                destroys.extend(goes.map(|i| Step::Destroy { gpu, placement: i.placement }));
                creates.extend(wanted.iter().filter_map(|wanted| come_or_recut(gpu, facts, wanted)));
            }
        }
    }
    destroys.into_iter().chain(modes).chain(creates).collect()
}

/// The steps that can be carried out on the present facts. What a GPU shall hold after its mode changes waits for
/// a fresh read, since the switch may change what it offers, or take effect only at the next reset.
pub(crate) fn ready(steps: Vec<Step>) -> Vec<Step> {
    let switched: Vec<usize> =
        steps.iter().filter(|s| matches!(s, Step::Mode { .. })).map(Step::gpu).collect();
    let waits = |s: &Step| matches!(s, Step::Create { .. }) && switched.contains(&s.gpu());
    steps.into_iter().filter(|s| !waits(s)).collect()
}

/// Whether the GPU must be told: its mode differs, now or after the next reset.
fn needs_switch(mode: Mode, on: bool) -> bool {
    match mode {
        Mode::Unsupported => on,
        Mode::Known { current, pending } => current != on || pending != on,
    }
}

/// The step that gives a GPU this instance; `None` where it has it as it is wanted.
fn come_or_recut(gpu: usize, facts: &Gpu, wanted: &Divided) -> Option<Step> {
    let instance = wanted.clone();
    match facts.instances.iter().find(|i| i.placement == wanted.placement) {
        None => Some(Step::Create { gpu, instance }),
        Some(present) => (Divided::from(present) != *wanted).then_some(Step::Recut { gpu, instance }),
    }
}

/// Instances a step takes away or divides anew, for whoever asks whether they are in use.
pub(crate) fn disturbed<'a>(inventory: &'a Inventory, step: &Step) -> Option<(&'a Gpu, &'a Instance)> {
    if matches!(step, Step::Create { .. }) {
        return None;
    }
    let placement = step.placement()?;
    let gpu = &inventory.gpus[step.gpu()];
    gpu.instances.iter().find(|i| i.placement == placement).map(|i| (gpu, i))
}
