//! From the facts of a node to its files: one table, rendered, staged and committed together.

use std::path::PathBuf;

use device_map::{DeviceFile, DeviceMap};
use thiserror::Error;

use crate::devices;
use crate::files::{self, Committed, Comparison, FileError, Kind, Output, Staged, state_directory};
use crate::inventory::Inventory;
use crate::path_error::PathError;
use crate::read;
use crate::render::{self, RenderError};
use crate::root::Root;
use crate::slurm::control::installed_release;
use crate::slurm::gres::PreviousOrder;
use crate::slurm::links::{self, Links};
use crate::slurm::release::UnknownRelease;
use crate::slurm::slots::{self, Form};
use crate::slurm::{GresError, GresTable, Release, Settings, SlurmError, closed, here};

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
    /// What is installed is none whose files this program knows.
    #[error("the installed Slurm: {0}; slurm.release says which one the files are for")]
    Release(UnknownRelease),
    /// Slurm would not keep jobs from devices that are not theirs.
    #[error(
        "Slurm {0} on cgroup v2 confines nothing on a node with GPUs on request; update to 23.02.4 or later, or take \
         them out of slurm.on-request"
    )]
    Unconfined(Release),
    /// Files of the site are in the places of ours.
    #[error("{}", foreign(.0))]
    Foreign(Vec<PathBuf>),
    /// A stable link cannot be made.
    #[error(transparent)]
    Link(#[from] PathError),
}

fn foreign(paths: &[PathBuf]) -> String {
    let lines = paths.iter().map(|path| format!("{}: not written by gresgen", path.display()));
    lines.collect::<Vec<_>>().join("\n")
}

/// What a node's files shall be. Nothing is read but what they depend on, and nothing is touched.
pub(crate) struct Expected {
    /// What the node offers to Slurm.
    pub table: GresTable,
    pub outputs: Vec<Output>,
    /// What gres.conf names instead of device nodes, where the site wants that.
    links: Option<Links>,
    /// Device nodes of its own that a node with GPUs on request has.
    own: Vec<DeviceFile>,
}

impl Expected {
    /// Renders some kinds of files. Indexes are kept from the present device map. `read` is the form of gres.conf that
    /// slurmctld has read, see [`Site::form_read`](crate::site::Site::form_read).
    ///
    /// # Errors
    /// [`PublishError`] naming the object at fault.
    pub(crate) fn new(
        inventory: &Inventory,
        settings: &Settings,
        root: &Root,
        read: Option<Form>,
        kind: impl Fn(Kind) -> bool,
    ) -> Result<Self, PublishError> {
        // A boot must bring the node up under any Slurm; it writes nothing in which releases differ.
        let release = match release(settings) {
            Err(_) if !kind(Kind::CgroupConf) => Release::latest(),
            known => known?,
        };
        if kind(Kind::NodeConf) {
            check_line(inventory, settings, root)?;
        }
        let (table, mut outputs) = outputs(inventory, settings, root, release, read)?;
        // Its program of device limits does not load for so many, and Slurm goes on without: the guards would guard nothing.
        if table.form.is_some() && here::has_unified_cgroup(root) && !release.confines_many_devices_on_v2() {
            return Err(PublishError::Unconfined(release));
        }
        outputs.retain(|output| kind(output.kind));
        let links = stable_links(inventory, &table, settings);
        let own = table.form.map(|_| slots::own_files(inventory, &table.records)).unwrap_or_default();
        Ok(Expected { table, outputs, links, own })
    }

    /// Whether the device nodes that the files name are there, and the links to them right.
    pub(crate) fn has_nodes(&self, root: &Root) -> bool {
        let mut files = self.table.records.iter().flat_map(|record| &record.files);
        self.links.as_ref().is_none_or(|links| links.wrong(root).is_empty())
            && files.all(|file| file.path.symlink_metadata().is_ok())
            && self.own.iter().all(|file| devices::is_there(file, root))
    }

    /// Puts all text on disk beside its place; nothing that exists is touched.
    ///
    /// # Errors
    /// [`PublishError::Foreign`], [`PublishError::File`].
    pub(crate) fn stage(self, root: &Root, adopt: bool) -> Result<Publication, PublishError> {
        let foreign = self.foreign(adopt)?;
        if !foreign.is_empty() {
            return Err(PublishError::Foreign(foreign));
        }
        let Expected { table, outputs, links, own } = self;
        let staged = files::stage(outputs, adopt, &state_directory(root))?;
        Ok(Publication { table, staged, links, own, root: root.clone() })
    }

    /// Files of somebody else in the places of ours, which are not to be taken over.
    ///
    /// # Errors
    /// [`PublishError::File`] for a file that cannot be read or has lines that cannot be kept.
    pub(crate) fn foreign(&self, adopt: bool) -> Result<Vec<PathBuf>, PublishError> {
        match Comparison::new(self.outputs.clone(), adopt) {
            Err(FileError::Foreign(paths)) => Ok(paths),
            result => Ok(result.map(|_| Vec::new())?),
        }
    }
}

/// Files that are ready to be committed, with the table they come from.
pub(crate) struct Publication {
    /// What the node offers to Slurm.
    pub table: GresTable,
    staged: Staged,
    links: Option<Links>,
    own: Vec<DeviceFile>,
    root: Root,
}

impl Publication {
    /// Puts the files in their places, after the links that they name.
    ///
    /// # Errors
    /// [`PublishError::Link`] or [`PublishError::File`].
    pub(crate) fn commit(self) -> Result<Committed, PublishError> {
        for file in &self.own {
            devices::ensure_own(file, &self.root)?;
        }
        let linked = self.links.map(|links| make_links(&links, &self.root)).transpose()?;
        let mut committed = self.staged.commit()?;
        committed.written.extend(linked.flatten());
        Ok(committed)
    }
}

/// The links that gres.conf names, where the settings want them.
pub(crate) fn stable_links(inventory: &Inventory, table: &GresTable, settings: &Settings) -> Option<Links> {
    settings.stable_links.then(|| Links::new(table, inventory))
}

/// Makes links; their directory when anything in it changed.
pub(crate) fn make_links(links: &Links, root: &Root) -> Result<Option<PathBuf>, PathError> {
    let wrong = !links.wrong(root).is_empty();
    links.make(root)?;
    Ok(wrong.then(|| root.path(links::DIRECTORY)))
}

/// The table of a node, and its files beside what they should be: without Slurm, its device map alone. Nothing is
/// written.
///
/// # Errors
/// [`PublishError`] naming the object at fault.
pub(crate) fn compare(
    inventory: &Inventory,
    settings: &Settings,
    root: &Root,
    adopt: bool,
    in_slurm: bool,
) -> Result<(GresTable, Comparison), PublishError> {
    if in_slurm {
        check_line(inventory, settings, root)?;
    }
    let (table, mut outputs) = outputs(inventory, settings, root, release(settings)?, None)?;
    outputs.retain(|output| in_slurm || output.kind == Kind::DeviceMap);
    Ok((table, Comparison::new(outputs, adopt)?))
}

/// Whether the node's line may be written.
///
/// # Errors
/// [`PublishError::Render`] for one that would say less of the node than slurmctld needs.
pub(crate) fn check_line(
    inventory: &Inventory,
    settings: &Settings,
    root: &Root,
) -> Result<(), PublishError> {
    Ok(render::line::check(&inventory.node, settings, root)?)
}

/// What a node offers to Slurm, with the indexes its records have now kept, and its files, rendered.
///
/// # Errors
/// [`PublishError`] naming the object at fault.
pub(crate) fn outputs(
    inventory: &Inventory,
    settings: &Settings,
    root: &Root,
    release: Release,
    read: Option<Form>,
) -> Result<(GresTable, Vec<Output>), PublishError> {
    let mut table = GresTable::new(inventory, settings, &previous(settings, root))?;
    let mut outputs = render::node(inventory, &table, settings, release, root)?;
    // A text that becomes another one takes the form that slurmctld has not read, by which it reads it and is seen to have
    // done so. The form in place may be one that it never read, because a change before ended too early.
    if let (Some(form), Some(present)) = (table.form, present_form(settings, root)) {
        if form != present {
            table.form = Some(present);
            outputs = render::node(inventory, &table, settings, release, root)?;
        }
        let changes = |output: &Output| {
            output.kind == Kind::GresConf
                && read::bytes(&output.path, read::MAX_TEXT)
                    .map_or(true, |text| files::head(&text) != output.text.as_bytes())
        };
        if outputs.iter().any(changes) {
            table.form = Some(read.unwrap_or(present).other());
            outputs = render::node(inventory, &table, settings, release, root)?;
        }
    }
    // A slurmd that starts between the two is to know the devices of what its gres.conf has open; of what that has gated it may know
    // anything, since no task is given it.
    if table.form.is_some() {
        outputs.sort_by_key(|output| output.kind != Kind::DeviceMap);
    }
    // Before the gres.conf that has them: whoever is killed in between leaves what the next one makes it from.
    if closed::is_due(inventory, root) {
        outputs.insert(0, render::closed(inventory, root));
    }
    Ok((table, outputs))
}

/// The form of the gres.conf in place.
fn present_form(settings: &Settings, root: &Root) -> Option<Form> {
    let text = read::bytes(&root.path(settings.paths.gres_conf()), read::MAX_TEXT).ok()?;
    Form::of_gres_conf(&String::from_utf8_lossy(&text))
}

/// The release files are for: what the settings say, else what is installed, else the latest one known.
///
/// # Errors
/// [`PublishError::Release`] when a release is installed that this program does not know.
pub(crate) fn release(settings: &Settings) -> Result<Release, PublishError> {
    match settings.release.map_or_else(installed_release, Ok) {
        Ok(release) => Ok(release),
        Err(SlurmError::Release(unknown)) => Err(PublishError::Release(unknown)),
        Err(_) => Ok(Release::latest()),
    }
}

/// The device map in place, if there is one that can be believed.
pub(crate) fn present_map(root: &Root) -> Option<DeviceMap> {
    device_map::load(&root.path(Root::DEVICE_MAP)).ok()
}

/// The order records have now: that of the map, or after a reboot that of gres.conf.
fn previous(settings: &Settings, root: &Root) -> PreviousOrder {
    match present_map(root) {
        Some(map) => PreviousOrder::of(&map),
        None => {
            let text = read::bytes(&root.path(settings.paths.gres_conf()), read::MAX_TEXT);
            text.map(|text| PreviousOrder::of_gres_conf(&String::from_utf8_lossy(&text))).unwrap_or_default()
        }
    }
}
