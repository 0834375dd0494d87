//! From what is to what shall be, as single steps: pure, so that `plan` shows exactly what `apply` does.

use mig::Profile;

use super::name;
use super::target::{Slice, Target};
use crate::inventory::{Gpu, Inventory, Mode};

/// One change of the hardware. `gpu` is a position in [`Inventory::gpus`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Switch MIG mode.
    Mode {
        /// Which GPU.
        gpu: usize,
        /// To on or off.
        on: bool,
    },
    /// Destroy a GPU instance and its compute instances.
    Destroy {
        /// Which GPU.
        gpu: usize,
        /// What goes.
        slice: Slice,
    },
    /// Create a GPU instance and its compute instances.
    Create {
        /// Which GPU.
        gpu: usize,
        /// What comes.
        slice: Slice,
    },
    /// Divide a GPU instance that stays into other compute instances.
    Recut {
        /// Which GPU.
        gpu: usize,
        /// The new division.
        slice: Slice,
    },
}

impl Step {
    /// The GPU it changes.
    pub fn gpu(&self) -> usize {
        match self {
            Step::Mode { gpu, .. }
            | Step::Destroy { gpu, .. }
            | Step::Create { gpu, .. }
            | Step::Recut { gpu, .. } => *gpu,
        }
    }
}

impl Step {
    /// The step for a person: `create GPU 0 1g.5gb at 2`.
    pub fn words(&self, inventory: &Inventory) -> String {
        let gpu = &inventory.gpus[self.gpu()];
        match self {
            Step::Mode { on, .. } => format!("GPU {} MIG mode {}", gpu.index, if *on { "on" } else { "off" }),
            Step::Destroy { slice, .. } => format!("destroy {}", name(gpu, slice)),
            Step::Create { slice, .. } => format!("create {}", name(gpu, slice)),
            Step::Recut { slice, .. } => format!("divide {}", name(gpu, slice)),
        }
    }
}

impl Step {
    /// The slice it is about; a mode change has none.
    pub fn slice(&self) -> Option<&Slice> {
        match self {
            Step::Mode { .. } => None,
            Step::Destroy { slice, .. } | Step::Create { slice, .. } | Step::Recut { slice, .. } => {
                Some(slice)
            }
        }
    }
}

/// The steps that lead from `inventory` to `targets` (one per GPU). All destroys come before all creates, which
/// is always a legal order because instances never move. A GPU whose mode changes is emptied, switched and
/// filled; see [`ready`].
pub fn steps(inventory: &Inventory, targets: &[Target]) -> Vec<Step> {
    let mut destroys = Vec::new();
    let mut modes = Vec::new();
    let mut creates = Vec::new();
    for (gpu, (facts, target)) in inventory.gpus.iter().zip(targets).enumerate() {
        match target.mode {
            Some(on) if needs_switch(facts.mode, on) => {
                destroys.extend(facts.instances.iter().map(|i| Step::Destroy { gpu, slice: Slice::of(i) }));
                modes.push(Step::Mode { gpu, on });
                let wanted = target.slices.iter().flatten();
                creates.extend(wanted.map(|slice| Step::Create { gpu, slice: slice.clone() }));
            }
            _ => {
                let Some(wanted) = &target.slices else { continue };
                let present: Vec<Slice> = facts.instances.iter().map(Slice::of).collect();
                change(gpu, &present, wanted, &mut destroys, &mut creates);
            }
        }
    }
    destroys.into_iter().chain(modes).chain(creates).collect()
}

/// The steps that can be carried out on the present facts. What a GPU shall hold after its mode changes waits for
/// a fresh read, since the switch may change what it offers, or take effect only at the next reset.
pub fn ready(steps: Vec<Step>) -> Vec<Step> {
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

fn change(
    gpu: usize,
    present: &[Slice],
    wanted: &[Slice],
    destroys: &mut Vec<Step>,
    creates: &mut Vec<Step>,
) {
    let division = |list: &[Slice], slice: &Slice| -> Option<Vec<Profile>> {
        list.iter().find(|s| s.placed == slice.placed).map(|s| s.compute.clone())
    };
    for slice in present {
        if division(wanted, slice).is_none() {
            destroys.push(Step::Destroy { gpu, slice: slice.clone() });
        }
    }
    for slice in wanted {
        match division(present, slice) {
            None => creates.push(Step::Create { gpu, slice: slice.clone() }),
            Some(compute) if compute != slice.compute => {
                creates.push(Step::Recut { gpu, slice: slice.clone() })
            }
            Some(_) => {}
        }
    }
}

/// Instances a step takes away or divides anew, for whoever asks whether they are in use.
pub fn disturbed<'a>(
    inventory: &'a Inventory,
    step: &Step,
) -> Option<(&'a Gpu, &'a crate::inventory::Instance)> {
    let (Step::Destroy { gpu, slice } | Step::Recut { gpu, slice }) = step else { return None };
    let facts = &inventory.gpus[*gpu];
    facts.instances.iter().find(|i| i.placed == slice.placed).map(|i| (facts, i))
}
