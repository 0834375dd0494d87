//! Slurm's detection on every model that can be simulated: `gpu_nvml.so` of three releases on GPUs full of each
//! profile and on one in parts, `gpu_nvml.so` and `gpu_nvidia.so` on whole GPUs.
//!
//! Where what Slurm finds is not what the device map has, the snapshots list it; [`nvml`](crate::nvml) says of each
//! difference who is right. A device that goes by another's type takes the other's place in Slurm's count, too: the
//! other is found by its own name and left out.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;
use std::thread;

use device_map::DeviceMap;
use lab::{Lab, Release, Simulated};
use mig::Board;
use nvml_sim::Spec;

use crate::cli::{Node, simulator};
use crate::fetched::{debian, skipped};
use crate::node::{files, record};

/// GPUs of one model, divided by gresgen outside any lab.
struct Model {
    key: &'static str,
    node: Node,
    map: DeviceMap,
}

impl Model {
    fn new(key: &'static str, entries: &[String]) -> Self {
        let node = Node::new(&format!("{key}:{}", entries.len()));
        let lines: String =
            entries.iter().zip(0..).map(|(e, gpu)| format!("    - {{devices: [{gpu}], {e}}}\n")).collect();
        let slurm = "slurm:\n  nodes:\n    - names: n1\n      attributes: CPUs=32\n";
        let config = format!("version: v1\nlayout: judged\nmig-configs:\n  judged:\n{lines}{slurm}");
        node.write("etc/gresgen/config.yaml", &config);
        let run = node.run(&["apply", "-q"]);
        // Whether or not this host has a Slurm that waits for news.
        assert!(matches!(run.code, 0 | 6), "{key}: {}{}", run.stdout, run.stderr);
        let map = node.read("run/gresgen/devices").parse().unwrap();
        Self { key, node, map }
    }

    /// One GPU full of each profile, and one whose largest instance but the whole is in parts.
    fn cut(key: &'static str) -> Self {
        let board = Board::by_key(key).unwrap();
        let entry = |profiles: String| format!("mig-enabled: true, mig-devices: {{{profiles}}}");
        let full = board.rows.iter().map(|row| format!("{}: {}", row.name, row.max));
        let halves = board.rows.iter().filter(|row| row.size < board.units && row.compute.len() > 1);
        let largest = halves.max_by_key(|row| row.size).map(|row| format!("1c.{}: 2", row.name));
        Self::new(key, &full.chain(largest).map(entry).collect::<Vec<_>>())
    }

    /// Two GPUs without MIG.
    fn whole(key: &'static str) -> Self {
        Self::new(key, &["mig-enabled: false".to_owned(), "mig-enabled: false".to_owned()])
    }

    /// Type and files of each record, as they are where the machine is shown in its place.
    fn predicted(&self) -> BTreeSet<(String, String)> {
        let root = self.node.path("");
        let prefix = root.to_str().unwrap().trim_end_matches('/');
        let shown = |record| files(record).replace(prefix, "");
        self.map.records.iter().map(|record| (record.gres_type.clone(), shown(record))).collect()
    }
}

/// Puts the nodes and proc files of the machine `$1` where the driver has them, in place of another machine's.
const SHOW: &str = r#"set -e
mkdir -p /dev/nvidia-caps
umount /dev/nvidia-caps /proc/driver /sys/bus/pci/drivers 2>/dev/null || true
rm -f /dev/nvidia[0-9]*
cp -a "$1"/dev/nvidia[0-9]* /dev/
mount --bind "$1/dev/nvidia-caps" /dev/nvidia-caps
mount --bind "$1/proc/driver" /proc/driver
mount -t tmpfs none /sys/bus/pci/drivers
for gpu in "$1"/sys/bus/pci/drivers/nvidia/*; do
    shown=/sys/bus/pci/drivers/nvidia/${gpu##*/}
    mkdir -p "$shown"
    cp "$gpu/local_cpulist" "$shown"
done
cp "$1/etc/slurm/gresgen-node.conf" /etc/slurm/
"#;

/// Where a lab has the directory that the machines are in.
const MACHINES: &str = "/var/lab/machines";

/// A lab with Slurm's plugin for NVML and the simulator for its library.
struct Detector(Lab);

impl Detector {
    fn new(release: Release) -> Option<Self> {
        let plugins = release.plugin_directory();
        let libraries = Path::new(&plugins).parent().unwrap().display().to_string();
        let tree = debian(release.suite(), &["slurm-wlm-nvml-plugin"]);
        let plugin = tree.join(plugins.trim_start_matches('/')).join("gpu_nvml.so");
        let simulated = Simulated {
            gresgen: env!("CARGO_BIN_EXE_gresgen").into(),
            simulator: simulator(),
            plugin: simulator().with_file_name("libspank_mig.so"),
            // Machines to be shown are in directories of the host.
            gpus: "a100-40gb".to_owned(),
            config: String::new(),
        };
        let lab = simulated.node_with(release, |mut options| {
            options = options.file(&plugin, &format!("{plugins}/gpu_nvml.so"));
            // slurmd looks for NVML by its development name before it loads the plugin.
            for name in ["libnvidia-ml.so.1", "libnvidia-ml.so"] {
                options = options.file(&simulator(), &format!("{libraries}/{name}"));
            }
            options.bind(&env::temp_dir(), MACHINES)
        });
        Some(Self(lab::require(lab)?))
    }

    /// What `slurmd -G` says of a machine, by the plugin that `AutoDetect` names.
    fn says(&self, model: &Model, plugin: &str) -> String {
        let path = model.node.path("");
        let root = format!("{MACHINES}/{}", path.file_name().unwrap().display());
        self.0.run(&["sh", "-c", SHOW, "sh", &root]).unwrap();
        self.0.write_file("/etc/slurm/gres.conf", format!("AutoDetect={plugin}\n")).unwrap();
        let command = self.0.command(&["slurmd", "-G", "-N", "n1"]).env("NVML_SIM_ROOT", &root);
        let output = command.output().unwrap();
        output.stdout + &output.stderr
    }

    /// Types of the map that Slurm calls otherwise, each with the name it found for these files instead.
    fn differences(&self, model: &Model, plugin: &str) -> BTreeMap<String, String> {
        let said = self.says(model, plugin);
        let lines = said.lines().filter(|line| line.contains("Gres Name=gpu"));
        let mut kept: BTreeMap<String, String> =
            lines.map(record).map(|(kind, files)| (files, kind)).collect();
        // What has no type of the node is left out, with a line that has its name.
        let left_out = |files: &str| {
            let line =
                said.lines().find(|line| line.contains("Type:") && line.contains(&format!("File:{files} ")));
            let found = line.and_then(|line| line.split_once("Type:")?.1.split_whitespace().next());
            found.unwrap_or_else(|| panic!("{} {plugin}: {files}: not in\n{said}", model.key)).to_owned()
        };
        let mut differences = BTreeMap::new();
        for (kind, files) in model.predicted() {
            let found = kept.remove(&files).unwrap_or_else(|| left_out(&files));
            if found != kind {
                differences.insert(kind, found);
            }
        }
        assert!(kept.is_empty(), "{} {plugin}: not on the map: {kept:?}\n{said}", model.key);
        differences
    }
}

/// A line for each type that Slurm calls otherwise than the map, of all releases, which work side by side.
///
/// None where no lab can run.
fn findings(releases: &[Release], models: &[Model], plugin: &str) -> Option<String> {
    let of_release = |release: Release| -> Option<Vec<String>> {
        let detector = Detector::new(release)?;
        let mut lines = Vec::new();
        for model in models {
            let differences = detector.differences(model, plugin).into_iter();
            let key = model.key;
            lines.extend(
                differences.map(|(kind, name)| format!("{release} {key}: {kind} is found as {name}")),
            );
        }
        Some(lines)
    };
    let of_release = &of_release;
    let lines: Option<Vec<Vec<String>>> = thread::scope(|scope| {
        let threads: Vec<_> =
            releases.iter().map(|&release| scope.spawn(move || of_release(release))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the thread says itself why")).collect()
    });
    lines.map(|lines| lines.concat().join("\n"))
}

#[test]
fn slurm_finds_every_profile_of_every_model() {
    if skipped() {
        return;
    }
    let models: Vec<Model> = Spec::keys().map(Model::cut).collect();
    if let Some(findings) = findings(&Release::ALL, &models, "nvml") {
        insta::assert_snapshot!(findings);
    }
}

/// `gpu_nvidia.so`, which needs no library of the driver, came with 24.11.
#[test]
fn slurm_finds_whole_gpus_of_every_model() {
    if skipped() {
        return;
    }
    let models: Vec<Model> = Spec::keys().map(Model::whole).collect();
    for (plugin, releases) in [("nvml", &Release::ALL[..]), ("nvidia", &Release::ALL[1..])] {
        let findings = findings(releases, &models, plugin).unwrap_or_default();
        assert_eq!(findings, "", "AutoDetect={plugin}");
    }
}
