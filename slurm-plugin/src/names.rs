//! Lists of devices in variables, and the UUIDs that Slurm itself puts into `CUDA_VISIBLE_DEVICES`: with
//! `AutoDetect=nvml` those of MIG devices, from 26.05 with `Flags=env_uuid` those of all that it knows one of.

use device_map::{DeviceMap, Record};

/// A list of devices in a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// The variable is not set.
    Unset,
    /// Numbers.
    Positions(Vec<usize>),
    /// Anything else: UUIDs that an NVML build of Slurm set, or another text.
    Names(Vec<String>),
}

impl Visible {
    /// The list, if there are devices in it named as NVML names them. Any other text did not come from NVML.
    pub fn devices(&self) -> Option<&[String]> {
        let is_uuid = |name: &String| name.starts_with("MIG-") || name.starts_with("GPU-");
        match self {
            Visible::Names(names) if names.iter().any(is_uuid) => Some(names),
            _ => None,
        }
    }

    /// Reads the value of a variable.
    pub fn parse(value: Option<&str>) -> Self {
        match value {
            None => Visible::Unset,
            Some(text) => indexes(text).map_or_else(
                || Visible::Names(text.split(',').map(str::to_owned).collect()),
                Visible::Positions,
            ),
        }
    }
}

/// Reads `0,2,5`; `None` for anything but distinct numbers.
pub fn indexes(text: &str) -> Option<Vec<usize>> {
    let indexes: Vec<usize> = text.split(',').map(number).collect::<Option<_>>()?;
    let distinct = indexes.iter().enumerate().all(|(at, index)| !indexes[..at].contains(index));
    distinct.then_some(indexes)
}

/// Digits only: `+1` and ` 1` were not written by Slurm.
fn number(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What the names of a task say of the devices found for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
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
pub(crate) fn compare(cuda: &Visible, map: &DeviceMap, rows: &[usize]) -> Said {
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
