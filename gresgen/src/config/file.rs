//! The configuration file as it is written: the grammar of NVIDIA's mig-parted with additions.
//!
//! ```yaml
//! version: v1
//! layout: mixed                      # addition: the label used when none is asked for
//! mig-configs:
//!   mixed:
//!     - device-filter: "0x20B010DE"  # PCI ids of device and vendor, or a list of them; absent: any
//!       devices: all                 # or [0, 1]; addition: UUIDs, PCI addresses, models
//!       mig-enabled: true
//!       mig-devices:
//!         1g.5gb: 2
//!         3g.20gb: {count: 1, at: 4} # addition: places, as nvidia-smi mig -lgipp prints them
//!     - devices: [6, 7]
//!       mig-enabled: true
//!       per: node                    # addition: counts over all of these GPUs together
//!       mig-devices: {1g.5gb: 10, 3g.20gb: 1}
//! slurm: {release: "24.11"}          # addition: see `Settings`
//! ```
//!
//! Nothing here is `untagged` or flattened: serde would buffer the values and lose their places.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{I64Deserializer, StrDeserializer, U64Deserializer};
use serde::de::{self, Deserializer, MapAccess, Unexpected, Visitor};
use serde_saphyr::Spanned;

use crate::forms::reads;
use crate::pci::PciIds;
use crate::schema::{self, schema_of};
use crate::slurm::Settings;

/// What the GPUs of nodes are cut into, and what their Slurm has to know.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Document {
    /// The version of the grammar: v1
    #[schemars(with = "Version")]
    pub(super) version: Spanned<String>,
    /// The label of mig-configs that is meant when --layout does not say
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) layout: Option<Spanned<String>>,
    /// Layouts, each a list of entries
    #[serde(default, deserialize_with = "labels")]
    #[schemars(with = "BTreeMap<String, Vec<Entry>>")]
    pub(super) mig_configs: Labels,
    /// What Slurm has to know
    #[serde(default)]
    pub(super) slurm: Settings,
    /// What is run, and which services are stopped, around a change
    #[serde(default)]
    pub(super) hooks: crate::hooks::Settings,
}

/// Versions of the grammar.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is made of it")]
#[serde(rename_all = "lowercase")]
enum Version {
    V1,
}

/// `mig-configs`, in the order written.
type Labels = Vec<(String, Spanned<Vec<Spanned<Entry>>>)>;

/// How some GPUs are to be cut.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Entry {
    /// PCI device and vendor ids such as "0x20B010DE", or with those of the board; the entry holds for these models alone
    #[serde(default)]
    pub(super) device_filter: Option<Many<Filter>>,
    /// all, or indexes, UUIDs, PCI addresses and models
    pub(super) devices: Many<Device>,
    /// Whether MIG is on
    #[schemars(with = "bool")]
    pub(super) mig_enabled: Spanned<bool>,
    /// What the counts are for
    #[serde(default)]
    pub(super) per: Per,
    /// Profiles with their counts, or with places, as in {count: 2, at: [0, 4]}
    #[serde(default)]
    #[schemars(with = "Option<BTreeMap<String, Amount>>")]
    pub(super) mig_devices: Option<Spanned<Counts>>,
}

/// What the counts of `mig-devices` are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Each GPU of the entry: mig-parted's meaning.
    #[default]
    Gpu,
    /// All of them together, anywhere.
    Node,
}

/// One value or a list of them.
#[derive(Debug)]
pub(super) struct Many<T>(pub(super) Vec<Spanned<T>>);

/// An element of `devices`, before it is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Device {
    Index(u32),
    Text(String),
}

/// The ids of a PCI device, and of its board where `:` and those follow; an empty text means any.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(pub(super) Option<PciIds>);

/// `mig-devices`, in the order written.
#[derive(Debug)]
pub(super) struct Counts(pub(super) Vec<(String, Spanned<Amount>)>);

/// How many of a profile, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) count: Option<u32>,
    pub(super) at: Vec<u8>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AmountFields {
    /// How many; absent: as many as places
    count: Option<u32>,
    /// Placement units that they start at
    #[serde(default)]
    at: Option<Many<u8>>,
}

/// What an [`Amount`] looks like.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "the schema is made of it")]
#[serde(untagged)]
enum Written {
    Count(u32),
    Places(AmountFields),
}

schema_of!(Many<T> => schema::Many<T>, T);
schema_of!(Device => schema::NumberOrText);
schema_of!(Filter => schema::NumberOrText);
schema_of!(Amount => Written);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Many(Vec::new())
    }
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    deserializer.deserialize_map(Pairs::new("a map of labels"))
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs::new("a map of profiles to counts")).map(Counts)
    }
}

/// Reads a map as the list of its pairs.
pub(super) struct Pairs<T>(&'static str, PhantomData<T>);

impl<T> Pairs<T> {
    /// `expected` is said where there is no map.
    pub(super) fn new(expected: &'static str) -> Self {
        Pairs(expected, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
    type Value = Vec<(String, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `Spanned` first: it is what makes the deserializer tell where a lone value stands.
        let either = Spanned::<OneOrMany<T>>::deserialize(deserializer)?;
        Ok(Many(match either.value {
            OneOrMany::One(value) => vec![Spanned::new(value, either.referenced, either.defined)],
            OneOrMany::Many(values) => values,
        }))
    }
}

enum OneOrMany<T> {
    One(T),
    Many(Vec<Spanned<T>>),
}

reads!(OneOrMany<T>, T as "a value or a list of them";
    u64(number) => T::deserialize(U64Deserializer::new(number)).map(OneOrMany::One),
    i64(number) => T::deserialize(I64Deserializer::new(number)).map(OneOrMany::One),
    str(text) => T::deserialize(StrDeserializer::new(text)).map(OneOrMany::One),
    seq(list) => Vec::deserialize(list).map(OneOrMany::Many),
);

/// A number that is too large is none.
fn narrow<E: de::Error>(number: u64, expected: &str) -> Result<u32, E> {
    u32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &expected))
}

const DEVICE: &str = "a GPU index, UUID, PCI address, model or \"all\"";
reads!(Device as DEVICE;
    u64(index) => narrow(index, DEVICE).map(Device::Index),
    str(text) => Ok(text.parse().map_or_else(|_| Device::Text(text.to_owned()), Device::Index)),
);

const FILTER: &str = "a PCI device and vendor id such as \"0x20B010DE\"";
reads!(Filter as FILTER;
    u64(id) => narrow(id, FILTER).map(|device| Filter(Some(PciIds { device, subsystem: None }))),
    str(text) => match text {
        "" => Ok(Filter(None)),
        text => match text.parse() {
            Ok(ids) => Ok(Filter(Some(ids))),
            Err(()) => Err(de::Error::invalid_value(Unexpected::Str(text), &FILTER)),
        },
    },
);

const AMOUNT: &str = "a count, or a map such as {count: 1, at: [4]}";
reads!(Amount as AMOUNT;
    u64(count) => narrow(count, AMOUNT).map(|count| Amount { count: Some(count), at: Vec::new() }),
    map(fields) => {
        let AmountFields { count, at } = AmountFields::deserialize(fields)?;
        let at = at.unwrap_or_default().0.into_iter().map(|start| start.value).collect();
        Ok(Amount { count, at })
    },
);
