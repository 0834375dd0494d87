//! What Slurm's files say of this host, as far as a first configuration repeats it.

use std::path::{Path, PathBuf};

use super::{InitError, edits, node_line};
use crate::files::Output;
use crate::read;
use crate::root::Root;
use crate::slurm::conf::Conf;
use crate::slurm::control::{host_hardware, installed_release};
use crate::slurm::lines::value;
use crate::slurm::{Settings, SlurmError, here};

/// The slurm.conf of a host, and what stands beside it.
pub(crate) struct Found {
    pub path: PathBuf,
    pub conf: Conf,
    /// Its directory, as a path of the node.
    folder: PathBuf,
}

impl Found {
    /// Reads the slurm.conf of this host; `None` where no Slurm is set up.
    ///
    /// # Errors
    /// [`SlurmError::NoConfiguration`] where Slurm runs and its slurm.conf is nowhere to be found.
    pub(crate) fn read(root: &Root) -> Result<Option<Self>, SlurmError> {
        let Some(path) = here::configuration(root)? else { return Ok(None) };
        let folder = path.parent().unwrap_or(Path::new("/"));
        let folder = Path::new("/").join(folder.strip_prefix(root.prefix()).unwrap_or(folder));
        Ok(Some(Found { conf: Conf::read(&path, root), folder, path }))
    }

    /// Whether slurmctld sent it, so that its place to be edited is there.
    pub(crate) fn is_cached(&self) -> bool {
        // The link that slurmd makes, and where it leads (src/slurmd/slurmd/slurmd.c, `_establish_configuration`).
        self.folder == Path::new("/run/slurm/conf") || self.folder.ends_with("conf-cache")
    }

    /// Where gresgen's files go so that Slurm reads them: beside slurm.conf, where that is not the default.
    pub(crate) fn set_paths(&self, settings: &mut Settings) {
        if self.folder == Path::new("/etc/slurm") || self.is_cached() {
            return;
        }
        place(settings, &self.folder, "gresgen-node.conf", "plugstack.conf.d/mig.conf");
    }

    /// Where the files of a whole cluster go.
    pub(crate) fn set_cluster_paths(&self, settings: &mut Settings) {
        place(settings, &self.folder.join("cluster"), "nodes.conf", "mig.conf");
    }

    /// What slurm.conf says of a node beside its GPUs; `None` where it has no line for it.
    ///
    /// # Errors
    /// [`InitError::Line`].
    pub(crate) fn attributes(&self, node: &str) -> Result<Option<String>, InitError> {
        let lines = node_line::find(&self.conf, |name| name == node)?;
        Ok(lines.first().map(|line| line.attributes(node)))
    }

    /// Every entry of `Gres=` that slurm.conf has for a node.
    ///
    /// # Errors
    /// [`InitError::Line`].
    pub(super) fn gres(&self, node: &str) -> Result<Vec<String>, InitError> {
        let lines = node_line::find(&self.conf, |name| name == node)?;
        Ok(lines.first().map(|line| line.gres(node)).unwrap_or_default())
    }

    /// All GRES of the cluster.
    pub(crate) fn gres_types(&self) -> Vec<String> {
        edits::gres_types(&self.conf)
    }

    /// Files in the places of ours that somebody else wrote.
    pub(crate) fn foreign(&self, settings: &Settings, root: &Root) -> Vec<PathBuf> {
        let paths = &settings.paths;
        let paths = [paths.gres_conf(), paths.node_conf(), paths.cgroup_conf(), paths.plugstack_conf()];
        let is = |path: &PathBuf| {
            read::bytes(path, read::MAX_TEXT).is_ok_and(|text| !text.starts_with(Output::MARKER.as_bytes()))
        };
        paths.into_iter().map(|path| root.path(path)).filter(is).collect()
    }

    /// What Slurm has to be told that no edit of ours tells it.
    pub(crate) fn notes(&self) -> Vec<String> {
        let said = |key: &str| self.conf.said.iter().rev().find_map(|said| value(&said.pairs, key));
        let path = self.path.display();
        let mut notes = Vec::new();
        let plugins = said("taskplugin").unwrap_or("task/none");
        if !plugins.split(',').any(|plugin| matches!(plugin.trim(), "task/cgroup" | "cgroup")) {
            notes.push(format!(
                "{path}: TaskPlugin={plugins} has no task/cgroup, so nothing confines jobs to their slices"
            ));
        }
        if said("selecttype").is_some_and(|select| select.contains("linear")) {
            notes.push(format!(
                "{path}: SelectType=select/linear gives no job a slice; select/cons_tres does"
            ));
        }
        notes
    }
}

/// Puts gresgen's files into a folder, those that have no name of Slurm's under these.
fn place(settings: &mut Settings, folder: &Path, node_conf: &str, plugstack_conf: &str) {
    let path = |name: &str| Some(folder.join(name).display().to_string());
    let paths = &mut settings.paths;
    paths.gres_conf = path("gres.conf");
    paths.cgroup_conf = path("cgroup.conf");
    paths.node_conf = path(node_conf);
    paths.plugstack_conf = path(plugstack_conf);
}

/// The release that files will be for, as a comment.
pub(crate) fn release() -> Option<String> {
    installed_release().ok().map(|release| release.to_string())
}

/// What `slurmd -C` says of this host.
pub(crate) fn hardware() -> Option<String> {
    let said = host_hardware()?;
    // It prints what it sees now among what it is.
    let kept = said.split_whitespace().filter(|word| word.contains('=') && !word.starts_with("UpTime="));
    let words: Vec<&str> = kept.filter(|word| !word.to_ascii_lowercase().starts_with("gres=")).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
