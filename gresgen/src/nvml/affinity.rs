//! The CPUs near a GPU.
//!
//! They stand in sysfs, where Slurm's gpu_nvidia.so takes them from, too. To be told by NVML takes a driver 9 ms on a
//! host of 16 CPUs (580.159.04, an H100) and more on larger ones, for it has hwloc discover the whole host first.

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use crate::read;
use crate::root::Root;

/// Words of the CPU mask asked for: 4096 CPUs.
const CPU_WORDS: usize = 64;
/// Most CPUs a Linux kernel is built for (x86, `CONFIG_NR_CPUS_RANGE_END`).
const MAX_CPUS: u32 = 8192;

/// The CPUs near the GPU at that PCI address, as Linux writes it, in the kernel's numbers; none where neither the
/// kernel nor the driver says.
pub(super) fn cpus(device: &Device<'_>, pci: &str, root: &Root) -> Result<Vec<u32>, NvmlError> {
    let local = read::kernel(root.path(Root::PCI_DEVICES).join(pci).join("local_cpulist"));
    match local.ok().and_then(|text| list(&text)) {
        Some(cpus) => Ok(cpus),
        None => told_by_driver(device),
    }
}

/// `0-15,32-47`
fn list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MAX_CPUS || cpus.len() >= MAX_CPUS as usize {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn told_by_driver(device: &Device<'_>) -> Result<Vec<u32>, NvmlError> {
    let words = super::identity::if_supported(device.cpu_affinity(CPU_WORDS))?.unwrap_or_default();
    let bits = words.iter().zip(0u32..).flat_map(|(&word, index)| {
        (0..u64::BITS).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * u64::BITS + bit)
    });
    Ok(bits.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(list("\n"), Some(vec![]), "a device near no CPU");
        for text in ["x", "1-", "-1", "0-4294967295", "8192"] {
            assert_eq!(list(text), None, "{text}");
        }
    }
}
