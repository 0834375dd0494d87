//! Edits as a unified patch, for `patch -p0` and `git apply -p0` in the root directory.

use std::path::Path;

use similar::TextDiff;

use super::Edit;
use crate::root::Root;

/// The patch. Files may be in any encoding, so it is bytes. Names are below the root and have no slash before them:
/// both programs refuse absolute ones.
pub fn unified(edits: &[Edit], root: &Root) -> Vec<u8> {
    edits.iter().filter(|edit| edit.changes()).flat_map(|edit| one(edit, root)).collect()
}

fn one(edit: &Edit, root: &Root) -> Vec<u8> {
    // The root may itself be reached by a link, which the path of an edit no longer has.
    let real = root.prefix().canonicalize().unwrap_or_else(|_| root.prefix().to_owned());
    let below = edit.path.strip_prefix(root.prefix()).or_else(|_| edit.path.strip_prefix(&real));
    let name = below.unwrap_or(&edit.path);
    let old = if edit.old.is_some() { name } else { Path::new("/dev/null") };
    let mut patch = format!("--- {}\n+++ {}\n", old.display(), name.display()).into_bytes();
    let (before, after) = (signs(edit.old.as_deref().unwrap_or_default()), signs(&edit.new));
    let diff = TextDiff::from_lines(&before, &after);
    patch.extend(bytes(&diff.unified_diff().to_string()));
    patch
}

/// Each byte as a sign of its own, so that no byte is lost where text is compared.
fn signs(text: &[u8]) -> String {
    text.iter().copied().map(char::from).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|sign| u8::try_from(u32::from(sign)).unwrap_or(b'?')).collect()
}
