//! Which GPUs a simulated machine has: `key[:count][:option]...`, comma-separated.
//!
//! `a100-40gb:2,h100-80gb-sxm:1:mirrored` is a node with two A100 and an H100 on a mirrored board.
//! Keys are those of [`mig::BOARDS`]; boards of which only profile names are known are refused.

use std::fmt;
use std::str::FromStr;

use mig::{Board, Certainty};
use serde::{Deserialize, Serialize};

/// The capability minors of the driver are fixed for 32 GPUs (open-gpu-kernel-modules, nv-caps.c).
pub const MAX_GPUS: usize = 32;

/// The GPUs of a machine, in NVML index order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    entries: Vec<Entry>,
}

/// Some GPUs of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: &'static str,
    count: usize,
    traits: Traits,
}

/// What sets one GPU apart from a plain one of its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traits {
    /// The absent GPC lies in the low half: the same placements have other GPU instance ids.
    pub mirrored: bool,
    /// Device minors run against the NVML index, over all GPUs that carry this.
    pub shuffled: bool,
    /// MIG device indexes have holes.
    pub gaps: bool,
    /// A client holds the GPU: on Ampere a mode change stays pending until the GPU is reset.
    pub held: bool,
    /// The machine is a guest and this is a vGPU: no instances can be made.
    pub vgpu: bool,
    /// Nobody makes `/dev/nvidia-caps` nodes for its instances, as on a host without `nvidia-modprobe`.
    pub nocaps: bool,
    /// The machine is a guest that this GPU is passed through to, and cannot reset it: on Ampere a mode change stays
    /// pending until it is rebooted.
    #[serde(default)]
    pub passthrough: bool,
}

/// A text that describes no machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// Nothing between two commas, or nothing at all.
    Empty,
    /// No board has this key.
    UnknownBoard(String),
    /// The board's numbers are not known.
    NamesOnly(&'static str),
    /// A count that is no positive number.
    Count(String),
    /// An option that does not exist.
    UnknownOption(String),
    /// `mirrored` on a board that has no mirrored form.
    NotMirrorable(&'static str),
    /// `shuffled` on a single GPU.
    LoneShuffled,
    /// More GPUs than the driver has capability minors for.
    TooMany(usize),
}

impl Traits {
    /// Option names, in the order they are written.
    const NAMES: [&str; 7] = ["mirrored", "shuffled", "gaps", "held", "vgpu", "nocaps", "passthrough"];

    fn flags(&mut self) -> [&mut bool; 7] {
        [
            &mut self.mirrored,
            &mut self.shuffled,
            &mut self.gaps,
            &mut self.held,
            &mut self.vgpu,
            &mut self.nocaps,
            &mut self.passthrough,
        ]
    }
}

impl Spec {
    /// Board and traits of every GPU, in NVML index order.
    pub fn gpus(&self) -> impl Iterator<Item = (&'static Board, Traits)> + '_ {
        self.entries.iter().flat_map(|e| {
            let board = Board::by_key(e.key).expect("keys are checked when a spec is parsed");
            std::iter::repeat_n((board, e.traits), e.count)
        })
    }

    /// Keys a machine can be built of.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        mig::BOARDS.iter().filter(|b| has_numbers(b)).map(|b| b.key)
    }
}

fn has_numbers(board: &Board) -> bool {
    board.certainty != Certainty::NamesOnly
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let entries = text.split(',').map(|part| part.trim().parse()).collect::<Result<Vec<Entry>, _>>()?;
        let spec = Spec { entries };
        let count = spec.gpus().count();
        if count > MAX_GPUS {
            return Err(SpecError::TooMany(count));
        }
        if spec.gpus().filter(|(_, t)| t.shuffled).count() == 1 {
            return Err(SpecError::LoneShuffled);
        }
        Ok(spec)
    }
}

impl FromStr for Entry {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut fields = text.split(':').peekable();
        let key = fields.next().filter(|k| !k.is_empty()).ok_or(SpecError::Empty)?;
        let board = Board::by_key(key).ok_or_else(|| SpecError::UnknownBoard(key.to_owned()))?;
        if !has_numbers(board) {
            return Err(SpecError::NamesOnly(board.key));
        }
        let count = match fields.next_if(|f| f.starts_with(|c: char| !c.is_ascii_alphabetic())) {
            None => 1,
            Some(field) => parse_count(field)?,
        };
        let mut traits = Traits::default();
        for field in fields {
            let at = Traits::NAMES.iter().position(|&name| name == field);
            let at = at.ok_or_else(|| SpecError::UnknownOption(field.to_owned()))?;
            *traits.flags()[at] = true;
        }
        // Mirrored ids were seen on 8-unit boards only.
        if traits.mirrored && board.units != 8 {
            return Err(SpecError::NotMirrorable(board.key));
        }
        Ok(Entry { key: board.key, count, traits })
    }
}

fn parse_count(field: &str) -> Result<usize, SpecError> {
    let count = field.parse().ok().filter(|n| (1..=MAX_GPUS).contains(n));
    count.ok_or_else(|| SpecError::Count(field.to_owned()))
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, entry) in self.entries.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}", entry.key, entry.count)?;
            let mut traits = entry.traits;
            for (name, _) in Traits::NAMES.iter().zip(traits.flags()).filter(|(_, on)| **on) {
                write!(f, ":{name}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = || Spec::keys().collect::<Vec<_>>().join(", ");
        match self {
            SpecError::Empty => write!(f, "no GPU model given; known are {}", keys()),
            SpecError::UnknownBoard(key) => write!(f, "{key:?}: no such GPU model; known are {}", keys()),
            SpecError::NamesOnly(key) => {
                write!(f, "{key}: only its profile names are known, not its numbers; use one of {}", keys())
            }
            SpecError::Count(text) => {
                write!(f, "{text:?}: not a number of GPUs; give a number from 1 to {MAX_GPUS}")
            }
            SpecError::UnknownOption(text) => {
                write!(f, "{text:?}: no such option; known are {}", Traits::NAMES.join(", "))
            }
            SpecError::NotMirrorable(key) => {
                write!(f, "{key}: has no mirrored form; leave the option mirrored out")
            }
            SpecError::LoneShuffled => {
                write!(f, "shuffled: one GPU alone has nothing to swap with; give it to two GPUs or more")
            }
            SpecError::TooMany(count) => {
                write!(f, "{count} GPUs: the driver has capability minors for {MAX_GPUS}; ask for fewer")
            }
        }
    }
}

impl std::error::Error for SpecError {}

impl Serialize for Spec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_reads_back_in_its_full_form() {
        for (given, full) in [
            ("a100-40gb", "a100-40gb:1"),
            ("a100-40gb:2,h100-80gb-sxm:1:mirrored", "a100-40gb:2,h100-80gb-sxm:1:mirrored"),
            ("a30-24gb:held:gaps", "a30-24gb:1:gaps:held"),
            (" h200-141gb:8:shuffled , b200-180gb ", "h200-141gb:8:shuffled,b200-180gb:1"),
        ] {
            let spec: Spec = given.parse().unwrap();
            assert_eq!(spec.to_string(), full);
            assert_eq!(full.parse(), Ok(spec));
        }
    }

    #[test]
    fn every_board_with_numbers_can_be_had() {
        assert!(Spec::keys().count() >= 17);
        for key in Spec::keys() {
            assert_eq!(key.parse::<Spec>().unwrap().gpus().count(), 1, "{key}");
        }
    }

    #[test]
    fn refusals() {
        let errors: Vec<String> = [
            "",
            "a100-40gb,",
            "a100",
            "h20-96gb:2",
            "a100-40gb:0",
            "a100-40gb:-1",
            "a100-40gb:33",
            "a100-40gb:2:sideways",
            "a100-40gb:2:",
            "a30-24gb:1:mirrored",
            "a100-40gb:1:shuffled",
            "a100-40gb:20,a30-24gb:20",
        ]
        .into_iter()
        .map(|text| format!("{text:?} -> {}", text.parse::<Spec>().unwrap_err()))
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }
}
