//! The processes that NVML lists on a GPU: what they do, and on which of its instances.

use super::answer::{Fault, contradiction};
use super::code::Code;
use super::process_list::{Activity, Process, ProcessWords};
use super::raw::Handle;
use super::{DriverError, failed};

/// Processes asked for at first.
const FEW: usize = 64;
/// More than this are not believed: the kernel's default of pid_max.
const MANY: usize = 1 << 15;
/// The processes on a GPU, each once however much it does there; those on its MIG devices are among them (nvml.h: "in
/// MIG mode, if device handle is provided, the API returns aggregate information").
///
/// # Errors
/// Those of the calls, but for those that this driver does not offer on this GPU. Whoever has not the right to see
/// others' processes sees none: it is the right to change GPUs, too.
pub(super) fn processes(gpu: Handle<'_>, object: &str) -> Result<Vec<Process>, DriverError> {
    let mut all = Vec::new();
    for activity in Activity::ALL {
        let found = match list(gpu, activity) {
            Err(Fault::Code(Code::NO_PERMISSION | Code::NOT_SUPPORTED | Code::FUNCTION_NOT_FOUND)) => {
                continue;
            }
            found => found.map_err(failed(object, activity.call()))?,
        };
        for process in found {
            if !all.contains(&process) {
                all.push(process);
            }
        }
    }
    Ok(all)
}

fn list(gpu: Handle<'_>, activity: Activity) -> Result<Vec<Process>, Fault> {
    let mut room = FEW;
    loop {
        let mut words = ProcessWords::new(room);
        let mut count = 0;
        let listed = gpu.list_processes(activity, &mut words, &mut count);
        let count = count as usize;
        match listed {
            Ok(ids) => return words.read(count, ids),
            // Room for those that start before the next try.
            Err(Fault::Code(Code::INSUFFICIENT_SIZE)) if count > room && count <= MANY => {
                room = count + count / 2;
            }
            Err(Fault::Code(Code::INSUFFICIENT_SIZE)) if count > MANY => {
                return Err(contradiction(format!("{count} processes")));
            }
            Err(fault) => return Err(fault),
        }
    }
}
