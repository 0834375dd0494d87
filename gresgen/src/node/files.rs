//! Which files a change makes others, as far as that is known beforehand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::apply::forecast::PLANNED;
use crate::files::{Comparison, FileError, Kind, Output};
use crate::publish::{Expected, PublishError};
use crate::site::SlurmState;

/// A file that becomes another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FileChange {
    /// Which it is.
    #[serde(skip)]
    pub kind: Kind,
    /// Its path.
    pub path: PathBuf,
    /// What happens to it.
    pub change: Write,
    /// What becomes other in it, in words.
    pub what: String,
    /// Whether its text is known to become another. Device numbers come with the instances: where they are all
    /// that could differ, they may turn out to be those it has.
    pub certain: bool,
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Write {
    /// It is not there yet.
    Create,
    /// It is ours, and replaced.
    Change,
    /// It is the site's, and taken over.
    Adopt,
    /// It is the site's, and left alone: the change is refused for it.
    Foreign,
}

/// What becomes of each file that does not stay as it is.
pub(super) fn changes(
    expected: &Expected,
    slurm: &SlurmState,
    adopt: bool,
) -> Result<Vec<FileChange>, PublishError> {
    let records = (slurm.present_records().len(), expected.table.records.len());
    let change = |output: &Output| change(output, adopt, records).transpose();
    Ok(expected.outputs.iter().filter_map(change).collect::<Result<_, _>>()?)
}

fn change(output: &Output, adopt: bool, records: (usize, usize)) -> Result<Option<FileChange>, FileError> {
    let kind = output.kind;
    let comparison = match Comparison::new(vec![output.clone()], adopt) {
        Err(FileError::Foreign(_)) => {
            let (path, what) = (output.path.clone(), "not written by gresgen".to_owned());
            return Ok(Some(FileChange { kind, path, change: Write::Foreign, what, certain: true }));
        }
        comparison => comparison?,
    };
    let Some(path) = comparison.changed().next().map(Path::to_owned) else { return Ok(None) };
    // Ours alone passes without leave to adopt.
    let change = match path.exists() {
        false => Write::Create,
        true if Comparison::new(vec![output.clone()], false).is_err() => Write::Adopt,
        true => Write::Change,
    };
    let lines = Lines::of(&comparison.diff());
    let what = match kind {
        Kind::GresConf | Kind::DeviceMap => format!("{} -> {} records", records.0, records.1),
        _ if change == Write::Create => format!("{} lines", lines.added),
        _ => format!("+{} -{} lines", lines.added, lines.removed),
    };
    Ok(Some(FileChange { kind, path, change, what, certain: lines.certain }))
}

/// The lines of a diff.
struct Lines {
    added: usize,
    removed: usize,
    /// Whether more than device numbers differ.
    certain: bool,
}

impl Lines {
    fn of(diff: &str) -> Self {
        // The two lines of its header name the file.
        let lines = || diff.lines().skip(2);
        let added: Vec<&str> = lines().filter_map(|line| line.strip_prefix('+')).collect();
        let removed: Vec<&str> = lines().filter_map(|line| line.strip_prefix('-')).collect();
        let counted = |lines: &[&str]| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            lines.iter().for_each(|line| *counts.entry(masked(line)).or_default() += 1);
            counts
        };
        let invented = added.iter().any(|line| line.contains(PLANNED));
        let certain = !invented || counted(&added) != counted(&removed);
        Lines { added: added.len(), removed: removed.len(), certain }
    }
}

/// A line of gres.conf or of the device map without what only the instances bring: their UUIDs, ids, device numbers,
/// and the digest of the gres.conf that has them.
fn masked(line: &str) -> String {
    if line.starts_with("gres-conf ") {
        return "gres-conf".to_owned();
    }
    // A row of the map: index, type, UUID, parent, ids, files.
    let cells: Vec<&str> = line.split(' ').collect();
    if let [index, kind, _, parent, _, _, _, ..] = cells[..]
        && index.bytes().all(|b| b.is_ascii_digit())
    {
        return format!("{index} {kind} {parent}");
    }
    let file = |path: &str| {
        if path.contains(PLANNED) || path.contains("/nvidia-cap") { "*".to_owned() } else { path.to_owned() }
    };
    line.split(',').map(file).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certain(removed: &str, added: &str) -> bool {
        Lines::of(&format!("--- a\n+++ a\n@@ -1 +1 @@\n-{removed}\n+{added}\n")).certain
    }

    #[test]
    fn only_device_numbers_that_come_with_an_instance_are_uncertain() {
        let line = |kind: &str, caps: &str| {
            format!("NodeName=n1 Name=gpu Type={kind} MultipleFiles=/dev/nvidia0,{caps} Flags=nvidia_gpu_env")
        };
        let was = line("1g.5gb", "/dev/nvidia-caps/nvidia-cap66,/dev/nvidia-caps/nvidia-cap67");
        let planned = "/planned-GPU-1-0-0-0-gi,/planned-GPU-1-0-0-0-ci";
        // The flags stand in the last cell with the last file.
        let known = |kind: &str, cap: u32| {
            line(kind, &format!("/dev/nvidia-caps/nvidia-cap{cap},/dev/nvidia-caps/nvidia-cap9"))
        };
        assert!(!certain(&was, &line("1g.5gb", planned)));
        assert!(certain(&was, &line("2g.10gb", planned)));
        assert!(certain(&was, &known("1g.5gb", 75)));
        assert!(certain("boot a", "boot b"));
    }
}
