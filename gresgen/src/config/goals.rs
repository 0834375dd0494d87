//! From a label and the GPUs of a node to goals for the planner.

use std::collections::BTreeMap;

use mig::{Demand, Goal, Infeasible, Placement, Profile, Spec, Want};

use super::cuts::Cuts;
use super::error::{ConfigError, Problem};
use super::file::Per;
use super::select::{GpuFacts, Selector, present};
use super::snippet::Mark;
use super::{Config, Entry, Item, Label, cuts};

/// What a label wants of a node.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// MIG mode of each GPU, in the order of the facts; `None` leaves a GPU alone in every respect.
    pub modes: Vec<Option<bool>>,
    /// Goals for the planner over GPUs with MIG on; indexes are positions in the facts.
    pub goals: Vec<Goal>,
    /// How the GPU instances of each goal are divided.
    pub cuts: Vec<Cuts>,
    /// Where each goal is written.
    marks: Vec<Mark>,
    /// Index of each GPU, in the order of the facts.
    indexes: Vec<usize>,
}

impl Label {
    /// Which entry each GPU falls to: the last that selects it.
    fn owners(&self, gpus: &[GpuFacts<'_>]) -> Vec<Option<usize>> {
        gpus.iter().map(|gpu| self.entries.iter().rposition(|entry| entry.selects(gpu))).collect()
    }

    /// Selectors that name no GPU. A filter narrows a selection; what it leaves out is named all the same.
    fn unmatched(&self, gpus: &[GpuFacts<'_>]) -> Vec<String> {
        let selectors = self.entries.iter().flat_map(|entry| &entry.selectors);
        selectors.filter(|s| !gpus.iter().any(|gpu| s.matches(gpu))).map(ToString::to_string).collect()
    }

    /// Entries that select GPUs and have none, because later ones select them as well, as their selectors.
    fn overruled(&self, gpus: &[GpuFacts<'_>]) -> Vec<String> {
        let owners = self.owners(gpus);
        let idle = |(number, entry): &(usize, &Entry)| {
            gpus.iter().any(|gpu| entry.selects(gpu)) && !owners.contains(&Some(*number))
        };
        let names = |(_, entry): (usize, &Entry)| {
            let names: Vec<String> = entry.selectors.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        self.entries.iter().enumerate().filter(idle).map(names).collect()
    }
}

impl Entry {
    fn selects(&self, gpu: &GpuFacts<'_>) -> bool {
        (self.filter.is_empty() || self.filter.iter().any(|filter| filter.matches(gpu.pci_ids)))
            && self.selectors.iter().any(|selector| selector.matches(gpu))
    }
}

impl Config {
    /// Selectors of a label that name none of these GPUs. Files may serve many nodes, so this is no error.
    pub fn unmatched(&self, label: &str, gpus: &[GpuFacts<'_>]) -> Vec<String> {
        self.find(label, Mark::default()).map(|label| label.unmatched(gpus)).unwrap_or_default()
    }

    /// The `devices` of entries that do nothing, because later entries of the label have their GPUs.
    pub fn overruled(&self, label: &str, gpus: &[GpuFacts<'_>]) -> Vec<String> {
        self.find(label, Mark::default()).map(|label| label.overruled(gpus)).unwrap_or_default()
    }

    /// Whether a label names GPUs by what no other GPU has, so that it may want something else of a node that is alike.
    pub(crate) fn names_uuids(&self, label: &str) -> bool {
        let is_uuid = |selector: &Selector| matches!(selector, Selector::Uuid(_));
        let label = self.find(label, Mark::default());
        label.is_ok_and(|label| label.entries.iter().flat_map(|entry| &entry.selectors).any(is_uuid))
    }

    /// What a label wants of these GPUs.
    ///
    /// # Errors
    /// When there is no such label, it selects no GPU, or asks for profiles or places that a GPU lacks.
    pub fn wanted(&self, label: &str, gpus: &[GpuFacts<'_>]) -> Result<Wanted, ConfigError> {
        let label = self.find(label, Mark::default())?;
        for entry in &label.entries {
            for selector in &entry.selectors {
                if let Some(uuids) = selector.several(gpus.iter().map(|gpu| gpu.uuid)) {
                    let uuids = uuids.into_iter().map(str::to_owned).collect();
                    let problem = Problem::SeveralGpus { selector: selector.to_string(), uuids };
                    return Err(self.error(entry.mark, problem));
                }
            }
        }
        let owners = label.owners(gpus);
        if owners.iter().all(Option::is_none) {
            let problem = Problem::NoGpu { label: label.name.clone(), gpus: present(gpus) };
            return Err(self.error(label.mark, problem));
        }
        let mut wanted = Wanted {
            modes: owners.iter().map(|owner| owner.map(|entry| label.entries[entry].enabled)).collect(),
            indexes: gpus.iter().map(|gpu| usize::try_from(gpu.index).unwrap_or(usize::MAX)).collect(),
            ..Wanted::default()
        };
        for (number, entry) in label.entries.iter().enumerate().filter(|(_, e)| e.enabled) {
            let members: Vec<usize> = (0..gpus.len()).filter(|&gpu| owners[gpu] == Some(number)).collect();
            // mig-parted's counts are for each GPU, so each is a goal of its own, and a change of one GPU is no reason to touch
            // another. `per: node` is one goal over all of them, in which the planner places instances where least goes.
            let goals = match entry.per {
                Per::Gpu => members.chunks(1),
                Per::Node => members.chunks(members.len().max(1)),
            };
            for members in goals {
                self.goal(&mut wanted, entry, gpus, members)?;
            }
        }
        Ok(wanted)
    }

    /// Adds the goal of one entry over some GPUs.
    fn goal(
        &self,
        wanted: &mut Wanted,
        entry: &Entry,
        gpus: &[GpuFacts<'_>],
        members: &[usize],
    ) -> Result<(), ConfigError> {
        // The planner knows GPU instances alone. Items that are compute instances are gathered by the GPU instance that they are
        // parts of, and become a count of it once it is known how many hold them all.
        let mut demand = Demand::new();
        let mut parts: BTreeMap<Profile, (&Spec, Demand)> = BTreeMap::new();
        let mut places: Vec<Placement> = Vec::new();
        for item in entry.items.iter().filter(|i| i.count > 0) {
            let (gpu, spec) = self.offered(item, gpus, members)?;
            let profile = self.check_compute(item, gpu, spec)?;
            for placed in self.places(item, gpu, spec)? {
                // The planner would say no more than that the goal cannot be met; here it is known which line is at fault.
                if let Some(&other) = places.iter().find(|p| gpu.geometry.conflict(**p, placed)) {
                    let problem = Problem::Overlap { gpu: gpu.to_string(), one: placed, other };
                    return Err(self.error(item.mark, problem));
                }
                places.push(placed);
            }
            if profile.compute().is_some() {
                let (_, counts) =
                    parts.entry(profile.gpu_instance()).or_insert_with(|| (spec, Demand::new()));
                add(counts, profile, item.count);
            } else {
                add(&mut demand, profile, item.count);
            }
        }
        // Which of the GPU instances gets which division is left open until their places are known (`apply/desired.rs`).
        let mut cuts = Cuts::new();
        for (profile, (spec, counts)) in parts {
            let divided = cuts::pack(spec, &counts, members.len());
            add(&mut demand, profile, u32::try_from(divided.len()).unwrap_or(u32::MAX));
            cuts.insert(profile, divided);
        }
        self.check_counts(entry, &demand)?;
        let want = if places.is_empty() { Want::Exactly(demand) } else { Want::Including { places, demand } };
        wanted.goals.push(Goal { gpus: members.to_vec(), want });
        wanted.cuts.push(cuts);
        wanted.marks.push(entry.mark);
        Ok(())
    }

    /// The first of the GPUs that has the profile.
    fn offered<'g, 'a>(
        &self,
        item: &Item,
        gpus: &'g [GpuFacts<'a>],
        members: &[usize],
    ) -> Result<(&'g GpuFacts<'a>, &'a Spec), ConfigError> {
        let spec = |gpu: &'g GpuFacts<'a>| Some((gpu, gpu.geometry.spec(item.profile)?));
        if let Some(found) = members.iter().find_map(|&m| spec(&gpus[m])) {
            return Ok(found);
        }
        let names: Vec<String> = members.iter().map(|&m| gpus[m].to_string()).collect();
        let gpu = names.join(", ");
        let mut valid: Vec<Profile> =
            members.iter().flat_map(|&m| gpus[m].geometry.specs.iter().map(|s| s.profile)).collect();
        valid.sort_unstable();
        valid.dedup();
        Err(self.error(
            item.mark,
            if valid.is_empty() {
                Problem::NoMig { gpu }
            } else {
                Problem::NoProfile { gpu, profile: item.profile, valid }
            },
        ))
    }

    /// The profile meant. Compute profiles are known only where the driver or the table tells them; one with all the
    /// slices is the whole GPU instance, as go-nvlib reads it, where there is no smaller one of that name.
    fn check_compute(&self, item: &Item, gpu: &GpuFacts<'_>, spec: &Spec) -> Result<Profile, ConfigError> {
        let mut valid: Vec<Profile> = spec.compute.iter().map(|c| spec.compute_name(c)).collect();
        let whole = spec.profile.with_compute(item.profile.compute_slices());
        if valid.is_empty() || valid.contains(&item.profile) {
            return Ok(item.profile);
        }
        if valid.contains(&whole) {
            return Ok(whole);
        }
        valid.sort_unstable_by_key(|p| (p.compute_slices(), *p));
        valid.dedup();
        let problem = Problem::NoProfile { gpu: gpu.to_string(), profile: item.profile, valid };
        Err(self.error(item.mark, problem))
    }

    fn places(&self, item: &Item, gpu: &GpuFacts<'_>, spec: &Spec) -> Result<Vec<Placement>, ConfigError> {
        let placed = |&start: &u8| {
            if spec.starts.contains(&start) {
                Ok(Placement { profile: spec.profile, start })
            } else {
                Err(self.error(
                    item.mark,
                    Problem::NoPlace {
                        gpu: gpu.to_string(),
                        profile: spec.profile,
                        start,
                        valid: spec.starts.clone(),
                    },
                ))
            }
        };
        item.places.iter().map(placed).collect()
    }

    /// More places than GPU instances is a slip of the pen.
    fn check_counts(&self, entry: &Entry, demand: &Demand) -> Result<(), ConfigError> {
        for item in &entry.items {
            let profile = item.profile.gpu_instance();
            let count = usize::try_from(demand.get(&profile).copied().unwrap_or(0)).unwrap_or(usize::MAX);
            let same = entry.items.iter().filter(|i| i.profile.gpu_instance() == profile);
            let places = same.map(|i| i.places.len()).sum();
            if places > count {
                let problem = Problem::TooManyPlaces { profile: item.profile, places, count };
                return Err(self.error(item.mark, problem));
            }
        }
        Ok(())
    }

    /// The planner's refusal, shown at the entry that asked for it.
    pub fn infeasible(&self, wanted: &Wanted, error: Box<Infeasible>) -> ConfigError {
        let mark = wanted.marks.get(error.goal).copied().unwrap_or_default();
        self.error(mark, Problem::Infeasible(error)).indexed(wanted.indexes.clone())
    }
}

/// A sum that stays too large rather than become small.
fn add(demand: &mut Demand, profile: Profile, more: u32) {
    let count = demand.entry(profile).or_default();
    *count = count.saturating_add(more);
}
