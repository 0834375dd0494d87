//! The four things the driver can be told: MIG mode, destroy, create, and another division into compute
//! instances.

use std::rc::Rc;
use std::thread::sleep;
use std::time::Duration;

use mig::{Placement, Profile, Spec};

use super::answer::Fault;
use super::code::Code;
use super::facts::ComputeProfile;
use super::raw::{GpuInstance, Handle};
use super::{Driver, DriverError, failed, unexpected};
use crate::inventory::Gpu;

/// Pauses before a GPU instance that is in use is tried again, in ms: a second together. For a moment after its compute
/// instances were destroyed a driver can say so of an empty one (seen on A100s by artecs-group/RL_MIG_scheduler).
const PAUSES_MS: [u64; 6] = [10, 30, 60, 150, 250, 500];

impl Driver {
    /// Switches MIG mode. `nvmlDeviceSetMigMode` returns success once the mode is recorded; whether it took effect stands
    /// in its second result. Where it holds only after a GPU reset or reboot, that code says why it does not yet.
    ///
    /// # Errors
    /// The call's; an accepted change that did not take effect is none.
    pub(crate) fn set_mode(&self, gpu: &str, on: bool) -> Result<Option<Code>, DriverError> {
        let device = self.device(gpu)?;
        self.forget_compute_profiles(gpu);
        let status = device.set_mig_mode(on).map_err(failed(gpu, "nvmlDeviceSetMigMode"))?;
        Ok((status != 0).then_some(Code(status)))
    }

    /// Creates a GPU instance at its place and the compute instances in it. When a compute instance cannot be
    /// made the whole GPU instance is taken back: one without compute instances is of no use to anybody.
    ///
    /// # Errors
    /// The first call that fails; [`DriverError::NoComputeProfile`] for a division the GPU lacks.
    pub(crate) fn create(&self, gpu: &Gpu, at: Placement, compute: &[Profile]) -> Result<(), DriverError> {
        let place = Place::new(self, gpu, at)?;
        let call = "nvmlDeviceCreateGpuInstanceWithPlacement";
        let gi = place
            .handle
            .create_gpu_instance(place.spec.id, place.start, place.spec.size.into())
            .map_err(failed(&place.name, call))?;
        let made = if gi.start == place.start {
            place.divide(gi, compute)
        } else {
            Err(unexpected(&place.name, format!("{call} made it at {}", gi.start)))
        };
        made.inspect_err(|_| {
            // The error reported is the first one; if taking back fails too, the next read shows an orphan.
            let _ = place.clear(gi);
            let _ = place.handle.destroy_gpu_instance(gi);
        })
    }

    /// Destroys a GPU instance with its compute instances. An instance that is gone already is no error, so
    /// that a half-done destroy can be repeated.
    ///
    /// # Errors
    /// The first call that fails, with [`Code::IN_USE`] when a process uses it.
    pub(crate) fn destroy(&self, gpu: &Gpu, at: Placement) -> Result<(), DriverError> {
        let place = Place::new(self, gpu, at)?;
        let Some(gi) = place.find()? else { return Ok(()) };
        let cleared = place.clear(gi)?;
        let mut gone = place.handle.destroy_gpu_instance(gi);
        for pause in PAUSES_MS.into_iter().take_while(|_| cleared > 0) {
            if gone != Err(Fault::Code(Code::IN_USE)) {
                break;
            }
            sleep(Duration::from_millis(pause));
            gone = place.handle.destroy_gpu_instance(gi);
        }
        gone.map_err(failed(&place.name, "nvmlGpuInstanceDestroy"))
    }

    /// Divides an existing GPU instance anew.
    ///
    /// # Errors
    /// [`DriverError::NoInstance`] when it is gone; otherwise as [`Driver::create`].
    pub(crate) fn recut(&self, gpu: &Gpu, at: Placement, compute: &[Profile]) -> Result<(), DriverError> {
        let place = Place::new(self, gpu, at)?;
        let gi = place.find()?.ok_or_else(|| DriverError::NoInstance(place.name.clone()))?;
        place.clear(gi)?;
        place.divide(gi, compute)
    }
}

/// One place on one GPU.
struct Place<'a> {
    driver: &'a Driver,
    handle: Handle<'a>,
    gpu: &'a str,
    name: String,
    spec: &'a Spec,
    start: u32,
}

impl<'a> Place<'a> {
    fn new(driver: &'a Driver, gpu: &'a Gpu, at: Placement) -> Result<Self, DriverError> {
        let uuid = &gpu.uuid;
        let name = format!("{uuid} {at}");
        let lacks = || unexpected(&name, "the GPU does not offer the profile");
        let spec = gpu.geometry.spec(at.profile).ok_or_else(lacks)?;
        let device = driver.device(uuid)?;
        let handle = Handle::of(&device).map_err(failed(uuid, "nvmlDeviceGetHandleByUUID"))?;
        Ok(Place { driver, handle, gpu: uuid, name, spec, start: at.start.into() })
    }

    fn compute_profiles(&self, gi: GpuInstance) -> Result<Rc<[ComputeProfile]>, DriverError> {
        self.driver.compute_profiles(self.handle, self.gpu, gi, &self.name)
    }

    fn find(&self) -> Result<Option<GpuInstance>, DriverError> {
        let call = "nvmlDeviceGetGpuInstances";
        // Most instances of the profile, as far as this program knows.
        let most = usize::from(self.spec.max).max(self.spec.starts.len());
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let mut list = self.handle.gpu_instances(self.spec.id, most).map_err(failed(self.gpu, call))?;
        let here = |gi: &Result<GpuInstance, _>| gi.as_ref().map_or(true, |gi| gi.start == self.start);
        list.find(here).transpose().map_err(failed(self.gpu, "nvmlGpuInstanceGetInfo"))
    }

    /// Destroys the compute instances and says how many there were.
    fn clear(&self, gi: GpuInstance) -> Result<usize, DriverError> {
        let mut cleared = 0;
        for profile in self.compute_profiles(gi)?.iter() {
            let call = "nvmlGpuInstanceGetComputeInstances";
            for ci in self.handle.compute_instances(gi, profile).map_err(failed(&self.name, call))? {
                let call = "nvmlComputeInstanceDestroy";
                self.handle.destroy_compute_instance(ci).map_err(failed(&self.name, call))?;
                cleared += 1;
            }
        }
        Ok(cleared)
    }

    fn divide(&self, gi: GpuInstance, compute: &[Profile]) -> Result<(), DriverError> {
        let offered = self.compute_profiles(gi)?;
        // Largest first: the driver takes the lowest free run of slices for each.
        let mut wanted = compute.to_vec();
        wanted.sort_unstable_by_key(|profile| std::cmp::Reverse(profile.compute_slices()));
        for wanted in wanted {
            let profile = choose(&offered, wanted).ok_or_else(|| DriverError::NoComputeProfile {
                object: self.name.clone(),
                profile: wanted,
            })?;
            let call = "nvmlGpuInstanceCreateComputeInstance";
            self.handle.create_compute_instance(gi, profile.id).map_err(failed(&self.name, call))?;
        }
        Ok(())
    }
}

/// The compute profile of that name. Hopper has two for one slice (ids 0 and 7): the whole GPU instance is the one with
/// all the SMs, a part is the plain one with the most instances.
fn choose(offered: &[ComputeProfile], wanted: Profile) -> Option<&ComputeProfile> {
    let slices = u32::from(wanted.compute_slices());
    let fitting = || offered.iter().filter(|p| p.slices == slices);
    let whole = fitting().max_by_key(|p| (p.sms, std::cmp::Reverse(p.id)))?;
    if wanted.compute().is_none() {
        return Some(whole);
    }
    let all = slices == u32::from(wanted.slices());
    let parts = fitting().filter(|p| !all || p.sms < whole.sms);
    parts.max_by_key(|p| (p.max, std::cmp::Reverse(p.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(id: u32, slices: u32, max: u32, sms: u32) -> ComputeProfile {
        ComputeProfile { id, slices, max, sms }
    }

    /// 2g.20gb and 1g.20gb of an H100 SXM, as nvidia-smi mig -lcip lists them.
    #[test]
    fn hoppers_second_one_slice_profile_is_chosen_where_it_fills_the_instance() {
        let id =
            |offered: &[ComputeProfile], name: &str| choose(offered, name.parse().unwrap()).map(|p| p.id);
        let two = [profile(0, 1, 2, 16), profile(7, 1, 1, 26), profile(1, 2, 1, 32)];
        assert_eq!(id(&two, "1c.2g.20gb"), Some(0));
        assert_eq!(id(&two, "2g.20gb"), Some(1));
        assert_eq!(id(&two, "3g.40gb"), None);
        let one = [profile(0, 1, 1, 16), profile(7, 1, 1, 26)];
        assert_eq!(id(&one, "1g.20gb"), Some(7));
        assert_eq!(id(&one, "1c.1g.20gb"), Some(0));
        assert_eq!(id(&[profile(0, 1, 1, 14)], "1c.1g.5gb"), None, "there is but the whole");
    }
}
