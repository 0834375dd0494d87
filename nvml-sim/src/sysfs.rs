//! What sysfs and `/proc/modules` say of the GPUs, as far as tools read it: the PCI attributes of
//! Documentation/ABI/testing/sysfs-bus-pci in Linux, one directory per GPU.
//!
//! Readers seen: mig-parted (by go-nvlib's nvpci: `vendor`, `device`, `class`, `resource`, `numa_node`), Slurm's
//! gpu_nvidia.c (`drivers/nvidia/<address>/local_cpulist`), hwloc (`class`, `local_cpus` and the ids).

use crate::host::Cpus;
use crate::machine::{Gpu, Machine};
use crate::node::Node;
use crate::sheet;

/// Where the directory of a GPU is; the bus and the driver have links to it, as the kernel makes them.
const DEVICES: &str = "sys/devices/pci0000:00";

/// Class of a GPU without a display: "3D controller" (PCI Code and ID Assignment Specification).
pub(crate) const CLASS: u32 = 0x03_02_00;

/// Revision of the chip, as `lspci` shows it for every GPU with MIG.
const REVISION: u8 = 0xa1;

/// Every file, by its path under the root.
pub(crate) fn files(machine: &Machine) -> Vec<(String, Node)> {
    let cpus = Cpus::online();
    let mut files = vec![("proc/modules".to_owned(), text(MODULES.to_owned()))];
    for gpu in &machine.gpus {
        let bdf = gpu.bdf();
        let mut put = |path: String, node: Node| files.push((path, node));
        for (name, content) in attributes(gpu, &cpus) {
            put(format!("{DEVICES}/{bdf}/{name}"), text(format!("{content}\n")));
        }
        let link = |target: &str| Node::Link(target.to_owned());
        put(format!("{DEVICES}/{bdf}/driver"), link("../../../bus/pci/drivers/nvidia"));
        put(format!("sys/bus/pci/devices/{bdf}"), link(&format!("../../../devices/pci0000:00/{bdf}")));
        put(
            format!("sys/bus/pci/drivers/nvidia/{bdf}"),
            link(&format!("../../../../devices/pci0000:00/{bdf}")),
        );
    }
    files
}

fn text(content: String) -> Node {
    Node::Text(0o444, content)
}

fn attributes(gpu: &Gpu, cpus: &Cpus) -> [(&'static str, String); 11] {
    // NVML gives both ids of a pair in one number, the vendor's in the low half.
    let low = |pair: u32| format!("{:#06x}", pair & 0xffff);
    let high = |pair: u32| format!("{:#06x}", pair >> 16);
    let (id, subsystem) = (gpu.pci_device_id(), gpu.pci_subsystem_id());
    [
        ("vendor", low(id)),
        ("device", high(id)),
        ("subsystem_vendor", low(subsystem)),
        ("subsystem_device", high(subsystem)),
        ("class", format!("{CLASS:#08x}")),
        ("revision", format!("{REVISION:#04x}")),
        // The kernel's word for "no node said", which goes with CPUs of all nodes.
        ("numa_node", "-1".to_owned()),
        ("local_cpulist", cpus.list()),
        ("local_cpus", cpus.mask()),
        ("enable", "1".to_owned()),
        ("resource", resource(gpu)),
    ]
}

/// Base addresses: start, end and flags of each region, six of them and those of ROM and bridge, of which these
/// GPUs use three: registers, the window to memory (BAR1) and one more.
fn resource(gpu: &Gpu) -> String {
    const REGIONS: usize = 13;
    const MIB: u64 = 1 << 20;
    /// Memory, of 64 bits, and for all but the registers prefetchable (Linux, include/linux/ioport.h).
    const REGISTERS: u64 = 0x40200;
    const WINDOW: u64 = 0x14220c;
    /// Each GPU has an address space of its own, as wide as the largest window takes.
    const PER_GPU: u64 = 1 << 40;
    let base = PER_GPU * (1 + u64::from(gpu.index));
    let region = |start: u64, mib: u64, flags: u64| (start, start + mib * MIB - 1, flags);
    let mut regions = [(0, 0, 0); REGIONS];
    let window = sheet::bar1(gpu.board);
    regions[0] = region(0x1000_0000 + u64::from(gpu.index) * (16 * MIB), 16, REGISTERS);
    regions[1] = region(base, window, WINDOW);
    regions[3] = region(base + PER_GPU / 2, 32, WINDOW);
    let line = |&(start, end, flags): &(u64, u64, u64)| format!("{start:#018x} {end:#018x} {flags:#018x}");
    regions.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The driver's modules (proc(5): name, size, uses, users, state, address).
const MODULES: &str = "\
nvidia_uvm 2179072 0 - Live 0x0000000000000000 (OE)
nvidia 14381056 1 nvidia_uvm, Live 0x0000000000000000 (OE)
";
