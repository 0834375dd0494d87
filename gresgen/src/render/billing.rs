//! Billing weights of types.

use std::collections::BTreeMap;

use super::RenderError;
use crate::inventory::{Compute, Gpu, Instance};
use crate::slurm::settings::Billing;

/// Weights by type, in thousandths of a whole GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights(BTreeMap<String, u32>);

impl Weights {
    /// Notes the weight of one more device.
    ///
    /// # Errors
    /// [`RenderError::Ambiguous`] when the type already weighs something else.
    pub fn add(&mut self, gres_type: &str, weight: u32) -> Result<(), RenderError> {
        match *self.0.entry(gres_type.to_owned()).or_insert(weight) {
            first if first == weight => Ok(()),
            first => Err(RenderError::Ambiguous {
                gres_type: gres_type.to_owned(),
                first: thousandths(first),
                second: thousandths(weight),
            }),
        }
    }

    /// The value of `TRESBillingWeights=`; empty without weights.
    pub fn line(&self) -> String {
        let weights: Vec<String> =
            self.0.iter().map(|(name, weight)| format!("GRES/gpu:{name}={}", thousandths(*weight))).collect();
        weights.join(",")
    }
}

/// Share of a device in its GPU, in thousandths: of what the largest GPU instance has, so that one filling the
/// GPU weighs as much as the whole GPU.
///
/// # Errors
/// [`RenderError::Unknown`].
pub fn share(
    gres_type: &str,
    by: Billing,
    gpu: &Gpu,
    device: Option<(&Instance, &Compute)>,
) -> Result<u32, RenderError> {
    let Some((instance, compute)) = device else { return Ok(1000) };
    let spec = gpu.geometry.spec(instance.placed);
    let largest = gpu.geometry.specs.iter().max_by_key(|s| s.size);
    let (part, whole, what) = match by {
        Billing::Sms => {
            let whole = largest.and_then(|s| s.sms).map(u64::from);
            (sms(gpu, instance, compute).map(u64::from), whole, "SM count")
        }
        // Compute instances share the memory of their GPU instance: each is billed its compute share of it.
        Billing::Memory => {
            let (slices, of) = (compute.profile.compute_slices(), spec.profile.slices());
            let part = spec.memory_mib.and_then(|mib| mib.checked_mul(slices.into())?.checked_div(of.into()));
            (part, largest.and_then(|s| s.memory_mib), "memory size")
        }
    };
    // Figures of inventories are what their senders say: nothing divides by them, or multiplies, unchecked.
    let share = part.zip(whole).and_then(|(part, whole)| {
        let rounded = (u128::from(part) * 1000 + u128::from(whole) / 2).checked_div(whole.into())?;
        u32::try_from(rounded).ok()
    });
    share.ok_or(RenderError::Unknown { gres_type: gres_type.to_owned(), what })
}

/// SMs of a compute instance; `None` when unknown.
pub fn sms(gpu: &Gpu, instance: &Instance, compute: &Compute) -> Option<u32> {
    let spec = gpu.geometry.spec(instance.placed);
    match compute.profile.compute() {
        None => spec.sms,
        Some(slices) => spec.compute.iter().find(|c| c.slices == slices).and_then(|c| c.sms),
    }
}

/// `0.143` from 143.
fn thousandths(weight: u32) -> String {
    format!("{}.{:03}", weight / 1000, weight % 1000)
}
