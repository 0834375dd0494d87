//! What an order says: the one thing that is read of whoever has GPUs on request cut from elsewhere.
//!
//! It comes over a connection from another host, so it is hostile until it is read: one JSON value of at most
//! [`MAX_BYTES`], of known keys alone, without paths and without a text that is anything but a UUID, a profile or the number
//! of a job. What it asks of this node's GPUs is judged by [`ordered`](crate::apply::ordered).

pub(crate) mod heard;
mod keys;

use std::io;

use mig::{Placement, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::inventory::Gpu;

/// Longest order that is read, in bytes. One that cuts 16 GPUs from seven instances into seven others has 13 kB.
pub const MAX_BYTES: u64 = 64 << 10;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Request {
    /// What the node has, who uses it, and what its GPUs on request offer.
    Look(Look),
    /// Cut GPUs on request anew.
    Cut(Cut),
}

/// Nothing more is said of a look.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Look {}

/// A cut: what goes and what comes, as a change of what was seen. What is not named stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// GPUs, each once. None at all: only what an order that was cut off has left is finished.
    pub gpus: Vec<Change>,
    /// The job that waits for it, as Slurm shows it: `17`, `17_3` of an array, `17+1` of a heterogeneous job.
    #[serde(default)]
    pub job: Option<JobId>,
}

/// What changes on one GPU.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its UUID.
    pub gpu: GpuUuid,
    /// Instances that go. They have to be there.
    #[serde(default, deserialize_with = "placements")]
    #[schemars(with = "Vec<Place>")]
    pub destroy: Vec<Placement>,
    /// Instances that come. Those that are there already are no error.
    #[serde(default, deserialize_with = "placements")]
    #[schemars(with = "Vec<Place>")]
    pub create: Vec<Placement>,
    /// Instances that Slurm is to give to nobody from then on: those that are there already, and of those that come. Who has
    /// one keeps it. Closing what is closed is no error.
    #[serde(default, deserialize_with = "placements")]
    #[schemars(with = "Vec<Place>")]
    pub close: Vec<Placement>,
    /// Instances that Slurm may give out again. Opening what is open is no error.
    #[serde(default, deserialize_with = "placements")]
    #[schemars(with = "Vec<Place>")]
    pub open: Vec<Placement>,
}

impl Change {
    /// Whether it is about this GPU: NVML's text of a UUID may be written in either case.
    pub(crate) fn is_of(&self, gpu: &Gpu) -> bool {
        gpu.uuid.eq_ignore_ascii_case(self.gpu.as_str())
    }
}

/// An instance by its profile and its first placement unit, as an inventory has them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Place {
    profile: Profile,
    start: u8,
}

fn placements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Placement>, D::Error> {
    let places = Vec::<Place>::deserialize(deserializer)?;
    Ok(places.into_iter().map(|Place { profile, start }| Placement { profile, start }).collect())
}

/// A text of which every byte is known to be harmless, since it goes into messages, the journal and Slurm's reasons.
macro_rules! checked {
    ($(#[$about:meta])* $name:ident, $is:expr, $what:literal) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// As it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                if $is(&text) { Ok($name(text)) } else { Err($what) }
            }
        }
    };
}

checked!(
    /// The UUID of a GPU.
    GpuUuid, is_gpu, "gpu is not the UUID of a GPU"
);
checked!(
    /// The number of a job.
    JobId, is_job, "job is not the number of a job"
);

/// NVML's texts of a UUID have 96 bytes at most (`NVML_DEVICE_UUID_V2_BUFFER_SIZE`).
fn is_gpu(text: &str) -> bool {
    text.len() <= 96 && text.is_ascii() && device_map::is_gpu_uuid(text)
}

/// A number that slurmctld gives (32 bits), and that of an element or of a component behind it.
fn is_job(text: &str) -> bool {
    let is_number = |text: &str| {
        text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_ok()
    };
    match text.split_once(['_', '+']) {
        Some((job, part)) => is_number(job) && is_number(part),
        None => is_number(text),
    }
}

/// What became of an order, in a word, for whoever gave it (docs/on-request.md, "The answer").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// It is done.
    Done,
    /// All of it was there already.
    Nothing,
    /// The GPUs are done, and something is left to do: in Slurm, a reset.
    Pending,
    /// It is no order; nothing was changed.
    Invalid,
    /// It may not be here; nothing was changed.
    Refused,
    /// The node is not what the order supposes; nothing was changed.
    Stale,
    /// Somebody has what would go; nothing was changed.
    InUse,
    /// Somebody changes the node now; nothing was changed.
    Locked,
    /// A signal came; what was changed is back.
    Interrupted,
    /// It failed; the error says whether what was changed is back.
    Failed,
    /// A word of a later release, as whoever gave the order reads it. No answer has it.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Unknown,
}

impl Code {
    /// As it stands in an answer.
    pub fn word(self) -> &'static str {
        match self {
            Code::Done => "done",
            Code::Nothing => "nothing",
            Code::Pending => "pending",
            Code::Invalid => "invalid",
            Code::Refused => "refused",
            Code::Stale => "stale",
            Code::InUse => "in-use",
            Code::Locked => "locked",
            Code::Interrupted => "interrupted",
            Code::Failed => "failed",
            Code::Unknown => "unknown",
        }
    }
}

/// Why a text is no order.
#[derive(Debug, Error)]
pub enum OrderError {
    /// It did not come, or not in time, or has more than [`MAX_BYTES`].
    #[error("order: standard input: {0}")]
    Input(io::Error),
    /// It is not JSON of this shape.
    #[error("order: {0}")]
    Json(#[from] serde_json::Error),
    /// It has more than one key.
    #[error("order: {0} stand in it together, and an order has one of look and cut")]
    Several(String),
    /// One GPU, one of its instances or one key is named twice.
    #[error("order: {0} stands in it twice")]
    Twice(String),
}

/// Reads an order.
///
/// # Errors
/// [`OrderError`]. What it quotes of the text may be as long as that.
pub fn read(text: &[u8]) -> Result<Request, OrderError> {
    let request: Request = serde_json::from_slice(text).map_err(|error| keys::explain(text, error))?;
    if let Request::Cut(cut) = &request {
        for (number, change) in cut.gpus.iter().enumerate() {
            let gpu = change.gpu.as_str();
            if cut.gpus[..number].iter().any(|other| other.gpu.as_str().eq_ignore_ascii_case(gpu)) {
                return Err(OrderError::Twice(gpu.to_owned()));
            }
            if let Some(placement) = contradiction(change) {
                return Err(OrderError::Twice(format!("{gpu} {placement}")));
            }
        }
    }
    Ok(request)
}

/// An instance of which a change says one thing twice, or two that cannot be together. One that comes may be closed.
fn contradiction(change: &Change) -> Option<Placement> {
    let Change { destroy, create, close, open, .. } = change;
    [&[destroy, create][..], &[destroy, close, open]].into_iter().find_map(|lists| {
        let mut all: Vec<Placement> = lists.iter().copied().flatten().copied().collect();
        all.sort_unstable();
        all.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    })
}

#[cfg(test)]
mod tests;
