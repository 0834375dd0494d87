//! What the simulator takes from the host it runs on.

use std::fs;
use std::ops::RangeInclusive;

/// CPUs of the host that can run something: every simulated GPU is near all of them.
///
/// They stand in a file of the kernel, in the list format of cpuset(7), from which NVML's mask and the
/// `local_cpulist` of sysfs are both made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpus(Vec<RangeInclusive<u32>>);

impl Cpus {
    /// Those of this host; just CPU 0 where the kernel does not say.
    pub(crate) fn online() -> Cpus {
        let list = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        Cpus::parse(&list).unwrap_or(Cpus(vec![0..=0]))
    }

    /// Reads a list such as `0-3,8`. None for one that is empty or none.
    fn parse(list: &str) -> Option<Cpus> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        };
        list.trim().split(',').map(range).collect::<Option<_>>().map(Cpus)
    }

    /// The list as the kernel writes it.
    pub(crate) fn list(&self) -> String {
        let range = |r: &RangeInclusive<u32>| match (r.start(), r.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        self.0.iter().map(range).collect::<Vec<_>>().join(",")
    }

    /// The CPUs in a mask of words of `bits` bits, as the word at a position has them.
    pub(crate) fn word(&self, at: u32, bits: u32) -> u64 {
        let first = at * bits;
        let has = |bit: u32| self.0.iter().any(|r| r.contains(&(first + bit)));
        (0..bits).filter(|&bit| has(bit)).fold(0, |word, bit| word | 1 << bit)
    }

    /// The mask as sysfs writes it: words of 32 bits, the highest first (Linux, `Documentation/core-api/printk-formats`,
    /// `%*pb`).
    pub(crate) fn mask(&self) -> String {
        let last = self.0.iter().map(|r| *r.end()).max().unwrap_or(0);
        let words = (0..=last / u32::BITS).rev();
        words.map(|at| format!("{:08x}", self.word(at, u32::BITS))).collect::<Vec<_>>().join(",")
    }
}

/// Whether this host is a virtual machine: the processor says so with a flag that hypervisors set (x86 alone has it).
pub(crate) fn is_virtual() -> bool {
    fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| has_hypervisor(&text))
}

fn has_hypervisor(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().filter_map(|line| line.strip_prefix("flags")?.split_once(':'));
    flags.map(|(_, flags)| flags).any(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_mask_and_words_name_the_same_cpus() {
        let cpus = Cpus::parse("0-1,34,64-65\n").unwrap();
        assert_eq!(cpus.list(), "0-1,34,64-65");
        assert_eq!(cpus.mask(), "00000003,00000004,00000003");
        assert_eq!([0, 1, 2].map(|at| cpus.word(at, 64)), [0x4_0000_0003, 3, 0]);
    }

    #[test]
    fn what_is_no_list_is_none() {
        for text in ["", "\n", "0-", "a", "0,,1", "0 1"] {
            assert_eq!(Cpus::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_virtual_machine_is_known_by_its_processors() {
        assert!(has_hypervisor("processor\t: 0\nflags\t\t: fpu sse2 hypervisor lahf_lm\n"));
        assert!(!has_hypervisor("processor\t: 0\nmodel name\t: hypervisor\nflags\t\t: fpu hypervisors\n"));
    }

    #[test]
    fn this_host_has_a_cpu() {
        assert!((0..16).any(|at| Cpus::online().word(at, 64) != 0));
    }
}
