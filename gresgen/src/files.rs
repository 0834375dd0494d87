//! Files of Slurm and of the plugin: staged together, then committed one rename each.
//!
//! A file of ours begins with [`Output::MARKER`]. Anything else in its place is the site's and is refused, or
//! with `adopt` kept as a backup. Lines the site needs in the same file stand below [`KEEP`]; they survive every
//! rewrite, and adoption moves there what we do not write ourselves.

mod error;
mod include;
mod kept;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

pub use error::FileError;
pub(crate) use kept::SHARING;
pub use kept::{KEEP, head};

use crate::atomic::{self, Attributes};
use crate::diff;
use crate::path_error::PathError;
use crate::read;
use crate::root::Root;
use crate::slurm::{closed, hostlist};
use kept::OwnedContent;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    GresConf,
    /// The NodeName line.
    NodeConf,
    CgroupConf,
    /// The plugstack fragment.
    PlugstackConf,
    DeviceMap,
    /// Instances that orders have closed.
    Closed,
}

impl Kind {
    /// First words of a file of ours.
    fn marker(self) -> &'static str {
        match self {
            Kind::DeviceMap => "gresgen-devices ",
            Kind::Closed => closed::MARKER,
            _ => Output::MARKER,
        }
    }
}

/// Which nodes a text is about. What it does not say of them nobody says, and of others it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One node that writes its own files.
    Node(String),
    /// Nodes whose files are written together.
    Cluster(HashSet<String>),
}

impl Scope {
    /// Whether a node is one of them. Slurm tells `N1` from `n1` (src/common/hostlist.c, `hostrange_hn_within`).
    pub fn contains(&self, node: &str) -> bool {
        match self {
            Scope::Node(name) => name == node,
            Scope::Cluster(names) => names.contains(node),
        }
    }
}

/// A file to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub kind: Kind,
    pub path: PathBuf,
    /// Its text, first line included.
    pub text: String,
    /// Keys that end, or annoy, the daemons that read the file, in lower case: not even the site's lines may have them.
    pub unread: Vec<String>,
    /// Nodes that it is about.
    pub scope: Scope,
    /// Below which the files lie that it includes.
    pub root: Root,
}

impl Output {
    /// A file of which every daemon reads all keys.
    pub(crate) fn new(kind: Kind, path: PathBuf, text: String, scope: Scope, root: &Root) -> Self {
        Output { kind, path, text, unread: Vec::new(), scope, root: root.clone() }
    }

    /// First line of every file of ours.
    pub const MARKER: &'static str =
        "# Written by gresgen from its configuration and the GPUs of the node; edits are lost.";
}

/// Files as they are beside what they shall be. Making one only reads.
#[derive(Debug)]
pub struct Comparison {
    files: Vec<FileText>,
}

/// What a file says now and shall say.
#[derive(Debug)]
struct FileText {
    path: PathBuf,
    old: Option<Vec<u8>>,
    new: Vec<u8>,
    adopted: bool,
}

impl Comparison {
    /// Reads what is there and decides about ownership.
    pub fn new(outputs: Vec<Output>, adopt: bool) -> Result<Self, FileError> {
        let (mut files, mut foreign) = (Vec::new(), Vec::new());
        for output in outputs {
            match FileText::read(output, adopt) {
                Ok(texts) => files.push(texts),
                // All of them are named at once, so that whoever adopts them has seen which.
                Err(FileError::Foreign(paths)) => foreign.extend(paths),
                Err(error) => return Err(error),
            }
        }
        if foreign.is_empty() { Ok(Comparison { files }) } else { Err(FileError::Foreign(foreign)) }
    }

    /// Paths whose text changes.
    pub fn changed(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().filter(|f| f.changes()).map(|f| f.path.as_path())
    }

    /// What changes, as a unified diff; empty when nothing does.
    pub fn diff(&self) -> String {
        self.files.iter().filter(|f| f.changes()).map(FileText::diff).collect()
    }
}

/// Files that are ready: everything that can be refused was checked and all text is on disk beside its place.
/// Dropping it removes that again.
#[derive(Debug)]
pub struct Staged {
    /// One for every file that changes, in order.
    ready: Vec<StagedFile>,
}

/// One file that is ready.
#[derive(Debug)]
struct StagedFile {
    path: PathBuf,
    temp: NamedTempFile,
    /// The old text and where it is kept.
    backup: Option<(NamedTempFile, BackupPlace)>,
}

/// Where an old text is kept.
#[derive(Debug)]
enum BackupPlace {
    /// In the place of the one before it.
    Last(PathBuf),
    /// Beside others of this name: an adopted file is the site's, and no other one takes its place.
    Beside(PathBuf),
}

/// Stages files. Missing directories are made; nothing else that exists is touched. Old versions will be kept in
/// `state` (a directory), one per file, and those of adopted files under names of their own: never beside the
/// file, where plugstack.conf's `include plugstack.conf.d/*` would read them. What an earlier process that was killed
/// had staged in these directories is removed.
///
/// # Errors
/// [`FileError`]; nothing was replaced.
pub fn stage(outputs: Vec<Output>, adopt: bool, state: &Path) -> Result<Staged, FileError> {
    let comparison = Comparison::new(outputs, adopt)?;
    let directories =
        comparison.files.iter().filter_map(|f| f.path.parent()).chain([state]).chain(state.parent());
    for directory in directories.collect::<BTreeSet<_>>() {
        atomic::sweep(directory);
    }
    if comparison.changed().next().is_some() {
        // Beside the backups lies the journal, so both are ours.
        for directory in [state.parent(), Some(state)].into_iter().flatten() {
            atomic::own_directory(directory).map_err(PathError::doing(directory, "cannot be made"))?;
        }
    }
    let changing = comparison.files.iter().filter(|f| f.changes());
    let ready: Result<Vec<_>, FileError> = changing.map(|f| StagedFile::write(f, state)).collect();
    Ok(Staged { ready: ready? })
}

/// Where old versions go, on the node.
pub fn state_directory(root: &Root) -> PathBuf {
    root.path("/var/lib/gresgen/previous")
}

impl FileText {
    fn read(output: Output, adopt: bool) -> Result<Self, FileError> {
        let Output { kind, path, text, unread, scope, root } = output;
        // A link, as of a shared /etc, stays a link: its target is replaced.
        let path = match kind {
            Kind::DeviceMap | Kind::Closed => path,
            _ => fs::canonicalize(&path).unwrap_or(path),
        };
        let old = read::if_there(read::bytes(&path, read::MAX_TEXT));
        let old = old.map_err(PathError::doing(&path, "cannot be read"))?;
        let adopted = old.as_ref().is_some_and(|old| !old.starts_with(kind.marker().as_bytes()));
        if adopted && !adopt {
            return Err(FileError::Foreign(vec![path]));
        }
        let is_of_nodes = matches!(kind, Kind::GresConf | Kind::NodeConf);
        if let (Some(old), false, true) = (&old, adopted, is_of_nodes) {
            of_one_node(&path, old, &scope)?;
        }
        let ours = OwnedContent::new(&path, kind, &scope, &text, &unread);
        let kept = match &old {
            Some(old) if adopted => ours.foreign(old)?,
            Some(old) => ours.own(old)?,
            None => Vec::new(),
        };
        if kind == Kind::GresConf {
            include::check(&path, &kept, &ours, &root)?;
        }
        Ok(FileText { path, old, new: [text.as_bytes(), &kept].concat(), adopted })
    }

    fn changes(&self) -> bool {
        self.old.as_ref() != Some(&self.new)
    }

    fn diff(&self) -> String {
        let name = self.path.display().to_string();
        let old_name = if self.old.is_none() { "/dev/null" } else { &name };
        let hunks = diff::hunks(self.old.as_deref().unwrap_or_default(), &self.new);
        format!("--- {old_name}\n+++ {name}\n{}", String::from_utf8_lossy(&hunks))
    }
}

/// A node that writes files of its own must not drop what others wrote into the same one, as nodes do that share
/// /etc/slurm, or whose gres.conf is a link to a shared one.
///
/// # Errors
/// [`FileError::OfOthers`].
pub(crate) fn of_one_node(path: &Path, old: &[u8], scope: &Scope) -> Result<(), FileError> {
    let Scope::Node(_) = scope else { return Ok(()) };
    let others = kept::nodes(head(old));
    let mut others = others.iter().map(String::as_str).filter(|node| !scope.contains(node)).peekable();
    match others.peek() {
        None => Ok(()),
        Some(_) => Err(FileError::OfOthers { path: path.to_owned(), nodes: hostlist::fold(others) }),
    }
}

/// The one node that all lines of a file of ours with nodes in them are about; `None` where they are about more or where a
/// list of them cannot be read.
pub fn only_node(path: &Path) -> Option<String> {
    let text = read::bytes(path, read::MAX_TEXT).ok()?;
    if !text.starts_with(Output::MARKER.as_bytes()) {
        return None;
    }
    let mut nodes = BTreeSet::new();
    for list in kept::node_lists(&text) {
        nodes.extend(hostlist::expand(&list).ok()?);
    }
    if nodes.len() == 1 { nodes.pop_first() } else { None }
}

impl StagedFile {
    fn write(texts: &FileText, state: &Path) -> Result<Self, FileError> {
        let FileText { path, old, new, adopted } = texts;
        let attributes = Attributes::of(path, 0o644);
        let temp = write_beside(path, new, attributes)?;
        let backup = match old {
            Some(old) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let place = if *adopted {
                    BackupPlace::Beside(state.join(format!("{name}.adopted")))
                } else {
                    BackupPlace::Last(state.join(&*name))
                };
                let (BackupPlace::Last(at) | BackupPlace::Beside(at)) = &place;
                Some((write_beside(at, old, attributes)?, place))
            }
            None => None,
        };
        Ok(StagedFile { path: path.clone(), temp, backup })
    }
}

/// The text on disk in the directory of `path`, under a name that begins with a dot, so that no glob reads it.
fn write_beside(path: &Path, text: &[u8], attributes: Attributes) -> Result<NamedTempFile, PathError> {
    atomic::stage(path, text, attributes).map_err(PathError::doing(path, "cannot be written"))
}

impl Staged {
    /// Replaces the files. Unchanged ones are not touched.
    ///
    /// # Errors
    /// [`FileError::Path`]. Files before the one it names are replaced, those after it are not; staging and
    /// committing the same again completes it.
    pub fn commit(self) -> Result<Committed, FileError> {
        let mut committed = Committed::default();
        for file in self.ready {
            if let Some((backup, place)) = file.backup {
                committed.backups.push(match place {
                    BackupPlace::Last(place) => {
                        persist(backup, &place)?;
                        place
                    }
                    BackupPlace::Beside(name) => atomic::commit_copy(backup, &name)
                        .map_err(PathError::doing(&name, "cannot be written"))?,
                });
            }
            persist(file.temp, &file.path)?;
            committed.written.push(file.path);
        }
        Ok(committed)
    }
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Files that were replaced or created.
    pub written: Vec<PathBuf>,
    /// Old versions that were kept.
    pub backups: Vec<PathBuf>,
}

fn persist(temp: NamedTempFile, path: &Path) -> Result<(), PathError> {
    atomic::commit(temp, path).map_err(PathError::doing(path, "cannot be replaced"))
}

#[cfg(test)]
mod tests;
