//! What slurm.conf says of one node.

use crate::slurm::conf::{Conf, ConfLine};
use crate::slurm::hostlist;
use crate::slurm::lines::{name, value};

use super::InitError;
use super::written::WrittenLine;

/// Keys whose n-th value is that of the line's n-th node (slurm.conf(5), NodeName).
const PER_NODE: [&str; 4] = ["nodeaddr", "nodehostname", "port", "bcastaddr"];

/// A `NodeName` line of slurm.conf that names nodes of ours.
#[derive(Clone, Debug)]
pub(super) struct NodeLine<'a> {
    /// Where it stands.
    pub said: &'a ConfLine,
    /// The nodes that it names.
    pub names: Vec<String>,
    /// Its comments.
    pub comments: Vec<Vec<u8>>,
    /// Its words behind `NodeName=`, as they are written.
    words: Vec<(String, String)>,
    /// What `NodeName=DEFAULT` lines before it say.
    defaults: Vec<(String, String)>,
}

/// The lines that name some nodes.
///
/// # Errors
/// [`InitError::Line`] for a list of nodes that cannot be read, for a node that has two lines, and for words that cannot be
/// written again.
pub(super) fn find<'a>(conf: &'a Conf, is: impl Fn(&str) -> bool) -> Result<Vec<NodeLine<'a>>, InitError> {
    let mut defaults: Vec<&ConfLine> = Vec::new();
    let mut found: Vec<NodeLine<'a>> = Vec::new();
    for said in conf.said.iter().filter(|said| said.pairs.first().is_some_and(|(key, _)| key == "nodename")) {
        let error = |what: String| InitError::line(said, what);
        let list = value(&said.pairs[..1], "nodename").unwrap_or_default();
        let names = hostlist::unfold(list).map_err(|e| error(e.to_string()))?;
        if names.iter().any(|name| name.eq_ignore_ascii_case("DEFAULT")) {
            defaults.push(said);
            continue;
        }
        let ours: Vec<&String> = names.iter().filter(|name| is(name)).collect();
        let twice = |line: &&NodeLine<'_>| line.names.iter().any(|name| ours.contains(&name));
        if let Some(other) = found.iter().find(twice) {
            let first = format!("{}:{}", other.said.file.display(), other.said.number);
            return Err(error(format!("names a node that {first} names already; remove one of them")));
        }
        if !ours.is_empty() {
            let mut all = Vec::new();
            for said in &defaults {
                WrittenLine::read(said)?.words.into_iter().skip(1).for_each(|word| set_word(&mut all, word));
            }
            let WrittenLine { words, comments } = WrittenLine::read(said)?;
            let words = words.into_iter().skip(1).collect();
            found.push(NodeLine { said, names, comments, words, defaults: all });
        }
    }
    Ok(found)
}

fn set_word(all: &mut Vec<(String, String)>, (key, value): (String, String)) {
    all.retain(|(known, _)| !name(known).eq_ignore_ascii_case(name(&key)));
    all.push((key, value));
}

impl NodeLine<'_> {
    /// What the line says of one of its nodes beside `Gres=gpu`, with what it has from `NodeName=DEFAULT`: for
    /// `slurm.nodes`.
    pub(super) fn attributes(&self, node: &str) -> String {
        let mut all = self.words_with_defaults(node);
        let gres = all.iter().position(|(key, _)| name(key).eq_ignore_ascii_case("gres"));
        if let Some(at) = gres {
            let others = |entry: &&str| !entry.split(':').next().unwrap_or(entry).eq_ignore_ascii_case("gpu");
            let left: Vec<&str> = all[at].1.split(',').filter(others).collect();
            if left.is_empty() { drop(all.remove(at)) } else { all[at] = ("Gres".to_owned(), left.join(",")) }
        }
        joined(&all)
    }

    /// Every entry of `Gres=` that one of its nodes has.
    pub(super) fn gres(&self, node: &str) -> Vec<String> {
        let all = self.words_with_defaults(node);
        let gres = all.iter().find(|(key, _)| name(key).eq_ignore_ascii_case("gres"));
        gres.map(|(_, value)| value.split(',').map(str::to_owned).collect()).unwrap_or_default()
    }

    /// The words for one node, with those of `NodeName=DEFAULT`.
    fn words_with_defaults(&self, node: &str) -> Vec<(String, String)> {
        let mut all = self.defaults.clone();
        self.words_of(node).into_iter().for_each(|word| set_word(&mut all, word));
        all
    }

    /// The line for one of its nodes alone, as slurm.conf has it.
    pub(super) fn alone(&self, node: &str) -> String {
        format!("NodeName={node} {}", joined(&self.words_of(node))).trim_end().to_owned()
    }

    /// The line for its other nodes; `None` where there are none.
    pub(super) fn without(&self, gone: impl Fn(&str) -> bool) -> Option<String> {
        let left: Vec<usize> = (0..self.names.len()).filter(|&at| !gone(&self.names[at])).collect();
        if left.is_empty() {
            return None;
        }
        let names: Vec<&str> = left.iter().map(|&at| self.names[at].as_str()).collect();
        let mut words = self.words.clone();
        let mut ordered = false;
        for (_, value) in words.iter_mut().filter(|(key, _)| is_per_node(key)) {
            if let Some(values) = values_by_node(value, self.names.len()) {
                *value = left.iter().map(|&at| values[at].as_str()).collect::<Vec<_>>().join(",");
                ordered = true;
            }
        }
        // A folded list is in order of its numbers, which need not be that of the other lists.
        let names = if ordered { names.join(",") } else { hostlist::fold(names) };
        Some(format!("NodeName={names} {}", joined(&words)).trim_end().to_owned())
    }

    /// The words for one node.
    fn words_of(&self, node: &str) -> Vec<(String, String)> {
        let at = self.names.iter().position(|name| name == node).unwrap_or_default();
        let word = |(key, value): &(String, String)| {
            let own = is_per_node(key).then(|| values_by_node(value, self.names.len())).flatten();
            (key.clone(), own.map_or_else(|| value.clone(), |values| values[at].clone()))
        };
        self.words.iter().map(word).collect()
    }
}

fn is_per_node(key: &str) -> bool {
    PER_NODE.iter().any(|known| name(key).eq_ignore_ascii_case(known))
}

/// The values of a list with one for each of `count` nodes; `None` for one that holds for all of them.
fn values_by_node(value: &str, count: usize) -> Option<Vec<String>> {
    let values = hostlist::unfold(value).ok()?;
    (values.len() == count && count > 1).then_some(values)
}

fn joined(words: &[(String, String)]) -> String {
    let word = |(key, value): &(String, String)| {
        if value.is_empty() || value.contains(char::is_whitespace) {
            format!("{key}=\"{value}\"")
        } else {
            format!("{key}={value}")
        }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Root;

    fn conf(text: &str) -> (tempfile::TempDir, Conf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("slurm.conf");
        std::fs::write(&path, text).unwrap();
        let conf = Conf::read(&path, &Root::host());
        (directory, conf)
    }

    #[test]
    fn a_nodes_share_of_a_line() {
        let (_directory, conf) = conf(
            "NodeName=DEFAULT CPUs=64 State=UNKNOWN\nnodename=g[1-3],big NodeAddr=10.0.0.[1-3],10.0.1.9 \\\n \
             RealMemory=1000 Gres=gpu:a100:2,nic:1 # four\nNodeName=c1 cpus=2 Feature+=x Reason=\"a b\"\n",
        );
        let lines = find(&conf, |name| name == "g2").unwrap();
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(
            line.attributes("g2"),
            "CPUs=64 State=UNKNOWN NodeAddr=10.0.0.2 RealMemory=1000 Gres=nic:1"
        );
        assert_eq!(line.alone("big"), "NodeName=big NodeAddr=10.0.1.9 RealMemory=1000 Gres=gpu:a100:2,nic:1");
        let rest = line.without(|name| name == "g2").unwrap();
        assert_eq!(
            rest,
            "NodeName=g1,g3,big NodeAddr=10.0.0.1,10.0.0.3,10.0.1.9 RealMemory=1000 Gres=gpu:a100:2,nic:1"
        );
        assert_eq!(line.without(|_| true), None);
        let lines = find(&conf, |name| name == "c1").unwrap();
        assert_eq!(
            lines[0].attributes("c1"),
            "CPUs=64 State=UNKNOWN cpus=2 Feature+=x Reason=\"a b\"".replace("CPUs=64 ", "")
        );
        assert!(find(&conf, |name| name == "g9").unwrap().is_empty());
    }

    #[test]
    fn what_is_ambiguous_is_named() {
        let (_directory, twice) = conf("NodeName=n[1-4] CPUs=2\n\nNodeName=n2 CPUs=4\n");
        let error = find(&twice, |name| name == "n2").unwrap_err().to_string();
        assert!(
            error.contains("slurm.conf:3: names a node that ") && error.contains("slurm.conf:1"),
            "{error}"
        );
        let (_directory, broken) = conf("NodeName=n[1- CPUs=2\n");
        assert!(find(&broken, |_| true).unwrap_err().to_string().contains("slurm.conf:1: "));
    }
}
