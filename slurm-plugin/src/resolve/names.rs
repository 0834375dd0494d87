//! The UUIDs that Slurm itself puts into `CUDA_VISIBLE_DEVICES`: with `AutoDetect=nvml` those of MIG devices, from
//! 26.05 with `Flags=env_uuid` those of all that it knows one of.

use device_map::{DeviceMap, Record};

use crate::step::Visible;

/// What the names of a task say of the devices found for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// There are none.
    Nothing,
    /// They are these, in whatever order and spelling.
    Same,
    /// The MIG devices are these, and whole GPUs stand beside them as numbers.
    SameMig,
    /// They are others.
    Other,
}

/// The rows of the map that Slurm named in the `CUDA_VISIBLE_DEVICES` of a step with so many devices, in its order; `None` where it named no devices, or not
/// all of them, or one that is no row of the map.
pub fn named_rows(map: &DeviceMap, cuda: &Visible, devices: usize) -> Option<Vec<usize>> {
    let Visible::Names(names) = cuda else { return None };
    if names.len() != devices {
        return None;
    }
    let row = |name: &String| map.records.iter().position(|record| is_name_of(name, record));
    let rows: Vec<usize> = names.iter().map(row).collect::<Option<_>>()?;
    let distinct = rows.iter().enumerate().all(|(at, row)| !rows[..at].contains(row));
    distinct.then_some(rows)
}

/// Compares the names in `cuda` with the devices of `rows`.
pub(super) fn compare(cuda: &Visible, map: &DeviceMap, rows: &[usize]) -> Said {
    let Some(names) = cuda.devices() else { return Said::Nothing };
    let numbers = names.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).count();
    let named = |record: &Record| names.iter().any(|name| is_name_of(name, record));
    let unnamed: Vec<&Record> =
        rows.iter().map(|row| &map.records[*row]).filter(|record| !named(record)).collect();
    // Slurm's NVML plugin notes no UUID of a whole GPU (_get_system_gpu_list_nvml, src/plugins/gpu/nvml/gpu_nvml.c).
    let explained = unnamed.len() == numbers && unnamed.iter().all(|record| record.instance.is_none());
    match (names.len() == rows.len() && explained, numbers) {
        (true, 0) => Said::Same,
        (true, _) => Said::SameMig,
        (false, _) => Said::Other,
    }
}

/// Whether `name` is the record's UUID, or the older `MIG-GPU-<uuid>/<gi>/<ci>` of drivers before 470.42.01.
fn is_name_of(name: &str, record: &Record) -> bool {
    let older = record.instance.map(|(gi, ci)| format!("MIG-{}/{gi}/{ci}", record.parent));
    name == record.uuid || older.is_some_and(|older| name == older)
}
