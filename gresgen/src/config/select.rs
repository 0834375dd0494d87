//! Which GPUs are meant: by index, UUID, PCI address, model, or all.

use std::fmt;
use std::str::FromStr;

use mig::{BOARDS, Board, Geometry};

use crate::alike::groups;
use crate::inventory::Gpu;
use crate::pci::{PciAddress, PciIds};
use crate::uuid::begins;
use crate::words::named_gpus;

/// What selecting and planning need to know of a GPU.
#[derive(Clone, Debug)]
pub struct GpuFacts<'a> {
    /// NVML index.
    pub index: u32,
    /// `GPU-…`.
    pub uuid: &'a str,
    /// PCI address.
    pub pci: &'a str,
    pub pci_ids: PciIds,
    pub model: &'a str,
    /// What it can be cut into.
    pub geometry: &'a Geometry,
}

impl<'a> From<&'a Gpu> for GpuFacts<'a> {
    fn from(gpu: &'a Gpu) -> Self {
        GpuFacts {
            index: gpu.index,
            uuid: &gpu.uuid,
            pci: &gpu.pci,
            pci_ids: PciIds { device: gpu.pci_device, subsystem: gpu.pci_subsystem },
            model: &gpu.model,
            geometry: &gpu.geometry,
        }
    }
}

impl fmt::Display for GpuFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GPU {} ({})", self.index, self.model)
    }
}

/// One way to name GPUs, in configuration files and on the command line alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Every GPU.
    All,
    /// NVML index.
    Index(u32),
    /// `GPU-…`, in either case, or its first digits.
    Uuid(String),
    /// PCI address.
    Pci(PciAddress),
    /// Product name with or without `NVIDIA`, or a key of the board table such as `a100-40gb`.
    Model(String),
}

impl FromStr for Selector {
    type Err = std::convert::Infallible;

    /// Every text selects something: what is nothing else is a model.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        Ok(if text == "all" {
            Selector::All
        } else if let Ok(index) = text.parse() {
            Selector::Index(index)
        } else if text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("GPU-")) {
            Selector::Uuid(text.to_owned())
        } else if let Some(address) = PciAddress::parse(text) {
            Selector::Pci(address)
        } else {
            Selector::Model(text.to_owned())
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::All => f.write_str("all"),
            Selector::Index(index) => index.fmt(f),
            Selector::Uuid(text) | Selector::Model(text) => f.write_str(text),
            Selector::Pci(address) => address.fmt(f),
        }
    }
}

impl Selector {
    /// Whether it is this UUID, or begins it.
    pub(crate) fn is_uuid(&self, uuid: &str) -> bool {
        matches!(self, Selector::Uuid(given) if begins("GPU-", uuid, given))
    }

    /// The GPUs that it may mean, where it is to mean one and does not say which: digits that begin several UUIDs.
    pub(crate) fn several<'a>(&self, gpus: impl Iterator<Item = &'a str>) -> Option<Vec<&'a str>> {
        let meant: Vec<&str> = gpus.filter(|uuid| self.is_uuid(uuid)).collect();
        (meant.len() > 1).then_some(meant)
    }

    /// Whether this GPU is meant.
    pub fn matches(&self, gpu: &GpuFacts<'_>) -> bool {
        match self {
            Selector::All => true,
            Selector::Index(index) => *index == gpu.index,
            Selector::Uuid(_) => self.is_uuid(gpu.uuid),
            Selector::Pci(address) => PciAddress::parse(gpu.pci) == Some(*address),
            Selector::Model(model) => {
                is_name(model, gpu.model)
                    || BOARDS
                        .iter()
                        .any(|b| b.key.eq_ignore_ascii_case(model) && b.names.contains(&gpu.model))
            }
        }
    }
}

fn short(model: &str) -> &str {
    match model.get(..7) {
        Some(vendor) if vendor.eq_ignore_ascii_case("NVIDIA ") => &model[7..],
        _ => model,
    }
}

/// Whether `text` is a product name, with or without `NVIDIA`, in whatever case.
fn is_name(text: &str, name: &str) -> bool {
    short(text).eq_ignore_ascii_case(short(name))
}

/// Whether `text` means this model: by its key, or one of its product names.
pub fn is_model(text: &str, board: &Board) -> bool {
    board.key.eq_ignore_ascii_case(text) || board.names.iter().any(|name| is_name(text, name))
}

/// The models that `text` may mean: the one of that key or that whole product name; else those whose key or name, with or
/// without `NVIDIA`, it begins up to the end of a word.
pub fn boards(text: &str) -> Vec<&'static Board> {
    let whole = |board: &&Board| {
        board.key.eq_ignore_ascii_case(text) || board.names.iter().any(|name| name.eq_ignore_ascii_case(text))
    };
    let exact: Vec<&Board> = BOARDS.iter().filter(whole).collect();
    if !exact.is_empty() {
        return exact;
    }
    let begins = |name: &str| {
        let start = short(name).get(..short(text).len());
        let next = short(name)[start.map_or(0, str::len)..].chars().next();
        start.is_some_and(|start| start.eq_ignore_ascii_case(short(text)))
            && next.is_none_or(|c| !c.is_ascii_alphanumeric())
    };
    BOARDS.iter().filter(|b| begins(b.key) || b.names.iter().any(|name| begins(name))).collect()
}

/// GPUs for a person, those of one model together: `GPUs 0-7 (NVIDIA A100-SXM4-40GB, a100-40gb)`.
pub fn present(gpus: &[GpuFacts<'_>]) -> String {
    let words = groups(gpus, |one, other| one.model == other.model).into_iter().map(|group| {
        let model = group[0].model;
        let key = BOARDS.iter().find(|board| board.names.contains(&model));
        let key = key.map(|board| format!(", {}", board.key)).unwrap_or_default();
        format!("{} ({model}{key})", named_gpus(group.iter().map(|gpu| gpu.index)))
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(geometry: &Geometry) -> GpuFacts<'_> {
        GpuFacts {
            index: 3,
            uuid: "GPU-11111111-2222-5333-8444-555555555555",
            pci: "0000:07:00.0",
            pci_ids: PciIds { device: 0x20B0_10DE, subsystem: None },
            model: "NVIDIA A100-SXM4-40GB",
            geometry,
        }
    }

    #[test]
    fn every_spelling_of_one_gpu() {
        let geometry = Geometry { units: 0, slices: 0, specs: Vec::new() };
        for text in [
            "all",
            "3",
            "GPU-11111111-2222-5333-8444-555555555555",
            "gpu-11111111-2222-5333-8444-555555555555",
            "GPU-1111",
            "gpu-11111111-2222",
            "0000:07:00.0",
            "00000000:07:00.0",
            "07:00.0",
            "7:0",
            "NVIDIA A100-SXM4-40GB",
            "a100-sxm4-40gb",
            "a100-40gb",
        ] {
            let selector: Selector = text.parse().unwrap();
            assert!(selector.matches(&facts(&geometry)), "{text} is {selector:?}");
        }
    }

    #[test]
    fn a_model_is_meant_by_what_its_names_begin_with() {
        let keys = |text: &str| boards(text).iter().map(|board| board.key).collect::<Vec<_>>();
        assert_eq!(keys("A30"), ["a30-24gb"]);
        assert_eq!(keys("NVIDIA H200"), ["h200-141gb"]);
        assert_eq!(keys("a100"), ["a100-40gb", "a100-80gb", "a100-64gb"]);
        let h100 = ["h100-80gb-sxm", "h100-80gb-pcie", "h100-94gb-nvl", "h100-94gb-sxm", "h100-64gb-sxm"];
        assert_eq!(keys("H100"), h100);
        assert_eq!(keys("NVIDIA H100"), ["h100-94gb-sxm"], "that is how one of them is called");
        for text in ["", "NVIDIA ", "H10", "a100-41gb", "é"] {
            assert_eq!(keys(text), [""; 0], "{text:?}");
        }
    }

    #[test]
    fn digits_that_begin_several_uuids_mean_none() {
        let uuids = ["GPU-abcd1111-0", "GPU-abcd2222-0", "GPU-eeee0000-0"];
        let several = |text: &str| text.parse::<Selector>().unwrap().several(uuids.into_iter());
        assert_eq!(several("GPU-abcd"), Some(uuids[..2].to_vec()));
        for text in ["GPU-abcd1", "gpu-EEEE", "GPU-ffff", "GPU-", "all", "0"] {
            assert_eq!(several(text), None, "{text}");
        }
    }

    #[test]
    fn a_filter_may_ask_for_the_board_too() {
        let ids = |text: &str| text.parse::<PciIds>().unwrap();
        let gpu = ids("0x20B010DE:0x134f10de");
        assert!(ids("0x20b010DE").matches(gpu) && ids("0X20B010DE:0x134F10DE").matches(gpu));
        assert!(!ids("0x20B010DE:0x000010DE").matches(gpu) && !ids("0x20B210DE").matches(gpu));
        assert!(!gpu.matches(ids("0x20B010DE")), "an unknown board is not the one asked for");
        for text in ["", "20B010DE", "0x", "0x20B010DE:", "0x20B010DE:0x1:0x2", "0x120B010DE"] {
            assert!(text.parse::<PciIds>().is_err(), "{text}");
        }
    }

    #[test]
    fn other_gpus_are_not_meant() {
        let geometry = Geometry { units: 0, slices: 0, specs: Vec::new() };
        for text in [
            "0",
            "33",
            "GPU-",
            "GPU-111",
            "GPU-11111112",
            "1111",
            "MIG-1111",
            "0001:07:00.0",
            "07:00.1",
            "A100",
            "a100-80gb",
            "ALL",
            "",
            "::",
        ] {
            let selector: Selector = text.parse().unwrap();
            assert!(!selector.matches(&facts(&geometry)), "{text} is {selector:?}");
        }
    }
}
