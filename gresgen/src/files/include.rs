//! What a gres.conf includes is read by slurmd as if it stood in it.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::kept::Ours;
use super::{FileError, io_error};
use crate::read;
use crate::root::Root;
use crate::slurm::lines::lines;

/// Most files that are followed from one.
const MOST: usize = 1024;

/// Where an included file is: relative ones beside slurm.conf (Slurm src/common/read_config.c, `get_extra_conf_path`),
/// which is where gres.conf is, absolute ones below the prefix unless they say so themselves.
pub(crate) fn resolve(file: &str, beside: &Path, root: &Root) -> PathBuf {
    let folder = beside.parent().unwrap_or(Path::new("/"));
    match Path::new(file) {
        file if file.is_relative() => folder.join(file),
        file if file.starts_with(root.prefix()) => file.to_owned(),
        file => root.path(file),
    }
}

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
            Err(error) => return Err(io_error(&file, "cannot be read")(error)),
        };
        if let Some(line) = lines(&text).iter().find(|line| ours.claims(line)) {
            let text = String::from_utf8_lossy(line.raw).trim().to_owned();
            return Err(FileError::Included { path: file, line: line.number, text, by: path.to_owned() });
        }
        open.extend(named(&text));
    }
    Ok(())
}
