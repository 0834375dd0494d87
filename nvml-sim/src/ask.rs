//! Read-only questions to an NVML, the driver's or the simulator, and the comparison of two answers.
//!
//! Each answer is a line, so that a run on a board can be kept as a file, compared with the simulator of
//! that board and read by people: `nvml-ask` prints them. What tells one specimen from another (UUID, serial
//! number) is not printed. Nothing is changed.

mod compare;
mod instances;
mod profiles;

use std::fmt;

pub use compare::{MAY_DIFFER, differences};

use crate::client::{Client, DeviceHandle, text};
use crate::code::Answer;

/// `NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED`
const RESETLESS: u32 = nvml_wrapper_sys::bindings::field_id::NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED;

/// The answers, in the order they were given: `key = value` each.
#[derive(Default)]
pub struct Answers(Vec<(String, String)>);

impl Answers {
    fn say(&mut self, key: impl Into<String>, value: impl fmt::Display) {
        self.0.push((key.into(), value.to_string()));
    }

    /// An answer that may be a refusal, by the name of its code.
    fn told<T>(&mut self, key: impl Into<String>, answer: Answer<T>, value: impl FnOnce(T) -> String) {
        match answer {
            Ok(answer) => self.say(key, value(answer)),
            Err(code) => self.say(key, code),
        }
    }

    fn number<T: fmt::Display>(&mut self, key: impl Into<String>, answer: Answer<T>) {
        self.told(key, answer, |number| number.to_string());
    }

    /// The outcome alone.
    fn outcome<T>(&mut self, key: impl Into<String>, answer: Answer<T>) {
        self.told(key, answer, |_| OK.to_owned());
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(key, value)| writeln!(f, "{key} = {value}"))
    }
}

/// What stands for success.
const OK: &str = "OK";

/// Asks one GPU of a library everything.
///
/// # Errors
/// NVML's code, when the library has no such GPU.
pub fn ask(client: &Client, index: u32) -> Answer<Answers> {
    let gpu = client.by_index(index)?;
    let mut answers = Answers::default();
    system(client, &mut answers);
    board(client, gpu, &mut answers);
    handles(client, gpu, &mut answers);
    buffers(client, gpu, &mut answers);
    profiles::ask(client, gpu, &mut answers);
    processes(client, gpu, &mut answers);
    let exported = client.exports(c"nvmlInternalGetExportTable");
    answers.say("nvmlInternalGetExportTable", if exported { "exported" } else { "missing" });
    instances::ask(client, gpu, &mut answers);
    Ok(answers)
}

fn system(client: &Client, answers: &mut Answers) {
    answers.number("driver", client.driver_version());
    answers.number("nvml", client.nvml_version());
    answers.number("cuda", client.cuda_version());
    answers.number("count", client.count());
}

fn board(client: &Client, gpu: DeviceHandle, answers: &mut Answers) {
    let pair = |pair: [String; 2]| pair.join(" ");
    answers.number("Name", client.name(gpu, NAME));
    answers.told("UUID", client.uuid(gpu, NAME), |uuid| anonymous_uuid(&uuid));
    answers.number("Index", client.index(gpu));
    answers.number("MinorNumber", client.minor(gpu));
    answers.number("Architecture", client.architecture(gpu));
    answers.told("MigMode", client.mig_mode(gpu), |modes| pair(modes.map(|m| m.to_string())));
    answers.number("MaxMigDeviceCount", client.max_mig_devices(gpu));
    answers.number("BoardId", client.board_id(gpu));
    answers.number("MultiGpuBoard", client.multi_gpu_board(gpu));
    answers.number("PersistenceMode", client.persistence_mode(gpu));
    answers.number("ComputeMode", client.compute_mode(gpu));
    answers.told("Serial", client.serial(gpu, NAME), |serial| anonymous_serial(&serial));
    answers.told("CudaComputeCapability", client.capability(gpu), |c| pair(c.map(|n| n.to_string())));
    answers.number("NumGpuCores", client.cores(gpu));
    answers.number("MemoryBusWidth", client.bus_width(gpu));
    answers.number("Brand", client.brand(gpu));
    answers.number("DisplayActive", client.display_active(gpu));
    answers.number("VirtualizationMode", client.virtualization_mode(gpu));
    answers.number("GpuInstanceId", client.gpu_instance_id(gpu));
    answers.number("ComputeInstanceId", client.compute_instance_id(gpu));
    answers.number("AccountingMode", client.accounting_mode(gpu));
    answers.told("pci address", client.pci(gpu), |pci| text(&pci.busId));
    answers.told("pci ids", client.pci(gpu), |pci| {
        format!("device {:#010x} subsystem {:#010x}", pci.pciDeviceId, pci.pciSubSystemId)
    });
    answers.told("memory", client.memory(gpu), |memory| format!("total={}", memory.total));
    answers.told("memory v2", client.memory_v2(gpu), |memory| {
        format!("total={} reserved={}", memory.total, memory.reserved)
    });
    answers.told("cpus near", client.cpus(gpu), |cpus| cpus.to_string());
    answers.number("field 184, resetless MIG", client.field(gpu, RESETLESS));
}

/// Room for a name or a UUID, in bytes (nvml.h: `NVML_DEVICE_NAME_V2_BUFFER_SIZE`).
const NAME: u32 = 96;

fn handles(client: &Client, gpu: DeviceHandle, answers: &mut Answers) {
    answers.outcome("attributes of the GPU", client.attributes(gpu));
    answers.number("is a MIG device", client.is_mig(gpu));
    answers.outcome("parent of the GPU", client.parent(gpu));
    if client.max_mig_devices(gpu) == Ok(0) {
        // What these say with MIG on depends on the instances that are there.
        for index in [0, 7] {
            answers.outcome(format!("MIG device {index}"), client.mig_device(gpu, index));
        }
        answers.outcome("GPU instance by id 1", client.gpu_instance_by_id(gpu, 1));
    }
    let none = "00000000-0000-0000-0000-000000000000";
    answers.outcome("device by unknown GPU UUID", client.by_uuid(&format!("GPU-{none}")));
    answers.outcome("device by unknown MIG UUID", client.by_uuid("MIG-00000000-0000-5000-8000-000000000000"));
    answers.outcome("GPU past the last", client.count().and_then(|count| client.by_index(count)));
    answers.outcome("GPU at an unknown address", client.by_pci("0000:FF:1F.0"));
}

fn buffers(client: &Client, gpu: DeviceHandle, answers: &mut Answers) {
    const SHORT: u32 = 8;
    answers.outcome("UUID into 8 bytes", client.uuid(gpu, SHORT));
    answers.outcome("Name into 8 bytes", client.name(gpu, SHORT));
    answers.outcome("MigMode into null", client.mig_mode_into_nothing(gpu));
}

fn processes(client: &Client, gpu: DeviceHandle, answers: &mut Answers) {
    let count = |pids: Vec<u32>| pids.len().to_string();
    answers.told("processes that compute", client.computing(gpu), count);
    answers.told("processes that draw", client.drawing(gpu), count);
    answers.told("processes under MPS", client.computing_under_mps(gpu), count);
}

/// A UUID without what is its own; one of another form stays as it is, to be seen.
fn anonymous_uuid(uuid: &str) -> String {
    let anonymous = |prefix: &str| {
        let own = uuid.strip_prefix(prefix)?;
        uuid::Uuid::try_parse(own).ok().filter(|parsed| parsed.to_string() == own)?;
        Some(format!("{prefix}<uuid>"))
    };
    anonymous("GPU-").or_else(|| anonymous("MIG-")).unwrap_or_else(|| uuid.to_owned())
}

fn anonymous_serial(serial: &str) -> String {
    let digits = !serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_digit());
    if digits { "<serial>".to_owned() } else { serial.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_specimens_own_is_left_out() {
        assert_eq!(anonymous_uuid("GPU-8c4c05eb-0aef-5b4c-92cc-b6f1e5ddf9a1"), "GPU-<uuid>");
        assert_eq!(anonymous_uuid("MIG-8c4c05eb-0aef-5b4c-92cc-b6f1e5ddf9a1"), "MIG-<uuid>");
        for odd in ["GPU-8C4C05EB-0AEF-5B4C-92CC-B6F1E5DDF9A1", "GPU-1", "8c4c05eb", ""] {
            assert_eq!(anonymous_uuid(odd), odd);
        }
        assert_eq!(anonymous_serial("1650000000001"), "<serial>");
        assert_eq!(anonymous_serial("N/A"), "N/A");
    }
}
