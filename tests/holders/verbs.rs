//! Every verb that changes a node, as it goes against what somebody holds.

use std::collections::BTreeSet;

use lab::Output;

use crate::site::Site;

/// What is held on `n1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Devices {
    /// Slices, by GPU and first memory slice.
    pub(crate) slices: BTreeSet<(u32, u32)>,
    /// GPUs that are whole.
    pub(crate) whole: BTreeSet<u32>,
}

impl Devices {
    /// Both slices of `3g.20gb` that layout `day` has.
    pub(crate) fn large() -> Self {
        Self { slices: BTreeSet::from([(0, 4), (1, 4)]), ..Self::default() }
    }

    /// Whole GPUs.
    pub(crate) fn whole(gpus: impl IntoIterator<Item = u32>) -> Self {
        Self { whole: gpus.into_iter().collect(), ..Self::default() }
    }
}

/// A verb as it is typed.
#[derive(Debug)]
pub(crate) struct Verb {
    pub(crate) name: String,
    arguments: Vec<String>,
    /// Whether an apply was cut off before.
    cut_off: bool,
    /// The slice that is all it takes; none where it takes more.
    pub(crate) takes: Option<(u32, u32)>,
}

fn verb(name: &str, arguments: &str) -> Verb {
    let arguments = arguments.split_whitespace().map(str::to_owned).collect();
    Verb { name: name.to_owned(), arguments, cut_off: false, takes: None }
}

/// The verbs that would take one of these devices away. A job of Slurm also loses its devices where the number of
/// devices on its node changes: Slurm ends it.
pub(crate) fn against(site: &Site, devices: &Devices, by_job: bool) -> Vec<Verb> {
    // All slices and all whole GPUs go.
    let mut verbs = vec![
        verb("apply, fewer devices", "--layout fewer apply"),
        verb("apply, as many devices", "--layout as-many apply"),
        Verb { cut_off: true, ..verb("apply --undo", "apply --undo") },
    ];
    if site.slurm {
        verbs.push(verb("apply --boot", "--layout as-many apply --boot --wait=1s"));
    }
    if site.is_cut() && (by_job || !devices.slices.is_empty()) {
        verbs.push(verb("clear all", "clear all"));
    }
    let gpus: BTreeSet<u32> = devices.slices.iter().map(|(gpu, _)| *gpu).collect();
    for gpu in gpus {
        verbs.push(verb(&format!("clear {gpu}"), &format!("clear {gpu}")));
        verbs.push(verb(&format!("mode off {gpu}"), &format!("mode off {gpu}")));
    }
    for gpu in &devices.whole {
        verbs.push(verb(&format!("mode on {gpu}"), &format!("mode on {gpu}")));
    }
    // All else stays: a reading that misses one of several holders finds nothing in the way.
    for &(gpu, start) in &devices.slices {
        let layout = format!("without-{gpu}-{start}");
        let verb = verb(&format!("apply, {layout}"), &format!("--layout {layout} apply"));
        verbs.push(Verb { takes: Some((gpu, start)), ..verb });
    }
    verbs
}

impl Verb {
    /// Runs it, with its calls of NVML written to `calls`.
    pub(crate) fn run(&self, site: &Site, calls: &str) -> Output {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let run = || site.gresgen(&arguments, &[("NVML_SIM_CALLS", calls)]);
        if self.cut_off { site.cut_off(run) } else { run() }
    }
}
