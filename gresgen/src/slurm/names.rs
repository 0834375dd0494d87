//! Names of GRES types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mig::Profile;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::GresError;

/// How GRES types are spelled.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TypeSettings {
    /// Pattern for MIG devices, of `{profile}` (`1g.5gb`) and `{model}` (`a100`).
    pub pattern: String,
    /// Whether dots and plus signs are spelled out (`1g.10gb+me` becomes `1g_10gb_me`), for tools that choke on
    /// them.
    pub safe: bool,
    /// Product names to model names, where the derived one is not wanted (`NVIDIA A100-SXM4-80GB: a100l`).
    pub models: BTreeMap<String, String>,
    /// Names as the pattern gives them to names as they shall be (`1g.5gb: small`).
    pub aliases: BTreeMap<String, String>,
}

impl Default for TypeSettings {
    fn default() -> Self {
        TypeSettings {
            pattern: "{profile}".to_owned(),
            safe: false,
            models: BTreeMap::new(),
            aliases: BTreeMap::new(),
        }
    }
}

/// A name that every parser of Slurm takes whole: none of `:,()=[]` or blanks.
///
/// slurm.conf and job requests split at `:` and `,` and read `(` as the start of an index list. Upper case is another
/// name to slurmctld, and jobs with it run (`gpu:A100:1`, seen on 22.05.8, 24.11.5 and 26.05.5); slurmd merges types
/// without regard to case (Slurm src/interfaces/gres.c), so that a node can have no two that differ by it alone
/// ([`GresError::Case`](super::GresError)).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeName(String);

impl TypeName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`GresError`], which names it.
    pub fn new(name: &str) -> Result<Self, GresError> {
        let name = name.to_owned();
        if name.is_empty() {
            return Err(GresError::Empty);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if let Some(character) = name.chars().find(|c| !plain(*c)) {
            return Err(GresError::Character { name, character });
        }
        if is_number(&name) {
            return Err(GresError::Number(name));
        }
        Ok(TypeName(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What Slurm compares instead of the name.
    pub fn hash(&self) -> u32 {
        type_hash(&self.0)
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether slurm.conf would read the text as a count: digits, with or without a unit such as `k`, `gb` or `tib`.
fn is_number(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let unit = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let size = unit.strip_prefix(['k', 'm', 'g', 't', 'p']);
    unit.is_empty() || (unit.len() < name.len() && size.is_some_and(|s| ["", "b", "ib"].contains(&s)))
}

/// The number Slurm knows a type by: the bytes of its name, each shifted by 0, 8, 16 or 24 bits in turn, added
/// up without regard to overflow (Slurm src/interfaces/gres.c, `gres_build_id`). A request for a type is granted
/// any type of the same number: a job that asked for a `4g.20gb` was given a `1g.23gb` (seen on 22.05.8).
pub fn type_hash(name: &str) -> u32 {
    name.bytes()
        .zip([0, 8, 16, 24].into_iter().cycle())
        .fold(0, |sum: u32, (byte, shift)| sum.wrapping_add(u32::from(byte) << shift))
}

/// Two types that Slurm takes for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "GRES types {0:?} and {1:?}: Slurm cannot tell them apart (both hash to {2:#010x}) and gives jobs either; \
         set slurm.types.pattern to \"{{model}}_{{profile}}\" or rename one in slurm.types.aliases"
)]
pub struct Clash(pub String, pub String, pub u32);

/// Every pair of different names that Slurm takes for one, each new one beside the first it clashes with.
pub fn clashes<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Clash> {
    let mut first: BTreeMap<u32, &str> = BTreeMap::new();
    let mut found: Vec<Clash> = Vec::new();
    for name in names {
        let hash = type_hash(name);
        let known = *first.entry(hash).or_insert(name);
        let clash = Clash(known.to_owned(), name.to_owned(), hash);
        if known != name && !found.contains(&clash) {
            found.push(clash);
        }
    }
    found
}

/// From hardware to GRES types.
#[derive(Clone, Debug)]
pub struct Names<'a>(&'a TypeSettings);

impl<'a> Names<'a> {
    /// # Errors
    /// [`GresError`] for a pattern of unknown parts, and for any model name or alias that is no GRES type.
    pub fn new(settings: &'a TypeSettings) -> Result<Self, GresError> {
        let pattern = &settings.pattern;
        let rest = pattern.replace("{profile}", "").replace("{model}", "");
        if !pattern.contains("{profile}") || rest.contains(['{', '}']) {
            return Err(GresError::Pattern(pattern.clone()));
        }
        for name in settings.aliases.values().chain(settings.models.values()) {
            TypeName::new(name)?;
        }
        Ok(Names(settings))
    }

    /// The type of a MIG device.
    ///
    /// # Errors
    /// [`GresError`] when the pattern makes something of it that is no GRES type.
    pub fn slice(&self, model: &str, profile: Profile) -> Result<TypeName, GresError> {
        let name =
            self.0.pattern.replace("{model}", &self.model(model)).replace("{profile}", &profile.to_string());
        self.finish(name)
    }

    /// The type of a whole GPU: its model.
    ///
    /// # Errors
    /// [`GresError`] when the product name makes no GRES type.
    pub fn whole(&self, model: &str) -> Result<TypeName, GresError> {
        self.finish(self.model(model))
    }

    /// Types that MIG devices of any known model have by these names, each with a product name.
    fn known(&self) -> impl Iterator<Item = (TypeName, &'static str)> + '_ {
        let boards = mig::BOARDS.iter().filter_map(|board| Some((board, *board.names.first()?)));
        boards.flat_map(move |(board, product)| {
            let specs = board.geometry().specs.into_iter();
            specs.filter_map(move |spec| Some((self.slice(product, spec.profile).ok()?, product)))
        })
    }

    /// Types of other models that Slurm takes for one of these: what a cluster must not mix.
    pub fn rivals<'b>(
        &self,
        types: impl IntoIterator<Item = &'b TypeName>,
    ) -> Vec<(&'b TypeName, TypeName, &'static str)> {
        let mut rivals = Vec::new();
        for name in types {
            let rival = self.known().find(|(other, _)| other != name && other.hash() == name.hash());
            rivals.extend(rival.map(|(other, product)| (name, other, product)));
        }
        rivals
    }

    fn finish(&self, name: String) -> Result<TypeName, GresError> {
        let name = self.0.aliases.get(&name).cloned().unwrap_or(name);
        TypeName::new(&if self.0.safe { safe(&name) } else { name })
    }

    /// Every name of a model that stands before a profile somewhere: the one that the site's types have, the short one, and
    /// what slurmd's AutoDetect makes of a product name, of a MIG device's up to its first '-'
    /// (src/plugins/gpu/common/gpu_common.c, [`underscored`]; src/plugins/gpu/nvml/gpu_nvml.c).
    pub fn models(&self, product: &str) -> BTreeSet<String> {
        let underscored = underscored(product);
        let start = underscored.split('-').next().unwrap_or_default().to_owned();
        let mut models =
            BTreeSet::from([self.model(product).to_lowercase(), short_model(product), underscored, start]);
        models.remove("");
        models
    }

    /// The model name that types of a product have.
    pub fn model(&self, product: &str) -> String {
        self.0.models.get(product).cloned().unwrap_or_else(|| short_model(product))
    }
}

/// What slurmd's AutoDetect makes of a product name (`gpu_common_underscorify_tolower`).
pub fn underscored(product: &str) -> String {
    product.to_lowercase().replace(' ', "_")
}

/// A short model name from a product name: its words without the maker up to the first with a digit in it, so
/// `NVIDIA A100-SXM4-40GB` is `a100` and `NVIDIA RTX PRO 6000 Blackwell` is `rtx_pro_6000`.
pub fn short_model(product: &str) -> String {
    let product = product.to_lowercase();
    let words = product.split([' ', '-', '_', '/']).filter(|w| !w.is_empty() && *w != "nvidia");
    let mut name: Vec<&str> = Vec::new();
    for word in words {
        name.push(word);
        if word.contains(|c: char| c.is_ascii_digit()) {
            break;
        }
    }
    name.join("_")
}

/// Without dots and signs, and different profiles stay different: `-me` would else read as `+me`.
fn safe(name: &str) -> String {
    name.replace("-me", "_nome").replace(['.', '+', '-'], "_")
}

#[cfg(test)]
mod tests;
