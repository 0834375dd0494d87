//! A slurm.conf on this host, as far as it says which node this is, and whether Slurm's commands can read it.

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

/// What a slurm.conf and the files it includes say.
#[derive(Debug, Default)]
pub(super) struct Conf {
    pub(super) nodes: Vec<Line>,
    /// Files it includes that cannot be read.
    pub(super) missing: Vec<PathBuf>,
    seen: BTreeSet<PathBuf>,
}

impl Conf {
    pub(super) fn read(path: &Path) -> Self {
        let mut conf = Conf::default();
        read(path, path.parent().unwrap_or(Path::new("/")), &mut conf);
        conf
    }
}

fn read(path: &Path, folder: &Path, conf: &mut Conf) {
    if !conf.seen.insert(path.to_owned()) {
        return;
    }
    let Ok(bytes) = fs::read(path) else {
        conf.missing.push(path.to_owned());
        return;
    };
    let text = String::from_utf8_lossy(&bytes).replace("\\\r\n", " ").replace("\\\n", " ");
    for line in text.lines() {
        // A `#` that is not behind a backslash begins a comment (src/common/parse_config.c, `_strip_comments`).
        let end = line.match_indices('#').map(|(at, _)| at).find(|at| !line[..*at].ends_with('\\'));
        let line = &line[..end.unwrap_or(line.len())];
        let mut words = line.split_whitespace();
        match words.next() {
            Some(word) if word.eq_ignore_ascii_case("include") => {
                // Slurm puts the cluster's name in the place of `%c` (src/common/parse_config.c, `_parse_for_format`): which
                // file that is, is not known here, and so it is none that is missing.
                if let Some(file) = words.next().filter(|file| !file.contains("%c")) {
                    read(&folder.join(file), folder, conf);
                }
            }
            Some(_) => conf.nodes.extend(parse(line)),
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
