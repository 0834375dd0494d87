//! What a healthy, idle GPU says of its window to memory, its error counters, its link and its place.
//!
//! Figures without another source are those that five boards with MIG give in common (A100-SXM4-40GB, H100 80GB HBM3,
//! B200, GB200, GB300): NVIDIA/k8s-test-infra, tests/e2e/go/assertions/nvidiasmi/testdata/hardware.

use mig::boards::Architecture;
use nvml_wrapper_sys::bindings::*;

use super::handle::{Device, Target};
use super::pointer::Out;
use crate::code::{Answer, Code};
use crate::sheet;
use crate::store::Snapshot;

/// BAR1 of a GPU; of a MIG device its share by placement units, less 1 MiB: `nvidia-smi` shows 8191, 16383, 32767
/// and 65535 MiB for the 1g, 2g, 3g and 7g of an A100-SXM4-40GB (NVIDIA MIG User Guide, Getting Started with MIG).
pub(super) fn bar1(s: &Snapshot, device: Device, memory: &Out<nvmlBAR1Memory_t>) -> Answer {
    let mib = match device.target(&s.machine)? {
        Target::Gpu(gpu) => sheet::bar1(gpu.board),
        Target::Mig(device) => {
            let board = device.gpu.board;
            sheet::bar1(board) * u64::from(device.row().size) / u64::from(board.units) - 1
        }
    };
    let total = mib << 20;
    memory.set(nvmlBAR1Memory_t { bar1Total: total, bar1Free: total, bar1Used: 0 })
}

/// ECC is on, and stays on.
pub(super) fn ecc_mode(s: &Snapshot, device: Device, current: &Out<u32>, pending: &Out<u32>) -> Answer {
    device.gpu(&s.machine)?;
    current.set(nvmlEnableState_enum_NVML_FEATURE_ENABLED)?;
    pending.set(nvmlEnableState_enum_NVML_FEATURE_ENABLED)
}

pub(super) fn default_ecc_mode(s: &Snapshot, device: Device, mode: &Out<u32>) -> Answer {
    device.gpu(&s.machine)?;
    mode.set(nvmlEnableState_enum_NVML_FEATURE_ENABLED)
}

/// No error was ever counted. From Ampere on memory is told apart as DRAM and SRAM alone.
pub(super) fn errors(s: &Snapshot, device: Device, location: Option<u32>, count: &Out<u64>) -> Answer {
    const SRAM: u32 = nvmlMemoryLocation_enum_NVML_MEMORY_LOCATION_SRAM;
    const DRAM: u32 = nvmlMemoryLocation_enum_NVML_MEMORY_LOCATION_DRAM;
    device.target(&s.machine)?;
    match location {
        None | Some(SRAM | DRAM) => count.set(0),
        Some(nvmlMemoryLocation_enum_NVML_MEMORY_LOCATION_COUNT..) => Err(Code::INVALID_ARGUMENT),
        Some(_) => Err(Code::NOT_SUPPORTED),
    }
}

/// P0, as all five boards have it with nothing to do.
pub(super) fn performance_state(s: &Snapshot, device: Device, state: &Out<i32>) -> Answer {
    device.gpu(&s.machine)?;
    state.set(0)
}

/// PCI Express generation of the link: 4 on the A100, 5 on H100 and B200.
pub(super) fn link_generation(s: &Snapshot, device: Device, generation: &Out<u32>) -> Answer {
    generation.set(match device.gpu(&s.machine)?.board.architecture {
        Architecture::Ampere => 4,
        Architecture::Hopper | Architecture::Blackwell => 5,
    })
}

/// Lanes of the link.
pub(super) fn link_width(s: &Snapshot, device: Device, lanes: &Out<u32>) -> Answer {
    device.gpu(&s.machine)?;
    lanes.set(16)
}

/// All GPUs are below one host bridge, as the simulator's sysfs has them.
pub(super) fn common_ancestor(s: &Snapshot, devices: [Device; 2], level: &Out<u32>) -> Answer {
    let [one, other] = devices;
    let same = one.gpu(&s.machine)?.index == other.gpu(&s.machine)?.index;
    level.set(if same {
        nvmlGpuLevel_enum_NVML_TOPOLOGY_INTERNAL
    } else {
        nvmlGpuLevel_enum_NVML_TOPOLOGY_HOSTBRIDGE
    })
}

/// Each GPU has a board of its own.
pub(super) fn on_same_board(s: &Snapshot, devices: [Device; 2], same: &Out<i32>) -> Answer {
    let [one, other] = devices;
    same.set(i32::from(one.gpu(&s.machine)?.index == other.gpu(&s.machine)?.index))
}

/// Persistence mode is on, so switching it on is nothing to do. Off it cannot be: the state of the machine is on
/// disk, whether or not a client holds the GPU.
pub(super) fn set_persistence(s: &Snapshot, device: Device, mode: u32) -> Answer {
    const ENABLED: u32 = nvmlEnableState_enum_NVML_FEATURE_ENABLED;
    const DISABLED: u32 = nvmlEnableState_enum_NVML_FEATURE_DISABLED;
    device.gpu(&s.machine)?;
    match mode {
        ENABLED => Ok(()),
        DISABLED => Err(Code::NOT_SUPPORTED),
        _ => Err(Code::INVALID_ARGUMENT),
    }
}

/// A set of events that nothing is ever reported to: no simulated GPU reports events, so none can be registered, and
/// one set is as good as another.
pub(super) fn event_set(set: &Out<usize>) -> Answer {
    set.set(1)
}
