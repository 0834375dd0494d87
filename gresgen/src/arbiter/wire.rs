//! Orders as they are sent, and answers as they come: from a host where somebody else may be root, so hostile until read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mig::{Placement, Profile, Spec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::demand::Known;
use crate::document;
use crate::inventory::{Gpu, Inventory};
use crate::order::Code;
use crate::words::turns_text;

/// What is asked of a node. GPUs are by UUID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeOrder {
    /// The job that it is for, the first where it is for several.
    pub(super) job: Option<String>,
    pub(super) gpus: BTreeMap<String, Changes>,
}

/// What changes on a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Changes {
    /// Its NVML index, for people.
    #[serde(skip)]
    pub(super) index: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) destroy: Vec<Placement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) create: Vec<Placement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) close: Vec<Placement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) open: Vec<Placement>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        [&self.destroy, &self.create, &self.close, &self.open].iter().all(|list| list.is_empty())
    }
}

/// `GPU 0: 1g.5gb at 0, 1 -> 2g.10gb at 0, closes 3g.20gb at 4`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.destroy.is_empty() || !self.create.is_empty() {
            parts.push(format!("{} -> {}", places(&self.destroy), places(&self.create)));
        }
        for (word, list) in [("closes", &self.close), ("opens", &self.open)] {
            if !list.is_empty() {
                parts.push(format!("{word} {}", places(list)));
            }
        }
        write!(f, "GPU {}: {}", self.index, parts.join(", "))
    }
}

/// `1g.5gb at 0, 1 + 3g.20gb at 4`.
fn places(placements: &[Placement]) -> String {
    let group = |group: &[Placement]| {
        let starts: Vec<String> = group.iter().map(|place| place.start.to_string()).collect();
        format!("{} at {}", group[0].profile, starts.join(", "))
    };
    let parts: Vec<String> = placements.chunk_by(|a, b| a.profile == b.profile).map(group).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(" + ") }
}

/// What is done, or that what is left is finished.
impl fmt::Display for NodeOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.gpus.values().map(Changes::to_string).collect();
        f.write_str(if all.is_empty() { "finishes what was cut off" } else { "" })?;
        f.write_str(&all.join("; "))
    }
}

impl NodeOrder {
    /// Whether GPUs are cut by it, and not only closed and opened.
    pub(super) fn cuts(&self) -> bool {
        self.gpus.values().any(|changes| !changes.destroy.is_empty() || !changes.create.is_empty())
    }

    /// Whether a node is as it makes it.
    pub(super) fn is_seen(&self, inventory: &Inventory) -> bool {
        let is_so = |(uuid, changes): (&String, &Changes)| {
            let gpu = inventory.gpus.iter().find(|gpu| gpu.uuid == *uuid);
            let there = |place: &Placement| {
                gpu.and_then(|gpu| gpu.instances.iter().find(|instance| instance.placement == *place))
            };
            let Changes { destroy, create, close, open, .. } = changes;
            !destroy.iter().any(|place| there(place).is_some())
                && create.iter().all(|place| there(place).is_some())
                && close.iter().all(|place| there(place).is_some_and(|instance| instance.closed))
                && open.iter().all(|place| there(place).is_some_and(|instance| !instance.closed))
        };
        self.gpus.iter().all(is_so)
    }

    /// As `gresgen order` reads it.
    pub(super) fn text(&self) -> String {
        let gpus: Vec<Value> = self
            .gpus
            .iter()
            .map(|(gpu, changes)| {
                let mut value = json!(changes);
                value["gpu"] = json!(gpu);
                value
            })
            .collect();
        json!({"cut": {"job": self.job, "gpus": gpus}}).to_string()
    }
}

/// The order that changes nothing.
pub(super) const LOOK: &str = r#"{"look": {}}"#;

/// An answer that was read.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) code: Code,
    /// Why, where it is not done; harmless, and short.
    pub(super) error: Option<String>,
    pub(super) look: Option<Box<Seen>>,
}

/// A look at a node.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) known: Known,
    /// Profiles that may be ordered of each GPU, by UUID.
    pub(super) offers: BTreeMap<String, BTreeSet<Profile>>,
    /// Somebody changes the node now.
    pub(super) running: bool,
    /// A change was cut off.
    pub(super) interrupted: bool,
}

/// Version of the answers that are read.
const VERSION: u32 = 1;

/// The answer as it comes. Keys are added by later releases.
#[derive(Deserialize)]
struct Document {
    version: u32,
    code: Code,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    look: Option<Value>,
    #[serde(default)]
    offers: BTreeMap<String, Vec<String>>,
}

/// Reads the answer of a node.
///
/// # Errors
/// As a phrase, harmless and short.
pub(super) fn read(node: &str, text: &[u8]) -> Result<Answer, String> {
    let document: Document =
        serde_json::from_slice(text).map_err(|error| shown(&format!("is no answer to an order: {error}")))?;
    if document.version != VERSION {
        return Err(format!("its answers have version {}, not {VERSION}", document.version));
    }
    let look = document.look.filter(|look| !look.is_null());
    let look = look.map(|look| seen(node, &look, &document.offers)).transpose()?;
    Ok(Answer { code: document.code, error: document.error.as_deref().map(shown), look: look.map(Box::new) })
}

fn seen(node: &str, look: &Value, offers: &BTreeMap<String, Vec<String>>) -> Result<Seen, String> {
    let known = document::read_indexed(&look.to_string()).map_err(|error| shown(&error.to_string()))?;
    if known.0.node != node {
        return Err(format!(
            "says that it is {}; slurm.node there says which node it is",
            shown(&known.0.node)
        ));
    }
    plausible(&known.0)?;
    let is_there = |key: &str| look.get(key).is_some_and(|value| !value.is_null());
    let menu = |names: &Vec<String>| names.iter().filter_map(|name| name.parse().ok()).collect();
    Ok(Seen {
        known,
        offers: offers.iter().map(|(gpu, names)| (gpu.clone(), menu(names))).collect(),
        running: is_there("running"),
        interrupted: is_there("interrupted"),
    })
}

/// Most GPUs of a node, most placement units of a GPU, most profiles of either kind of one: what Slurm and NVML have at most,
/// doubled. Whoever is root on a node could otherwise say it had a GPU for which no best cut is ever found.
const MOST_GPUS: usize = 64;
const MOST_UNITS: u8 = 16;
const MOST_PROFILES: usize = 64;

fn plausible(inventory: &Inventory) -> Result<(), String> {
    let odd = |gpu: &Gpu| {
        let units = gpu.geometry.units;
        let specs = &gpu.geometry.specs;
        units > MOST_UNITS
            || specs.len() > MOST_PROFILES
            || specs.iter().any(|spec| is_odd(spec, units))
            || gpu.instances.len() > usize::from(units)
    };
    let mut uuids = BTreeSet::new();
    if inventory.gpus.len() > MOST_GPUS {
        return Err(format!("says that it has {} GPUs", inventory.gpus.len()));
    }
    match inventory.gpus.iter().find(|gpu| odd(gpu) || !uuids.insert(&gpu.uuid)) {
        Some(gpu) => Err(format!("says of GPU {} what no GPU has", gpu.index)),
        None => Ok(()),
    }
}

/// Whether no GPU of so many placement units has such a profile: a compute slice has a unit of its own, and more than one on some.
fn is_odd(spec: &Spec, units: u8) -> bool {
    let fits = |start: &u8| start.checked_add(spec.size).is_some_and(|end| end <= units);
    spec.size < spec.profile.slices().max(1)
        || !spec.starts.iter().all(fits)
        || spec.starts.len() > units.into()
        || spec.compute.len() > MOST_PROFILES
}

/// Most characters of a text that a node sent.
const MOST_TEXT: usize = 300;

/// The beginning of a text of somebody else, on one line, without what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() || turns_text(c) { ' ' } else { c };
    let line: String = text.trim().chars().take(MOST_TEXT).map(plain).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use mig::Geometry;

    use super::*;
    use crate::order;

    fn place(text: &str) -> Placement {
        let (profile, start) = text.split_once('@').unwrap();
        Placement { profile: profile.parse().unwrap(), start: start.parse().unwrap() }
    }

    /// The other side's reader, which knows no key but its own, takes what is sent.
    #[test]
    fn what_is_sent_is_what_a_node_reads() {
        let changes = Changes {
            destroy: vec![place("1g.5gb@0"), place("1g.5gb@1")],
            create: vec![place("2g.10gb@0")],
            ..Changes::default()
        };
        let gpu = "GPU-8c4c05eb-4ff1-5bcd-b394-0c3c04a6ba58";
        let order = NodeOrder { job: Some("17".into()), gpus: [(gpu.into(), changes.clone())].into() };
        let order::Request::Cut(read) = order::read(order.text().as_bytes()).unwrap() else { panic!() };
        assert_eq!(read.job.unwrap().as_str(), "17");
        assert_eq!((&read.gpus[0].destroy, &read.gpus[0].create), (&changes.destroy, &changes.create));
        assert!(order.cuts());
        let order::Request::Cut(finish) = order::read(NodeOrder::default().text().as_bytes()).unwrap() else {
            panic!()
        };
        assert_eq!((finish.gpus.len(), finish.job), (0, None));
        assert!(matches!(order::read(LOOK.as_bytes()), Ok(order::Request::Look(_))));
    }

    fn look(inventory: &Inventory) -> String {
        let mut look = json!(document::Document::from(inventory));
        look["gres_index"] = json!({});
        look["running"] = json!(4711);
        look["layout"] = json!({"label": "\u{1b}[2J"});
        let gpu = inventory.gpus.first().map_or("GPU-x", |gpu| &gpu.uuid);
        json!({"version": 1, "exit": 0, "code": "done", "error": null, "look": look, "later": [1],
            "offers": {gpu: ["1g.5gb", "9g.later"]}})
        .to_string()
    }

    fn n1() -> Inventory {
        let gpus = vec![Gpu::a100_cut(0, &[place("1g.5gb@0")])];
        Inventory { node: "n1".into(), gpus, ..Inventory::default() }
    }

    #[test]
    fn a_look_speaks_for_its_own_node() {
        let answer = read("n1", look(&n1()).as_bytes()).unwrap();
        let seen = answer.look.unwrap();
        assert_eq!((answer.code, seen.running, seen.interrupted), (Code::Done, true, false));
        assert_eq!(seen.offers.values().next().unwrap().len(), 1, "a profile of a later release is left out");
        assert_eq!(seen.known.0.gpus[0].instances[0].placement, place("1g.5gb@0"));
        let error = read("n2", look(&n1()).as_bytes()).unwrap_err();
        assert!(error.contains("says that it is n1"), "{error}");
    }

    #[test]
    fn what_no_node_says_is_not_believed() {
        for text in ["", "[]", "{}", "{\"version\": 1}", "\u{1b}]0;x\u{7}", &"[".repeat(100_000)] {
            let error = read("n1", text.as_bytes()).unwrap_err();
            assert!(error.len() < 400 && !error.contains(char::is_control), "{error:?}");
        }
        let error = read("n1", br#"{"version": 2, "code": "done"}"#).unwrap_err();
        assert_eq!(error, "its answers have version 2, not 1");
        let later = read("n1", br#"{"version": 1, "code": "adjourned", "error": "a\u001b[2J\nb"}"#).unwrap();
        assert_eq!((later.code, later.error.as_deref()), (Code::Unknown, Some("a [2J b")));
        let mut wild = n1();
        wild.gpus[0].geometry.specs[0].size = 0;
        assert_eq!(read("n1", look(&wild).as_bytes()).unwrap_err(), "says of GPU 0 what no GPU has");
        let mut twice = n1();
        twice.gpus.push(twice.gpus[0].clone());
        assert_eq!(read("n1", look(&twice).as_bytes()).unwrap_err(), "says of GPU 0 what no GPU has");
        let mut profiles = n1();
        let first = profiles.gpus[0].geometry.specs[0].clone();
        profiles.gpus[0].geometry.specs.extend(vec![first; 1000]);
        assert!(read("n1", look(&profiles).as_bytes()).is_err());
        let mut starts = n1();
        starts.gpus[0].geometry.specs[0].starts = vec![0; 1000];
        assert!(read("n1", look(&starts).as_bytes()).is_err());
        let mut large = n1();
        large.gpus[0].geometry.units = 200;
        assert!(read("n1", look(&large).as_bytes()).is_err());
    }

    #[test]
    fn a_long_name_is_not_repeated() {
        let mut other = n1();
        other.node = "x".repeat(4 << 20);
        let error = read("n1", look(&other).as_bytes()).unwrap_err();
        assert!(error.len() < 400, "{}", error.len());
    }

    /// Neither too many profiles, nor one smaller than its compute slices: 3g in one unit.
    #[test]
    fn a_gpu_has_what_gpus_have() {
        for board in mig::BOARDS {
            let geometry = board.geometry();
            let Geometry { units, specs, .. } = &geometry;
            assert!(
                *units <= MOST_UNITS && specs.len() * 2 <= MOST_PROFILES,
                "{}: {}",
                board.key,
                specs.len()
            );
            assert!(!specs.iter().any(|spec| is_odd(spec, *units)), "{}", board.key);
        }
        let mut small = n1();
        for spec in &mut small.gpus[0].geometry.specs {
            spec.size = 1;
        }
        assert_eq!(read("n1", look(&small).as_bytes()).unwrap_err(), "says of GPU 0 what no GPU has");
    }
}
