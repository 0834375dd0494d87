//! The four things the driver can be told: MIG mode, destroy, create, and another division into compute
//! instances.

use std::rc::Rc;

use mig::{Geometry, Placed, Profile};
use nvml_wrapper::Device;

use super::code::Code;
use super::raw::{ComputeInstance, ComputeProfile, GpuInstance, MigCalls};
use super::{Driver, DriverError, failed};

/// What became of a mode change that NVML accepted. `nvmlDeviceSetMigMode` returns success once the mode is
/// recorded; whether it took effect stands in its second result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The new mode holds.
    Active,
    /// It will hold after a GPU reset or reboot; the code says why it does not yet.
    Pending(Code),
}

impl Driver {
    /// Switches MIG mode.
    ///
    /// # Errors
    /// The call's; an accepted change that did not take effect is [`Activation::Pending`], not an error.
    pub fn set_mode(&self, gpu: &str, on: bool) -> Result<Activation, DriverError> {
        let device = self.device(gpu)?;
        self.forget_compute_profiles(gpu);
        let status = device.set_mig_mode(on).map_err(failed(gpu, "nvmlDeviceSetMigMode"))?;
        Ok(if status == 0 { Activation::Active } else { Activation::Pending(Code(status)) })
    }

    /// Creates a GPU instance at its place and the compute instances in it. When a compute instance cannot be
    /// made the whole GPU instance is taken back: one without compute instances is of no use to anybody.
    ///
    /// # Errors
    /// The first call that fails; [`DriverError::NoComputeProfile`] for a division the GPU lacks.
    pub fn create(
        &self,
        gpu: &str,
        geometry: &Geometry,
        placed: Placed,
        compute: &[Profile],
    ) -> Result<(), DriverError> {
        let device = self.device(gpu)?;
        let target = Target::new(self, &device, gpu, geometry, placed);
        let spec = geometry.spec(placed);
        let call = "nvmlDeviceCreateGpuInstanceWithPlacement";
        let gi = target
            .calls
            .create_gpu_instance(spec.id, placed.start.into(), spec.size.into())
            .map_err(failed(&target.name, call))?;
        target.divide(gi, compute).inspect_err(|_| {
            // The error reported is the first one; if taking back fails too, the next read shows an orphan.
            let _ = target.clear(gi);
            let _ = target.calls.destroy_gpu_instance(gi);
        })
    }

    /// Destroys a GPU instance with its compute instances. An instance that is gone already is no error, so
    /// that a half-done destroy can be repeated.
    ///
    /// # Errors
    /// The first call that fails, with [`Code::IN_USE`] when a process uses it.
    pub fn destroy(&self, gpu: &str, geometry: &Geometry, placed: Placed) -> Result<(), DriverError> {
        let device = self.device(gpu)?;
        let target = Target::new(self, &device, gpu, geometry, placed);
        let Some(gi) = target.find()? else { return Ok(()) };
        target.clear(gi)?;
        target.calls.destroy_gpu_instance(gi).map_err(failed(&target.name, "nvmlGpuInstanceDestroy"))
    }

    /// Divides an existing GPU instance anew.
    ///
    /// # Errors
    /// [`DriverError::NoInstance`] when it is gone; otherwise as [`Driver::create`].
    pub fn recut(
        &self,
        gpu: &str,
        geometry: &Geometry,
        placed: Placed,
        compute: &[Profile],
    ) -> Result<(), DriverError> {
        let device = self.device(gpu)?;
        let target = Target::new(self, &device, gpu, geometry, placed);
        let gi = target.find()?.ok_or_else(|| DriverError::NoInstance(target.name.clone()))?;
        target.clear(gi)?;
        target.divide(gi, compute)
    }
}

/// One place on one GPU.
struct Target<'a> {
    driver: &'a Driver,
    calls: MigCalls<'a>,
    gpu: &'a str,
    name: String,
    profile: u32,
    start: u32,
}

impl<'a> Target<'a> {
    fn new(
        driver: &'a Driver,
        device: &Device<'a>,
        gpu: &'a str,
        geometry: &Geometry,
        placed: Placed,
    ) -> Self {
        let spec = geometry.spec(placed);
        Target {
            driver,
            calls: MigCalls::new(device),
            gpu,
            name: format!("{gpu} {} at {}", spec.profile, placed.start),
            profile: spec.id,
            start: placed.start.into(),
        }
    }

    fn compute_profiles(&self, gi: GpuInstance) -> Result<Rc<[ComputeProfile]>, DriverError> {
        self.driver.compute_profiles(self.calls, self.gpu, gi, &self.name)
    }

    fn find(&self) -> Result<Option<GpuInstance>, DriverError> {
        let call = "nvmlDeviceGetGpuInstances";
        let mut list = self.calls.gpu_instances(self.profile).map_err(failed(self.gpu, call))?;
        let here = |gi: &Result<GpuInstance, _>| gi.as_ref().map_or(true, |gi| gi.start == self.start);
        list.find(here).transpose().map_err(failed(self.gpu, "nvmlGpuInstanceGetInfo"))
    }

    fn clear(&self, gi: GpuInstance) -> Result<(), DriverError> {
        for profile in self.compute_profiles(gi)?.iter() {
            let call = "nvmlGpuInstanceGetComputeInstances";
            let list: Vec<ComputeInstance> =
                self.calls.compute_instances(gi, profile.id).map_err(failed(&self.name, call))?;
            for ci in list {
                let call = "nvmlComputeInstanceDestroy";
                self.calls.destroy_compute_instance(ci).map_err(failed(&self.name, call))?;
            }
        }
        Ok(())
    }

    fn divide(&self, gi: GpuInstance, compute: &[Profile]) -> Result<(), DriverError> {
        let offered = self.compute_profiles(gi)?;
        // Largest first: the driver takes the lowest free run of slices for each.
        let mut wanted: Vec<u8> = compute.iter().map(|p| p.compute_slices()).collect();
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        for slices in wanted {
            let profile = choose(&offered, slices)
                .ok_or_else(|| DriverError::NoComputeProfile { object: self.name.clone(), slices })?;
            let call = "nvmlGpuInstanceCreateComputeInstance";
            self.calls.create_compute_instance(gi, profile.id).map_err(failed(&self.name, call))?;
        }
        Ok(())
    }
}

/// The profile with that many slices. Hopper has two for one slice (ids 0 and 7): where several fit, a full
/// division takes the one with all the SMs, a partial one the plain one with the most instances.
fn choose(offered: &[ComputeProfile], slices: u8) -> Option<&ComputeProfile> {
    let most_slices = offered.iter().map(|p| p.slices).max()?;
    let fitting = offered.iter().filter(|p| p.slices == u32::from(slices));
    if u32::from(slices) == most_slices {
        fitting.max_by_key(|p| (p.sms, std::cmp::Reverse(p.id)))
    } else {
        fitting.max_by_key(|p| (p.max, std::cmp::Reverse(p.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(id: u32, slices: u32, max: u32, sms: u32) -> ComputeProfile {
        ComputeProfile { id, slices, max, sms }
    }

    #[test]
    fn hoppers_second_one_slice_profile_is_chosen_where_it_fills_the_instance() {
        // 2g.20gb and 1g.20gb of an H100 SXM, as nvidia-smi mig -lcip lists them.
        let two = [profile(0, 1, 2, 16), profile(7, 1, 1, 26), profile(1, 2, 1, 32)];
        assert_eq!(choose(&two, 1).unwrap().id, 0);
        assert_eq!(choose(&two, 2).unwrap().id, 1);
        assert_eq!(choose(&[profile(7, 1, 1, 26)], 1).unwrap().id, 7);
        assert!(choose(&two, 3).is_none());
    }
}
