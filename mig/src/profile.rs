//! Names of MIG profiles: `[<c>c.]<g>g.<n>gb[+me|-me|+gfx|+me.all]`.
//!
//! The grammar is the one of `nvidia-smi mig -lgip` and of NVIDIA's mig-parted configuration files
//! (go-nvlib `mig_profile.go`). The `c` part is present only for a compute instance that is smaller
//! than its GPU instance: `1c.3g.20gb` is one compute slice of a `3g.20gb`, and `1c.1g.20gb` has the one slice of a
//! `1g.20gb` but not all of its SMs.

use std::fmt;
use std::str::FromStr;

/// Media-engine and graphics variant of a profile, the part after the memory size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attribute {
    /// No suffix.
    #[default]
    None,
    /// `+me`: the slice also gets the media engines; at most one per GPU.
    Me,
    /// `-me`: no media engine at all.
    NoMe,
    /// `+gfx`: graphics APIs are available.
    Gfx,
    /// `+me.all`: all media engines of the GPU; excludes every profile but the `-me` ones.
    MeAll,
}

impl Attribute {
    const ALL: [Attribute; 5] =
        [Attribute::None, Attribute::Me, Attribute::NoMe, Attribute::Gfx, Attribute::MeAll];

    /// The suffix as it is written in a profile name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Attribute::None => "",
            Attribute::Me => "+me",
            Attribute::NoMe => "-me",
            Attribute::Gfx => "+gfx",
            Attribute::MeAll => "+me.all",
        }
    }
}

/// A GPU instance profile, or with [`Profile::compute`] a compute instance profile inside one.
///
/// Ordered by compute slices, then memory, so the largest profile is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Profile {
    slices: u8,
    memory_gb: u16,
    attribute: Attribute,
    compute: Option<u8>,
}

impl Profile {
    /// A GPU instance profile: compute slices and the memory figure of its name, in GB.
    pub const fn new(slices: u8, memory_gb: u16, attribute: Attribute) -> Self {
        Profile { slices, memory_gb, attribute, compute: None }
    }

    /// Compute slices of the GPU instance.
    pub const fn slices(self) -> u8 {
        self.slices
    }

    /// The memory figure of the name, in GB. NVIDIA rounds it; never use it as a capacity.
    pub const fn memory_gb(self) -> u16 {
        self.memory_gb
    }

    /// The variant named by the suffix.
    pub const fn attribute(self) -> Attribute {
        self.attribute
    }

    /// Compute slices of a compute instance smaller than its GPU instance, in slices or in SMs; `None` when it fills it.
    pub const fn compute(self) -> Option<u8> {
        self.compute
    }

    /// Whether a GPU holds one instance of this profile at most, because it takes the media engines.
    pub const fn is_alone(self) -> bool {
        matches!(self.attribute, Attribute::Me | Attribute::MeAll)
    }

    /// Compute slices this names: those of the compute instance, or of the whole GPU instance.
    pub const fn compute_slices(self) -> u8 {
        match self.compute {
            Some(slices) => slices,
            None => self.slices,
        }
    }

    /// The GPU instance profile this belongs to: `1c.3g.20gb` gives `3g.20gb`.
    pub const fn gpu_instance(self) -> Self {
        Profile { compute: None, ..self }
    }

    /// The compute instance of `slices` slices in this GPU instance; all of them give the profile itself.
    pub const fn with_compute(self, slices: u8) -> Self {
        if slices == self.slices { self.gpu_instance() } else { self.part(slices) }
    }

    /// The compute instance of `slices` slices that does not have all of this GPU instance. With all the slices it
    /// lacks SMs.
    pub const fn part(self, slices: u8) -> Self {
        Profile { compute: Some(slices), ..self }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        if let Some(compute) = self.compute {
            name.push_str(&format!("{compute}c."));
        }
        name.push_str(&format!("{}g.{}gb{}", self.slices, self.memory_gb, self.attribute.suffix()));
        f.pad(&name)
    }
}

/// A text that is no profile name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    /// The text as given.
    pub text: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: not a MIG profile name such as 1g.5gb, 1c.3g.20gb or 1g.10gb+me", self.text)
    }
}

impl std::error::Error for ProfileError {}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        parse(text).ok_or_else(|| ProfileError { text: text.to_owned() })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Profile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Profile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Profile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Profile".into()
    }

    /// The grammar of [`parse`], as far as an expression says it.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Profile, as nvidia-smi spells it",
            "pattern": r"^([1-9]\d*c\.)?[1-9]\d*g\.[1-9]\d*gb([+-][a-z.]+)?$",
        })
    }
}

fn parse(text: &str) -> Option<Profile> {
    let (compute, rest) = match text.split_once("c.") {
        Some((compute, rest)) => (Some(number::<u8>(compute)?), rest),
        None => (None, text),
    };
    let (slices, rest) = rest.split_once("g.")?;
    let (memory, suffix) = rest.split_once("gb")?;
    let slices = number::<u8>(slices)?;
    let attribute = Attribute::ALL.into_iter().find(|a| a.suffix() == suffix)?;
    let profile = Profile::new(slices, number(memory)?, attribute);
    match compute {
        Some(compute) if compute > slices => None,
        // Of the compute profiles only that of one slice comes with fewer SMs, too (nvml.h,
        // NVML_COMPUTE_INSTANCE_PROFILE_1_SLICE and _1_SLICE_REV1); go-nvlib takes the others for the whole.
        Some(1) => Some(profile.part(1)),
        Some(compute) => Some(profile.with_compute(compute)),
        None => Some(profile),
    }
}

/// A positive decimal number with neither sign nor leading zero, so that every profile has one spelling.
fn number<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Option<T> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|n| canonical && *n > T::from(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_in_use_reads_back_as_written() {
        for name in [
            "1g.5gb",
            "1g.10gb+me",
            "1g.24gb-me",
            "4g.96gb+gfx",
            "1g.24gb+me.all",
            "7g.141gb",
            "1c.3g.20gb",
            "2c.4g.40gb",
            "1c.2g.12gb+me",
            "1c.1g.20gb",
        ] {
            assert_eq!(name.parse::<Profile>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_full_compute_instance_is_the_gpu_instance() {
        assert_eq!("3c.3g.20gb".parse::<Profile>().unwrap().to_string(), "3g.20gb");
        assert_eq!("1c.3g.20gb".parse::<Profile>().unwrap().gpu_instance().to_string(), "3g.20gb");
    }

    #[test]
    fn other_texts_are_refused_by_name() {
        for text in [
            "",
            "1g",
            "1g.5",
            "g.5gb",
            "1g.5GB",
            "01g.5gb",
            "0g.5gb",
            "1g.5gb+",
            "1g.5gb+foo",
            "4c.3g.20gb",
            "1g.5gb ",
            "c.1g.5gb",
            "+1g.5gb",
            "all",
        ] {
            let error = text.parse::<Profile>().unwrap_err();
            assert_eq!(error.text, text);
        }
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(slices in 1u8..=8, gb in 1u16..=999, attribute in 0usize..5, compute in 1u8..=8) {
            let profile = Profile::new(slices, gb, Attribute::ALL[attribute]);
            let profile = match compute {
                1 => profile.part(1),
                compute if compute <= slices => profile.with_compute(compute),
                _ => profile,
            };
            prop_assert_eq!(profile.to_string().parse::<Profile>().unwrap(), profile);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = text.parse::<Profile>();
        }
    }
}
