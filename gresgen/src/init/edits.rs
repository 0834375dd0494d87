//! Edits of Slurm's files, as values: what a file says and what it shall say.
//!
//! They change nothing of what Slurm reads: the lines that gresgen will write move, as they are, into a file of its own
//! that slurm.conf includes. So nothing hangs on the order in which daemons are restarted and the first `apply` is made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::InitError;
use super::node_conf::NodeConf;
use super::node_line;
use super::written::WrittenLine;
use crate::read;
use crate::root::Root;
use crate::slurm::conf::Conf;
use crate::slurm::include::plugin_include;
use crate::slurm::lines::{lines, value};
use crate::slurm::plugstack;

/// A file that becomes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Its path, no link.
    pub path: PathBuf,
    /// What it says now; `None` where it is not there.
    pub old: Option<Vec<u8>>,
    /// What it shall say.
    pub new: Vec<u8>,
}

impl Edit {
    /// Whether there is anything to do.
    pub(crate) fn changes(&self) -> bool {
        self.old.as_ref() != Some(&self.new)
    }
}

/// What the edits are for.
pub(crate) struct EditRequest<'a> {
    pub slurm_conf: &'a Path,
    pub conf: &'a Conf,
    /// The nodes whose lines gresgen writes.
    pub nodes: &'a [String],
    /// What a node has that has no line yet, as `CPUs=2 RealMemory=1000`.
    pub hardware: &'a str,
    /// Where gresgen will write the lines, and the plugin's.
    pub node_conf: &'a str,
    pub plugstack_conf: &'a str,
    /// Prefix of both.
    pub root: &'a Root,
}

/// The edits, files of ours first: what includes them comes when they are there.
///
/// # Errors
/// [`InitError`] for what cannot be read or has more than one meaning.
pub(crate) fn edits(request: &EditRequest<'_>) -> Result<Vec<Edit>, InitError> {
    let mut edits = Vec::new();
    if !request.conf.includes(&request.root.path(request.node_conf)) {
        edits.extend(slurm_conf(request)?);
    }
    edits.extend(plugstack_conf(request)?);
    match edits.iter().find(|edit| edit.changes() && !is_below(&edit.path, request.root)) {
        Some(edit) => Err(InitError::Outside(edit.path.clone())),
        None => Ok(edits),
    }
}

/// Whether a file is below the root once links are followed: a link in the image of a node means a file of that node, and
/// what it leads to here is another one.
fn is_below(path: &Path, root: &Root) -> bool {
    let real = path.ancestors().find_map(|folder| folder.canonicalize().ok());
    let prefix = root.prefix().canonicalize();
    real.zip(prefix.ok()).is_some_and(|(real, prefix)| real.starts_with(prefix))
}

/// `GresTypes` of the cluster: Slurm reads one line, and gresgen will write it.
pub(crate) fn gres_types(conf: &Conf) -> Vec<String> {
    let said = conf.said.iter().rev().find_map(|said| value(&said.pairs, "grestypes"));
    let mut types: Vec<String> =
        said.unwrap_or_default().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if !types.iter().any(|name| name.eq_ignore_ascii_case("gpu")) {
        types.insert(0, "gpu".to_owned());
    }
    types
}

fn slurm_conf(request: &EditRequest<'_>) -> Result<Vec<Edit>, InitError> {
    let EditRequest { conf, nodes, .. } = *request;
    if let Some((file, error)) = conf.unread.first() {
        return Err(InitError::Missing { path: file.clone(), why: error.to_string() });
    }
    let ours = |name: &str| nodes.iter().any(|node| node == name);
    let found = node_line::find(conf, ours)?;
    let include = format!("include {}", request.node_conf);
    let mut files = LineEdits::default();
    for (at, line) in found.iter().enumerate() {
        let left = line.without(ours).into_iter().chain((at == 0).then(|| include.clone()));
        let lines = line.comments.iter().cloned().chain(left.map(String::into_bytes));
        files.replace(&line.said.file, line.said.number, lines.collect());
    }
    if found.is_empty() {
        files.append(request.slurm_conf, include);
    }
    for said in &conf.said {
        match &said.pairs[..] {
            [(key, _)] if key == "grestypes" => {
                files.replace(&said.file, said.number, WrittenLine::read(said)?.comments);
            }
            pairs if pairs.iter().any(|(key, _)| key == "grestypes") => {
                let what = "GresTypes stands among other words; give it a line of its own";
                return Err(InitError::line(said, what));
            }
            _ => {}
        }
    }
    let path = target(&request.root.path(request.node_conf))?;
    let old = text(&path)?;
    let node_conf = NodeConf { nodes, found: &found, hardware: request.hardware, types: &gres_types(conf) };
    let own = Edit { new: node_conf.text(&path, old.as_deref())?, path, old };
    Ok(std::iter::once(own).chain(files.edits()?).collect())
}

/// The include of the plugin's line, before every plugin: pyxis reads the variables that ours sets.
fn plugstack_conf(request: &EditRequest<'_>) -> Result<Option<Edit>, InitError> {
    let said = request.conf.said.iter().rev().find_map(|said| value(&said.pairs, "plugstackconfig"));
    let beside = || request.slurm_conf.with_file_name("plugstack.conf");
    let path = said.map_or_else(beside, |path| request.root.path(path));
    let ours = |line: &plugstack::Line| line.plugin.file_name().is_some_and(|name| name == "spank_mig.so");
    let include = plugin_include(Path::new(request.plugstack_conf));
    let old = text(&path)?;
    let has = lines(old.as_deref().unwrap_or_default()).iter().any(|line| line.code.trim() == include);
    if has || plugstack::read(&path).iter().any(ours) {
        return Ok(None);
    }
    let mut files = LineEdits::default();
    let first =
        old.as_deref().map(lines).unwrap_or_default().into_iter().find(|line| !line.code.trim().is_empty());
    match first {
        Some(first) => files.insert(&path, first.number, include),
        None => files.append(&path, include),
    }
    Ok(files.edits()?.pop())
}

/// The file that a path leads to: a link stays one, and what it leads to is replaced.
///
/// # Errors
/// [`InitError::Io`] for a link that leads nowhere.
fn target(path: &Path) -> Result<PathBuf, InitError> {
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(source) if path.is_symlink() => Err(InitError::io(path)(source)),
        Err(_) => Ok(path.to_owned()),
    }
}

/// What a file says; `None` where there is none.
///
/// # Errors
/// [`InitError::Io`] for what is no regular file or cannot be read.
pub(super) fn text(path: &Path) -> Result<Option<Vec<u8>>, InitError> {
    read::if_there(read::bytes(path, read::MAX_TEXT)).map_err(InitError::io(path))
}

/// What happens to lines of files.
#[derive(Default)]
struct LineEdits {
    replaced: BTreeMap<PathBuf, BTreeMap<usize, Vec<Vec<u8>>>>,
    inserted: BTreeMap<PathBuf, BTreeMap<usize, String>>,
    appended: BTreeMap<PathBuf, String>,
}

impl LineEdits {
    fn replace(&mut self, file: &Path, line: usize, by: Vec<Vec<u8>>) {
        self.replaced.entry(file.to_owned()).or_default().insert(line, by);
    }

    fn insert(&mut self, file: &Path, before: usize, line: String) {
        self.inserted.entry(file.to_owned()).or_default().insert(before, line);
    }

    fn append(&mut self, file: &Path, line: String) {
        self.appended.insert(file.to_owned(), line);
    }

    fn edits(self) -> Result<Vec<Edit>, InitError> {
        let all = self.replaced.keys().chain(self.inserted.keys()).chain(self.appended.keys());
        let all: BTreeSet<&PathBuf> = all.collect();
        all.into_iter().map(|file| self.edit(file)).collect()
    }

    fn edit(&self, file: &Path) -> Result<Edit, InitError> {
        let path = target(file)?;
        let old = text(&path)?;
        let mut new = Vec::new();
        for line in lines(old.as_deref().unwrap_or_default()) {
            let end: &[u8] = if line.raw.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
            let mut add = |text: &[u8]| {
                new.extend_from_slice(text);
                new.extend_from_slice(end);
            };
            if let Some(text) = self.inserted.get(file).and_then(|at| at.get(&line.number)) {
                add(text.as_bytes());
            }
            match self.replaced.get(file).and_then(|at| at.get(&line.number)) {
                Some(by) => by.iter().for_each(|text| add(text)),
                None => new.extend_from_slice(line.raw),
            }
        }
        if let Some(line) = self.appended.get(file) {
            if !new.is_empty() && !new.ends_with(b"\n") {
                new.push(b'\n');
            }
            new.extend_from_slice(line.as_bytes());
            new.push(b'\n');
        }
        Ok(Edit { path, old, new })
    }
}
