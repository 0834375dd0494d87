//! Which instances Slurm gives to nobody when a change is done, though they are there.

use super::{DesiredState, name};
use crate::inventory::{Gpu, Instance, Inventory};
use crate::order::Change;

impl DesiredState<'_> {
    /// Says of a node after the change which instances are closed; before, it says those that were.
    pub(crate) fn gate(self, after: &mut Inventory) {
        let gate = |gpu: &mut Gpu, closed: &dyn Fn(&Instance) -> bool| {
            for instance in &mut gpu.instances {
                instance.closed = closed(instance);
            }
        };
        for gpu in &mut after.gpus {
            match self {
                // An admin who asks for a layout by name has all of it.
                DesiredState::Layout(..) | DesiredState::Open(_) => gate(gpu, &|_| false),
                DesiredState::Ordered(_, cut) => {
                    if let Some(change) = cut.gpus.iter().find(|change| change.is_of(gpu)) {
                        gate(gpu, &|instance| is_closed(change, instance));
                    }
                }
                DesiredState::Before(before) => {
                    if let Some(before) = before.iter().find(|before| before.gpu == gpu.uuid) {
                        gate(gpu, &|instance| before.closed.contains(&instance.placement));
                    }
                }
                DesiredState::InForce(..) | DesiredState::Clear(_) | DesiredState::Mode(..) => {}
            }
        }
    }
}

/// What comes is open, whoever had closed what was there before, where the order does not close it.
fn is_closed(change: &Change, instance: &Instance) -> bool {
    let is_in = |list: &[mig::Placement]| list.contains(&instance.placement);
    is_in(&change.close) || instance.closed && !is_in(&change.create) && !is_in(&change.open)
}

/// What becomes closed or open of a node, in words: `close GPU 0 3g.20gb at 4`. Not what goes.
pub(crate) fn words(before: &Inventory, after: &Inventory) -> Vec<String> {
    let mut words = Vec::new();
    for gpu in &after.gpus {
        let was = before.gpus.iter().find(|before| before.uuid == gpu.uuid);
        let mut instances: Vec<&Instance> = gpu.instances.iter().collect();
        instances.sort_by_key(|instance| instance.placement.start);
        for instance in instances {
            let mut all = was.into_iter().flat_map(|gpu| &gpu.instances);
            let was = all.find(|was| was.placement == instance.placement).is_some_and(|was| was.closed);
            if was != instance.closed {
                let verb = if instance.closed { "close" } else { "open" };
                words.push(format!("{verb} {}", name(gpu, instance.placement)));
            }
        }
    }
    words
}
