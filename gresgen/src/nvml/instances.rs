//! The instances of one GPU.
//!
//! NVML has no way from a compute instance to its MIG device: `nvmlComputeInstanceInfo_t.device` is the parent GPU
//! (nvml.h; nvidia-smi prints its index, 0, for every instance of GPU 0). So MIG devices are found as nvidia-smi,
//! Slurm's gpu_nvml.so and NVIDIA's go-nvlib find them, by a walk over their indexes, and each is asked which instances
//! it is. What a driver answers in a lookup costs little there; GPU instances, which take it to the GPU, are asked for
//! only by profiles that still have a place.

use device_map::is_mig_uuid;
use mig::{Placement, Profile, Spec};

use super::answer::Fault;
use super::code::Code;
use super::facts::Attributes;
use super::geometry::Model;
use super::process_list::Process;
use super::raw::{GpuInstance, Handle};
use super::{Driver, DriverError, failed, unexpected};
use crate::devices::InstanceIds;
use crate::holders;
use crate::inventory::{Compute, Gpu, Instance};

/// Reads the instances of one GPU.
pub(super) struct Reader<'a> {
    pub(super) driver: &'a Driver,
    pub(super) handle: Handle<'a>,
    pub(super) gpu: &'a Gpu,
    pub(super) model: &'a Model,
    /// The instances the kernel module has; none where that is not to be seen or shall not count.
    pub(super) existing: &'a InstanceIds,
    pub(super) processes: &'a [Process],
}

/// A MIG device as the walk finds it.
struct MigDevice<'a> {
    handle: Handle<'a>,
    gi: u32,
    uuid: String,
    slices: u8,
    profile: Profile,
}

impl<'a> Reader<'a> {
    /// By id.
    ///
    /// # Errors
    /// The first call that fails or gives what cannot be; [`DriverError::Unlisted`] when NVML's lists contradict each
    /// other.
    pub(super) fn instances(&self) -> Result<Vec<Instance>, DriverError> {
        let present = self.gpu_instances()?;
        let devices = self.mig_devices(&present)?;
        let mut instances = Vec::new();
        for (gi, placement) in present {
            let inside: Vec<&MigDevice<'_>> = devices.iter().filter(|device| device.gi == gi.id).collect();
            self.complete(gi, placement.profile, &inside)?;
            let compute: Result<Vec<Compute>, DriverError> =
                inside.iter().map(|device| self.compute(gi, device, inside.len() == 1)).collect();
            let mut compute = compute?;
            compute.sort_by_key(|c| c.ci);
            if let Some(twice) = compute.windows(2).find(|pair| pair[0].ci == pair[1].ci) {
                return Err(self.odd(gi.id, format!("has compute instance {} twice", twice[0].ci)));
            }
            let on_it = self.processes.iter().filter(|process| process.gi == Some(gi.id));
            let mut holders = Vec::new();
            holders::add(&mut holders, on_it.map(|process| holders::process(process.pid)));
            instances.push(Instance { gi: gi.id, placement, compute, holders, closed: false });
        }
        instances.sort_by_key(|i| i.gi);
        Ok(instances)
    }

    fn name(&self, gi: u32) -> String {
        format!("{} GPU instance {gi}", self.gpu.uuid)
    }

    fn odd(&self, gi: u32, what: String) -> DriverError {
        unexpected(self.name(gi), what)
    }

    fn unlisted(&self, instance: String, has: &'static str) -> DriverError {
        DriverError::Unlisted { gpu: self.gpu.uuid.clone(), instance, has }
    }

    /// The GPU instances with their places. A profile for which those found leave no place has no instance, so it is
    /// not asked about.
    fn gpu_instances(&self) -> Result<Vec<(GpuInstance, Placement)>, DriverError> {
        let geometry = &self.model.geometry;
        let mut found: Vec<(GpuInstance, Placement)> = Vec::new();
        for (spec, most) in geometry.specs.iter().zip(&self.model.counts) {
            let free = |place| found.iter().all(|(_, other)| !geometry.conflict(place, *other));
            if !spec.placements().any(free) {
                continue;
            }
            let call = "nvmlDeviceGetGpuInstances";
            let listed = self.handle.gpu_instances(spec.id, *most).map_err(failed(&self.gpu.uuid, call))?;
            for gi in listed {
                let gi = gi.map_err(failed(&self.gpu.uuid, "nvmlGpuInstanceGetInfo"))?;
                let placement = self.placement(gi, spec)?;
                if let Some((other, at)) =
                    found.iter().find(|(other, at)| other.id == gi.id || geometry.conflict(*at, placement))
                {
                    let what = format!("({placement}) cannot be beside GPU instance {} ({at})", other.id);
                    return Err(self.odd(gi.id, what));
                }
                found.push((gi, placement));
            }
        }
        Ok(found)
    }

    fn placement(&self, gi: GpuInstance, spec: &Spec) -> Result<Placement, DriverError> {
        if gi.profile != spec.id {
            let what = format!("is listed as of profile {} and says {}", spec.id, gi.profile);
            return Err(self.odd(gi.id, what));
        }
        let start = u8::try_from(gi.start).ok().filter(|start| spec.starts.contains(start));
        start.map(|start| Placement { profile: spec.profile, start }).ok_or_else(|| {
            let what = format!("starts at {}, which is no placement of profile {}", gi.start, gi.profile);
            self.odd(gi.id, what)
        })
    }

    /// The walk. It ends where the GPU instances have no compute slice left.
    fn mig_devices(&self, present: &[(GpuInstance, Placement)]) -> Result<Vec<MigDevice<'a>>, DriverError> {
        let mut left: u32 = present.iter().map(|(_, placement)| u32::from(placement.profile.slices())).sum();
        let mut devices: Vec<MigDevice<'a>> = Vec::new();
        if left == 0 {
            return Ok(devices);
        }
        let uuid = &self.gpu.uuid;
        let most = self.handle.max_mig_devices().map_err(failed(uuid, "nvmlDeviceGetMaxMigDeviceCount"))?;
        for index in 0..most {
            let call = "nvmlDeviceGetMigDeviceHandleByIndex";
            let Some(handle) = self.handle.mig_device(index).map_err(failed(uuid, call))? else { continue };
            let device = self.mig_device(handle, index, present)?;
            if devices.iter().any(|other| other.uuid == device.uuid) {
                return Err(self.odd(device.gi, format!("has MIG device {} twice", device.uuid)));
            }
            left = left.saturating_sub(u32::from(device.slices));
            devices.push(device);
            if left == 0 {
                break;
            }
        }
        Ok(devices)
    }

    fn mig_device(
        &self,
        handle: Handle<'a>,
        index: u32,
        present: &[(GpuInstance, Placement)],
    ) -> Result<MigDevice<'a>, DriverError> {
        let object = format!("{} MIG device {index}", self.gpu.uuid);
        let id = handle.gpu_instance_id().map_err(failed(&object, "nvmlDeviceGetGpuInstanceId"))?;
        let Some((gi, placement)) = present.iter().find(|(gi, _)| gi.id == id) else {
            return Err(self.unlisted(format!("GPU instance {id}"), "MIG device"));
        };
        let uuid = handle.uuid().map_err(failed(&object, "nvmlDeviceGetUUID"))?;
        if !is_mig_uuid(&uuid) {
            return Err(unexpected(
                object,
                format!("nvmlDeviceGetUUID gives {uuid:?}, which is no MIG-... UUID"),
            ));
        }
        let whole = placement.profile;
        let Attributes { slices, sms } = self.attributes(handle, *gi, &object)?;
        let own = u8::try_from(slices).ok().filter(|slices| (1..=whole.slices()).contains(slices));
        let odd = || unexpected(object, format!("nvmlDeviceGetAttributes_v2 gives {slices} compute slices"));
        let slices = own.ok_or_else(odd)?;
        let profile = self.profile(*gi, whole, slices, sms)?;
        Ok(MigDevice { handle, gi: id, uuid, slices, profile })
    }

    /// Compute slices and SMs of a MIG device.
    fn attributes(&self, mig: Handle<'a>, gi: GpuInstance, object: &str) -> Result<Attributes, DriverError> {
        match mig.attributes() {
            // An older driver has only the long way round.
            Err(Fault::Code(Code::FUNCTION_NOT_FOUND | Code::NOT_SUPPORTED)) => {
                let call = "nvmlDeviceGetComputeInstanceId";
                let ci = mig.compute_instance_id().map_err(failed(object, call))?;
                let of = |(attributes, id): (Attributes, u32)| (id == ci).then_some(attributes);
                let instance = format!("compute instance {ci} of GPU instance {}", gi.id);
                let unlisted = || self.unlisted(instance, "MIG device");
                self.devices_of(gi)?.into_iter().find_map(of).ok_or_else(unlisted)
            }
            attributes => attributes.map_err(failed(object, "nvmlDeviceGetAttributes_v2")),
        }
    }

    /// The compute instances that NVML lists by their profiles: what they have, and their ids.
    fn devices_of(&self, gi: GpuInstance) -> Result<Vec<(Attributes, u32)>, DriverError> {
        let name = self.name(gi.id);
        let mut all = Vec::new();
        for profile in self.driver.compute_profiles(self.handle, &self.gpu.uuid, gi, &name)?.iter() {
            let call = "nvmlGpuInstanceGetComputeInstances";
            let list = self.handle.compute_instances(gi, profile).map_err(failed(&name, call))?;
            let attributes = Attributes { sms: profile.sms, slices: profile.slices };
            all.extend(list.into_iter().map(|ci| (attributes, ci.id)));
        }
        Ok(all)
    }

    /// The name of a compute instance: that of its GPU instance where it has all of it. A compute profile of one slice
    /// comes in two sizes in GPU instances of one slice and twice the memory: a third of the SMs lie idle in the
    /// smaller, which nvidia-smi calls `1c.1g.20gb` on an H100.
    fn profile(&self, gi: GpuInstance, whole: Profile, slices: u8, sms: u32) -> Result<Profile, DriverError> {
        if slices < whole.slices() {
            return Ok(whole.part(slices));
        }
        let all = self.model.geometry.spec(whole).and_then(|spec| spec.sms);
        if all.is_none_or(|all| sms >= all) {
            return Ok(whole);
        }
        // Not for sure a part: what the largest compute instance has need not be all that the GPU instance has.
        let offered = self.driver.compute_profiles(self.handle, &self.gpu.uuid, gi, &self.name(gi.id))?;
        let alike = offered.iter().filter(|profile| profile.slices == u32::from(slices));
        let most = alike.map(|profile| profile.sms).max().unwrap_or(sms);
        Ok(if sms < most { whole.part(slices) } else { whole })
    }

    /// Whether no compute instance escaped the walk, where the kernel module cannot be asked instead: one that did would
    /// leave its GPU instance for an orphan.
    fn complete(
        &self,
        gi: GpuInstance,
        whole: Profile,
        inside: &[&MigDevice<'_>],
    ) -> Result<(), DriverError> {
        let used: u32 = inside.iter().map(|device| u32::from(device.slices)).sum();
        if !self.existing.is_empty() || used >= u32::from(whole.slices()) {
            return Ok(());
        }
        let listed = self.devices_of(gi)?.len();
        if listed <= inside.len() {
            return Ok(());
        }
        let instance = format!("{} of {listed} MIG devices of GPU instance {}", listed - inside.len(), gi.id);
        Err(self.unlisted(instance, "list of compute instances"))
    }

    fn compute(&self, gi: GpuInstance, device: &MigDevice<'_>, alone: bool) -> Result<Compute, DriverError> {
        let name = self.name(gi.id);
        // One compute instance in the kernel module, one MIG device in NVML: they are each other.
        let only = self.existing.get(&gi.id).filter(|ids| alone && ids.len() == 1);
        let ci = match only.and_then(|ids| ids.first()) {
            Some(ci) => *ci,
            None => {
                let call = "nvmlDeviceGetComputeInstanceId";
                device.handle.compute_instance_id().map_err(failed(&name, call))?
            }
        };
        let start = match device.profile.compute() {
            None => 0,
            Some(_) => {
                let call = "nvmlGpuInstanceGetComputeInstanceById";
                self.handle.compute_instance(gi, ci).map_err(failed(&name, call))?.start
            }
        };
        let minor = self.gpu.minor;
        let capabilities = self.driver.capabilities();
        let files = vec![
            self.gpu.file.clone(),
            capabilities.gpu_instance(minor, gi.id)?,
            capabilities.compute_instance(minor, gi.id, ci)?,
        ];
        Ok(Compute { ci, profile: device.profile, start, uuid: device.uuid.clone(), files })
    }
}
