//! Whether a state can be at all: it lies in a file that anybody may have edited.

use crate::machine::{Gpu, GpuInstance, Machine};
use crate::rules;

/// What about this state cannot be, if it was changed by hand.
pub fn defect(machine: &Machine) -> Option<String> {
    if machine.format != Machine::FORMAT {
        return Some(format!("format {}, this simulator reads {}", machine.format, Machine::FORMAT));
    }
    let plain = Machine::new(&machine.spec, machine.majors);
    let same = |(a, b): (&Gpu, &Gpu)| {
        // The identifier is invented: machines that stand beside each other have each their own.
        a.board.key == b.board.key && (a.traits, a.index, a.minor) == (b.traits, b.index, b.minor)
    };
    if machine.gpus.len() != plain.gpus.len() || !machine.gpus.iter().zip(&plain.gpus).all(same) {
        return Some(format!("GPUs do not match its spec {}", machine.spec));
    }
    machine.gpus.iter().find_map(of_gpu)
}

fn of_gpu(gpu: &Gpu) -> Option<String> {
    let legal = |(at, instance): (usize, &GpuInstance)| {
        let Some(row) = gpu.profile(instance.profile) else { return false };
        let before = &gpu.instances[..at];
        let ids_rise = before.last().is_none_or(|last| last.id < instance.id);
        let apart = || before.iter().all(|i| !rules::conflict((gpu.row(i), i.id), (row, instance.id)));
        ids_rise
            && rules::places(gpu, row).contains(&(instance.id, instance.start))
            && apart()
            && rules::compute_is_legal(gpu, row, &instance.compute)
    };
    if !gpu.current && !gpu.instances.is_empty() {
        return Some(format!("GPU {} has instances with MIG mode off", gpu.index));
    }
    let first_bad = gpu.instances.iter().enumerate().find(|&pair| !legal(pair));
    first_bad.map(|(_, i)| format!("GPU {} cannot have the GPU instance {}", gpu.index, i.id))
}
