//! MIG modes that were accepted without taking effect, and the reset that makes them.

use std::collections::BTreeMap;
use std::process::Command;

use super::ApplyError;
use crate::inventory::{Gpu, Inventory};
use crate::nvml::{Code, DriverError};

/// MIG modes that NVML accepted without activating them, by GPU.
pub(crate) type Refusals = BTreeMap<String, Refusal>;

/// A mode that was not activated, and why.
pub(crate) struct Refusal {
    pub(crate) on: bool,
    pub(crate) code: Code,
}

/// GPUs whose mode waits, with the driver's reason where it gave one just now.
pub(crate) fn pending(inventory: &Inventory, refusals: &Refusals) -> Vec<(String, Code)> {
    let reason = |gpu: &Gpu| refusals.get(&gpu.uuid).map_or(Code::RESET_REQUIRED, |refusal| refusal.code);
    let waiting = inventory.gpus.iter().filter(|gpu| gpu.mode.is_pending());
    waiting.map(|gpu| (gpu.uuid.clone(), reason(gpu))).collect()
}

/// A mode that was not activated and does not wait either: from Hopper on there is nothing to wait for, somebody
/// holds the GPU.
pub(crate) fn refused(inventory: &Inventory, refusals: &Refusals) -> Result<(), DriverError> {
    let holds = |gpu: &&Gpu| {
        let refusal = refusals.get(&gpu.uuid);
        refusal.is_some_and(|refusal| gpu.mode.is_on() != refusal.on) && !gpu.mode.is_pending()
    };
    inventory.gpus.iter().find(holds).map_or(Ok(()), |gpu| {
        let (object, code) = (gpu.uuid.clone(), refusals[&gpu.uuid].code);
        Err(DriverError::Call { object, call: "nvmlDeviceSetMigMode", code })
    })
}

/// Resets one GPU. NVML has no call for it.
pub(crate) fn reset(uuid: &str) -> Result<(), ApplyError> {
    let failed = |reason: String| ApplyError::Reset { gpu: uuid.to_owned(), reason };
    let output = Command::new("nvidia-smi").args(["--gpu-reset", "-i", uuid]).output();
    let output = output.map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = if output.stderr.is_empty() { output.stdout } else { output.stderr };
    Err(failed(String::from_utf8_lossy(&said).trim().to_owned()))
}
