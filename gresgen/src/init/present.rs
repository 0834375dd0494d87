//! What jobs ask a node's GPUs for before anything is changed, and what they will find of it afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mig::Profile;

use super::layouts::{LayoutOf, can_be_cut};
use super::{Found, InitError};
use crate::config::written::LayoutEntry;
use crate::cores::ranges;
use crate::files::SHARING;
use crate::inventory::Inventory;
use crate::root::Root;
use crate::slurm::conf::{Conf, is_about};
use crate::slurm::control::gpus;
use crate::slurm::lines::value;
use crate::slurm::names::{TypeSettings, underscored};
use crate::slurm::{Names, Settings, TypeName, hostlist};

/// The GRES of a node's GPUs, as its files have them.
#[derive(Debug, Default)]
pub(super) struct PresentGres {
    /// GPU types in `Gres=` of its line.
    types: BTreeSet<String>,
    /// Shares of its GPUs, as `shard:8` in `Gres=`, or `shard` where gres.conf alone has some.
    shares: BTreeSet<String>,
    /// What is said of its GPUs in gres.conf.
    said: Vec<Vec<(String, String)>>,
}

impl PresentGres {
    /// Reads the node's `Gres=` and gres.conf.
    ///
    /// # Errors
    /// [`InitError::Line`] of slurm.conf.
    pub(super) fn read(
        found: &Found,
        node: &str,
        settings: &Settings,
        root: &Root,
    ) -> Result<Self, InitError> {
        let gres = found.gres(node)?;
        let types = gpus(&gres.join(",")).into_iter().map(|(name, _)| name).filter(|name| !name.is_empty());
        let is_share = |gres: &str| SHARING.iter().any(|name| name.eq_ignore_ascii_case(gres));
        let in_line = gres.iter().filter(|entry| is_share(entry.split(':').next().unwrap_or(entry)));
        let mut shares: BTreeSet<String> = in_line.cloned().collect();
        let conf = Conf::read(&root.path(settings.paths.gres_conf()), root);
        let lines = conf.said.into_iter().map(|line| line.pairs);
        let said: Vec<_> = lines.filter(|pairs| is_about(pairs, |name| name == node)).collect();
        if shares.is_empty() {
            let names = said.iter().filter_map(|pairs| value(pairs, "name")).filter(|name| is_share(name));
            shares.extend(names.map(str::to_ascii_lowercase));
        }
        Ok(PresentGres { types: types.collect(), shares, said })
    }

    /// Whether jobs have shares of whole GPUs, which a GPU that is cut has no more.
    pub(super) fn is_shared(&self) -> bool {
        !self.shares.is_empty()
    }

    /// Names that jobs have for the devices that are there, where they are others than ours: `1g.5gb` to `small`, `a100` to
    /// `tesla`. A device with two names, or a name for two kinds of them, has none.
    pub(super) fn aliases(&self, inventory: &Inventory) -> BTreeMap<String, String> {
        let ours = TypeSettings::default();
        let Ok(ours) = Names::new(&ours) else { return BTreeMap::new() };
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (gpu, _, compute) in inventory.devices() {
            let file = compute.files.last().map(|file| &*file.path);
            if let Some(found) = file.and_then(|file| self.name(file, &detected(&gpu.model, compute.profile)))
            {
                names.entry(compute.profile.to_string()).or_default().insert(found);
            }
        }
        for gpu in inventory.whole_gpus() {
            let Ok(whole) = ours.whole(&gpu.model) else { continue };
            if let Some(found) = self.name(&gpu.file.path, &underscored(&gpu.model)) {
                names.entry(whole.as_str().to_owned()).or_default().insert(found);
            }
        }
        let taken = |name: &String| names.values().filter(|others| others.contains(name)).count() > 1;
        let alias = |(ours, found): (&String, &BTreeSet<String>)| {
            let [name] = &found.iter().collect::<Vec<_>>()[..] else { return None };
            let good =
                *name != ours && !names.contains_key(*name) && !taken(name) && TypeName::new(name).is_ok();
            good.then(|| (ours.clone(), (*name).clone()))
        };
        names.iter().filter_map(alias).collect()
    }

    /// The type of a device: that of the line with its file, or of `Gres=` where slurmd finds the device by itself.
    fn name(&self, file: &Path, detected: &str) -> Option<String> {
        let name = file.file_name()?.to_str()?;
        let is_gpu = |pairs: &&Vec<(String, String)>| {
            value(pairs, "name").is_some_and(|name| name.eq_ignore_ascii_case("gpu"))
        };
        let has_file = |pairs: &&Vec<(String, String)>| {
            let files = value(pairs, "multiplefiles").map(hostlist::unfold).and_then(Result::ok);
            // Of several files of one device the last is its own.
            let own = files.map(|files| files.last().cloned().into_iter().collect());
            let files = own.or_else(|| value(pairs, "file").map(hostlist::unfold).and_then(Result::ok));
            files.unwrap_or_default().iter().any(|file: &String| file.rsplit('/').next() == Some(name))
        };
        if let Some(line) = self.said.iter().filter(is_gpu).find(has_file) {
            return value(line, "type").map(str::to_owned);
        }
        let finds = self.said.iter().filter_map(|pairs| value(pairs, "autodetect"));
        if !finds.clone().any(|how| !how.eq_ignore_ascii_case("off")) {
            return None;
        }
        // The longest name of slurm.conf that the detected one has in it (src/plugins/gres/gpu/gres_gpu.c,
        // `_normalize_sys_gres_types`).
        let within = self.types.iter().filter(|name| detected.contains(&name.to_ascii_lowercase()));
        within.max_by_key(|name| name.len()).cloned()
    }

    /// What jobs will not find any more once `layout` is made, a sentence each.
    pub(super) fn losses(
        &self,
        inventory: &Inventory,
        (meant, layout): (LayoutOf, &[LayoutEntry]),
        settings: &Settings,
    ) -> Vec<String> {
        let Ok(names) = Names::new(&settings.types) else { return Vec::new() };
        let label = meant.label();
        let instead = match meant {
            LayoutOf::Current => "",
            _ => "; --layout-of current keeps what they ask for",
        };
        let mut types = BTreeSet::new();
        let mut cut = BTreeSet::new();
        for gpu in &inventory.gpus {
            let entry = layout.iter().find(|entry| entry.gpus.is_empty() || entry.gpus.contains(&gpu.index));
            match entry.filter(|_| can_be_cut(gpu)).and_then(|entry| entry.content.as_ref()) {
                Some(counts) => {
                    types.extend(counts.keys().filter_map(|profile| names.slice(&gpu.model, *profile).ok()));
                    cut.insert(gpu.index);
                }
                None => types.extend(names.whole(&gpu.model).ok()),
            }
        }
        let mut losses = Vec::new();
        let gone: Vec<String> =
            self.types.iter().filter(|name| types.iter().all(|t| t.as_str() != *name)).cloned().collect();
        if !gone.is_empty() {
            let list = |names: Vec<String>| {
                names.iter().map(|name| format!("gpu:{name}")).collect::<Vec<_>>().join(", ")
            };
            let there = list(types.iter().map(|name| name.as_str().to_owned()).collect());
            losses.push(format!(
                "jobs that ask for {} find none with layout {label}, which has {there}{instead}",
                list(gone)
            ));
        }
        if self.is_shared() && !cut.is_empty() {
            let shares: Vec<&str> = self.shares.iter().map(String::as_str).collect();
            losses.push(format!(
                "{}: a share is one of a whole GPU, and layout {label} cuts GPU {}: take what is of them out of Gres= in \
                 slurm.nodes and out of gres.conf{instead}",
                shares.join(", "),
                ranges(&cut)
            ));
        }
        losses
    }
}

/// What slurmd calls a MIG device that it finds by NVML (src/plugins/gpu/nvml/gpu_nvml.c, `_handle_mig`).
fn detected(product: &str, profile: Profile) -> String {
    let product = underscored(product);
    format!("{}_{profile}", product.split('-').next().unwrap_or_default())
}
