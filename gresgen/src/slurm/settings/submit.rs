//! What the site asks of requests for GPUs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::Error;

use crate::schema::{NumberOrText, schema_of};

/// Rules for requests; `render --print submit` makes Lua of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Submit {
    /// Type of requests that name none.
    pub default_type: Option<String>,
    /// Whether a request without a type is refused.
    pub require_type: bool,
    /// MIG devices that one job may have.
    pub max_slices: Option<u32>,
    /// Further names of types.
    pub synonyms: BTreeMap<String, String>,
    /// GPU types of nodes that this program does not cut, to be let through.
    pub other_types: Vec<String>,
    /// What a job has beside a device of a type when it asks for nothing else.
    pub defaults: BTreeMap<String, Share>,
}

/// CPUs and memory that come with a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Share {
    /// CPUs.
    pub cpus: Option<u32>,
    /// Memory of the node.
    pub memory: Option<Mebibytes>,
}

/// An amount of memory in MiB, written as Slurm's `--mem` has it: `35G`, `800M`, `1T`; a number alone is in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mebibytes(pub u64);

schema_of!(Mebibytes => NumberOrText);

impl<'de> Deserialize<'de> for Mebibytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let super::Scalar(text) = super::Scalar::deserialize(deserializer)?;
        let read = || {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let factor = match text[digits.len()..].to_ascii_uppercase().as_str() {
                "" | "M" | "MB" => 1,
                "G" | "GB" => 1 << 10,
                "T" | "TB" => 1 << 20,
                _ => return None,
            };
            digits.parse::<u64>().ok()?.checked_mul(factor).filter(|mib| *mib > 0)
        };
        read()
            .map(Mebibytes)
            .ok_or_else(|| D::Error::custom(format!("{text:?}: not an amount of memory such as 35G")))
    }
}
