//! What a node will look like after a change, as far as that is known beforehand: places, profiles and counts.
//!
//! Instances that stay are themselves. Those to come have no ids, UUIDs or device nodes yet and are given
//! invented ones, so that Slurm's table can be made of the forecast and its indexes compared.

use device_map::DeviceFile;

use super::steps::Step;
use super::target::Divided;
use crate::inventory::{Compute, Gpu, Instance, Inventory, Mode};

/// Begins every invented name.
pub(crate) const PLANNED: &str = "planned-";

/// The node after `steps`.
pub(crate) fn forecast(inventory: &Inventory, steps: &[Step]) -> Inventory {
    let mut after = inventory.clone();
    for step in steps {
        let gpu = &mut after.gpus[step.gpu()];
        match step {
            Step::Mode { on, .. } => gpu.mode = Mode::Known { current: *on, pending: *on },
            Step::Destroy { placement, .. } => gpu.instances.retain(|i| i.placement != *placement),
            Step::Create { instance, .. } | Step::Recut { instance, .. } => {
                let planned = planned(gpu, instance);
                gpu.instances.retain(|i| i.placement != instance.placement);
                gpu.instances.push(planned);
            }
        }
    }
    after
}

fn planned(gpu: &Gpu, Divided { placement, compute }: &Divided) -> Instance {
    let mut start = 0;
    let compute = compute.iter().zip(0..).map(|(profile, ci)| {
        // Of the instances of a GPU no two start at one place.
        let name = format!("{PLANNED}{}-{}-{ci}", gpu.uuid, placement.start);
        // As many as a MIG device has: the GPU's own, and the capabilities of the instances.
        let own = |what: &str| DeviceFile { path: format!("/{name}-{what}").into(), major: 0, minor: 0 };
        let files = vec![gpu.file.clone(), own("gi"), own("ci")];
        // A form that the map takes, since it is rendered and read back like a real one.
        let uuid = format!("MIG-{name}");
        let compute = Compute { ci, profile: *profile, start, uuid, files };
        start += u32::from(profile.compute_slices());
        compute
    });
    let compute = compute.collect();
    // No GPU instance of this number exists: the driver's ids are below 15 (nv-caps.c).
    let gi = u32::MAX - u32::from(placement.start);
    Instance { gi, placement: *placement, compute, holders: Vec::new(), closed: false }
}
