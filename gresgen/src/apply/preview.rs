//! What a change means for each GPU, as data: the same for `plan`, for `apply`'s summary and for JSON.

use schemars::JsonSchema;
use serde::Serialize;

use mig::{Placed, Profile};

use super::steps::Step;
use super::target::Slice;
use crate::inventory::{Gpu, Inventory};

/// A change of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Preview {
    /// Whether anything changes.
    pub changed: bool,
    /// GPUs that change.
    pub gpus: Vec<GpuPreview>,
}

/// A change of one GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GpuPreview {
    /// NVML index.
    pub gpu: u32,
    /// UUID.
    pub uuid: String,
    /// The new MIG mode, when it changes.
    pub mode: Option<bool>,
    /// Its instances, by place, those that go before those that come.
    pub slices: Vec<Row>,
}

/// What becomes of one GPU instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Row {
    /// What is done.
    pub action: Action,
    /// Profile.
    pub profile: String,
    /// First placement unit.
    pub start: u8,
    /// Compute instances, where they do not fill the GPU instance.
    pub compute: Vec<String>,
    /// Why.
    pub why: String,
    #[serde(skip)]
    placed: Placed,
}

/// What is done to a GPU instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It goes.
    Destroy,
    /// It stays.
    Keep,
    /// It stays, divided anew.
    Recut,
    /// It comes.
    Create,
}

impl Action {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Action::Destroy => "destroy",
            Action::Keep => "keep",
            Action::Recut => "recut",
            Action::Create => "create",
        }
    }
}

impl Preview {
    /// What `steps` do to the GPUs of `inventory`.
    pub fn new(inventory: &Inventory, steps: &[Step]) -> Self {
        let gpu = |(position, gpu): (usize, &Gpu)| {
            let mine: Vec<&Step> = steps.iter().filter(|s| s.gpu() == position).collect();
            (!mine.is_empty()).then(|| GpuPreview::new(gpu, &mine))
        };
        let gpus: Vec<GpuPreview> = inventory.gpus.iter().enumerate().filter_map(gpu).collect();
        Preview { changed: !steps.is_empty(), gpus }
    }

    /// How many GPU instances an action concerns.
    pub fn count(&self, action: Action) -> usize {
        self.gpus.iter().flat_map(|g| &g.slices).filter(|row| row.action == action).count()
    }
}

impl GpuPreview {
    fn new(gpu: &Gpu, steps: &[&Step]) -> Self {
        let mode = steps.iter().find_map(|s| match s {
            Step::Mode { on, .. } => Some(*on),
            _ => None,
        });
        let mut slices: Vec<Row> = Vec::new();
        for instance in &gpu.instances {
            let slice = Slice::of(instance);
            let step = steps.iter().find(|s| s.slice().is_some_and(|s| s.placed == slice.placed));
            slices.push(match step {
                Some(Step::Destroy { .. }) if mode.is_some() => {
                    Row::new(gpu, &slice, Action::Destroy, "MIG mode changes".into())
                }
                Some(Step::Destroy { .. }) => {
                    Row::new(gpu, &slice, Action::Destroy, "idle and not wanted".into())
                }
                Some(Step::Recut { slice: new, .. }) => {
                    Row::new(gpu, new, Action::Recut, format!("was {}", names(&slice.compute)))
                }
                _ if instance.holders.is_empty() => Row::new(gpu, &slice, Action::Keep, "wanted".into()),
                _ => {
                    let who: Vec<String> = instance.holders.iter().map(ToString::to_string).collect();
                    Row::new(gpu, &slice, Action::Keep, format!("in use by {}", who.join(", ")))
                }
            });
        }
        for step in steps {
            if let Step::Create { slice, .. } = step {
                slices.push(Row::new(gpu, slice, Action::Create, "wanted and not there".into()));
            }
        }
        slices.sort_by_key(|row| (row.start, row.action));
        GpuPreview { gpu: gpu.index, uuid: gpu.uuid.clone(), mode, slices }
    }

    /// Places occupied before the change.
    pub fn before(&self) -> Vec<Placed> {
        self.places(|action| action != Action::Create)
    }

    /// Places occupied after it.
    pub fn after(&self) -> Vec<Placed> {
        self.places(|action| action != Action::Destroy)
    }

    fn places(&self, which: impl Fn(Action) -> bool) -> Vec<Placed> {
        self.slices.iter().filter(|row| which(row.action)).map(|row| row.placed).collect()
    }
}

impl Row {
    /// Where it is.
    pub fn placed(&self) -> Placed {
        self.placed
    }

    fn new(gpu: &Gpu, slice: &Slice, action: Action, why: String) -> Self {
        let profile = gpu.geometry.spec(slice.placed).profile;
        let divided = slice.compute != [profile];
        Row {
            action,
            profile: profile.to_string(),
            start: slice.placed.start,
            compute: if divided {
                slice.compute.iter().map(ToString::to_string).collect()
            } else {
                Vec::new()
            },
            why,
            placed: slice.placed,
        }
    }
}

fn names(profiles: &[Profile]) -> String {
    let names: Vec<String> = profiles.iter().map(ToString::to_string).collect();
    if names.is_empty() { "without compute instances".to_owned() } else { names.join(", ") }
}
