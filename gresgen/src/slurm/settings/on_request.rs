//! GPUs on request: `slurm.on-request`.
//!
//! What such a GPU offers to Slurm does not follow from how it is cut, so it is said for the node and not in a layout;
//! layouts say what it is cut into meanwhile.

use mig::Profile;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Scalar;
use crate::inventory::Gpu;
use crate::slurm::hostlist;
use crate::uuid::begins;
use crate::words::named_gpus;

/// Name of the GRES that shows which records of a node slurmctld has read; its type is
/// [`Form::GATE_TYPE`](crate::slurm::slots::Form::GATE_TYPE).
pub const GATE: &str = "gresgen";

/// Some GPUs, and the profiles that users may ask of them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnRequest {
    /// Host list of the nodes it is about; all where it is absent.
    #[serde(default)]
    pub nodes: Option<String>,
    /// GPUs by index or UUID, or all, which is the default.
    #[serde(default)]
    pub devices: Words,
    /// Profiles on offer, as [1g.5gb, 3g.20gb].
    pub profiles: Vec<String>,
    /// Whether `gresgen order` may cut them; layouts then say what a boot makes of them.
    #[serde(default)]
    pub orders: bool,
}

/// One word, or a list of them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "all belongs here, or a list of GPUs by index or UUID")]
pub enum Words {
    /// `all`
    One(Scalar),
    /// `[0, 1]`
    Several(Vec<Scalar>),
}

impl Default for Words {
    fn default() -> Self {
        Words::One(Scalar(ALL.to_owned()))
    }
}

impl Words {
    fn iter(&self) -> impl Iterator<Item = &str> {
        let words = match self {
            Words::One(word) => std::slice::from_ref(word),
            Words::Several(words) => words,
        };
        words.iter().map(|word| word.0.as_str())
    }
}

const ALL: &str = "all";

/// Whether a word of `devices` is this GPU.
fn means(word: &str, gpu: &Gpu) -> bool {
    let is_uuid = || device_map::is_gpu_uuid(word) && begins("GPU-", &gpu.uuid, word);
    word == ALL || word.parse() == Ok(gpu.index) || is_uuid()
}

impl OnRequest {
    /// Whether it is about this node.
    pub fn is_about(&self, node: &str) -> bool {
        self.nodes.as_ref().is_none_or(|list| hostlist::has(list, node))
    }

    /// Whether it is about this GPU of this node.
    pub fn selects(&self, node: &str, gpu: &Gpu) -> bool {
        self.is_about(node) && self.devices.iter().any(|word| means(word, gpu))
    }

    /// Why it says nothing, or not what it is about, of a node that it is about: as a phrase.
    ///
    /// # Errors
    /// None of its devices is a GPU of the node, or one begins several UUIDs.
    pub(crate) fn check_devices(&self, gpus: &[Gpu]) -> Result<(), String> {
        for word in self.devices.iter().filter(|word| device_map::is_gpu_uuid(word)) {
            let meant: Vec<&str> = gpus.iter().filter(|gpu| means(word, gpu)).map(|gpu| &*gpu.uuid).collect();
            if meant.len() > 1 {
                return Err(format!("{word} begins several UUIDs: {}", meant.join(", ")));
            }
        }
        if self.devices.iter().any(|word| gpus.iter().any(|gpu| means(word, gpu))) {
            return Ok(());
        }
        let words: Vec<&str> = self.devices.iter().collect();
        let there = match gpus {
            [] => "none".to_owned(),
            gpus => named_gpus(gpus.iter().map(|gpu| gpu.index)),
        };
        Err(format!(
            "{}: no such GPU on this node (it has {there}); nodes: says which nodes the entry is about",
            words.join(", ")
        ))
    }

    /// The profiles on offer, from the smallest up, each once.
    pub fn menu(&self) -> Vec<Profile> {
        let mut menu: Vec<Profile> = self.profiles.iter().filter_map(|name| name.parse().ok()).collect();
        menu.sort_unstable();
        menu.dedup();
        menu
    }

    /// Checks what can be checked without a node.
    ///
    /// # Errors
    /// Where it is wrong, below the entry, and what, as a phrase.
    pub(super) fn check(&self) -> Result<(), (Vec<String>, String)> {
        let at = |key: &str, index: usize| vec![key.to_owned(), index.to_string()];
        if let Some(Err(error)) = self.nodes.as_ref().map(|list| hostlist::expand(list)) {
            return Err((vec!["nodes".to_owned()], error.to_string()));
        }
        if self.devices.iter().next().is_none() {
            return Err((vec!["devices".to_owned()], "no GPU stands here; leave it away for all".to_owned()));
        }
        for (index, word) in self.devices.iter().enumerate() {
            let known = word == ALL || word.parse::<u32>().is_ok() || device_map::is_gpu_uuid(word);
            if !known {
                let place = match self.devices {
                    Words::One(_) => vec!["devices".to_owned()],
                    Words::Several(_) => at("devices", index),
                };
                return Err((place, format!("{word:?} is no GPU; write all, an index or a UUID")));
            }
        }
        if self.profiles.is_empty() {
            return Err((vec!["profiles".to_owned()], "no profile is on offer".to_owned()));
        }
        for (index, name) in self.profiles.iter().enumerate() {
            let place = || at("profiles", index);
            let profile: Profile =
                name.parse().map_err(|error: mig::ProfileError| (place(), error.to_string()))?;
            if profile.compute().is_some() {
                let whole = profile.gpu_instance();
                let what = format!(
                    "{name} is a part of a GPU instance; only whole ones are cut on request: {whole}"
                );
                return Err((place(), what));
            }
            if self.profiles[..index].iter().any(|other| other.parse() == Ok(profile)) {
                return Err((place(), format!("{name} stands here for the second time")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> OnRequest {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn a_menu_has_one_order_however_it_is_written() {
        let menu = |text: &str| read(text).menu().iter().map(Profile::to_string).collect::<Vec<_>>();
        let due = ["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"];
        assert_eq!(menu("profiles: [1g.5gb, 2g.10gb, 3g.20gb, 7g.40gb]"), due);
        assert_eq!(menu("profiles: [7g.40gb, 3g.20gb, 1g.5gb, 2g.10gb]"), due);
    }

    #[test]
    fn what_cannot_be_on_request_is_refused_by_name() {
        let wrong = |text: &str| read(text).check().unwrap_err();
        for (text, place, words) in [
            ("{profiles: []}", "profiles", "no profile is on offer"),
            ("{profiles: [1g]}", "profiles.0", "1g"),
            (
                "{profiles: [3g.20gb, 1c.3g.20gb]}",
                "profiles.1",
                "only whole ones are cut on request: 3g.20gb",
            ),
            ("{profiles: [3g.20gb, 3g.20gb]}", "profiles.1", "for the second time"),
            ("{profiles: [3g.20gb], devices: a100}", "devices", "\"a100\" is no GPU"),
            ("{profiles: [3g.20gb], devices: [0, x]}", "devices.1", "\"x\" is no GPU"),
            ("{profiles: [3g.20gb], devices: []}", "devices", "no GPU stands here"),
            ("{profiles: [3g.20gb], nodes: 'n['}", "nodes", "n["),
        ] {
            let (at, what) = wrong(text);
            assert_eq!(at.join("."), place, "{text}");
            assert!(what.contains(words), "{text}: {what}");
        }
        for text in ["{profiles: [3g.20gb]}", "{profiles: [1g.5gb], devices: [0, GPU-a], nodes: 'n[1-2]'}"] {
            assert_eq!(read(text).check(), Ok(()), "{text}");
        }
        let error =
            serde_saphyr::from_str::<OnRequest>("{profiles: [3g.20gb], devices: {a: b}}").unwrap_err();
        assert!(error.to_string().contains("all belongs here"), "{error}");
    }
}
