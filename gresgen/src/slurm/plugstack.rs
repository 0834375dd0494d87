//! plugstack.conf, as Slurm reads it.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, glob_with};

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

/// Files that a pattern matches, in order of their names, as glob(3) does without flags (src/common/plugstack.c,
/// `_spank_conf_include`).
fn matches(pattern: &Path) -> impl Iterator<Item = PathBuf> {
    let options = MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..MatchOptions::default()
    };
    let mut pattern = pattern.to_string_lossy().into_owned();
    // Two stars are one to glob(3).
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    glob_with(&pattern, options).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugstack_is_read_with_what_it_includes() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, text) in [
            (
                "plugstack.conf",
                "# first\ninclude plugstack.conf.d/*.conf\nrequired spank_last.so\ninclude nowhere.conf\ninclude plugstack.conf\n",
            ),
            ("plugstack.conf.d/b.conf", "include [!a-b]/?.con**f\noptional b.so\n"),
            ("plugstack.conf.d/a.conf", "optional /lib/a.so x=1 y # z\n"),
            ("plugstack.conf.d/.hidden.conf", "optional hidden.so\n"),
            ("plugstack.conf.d/c.txt", "optional c.so\n"),
            ("plugstack.conf.d/d/1.conf", "optional d.so\n"),
            ("plugstack.conf.d/d/10.conf", "optional ten.so\n"),
            ("plugstack.conf.d/b/2.conf", "optional two.so\n"),
        ] {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), text).unwrap();
        }
        // Every file includes the next one twice, and the last one the first.
        for (name, next) in (0..20).map(|n| (format!("r{n}"), format!("r{}", (n + 1) % 20))) {
            std::fs::write(path(&name), format!("include {next}\ninclude {next}\noptional r.so\n")).unwrap();
        }
        assert!(read(&path("r0")).len() <= 1024, "includes have a limit");
        let lines = read(&path("plugstack.conf"));
        let first: Vec<(PathBuf, bool)> =
            lines.iter().take(4).map(|l| (l.plugin.clone(), l.optional)).collect();
        assert_eq!(
            first,
            [
                ("/lib/a.so".into(), true),
                ("d.so".into(), true),
                ("b.so".into(), true),
                ("spank_last.so".into(), false)
            ]
        );
        assert_eq!(lines[0].arguments, ["x=1", "y"]);
    }
}
