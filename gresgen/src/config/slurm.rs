//! Where a value of the `slurm:` section stands. [`Settings`](crate::slurm::Settings) carries no places: it is made
//! by other programs, too. So the file is read once more, for its places alone, when something is wrong with it.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_saphyr::Spanned;

use super::file::Pairs;
use super::snippet::{Mark, Source};
use crate::forms::reads;

/// A YAML value that keeps the places of what it holds, and no text of its own.
enum Tree {
    Scalar,
    List(Vec<Spanned<Tree>>),
    Map(Vec<(String, Spanned<Tree>)>),
}

reads!(Tree as "any value";
    unit(_nothing) => Ok(Tree::Scalar),
    bool(_value) => Ok(Tree::Scalar),
    i64(_value) => Ok(Tree::Scalar),
    u64(_value) => Ok(Tree::Scalar),
    f64(_value) => Ok(Tree::Scalar),
    str(_value) => Ok(Tree::Scalar),
    seq(list) => Vec::deserialize(list).map(Tree::List),
    map(map) => map.deserialize_map(Pairs::new("any map")).map(Tree::Map),
);

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
