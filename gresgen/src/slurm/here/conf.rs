//! Nodes as a slurm.conf on this host has them, for as long as slurmctld cannot be asked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::slurm::control::NodeView;
use crate::slurm::hostlist;

/// A node, its host and its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) address: String,
}

impl From<&NodeView> for Line {
    fn from(view: &NodeView) -> Self {
        Line { name: view.name.clone(), host: view.host.clone(), address: view.address.clone() }
    }
}

/// The nodes of a slurm.conf and of what it includes.
pub(super) fn nodes(path: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    let folder = path.parent().unwrap_or(Path::new("/"));
    read(path, folder, &mut BTreeSet::new(), &mut lines);
    lines
}

fn read(path: &Path, folder: &Path, seen: &mut BTreeSet<PathBuf>, nodes: &mut Vec<Line>) {
    if !seen.insert(path.to_owned()) {
        return;
    }
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace("\\\r\n", " ").replace("\\\n", " ");
    for line in text.lines() {
        // A `#` that is not behind a backslash begins a comment (src/common/parse_config.c, `_strip_comments`).
        let end = line.match_indices('#').map(|(at, _)| at).find(|at| !line[..*at].ends_with('\\'));
        let line = &line[..end.unwrap_or(line.len())];
        let mut words = line.split_whitespace();
        match words.next() {
            Some(word) if word.eq_ignore_ascii_case("include") => {
                if let Some(file) = words.next() {
                    read(&folder.join(file), folder, seen, nodes);
                }
            }
            Some(_) => nodes.extend(parse(line)),
            None => {}
        }
    }
}

/// The nodes of one line; the host and the address of the n-th name are the n-th of their lists.
fn parse(line: &str) -> Vec<Line> {
    let value = |key: &str| {
        let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
        let mut values = pairs
            .filter(|(word, _)| word.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.trim_matches('"'));
        values.next()
    };
    let list = |key: &str| value(key).map(hostlist::expand).and_then(Result::ok).unwrap_or_default();
    let (hosts, addresses) = (list("NodeHostname"), list("NodeAddr"));
    let at = |list: &[String], index: usize| list.get(index).or(list.last()).cloned().unwrap_or_default();
    let names = list("NodeName").into_iter().enumerate();
    names.map(|(i, name)| Line { name, host: at(&hosts, i), address: at(&addresses, i) }).collect()
}
