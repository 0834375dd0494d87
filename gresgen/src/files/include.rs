//! What a gres.conf includes is read by slurmd as if it stood in it.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::FileError;
use super::kept::Ours;
use crate::path_error::PathError;
use crate::read;
use crate::root::Root;
use crate::slurm::conf::resolve;
use crate::slurm::lines::lines;

/// Most files that are followed from one.
const MOST: usize = 1024;

/// Refuses includes, in lines that stay in `path`, by which slurmd would read our nodes' GPUs a second time. Files that
/// are not there are slurmd's to complain about.
pub(super) fn check(path: &Path, kept: &[u8], ours: &Ours<'_>, root: &Root) -> Result<(), FileError> {
    let named = |text: &[u8]| -> Vec<PathBuf> {
        lines(text).iter().filter_map(|line| Some(resolve(line.include()?, path, root))).collect()
    };
    let mut open = named(kept);
    let mut seen: HashSet<PathBuf> = HashSet::from([path.to_owned()]);
    while let Some(file) = open.pop() {
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        if seen.len() > MOST || !seen.insert(real) {
            continue;
        }
        let text = match read::bytes(&file, read::MAX_TEXT) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(PathError::doing(&file, "cannot be read")(error).into()),
        };
        if let Some(line) = lines(&text).iter().find(|line| ours.claims(line)) {
            let text = String::from_utf8_lossy(line.raw).trim().to_owned();
            return Err(FileError::Included { path: file, line: line.number, text, by: path.to_owned() });
        }
        open.extend(named(&text));
    }
    Ok(())
}
