//! What a site says about billing: `sms`, or `{by: [slices, memory-slices], gpu: {h100: 12.2}}`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{F64Deserializer, StrDeserializer};
use serde::de::{Deserializer, Error};

use crate::forms::reads;
use crate::schema::{self, schema_of};

/// What the part of a GPU is that a MIG device is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Streaming multiprocessors.
    Sms,
    /// Memory in MiB, as the driver gives it.
    Memory,
    /// Compute slices: a `3g` is three sevenths of an H100.
    Slices,
    /// Memory slices: a `3g.40gb` is four eighths of an H100.
    MemorySlices,
    /// The same for every MIG device: `slice`.
    Flat,
}

/// How devices are billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billing {
    /// Of several rules the one that gives most counts.
    pub by: Vec<Rule>,
    /// Weight of a whole GPU.
    pub gpu: Scale,
    /// Weight of every MIG device, by the rule [`Rule::Flat`].
    pub slice: Option<Scale>,
}

/// A weight for all models, or one for each: by product name, or by the short name that types have (`h100`).
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum Scale {
    /// For all.
    All(Weight),
    /// By model.
    ByModel(BTreeMap<String, Weight>),
}

/// A billing weight, in thousandths. Slurm reads weights as doubles; three places are what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub struct Weight(#[schemars(with = "f64")] pub u64);

impl Weight {
    /// 1.
    pub const ONE: Self = Weight(1000);
    /// Largest that is read: far above any rate, far below what products of it overflow.
    const MAX: f64 = 1e9;
}

impl std::fmt::Display for Weight {
    /// `0.143`; `1.000` for one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1000, self.0 % 1000))
    }
}

impl From<Rule> for Billing {
    /// In proportion, a whole GPU being 1.
    fn from(rule: Rule) -> Self {
        Billing { by: vec![rule], gpu: Scale::All(Weight::ONE), slice: None }
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        let thousandths = (number * 1000.0).round();
        if !(0.0..=Self::MAX).contains(&number) || (number > 0.0 && thousandths == 0.0) {
            return Err(D::Error::custom("a billing weight is 0, or from 0.001 to 1000000000"));
        }
        Ok(Weight(thousandths as u64))
    }
}

reads!(Scale as "a weight, or one for each model";
    u64(number) => Weight::deserialize(F64Deserializer::new(number as f64)).map(Scale::All),
    i64(number) => Weight::deserialize(F64Deserializer::new(number as f64)).map(Scale::All),
    f64(number) => Weight::deserialize(F64Deserializer::new(number)).map(Scale::All),
    map(models) => BTreeMap::deserialize(models).map(Scale::ByModel),
);

/// The long form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    /// A rule, or several, of which the one that gives most counts
    #[schemars(with = "schema::Many<Rule>")]
    by: Rules,
    /// Weight of a whole GPU, for all models or by model
    gpu: Option<Scale>,
    /// Weight of every MIG device, by the rule flat
    slice: Option<Scale>,
}

/// What [`Billing`] looks like.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is made of it")]
#[serde(untagged)]
enum Written {
    Rule(Rule),
    Keys(Keys),
}

schema_of!(Billing => Written);

struct Rules(Vec<Rule>);

reads!(Rules as "a rule or a list of rules: sms, memory, slices, memory-slices, flat";
    str(rule) => Ok(Rules(vec![Rule::deserialize(StrDeserializer::new(rule))?])),
    seq(list) => Vec::deserialize(list).map(Rules),
);

reads!(Billing as "a rule of billing, or its keys";
    str(rule) => Billing::from(Rule::deserialize(StrDeserializer::new(rule))?).sound(),
    map(keys) => {
        let Keys { by, gpu, slice } = Keys::deserialize(keys)?;
        Billing { by: by.0, gpu: gpu.unwrap_or(Scale::All(Weight::ONE)), slice }.sound()
    },
);

impl Billing {
    fn sound<E: Error>(self) -> Result<Self, E> {
        match (self.by.is_empty(), self.by.contains(&Rule::Flat), &self.slice) {
            (true, ..) => Err(E::custom("billing by no rule")),
            (_, true, None) => {
                Err(E::custom("billing by flat: slice, the weight of a MIG device, is missing"))
            }
            (_, false, Some(_)) => {
                Err(E::custom("slice is the weight of a MIG device by flat, which is not in by"))
            }
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Billing, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn short_and_long_forms() {
        assert_eq!(read("sms").unwrap(), Rule::Sms.into());
        assert_eq!(read("{by: memory}").unwrap(), Rule::Memory.into());
        let alliance = read("{by: [slices, memory-slices], gpu: {h100: 12.2, a100: 4}}").unwrap();
        let models = [("a100".to_owned(), Weight(4000)), ("h100".to_owned(), Weight(12200))];
        let by = vec![Rule::Slices, Rule::MemorySlices];
        assert_eq!(alliance, Billing { by, gpu: Scale::ByModel(models.into()), slice: None });
        let flat = read("{by: flat, gpu: 150, slice: 47}").unwrap();
        assert_eq!((flat.gpu, flat.slice), (Scale::All(Weight(150_000)), Some(Scale::All(Weight(47_000)))));
    }

    #[test]
    fn what_is_no_billing_is_refused() {
        for (text, word) in [
            ("hours", "hours"),
            ("{by: [sms, hours]}", "hours"),
            ("{by: []}", "no rule"),
            ("flat", "slice"),
            ("{by: sms, slice: 1}", "flat"),
            ("{by: sms, gpu: -1}", "weight"),
            ("{by: sms, gpu: 0.0001}", "weight"),
            ("{by: sms, gpu: .nan}", ".nan"),
            ("{by: sms, gpu: {h100: 1e12}}", "weight"),
            ("{by: sms, zzz: 1}", "zzz"),
            ("{gpu: 1}", "by"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
