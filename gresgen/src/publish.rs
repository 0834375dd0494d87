//! From the facts of a node to its files: one table, rendered, staged and committed together.

use std::process::Command;

use device_map::DeviceMap;
use thiserror::Error;

use crate::files::{self, Committed, FileError, Staged, state_directory};
use crate::inventory::Inventory;
use crate::render::{self, RenderError};
use crate::root::Root;
use crate::slurm::gres::{GresError, Previous};
use crate::slurm::{GresTable, Release, Settings};

/// Why a node's files cannot be written.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The facts make no table.
    #[error(transparent)]
    Gres(#[from] GresError),
    /// The table makes no text.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The text finds no place.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Files that are ready to be committed, with the table they come from.
pub struct Publication {
    /// What the node offers to Slurm.
    pub table: GresTable,
    /// Its files.
    pub staged: Staged,
}

impl Publication {
    /// Renders and stages; nothing that exists is touched. Indexes are kept from the present device map.
    ///
    /// # Errors
    /// [`PublishError`] naming the object at fault.
    pub fn stage(
        inventory: &Inventory,
        settings: &Settings,
        root: &Root,
        adopt: bool,
    ) -> Result<Self, PublishError> {
        let release = settings.release.or_else(installed).unwrap_or_else(Release::latest);
        let table = GresTable::new(inventory, settings, &previous(settings, root))?;
        let outputs = render::node(inventory, &table, settings, release, root)?;
        let staged = files::stage(outputs, adopt, &state_directory(root))?;
        Ok(Publication { table, staged })
    }

    /// Puts the files in their places.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn commit(self) -> Result<Committed, FileError> {
        self.staged.commit()
    }
}

/// The device map in place, if there is one that can be believed.
pub fn present_map(root: &Root) -> Option<DeviceMap> {
    device_map::load(&root.path(Root::DEVICE_MAP)).ok()
}

/// The order records have now: that of the map, or after a reboot that of gres.conf.
fn previous(settings: &Settings, root: &Root) -> Previous {
    match present_map(root) {
        Some(map) => Previous::of(&map),
        None => {
            let text = std::fs::read_to_string(root.path(settings.paths.gres_conf()));
            text.map(|text| Previous::of_gres_conf(&text)).unwrap_or_default()
        }
    }
}

/// The release of the Slurm commands on this host: `slurm 24.11.5`, on Debian `slurm-wlm 22.05.8`.
fn installed() -> Option<Release> {
    let output = Command::new("scontrol").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().last()?.parse().ok()
}
