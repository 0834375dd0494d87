//! Lines of the site in files of ours.

use std::collections::HashSet;
use std::path::Path;

use super::{FileError, Kind, Scope};
use crate::slurm::conf::is_about;
use crate::slurm::gres_line::defect;
use crate::slurm::hostlist;
use crate::slurm::lines::{self, Line, lines, pairs, value, words};
use crate::slurm::slots::NEVER_UP;

/// Lines below this one are the site's.
pub const KEEP: &str = "# Lines below this one are kept as they are.";

/// The part of a file above its kept lines.
pub fn head(text: &[u8]) -> &[u8] {
    let mut end = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        if line.trim_ascii_end() == KEEP.as_bytes() {
            return &text[..end];
        }
        end += line.len();
    }
    text
}

/// What a new text says, which no line of the site may say as well.
pub(super) struct OwnedContent<'a> {
    path: &'a Path,
    kind: Kind,
    scope: &'a Scope,
    /// Keys with their values, in lower case.
    settings: HashSet<(String, String)>,
    /// Keys that nobody may have.
    unread: &'a [String],
    /// File names of GPUs that are given out whole.
    whole: HashSet<String>,
}

/// What a line of gres.conf is to us.
enum Claim {
    /// It says nothing that we say.
    Theirs,
    /// It says what we say.
    Ours,
    /// It does for some of its nodes; the others, as a host list.
    Others(String),
}

impl<'a> OwnedContent<'a> {
    pub(super) fn new(
        path: &'a Path,
        kind: Kind,
        scope: &'a Scope,
        text: &str,
        unread: &'a [String],
    ) -> Self {
        let lines: Vec<Vec<(String, String)>> = text.lines().map(pairs).collect();
        let files = lines.iter().filter(|line| is_gpu(line)).filter_map(|line| value(line, "file"));
        let whole = files.flat_map(|list| hostlist::unfold(list).unwrap_or_default());
        let whole = whole.filter_map(|file| name(&file)).collect();
        let settings = lines.iter().flatten().map(|(key, value)| (key.clone(), value.to_lowercase()));
        OwnedContent { path, kind, scope, settings: settings.collect(), unread, whole }
    }

    /// A line that stays in a gres.conf is one that slurmd reads.
    fn readable(&self, line: &Line<'_>, above: usize) -> Result<(), FileError> {
        match defect(line) {
            Some(what) => {
                Err(self.refusal(line, above, format!("{what}, so that no slurmd starts; mend or remove it")))
            }
            None => Ok(()),
        }
    }

    /// A line that cannot stay, with so many above the part that was looked at.
    fn refusal(&self, line: &Line<'_>, above: usize, what: impl Into<String>) -> FileError {
        FileError::Kept {
            path: self.path.to_owned(),
            line: line.number + above,
            what: what.into(),
            text: String::from_utf8_lossy(line.raw).trim().to_owned(),
        }
    }

    /// Kept lines of a file of ours, with the line above them.
    ///
    /// # Errors
    /// The first line that contradicts the new text, or has a key that the release does not read.
    pub(super) fn own(&self, old: &[u8]) -> Result<Vec<u8>, FileError> {
        let first = head(old).len();
        let kept = &old[first..];
        let above = old[..first].iter().filter(|&&byte| byte == b'\n').count();
        let mut stays = Vec::new();
        for line in lines(kept) {
            let pairs = line.pairs();
            match self.kind {
                Kind::GresConf if !matches!(self.claim(&pairs), Claim::Theirs) => {
                    return Err(self.refusal(&line, above, CONTRADICTS));
                }
                Kind::CgroupConf if self.has_unread(&pairs) => return Err(self.refusal(&line, above, UNREAD)),
                Kind::CgroupConf if self.says(&pairs) => {
                    if !self.agrees(&pairs) {
                        return Err(self.refusal(&line, above, CONTRADICTS));
                    }
                }
                Kind::GresConf => {
                    self.readable(&line, above)?;
                    stays.extend_from_slice(line.raw);
                }
                _ => stays.extend_from_slice(line.raw),
            }
        }
        self.shares(&stays, above)?;
        Ok(stays)
    }

    /// What stays of a foreign file: everything that we do not write ourselves and that the daemons read.
    ///
    /// # Errors
    /// A line that stays and makes slurmd or slurmctld refuse the node.
    pub(super) fn foreign(&self, old: &[u8]) -> Result<Vec<u8>, FileError> {
        if !matches!(self.kind, Kind::GresConf | Kind::CgroupConf) {
            return Ok(Vec::new());
        }
        self.shares(old, 0)?;
        let is_shared =
            self.kind == Kind::GresConf && lines(old).iter().any(|line| self.is_others(&line.pairs()));
        let mut stays = Vec::new();
        for line in lines(old) {
            let pairs = line.pairs();
            match self.kind {
                Kind::GresConf => match self.claim(&pairs) {
                    // It is the other nodes' as well: without it they would lose their GPUs.
                    Claim::Ours if is_shared && value(&pairs, "nodename").is_none() => {
                        return Err(self.refusal(&line, 0, FOR_ALL));
                    }
                    Claim::Ours => {}
                    Claim::Theirs => {
                        self.readable(&line, 0)?;
                        stays.extend_from_slice(line.raw);
                    }
                    Claim::Others(list) => {
                        self.readable(&line, 0)?;
                        stays.extend(renamed(&line, &pairs, &list));
                    }
                },
                _ if self.says(&pairs) || self.has_unread(&pairs) => {}
                _ => stays.extend_from_slice(line.raw),
            }
        }
        let from = stays.iter().position(|&byte| byte != b'\n').unwrap_or(stays.len());
        let stays = stays[from..].trim_ascii_end();
        if stays.is_empty() {
            return Ok(Vec::new());
        }
        Ok([KEEP.as_bytes(), b"\n", stays, b"\n"].concat())
    }

    /// Whether a line of an included gres.conf says what we say.
    pub(super) fn claims(&self, line: &[(String, String)]) -> bool {
        !matches!(self.claim(line), Claim::Theirs)
    }

    /// GPUs of the nodes we write about, and how they are found.
    fn claim(&self, line: &[(String, String)]) -> Claim {
        let autodetect = value(line, "name").is_none() && value(line, "autodetect").is_some();
        if !is_gpu(line) && !autodetect {
            return Claim::Theirs;
        }
        let Some(list) = value(line, "nodename") else {
            // What it says for all nodes is what holds without it (gres.conf(5), AutoDetect).
            let off =
                autodetect && value(line, "autodetect").is_some_and(|how| how.eq_ignore_ascii_case("off"));
            return if off { Claim::Theirs } else { Claim::Ours };
        };
        // slurmd passes over a line whose list it cannot read (`_parse_gres_config_node`).
        let Ok(names) = hostlist::unfold(list) else { return Claim::Theirs };
        if !names.iter().any(|name| self.scope.contains(name)) {
            return Claim::Theirs;
        }
        match hostlist::without(list, |name| self.scope.contains(name)) {
            Ok(Some(others)) => Claim::Others(others),
            _ => Claim::Ours,
        }
    }

    /// Whether a line of gres.conf is about a node that we do not write about.
    fn is_others(&self, line: &[(String, String)]) -> bool {
        let names = value(line, "nodename").map(hostlist::unfold).and_then(Result::ok);
        names.is_some_and(|names| names.iter().any(|name| !self.scope.contains(name)))
    }

    /// Whether a line of cgroup.conf has a key that we write.
    fn says(&self, line: &[(String, String)]) -> bool {
        line.iter().any(|(key, _)| self.settings.iter().any(|(ours, _)| ours == key))
    }

    fn agrees(&self, line: &[(String, String)]) -> bool {
        line.iter().all(|(key, value)| self.settings.contains(&(key.clone(), value.to_lowercase())))
    }

    fn has_unread(&self, line: &[(String, String)]) -> bool {
        line.iter().any(|(key, _)| self.unread.contains(key))
    }

    /// A sharing GRES (gres.conf(5): shard, mps) names the GPU that it shares by its file. Where no whole GPU has it,
    /// slurmd drops the line, and slurmctld finds fewer shares than configured and sets the node INVALID (seen on
    /// 24.11.5 and 26.05.5).
    fn shares(&self, text: &[u8], above: usize) -> Result<(), FileError> {
        if self.kind != Kind::GresConf {
            return Ok(());
        }
        for line in lines(text) {
            let pairs = line.pairs();
            let gres = value(&pairs, "name").unwrap_or_default().to_lowercase();
            let files = value(&pairs, "file").or_else(|| value(&pairs, "files"));
            let (true, Some(files)) = (SHARING.contains(&&*gres) && self.is_here(&pairs), files) else {
                continue;
            };
            let names = hostlist::unfold(files).unwrap_or_default();
            let mut gpus = names.iter().filter_map(|file| name(file)).filter(|file| is_gpu_file(file));
            if let Some(gpu) = gpus.find(|gpu| !self.whole.contains(gpu)) {
                return Err(self.refusal(
                    &line,
                    above,
                    format!(
                        "shares {gpu} as {gres}, and that GPU is not given out whole: slurmctld would set the node \
                         INVALID; take {gpu} out of the line and its share out of Gres={gres} in slurm.nodes, or \
                         leave the GPU whole"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn is_here(&self, line: &[(String, String)]) -> bool {
        is_about(line, |name| self.scope.contains(name))
    }
}

const CONTRADICTS: &str = "contradicts what gresgen writes; remove it";
const FOR_ALL: &str = "is about every node that reads this file, and other lines are about others: begin it with \
                       NodeName= and the nodes it is for";
const UNREAD: &str = "has a key that Slurm's release does not read; remove it";

/// GRES that share GPUs (Slurm src/interfaces/gres.c, `_set_shared_flag`).
pub(crate) const SHARING: [&str; 2] = ["mps", "shard"];

fn is_gpu(line: &[(String, String)]) -> bool {
    value(line, "name").is_some_and(|name| name.eq_ignore_ascii_case("gpu"))
}

/// Whether a device file is that of a GPU, which the driver names.
fn is_gpu_file(name: &str) -> bool {
    name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The last part of a path: below a prefix, or behind another spelling of the folder, it is the same device.
fn name(path: &str) -> Option<String> {
    Some(Path::new(path.trim()).file_name()?.to_string_lossy().into_owned())
}

/// A line about fewer nodes. Its other words stay as they are written where one place alone can be that of the list; else
/// they are written anew, each with its operator, and the comments behind them.
fn renamed(line: &Line<'_>, pairs: &[(String, String)], list: &str) -> Vec<u8> {
    let old = value(pairs, "nodename").unwrap_or_default().as_bytes();
    // The list may stand in other words as well, and behind an escape it stands otherwise.
    let is_named = |before: &[u8]| {
        let before = before.strip_suffix(b"\"").unwrap_or(before).trim_ascii_end();
        let key = before.strip_suffix(b"=").unwrap_or_default().trim_ascii_end();
        key.len() >= 8 && key[key.len() - 8..].eq_ignore_ascii_case(b"nodename")
    };
    let is_list = |&at: &usize| line.raw[at..].starts_with(old) && is_named(&line.raw[..at]);
    if let [at] = (0..line.raw.len()).filter(is_list).collect::<Vec<_>>()[..] {
        return [&line.raw[..at], list.as_bytes(), &line.raw[at + old.len()..]].concat();
    }
    let others =
        words(&line.code).into_iter().filter(|(key, _)| !lines::name(key).eq_ignore_ascii_case("nodename"));
    let others = others.map(|(key, value)| {
        let value = value.replace('\\', "\\\\").replace('#', "\\#");
        let quote = if value.contains(char::is_whitespace) { "\"" } else { "" };
        format!(" {key}={quote}{value}{quote}")
    });
    let mut text = format!("NodeName={list}{}", others.collect::<String>()).into_bytes();
    for comment in line.comments() {
        text.push(b' ');
        text.extend_from_slice(comment);
    }
    text.push(b'\n');
    text
}

/// The host lists that lines of a file of ours name as nodes. Those of a catalog are nobody's: every writer of the file writes
/// them anew, and so replaces one whose list has a blank in it, after which Slurm reads no pairs.
pub(super) fn node_lists(head: &[u8]) -> Vec<String> {
    let of = |line: &Line<'_>| {
        let words: Vec<&str> = line.code.split_whitespace().collect();
        let is_catalog = words
            .iter()
            .filter_map(|word| word.split_once('='))
            .any(|(key, value)| key.eq_ignore_ascii_case("Reason") && value == NEVER_UP);
        value(&line.pairs(), "nodename").filter(|_| !is_catalog).map(str::to_owned)
    };
    lines(head).iter().filter_map(of).collect()
}

/// Nodes that the lines of a file of ours give GPUs to, or describe.
pub(super) fn nodes(head: &[u8]) -> Vec<String> {
    let mut names: Vec<String> =
        node_lists(head).iter().flat_map(|list| hostlist::expand(list).unwrap_or_default()).collect();
    names.sort();
    names.dedup();
    names
}
