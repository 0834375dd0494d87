//! What a change means for each GPU, as data: the same for `plan`, for `apply`'s summary and for JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::steps::Step;
use super::target::Divided;
use crate::inventory::{Gpu, Inventory};

/// A change of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Preview {
    /// Whether anything changes.
    pub changed: bool,
    /// GPUs that change.
    pub gpus: Vec<GpuPreview>,
}

/// A change of one GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct GpuPreview {
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
pub(crate) struct Row {
    /// What is done.
    pub action: Action,
    /// The instance; its compute instances only where they do not fill it.
    #[serde(flatten)]
    pub instance: Divided,
    /// Why.
    pub why: String,
}

/// What is done to a GPU instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
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
    pub(crate) fn word(self) -> &'static str {
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
    pub(crate) fn new(inventory: &Inventory, steps: &[Step]) -> Self {
        let gpu = |(position, gpu): (usize, &Gpu)| {
            let mine: Vec<&Step> = steps.iter().filter(|s| s.gpu() == position).collect();
            (!mine.is_empty()).then(|| GpuPreview::new(gpu, &mine))
        };
        let gpus: Vec<GpuPreview> = inventory.gpus.iter().enumerate().filter_map(gpu).collect();
        Preview { changed: !steps.is_empty(), gpus }
    }

    /// How many GPU instances an action concerns.
    pub(crate) fn count(&self, action: Action) -> usize {
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
            let step = steps.iter().find(|s| s.placement() == Some(instance.placement));
            let present = Divided::from(instance);
            slices.push(match step {
                Some(Step::Destroy { .. }) if mode.is_some() => {
                    Row::new(present, Action::Destroy, "MIG mode changes".into())
                }
                Some(Step::Destroy { .. }) => {
                    Row::new(present, Action::Destroy, "idle and not wanted".into())
                }
                Some(Step::Recut { instance, .. }) => {
                    let was = names(&present.compute, "without compute instances");
                    Row::new(instance.clone(), Action::Recut, format!("was {was}"))
                }
                _ if instance.holders.is_empty() => Row::new(present, Action::Keep, "wanted".into()),
                _ => {
                    let who = names(&instance.holders, "");
                    Row::new(present, Action::Keep, format!("in use by {who}"))
                }
            });
        }
        for step in steps {
            if let Step::Create { instance, .. } = step {
                slices.push(Row::new(instance.clone(), Action::Create, "wanted and not there".into()));
            }
        }
        slices.sort_by_key(|row| (row.instance.placement.start, row.action));
        GpuPreview { gpu: gpu.index, uuid: gpu.uuid.clone(), mode, slices }
    }
}

impl Row {
    fn new(mut instance: Divided, action: Action, why: String) -> Self {
        if instance.compute == [instance.placement.profile] {
            instance.compute.clear();
        }
        Row { action, instance, why }
    }
}

fn names<T: ToString>(items: &[T], none: &str) -> String {
    let names: Vec<String> = items.iter().map(ToString::to_string).collect();
    if names.is_empty() { none.to_owned() } else { names.join(", ") }
}
