//! What a node is beside its GPUs: as slurmd finds it, and as slurmctld has it.

use super::settings::Attributes;

/// CPUs and memory of a node as a line of slurm.conf, `scontrol show node` or `slurmd -C` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    pub cpus: Option<u64>,
    /// In MiB, as RealMemory has it.
    pub memory: Option<u64>,
}

impl Hardware {
    /// Reads `CPUs=` (`CPUTot=` in `scontrol show node`) and `RealMemory=`, each where it stands first: what users may
    /// write into a node's record, its comment, comes after them.
    pub fn read(line: &str) -> Self {
        let number = |keys: &[&str]| {
            let mut words = line.split_whitespace().filter_map(|word| word.split_once('='));
            words.find(|(key, _)| keys.contains(key))?.1.parse().ok()
        };
        Hardware { cpus: number(&["CPUTot", "CPUs"]), memory: number(&["RealMemory"]) }
    }

    /// What a node's line says.
    pub fn of(attributes: &Attributes) -> Self {
        Hardware { cpus: attributes.number("CPUs"), memory: attributes.number("RealMemory") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_and_memory_are_read_where_they_stand() {
        // slurmd -C and scontrol -o show node of 22.05.8.
        let host = "CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=1 ThreadsPerCore=2 RealMemory=24152";
        let controller = "NodeName=n1 Arch=x86_64 CoresPerSocket=1 CPUAlloc=0 CPUEfctv=1 CPUTot=1 CPULoad=0.21 \
                          RealMemory=1 AllocMem=0 Comment=RealMemory=9 ";
        assert_eq!(Hardware::read(host), Hardware { cpus: Some(2), memory: Some(24152) });
        assert_eq!(Hardware::read(controller), Hardware { cpus: Some(1), memory: Some(1) });
        assert_eq!(Hardware::read(""), Hardware::default());
    }
}
