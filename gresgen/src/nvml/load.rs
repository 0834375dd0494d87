//! How much of each GPU and MIG device is used at this moment, for those who look. Nothing is decided by it.

use std::collections::BTreeMap;

use nvml_wrapper::Device;

use super::Driver;
use crate::inventory::Inventory;

/// What a GPU or MIG device is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Memory in use, without what the driver keeps for itself, in MiB (`nvmlDeviceGetMemoryInfo_v2`).
    pub used_mib: u64,
    /// Per cent of the last sample period in which a kernel ran. NVML tells it of GPUs without MIG alone (nvml.h,
    /// `nvmlDeviceGetUtilizationRates`: "On MIG-enabled GPUs, querying device utilization rates is not currently
    /// supported").
    pub busy_percent: Option<u32>,
}

impl Driver {
    /// The loads of an inventory's GPUs and MIG devices, by UUID. What the driver does not tell is left out.
    pub(crate) fn loads(&self, inventory: &Inventory) -> BTreeMap<String, Load> {
        let gpus = inventory.gpus.iter().map(|gpu| &gpu.uuid);
        let devices = inventory.devices().map(|(_, _, compute)| &compute.uuid);
        let load = |uuid: &String| Some((uuid.clone(), load(&self.device(uuid).ok()?)?));
        gpus.chain(devices).filter_map(load).collect()
    }
}

fn load(device: &Device<'_>) -> Option<Load> {
    let memory = device.memory_info().ok()?;
    let busy_percent = device.utilization_rates().ok().map(|rates| rates.gpu);
    Some(Load { used_mib: memory.used >> 20, busy_percent })
}
