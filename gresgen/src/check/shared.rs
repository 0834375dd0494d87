//! One gres.conf for all nodes: what it says of this one.

use std::path::{Path, PathBuf};

use super::Link;
use crate::files::settings;
use crate::root::Root;
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
/// first includes the second.
pub(super) fn compare(node: &str, settings: &Settings, root: &Root) -> Option<Shared> {
    let path = here::directory(root)?.join("gres.conf");
    let own = root.path(settings.paths.gres_conf());
    let same = |other: &Path| {
        other == own || other.canonicalize().is_ok_and(|o| own.canonicalize().is_ok_and(|own| o == own))
    };
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    if same(&path)
        || includes(&text).any(|file| same(&root.path(path.parent().unwrap_or(Path::new("/")).join(file))))
    {
        return None;
    }
    let written = std::fs::read_to_string(&own).unwrap_or_default();
    Some(Shared { agrees: gpus(&text, node) == gpus(&written, node), path })
}

fn includes(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    lines.filter(|(word, _)| word.eq_ignore_ascii_case("include")).map(|(_, file)| file.trim())
}

/// Type and files of the GPUs that a gres.conf gives a node.
fn gpus(text: &str, node: &str) -> Vec<(String, String)> {
    let node = node.to_lowercase();
    let gpu = |line: &str| {
        let words = settings(line);
        let value = |key: &str| words.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
        let names = value("nodename").map(|list| hostlist::expand(&list).unwrap_or_default());
        let here = names.is_none_or(|names| names.contains(&node));
        let files = value("multiplefiles").or_else(|| value("file")).unwrap_or_default();
        (here && value("name")? == "gpu").then(|| (value("type").unwrap_or_default(), files))
    };
    text.lines().filter_map(gpu).collect()
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
