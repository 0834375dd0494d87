//! Every verb that changes a node.

use lab::Output;

use crate::site::Site;

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// A slice of this GPU.
    Slice(u32),
    /// This GPU, whole.
    Whole(u32),
}

impl Device {
    pub(crate) fn gpu(self) -> u32 {
        match self {
            Self::Slice(gpu) | Self::Whole(gpu) => gpu,
        }
    }
}

/// A verb as it is typed; `GPU` stands for the held one.
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    arguments: &'static [&'static str],
    pub(crate) on: On,
    /// Whether an apply was cut off before.
    cut_off: bool,
}

/// What a verb goes against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Every slice and every whole GPU.
    All,
    /// All slices, which a job feels wherever it runs: Slurm ends GPU jobs when the number of devices changes.
    Slices,
    /// The slices of one GPU.
    SlicesOfGpu,
    /// A GPU that is whole.
    WholeGpu,
}

const fn verb(name: &'static str, arguments: &'static [&'static str], on: On) -> Verb {
    Verb { name, arguments, on, cut_off: false }
}

pub(crate) const VERBS: &[Verb] = &[
    verb("apply, fewer devices", &["--layout", "fewer", "apply"], On::All),
    verb("apply, as many devices", &["--layout", "as-many", "apply"], On::All),
    verb("apply --boot", &["--layout", "as-many", "apply", "--boot", "--wait=1s"], On::All),
    Verb { cut_off: true, ..verb("apply --undo", &["apply", "--undo"], On::All) },
    verb("clear all", &["clear", "all"], On::Slices),
    verb("clear GPU", &["clear", "GPU"], On::SlicesOfGpu),
    verb("mode off", &["mode", "off", "GPU"], On::SlicesOfGpu),
    verb("mode on", &["mode", "on", "GPU"], On::WholeGpu),
];

impl Verb {
    /// Whether it would take the device away.
    pub(crate) fn threatens(&self, device: Device, by_job: bool) -> bool {
        match (self.on, device) {
            (On::All, _)
            | (On::SlicesOfGpu | On::Slices, Device::Slice(_))
            | (On::WholeGpu, Device::Whole(_)) => true,
            (On::Slices, Device::Whole(_)) => by_job,
            (On::SlicesOfGpu, Device::Whole(_)) | (On::WholeGpu, Device::Slice(_)) => false,
        }
    }

    /// Runs it, with its calls of NVML written to `calls`.
    pub(crate) fn run(&self, site: &Site, device: Device, calls: &str) -> Output {
        let gpu = device.gpu().to_string();
        let arguments: Vec<&str> =
            self.arguments.iter().map(|a| if *a == "GPU" { gpu.as_str() } else { a }).collect();
        let run = || site.gresgen(&arguments, &[("NVML_SIM_CALLS", calls)]);
        if self.cut_off { site.cut_off(run) } else { run() }
    }
}
