//! Library, GPUs and MIG devices: who they are and what they report.

use std::ffi::{c_char, c_int, c_ulong};

use mig::boards::Architecture;
use nvml_wrapper_sys::bindings::field_id::{
    NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE, NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED,
};
use nvml_wrapper_sys::bindings::*;

use super::handle::{Device, Target};
use super::pointer::{Out, Text};
use super::structs;
use crate::clients::Activity;
use crate::code::{Answer, Code};
use crate::hardware;
use crate::host::{self, Cpus};
use crate::machine::{DRIVER_VERSION, Gpu, MigDevice};
use crate::sheet;
use crate::store::Snapshot;

/// CUDA 13.0, as the driver of [`DRIVER_VERSION`] gives it.
pub(super) const CUDA_VERSION: c_int = 13000;

/// NVML's version: the API's major number before that of the driver.
pub(super) fn nvml_version() -> String {
    format!("13.{DRIVER_VERSION}")
}

/// Name of a process, cropped to the buffer as nvml.h says.
pub(super) fn process_name(pid: u32, name: &Out<c_char>, length: u32) -> Answer {
    let path = process_path(pid).ok_or(Code::NOT_FOUND)?;
    let room = (length as usize).saturating_sub(1);
    let end = (0..=room.min(path.len())).rev().find(|&at| path.is_char_boundary(at)).unwrap_or(0);
    name.set_text(length, &path[..end])
}

/// The first argument of a process, or, where it has none, what the kernel calls it.
pub(super) fn process_path(pid: u32) -> Option<String> {
    let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).ok();
    let first = read("cmdline")?.split(|&byte| byte == 0).next().map(<[u8]>::to_vec);
    let text = first.filter(|first| !first.is_empty()).or_else(|| read("comm"))?;
    Some(String::from_utf8_lossy(&text).trim_end().to_owned())
}

pub(super) fn by_index(s: &Snapshot, index: u32, device: &Out<Device>) -> Answer {
    device.set(Device::of_gpu(s.machine.gpus.get(index as usize).ok_or(Code::INVALID_ARGUMENT)?))
}

pub(super) fn by_uuid(s: &Snapshot, uuid: &str, device: &Out<Device>) -> Answer {
    let gpu = s.machine.gpus.iter().find(|g| g.uuid() == uuid).map(Device::of_gpu);
    let found = gpu.or_else(|| s.machine.mig_by_uuid(uuid).map(|d| Device::of_mig(&d)));
    device.set(found.ok_or(Code::NOT_FOUND)?)
}

pub(super) fn by_pci(s: &Snapshot, bus: &Text, device: &Out<Device>) -> Answer {
    device.set(Device::of_gpu(s.machine.by_pci(bus.get()?).ok_or(Code::NOT_FOUND)?))
}

pub(super) fn by_serial(s: &Snapshot, wanted: &Text, device: &Out<Device>) -> Answer {
    let wanted = wanted.get()?;
    let found = s.machine.gpus.iter().find(|g| serial(g) == wanted);
    device.set(Device::of_gpu(found.ok_or(Code::NOT_FOUND)?))
}

/// Serial number of the board, invented.
pub(super) fn serial(gpu: &Gpu) -> String {
    format!("{:013}", gpu.pdi % 10_u64.pow(13))
}

pub(super) fn index(s: &Snapshot, device: Device) -> Answer<u32> {
    match device.target(&s.machine)? {
        Target::Gpu(gpu) => Ok(gpu.index),
        Target::Mig(wanted) => {
            let at =
                |&index: &u32| wanted.gpu.mig_device_at(index).is_some_and(|d| d.uuid() == wanted.uuid());
            (0..wanted.gpu.max_mig_devices()).find(at).ok_or(Code::NOT_FOUND)
        }
    }
}

pub(super) fn name(s: &Snapshot, device: Device) -> Answer<String> {
    Ok(match device.target(&s.machine)? {
        Target::Gpu(gpu) => gpu.name().to_owned(),
        Target::Mig(device) => device.name(),
    })
}

pub(super) fn uuid(s: &Snapshot, device: Device) -> Answer<String> {
    Ok(match device.target(&s.machine)? {
        Target::Gpu(gpu) => gpu.uuid(),
        Target::Mig(device) => device.uuid(),
    })
}

pub(super) fn architecture(gpu: &Gpu) -> u32 {
    match gpu.board.architecture {
        Architecture::Ampere => NVML_DEVICE_ARCH_AMPERE,
        Architecture::Hopper => NVML_DEVICE_ARCH_HOPPER,
        Architecture::Blackwell => NVML_DEVICE_ARCH_BLACKWELL,
    }
}

pub(super) fn capability(s: &Snapshot, device: Device, major: &Out<c_int>, minor: &Out<c_int>) -> Answer {
    let (high, low) = hardware::capability(device.target(&s.machine)?.physical().board);
    major.set(high.into())?;
    minor.set(low.into())
}

pub(super) fn pdi(s: &Snapshot, device: Device, pdi: &Out<nvmlPdi_t>) -> Answer {
    structs::fill::<u64, nvmlPdi_t>(pdi, &device.gpu(&s.machine)?.pdi)
}

pub(super) fn pci_info(s: &Snapshot, device: Device, pci: &Out<nvmlPciInfo_t>) -> Answer {
    pci.set(structs::pci_info(device.target(&s.machine)?.physical()))
}

pub(super) fn pci_info_ext(s: &Snapshot, device: Device, pci: &Out<nvmlPciInfoExt_t>) -> Answer {
    structs::fill::<Gpu, nvmlPciInfoExt_t>(pci, device.target(&s.machine)?.physical())
}

/// What a MIG device has reserved has not been seen: nothing here.
pub(super) fn memory(s: &Snapshot, device: Device) -> Answer<structs::Memory> {
    let (mib, reserved) = match device.target(&s.machine)? {
        Target::Gpu(gpu) => (sheet::total_memory(gpu.board), hardware::reserved_memory(gpu.board)),
        Target::Mig(device) => (device.memory(), 0),
    };
    Ok(structs::Memory { total: mib << 20, reserved })
}

/// CUDA cores outside MIG.
pub(super) fn cores(s: &Snapshot, device: Device, cores: &Out<u32>) -> Answer {
    let board = device.gpu(&s.machine)?.board;
    cores.set(sheet::total_sms(board) * hardware::cores_per_multiprocessor(board))
}

/// Width of the memory bus, in bits.
pub(super) fn bus_width(s: &Snapshot, device: Device, width: &Out<u32>) -> Answer {
    let gpu = device.gpu(&s.machine)?;
    width.set(hardware::bus_width(gpu.board).ok_or(Code::NOT_SUPPORTED)?)
}

/// A switch that is off on every data centre board: accounting, a display, a second GPU on the board.
pub(super) fn off(s: &Snapshot, device: Device, state: &Out<u32>) -> Answer {
    device.gpu(&s.machine)?;
    state.set(0)
}

pub(super) fn cpu_affinity(s: &Snapshot, device: Device, size: u32, set: &Out<c_ulong>) -> Answer {
    device.target(&s.machine)?;
    if size == 0 {
        return Err(Code::INVALID_ARGUMENT);
    }
    let cpus = Cpus::online();
    set.fill((0..size).map(|at| cpus.word(at, c_ulong::BITS)))
}

/// A GPU in a virtual machine is one that was passed through to it: so say boards in one, and so does the
/// simulator on such a host.
pub(super) fn virtualization(gpu: &Gpu) -> u32 {
    if gpu.traits.vgpu {
        nvmlGpuVirtualizationMode_NVML_GPU_VIRTUALIZATION_MODE_VGPU
    } else if gpu.traits.passthrough || host::is_virtual() {
        nvmlGpuVirtualizationMode_NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH
    } else {
        nvmlGpuVirtualizationMode_NVML_GPU_VIRTUALIZATION_MODE_NONE
    }
}

/// The two MIG fields; any other is not supported, which each value says for itself.
pub(super) fn field_values(
    s: &Snapshot,
    device: Device,
    count: c_int,
    values: &Out<nvmlFieldValue_t>,
) -> Answer {
    let gpu = device.target(&s.machine)?.physical();
    for at in 0..usize::try_from(count).map_err(|_| Code::INVALID_ARGUMENT)? {
        let mut value = values.get_at(at)?;
        let flag = match value.fieldId {
            NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED => Ok(gpu.resetless()),
            NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE => Ok(gpu.answers_with_mig_off()),
            _ => Err(Code::NOT_SUPPORTED),
        };
        value.valueType = nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
        value.value = nvmlValue_t { ullVal: u64::from(flag == Ok(true)) };
        value.nvmlReturn = flag.map_or_else(Code::number, |_| 0);
        values.set_at(at, value)?;
    }
    Ok(())
}

/// Clocks, links and sensors: no simulated GPU has them.
pub(super) fn not_offered(s: &Snapshot, device: Device) -> Answer {
    device.target(&s.machine).and(Err(Code::NOT_SUPPORTED))
}

/// Processes that do something on a device; on a GPU those on its MIG devices too.
pub(super) fn processes<T>(
    s: &Snapshot,
    device: Device,
    activity: Activity,
    count: &Out<u32>,
    list: &Out<T>,
    entry: fn(u32, Option<&MigDevice<'_>>) -> T,
) -> Answer {
    let room = count.get()?;
    let on_mig = |d: &MigDevice<'_>| {
        s.clients.on(&d.uuid(), activity).map(|pid| entry(pid, Some(d))).collect::<Vec<_>>()
    };
    let found: Vec<T> = match device.target(&s.machine)? {
        Target::Mig(device) => on_mig(&device),
        Target::Gpu(gpu) => {
            let own = s.clients.on(&gpu.uuid(), activity).map(|pid| entry(pid, None)).collect::<Vec<_>>();
            own.into_iter().chain(gpu.mig_devices().flat_map(|d| on_mig(&d))).collect()
        }
    };
    count.set(found.len() as u32)?;
    if found.len() > room as usize {
        return Err(Code::INSUFFICIENT_SIZE);
    }
    if found.is_empty() { Ok(()) } else { list.fill(found) }
}
