//! Stable links: `/dev/gresgen/…` to device nodes, by GRES index.
//!
//! A gres.conf that names links is the same text on every node of a layout, whatever ids, minors and boards the
//! node has, so configless and shared-config sites write it once. Slurm confines jobs through links exactly, as
//! it takes the major and minor of what they point to at slurmd's start (seen on 22.05.8, 24.11.5 and 26.05.5).

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::gres::GresTable;
use crate::inventory::Inventory;
use crate::path_error::PathError;
use crate::root::Root;

/// Where links are, on the node.
pub const DIRECTORY: &str = crate::devices::OWN;

/// Links of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    names: HashMap<PathBuf, String>,
}

impl Links {
    /// Names every device node of the table once, because Slurm merges devices by the text of their path:
    /// `gpuN` by NVML index, `ciN` by GRES index, and `giN` by the lowest GRES index of the GPU instance.
    pub fn new(table: &GresTable, inventory: &Inventory) -> Self {
        let mut names = HashMap::new();
        for (record, index) in table.records.iter().zip(0..) {
            let gpu = inventory.gpus.iter().find(|g| g.uuid == record.parent).map_or(0, |g| g.index);
            let all = [format!("gpu{gpu}"), format!("gi{index}"), format!("ci{index}")];
            for (file, name) in record.files.iter().zip(all) {
                names.entry(file.path.clone()).or_insert(name);
            }
        }
        Links { names }
    }

    /// The link to a device node, on the node.
    pub fn path(&self, target: &Path) -> Option<PathBuf> {
        self.names.get(target).map(|name| Path::new(DIRECTORY).join(name))
    }

    /// Links that are missing or point elsewhere.
    pub fn wrong(&self, root: &Root) -> Vec<PathBuf> {
        let directory = root.path(DIRECTORY);
        let link = |(target, name): (&PathBuf, &String)| {
            let link = directory.join(name);
            (!is_link_to(&link, target)).then_some(link)
        };
        let mut wrong: Vec<PathBuf> = self.names.iter().filter_map(link).collect();
        wrong.sort();
        wrong
    }

    /// Makes the links, and removes others in their directory. A link that is right is left alone; a wrong one
    /// is replaced by rename, so that there is one at any moment.
    pub fn make(&self, root: &Root) -> Result<(), PathError> {
        let directory = root.path(DIRECTORY);
        fn fail(path: &Path) -> impl FnOnce(std::io::Error) -> PathError {
            PathError::doing(path, "cannot be linked")
        }
        crate::atomic::directory(&directory).map_err(fail(&directory))?;
        for (target, name) in &self.names {
            let link = directory.join(name);
            if is_link_to(&link, target) {
                continue;
            }
            let fresh = directory.join(format!(".{name}.new"));
            let _ = std::fs::remove_file(&fresh);
            symlink(target, &fresh).and_then(|()| std::fs::rename(&fresh, &link)).map_err(fail(&link))?;
        }
        let entries = std::fs::read_dir(&directory).map_err(fail(&directory))?;
        for entry in entries.flatten() {
            let ours = entry.file_name().to_str().is_some_and(|n| self.names.values().any(|name| name == n));
            if !ours {
                std::fs::remove_file(entry.path()).map_err(fail(&entry.path()))?;
            }
        }
        Ok(())
    }
}

fn is_link_to(link: &Path, target: &Path) -> bool {
    std::fs::read_link(link).is_ok_and(|found| found == target)
}
