//! One gres.conf for all nodes: what it says of this one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Link;
use crate::files::resolve;
use crate::read;
use crate::root::Root;
use crate::slurm::lines::{lines, value};
use crate::slurm::{Settings, here, hostlist};

/// A gres.conf that slurmd reads and this node does not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The file.
    pub path: PathBuf,
    /// Whether it gives this node the same GPUs, in the same order, as the one that the node writes.
    pub agrees: bool,
}

/// Compares the gres.conf beside slurm.conf with the one that the node writes; `None` where they are one, or the
/// first includes the second and has no GPUs of this node beside it.
pub(super) fn compare(node: &str, settings: &Settings, root: &Root) -> Option<Shared> {
    let path = here::directory(root)?.join("gres.conf");
    let own = root.path(settings.paths.gres_conf());
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real(&path) == real(&own) {
        return None;
    }
    let mut seen = HashSet::new();
    let said = gpus(&path, node, root, &mut seen);
    let agrees = said == gpus(&own, node, root, &mut HashSet::new());
    (!agrees || !seen.contains(&real(&own))).then_some(Shared { path, agrees })
}

/// Type and files of the GPUs that a gres.conf, with what it includes, gives a node.
fn gpus(path: &Path, node: &str, root: &Root, seen: &mut HashSet<PathBuf>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
        return found;
    }
    let text = read::bytes(path, read::MAX_TEXT).unwrap_or_default();
    for line in lines(&text) {
        if let Some(file) = line.include() {
            found.extend(gpus(&resolve(file, path, root), node, root, seen));
            continue;
        }
        let words = line.pairs();
        let word = |key: &str| value(&words, key);
        let names = word("nodename").map(|list| hostlist::unfold(list).unwrap_or_default());
        let here = names.is_none_or(|names| names.iter().any(|name| name == node));
        if here && word("name").is_some_and(|name| name.eq_ignore_ascii_case("gpu")) {
            let files = word("multiplefiles").or_else(|| word("file")).unwrap_or_default();
            found.push((word("type").unwrap_or_default().to_owned(), files.to_owned()));
        }
    }
    found
}

/// Names of the GRES beside GPUs that the gres.conf of a node gives it.
pub(super) fn other_gres(node: &str, settings: &Settings, root: &Root) -> Vec<String> {
    let text = read::bytes(&root.path(settings.paths.gres_conf()), read::MAX_TEXT).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for line in lines(&text) {
        let words = line.pairs();
        let list = value(&words, "nodename").map(|list| hostlist::unfold(list).unwrap_or_default());
        let here = list.is_none_or(|names| names.iter().any(|name| name == node));
        names.extend(value(&words, "name").filter(|_| here).map(str::to_lowercase));
    }
    names.sort();
    names.dedup();
    names.retain(|name| name != "gpu");
    names
}

pub(super) fn judge(shared: &Shared) -> Link {
    const NAME: &str = "shared gres.conf";
    let path = shared.path.display();
    match shared.agrees {
        true => Link::pass(NAME, format!("{path} has the GPUs of this node")),
        false => {
            let what = format!("{path} has other GPUs for this node, or in another order, than it has");
            Link::fail(
                NAME,
                what,
                "write it anew with gresgen render --inventory, from all nodes as they are now",
            )
        }
    }
}
