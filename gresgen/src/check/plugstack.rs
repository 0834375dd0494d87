//! The plugin's line in plugstack.conf.

use std::path::{Path, PathBuf};

use super::Link;
use crate::slurm::plugin_arguments;

/// A line that loads a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The file it stands in.
    pub file: PathBuf,
    /// Whether Slurm may go on without the plugin.
    pub optional: bool,
    pub plugin: PathBuf,
    pub arguments: Vec<String>,
}

/// Reads plugstack.conf and what it includes, in Slurm's order. Included files that are not there are none, as to
/// Slurm.
pub fn read(path: &Path) -> Vec<Line> {
    let mut reader = Reader { lines: Vec::new(), open: Vec::new(), left: MOST };
    reader.read(path);
    reader.lines
}

/// Most files that are read. Slurm sets no limit and never ends at a file that includes itself.
const MOST: usize = 1024;

struct Reader {
    lines: Vec<Line>,
    /// Files whose includes are being read: one among them would come back to itself.
    open: Vec<PathBuf>,
    left: usize,
}

impl Reader {
    fn read(&mut self, path: &Path) {
        let Ok(text) = crate::read::bytes(path, crate::read::MAX_TEXT) else { return };
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if self.open.contains(&real) || self.left == 0 {
            return;
        }
        self.left -= 1;
        self.open.push(real);
        self.take(path, &String::from_utf8_lossy(&text));
        self.open.pop();
    }

    fn take(&mut self, path: &Path, text: &str) {
        for line in text.lines() {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            match words[..] {
                ["include", pattern] => {
                    let base = path.parent().unwrap_or(Path::new("/"));
                    for file in matches(&base.join(pattern)) {
                        self.read(&file);
                    }
                }
                [kind @ ("optional" | "required"), plugin, ref arguments @ ..] => self.lines.push(Line {
                    file: path.to_owned(),
                    optional: kind == "optional",
                    plugin: PathBuf::from(plugin),
                    arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
                }),
                _ => {}
            }
        }
    }
}

/// Files that a pattern with `*` in its last part matches, in order of their names.
fn matches(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((head, tail)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let Ok(entries) = std::fs::read_dir(pattern.parent().unwrap_or(Path::new("/"))) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            // glob(7): a leading dot is matched by a dot alone.
            name.len() >= head.len() + tail.len()
                && name.starts_with(head)
                && name.ends_with(tail)
                && (head.starts_with('.') || !name.starts_with('.'))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// What the plugin would ignore in an argument.
fn wrong(argument: &str) -> Option<String> {
    let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
    plugin_arguments::wrong(key, value).map(|what| format!("{argument:?}: {what}"))
}

/// Judges the lines: `plugin` is the file name of ours.
pub(super) fn judge(lines: &[Line], plugin: &str, there: Option<bool>) -> Vec<Link> {
    const NAME: &str = "plugstack.conf";
    let is = |line: &Line, name: &str| line.plugin.file_name().is_some_and(|n| n == name);
    let ours: Vec<(usize, &Line)> = lines.iter().enumerate().filter(|(_, l)| is(l, plugin)).collect();
    let Some(&(at, line)) = ours.first() else {
        let fix = "add `include /etc/slurm/plugstack.conf.d/*` to plugstack.conf, and run gresgen apply";
        return vec![Link::fail(NAME, format!("no line loads {plugin}"), fix)];
    };
    let mut links = Vec::new();
    if ours.len() > 1 {
        let files: Vec<String> = ours.iter().map(|(_, l)| l.file.display().to_string()).collect();
        let what = format!("{} lines load {plugin}: {}", ours.len(), files.join(", "));
        links.push(Link::warn(NAME, what, "leave one; Slurm calls the plugin once per line"));
    }
    if there == Some(false) {
        let what = format!("{}: there is no such plugin", line.plugin.display());
        links.push(Link::fail(NAME, what, "install it there, or in Slurm's PluginDir"));
    }
    if !line.optional {
        let what = format!("{} is required: where it cannot be loaded, srun fails and nodes drain", plugin);
        links.push(Link::warn(NAME, what, "write optional; the plugin stops unresolved tasks by itself"));
    }
    for phrase in line.arguments.iter().filter_map(|argument| wrong(argument)) {
        let fix = format!("mend {}; the plugin ignores it", line.file.display());
        links.push(Link::fail(NAME, phrase, fix));
    }
    if lines[..at].iter().any(|l| is(l, "spank_pyxis.so")) {
        let what = "pyxis comes first, and gives its containers the devices of before";
        links.push(Link::fail(NAME, what, format!("move the line of {plugin} above that of spank_pyxis.so")));
    }
    if links.is_empty() {
        links.push(Link::pass(NAME, format!("{} loads {plugin}", line.file.display())));
    }
    links
}
