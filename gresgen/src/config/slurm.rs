//! Where a value of the `slurm:` section stands. [`Settings`](crate::slurm::Settings) carries no places: it is made
//! by other programs, too. So the section is read once more, for its places alone, when something is wrong with it.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_saphyr::Spanned;

use super::file::Pairs;
use super::snippet::{Mark, Source};
use crate::slurm::settings::{Place, Scalar};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    slurm: Section,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Section {
    node: Option<Spanned<String>>,
    nodes: Vec<NodeEntry>,
    types: Types,
    paths: Keyed,
    gres_types: Option<Spanned<Vec<Spanned<String>>>>,
    cgroup: Keyed,
    plugin: Plugin,
}

#[derive(Deserialize)]
struct NodeEntry {
    names: Spanned<String>,
    attributes: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Types {
    pattern: Option<Spanned<String>>,
    models: Keyed,
    aliases: Keyed,
    #[serde(rename = "safe")]
    _safe: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Plugin {
    path: Option<Spanned<String>>,
    arguments: Keyed,
}

/// A map of words, whose places are those of its values.
#[derive(Default)]
struct Keyed(Vec<(String, Spanned<Scalar>)>);

impl<'de> Deserialize<'de> for Keyed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Keyed(deserializer.deserialize_map(Pairs("a map", PhantomData))?))
    }
}

impl Keyed {
    fn mark(&self, source: &Source, key: &str) -> Option<Mark> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(source.key_before(key, value.defined.into()))
    }
}

/// The place of a value; none where the file says it in a way that is not understood here.
pub(super) fn mark(source: &Source, place: &Place) -> Mark {
    let section = serde_saphyr::from_str::<Document>(&source.text).unwrap_or_default().slurm;
    let found = || -> Option<Mark> {
        Some(match place {
            Place::Node => section.node?.defined.into(),
            Place::NodeNames(at) => section.nodes.get(*at)?.names.defined.into(),
            Place::NodeAttributes(at) => section.nodes.get(*at)?.attributes.defined.into(),
            Place::Pattern => section.types.pattern?.defined.into(),
            Place::Model(key) => section.types.models.mark(source, key)?,
            Place::Alias(key) => section.types.aliases.mark(source, key)?,
            Place::Cgroup(key) => section.cgroup.mark(source, key)?,
            Place::GresType(at) => {
                let list = section.gres_types?;
                list.value.get(*at).map_or(list.defined, |entry| entry.defined).into()
            }
            Place::Path(key) => section.paths.mark(source, key)?,
            Place::PluginPath => section.plugin.path?.defined.into(),
            Place::PluginArgument(key) => section.plugin.arguments.mark(source, key)?,
        })
    };
    found().unwrap_or_default()
}
