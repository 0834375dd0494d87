//! Billing weights of types.

mod rule;

use std::collections::BTreeMap;

use mig::Placement;

pub use rule::{Billing, Rule, Scale, Weight};

use super::error::GresError;
use super::names::Names;
use crate::inventory::{Compute, Gpu, Instance};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights(BTreeMap<String, Weight>);

impl Weights {
    /// Notes the weight of one more device.
    ///
    /// # Errors
    /// [`GresError::Weights`] when the type already weighs something else.
    pub fn add(&mut self, gres_type: &str, weight: Weight) -> Result<(), GresError> {
        match *self.0.entry(gres_type.to_owned()).or_insert(weight) {
            first if first == weight => Ok(()),
            first => Err(GresError::Weights {
                gres_type: gres_type.to_owned(),
                first: first.to_string(),
                second: weight.to_string(),
            }),
        }
    }

    /// The value of `TRESBillingWeights=`; empty without weights.
    pub fn line(&self) -> String {
        let weights: Vec<String> =
            self.0.iter().map(|(name, weight)| format!("{PREFIX}{name}={weight}")).collect();
        weights.join(",")
    }
}

/// What a weight of a type begins with.
const PREFIX: &str = "GRES/gpu:";

/// Weights of GPU types in a value of `TRESBillingWeights=`, in its order, each as it is spelled there. Slurm ignores the
/// case of TRES (src/common/slurm_protocol_api.c, `slurm_get_tres_weight_array`).
pub fn read_line(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split(',').filter_map(|entry| {
        let (name, weight) = entry.trim().split_once('=')?;
        let is_gpu = name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        is_gpu.then(|| (&name[PREFIX.len()..], weight))
    })
}

/// Weight of a device: its part of its GPU by the site's rules, times the weight of the GPU. The part is of what the
/// largest GPU instance has, so that one filling the GPU weighs as much as the whole GPU.
pub fn weight(
    gres_type: &str,
    billing: &Billing,
    names: &Names<'_>,
    gpu: &Gpu,
    device: Option<(&Instance, &Compute)>,
) -> Result<Weight, GresError> {
    let scale = |key: &'static str, scale: &Scale| match scale {
        Scale::All(weight) => Ok(*weight),
        Scale::ByModel(models) => {
            let known = models.get(&gpu.model).or_else(|| models.get(&names.model(&gpu.model)));
            let model = gpu.model.clone();
            known.copied().ok_or_else(|| GresError::NoWeight { gres_type: gres_type.to_owned(), key, model })
        }
    };
    let whole = scale("gpu", &billing.gpu)?;
    let Some((instance, compute)) = device else { return Ok(whole) };
    let mut most = Weight(0);
    for rule in &billing.by {
        let weight = match (rule, &billing.slice) {
            (Rule::Flat, Some(slice)) => scale("slice", slice)?,
            _ => {
                let (part, of, what) = part(*rule, gpu, instance, compute);
                let scaled = part.zip(of).and_then(|(part, of)| times(whole, part, of));
                scaled.ok_or_else(|| GresError::NoFigure { gres_type: gres_type.to_owned(), what })?
            }
        };
        most = most.max(weight);
    }
    Ok(most)
}

/// What the device has, of how much, and the name of that. Compute instances share the memory of their GPU instance:
/// each is billed its compute share of it.
fn part(
    rule: Rule,
    gpu: &Gpu,
    instance: &Instance,
    compute: &Compute,
) -> (Option<u64>, Option<u64>, &'static str) {
    let Placement { profile, .. } = instance.placement;
    let spec = gpu.geometry.spec(profile);
    let largest = gpu.geometry.specs.iter().max_by_key(|s| s.size);
    let (slices, of) = (u64::from(compute.profile.compute_slices()), u64::from(profile.slices()));
    match rule {
        Rule::Sms => {
            let whole = largest.and_then(|s| s.sms).map(u64::from);
            (sms(gpu, instance, compute).map(u64::from), whole, "SM count")
        }
        Rule::Memory => {
            let mib = spec.and_then(|s| s.memory_mib);
            let part = mib.and_then(|mib| mib.checked_mul(slices)?.checked_div(of));
            (part, largest.and_then(|s| s.memory_mib), "memory size")
        }
        Rule::Slices => {
            (Some(slices), largest.map(|s| s.profile.slices().into()), "number of compute slices")
        }
        // The share of a compute instance need not be whole slices: both sides are times the slices it is a share of.
        Rule::MemorySlices | Rule::Flat => {
            let whole = largest.map(|s| u64::from(s.size) * of);
            (spec.map(|s| u64::from(s.size) * slices), whole, "number of memory slices")
        }
    }
}

/// `part` of `of` parts of a weight, rounded. Figures of inventories are what their senders say: nothing divides by
/// them, or multiplies, unchecked.
fn times(weight: Weight, part: u64, of: u64) -> Option<Weight> {
    let product = u128::from(part).checked_mul(weight.0.into())?.checked_add(u128::from(of) / 2)?;
    u64::try_from(product.checked_div(of.into())?).ok().map(Weight)
}

/// SMs of a compute instance; `None` when unknown.
pub fn sms(gpu: &Gpu, instance: &Instance, compute: &Compute) -> Option<u32> {
    let spec = gpu.geometry.spec(instance.placement.profile)?;
    match compute.profile.compute() {
        None => spec.sms,
        Some(slices) => spec.compute.iter().find(|c| c.slices == slices).and_then(|c| c.sms),
    }
}
