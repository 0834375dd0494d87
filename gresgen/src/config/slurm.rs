//! Where a value of the `slurm:` section stands. [`Settings`](crate::slurm::Settings) carries no places: it is made
//! by other programs, too. So the file is read once more, for its places alone, when something is wrong with it.

use std::fmt;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::snippet::{Mark, Source};

/// A YAML value that keeps the places of what it holds, and no text of its own.
enum Tree {
    Scalar,
    List(Vec<Spanned<Tree>>),
    Map(Vec<(String, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Scalar)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Scalar)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Scalar)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Scalar)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree::Scalar)
            }

            fn visit_unit<E: Error>(self) -> Result<Tree, E> {
                Ok(Tree::Scalar)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Tree, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Tree::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Tree::Map(pairs))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Maps whose keys are the site's own words: what is wrong there is shown at the key.
const KEYED: [&str; 5] = ["models", "aliases", "paths", "cgroup", "arguments"];

/// The place of a value, which is named by keys and indexes from the section on; none where the file says it in a way
/// that is not understood here. An index past the end of a list means the list.
pub(super) fn mark(source: &Source, place: &[String]) -> Mark {
    let Ok(whole) = serde_saphyr::from_str::<Spanned<Tree>>(&source.text) else { return Mark::default() };
    let (mut tree, mut mark) = (&whole.value, Mark::default());
    let mut map = "";
    for step in std::iter::once("slurm").chain(place.iter().map(String::as_str)) {
        let found = match tree {
            Tree::Map(pairs) => pairs.iter().find(|(key, _)| key == step).map(|(_, value)| value),
            Tree::List(values) => match step.parse().ok().and_then(|at: usize| values.get(at)) {
                None => return mark,
                found => found,
            },
            Tree::Scalar => None,
        };
        let Some(value) = found else { return Mark::default() };
        mark = value.defined.into();
        if KEYED.contains(&map) {
            mark = source.key_before(step, mark);
        }
        (tree, map) = (&value.value, step);
    }
    mark
}
