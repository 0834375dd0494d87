//! The table of internal functions that nvidia-smi asks for, without which it says "Mismatch in versions between
//! nvidia-smi and NVML" and ends.
//!
//! It is not documented. What is known of it NVIDIA has published in NVIDIA/k8s-test-infra,
//! pkg/gpu/mocknvml/bridge/internal.go (commit 3b2b865), found out there with nvidia-smi 580.65.06; the tests run
//! 450 to 550 on it. The position of a function in the table is its name.

use std::ffi::{c_uint, c_void};

use nvml_wrapper_sys::bindings::nvmlReturn_t;
use uuid::{Uuid, uuid};

use super::device;
use super::gate::{always, enter, read};
use super::handle::Device;
use super::pointer::{In, Out};
use super::structs;
use crate::code::Code;
use crate::machine::MigDevice;

/// Name of the only table that is known.
const TABLE: Uuid = uuid!("6c3efec4-8fc9-4e6c-a327-ee696e12f7c4");

/// Pointers in the table, that of its size among them.
const LENGTH: usize = 256;

/// Positions of what is known.
mod at {
    /// Not published: what `nvidia-smi topo -m` calls for each pair of GPUs, with two PCI addresses and a place for
    /// the kind of path between them. Without an answer it ends.
    pub(super) const PATH_BETWEEN: usize = 23;
    pub(super) const LOG: usize = 26;
    pub(super) const HANDLE_BY_INDEX: usize = 81;
    /// Processes that compute, that draw, and that compute under MPS.
    pub(super) const PROCESSES: [usize; 3] = [213, 214, 215];
}

/// A function of the table. Each takes what it takes; a caller in C passes and removes the arguments.
#[derive(Clone, Copy)]
#[repr(C)]
union Entry {
    size: usize,
    absent: extern "C" fn() -> nvmlReturn_t,
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
    entries[at::PATH_BETWEEN] = Entry { path: path_between };
    entries[at::LOG] = Entry { absent: log };
    entries[at::HANDLE_BY_INDEX] = Entry { handle: handle_by_index };
    entries[at::PROCESSES[0]] = Entry { processes: computing };
    entries[at::PROCESSES[1]] = Entry { processes: nobody };
    entries[at::PROCESSES[2]] = Entry { processes: nobody };
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

extern "C" fn computing(device: Device, count: Out<c_uint>, list: Out<ProcessEntry>) -> nvmlReturn_t {
    let call = read(|s| device::processes(s, device, &count, &list, ProcessEntry::new));
    enter("nvmlDeviceGetComputeRunningProcesses_v3", call)
}

extern "C" fn nobody(device: Device, count: Out<c_uint>, _list: Out<ProcessEntry>) -> nvmlReturn_t {
    enter("nvmlDeviceGetGraphicsRunningProcesses_v3", read(|s| device::no_processes(s, device, &count)))
}
