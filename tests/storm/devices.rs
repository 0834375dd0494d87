//! What each device of a simulated node is, and which device files are its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nvml_sim::machine::MigDevice;

use crate::history::{self, PAUSE, Watch};

/// A MIG device, as tasks are judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its profile, which is its GRES type.
    pub(crate) kind: String,
    /// Device files that a task needs for it: those of its GPU, its GPU instance and its compute instance.
    pub(crate) files: BTreeSet<PathBuf>,
}

pub(crate) type Life = history::Life<Device>;

/// Watches what the simulator keeps in `machine`, one of `machines`.
pub(crate) fn watch(machine: &Path, machines: u32) -> Watch<Device> {
    let minors = Minors::read(machine);
    Watch::start(machine.join("var/lib/nvml-sim/state.json"), machines * PAUSE, move |device| Device {
        kind: device.profile_name(),
        files: minors.files(device),
    })
}

/// Device files by what they are, as the driver says it (`/proc/driver/nvidia-caps/mig-minors`): `gpu0/gi1/access 12`.
struct Minors(BTreeMap<String, PathBuf>);

impl Minors {
    fn read(machine: &Path) -> Self {
        let text =
            std::fs::read_to_string(machine.join("proc/driver/nvidia-caps/mig-minors")).expect("the minors");
        let row = |line: &str| {
            let (what, minor) = line.split_once(' ')?;
            Some((what.to_owned(), format!("/dev/nvidia-caps/nvidia-cap{minor}").into()))
        };
        Self(text.lines().filter_map(row).filter(|(what, _)| what.starts_with("gpu")).collect())
    }

    fn files(&self, device: &MigDevice<'_>) -> BTreeSet<PathBuf> {
        let instance = format!("gpu{}/gi{}", device.gpu.minor, device.instance.id);
        let compute = format!("{instance}/ci{}/access", device.compute.id);
        let own = [format!("{instance}/access"), compute].map(|what| self.0[&what].clone());
        own.into_iter().chain([format!("/dev/nvidia{}", device.gpu.minor).into()]).collect()
    }
}
