//! Inventories from a few lines of YAML.

use std::path::Path;

use device_map::DeviceFile;
use gresgen::cores::Topology;
use gresgen::inventory::{CapabilityNumbers, Compute, Gpu, Instance, Inventory, Mode};
use gresgen::root::Root;
use gresgen::slurm::release::CgroupKey;
use gresgen::slurm::{GresTable, PreviousOrder, Release, Settings};
use mig::{Board, Geometry, Placement, Profile};
use serde::Deserialize;

/// One file of the corpus.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Slurm release.
    #[serde(default = "release")]
    pub(crate) release: Release,
    /// The `slurm:` section.
    #[serde(default)]
    pub(crate) slurm: Settings,
    /// Nodes.
    pub(crate) nodes: Vec<Node>,
}

fn release() -> Release {
    "22.05.8".parse().unwrap()
}

/// Nodes that differ by their names alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    /// Host list.
    names: String,
    /// Sockets, cores per socket and threads per core; none leaves the topology unread.
    cpus: Option<[u32; 3]>,
    gpus: Vec<GpuLine>,
}

/// A GPU.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GpuLine {
    board: String,
    /// Product name; the board's first when absent.
    model: Option<String>,
    /// Device minor; the index when absent.
    minor: Option<u32>,
    /// Whether the driver numbers places from the other end.
    #[serde(default)]
    mirrored: bool,
    /// CPUs near it.
    #[serde(default)]
    near: Vec<u32>,
    /// `profile@start`, and `1c.3g.20gb@4+1` for a compute instance from slice 1 of its GPU instance; `null`
    /// turns MIG off.
    slices: Option<Vec<String>>,
}

impl Case {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        Self::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, serde_saphyr::Error> {
        serde_saphyr::from_str(text)
    }

    /// The nodes with their device files below `root`.
    pub(crate) fn inventories(&self, root: &Root) -> Vec<Inventory> {
        let nodes = self.nodes.iter();
        let mut inventories: Vec<Inventory> = nodes
            .flat_map(|node| {
                let names = gresgen::slurm::hostlist::expand(&node.names).unwrap();
                names.into_iter().map(|name| node.inventory(&name, root))
            })
            .collect();
        if !self.slurm.on_request.is_empty() {
            for gpu in inventories.iter_mut().flat_map(|inventory| &mut inventory.gpus) {
                let (first, directory) = (3 + gpu.minor * 135, root.path("/dev/gresgen"));
                let minors = (first..first + 135).collect();
                gpu.capabilities = Some(CapabilityNumbers { major: 238, minors, directory });
            }
        }
        inventories
    }

    /// The release to render for when `judge` will read it: its own, where the case has keys of cgroup.conf that
    /// the judge's does not read.
    pub(crate) fn release_for(&self, judge: Release) -> Release {
        let reads = |key: &String| judge.cgroup_key(key) == CgroupKey::Read;
        if self.slurm.cgroup.keys().all(reads) { judge } else { self.release }
    }

    /// Whether it invents the CPUs of its nodes.
    pub(crate) fn has_cpus(&self) -> bool {
        self.nodes.iter().any(|n| n.cpus.is_some())
    }

    /// Tables of new nodes.
    pub(crate) fn tables(&self, inventories: &[Inventory]) -> Vec<GresTable> {
        let table = |i| GresTable::new(i, &self.slurm, &PreviousOrder::default()).unwrap();
        inventories.iter().map(table).collect()
    }
}

impl Node {
    fn inventory(&self, name: &str, root: &Root) -> Inventory {
        let gpus = self.gpus.iter().zip(0..).map(|(line, index)| line.gpu(name, index, root));
        Inventory {
            node: name.to_owned(),
            boot: "0b5b2a8e-3d0e-4c62-9a7e-2f6a3f0c9a11".to_owned(),
            driver: "580.95.05".to_owned(),
            partial: false,
            topology: self.cpus.map(topology).unwrap_or_default(),
            gpus: gpus.collect(),
        }
    }
}

/// A host whose kernel numbers first threads socket by socket, then second threads.
fn topology([sockets, cores, threads]: [u32; 3]) -> Topology {
    let all =
        (0..threads).flat_map(move |t| (0..sockets).flat_map(move |s| (0..cores).map(move |c| (t, s, c))));
    Topology::new((0..).zip(all).map(|(cpu, (_, socket, core))| (cpu, socket, core)))
}

impl GpuLine {
    fn gpu(&self, node: &str, index: u32, root: &Root) -> Gpu {
        let board = Board::by_key(&self.board).unwrap_or_else(|| panic!("no board {}", self.board));
        let minor = self.minor.unwrap_or(index);
        let mut gpu = Gpu {
            index,
            minor,
            uuid: format!("GPU-{node}-{index}"),
            pci: format!("0000:{:02x}:00.0", 7 + index),
            pci_device: u32::from(board.pci_ids.first().copied().unwrap_or_default()) << 16 | 0x10de,
            pci_subsystem: None,
            model: self.model.clone().unwrap_or_else(|| product(board)),
            memory_mib: board.memory_mib.unwrap_or_default(),
            architecture: Some(board.architecture),
            mode: Mode::Known { current: self.slices.is_some(), pending: self.slices.is_some() },
            guest: false,
            cpus: self.near.clone(),
            geometry: board.geometry(),
            file: file(root, format!("/dev/nvidia{minor}"), 195, minor),
            instances: Vec::new(),
            capabilities: None,
            holders: Vec::new(),
        };
        for slice in self.slices.iter().flatten() {
            self.add(&mut gpu, slice, root);
        }
        gpu.instances.sort_by_key(|i| i.gi);
        gpu
    }

    fn add(&self, gpu: &mut Gpu, slice: &str, root: &Root) {
        let (name, place) = slice.split_once('@').unwrap_or_else(|| panic!("{slice}: no place"));
        let (start, compute_start) = place.split_once('+').unwrap_or((place, "0"));
        let profile: Profile = name.parse().unwrap();
        let placement = Placement { profile: profile.gpu_instance(), start: start.parse().unwrap() };
        let gi = gi(&gpu.geometry, placement, self.mirrored);
        let parent = gpu.file.clone();
        let known = gpu.instances.iter().position(|i| i.placement == placement);
        let at = known.unwrap_or(gpu.instances.len());
        if known.is_none() {
            gpu.instances.push(Instance { gi, placement, compute: vec![], holders: vec![], closed: false });
        }
        let compute = &mut gpu.instances[at].compute;
        let ci = compute.len() as u32;
        // The driver's fixed numbering (open-gpu-kernel-modules, nv-caps.c): by device minor, not by index.
        let access = 3 + gpu.minor * 135 + gi * 9;
        let cap = |n: u32| file(root, format!("/dev/nvidia-caps/nvidia-cap{n}"), 238, n);
        compute.push(Compute {
            ci,
            profile,
            start: compute_start.parse().unwrap(),
            uuid: format!("MIG-{}-{gi}-{ci}", gpu.uuid),
            files: vec![parent, cap(access), cap(access + 1 + ci)],
        });
    }
}

/// A product name; boards that were never seen have none, and are named by their key.
fn product(board: &Board) -> String {
    board
        .names
        .first()
        .map_or_else(|| format!("NVIDIA {}", board.key.to_uppercase()), |name| (*name).to_owned())
}

/// An id as drivers give it: by size, then by place, from the other end on mirrored boards. Any other distinct
/// numbers would do here.
fn gi(geometry: &Geometry, placement: Placement, mirrored: bool) -> u32 {
    let size = u32::from(geometry.spec(placement.profile).unwrap().size);
    let units = u32::from(geometry.units);
    let start = u32::from(placement.start);
    let start = if mirrored { units - size - start } else { start };
    let slots = units / size;
    slots - 1 + start / size
}

fn file(root: &Root, path: String, major: u32, minor: u32) -> DeviceFile {
    DeviceFile { path: root.path(path), major, minor }
}

/// For a stand-in of squeue, in sh: lines of a file begin as the format that was asked for does, with a number and a word.
pub(crate) const SQUEUE_LINES: &str = "word=${SQUEUE_FORMAT-$SQUEUE_FORMAT2}\nword=${word#*|}\nword=${word%%|*}\nlines() { sed \"s/^/1|$word|/\" \"$1\"; }\n";
