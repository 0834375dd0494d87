//! Lines of the site in files of ours.

use std::collections::HashSet;

use super::Kind;
use crate::slurm::hostlist;

/// Lines below this one are the site's.
pub const KEEP: &str = "# Lines below this one are kept as they are.";

/// The part of a file above its kept lines.
pub fn head(text: &str) -> &str {
    let kept = text.lines().position(|line| line == KEEP);
    let end = kept.map(|n| text.split_inclusive('\n').take(n).map(str::len).sum());
    &text[..end.unwrap_or(text.len())]
}

/// Kept lines of a file of ours, with the line above them; or the line that contradicts the new text, or has a key
/// among `unread`.
pub(super) fn own(kind: Kind, old: &str, new: &str, unread: &[String]) -> Result<String, (usize, String)> {
    let kept = &old[head(old).len()..];
    if kept.is_empty() {
        return Ok(String::new());
    }
    let first = head(old).lines().count() + 1;
    let spoken = Spoken::of(new, unread);
    match logical(kept).into_iter().find(|(_, line)| ours(kind, line, &spoken)) {
        Some((at, line)) => Err((first + at, line.trim_end().to_owned())),
        None => Ok(kept.to_owned()),
    }
}

/// What stays of a foreign file: everything that we do not write ourselves and that the daemons read.
pub(super) fn foreign(kind: Kind, old: &str, new: &str, unread: &[String]) -> String {
    if !matches!(kind, Kind::GresConf | Kind::CgroupConf) {
        return String::new();
    }
    let spoken = Spoken::of(new, unread);
    let kept: String = logical(old)
        .into_iter()
        .filter(|(_, line)| !ours(kind, line, &spoken))
        .map(|(_, line)| line)
        .collect();
    match kept.trim().is_empty() {
        true => String::new(),
        false => format!("{KEEP}\n{}\n", kept.trim_matches('\n')),
    }
}

/// Lines with their numbers from 0; one that ends in a backslash goes on in the next.
fn logical(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        match lines.last_mut() {
            Some((_, open)) if open.trim_end().ends_with('\\') => open.push_str(line),
            _ => lines.push((at, line.to_owned())),
        }
    }
    lines
}

/// What a new text says.
struct Spoken {
    /// Keys that it has, or that nobody may have.
    keys: HashSet<String>,
    /// Nodes it names.
    nodes: HashSet<String>,
}

impl Spoken {
    fn of(text: &str, unread: &[String]) -> Self {
        let settings: Vec<(String, String)> = text.lines().flat_map(settings).collect();
        let lists: HashSet<&String> =
            settings.iter().filter(|(key, _)| key == "nodename").map(|(_, v)| v).collect();
        let nodes = lists.iter().flat_map(|list| hostlist::expand(list).unwrap_or_default()).collect();
        let keys = settings.iter().map(|(key, _)| key).chain(unread).cloned().collect();
        Spoken { keys, nodes }
    }

    /// Whether a line is about nodes of which the text says nothing.
    fn is_silent_on(&self, line: &[(String, String)]) -> bool {
        let names =
            line.iter().find(|(key, _)| key == "nodename").and_then(|(_, list)| hostlist::expand(list).ok());
        names.is_some_and(|names| {
            !self.nodes.is_empty() && !names.iter().any(|name| self.nodes.contains(name))
        })
    }
}

/// Whether a line says what we say: GPUs of the nodes we write about and how they are found, or a key of cgroup.conf
/// that we write or that the release does not read.
fn ours(kind: Kind, line: &str, spoken: &Spoken) -> bool {
    let keys_of_line = settings(line);
    match kind {
        Kind::GresConf if spoken.is_silent_on(&keys_of_line) => false,
        Kind::GresConf => {
            let names: Vec<&String> =
                keys_of_line.iter().filter(|(k, _)| k == "name").map(|(_, v)| v).collect();
            names.iter().any(|name| *name == "gpu")
                || (names.is_empty() && keys_of_line.iter().any(|(key, _)| key == "autodetect"))
        }
        Kind::CgroupConf => keys_of_line.iter().any(|(key, _)| spoken.keys.contains(key)),
        _ => false,
    }
}

/// `key=value` words of a line, in lower case: Slurm's parser ignores case, comments, and blanks around `=`.
pub(crate) fn settings(line: &str) -> Vec<(String, String)> {
    let code = line.split('#').next().unwrap_or_default().to_lowercase();
    let code = code.split('=').map(str::trim).collect::<Vec<_>>().join("=");
    let words = code.split_whitespace().filter_map(|word| word.split_once('='));
    words.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect()
}
