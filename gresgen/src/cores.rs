//! From CPU numbers of the kernel to core numbers of Slurm.
//!
//! `Cores=` in gres.conf counts cores as Slurm does: socket after socket, hardware threads not at all
//! (gres.conf(5): "Slurm's abstract index"). NVML's affinity counts CPUs as the kernel does, which on most
//! two-socket hosts alternates or appends the second threads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::read;

/// CPUs are numbered below this: Linux has at most 8192 (NR_CPUS), Slurm counts them in 16 bits
/// (Slurm src/common/slurm_protocol_defs.h, `cpus`).
pub const MAX_CPUS: u32 = 1 << 16;

/// Which core of Slurm each CPU of the kernel belongs to. As JSON: the CPUs of each core, in Slurm's order of cores,
/// as `0,64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "Vec<String>", try_from = "Vec<String>")]
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

impl From<Topology> for Vec<String> {
    fn from(Topology(cpus): Topology) -> Self {
        let mut cores: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for (cpu, core) in cpus {
            cores.entry(core).or_default().insert(cpu);
        }
        cores.values().map(ranges).collect()
    }
}

/// Every CPU once, and below [`MAX_CPUS`]: a range is a few bytes here and would be gigabytes in memory.
impl TryFrom<Vec<String>> for Topology {
    type Error = String;

    fn try_from(cores: Vec<String>) -> Result<Self, String> {
        let mut by_cpu = BTreeMap::new();
        for (core, cpus) in (0..).zip(&cores) {
            for range in cpus.split(',') {
                let (low, high) = range.split_once('-').unwrap_or((range, range));
                let Some((low, high)) = low.parse::<u32>().ok().zip(high.parse::<u32>().ok()) else {
                    let start: String = cpus.chars().take(MAX_SHOWN).collect();
                    return Err(format!("cores: {start:?} is no list of CPUs such as 0,64"));
                };
                if high >= MAX_CPUS || high < low {
                    return Err(format!("cores: {range}: CPUs are ranges upwards below {MAX_CPUS}"));
                }
                for cpu in low..=high {
                    if by_cpu.insert(cpu, core).is_some() {
                        return Err(format!("cores: CPU {cpu} stands twice"));
                    }
                }
            }
        }
        Ok(Topology(by_cpu))
    }
}

/// Most characters of a list that somebody else sent, in a message.
const MAX_SHOWN: usize = 256;

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

    #[test]
    fn cpus_are_counted_before_they_are_kept() {
        let read =
            |cores: &[&str]| Topology::try_from(cores.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["0,64", "1,65-67"]).unwrap().count(), 2);
        for (cores, what) in [
            (&["0-4294967295"][..], "cores: 0-4294967295: CPUs are ranges upwards below 65536"),
            (&["3-1"], "cores: 3-1: CPUs are ranges upwards below 65536"),
            (&["0-4", "4"], "cores: CPU 4 stands twice"),
            (&["0,0"], "cores: CPU 0 stands twice"),
            (&["x"], "cores: \"x\" is no list of CPUs such as 0,64"),
        ] {
            assert_eq!(read(cores).unwrap_err(), what);
        }
    }
}
