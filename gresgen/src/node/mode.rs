//! MIG modes that were accepted without taking effect, and the reset that makes them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use super::error::ApplyError;
use crate::command::{Stopped, bounded};
use crate::inventory::{Gpu, Inventory};
use crate::nvml::{Code, DriverError};

/// MIG modes that NVML accepted without activating them, by GPU: on or off, and why not yet.
pub(crate) type InactiveModes = BTreeMap<String, (bool, Code)>;

/// GPUs whose mode waits, with the driver's reason where it gave one just now.
pub(crate) fn pending(inventory: &Inventory, inactive: &InactiveModes) -> Vec<(String, Code)> {
    let reason = |gpu: &Gpu| inactive.get(&gpu.uuid).map_or(Code::RESET_REQUIRED, |(_, code)| *code);
    let waiting = inventory.gpus.iter().filter(|gpu| gpu.mode.is_pending());
    waiting.map(|gpu| (gpu.uuid.clone(), reason(gpu))).collect()
}

/// A mode that was not activated and does not wait either: from Hopper on there is nothing to wait for, somebody
/// holds the GPU.
pub(crate) fn check_active(inventory: &Inventory, inactive: &InactiveModes) -> Result<(), DriverError> {
    let holds = |gpu: &&Gpu| {
        let refusal = inactive.get(&gpu.uuid);
        refusal.is_some_and(|(on, _)| gpu.mode.is_on() != *on) && !gpu.mode.is_pending()
    };
    inventory.gpus.iter().find(holds).map_or(Ok(()), |gpu| {
        let (object, code) = (gpu.uuid.clone(), inactive[&gpu.uuid].1);
        Err(DriverError::Call { object, call: "nvmlDeviceSetMigMode", code })
    })
}

/// How long a reset may take. A GPU is back within seconds; nobody says how long one may take, and one that is cut short
/// is worse than one that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// Most bytes that are read of what it says.
const OUTPUT: u64 = 1 << 20;

/// Resets one GPU. NVML has no call for it.
///
/// # Errors
/// [`ApplyError::Reset`].
pub(crate) fn reset(uuid: &str) -> Result<(), ApplyError> {
    reset_by(Command::new("nvidia-smi"), uuid, PATIENCE)
}

fn reset_by(mut command: Command, uuid: &str, patience: Duration) -> Result<(), ApplyError> {
    let failed = |reason: String| ApplyError::Reset { gpu: uuid.to_owned(), reason };
    command.args(["--gpu-reset", "-i", uuid]);
    let seconds = patience.as_secs();
    let answer = bounded(command, Vec::new(), patience, OUTPUT).map_err(|stopped| {
        failed(match stopped {
            Stopped::Io(error) => error.to_string(),
            Stopped::Long => format!("printed more than {OUTPUT} bytes and was killed; whether the GPU was reset is not known"),
            Stopped::Late { ended: true } => {
                format!("did not end in {seconds} s and was killed; whether the GPU was reset is not known")
            }
            Stopped::Late { ended: false } => format!(
                "did not end in {seconds} s and cannot be killed, because it waits in the driver; the node has to be rebooted"
            ),
        })
    })?;
    if answer.success {
        return Ok(());
    }
    let said = if answer.stderr.is_empty() { answer.stdout } else { answer.stderr };
    Err(failed(String::from_utf8_lossy(&said).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_has_an_end() {
        let reset = |script: &str, patience: Duration| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "nvidia-smi"]);
            reset_by(command, "GPU-1", patience).map_err(|error| error.to_string())
        };
        const LONG: Duration = Duration::from_secs(60);
        assert_eq!(reset("test \"$*\" = '--gpu-reset -i GPU-1'", LONG), Ok(()));
        let due = "GPU-1: nvidia-smi --gpu-reset: In use";
        assert_eq!(reset("echo All done.; echo In use >&2; exit 19", LONG), Err(due.to_owned()));
        assert_eq!(reset("echo In use; exit 19", LONG), Err(due.to_owned()));
        let late = reset("sleep 600", Duration::from_millis(50)).unwrap_err();
        assert!(late.ends_with("was killed; whether the GPU was reset is not known"), "{late}");
        assert!(reset("yes", LONG).unwrap_err().contains("printed more than 1048576 bytes"));
    }
}
