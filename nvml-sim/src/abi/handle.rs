//! Handles are numbers in pointer's clothing: kind, GPU, GPU instance, compute instance and the revision
//! that brought it. Nothing is allocated, so nothing leaks, and a handle to a dead instance is found out
//! when another has taken its id.

use nvml_wrapper_sys::bindings::{nvmlComputeInstance_st, nvmlDevice_st, nvmlGpuInstance_st};

use crate::code::{Answer, Code};
use crate::machine::{ComputeInstance, Gpu, GpuInstance, Machine, MigDevice};

/// A handle as C sees it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Handle<T>(*mut T);

/// `nvmlDevice_t`: a GPU or a MIG device.
pub(super) type Device = Handle<nvmlDevice_st>;
/// `nvmlGpuInstance_t`
pub(super) type InstanceHandle = Handle<nvmlGpuInstance_st>;
/// `nvmlComputeInstance_t`
pub(super) type ComputeHandle = Handle<nvmlComputeInstance_st>;

/// What a `nvmlDevice_t` stands for.
pub(super) enum Target<'a> {
    Gpu(&'a Gpu),
    Mig(MigDevice<'a>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gpu = 1,
    Mig,
    Instance,
    Compute,
}

/// Fields of a handle, from the high end: 8 bits each, then 32 of the revision.
struct Key {
    kind: usize,
    gpu: u32,
    instance: u32,
    compute: u32,
    birth: u32,
}

impl<T> Handle<T> {
    fn pack(kind: Kind, gpu: &Gpu, instance: u32, compute: u32, birth: u64) -> Self {
        let high =
            (kind as usize) << 24 | (gpu.index as usize) << 16 | (instance as usize) << 8 | compute as usize;
        let low = birth as u32 as usize;
        Handle(std::ptr::without_provenance_mut(high << 32 | low))
    }

    /// The handle as it stands in a C struct.
    pub(super) fn raw(self) -> *mut T {
        self.0
    }

    fn key(self) -> Key {
        let bits = self.0.addr();
        let byte = |shift: u32| (bits >> shift & 0xff) as u32;
        Key { kind: bits >> 56, gpu: byte(48), instance: byte(40), compute: byte(32), birth: bits as u32 }
    }
}

impl Key {
    fn gpu<'a>(&self, machine: &'a Machine, kind: Kind) -> Answer<&'a Gpu> {
        let gpu = machine.gpus.get(self.gpu as usize).filter(|_| self.kind == kind as usize);
        gpu.ok_or(Code::INVALID_ARGUMENT)
    }

    fn mig<'a>(&self, machine: &'a Machine, kind: Kind) -> Answer<MigDevice<'a>> {
        let gpu = self.gpu(machine, kind)?;
        let found = gpu.mig_devices().find(|d| {
            (d.instance.id, d.compute.id, d.compute.birth as u32) == (self.instance, self.compute, self.birth)
        });
        found.ok_or(Code::INVALID_ARGUMENT)
    }
}

impl Device {
    pub(super) fn of_gpu(gpu: &Gpu) -> Device {
        Handle::pack(Kind::Gpu, gpu, 0, 0, 0)
    }

    pub(super) fn of_mig(device: &MigDevice<'_>) -> Device {
        let MigDevice { gpu, instance, compute } = device;
        Handle::pack(Kind::Mig, gpu, instance.id, compute.id, compute.birth)
    }

    /// The GPU; INVALID_ARGUMENT for a MIG device, as for anything else that is no GPU.
    pub(super) fn gpu(self, machine: &Machine) -> Answer<&Gpu> {
        self.key().gpu(machine, Kind::Gpu)
    }

    /// The MIG device; INVALID_ARGUMENT for a GPU, and for one that has been destroyed.
    pub(super) fn mig(self, machine: &Machine) -> Answer<MigDevice<'_>> {
        self.key().mig(machine, Kind::Mig)
    }

    pub(super) fn target(self, machine: &Machine) -> Answer<Target<'_>> {
        self.gpu(machine).map(Target::Gpu).or_else(|_| self.mig(machine).map(Target::Mig))
    }
}

impl<'a> Target<'a> {
    /// The GPU itself, or that of the MIG device.
    pub(super) fn physical(&self) -> &'a Gpu {
        match self {
            Target::Gpu(gpu) => gpu,
            Target::Mig(device) => device.gpu,
        }
    }
}

impl InstanceHandle {
    pub(super) fn of(gpu: &Gpu, instance: &GpuInstance) -> InstanceHandle {
        Handle::pack(Kind::Instance, gpu, instance.id, 0, instance.birth)
    }

    /// The GPU instance; INVALID_ARGUMENT for one that has been destroyed.
    pub(super) fn get(self, machine: &Machine) -> Answer<(&Gpu, &GpuInstance)> {
        let key = self.key();
        let gpu = key.gpu(machine, Kind::Instance)?;
        let instance = gpu.instance(key.instance).filter(|i| i.birth as u32 == key.birth);
        instance.map(|i| (gpu, i)).ok_or(Code::INVALID_ARGUMENT)
    }
}

impl ComputeHandle {
    pub(super) fn of(gpu: &Gpu, instance: &GpuInstance, compute: &ComputeInstance) -> ComputeHandle {
        Handle::pack(Kind::Compute, gpu, instance.id, compute.id, compute.birth)
    }

    /// The compute instance; INVALID_ARGUMENT for one that has been destroyed.
    pub(super) fn get(self, machine: &Machine) -> Answer<MigDevice<'_>> {
        self.key().mig(machine, Kind::Compute)
    }
}
