//! Edits as a unified patch, for `patch -p0` and `git apply -p0` in the root directory.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Edit;
use crate::diff;
use crate::root::Root;

/// The patch. Files may be in any encoding, so it is bytes. Names are below the root and have no slash before them:
/// both programs refuse absolute ones.
pub(crate) fn unified(edits: &[Edit], root: &Root) -> Vec<u8> {
    edits.iter().filter(|edit| edit.changes()).flat_map(|edit| of_file(edit, root)).collect()
}

fn of_file(edit: &Edit, root: &Root) -> Vec<u8> {
    // The root may itself be reached by a link, which the path of an edit no longer has.
    let real = root.prefix().canonicalize().unwrap_or_else(|_| root.prefix().to_owned());
    let below = edit.path.strip_prefix(root.prefix()).or_else(|_| edit.path.strip_prefix(&real));
    let name = quoted(below.unwrap_or(&edit.path));
    let old = if edit.old.is_some() { &name } else { &b"/dev/null"[..] };
    let mut patch = [b"--- ", old, b"\n+++ ", &name, b"\n"].concat();
    patch.extend(diff::hunks(edit.old.as_deref().unwrap_or_default(), &edit.new));
    patch
}

/// A name as git writes it and GNU patch reads it (src/pch.c, `fetchname`): a name with a blank ends at a tab, and one with
/// signs that no line can have, or that begin such a text, is a text of C.
fn quoted(name: &Path) -> Vec<u8> {
    let name = name.as_os_str().as_bytes();
    let is_plain = |byte: &u8| !byte.is_ascii_control() && !b"\"\\".contains(byte);
    if !name.iter().all(is_plain) {
        let mut text = vec![b'"'];
        for byte in name {
            if is_plain(byte) { text.push(*byte) } else { text.extend(format!("\\{byte:03o}").into_bytes()) }
        }
        text.push(b'"');
        return text;
    }
    let tab: &[u8] = if name.contains(&b' ') { b"\t" } else { b"" };
    [name, tab].concat()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// What patch(1) and git-apply(1) make of a file.
    #[test]
    fn programs_take_it_whatever_bytes_there_are() {
        let names: [&[u8]; 5] =
            [b"slurm.conf", b"my conf/slurm .conf", b"a\"b\\c/x", b"G\xfcnther/x", b"t\tab/x\ny"];
        let texts: [(&[u8], &[u8]); 6] = [
            (b"A=1\rB=2\nC=3\r\nD=\xfc\nE=5\n", b"A=1\rB=2\ninclude x\nC=3\r\nD=\xfc\nE=5\n"),
            (b"A=1\n\rB=2\r", b"A=1\nB=2\n"),
            (b"A=1\nB=2\r", b"A=2\nB=2\r"),
            (b"A=1\x0bB\x0cC\x85D\xe2\x80\xa8\n", b"A=1\x0bB\x0cC\x85D\xe2\x80\xa8\nX=1\n"),
            (b"A=1\r\nB=2\r\n", b"B=2\r\n"),
            (b"A=1", b"A=1\nB=2\n"),
        ];
        for name in names {
            for (old, new) in texts {
                for command in [&["patch", "-p0"][..], &["git", "apply", "-p0", "-"]] {
                    let directory = tempfile::tempdir().unwrap();
                    let root = Root::new(directory.path()).unwrap();
                    let path = root.path(Path::new(std::ffi::OsStr::from_bytes(name)));
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(&path, old).unwrap();
                    let edit = Edit { path: path.clone(), old: Some(old.to_vec()), new: new.to_vec() };
                    let patch = unified(&[edit], &root);
                    let mut child = Command::new(command[0])
                        .args(&command[1..])
                        .current_dir(directory.path())
                        .stdin(Stdio::piped())
                        .stdout(Stdio::piped())
                        .stderr(Stdio::piped())
                        .spawn()
                        .unwrap();
                    child.stdin.take().unwrap().write_all(&patch).unwrap();
                    let output = child.wait_with_output().unwrap();
                    let said = [output.stdout, output.stderr].concat();
                    let what = format!("{command:?}: {}\n{}", said.escape_ascii(), patch.escape_ascii());
                    assert!(output.status.success(), "{what}");
                    let now = fs::read(&path).unwrap();
                    assert_eq!(now.escape_ascii().to_string(), new.escape_ascii().to_string(), "{what}");
                }
            }
        }
    }
}
