//! Reading a whole node.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use device_map::is_gpu_uuid;
use mig::{Architecture, Geometry};
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::GpuVirtualizationMode;
use nvml_wrapper::error::NvmlError;

use super::affinity::cpus;
use super::answer::contradiction;
use super::facts::Pci;
use super::geometry::{Model, model};
use super::identity::{MAX_MINOR, generation, if_supported, minor, mode, pci_address, vbios};
use super::instances::Reader;
use super::processes::processes;
use super::raw::{self, Handle};
use super::{Driver, DriverError, failed, unexpected};
use crate::cores::Topology;
use crate::devices::{InstanceIds, boot_id, existing, gpu_file};
use crate::holders;
use crate::inventory::{Gpu, Instance, Inventory, Mode};
use crate::root::Root;

/// What is read of GPUs with MIG off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// All there is.
    Everything,
    /// Not what they could be cut into.
    AsTheyAre,
}

/// One read of the node: what its GPUs have in common is asked once.
struct Reading<'a> {
    driver: &'a Driver,
    detail: Detail,
    /// GPUs of the node.
    count: u32,
    models: RefCell<BTreeMap<Kind, Rc<Model>>>,
    /// By PCI device id.
    architectures: RefCell<BTreeMap<u32, Option<Architecture>>>,
}

/// GPUs that agree in this can be cut into the same: what NVML says of profiles depends on the chip, the board and its
/// memory, the VBIOS, and on whether MIG is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    device: u32,
    subsystem: u32,
    name: String,
    /// In bytes.
    memory: u64,
    on: bool,
    vbios: Option<String>,
}

impl Driver {
    /// Everything the driver and the device tree say about this node, named `node` in Slurm.
    ///
    /// # Errors
    /// The first call or file that fails, named with its GPU.
    pub(crate) fn inventory(&self, node: &str) -> Result<Inventory, DriverError> {
        self.read(node, Detail::Everything)
    }

    /// The same without what GPUs with MIG off could be cut into: their geometry is empty. A driver takes 0.5 ms to
    /// describe a profile and 0.2 ms to list its placements (580.159.04, an H100), a third of the time that looking at
    /// such a GPU takes.
    ///
    /// # Errors
    /// As [`Driver::inventory`].
    pub(crate) fn inventory_as_it_is(&self, node: &str) -> Result<Inventory, DriverError> {
        self.read(node, Detail::AsTheyAre)
    }

    fn read(&self, node: &str, detail: Detail) -> Result<Inventory, DriverError> {
        let nvml = self.nvml()?;
        let driver = raw::driver_version(nvml).map_err(failed("driver", "nvmlSystemGetDriverVersion"))?;
        let call = "nvmlDeviceGetCount_v2";
        let count = nvml.device_count().map_err(failed("driver", call))?;
        if count > MAX_MINOR + 1 {
            return Err(failed("driver", call)(contradiction(format!("{count} GPUs"))));
        }
        let reading = Reading {
            driver: self,
            detail,
            count,
            models: RefCell::default(),
            architectures: RefCell::default(),
        };
        let gpus: Result<Vec<Gpu>, DriverError> = (0..count).map(|index| reading.gpu(index)).collect();
        let gpus = gpus?;
        for (at, gpu) in gpus.iter().enumerate() {
            let odd = |what: String| Err(unexpected(&gpu.uuid, what));
            if let Some(same) = gpus[..at].iter().find(|other| other.uuid == gpu.uuid) {
                return odd(format!("is GPU {} and GPU {}", same.index, gpu.index));
            }
            if let Some(same) = gpus[..at].iter().find(|other| other.minor == gpu.minor) {
                return odd(format!("has the minor number {} of GPU {}", gpu.minor, same.uuid));
            }
        }
        Ok(Inventory {
            node: node.to_owned(),
            boot: boot_id(&self.root)?,
            driver,
            partial: false,
            topology: Topology::read(&self.root.kernel(Root::CPUS)),
            gpus,
        })
    }
}

impl Reading<'_> {
    /// One GPU, of which nothing is missing: a profile that the driver denies in passing would take its instances
    /// out of the picture, and whoever works from that would neither count them nor bring them back.
    fn gpu(&self, index: u32) -> Result<Gpu, DriverError> {
        match self.gpu_at(index, true) {
            Ok(Some(gpu)) => return Ok(gpu),
            Err(DriverError::Unlisted { gpu, .. }) => {
                self.models.borrow_mut().clear();
                self.driver.forget_compute_profiles(&gpu);
            }
            // Somebody else is creating and destroying.
            Ok(None) => {}
            Err(error) => return Err(error),
        }
        let again = self.gpu_at(index, false)?;
        let restless = || unexpected(format!("GPU {index}"), "its instances change while they are read");
        again.ok_or_else(restless)
    }

    /// One GPU as NVML lists it. What the kernel module has counts for what NVML is not asked, unless not `trusting`:
    /// then `None` says that it changed meanwhile.
    fn gpu_at(&self, index: u32, trusting: bool) -> Result<Option<Gpu>, DriverError> {
        let Driver { root, .. } = self.driver;
        let object = format!("GPU {index}");
        let call = "nvmlDeviceGetHandleByIndex_v2";
        let device = self.driver.nvml()?.device_by_index(index).map_err(failed(&object, call))?;
        let handle = Handle::of(&device).map_err(failed(&object, call))?;
        let uuid = handle.uuid().map_err(failed(&object, "nvmlDeviceGetUUID"))?;
        if !is_gpu_uuid(&uuid) {
            return Err(unexpected(
                object,
                format!("nvmlDeviceGetUUID gives {uuid:?}, which is no GPU-... UUID"),
            ));
        }
        let object = format!("{object} ({uuid})");
        let pci = handle.pci().map_err(failed(&object, "nvmlDeviceGetPciInfo_v3"))?;
        let address = pci_address(&pci.bus_id).map_err(failed(&object, "nvmlDeviceGetPciInfo_v3"))?;
        let name = handle.name().map_err(failed(&object, "nvmlDeviceGetName"))?;
        let memory = handle.memory().map_err(failed(&object, "nvmlDeviceGetMemoryInfo"))?;
        let minor = minor(&device).map_err(failed(&object, "nvmlDeviceGetMinorNumber"))?;
        let mode = mode(&device).map_err(failed(&object, "nvmlDeviceGetMigMode"))?;
        let processes = processes(handle, &object)?;
        let model = self.model(handle, &object, &pci, (&name, memory), mode)?;
        let mut gpu = Gpu {
            index,
            minor,
            pci_device: pci.device,
            pci_subsystem: Some(pci.subsystem),
            memory_mib: memory >> 20,
            architecture: self
                .architecture(&device, pci.device)
                .map_err(failed(&object, "nvmlDeviceGetArchitecture"))?,
            mode,
            guest: if_supported(device.virtualization_mode())
                .map_err(failed(&object, "nvmlDeviceGetVirtualizationMode"))?
                .is_some_and(|mode| mode == GpuVirtualizationMode::Vgpu),
            cpus: cpus(&device, &address, root).map_err(failed(&object, "nvmlDeviceGetCpuAffinity"))?,
            file: gpu_file(root, minor)?,
            instances: Vec::new(),
            capabilities: None,
            holders: Vec::new(),
            geometry: model.geometry.clone(),
            model: name,
            pci: address,
            uuid,
        };
        if mode.is_on() {
            let (before, nothing) = (existing(root, minor), InstanceIds::new());
            let seen = if trusting { &before } else { &nothing };
            let reader = Reader {
                driver: self.driver,
                handle,
                gpu: &gpu,
                model: &model,
                existing: seen,
                processes: &processes,
            };
            gpu.instances = reader.instances()?;
            let after = existing(root, minor);
            if let Some(instance) = unlisted(&gpu.instances, &before, &after) {
                return Err(DriverError::Unlisted { gpu: gpu.uuid, instance, has: "kernel module" });
            }
            if trusting && before != after {
                return Ok(None);
            }
        }
        let own = processes.iter().filter(|process| {
            process.gi.is_none_or(|gi| gpu.instances.iter().all(|instance| instance.gi != gi))
        });
        holders::add(&mut gpu.holders, own.map(|process| holders::process(process.pid)));
        Ok(Some(gpu))
    }

    fn architecture(&self, device: &Device<'_>, pci: u32) -> Result<Option<Architecture>, NvmlError> {
        if let Some(known) = self.architectures.borrow().get(&pci) {
            return Ok(*known);
        }
        let architecture = generation(device)?;
        self.architectures.borrow_mut().insert(pci, architecture);
        Ok(architecture)
    }

    /// What the GPU can be cut into: asked once for GPUs of one kind.
    fn model(
        &self,
        handle: Handle<'_>,
        uuid: &str,
        pci: &Pci,
        (name, memory): (&str, u64),
        mode: Mode,
    ) -> Result<Rc<Model>, DriverError> {
        let asked = match self.detail {
            Detail::Everything => mode != Mode::Unsupported,
            Detail::AsTheyAre => mode.is_on(),
        };
        if !asked {
            let geometry = Geometry { units: 0, slices: 0, specs: Vec::new() };
            return Ok(Rc::new(Model { geometry, counts: Vec::new() }));
        }
        let vbios = match self.count {
            1 => None,
            _ => vbios(handle).map_err(failed(uuid, "nvmlDeviceGetVbiosVersion"))?,
        };
        let kind = Kind {
            device: pci.device,
            subsystem: pci.subsystem,
            name: name.to_owned(),
            memory,
            on: mode.is_on(),
            vbios,
        };
        if let Some(known) = self.models.borrow().get(&kind) {
            return Ok(Rc::clone(known));
        }
        let model = Rc::new(model(handle, uuid, name, memory >> 20, mode)?);
        self.models.borrow_mut().insert(kind, Rc::clone(&model));
        Ok(model)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Compute;
    use mig::Placement;

    #[test]
    fn what_the_kernel_module_had_all_the_while_is_listed() {
        let compute = |ci| {
            let profile = "1g.5gb".parse().unwrap();
            Compute { ci, profile, start: 0, uuid: String::new(), files: Vec::new() }
        };
        let placement = Placement { profile: compute(0).profile, start: 0 };
        let listed =
            [Instance { gi: 7, placement, compute: vec![compute(0)], holders: Vec::new(), closed: false }];
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
}
