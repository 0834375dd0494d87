//! What the administrator wants: the configuration file, the GPUs it selects and the goals that follow.
//!
//! Pure: texts and facts in, goals or errors out. Errors point at the place in the file.
//!
//! The grammar is that of NVIDIA's mig-parted, whose files are read unchanged, with additions; `file`
//! shows it. As there, later entries of a label win where several select one GPU, GPUs that no entry selects
//! are left as they are, and entries may name GPUs that this node does not have.

mod configmap;
mod cuts;
mod error;
pub(crate) mod file;
mod goals;
mod select;
mod slurm;
mod snippet;
pub(crate) mod written;
mod yaml;

use device_map::MAX_RECORDS;
use mig::Profile;

pub use cuts::{Cuts, WantedInstance, divide};
pub use error::{ConfigError, Problem};
pub use file::Per;
use file::{Amount, Counts, Device, Document};
pub use goals::Wanted;
pub use select::{GpuFacts, Selector, boards, is_model, present};
use snippet::{Mark, Source};

pub use crate::pci::PciIds;
use crate::slurm::Settings;

/// A configuration file, checked as far as that goes without a node.
#[derive(Clone, Debug)]
pub struct Config {
    source: Source,
    layout: Option<(String, Mark)>,
    labels: Vec<Label>,
    pub slurm: Settings,
    pub hooks: crate::hooks::Settings,
}

/// One label of `mig-configs`.
#[derive(Clone, Debug)]
struct Label {
    name: String,
    mark: Mark,
    entries: Vec<Entry>,
}

/// One entry of a label.
#[derive(Clone, Debug)]
struct Entry {
    /// PCI ids; empty for any.
    filter: Vec<PciIds>,
    selectors: Vec<Selector>,
    enabled: bool,
    per: Per,
    items: Vec<Item>,
    mark: Mark,
}

/// One line of `mig-devices`.
#[derive(Clone, Debug)]
struct Item {
    profile: Profile,
    count: u32,
    places: Vec<u8>,
    mark: Mark,
}

impl Config {
    /// Largest file that is read, in bytes. mig-parted's own default file has 30 kB.
    pub const MAX_BYTES: u64 = 1 << 20;

    /// Reads a configuration; `name` stands for the file in messages.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let source = configmap::unwrap(Source { name: name.to_owned(), text: text.to_owned() });
        let text = &*source.text;
        let document: Document = serde_saphyr::from_str(text).map_err(|e| yaml(&source, &e))?;
        if document.version.value != "v1" {
            let mark = document.version.defined.into();
            return Err(ConfigError::new(&source, mark, Problem::Version(document.version.value)));
        }
        let labels = document.mig_configs.into_iter().map(|(name, entries)| {
            let mark = source.key_before(&name, Mark::from(entries.defined));
            if entries.value.is_empty() {
                return Err(ConfigError::new(&source, mark, Problem::EmptyLabel(name)));
            }
            let entries = entries.value.into_iter().map(|e| Entry::check(&source, e.value, e.defined.into()));
            Ok(Label { name, mark, entries: entries.collect::<Result<_, _>>()? })
        });
        let labels: Vec<Label> = labels.collect::<Result<_, _>>()?;
        let layout = document.layout.map(|l| (l.value, l.defined.into()));
        let config = Config { source, layout, labels, slurm: document.slurm, hooks: document.hooks };
        if let Some((layout, mark)) = &config.layout {
            config.find(layout, *mark)?;
        }
        if let Err(fault) = config.slurm.check() {
            return Err(config.error(slurm::mark(&config.source, &fault.place), Problem::Slurm(fault)));
        }
        Ok(config)
    }

    /// Every label, in the order of the file.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|l| l.name.as_str())
    }

    /// The label meant: the one asked for, else the file's `layout:`, else its only one.
    ///
    /// # Errors
    /// When there is no such label, or it is not clear which one is meant.
    pub fn choose<'a>(&'a self, asked: Option<&str>) -> Result<&'a str, ConfigError> {
        let label = match (asked, &self.layout, &self.labels[..]) {
            (Some(asked), ..) => self.find(asked, Mark::default())?,
            (None, Some((layout, mark)), _) => self.find(layout, *mark)?,
            (None, None, [only]) => only,
            (None, None, []) => return Err(self.error(Mark::default(), Problem::NoLabels)),
            _ => return Err(self.error(Mark::default(), Problem::NoLayout(self.known()))),
        };
        Ok(&label.name)
    }

    fn find(&self, label: &str, mark: Mark) -> Result<&Label, ConfigError> {
        if self.labels.is_empty() {
            return Err(self.error(mark, Problem::NoLabels));
        }
        let found = self.labels.iter().find(|l| l.name == label);
        found.ok_or_else(|| {
            self.error(mark, Problem::NoLabel { label: label.to_owned(), known: self.known() })
        })
    }

    fn known(&self) -> Vec<String> {
        self.labels().map(str::to_owned).collect()
    }

    fn error(&self, mark: Mark, problem: Problem) -> ConfigError {
        ConfigError::new(&self.source, mark, problem)
    }
}

impl Entry {
    fn check(source: &Source, entry: file::Entry, mark: Mark) -> Result<Self, ConfigError> {
        let counts = entry.mig_devices.as_ref().map(|d| (&d.value, Mark::from(d.defined)));
        let enabled = entry.mig_enabled.value;
        let items = match counts {
            None if enabled => {
                let mark = entry.mig_enabled.defined.into();
                return Err(ConfigError::new(source, mark, Problem::NoDevices));
            }
            None => Vec::new(),
            Some((counts, _)) => items(source, counts, entry.per)?,
        };
        if !enabled && let Some(first) = items.first() {
            return Err(ConfigError::new(source, first.mark, Problem::DevicesWhileDisabled));
        }
        let selector = |device: Device| match device {
            Device::Index(index) => Selector::Index(index),
            Device::Text(text) => text.parse().unwrap_or(Selector::Model(text)),
        };
        Ok(Entry {
            filter: entry.device_filter.unwrap_or_default().0.into_iter().filter_map(|f| f.value.0).collect(),
            selectors: entry.devices.0.into_iter().map(|d| selector(d.value)).collect(),
            enabled,
            per: entry.per,
            items,
            mark: counts.map_or(mark, |(_, mark)| mark),
        })
    }
}

fn items(source: &Source, counts: &Counts, per: Per) -> Result<Vec<Item>, ConfigError> {
    let item = |(name, amount): &(String, serde_saphyr::Spanned<Amount>)| {
        let value = Mark::from(amount.defined);
        let mark = source.key_before(name, value);
        let profile: Profile =
            name.parse().map_err(|e: mig::ProfileError| ConfigError::new(source, mark, e))?;
        let Amount { count, at } = &amount.value;
        if per == Per::Node && !at.is_empty() {
            return Err(ConfigError::new(source, value, Problem::PlacesPerNode));
        }
        let whole = (profile.compute().is_none() && !at.is_empty()).then(|| u32::try_from(at.len()).ok());
        let Some(count) = count.or(whole.flatten()) else {
            return Err(ConfigError::new(source, mark, Problem::NoCount(name.clone())));
        };
        if usize::try_from(count).is_ok_and(|count| count > MAX_RECORDS) {
            return Err(ConfigError::new(source, value, Problem::Count(count)));
        }
        Ok(Item { profile, count, places: at.clone(), mark })
    };
    counts.0.iter().map(item).collect()
}

fn yaml(source: &Source, error: &serde_saphyr::Error) -> ConfigError {
    let mark = error.location().map(Mark::from).unwrap_or_default();
    let text = yaml::message(error, &source.text, mark.line, mark.column);
    ConfigError::new(source, mark, Problem::Yaml(text))
}

#[cfg(test)]
mod tests;
