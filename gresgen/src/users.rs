//! What a cluster offers to those who submit jobs, and the texts made of it: submit rules, a page for users, forms.
//!
//! Everything comes from a [`Context`], hence from what nodes have, and from `slurm.submit`.

mod synonyms;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::render::Context;
use crate::slurm::settings::submit::Submit;
use crate::slurm::{GresError, Names, Settings, billing, hostlist};

/// Version of [`Offer`]: it changes when a template written for an older one would render something else.
pub const SCHEMA: u32 = 1;

/// In place of a type it begins a request for memory (`gpu:mem:10G`), as submit rules read it.
const MEMORY: &str = "mem";

/// What templates of texts for users see. As [`Context`], a public interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Offer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Types, the smallest memory first, those of unknown memory last.
    pub types: Vec<Kind>,
    /// Further names of types, in lower case, to the type each stands for.
    pub synonyms: BTreeMap<String, String>,
    /// GPU types of nodes that this program does not cut.
    pub other_types: Vec<String>,
    /// Type of requests that name none; empty without.
    pub default_type: String,
    /// 1 when a request without a type is refused, else 0.
    pub require_type: u32,
    /// MIG devices that one job may have; null without a limit.
    pub max_slices: Option<u32>,
    /// 1 when slices are cut for jobs that wait, else 0.
    pub on_request: u32,
    /// 1 when the site has rules for requests (`slurm.submit`), else 0.
    pub rules: u32,
    /// The type that examples show: the default, else the smallest slice, else the first.
    pub example: String,
}

/// A type of the cluster. Where it stands for devices of several models, figures are of the least of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Kind {
    pub name: String,
    /// MIG profile, as `1g.5gb`; empty for a whole GPU.
    pub profile: String,
    /// Product names of the GPUs.
    pub models: Vec<String>,
    /// Memory in MiB; null when not known.
    pub memory_mib: Option<u64>,
    /// The same in GB, which are 10^9 bytes, with one decimal; empty when not known.
    pub memory_gb: String,
    /// Streaming multiprocessors; null when not known.
    pub sms: Option<u32>,
    /// Devices in the cluster.
    pub count: u64,
    /// Nodes that have some, as a host list.
    pub nodes: String,
    /// Billing weight; empty without one.
    pub weight: String,
    /// CPUs that come with one; null without.
    pub cpus: Option<u32>,
    /// Memory of the node that comes with one, in MiB; null without.
    pub node_memory_mib: Option<u64>,
    /// Its further names, in the order of the alphabet.
    pub synonyms: Vec<String>,
}

/// Why nothing can be offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// A name that the settings make and Slurm cannot hold.
    #[error(transparent)]
    Name(#[from] GresError),
    /// The settings speak of a type that no node has.
    #[error("slurm.submit.{key} {name:?}: no node has this GRES type; there is {known}")]
    UnknownType {
        /// Where it stands.
        key: &'static str,
        name: String,
        /// Types there are, between commas.
        known: String,
    },
    /// A further name that is a type already.
    #[error("slurm.submit.synonyms {0:?}: is a GRES type itself")]
    Synonym(String),
    /// A further name that a request cannot hold.
    #[error("slurm.submit.{key}: {error}")]
    Spelling {
        /// Where it stands.
        key: &'static str,
        error: GresError,
    },
    /// A name that requests have for something else.
    #[error(
        "GRES type {0:?}: gpu:{MEMORY}:10G asks for memory; rename it in slurm.types.aliases or slurm.submit"
    )]
    Memory(String),
    /// No node has a GPU.
    #[error("no node has a GPU to offer; give the inventories of those that have, with --inventory")]
    Nothing,
}

impl Offer {
    /// What the nodes of a context offer under a site's rules.
    pub fn new(context: &Context, settings: &Settings) -> Result<Self, OfferError> {
        let submit = &settings.submit;
        let mut kinds = kinds(context);
        if kinds.is_empty() {
            return Err(OfferError::Nothing);
        }
        let known: Vec<String> = kinds.iter().map(|kind| kind.name.clone()).collect();
        check(submit, &known)?;
        for kind in &mut kinds {
            let share = submit.defaults.get(&kind.name).cloned().unwrap_or_default();
            (kind.cpus, kind.node_memory_mib) = (share.cpus, share.memory.map(|memory| memory.0));
        }
        let synonyms = synonyms::of(&kinds, submit, &Names::new(&settings.types)?);
        for kind in &mut kinds {
            let mine = synonyms.iter().filter(|(_, name)| **name == kind.name);
            kind.synonyms = mine.map(|(synonym, _)| synonym.clone()).collect();
        }
        let smallest = kinds.iter().find(|kind| kind.is_slice()).or(kinds.first());
        let example = submit.default_type.clone().or_else(|| smallest.map(|kind| kind.name.clone()));
        let orders = settings.on_request.iter().any(|entry| entry.orders);
        let on_request = orders && context.nodes.iter().any(|node| !node.gates.is_empty());
        Ok(Offer {
            schema: SCHEMA,
            on_request: on_request.into(),
            example: example.unwrap_or_default(),
            types: kinds,
            synonyms,
            other_types: submit.other_types.clone(),
            default_type: submit.default_type.clone().unwrap_or_default(),
            require_type: submit.require_type.into(),
            max_slices: submit.max_slices,
            rules: (*submit != Submit::default()).into(),
        })
    }
}

impl Kind {
    /// Whether its devices are MIG devices.
    pub fn is_slice(&self) -> bool {
        !self.profile.is_empty()
    }
}

/// MiB as GB with one decimal, which is how NVIDIA names memory: `5.1` for 4864. Rounded down: nothing is promised
/// that is not there.
pub fn gigabytes(mib: u64) -> String {
    let tenths = u128::from(mib) * (1 << 20) / 100_000_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The types of all nodes, the smallest memory first, those of unknown memory last, as [`crate::slices::slices`] has them.
fn kinds(context: &Context) -> Vec<Kind> {
    let weights: BTreeMap<&str, &str> = billing::read_line(&context.billing_weights).collect();
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for node in &context.nodes {
        let names = hostlist::expand(&node.names).map_or(1, |names| names.len() as u64);
        // Nobody is given a guard.
        let guards = |device: &&crate::render::context::DeviceContext| {
            !node.gates.is_empty() && device.r#type == crate::slurm::slots::GUARD
        };
        for device in node.devices.iter().filter(|device| !guards(device)) {
            let kind = kinds.entry(&device.r#type).or_insert_with(|| Kind {
                name: device.r#type.clone(),
                profile: device.profile.clone(),
                memory_mib: device.memory_mib,
                sms: device.sms,
                weight: weights.get(&*device.r#type).copied().unwrap_or_default().to_owned(),
                ..Kind::default()
            });
            if !kind.models.contains(&device.model) {
                kind.models.push(device.model.clone());
            }
            kind.memory_mib = kind.memory_mib.zip(device.memory_mib).map(|(one, other)| one.min(other));
            kind.sms = kind.sms.zip(device.sms).map(|(one, other)| one.min(other));
            kind.count += names;
        }
    }
    let mut kinds: Vec<Kind> = kinds.into_values().collect();
    for kind in &mut kinds {
        kind.memory_gb = kind.memory_mib.map(gigabytes).unwrap_or_default();
        let has =
            |node: &&crate::render::context::NodeContext| node.types.iter().any(|t| t.name == kind.name);
        let lists: Vec<&str> = context.nodes.iter().filter(has).map(|node| node.names.as_str()).collect();
        kind.nodes = lists.join(",");
    }
    kinds.sort_by_key(|kind| (kind.memory_mib.is_none(), kind.memory_mib, kind.sms, kind.name.clone()));
    kinds
}

/// Whether all types that the rules name are there, and all further names can stand in a request.
fn check(submit: &Submit, known: &[String]) -> Result<(), OfferError> {
    let named = submit.default_type.iter().map(|name| ("default-type", name));
    let named = named.chain(submit.defaults.keys().map(|name| ("defaults", name)));
    for (key, name) in named.chain(submit.synonyms.values().map(|name| ("synonyms", name))) {
        if !known.contains(name) {
            return Err(OfferError::UnknownType { key, name: name.clone(), known: known.join(", ") });
        }
    }
    let spelled = |key, name: &str| match crate::slurm::TypeName::new(name) {
        Ok(_) => Ok(()),
        Err(error) => Err(OfferError::Spelling { key, error }),
    };
    submit.other_types.iter().try_for_each(|name| spelled("other-types", name))?;
    let all = known.iter().chain(&submit.other_types).chain(submit.synonyms.keys());
    if let Some(name) = all.into_iter().find(|name| name.eq_ignore_ascii_case(MEMORY)) {
        return Err(OfferError::Memory(name.clone()));
    }
    for synonym in submit.synonyms.keys() {
        spelled("synonyms", synonym)?;
        if known.iter().chain(&submit.other_types).any(|name| name.eq_ignore_ascii_case(synonym)) {
            return Err(OfferError::Synonym(synonym.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
