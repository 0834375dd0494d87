//! The table of internal functions that nvidia-smi asks for, without which it says "Mismatch in versions between
//! nvidia-smi and NVML" and ends.
//!
//! It is not documented, and the position of a function in it is its name. NVIDIA has published some in
//! NVIDIA/k8s-test-infra, pkg/gpu/mocknvml/bridge/internal.go (commit 3b2b865), found out there with nvidia-smi
//! 580.65.06. Others, said to be so below, were found by what 450 and 550 print for each answer. The tests run 470 and
//! 550 on it.

use std::ffi::{c_uint, c_void};

use nvml_wrapper_sys::bindings::nvmlReturn_t;
use uuid::{Uuid, uuid};

use super::device;
use super::gate::{Call, always, enter, read};
use super::handle::Device;
use super::pointer::{In, Out, Text};
use super::{reset, structs};
use crate::clients::Activity;
use crate::code::Code;
use crate::machine::MigDevice;
use crate::store::Snapshot;

/// Name of the only table that is known.
const TABLE: Uuid = uuid!("6c3efec4-8fc9-4e6c-a327-ee696e12f7c4");

/// Pointers in the table, that of its size among them.
const LENGTH: usize = 256;

/// Positions of what is known.
mod at {
    /// Not published: parts of a PCI address that was typed.
    pub(super) const PARSE_ADDRESS: usize = 12;
    /// Not published, as the others of a reset: [`super::reset`] says what they do.
    pub(super) const IS_PRIMARY: usize = 20;
    pub(super) const RESET: usize = 168;
    pub(super) const FABRIC: usize = 169;
    pub(super) const RESET_GROUP: [usize; 3] = [182, 183, 184];
    /// Not published: the kind of path between two GPUs, given by their PCI addresses.
    pub(super) const PATH_BETWEEN: usize = 23;
    pub(super) const LOG: usize = 26;
    /// Not published: parts of the PCI address of the GPU of an index, to compare with those that were typed.
    pub(super) const ADDRESS_BY_INDEX: usize = 75;
    pub(super) const HANDLE_BY_INDEX: usize = 81;
    /// Processes that compute, that compute under MPS, and that draw: so 535 and 550 mark them, with C, M+C and G.
    /// Earlier releases ask the public functions.
    pub(super) const PROCESSES: [usize; 3] = [213, 214, 215];
}

type Part = Out<c_uint>;

/// A function of the table. Each takes what it takes; a caller in C passes and removes the arguments.
#[derive(Clone, Copy)]
#[repr(C)]
union Entry {
    size: usize,
    absent: extern "C" fn() -> nvmlReturn_t,
    parse: extern "C" fn(Text, Part, Part, Part, Part) -> nvmlReturn_t,
    address: extern "C" fn(c_uint, Part, Part, Part) -> nvmlReturn_t,
    question: extern "C" fn(Device, Part) -> nvmlReturn_t,
    fabric: extern "C" fn(Part) -> nvmlReturn_t,
    group: extern "C" fn(Out<*mut c_void>) -> nvmlReturn_t,
    reset: extern "C" fn(c_uint, Out<Device>) -> nvmlReturn_t,
    handle: extern "C" fn(c_uint, Out<Device>, c_uint) -> nvmlReturn_t,
    path: extern "C" fn(In<c_void>, In<c_void>, Out<c_uint>) -> nvmlReturn_t,
    processes: extern "C" fn(Device, Out<c_uint>, Out<ProcessEntry>) -> nvmlReturn_t,
}

#[repr(transparent)]
struct Table([Entry; LENGTH]);

static ENTRIES: Table = Table(entries());

const fn entries() -> [Entry; LENGTH] {
    let mut entries = [Entry { absent }; LENGTH];
    entries[0] = Entry { size: size_of::<Table>() };
    entries[at::PARSE_ADDRESS] = Entry { parse: parse_address };
    entries[at::ADDRESS_BY_INDEX] = Entry { address: address_by_index };
    entries[at::IS_PRIMARY] = Entry { question: reset::is_primary };
    entries[at::FABRIC] = Entry { fabric: reset::fabric };
    entries[at::RESET_GROUP[0]] = Entry { group: reset::group };
    entries[at::RESET_GROUP[1]] = Entry { group: reset::group };
    entries[at::RESET_GROUP[2]] = Entry { group: reset::group };
    entries[at::RESET] = Entry { reset: reset::reset };
    entries[at::PATH_BETWEEN] = Entry { path: path_between };
    entries[at::LOG] = Entry { absent: log };
    entries[at::HANDLE_BY_INDEX] = Entry { handle: handle_by_index };
    entries[at::PROCESSES[0]] = Entry { processes: computing };
    entries[at::PROCESSES[1]] = Entry { processes: sharing };
    entries[at::PROCESSES[2]] = Entry { processes: drawing };
    entries
}

/// A process in the table's lists: that of the public lists, then the name, which nvidia-smi does not ask for
/// otherwise; without it the process is not shown.
#[repr(C)]
struct ProcessEntry {
    pid: c_uint,
    used_memory: u64,
    instance: c_uint,
    compute: c_uint,
    protected_memory: u64,
    name: [u8; 4096],
}

/// The distance of two entries, as published.
const _: () = assert!(size_of::<ProcessEntry>() == 4128);

impl ProcessEntry {
    fn new(pid: u32, device: Option<&MigDevice<'_>>) -> ProcessEntry {
        let public = structs::process(pid, device);
        let mut entry = ProcessEntry {
            pid,
            used_memory: public.usedGpuMemory,
            instance: public.gpuInstanceId,
            compute: public.computeInstanceId,
            protected_memory: 0,
            name: [0; 4096],
        };
        let name = device::process_path(pid).unwrap_or_default();
        let kept = name.len().min(entry.name.len() - 1);
        entry.name[..kept].copy_from_slice(&name.as_bytes()[..kept]);
        entry
    }
}

/// `nvmlInternalGetExportTable`: the table of that name.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub(super) extern "C" fn nvmlInternalGetExportTable(
    table: Out<*const c_void>,
    name: In<[u8; 16]>,
) -> nvmlReturn_t {
    enter(
        NAME,
        always(|| match Uuid::from_bytes_le(name.get()?) {
            TABLE => table.set((&raw const ENTRIES).cast()),
            _ => Err(Code::NOT_SUPPORTED),
        }),
    )
}

/// The function that gives the table.
pub(super) const NAME: &str = "nvmlInternalGetExportTable";

/// Most entries: a function that the simulator does not have. SUCCESS would be taken for an answer.
extern "C" fn absent() -> nvmlReturn_t {
    Code::NOT_SUPPORTED.number()
}

extern "C" fn parse_address(
    typed: Text,
    domain: Part,
    bus: Part,
    device: Part,
    function: Part,
) -> nvmlReturn_t {
    let parse = |_: &Snapshot| {
        let parts = address(typed.get()?).ok_or(Code::INVALID_ARGUMENT)?;
        [domain, bus, device, function].iter().zip(parts).try_for_each(|(part, value)| part.set(value))
    };
    enter("nvmlDeviceGetHandleByPciBusId_v2", read(parse))
}

/// `[domain:]bus:device.function`, each in hexadecimal digits.
fn address(typed: &str) -> Option<[u32; 4]> {
    let hex = |part: &str| u32::from_str_radix(part, 16).ok();
    let (place, function) = typed.rsplit_once('.')?;
    let mut parts = place.rsplit(':');
    let (device, bus, domain) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    match parts.next() {
        None => Some([hex(domain)?, hex(bus)?, hex(device)?, hex(function)?]),
        Some(_) => None,
    }
}

extern "C" fn address_by_index(index: c_uint, domain: Part, bus: Part, device: Part) -> nvmlReturn_t {
    let write = |s: &Snapshot| {
        let pci = structs::pci_info(s.machine.gpus.get(index as usize).ok_or(Code::INVALID_ARGUMENT)?);
        domain.set(pci.domain)?;
        bus.set(pci.bus)?;
        device.set(pci.device)
    };
    enter("nvmlDeviceGetPciInfo_v3", read(write))
}

extern "C" fn path_between(_one: In<c_void>, _other: In<c_void>, path: Out<c_uint>) -> nvmlReturn_t {
    /// Across one host bridge, as `nvmlDeviceGetTopologyCommonAncestor` says. From 0 up nvidia-smi prints PIX, PXB, PHB, NODE,
    /// SYS, NV1 (seen with 450 and 550).
    const PHB: c_uint = 2;
    enter("nvmlDeviceGetTopologyCommonAncestor", read(|_| path.set(PHB)))
}

/// Takes a line for a log that nobody keeps.
extern "C" fn log() -> nvmlReturn_t {
    0
}

extern "C" fn handle_by_index(index: c_uint, device: Out<Device>, _always_0x22: c_uint) -> nvmlReturn_t {
    enter("nvmlDeviceGetHandleByIndex_v2", read(|s| device::by_index(s, index, &device)))
}

extern "C" fn computing(device: Device, count: Part, list: Out<ProcessEntry>) -> nvmlReturn_t {
    enter("nvmlDeviceGetComputeRunningProcesses_v3", processes(device, Activity::Compute, count, list))
}

extern "C" fn drawing(device: Device, count: Part, list: Out<ProcessEntry>) -> nvmlReturn_t {
    enter("nvmlDeviceGetGraphicsRunningProcesses_v3", processes(device, Activity::Graphics, count, list))
}

extern "C" fn sharing(device: Device, count: Part, list: Out<ProcessEntry>) -> nvmlReturn_t {
    enter("nvmlDeviceGetMPSComputeRunningProcesses_v3", processes(device, Activity::Mps, count, list))
}

fn processes(device: Device, activity: Activity, count: Part, list: Out<ProcessEntry>) -> impl Call {
    read(move |s| device::processes(s, device, activity, &count, &list, ProcessEntry::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_its_domain() {
        for (typed, parts) in [
            ("00000000:0A:00.0", Some([0, 10, 0, 0])),
            ("0000:0a:00.0", Some([0, 10, 0, 0])),
            ("3:1f.7", Some([0, 3, 31, 7])),
            ("1:3:0.0", Some([1, 3, 0, 0])),
            ("3:0", None),
            ("0:1:3:0.0", None),
            ("x:0.0", None),
            ("", None),
        ] {
            assert_eq!(address(typed), parts, "{typed}");
        }
    }
}
