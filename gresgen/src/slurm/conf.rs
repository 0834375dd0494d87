//! A configuration file of Slurm with the files it includes, as one text (src/common/parse_config.c).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::hostlist;
use super::lines::{lines, value};
use crate::read;
use crate::root::Root;

/// Most files that are read from one.
const MOST: usize = 1024;

/// A line, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfLine {
    pub file: PathBuf,
    /// Its line, from 1.
    pub number: usize,
    /// The line, or lines, as they stand there.
    pub text: String,
    /// What it says, keys in lower case.
    pub pairs: Vec<(String, String)>,
}

/// What a file and those that it includes say.
#[derive(Debug, Default)]
pub(crate) struct Conf {
    /// Lines with a key, in Slurm's order.
    pub said: Vec<ConfLine>,
    /// Files that cannot be read, the first one among them, and why.
    pub unread: Vec<(PathBuf, io::Error)>,
    files: BTreeSet<PathBuf>,
}

impl Conf {
    /// Reads a file and, each once, those that it includes.
    pub(crate) fn read(path: &Path, root: &Root) -> Self {
        let mut conf = Conf::default();
        conf.open(path, path, root);
        conf
    }

    /// The same with this text in the place of what is in the first file, or of it before it is there.
    pub(crate) fn of(path: &Path, text: &[u8], root: &Root) -> Self {
        let mut conf = Conf::default();
        conf.files.insert(real(path));
        conf.take(text, path, path, root);
        conf
    }

    fn open(&mut self, file: &Path, first: &Path, root: &Root) {
        if !self.files.insert(real(file)) {
            return;
        }
        // What is not followed is not known, and whoever asks has to hear of it.
        let text = if self.files.len() > MOST {
            Err(io::Error::other(format!("is one of more than {MOST} included files")))
        } else {
            read::bytes(file, read::MAX_TEXT)
        };
        match text {
            Ok(text) => self.take(&text, file, first, root),
            Err(error) => self.unread.push((file.to_owned(), error)),
        }
    }

    fn take(&mut self, text: &[u8], file: &Path, first: &Path, root: &Root) {
        for line in lines(text) {
            if let Some(named) = line.include() {
                if let Some(named) = self.named(named) {
                    self.open(&found(&named, first, file, root), first, root);
                }
                continue;
            }
            let pairs = line.pairs();
            if !pairs.is_empty() {
                let text = String::from_utf8_lossy(line.raw).trim().to_owned();
                self.said.push(ConfLine { file: file.to_owned(), number: line.number, text, pairs });
            }
        }
    }

    /// The file that an include means, where it means one: Slurm puts the name of the cluster, in lower case, in the place
    /// of `%c`, where a line before said it (`_parse_for_format`), and skips patterns (`_parse_include_directive`).
    fn named(&self, file: &str) -> Option<String> {
        let cluster = || self.said.iter().rev().find_map(|line| value(&line.pairs, "clustername"));
        let file = if file.contains("%c") {
            file.replace("%c", &cluster()?.to_ascii_lowercase())
        } else {
            file.to_owned()
        };
        Some(file).filter(|file| !file.contains('*'))
    }

    /// Whether this file is the first one or included.
    pub(crate) fn includes(&self, file: &Path) -> bool {
        self.files.contains(&real(file))
    }

    /// The nodes, with the lines that are about them.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&ConfLine, Vec<String>)> {
        // The key that begins a line says what the line is about.
        let node = |line: &ConfLine| line.pairs.first().is_some_and(|(key, _)| key == "nodename");
        // `DEFAULT` is no node but what those below it have in common (slurm.conf(5), NodeName).
        let named = |line: &ConfLine| {
            let names = value(&line.pairs[..1], "nodename").map(hostlist::unfold)?.ok()?;
            Some(names).filter(|names| !names.iter().any(|name| name.eq_ignore_ascii_case("DEFAULT")))
        };
        self.said.iter().filter(move |line| node(line)).filter_map(move |line| Some((line, named(line)?)))
    }
}

/// Whether a line of gres.conf, by its words, is about one of these nodes: one without names is about each that reads it, one
/// whose list cannot be read is passed over (src/interfaces/gres.c, `_parse_gres_config_node`).
pub(crate) fn is_about(pairs: &[(String, String)], is_one: impl Fn(&String) -> bool) -> bool {
    value(pairs, "nodename")
        .is_none_or(|list| hostlist::unfold(list).is_ok_and(|names| names.iter().any(is_one)))
}

/// Where a file is that the file `by` includes. 22.05 takes relative ones as beside that (`_add_full_path`), 23.02 and
/// later as beside the first one.
fn found(file: &str, first: &Path, by: &Path, root: &Root) -> PathBuf {
    let (now, before) = (resolve(file, first, root), resolve(file, by, root));
    if !now.exists() && before.exists() { before } else { now }
}

/// Where an included file is: relative ones beside slurm.conf (src/common/read_config.c, `get_extra_conf_path`), which
/// is where Slurm's other files are, absolute ones below the prefix unless they say so themselves.
fn resolve(file: &str, beside: &Path, root: &Root) -> PathBuf {
    let folder = beside.parent().unwrap_or(Path::new("/"));
    match Path::new(file) {
        file if file.is_relative() => folder.join(file),
        file if file.starts_with(root.prefix()) => file.to_owned(),
        file => root.path(file),
    }
}

/// One name for a file that has several, even before it is there.
fn real(file: &Path) -> PathBuf {
    let folder = || Some(file.parent()?.canonicalize().ok()?.join(file.file_name()?));
    file.canonicalize().ok().or_else(folder).unwrap_or_else(|| file.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn included_files_are_read_where_they_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        let folder = root.path("/etc/slurm");
        fs::create_dir_all(folder.join("more")).unwrap();
        let write = |name: &str, text: &[u8]| fs::write(folder.join(name), text).unwrap();
        write(
            "slurm.conf",
            b"include %c.conf\r\nClusterName=Blue # %c\nInclude more/a.conf \\\n # its own\n\
             include /etc/slurm/%c.conf\ninclude *.conf\ninclude gone.conf\ninclude later.conf\n\
             \x20include no.conf\nLast=1\n",
        );
        write("more/a.conf", b"NodeName=DEFAULT CPUs=2\n\nnodename=a[1-2],b \\\n  NodeAddr=x\ninclude b.conf\ninclude near.conf\n");
        write("more/near.conf", b"Near=1\n");
        write("b.conf", b"NodeName=c\xff\ninclude more/a.conf\ninclude slurm.conf\n");
        write("blue.conf", b"DownNodes=a1 NodeName=x\n");
        std::os::unix::fs::symlink(folder.join("b.conf"), folder.join("later.conf")).unwrap();

        let conf = Conf::read(&folder.join("slurm.conf"), &root);
        let said = |line: &ConfLine| {
            let file = line.file.strip_prefix(&folder).unwrap().display().to_string();
            format!("{file}:{} {}", line.number, line.pairs[0].0)
        };
        let lines: Vec<String> = conf.said.iter().map(said).collect();
        let due = [
            "slurm.conf:2 clustername",
            "more/a.conf:1 nodename",
            "more/a.conf:3 nodename",
            "b.conf:1 nodename",
            "more/near.conf:1 near",
            "blue.conf:1 downnodes",
            "slurm.conf:10 last",
        ];
        assert_eq!(lines, due);
        let unread: Vec<_> = conf.unread.iter().map(|(file, error)| (file.clone(), error.kind())).collect();
        assert_eq!(unread, [(folder.join("gone.conf"), io::ErrorKind::NotFound)]);
        let nodes: Vec<Vec<String>> = conf.nodes().map(|(_, names)| names).collect();
        assert_eq!(nodes, [vec!["a1", "a2", "b"], vec!["c\u{fffd}"]]);
        for (file, included) in [("later.conf", true), ("gone.conf", true), ("no.conf", false)] {
            assert_eq!(conf.includes(&folder.join(file)), included, "{file}");
        }
    }

    #[test]
    fn a_file_that_is_none_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let conf = Conf::read(directory.path(), &Root::host());
        assert_eq!(conf.unread.len(), 1);
        assert_eq!((conf.unread[0].0.as_path(), conf.said), (directory.path(), vec![]));
    }

    #[test]
    fn there_is_an_end_to_includes() {
        let directory = tempfile::tempdir().unwrap();
        let path = |number: usize| directory.path().join(format!("{number}.conf"));
        for number in 0..MOST + 2 {
            fs::write(path(number), format!("include {}.conf\nA={number}\n", number + 1)).unwrap();
        }
        let conf = Conf::of(&path(0), b"include 1.conf\n", &Root::host());
        assert_eq!(conf.said.len(), MOST - 1);
        let [(file, error)] = &conf.unread[..] else { panic!("{:?}", conf.unread) };
        assert_eq!(file, &path(MOST));
        assert_eq!(error.to_string(), "is one of more than 1024 included files");
    }
}
