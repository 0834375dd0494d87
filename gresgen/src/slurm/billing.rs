//! Billing weights of types.

use std::collections::BTreeMap;

use super::settings::Billing;
use crate::inventory::{Compute, Gpu, Instance};

/// Why a type has no weight.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BillingError {
    /// The driver, or the table of the board, gives no figure.
    #[error(
        "GRES type {gres_type}: the driver gives no {what} of it or of its whole GPU; set slurm.billing to the other one, or leave it out"
    )]
    Unknown {
        /// The type.
        gres_type: String,
        /// What is missing.
        what: &'static str,
    },
    /// The same type on unlike GPUs.
    #[error(
        "GRES type {gres_type}: weighs {} on one GPU and {} on another; \
         tell them apart by \"{{model}}_{{profile}}\" in slurm.types.pattern", thousandths(*.first), thousandths(*.second)
    )]
    Ambiguous {
        /// The type.
        gres_type: String,
        /// One weight, in thousandths of a GPU.
        first: u32,
        /// Another.
        second: u32,
    },
}

/// Weights by type, in thousandths of a whole GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights(BTreeMap<String, u32>);

impl Weights {
    /// Notes the weight of one more device.
    ///
    /// # Errors
    /// [`BillingError::Ambiguous`] when the type already weighs something else.
    pub fn add(&mut self, gres_type: &str, weight: u32) -> Result<(), BillingError> {
        match *self.0.entry(gres_type.to_owned()).or_insert(weight) {
            first if first == weight => Ok(()),
            first => Err(BillingError::Ambiguous { gres_type: gres_type.to_owned(), first, second: weight }),
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
/// [`BillingError::Unknown`].
pub fn share(
    gres_type: &str,
    by: Billing,
    gpu: &Gpu,
    device: Option<(&Instance, &Compute)>,
) -> Result<u32, BillingError> {
    let Some((instance, compute)) = device else { return Ok(1000) };
    let spec = gpu.geometry.spec(instance.placement.profile);
    let largest = gpu.geometry.specs.iter().max_by_key(|s| s.size);
    let (part, whole, what) = match by {
        Billing::Sms => {
            let whole = largest.and_then(|s| s.sms).map(u64::from);
            (sms(gpu, instance, compute).map(u64::from), whole, "SM count")
        }
        // Compute instances share the memory of their GPU instance: each is billed its compute share of it.
        Billing::Memory => {
            let (slices, of) = (compute.profile.compute_slices(), instance.placement.profile.slices());
            let part = spec
                .and_then(|s| s.memory_mib)
                .and_then(|mib| mib.checked_mul(slices.into())?.checked_div(of.into()));
            (part, largest.and_then(|s| s.memory_mib), "memory size")
        }
    };
    // Figures of inventories are what their senders say: nothing divides by them, or multiplies, unchecked.
    let share = part.zip(whole).and_then(|(part, whole)| {
        let rounded = (u128::from(part) * 1000 + u128::from(whole) / 2).checked_div(whole.into())?;
        u32::try_from(rounded).ok()
    });
    share.ok_or(BillingError::Unknown { gres_type: gres_type.to_owned(), what })
}

/// SMs of a compute instance; `None` when unknown.
pub fn sms(gpu: &Gpu, instance: &Instance, compute: &Compute) -> Option<u32> {
    let spec = gpu.geometry.spec(instance.placement.profile)?;
    match compute.profile.compute() {
        None => spec.sms,
        Some(slices) => spec.compute.iter().find(|c| c.slices == slices).and_then(|c| c.sms),
    }
}

/// `0.143` from 143.
fn thousandths(weight: u32) -> String {
    format!("{}.{:03}", weight / 1000, weight % 1000)
}
