//! plugstack.conf, as Slurm reads it.

use std::path::{Path, PathBuf};

use crate::read;

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
        let Ok(text) = read::bytes(path, read::MAX_TEXT) else { return };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugstack_is_read_with_what_it_includes() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("plugstack.conf.d")).unwrap();
        for (name, text) in [
            (
                "plugstack.conf",
                "# first\ninclude plugstack.conf.d/*.conf\nrequired spank_last.so\ninclude nowhere.conf\ninclude plugstack.conf\n",
            ),
            ("plugstack.conf.d/b.conf", "optional b.so\n"),
            ("plugstack.conf.d/a.conf", "optional /lib/a.so x=1 y # z\n"),
            ("plugstack.conf.d/.hidden.conf", "optional hidden.so\n"),
            ("plugstack.conf.d/c.txt", "optional c.so\n"),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        // Every file includes the next one twice, and the last one the first.
        for (name, next) in (0..20).map(|n| (format!("r{n}"), format!("r{}", (n + 1) % 20))) {
            std::fs::write(path(&name), format!("include {next}\ninclude {next}\noptional r.so\n")).unwrap();
        }
        assert!(read(&path("r0")).len() <= 1024, "includes have a limit");
        let lines = read(&path("plugstack.conf"));
        let first: Vec<(PathBuf, bool)> =
            lines.iter().take(3).map(|l| (l.plugin.clone(), l.optional)).collect();
        assert_eq!(
            first,
            [("/lib/a.so".into(), true), ("b.so".into(), true), ("spank_last.so".into(), false)]
        );
        assert_eq!(lines[0].arguments, ["x=1", "y"]);
    }
}
