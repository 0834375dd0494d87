//! What changes a machine: MIG mode, instances, reset, reboot. Each either applies whole or not at all.

use crate::clients::Clients;
use crate::code::{Answer, Code};
use crate::machine::{ComputeInstance, Gpu, GpuInstance, Machine};
use crate::rules;

/// A place chosen by the caller: start and size.
pub type Chosen = Option<(u32, u32)>;

impl Machine {
    fn gpu_mut(&mut self, gpu: u32) -> &mut Gpu {
        &mut self.gpus[gpu as usize]
    }

    /// Revision under which the present change will be committed.
    fn birth(&self) -> u64 {
        self.revision + 1
    }

    /// Makes a GPU instance and gives its id.
    pub fn create_instance(&mut self, gpu: u32, profile: u32, at: Chosen, clients: &Clients) -> Answer<u32> {
        let birth = self.birth();
        let gpu = self.gpu_mut(gpu);
        gpu.offers_instances()?;
        let row = gpu.profile(profile).ok_or(Code::INVALID_ARGUMENT)?;
        if gpu.instances.is_empty() && clients.any_on(&gpu.uuid()) {
            return Err(Code::IN_USE);
        }
        let (id, start) = rules::place(gpu, row, at)?;
        gpu.instances.push(GpuInstance { id, profile, start, birth, compute: Vec::new() });
        gpu.instances.sort_by_key(|i| i.id);
        Ok(id)
    }

    /// Ends a GPU instance that has no compute instances left.
    pub fn destroy_instance(&mut self, gpu: u32, id: u32) -> Answer {
        let gpu = self.gpu_mut(gpu);
        let at = gpu.instances.iter().position(|i| i.id == id).ok_or(Code::INVALID_ARGUMENT)?;
        if !gpu.instances[at].compute.is_empty() {
            return Err(Code::IN_USE);
        }
        gpu.instances.remove(at);
        Ok(())
    }

    /// Makes a compute instance and gives its id.
    pub fn create_compute(&mut self, gpu: u32, instance: u32, profile: u32, at: Chosen) -> Answer<u32> {
        let birth = self.birth();
        let gpu = self.gpu_mut(gpu);
        let position = gpu.instances.iter().position(|i| i.id == instance).ok_or(Code::INVALID_ARGUMENT)?;
        let instance = &gpu.instances[position];
        let compute = gpu.row(instance).compute.iter().find(|c| c.id == profile);
        let compute = compute.ok_or(Code::INVALID_ARGUMENT)?;
        let (id, start) = rules::compute_place(gpu, instance, compute, at)?;
        let list = &mut gpu.instances[position].compute;
        list.push(ComputeInstance { id, profile, start, birth });
        list.sort_by_key(|c| c.id);
        Ok(id)
    }

    /// Ends a compute instance that no process uses.
    pub fn destroy_compute(&mut self, gpu: u32, instance: u32, id: u32, clients: &Clients) -> Answer {
        let gpu = self.gpu_mut(gpu);
        let device = gpu.mig_devices().find(|d| d.instance.id == instance && d.compute.id == id);
        if clients.any_on(&device.ok_or(Code::INVALID_ARGUMENT)?.uuid()) {
            return Err(Code::IN_USE);
        }
        let owner = gpu.instances.iter_mut().find(|i| i.id == instance).ok_or(Code::INVALID_ARGUMENT)?;
        owner.compute.retain(|c| c.id != id);
        Ok(())
    }

    /// Records a MIG mode. The inner answer is NVML's activation status.
    ///
    /// Ampere needs a GPU reset for it. The driver tries one on the spot, and where a client holds the GPU
    /// the mode stays pending. Later architectures switch at once. The driver refuses while instances
    /// exist; that the activation status then says so is inferred (NVML's answer was never seen).
    pub fn set_mode(&mut self, gpu: u32, on: bool, clients: &Clients) -> Answer<Answer> {
        let gpu = self.gpu_mut(gpu);
        if gpu.traits.vgpu {
            return Err(Code::NOT_SUPPORTED);
        }
        if gpu.current == on {
            gpu.pending = on;
            return Ok(Ok(()));
        }
        let held = gpu.held_by(clients) || !gpu.instances.is_empty();
        if gpu.resetless() {
            if held {
                return Ok(Err(Code::IN_USE));
            }
        } else {
            gpu.pending = on;
            if held || gpu.traits.held {
                return Ok(Err(Code::IN_USE));
            }
            // nvml.h on this call: where a virtual machine cannot reset the GPU, a reboot of it is required.
            if gpu.traits.passthrough {
                return Ok(Err(Code::RESET_REQUIRED));
            }
        }
        (gpu.current, gpu.pending) = (on, on);
        Ok(Ok(()))
    }

    /// Resets a GPU, as `nvidia-smi --gpu-reset` does: instances go, a pending mode comes into force. A virtual
    /// machine has to be rebooted instead (NVIDIA MIG User Guide, Virtualization).
    pub fn reset(&mut self, gpu: u32, clients: &Clients) -> Answer {
        let gpu = self.gpu_mut(gpu);
        if gpu.traits.passthrough {
            return Err(Code::NOT_SUPPORTED);
        }
        if gpu.held_by(clients) {
            return Err(Code::IN_USE);
        }
        gpu.instances.clear();
        gpu.current = gpu.pending;
        Ok(())
    }

    /// Restarts the machine: instances go everywhere, and from Hopper on MIG mode with them.
    pub fn reboot(&mut self) {
        for gpu in &mut self.gpus {
            gpu.instances.clear();
            gpu.pending &= !gpu.resetless();
            gpu.current = gpu.pending;
        }
    }
}

impl Gpu {
    /// Questions about GPU instances are answered with MIG mode on, and on some GPUs always; never to a vGPU
    /// guest.
    pub fn tells_instances(&self) -> Answer {
        let told = (self.current || self.answers_with_mig_off()) && !self.traits.vgpu;
        if told { Ok(()) } else { Err(Code::NOT_SUPPORTED) }
    }

    /// GPU instances exist only with MIG mode on, and never for a vGPU guest.
    pub fn offers_instances(&self) -> Answer {
        if self.current && !self.traits.vgpu { Ok(()) } else { Err(Code::NOT_SUPPORTED) }
    }

    fn held_by(&self, clients: &Clients) -> bool {
        clients.any_on(&self.uuid()) || self.mig_devices().any(|d| clients.any_on(&d.uuid()))
    }
}

#[cfg(test)]
mod tests;
