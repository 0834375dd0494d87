//! One gres.conf for all nodes: what it says of this one.

use std::path::{Path, PathBuf};

use super::Link;
use crate::root::Root;
use crate::slurm::conf::{Conf, ConfLine, is_about};
use crate::slurm::lines::value;
use crate::slurm::{Settings, here};

/// Compares the gres.conf beside slurm.conf with the one that the node writes: its path, and whether it gives this node
/// the same GPUs in the same order. `None` where they are one, or the first includes the second and has no GPUs of this
/// node beside it.
pub(super) fn compare(node: &str, settings: &Settings, root: &Root) -> Option<(PathBuf, bool)> {
    let path = here::directory(root)?.join("gres.conf");
    let own = root.path(settings.paths.gres_conf());
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real(&path) == real(&own) {
        return None;
    }
    let said = Conf::read(&path, root);
    let agrees = gpus(&said, node) == gpus(&Conf::read(&own, root), node);
    (!agrees || !said.includes(&own)).then_some((path, agrees))
}

/// Type and files of the GPUs that a gres.conf gives a node.
fn gpus<'a>(conf: &'a Conf, node: &str) -> Vec<(&'a str, &'a str)> {
    let gpu = |line: &'a ConfLine| {
        let word = |key: &str| value(&line.pairs, key);
        let is_gpu = word("name").is_some_and(|name| name.eq_ignore_ascii_case("gpu"));
        (is_gpu && is_about(&line.pairs, |name| name == node)).then_some(())?;
        let files = word("multiplefiles").or_else(|| word("file"));
        Some((word("type").unwrap_or_default(), files.unwrap_or_default()))
    };
    conf.said.iter().filter_map(gpu).collect()
}

/// Names of the GRES beside GPUs that the gres.conf of a node gives it.
pub(super) fn other_gres(node: &str, settings: &Settings, root: &Root) -> Vec<String> {
    let conf = Conf::read(&root.path(settings.paths.gres_conf()), root);
    let lines = conf.said.iter().filter(|line| is_about(&line.pairs, |name| name == node));
    let names = lines.filter_map(|line| value(&line.pairs, "name"));
    let mut names: Vec<String> = names.map(str::to_lowercase).collect();
    names.sort();
    names.dedup();
    names.retain(|name| name != "gpu");
    names
}

pub(super) fn judge(path: &Path, agrees: bool) -> Link {
    const NAME: &str = "shared gres.conf";
    let path = path.display();
    if agrees {
        return Link::pass(NAME, format!("{path} has the GPUs of this node"));
    }
    let what = format!("{path} has other GPUs for this node, or in another order, than it has");
    Link::fail(NAME, what, "write it anew with gresgen render --inventory, from all nodes as they are now")
}
