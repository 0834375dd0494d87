//! Two nodes with unlike layouts, and the plugin on them.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use device_map::{DeviceFile, DeviceMap, Record};
use lab::{FakeGpus, Lab, Node, Options, Probe, Release};

/// Where the plugin lies in a lab.
const PLUGIN: &str = "/usr/local/lib/slurm/spank_mig.so";

/// A node: its devices in Slurm's index order, their types in the order of its `Gres=`.
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) gpus: FakeGpus,
    pub(crate) types: Vec<&'static str>,
}

impl Layout {
    /// Six MIG devices on two GPUs, and a whole GPU.
    pub(crate) fn n1() -> Self {
        let mut gpus = FakeGpus::new(&[(0, 7, 0), (0, 8, 0), (1, 9, 0), (1, 10, 0), (0, 1, 0), (1, 2, 0)]);
        gpus.add_whole(2);
        let types = vec!["1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb", "3g.20gb", "3g.20gb", "a100"];
        Self { name: "n1", gpus, types }
    }

    /// Two MIG devices on one GPU: its index 1 is the type that is index 0 elsewhere.
    pub(crate) fn n2() -> Self {
        Self { name: "n2", gpus: FakeGpus::new(&[(3, 5, 0), (3, 13, 0)]), types: vec!["2g.10gb", "1g.5gb"] }
    }

    pub(crate) fn gres(&self) -> String {
        let mut counted: Vec<(&str, usize)> = Vec::new();
        for kind in &self.types {
            match counted.last_mut() {
                Some((last, count)) if last == kind => *count += 1,
                _ => counted.push((kind, 1)),
            }
        }
        let entries: Vec<_> = counted.iter().map(|(kind, count)| format!("gpu:{kind}:{count}")).collect();
        entries.join(",")
    }

    /// gres.conf with the types in another order than slurm.conf has them, as a person may write it: Slurm
    /// brings them into the order of slurm.conf.
    pub(crate) fn gres_conf(&self) -> String {
        let text = self.gpus.gres_conf(self.name, &self.types);
        let mut by_type: BTreeMap<std::cmp::Reverse<&str>, Vec<&str>> = BTreeMap::new();
        for (line, kind) in text.lines().zip(&self.types) {
            by_type.entry(std::cmp::Reverse(kind)).or_default().push(line);
        }
        by_type.into_values().flatten().map(|line| format!("{line}\n")).collect()
    }

    pub(crate) fn map(&self) -> DeviceMap {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux has a boot id");
        DeviceMap {
            node: self.name.into(),
            boot: boot.trim().into(),
            digest: "0".into(),
            plugin: None,
            gpus: self.gpus.indexes(),
            records: (0..self.types.len()).map(|index| self.record(index)).collect(),
        }
    }

    fn record(&self, index: usize) -> Record {
        let gpu = &self.gpus.gpus[index];
        let file = |path: &PathBuf| {
            let (major, minor) = self.gpus.number(path).expect("the lab made it");
            DeviceFile { path: path.clone(), major, minor }
        };
        Record {
            gres_type: self.types[index].into(),
            uuid: gpu.uuid.clone(),
            parent: gpu.parent.clone(),
            instance: gpu.instance,
            files: gpu.files.iter().map(file).collect(),
        }
    }

    pub(crate) fn node(&self) -> Node {
        Node::new(self.name).gres(&self.gres()).gres_conf(&self.gres_conf()).map(&self.map().to_string())
    }

    pub(crate) fn uuids(&self, indexes: &[usize]) -> Vec<&str> {
        indexes.iter().map(|&index| self.gpus.gpus[index].uuid.as_str()).collect()
    }

    /// The devices whose own node the task of `probe` could open.
    pub(crate) fn opened(&self, probe: &Probe) -> Vec<usize> {
        self.gpus.opened(&probe.open)
    }
}

/// The plugin that was built with this test.
fn plugin() -> PathBuf {
    let beside = || env::current_exe().expect("a test has a path").with_file_name("libspank_mig.so");
    env::var_os("SPANK_MIG_SO").map_or_else(beside, PathBuf::from)
}

/// A cluster of `layouts` with the plugin, given `arguments` in plugstack.conf.
pub(crate) fn options(layouts: &[&Layout], arguments: &str) -> Options {
    let mut nodes = layouts.iter();
    let first = nodes.next().expect("a cluster has a node");
    let options = nodes.fold(Options::new(first.node()), |options, layout| options.node(layout.node()));
    layouts
        .iter()
        .fold(options, |options, layout| options.gpus(&layout.gpus))
        .file(Path::new(&plugin()), PLUGIN)
        .plugstack(&format!("optional {PLUGIN} {arguments}\n"))
}

/// No node is drained or down.
pub(crate) fn assert_healthy(lab: &Lab, layouts: &[&Layout]) {
    for layout in layouts {
        let state = lab.node_state(layout.name).expect("slurmctld answers");
        let sick = ["DRAIN", "DOWN", "INVAL", "FAIL", "*"].iter().any(|bad| state.contains(bad));
        assert!(!sick, "{} {}: {state}", lab.release(), layout.name);
    }
}

/// Runs `test` on every selected release.
pub(crate) fn on_each_release(test: impl Fn(Release)) {
    Release::selected().into_iter().for_each(test);
}
