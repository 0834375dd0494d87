//! Reading a whole node.

use mig::{Architecture, Geometry, Placed, Profile};
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::GpuVirtualizationMode;
use nvml_wrapper::error::NvmlError;

use super::code::Code;
use super::geometry::{architecture, geometry};
use super::raw::{ComputeInstance, ComputeProfile, GpuInstance, MigCalls, mig_device};
use super::{Driver, DriverError, failed};
use crate::devices::{InstanceIds, boot_id, existing, gpu_file};
use crate::inventory::{Compute, Gpu, Holder, Instance, Inventory, Mode};
use crate::root::Root;
use crate::slurm::cores::Topology;

/// Words of the CPU mask asked for: 4096 CPUs.
const CPU_WORDS: usize = 64;

impl Driver {
    /// Everything the driver and the device tree say about this node, named `node` in Slurm.
    ///
    /// # Errors
    /// The first call or file that fails, named with its GPU.
    pub fn inventory(&self, node: &str) -> Result<Inventory, DriverError> {
        let driver =
            self.nvml()?.sys_driver_version().map_err(failed("driver", "nvmlSystemGetDriverVersion"))?;
        let count = self.nvml()?.device_count().map_err(failed("driver", "nvmlDeviceGetCount_v2"))?;
        let gpus: Result<Vec<Gpu>, DriverError> = (0..count).map(|index| self.gpu(index)).collect();
        Ok(Inventory {
            node: node.to_owned(),
            boot: boot_id(&self.root)?,
            driver,
            topology: Topology::read(&self.root.kernel(Root::CPUS)),
            gpus: gpus?,
        })
    }

    /// One GPU, of which nothing is missing: a profile that the driver denies in passing would take its instances
    /// out of the picture, and whoever works from that would neither count them nor bring them back.
    fn gpu(&self, index: u32) -> Result<Gpu, DriverError> {
        let (gpu, missing) = self.listed(index)?;
        if missing.is_none() {
            return Ok(gpu);
        }
        self.forget_compute_profiles(&gpu.uuid);
        match self.listed(index)? {
            (gpu, None) => Ok(gpu),
            (gpu, Some(instance)) => Err(DriverError::Unlisted { gpu: gpu.uuid, instance }),
        }
    }

    /// One GPU as NVML lists it, and an instance missing from that: one that the kernel module had before and after.
    fn listed(&self, index: u32) -> Result<(Gpu, Option<String>), DriverError> {
        let object = format!("GPU {index}");
        let device =
            self.nvml()?.device_by_index(index).map_err(failed(&object, "nvmlDeviceGetHandleByIndex_v2"))?;
        let uuid = device.uuid().map_err(failed(&object, "nvmlDeviceGetUUID"))?;
        let pci = device.pci_info().map_err(failed(&uuid, "nvmlDeviceGetPciInfo_v3"))?;
        let model = device.name().map_err(failed(&uuid, "nvmlDeviceGetName"))?;
        let memory = device.memory_info().map_err(failed(&uuid, "nvmlDeviceGetMemoryInfo"))?;
        let minor = device.minor_number().map_err(failed(&uuid, "nvmlDeviceGetMinorNumber"))?;
        let before = existing(&self.root, minor);
        let memory_mib = memory.total >> 20;
        let mode = mode(&device).map_err(failed(&uuid, "nvmlDeviceGetMigMode"))?;
        let calls = MigCalls::new(&device);
        let geometry = match mode {
            Mode::Unsupported => Geometry { units: 0, slices: 0, specs: Vec::new() },
            Mode::Known { .. } => geometry(calls, &uuid, &model, memory_mib)?,
        };
        let mut gpu = Gpu {
            index,
            minor,
            pci: pci_address(&pci.bus_id),
            pci_device: pci.pci_device_id,
            pci_subsystem: pci.pci_sub_system_id,
            memory_mib,
            architecture: generation(&device).map_err(failed(&uuid, "nvmlDeviceGetArchitecture"))?,
            mode,
            guest: told(device.virtualization_mode())
                .map_err(failed(&uuid, "nvmlDeviceGetVirtualizationMode"))?
                .is_some_and(|mode| mode == GpuVirtualizationMode::Vgpu),
            cpus: cpus(&device).map_err(failed(&uuid, "nvmlDeviceGetCpuAffinity"))?,
            file: gpu_file(&self.root, minor)?,
            instances: Vec::new(),
            holders: Vec::new(),
            geometry,
            model,
            uuid,
        };
        if mode.is_on() {
            gpu.instances = Reader { driver: self, device: &device, calls, gpu: &gpu }.instances()?;
        }
        // Somebody else may be creating and destroying: what came or went meanwhile proves nothing.
        let missing = unlisted(&gpu.instances, &before, &existing(&self.root, minor));
        Ok((gpu, missing))
    }
}

/// The first instance that the kernel module had `before` and `after`, and that is not among those `listed`.
fn unlisted(listed: &[Instance], before: &InstanceIds, after: &InstanceIds) -> Option<String> {
    let mut stayed = before.iter().filter_map(|(gi, compute)| Some((gi, compute & after.get(gi)?)));
    stayed.find_map(|(gi, compute)| {
        let Some(instance) = listed.iter().find(|i| i.gi == *gi) else {
            return Some(format!("GPU instance {gi}"));
        };
        let missing = compute.iter().find(|ci| instance.compute.iter().all(|c| c.ci != **ci))?;
        Some(format!("compute instance {missing} of GPU instance {gi}"))
    })
}

/// Reads the instances of one GPU.
struct Reader<'a, 'nvml> {
    driver: &'a Driver,
    device: &'a Device<'nvml>,
    calls: MigCalls<'nvml>,
    gpu: &'a Gpu,
}

impl Reader<'_, '_> {
    fn instances(&self) -> Result<Vec<Instance>, DriverError> {
        let processes = self.processes()?;
        let mut instances = Vec::new();
        for (spec, index) in self.gpu.geometry.specs.iter().zip(0u8..) {
            let call = "nvmlDeviceGetGpuInstances";
            for gi in self.calls.gpu_instances(spec.id).map_err(failed(&self.gpu.uuid, call))? {
                let gi = gi.map_err(failed(&self.gpu.uuid, "nvmlGpuInstanceGetInfo"))?;
                let placed = self.placed(gi, index)?;
                let name = self.name(gi);
                let profiles = self.driver.compute_profiles(self.calls, &self.gpu.uuid, gi, &name)?;
                instances.push(Instance {
                    gi: gi.id,
                    placed,
                    compute: self.compute(gi, spec.profile, &profiles)?,
                    holders: processes
                        .iter()
                        .filter(|(id, _)| *id == gi.id)
                        .map(|(_, h)| h.clone())
                        .collect(),
                });
            }
        }
        instances.sort_by_key(|i| i.gi);
        Ok(instances)
    }

    fn name(&self, gi: GpuInstance) -> String {
        format!("{} GPU instance {}", self.gpu.uuid, gi.id)
    }

    fn placed(&self, gi: GpuInstance, spec: u8) -> Result<Placed, DriverError> {
        let starts = &self.gpu.geometry.specs[usize::from(spec)].starts;
        let start = u8::try_from(gi.start).ok().filter(|s| starts.contains(s));
        start.map(|start| Placed { spec, start }).ok_or_else(|| DriverError::Unexpected {
            object: self.name(gi),
            what: format!("starts at {}, which is no placement of profile {}", gi.start, gi.profile),
        })
    }

    fn compute(
        &self,
        gi: GpuInstance,
        parent: Profile,
        profiles: &[ComputeProfile],
    ) -> Result<Vec<Compute>, DriverError> {
        let mut list = Vec::new();
        for profile in profiles {
            let call = "nvmlGpuInstanceGetComputeInstances";
            let found = self.calls.compute_instances(gi, profile.id).map_err(failed(&self.name(gi), call))?;
            for ci in found {
                let slices = u8::try_from(profile.slices).unwrap_or(u8::MAX);
                list.push(self.compute_instance(gi, ci, parent.with_compute(slices))?);
            }
        }
        list.sort_by_key(|c| c.ci);
        Ok(list)
    }

    fn compute_instance(
        &self,
        gi: GpuInstance,
        ci: ComputeInstance,
        profile: Profile,
    ) -> Result<Compute, DriverError> {
        let object = format!("{} compute instance {}", self.name(gi), ci.id);
        let uuid = mig_device(self.device, ci).uuid().map_err(failed(&object, "nvmlDeviceGetUUID"))?;
        let minor = self.gpu.minor;
        let files = vec![
            self.gpu.file.clone(),
            self.driver.capabilities().gpu_instance(minor, gi.id)?,
            self.driver.capabilities().compute_instance(minor, gi.id, ci.id)?,
        ];
        Ok(Compute { ci: ci.id, profile, start: ci.start, uuid, files })
    }

    /// Processes NVML sees, with the GPU instance each is on.
    fn processes(&self) -> Result<Vec<(u32, Holder)>, DriverError> {
        let call = "nvmlDeviceGetComputeRunningProcesses_v3";
        let list = match self.device.running_compute_processes() {
            // Without the right to look at others' processes the driver says so; status still works.
            Err(NvmlError::NoPermission | NvmlError::NotSupported) => Vec::new(),
            result => result.map_err(failed(&self.gpu.uuid, call))?,
        };
        let on_instance = |p: nvml_wrapper::struct_wrappers::device::ProcessInfo| {
            Some((p.gpu_instance_id?, crate::holders::process(p.pid)))
        };
        Ok(list.into_iter().filter_map(on_instance).collect())
    }
}

fn mode(device: &Device<'_>) -> Result<Mode, Code> {
    match device.mig_mode() {
        Ok(mode) => Ok(Mode::Known { current: mode.current == 1, pending: mode.pending == 1 }),
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => Ok(Mode::Unsupported),
        Err(error) => Err(error.into()),
    }
}

/// NVML pads the domain to eight digits and writes capitals; Linux (and everybody who types one) writes
/// `0000:07:00.0`.
fn pci_address(bus_id: &str) -> String {
    let lower = bus_id.to_lowercase();
    match lower.split_once(':') {
        Some((domain, rest)) if domain.len() == 8 && domain.starts_with("0000") => {
            format!("{}:{rest}", &domain[4..])
        }
        _ => lower,
    }
}

/// What not every driver tells of every GPU. Any other failure is one: files must not silently say less than
/// they did.
fn told<T>(result: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match result {
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => Ok(None),
        result => result.map(Some),
    }
}

/// A generation newer than the bindings comes as the number they did not expect; return codes that they did not
/// expect come the same way, but begin after 22.
fn generation(device: &Device<'_>) -> Result<Option<Architecture>, NvmlError> {
    match device.architecture() {
        Err(NvmlError::UnexpectedVariant(number @ ..=22)) => Ok(architecture(number)),
        result => Ok(told(result)?.and_then(|known| architecture(known.as_c()))),
    }
}

fn cpus(device: &Device<'_>) -> Result<Vec<u32>, NvmlError> {
    let words = told(device.cpu_affinity(CPU_WORDS))?.unwrap_or_default();
    let bits = words.iter().zip(0u32..).flat_map(|(&word, index)| {
        (0..u64::BITS).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * u64::BITS + bit)
    });
    Ok(bits.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_module_had_all_the_while_is_listed() {
        let compute = |ci| {
            let profile = "1g.5gb".parse().unwrap();
            Compute { ci, profile, start: 0, uuid: String::new(), files: Vec::new() }
        };
        let placed = Placed { spec: 0, start: 0 };
        let listed = [Instance { gi: 7, placed, compute: vec![compute(0)], holders: Vec::new() }];
        let ids = |list: &[(u32, &[u32])]| -> InstanceIds {
            list.iter().map(|(gi, compute)| (*gi, compute.iter().copied().collect())).collect()
        };
        let missing = |before, after| unlisted(&listed, &ids(before), &ids(after));
        assert_eq!(missing(&[(7, &[0])], &[(7, &[0])]), None);
        assert_eq!(missing(&[], &[]), None, "no tree to be seen");
        assert_eq!(missing(&[(7, &[0])], &[(7, &[0, 1]), (8, &[])]), None, "created meanwhile");
        assert_eq!(missing(&[(7, &[0, 1]), (8, &[0])], &[(7, &[0])]), None, "destroyed meanwhile");
        let all = &[(7, &[0, 1][..]), (8, &[0])];
        assert_eq!(missing(all, all).unwrap(), "compute instance 1 of GPU instance 7");
        assert_eq!(missing(&[(8, &[])], &[(8, &[])]).unwrap(), "GPU instance 8", "an orphan, too");
    }

    #[test]
    fn pci_addresses_are_written_as_linux_does() {
        assert_eq!(pci_address("00000000:07:00.0"), "0000:07:00.0");
        assert_eq!(pci_address("0000:8A:00.0"), "0000:8a:00.0");
        assert_eq!(pci_address("00010000:01:00.0"), "00010000:01:00.0");
    }
}
