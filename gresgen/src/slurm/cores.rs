//! From CPU numbers of the kernel to core numbers of Slurm.
//!
//! `Cores=` in gres.conf counts cores as Slurm does: socket after socket, hardware threads not at all
//! (gres.conf(5): "Slurm's abstract index"). NVML's affinity counts CPUs as the kernel does, which on most
//! two-socket hosts alternates or appends the second threads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::read;

/// Which core of Slurm each CPU of the kernel belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology(BTreeMap<u32, u32>);

impl Topology {
    /// From `(CPU, socket, core within the socket)` in any order. As in hwloc, whose logical order Slurm takes,
    /// sockets and cores rank by their lowest CPU.
    pub fn new(cpus: impl IntoIterator<Item = (u32, u32, u32)>) -> Self {
        let mut sockets: BTreeMap<u32, BTreeMap<u32, BTreeSet<u32>>> = BTreeMap::new();
        for (cpu, socket, core) in cpus {
            sockets.entry(socket).or_default().entry(core).or_default().insert(cpu);
        }
        let mut sockets: Vec<Vec<BTreeSet<u32>>> =
            sockets.into_values().map(|cores| cores.into_values().collect()).collect();
        for cores in &mut sockets {
            cores.sort();
        }
        sockets.sort();
        let cores = sockets.into_iter().flatten().zip(0..);
        Topology(cores.flat_map(|(cpus, core)| cpus.into_iter().map(move |cpu| (cpu, core))).collect())
    }

    /// From `(CPU, Slurm's core)`.
    pub fn of_cores(pairs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Topology(pairs.into_iter().collect())
    }

    /// CPUs with their cores, by CPU.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.0.iter().map(|(cpu, core)| (*cpu, *core))
    }

    /// Reads `/sys/devices/system/cpu` at `sys_cpu`; empty when it cannot be read.
    pub fn read(sys_cpu: &Path) -> Self {
        let Ok(entries) = std::fs::read_dir(sys_cpu) else { return Topology::default() };
        let number = |path: std::path::PathBuf| read::kernel(path).ok()?.trim().parse::<u32>().ok();
        Topology::new(entries.flatten().filter_map(|entry| {
            let cpu = entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok()?;
            let topology = entry.path().join("topology");
            // core_id repeats across dies; the lowest thread sibling names the core on every kernel.
            let siblings = read::kernel(topology.join("thread_siblings_list")).ok()?;
            let core = siblings.trim().split([',', '-']).next()?.parse().ok()?;
            Some((cpu, number(topology.join("physical_package_id"))?, core))
        }))
    }

    /// Cores of these CPUs, ascending; `None` when one of them is unknown.
    pub fn cores(&self, cpus: &[u32]) -> Option<BTreeSet<u32>> {
        cpus.iter().map(|cpu| self.0.get(cpu).copied()).collect()
    }

    /// How many cores there are.
    pub fn count(&self) -> usize {
        self.0.values().collect::<BTreeSet<_>>().len()
    }
}

/// `0-15,32` from ascending numbers.
pub fn ranges(numbers: &BTreeSet<u32>) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &n in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => parts.push((n, n)),
        }
    }
    let text = |(a, b): (u32, u32)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    parts.into_iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_sockets_are_counted_as_slurm_does() {
        // Two sockets of two cores with two threads; the kernel alternates sockets and appends second threads.
        let host = (0..8).map(|cpu| (cpu, cpu % 2, (cpu / 2) % 2));
        let topology = Topology::new(host);
        assert_eq!(topology.count(), 4);
        assert_eq!(ranges(&topology.cores(&[0, 2, 4, 6]).unwrap()), "0-1");
        assert_eq!(ranges(&topology.cores(&[1, 3, 5, 7]).unwrap()), "2-3");
        assert_eq!(ranges(&topology.cores(&[1, 2]).unwrap()), "1-2");
        assert_eq!(topology.cores(&[0, 99]), None);
    }

    #[test]
    fn this_host_is_read() {
        let topology = Topology::read(Path::new("/sys/devices/system/cpu"));
        assert_eq!(topology.cores(&[0]), Some(BTreeSet::from([0])));
        assert_eq!(Topology::read(Path::new("/nonexistent")), Topology::default());
    }
}
