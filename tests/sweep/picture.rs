//! The simulated machine as the test sees it: read from the simulator's state, not through gresgen.

use std::collections::BTreeMap;

use nvml_sim::machine::{Gpu, Machine, compute_name};

use crate::corpus::{Cut, Entry, Scenario};

/// What the GPUs hold. Equal pictures are the same layout, whoever made it and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture(Vec<GpuPicture>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct GpuPicture {
    mig: bool,
    pending: bool,
    slices: Vec<SlicePicture>,
}

/// Profile, place, compute instances.
type SlicePicture = (&'static str, u32, Vec<String>);

/// An instance in use, as it must stay: not even another of the same kind may take its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    gpu: usize,
    instance: u64,
    compute: Vec<u64>,
}

/// Names of the compute instances a GPU instance or a GPU holds, with their counts.
type Counts = BTreeMap<String, usize>;

impl Picture {
    pub(crate) fn of(machine: &Machine) -> Picture {
        let slice = |gpu: &Gpu, i: &nvml_sim::machine::GpuInstance| {
            let mut compute: Vec<String> =
                i.compute.iter().map(|c| compute_name(gpu.row(i), c.profile)).collect();
            compute.sort();
            (gpu.row(i).name, i.start, compute)
        };
        let gpu = |gpu: &Gpu| {
            let mut slices: Vec<SlicePicture> = gpu.instances.iter().map(|i| slice(gpu, i)).collect();
            slices.sort();
            GpuPicture { mig: gpu.current, pending: gpu.pending, slices }
        };
        Picture(machine.gpus.iter().map(gpu).collect())
    }

    /// GPU instances that nothing can run on.
    pub(crate) fn orphans(&self) -> usize {
        self.0.iter().flat_map(|gpu| &gpu.slices).filter(|(.., compute)| compute.is_empty()).count()
    }

    /// What differs from the layout a scenario asks for; GPUs that wait for a reset are judged by that.
    pub(crate) fn lacks(&self, scenario: &Scenario) -> Option<String> {
        scenario.after.iter().find_map(|entry| self.lacks_entry(entry))
    }

    fn lacks_entry(&self, entry: &Entry) -> Option<String> {
        let mut groups: Vec<Vec<usize>> = entry.gpus.iter().map(|&gpu| vec![gpu]).collect();
        let counts = match entry.cut {
            Cut::Off => {
                return entry.gpus.iter().find(|&&g| self.0[g].mig).map(|g| format!("GPU {g} has MIG on"));
            }
            Cut::Each(counts) => counts,
            Cut::Together(counts) => {
                groups = vec![entry.gpus.to_vec()];
                counts
            }
        };
        let wanted: Counts = counts.iter().map(|(name, a)| ((*name).to_owned(), a.count())).collect();
        let waits = |gpu: &usize| self.0[*gpu].pending && !self.0[*gpu].mig;
        let groups = groups.into_iter().filter(|group| !group.iter().all(waits));
        groups.map(|group| (self.counts(&group), group)).find(|(has, _)| *has != wanted).map(
            |(has, group)| {
                format!("GPU {group:?} holds {has:?} with {} orphans, not {wanted:?}", self.orphans())
            },
        )
    }

    /// Whether each GPU holds as many of each profile, wherever they stand.
    pub(crate) fn same_counts(&self, other: &Picture) -> bool {
        (0..self.0.len()).all(|gpu| self.counts(&[gpu]) == other.counts(&[gpu]))
    }

    fn counts(&self, gpus: &[usize]) -> Counts {
        let mut counts = Counts::new();
        for (name, .., compute) in gpus.iter().flat_map(|&gpu| &self.0[gpu].slices) {
            for compute in compute {
                *counts.entry(compute.clone()).or_default() += 1;
            }
            if compute.is_empty() {
                *counts.entry(format!("orphan {name}")).or_default() += 1;
            }
        }
        counts
    }
}

impl Busy {
    /// The instance of a GPU that begins at a placement unit, with the UUID of its first compute instance.
    pub(crate) fn find(machine: &Machine, gpu: usize, start: u32) -> (Busy, String) {
        let facts = &machine.gpus[gpu];
        let device =
            facts.mig_devices().find(|d| d.instance.start == start).expect("a busy instance is there");
        let compute = device.instance.compute.iter().map(|c| c.birth).collect();
        (Busy { gpu, instance: device.instance.birth, compute }, device.uuid())
    }

    /// Whether it is still the same one, with its compute instances.
    pub(crate) fn is_untouched(&self, machine: &Machine) -> bool {
        let same = |i: &nvml_sim::machine::GpuInstance| {
            i.birth == self.instance && i.compute.iter().map(|c| c.birth).collect::<Vec<_>>() == self.compute
        };
        machine.gpus[self.gpu].instances.iter().any(same)
    }
}

/// UUIDs Slurm shall know: MIG devices, and GPUs outside MIG.
pub(crate) fn devices(machine: &Machine) -> Vec<String> {
    let of = |gpu: &Gpu| {
        if gpu.current { gpu.mig_devices().map(|d| d.uuid()).collect() } else { vec![gpu.uuid()] }
    };
    let mut devices: Vec<String> = machine.gpus.iter().flat_map(of).collect();
    devices.sort();
    devices
}
