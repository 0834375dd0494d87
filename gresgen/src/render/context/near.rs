//! Which cores a device is near.

use std::collections::{BTreeSet, HashMap};

use super::DeviceContext;
use crate::cores::ranges;
use crate::inventory::{Gpu, Inventory};
use crate::slurm::settings::Attributes;
use crate::slurm::{Release, Settings};

/// The cores of a node as its line has slurmctld count them.
#[derive(Clone, Copy)]
pub(super) struct Sockets {
    pub(super) all: u32,
    per_socket: u32,
}

impl Sockets {
    /// `None` for a line that says nothing of CPUs.
    pub(super) fn of(said: &Attributes) -> Option<Self> {
        let all = said.cores().and_then(|cores| u32::try_from(cores).ok())?;
        Some(Sockets { all, per_socket: said.cores_per_socket() })
    }

    /// The socket that has these cores, or where several have them, all there are.
    fn whole(self, cores: &BTreeSet<u32>) -> BTreeSet<u32> {
        let of = |core: &u32| core / self.per_socket;
        let ends = cores.first().map(of).zip(cores.last().map(of));
        let socket = ends.filter(|(first, last)| first == last).map(|(socket, _)| socket);
        // A core beyond what the line says is none to slurmctld.
        let range = socket.map(|socket| socket * self.per_socket..(socket + 1) * self.per_socket);
        range.filter(|range| range.end <= self.all).unwrap_or(0..self.all).collect()
    }
}

/// Cores on all devices or none: with some missing, Slurm reports an error and gives those all cores. Where every
/// GPU is near every core there is nothing to say.
pub(super) fn add_cores(
    devices: &mut [DeviceContext],
    sockets: Option<Sockets>,
    settings: &Settings,
    release: Release,
    inventory: &Inventory,
) {
    if !settings.cores.unwrap_or(true) {
        return;
    }
    // A GPU is near a part of a socket where the board divides it into NUMA nodes (NPS4 of AMD's EPYC).
    let sockets = sockets.filter(|_| !release.binds_parts_of_sockets());
    let near = |gpu: &Gpu| {
        let cores = inventory.topology.cores(&gpu.cpus).filter(|cores| !cores.is_empty())?;
        Some((gpu.index, sockets.map_or(cores.clone(), |sockets| sockets.whole(&cores))))
    };
    let Some(near) = inventory.gpus.iter().map(near).collect::<Option<HashMap<u32, _>>>() else { return };
    let all = sockets.map_or(inventory.topology.count(), |sockets| sockets.all as usize);
    if near.values().all(|cores| cores.len() == all) {
        return;
    }
    for device in devices {
        device.cores = ranges(&near[&device.gpu]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_a_socket_or_everything() {
        let sockets = Sockets { all: 32, per_socket: 16 };
        let whole = |cores: &[u32]| ranges(&sockets.whole(&cores.iter().copied().collect()));
        for (cores, near) in [
            (&[0, 1, 2, 3][..], "0-15"),
            (&[16, 31], "16-31"),
            (&[3, 17], "0-31"),
            (&[40], "0-31"),
            (&[], "0-31"),
        ] {
            assert_eq!(whole(cores), near, "{cores:?}");
        }
        // CPUs=64 alone: every core is a socket of its own to slurmctld.
        let said = |rest: &str| {
            Sockets::of(&Attributes { rest: rest.to_owned(), gres: String::new() })
                .map(|sockets| (sockets.all, sockets.per_socket))
        };
        assert_eq!(said("CPUs=64"), Some((64, 1)));
        assert_eq!(said("CPUs=128 Sockets=8 CoresPerSocket=8 ThreadsPerCore=2"), Some((64, 8)));
        assert_eq!(said("RealMemory=5"), None);
    }
}
