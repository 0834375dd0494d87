//! Names that users write for a type beside its own. Sites with several clusters list four and more for each
//! (docs.alliancecan.ca, "Using GPUs with Slurm": `h100_1g.10gb`, `h100_1.10`, `h100_10gb` and
//! `nvidia_h100_80gb_hbm3_1g.10gb`, a whole one `h100`, `h100_80gb`; NJIT's Wulver: `a100_10g`).

use std::collections::{BTreeMap, BTreeSet};

use super::Kind;
use crate::slurm::names::short_model;
use crate::slurm::settings::submit::Submit;
use crate::slurm::{Names, TypeName};

/// Every further name, in lower case, with the type it stands for. One that would stand for several is left out: none
/// is guessed. What the site says goes first.
pub(super) fn of(kinds: &[Kind], submit: &Submit, names: &Names<'_>) -> BTreeMap<String, String> {
    let taken: BTreeSet<String> =
        kinds.iter().map(|k| &k.name).chain(&submit.other_types).map(|name| name.to_lowercase()).collect();
    let mut meant: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for kind in kinds {
        for spelling in spellings(kind, names) {
            meant.entry(spelling).or_default().insert(&kind.name);
        }
    }
    let mut found = BTreeMap::new();
    for (spelling, types) in meant {
        if let (1, Some(name), false) = (types.len(), types.first(), taken.contains(&spelling)) {
            found.insert(spelling, (*name).to_owned());
        }
    }
    found.extend(submit.synonyms.iter().map(|(synonym, name)| (synonym.to_lowercase(), name.clone())));
    found
}

/// What a request can hold of them: the name of a model is its node's text.
fn spellings(kind: &Kind, names: &Names<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for product in &kind.models {
        let short = [names.model(product).to_lowercase(), short_model(product)];
        for model in names.models(product) {
            found.extend(of_model(kind, &model, short.contains(&model)));
        }
    }
    found.retain(|spelling| TypeName::new(spelling).is_ok() && spelling != super::MEMORY);
    found
}

/// Spellings with one name of the model; those that say less than the profile, with a short name alone.
fn of_model(kind: &Kind, model: &str, short: bool) -> Vec<String> {
    let Ok(profile) = kind.profile.parse::<mig::Profile>() else {
        // As it is sold: 80 GB for 81,920 or 81,559 MiB, whose rest the driver keeps.
        let size = kind.memory_mib.filter(|_| short).map(|mib| format!("{model}_{}gb", mib.div_ceil(1024)));
        return std::iter::once(model.to_owned()).chain(size).collect();
    };
    let (name, memory) = (profile.to_string(), profile.memory_gb());
    let mut all = vec![name.clone(), format!("{model}_{name}")];
    if short && profile.compute().is_none() && profile.attribute() == mig::Attribute::None {
        let slices = profile.slices();
        all.extend([
            format!("{model}_{slices}.{memory}"),
            format!("{model}_{memory}gb"),
            format!("{model}_{memory}g"),
        ]);
    }
    all
}
