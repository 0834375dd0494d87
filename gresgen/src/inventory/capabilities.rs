//! Capability numbers of a GPU: one for every instance that the driver could ever make on it, fixed while it is loaded.

use std::collections::BTreeSet;
use std::path::PathBuf;

use device_map::DeviceFile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cores::ranges;

/// The capabilities of all GPU and compute instances of one GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityNumbers {
    /// Major number of all of them.
    pub major: u32,
    /// Minor numbers; as JSON `3-137`.
    #[serde(serialize_with = "written", deserialize_with = "read")]
    #[schemars(with = "String")]
    pub minors: BTreeSet<u32>,
    /// Where the node keeps device nodes of them that stay while instances come and go.
    pub directory: PathBuf,
}

/// Begins the names of those device nodes.
pub(crate) const PREFIX: &str = "cap";

/// Most numbers that are read of one GPU: the driver has 15 GPU instances of one and eight numbers (nv-caps.c).
const MOST: usize = 4096;

impl CapabilityNumbers {
    /// The device nodes, ascending.
    pub fn files(&self) -> impl Iterator<Item = DeviceFile> + '_ {
        self.minors.iter().map(|&minor| DeviceFile {
            path: self.directory.join(format!("{PREFIX}{minor}")),
            major: self.major,
            minor,
        })
    }
}

fn written<S: serde::Serializer>(minors: &BTreeSet<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&ranges(minors))
}

fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| serde::de::Error::custom("minors: no list of numbers such as 3-137"))
}

/// Other nodes send it: ranges upwards, counted before they are kept.
fn parse(text: &str) -> Option<BTreeSet<u32>> {
    let mut all = BTreeSet::new();
    for range in text.split(',') {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (low, high): (u32, u32) = (low.parse().ok()?, high.parse().ok()?);
        let count = usize::try_from(high.checked_sub(low)?).ok()?;
        if all.len().saturating_add(count) >= MOST {
            return None;
        }
        all.extend(low..=high);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_before_they_are_kept() {
        let numbers = |text: &str| {
            let json = format!("{{\"major\":238,\"minors\":{text:?},\"directory\":\"/dev/gresgen\"}}");
            serde_json::from_str::<CapabilityNumbers>(&json).ok()
        };
        let known = numbers("3-5,138").unwrap();
        assert_eq!(known.minors, BTreeSet::from([3, 4, 5, 138]));
        assert_eq!(known.files().last().unwrap().to_string(), "/dev/gresgen/cap138=238:138");
        assert_eq!(serde_json::to_value(&known).unwrap()["minors"], "3-5,138");
        for text in ["", "x", "5-3", "0-4294967295", "0-4000,5000-9000", "1,"] {
            assert_eq!(numbers(text), None, "{text:?}");
        }
    }
}
