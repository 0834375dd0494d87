//! What exporters of GPU metrics are told.

use device_map::DeviceMap;
use device_map::holding::{self, Device, Holding};
use spank::Spank;

use crate::args::Args;
use crate::names::named_rows;
use crate::step::Step;

/// The record of a step that begins.
///
/// # Errors
/// A phrase, where the map and what Slurm says do not tell which devices it has.
pub fn step_record(spank: &Spank<'_>, step: &Step, map: &DeviceMap) -> Result<holding::Step, String> {
    let said = |error: spank::Error| format!("the step's job: {error}");
    let (job, uid) = (spank.job().map_err(said)?, spank.user().map_err(said)?);
    let rows =
        rows(step, map).ok_or_else(|| format!("job {job}: what Slurm gave it is not in the device map"))?;
    let device = |row: usize| {
        let record = &map.records[row];
        Device { index: row as u32, place: map.place(record), uuid: record.uuid.clone() }
    };
    Ok(holding::Step {
        job,
        step: step.kind().number(),
        uid,
        devices: rows.into_iter().filter(|row| map.records[*row].no_device().is_none()).map(device).collect(),
    })
}

/// Rows of the map that a step has, as far as is known before its cgroup is: those Slurm names, where it names devices, for
/// it sorts what it detects and its indexes then mean other rows. `None` where neither tells.
fn rows(step: &Step, map: &DeviceMap) -> Option<Vec<usize>> {
    let (devices, cuda) = step.given();
    match named_rows(map, cuda, devices.len()) {
        None if step.is_named() => None,
        None => devices.iter().all(|index| *index < map.records.len()).then(|| devices.to_vec()),
        rows => rows,
    }
}

/// In slurmd: makes what exporters read say what holds now. Returns a phrase for each that could not be.
pub fn prepare(args: &Args, map: Option<&DeviceMap>) -> Vec<String> {
    let holding = Holding::beside(&args.map, args.exporters.clone());
    let asked = args.exporters.any() || args.ceems.is_some();
    let indexes = map.is_none_or(|map| map.records.iter().all(|record| map.place(record).is_some()));
    let without = format!(
        "{}: does not say NVML's index of each GPU, by which exporters name them; run gresgen apply, then restart slurmd",
        args.map.display()
    );
    let begun = if holding.any() { holding.begin() } else { Ok(()) };
    let order = args.ceems.as_deref().zip(map);
    let ceems = order.map_or(Ok(()), |(path, map)| holding::replace(path, &gpu_order_map(map)));
    let failures = [begun, ceems].into_iter().filter_map(|done| done.err().map(|error| error.to_string()));
    (asked && !indexes).then_some(without).into_iter().chain(failures).collect()
}

/// The value of CEEMS' `--collector.slurm.gpu-order-map`, as a line for `EnvironmentFile=` of systemd: `0:0.7,1:0.8,2:1`.
/// What it calls a minor is the position in `nvidia-smi -q`, NVML's index (ceems, pkg/collector/gpu.go,
/// `parseNvidiaSmiOutput`, `ReindexGPUs`).
fn gpu_order_map(map: &DeviceMap) -> String {
    let devices = map.records.iter().enumerate().filter(|(_, record)| record.no_device().is_none());
    let entry = |(index, record)| Some(format!("{index}:{}", map.place(record)?));
    let entries: Vec<String> = devices.filter_map(entry).collect();
    format!("GPU_ORDER_MAP={}\n", entries.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_map_is_as_ceems_reads_it() {
        let text = "gresgen-devices 1\ngpu 1 GPU-a\ngpu 0 GPU-b\ncolumns index type uuid parent gi ci files\n\
                    0 1g.5gb MIG-a GPU-a 7 0 /dev/null=1:3\n1 a100 GPU-b GPU-b - - /dev/zero=1:5\nend 2\n";
        assert_eq!(gpu_order_map(&text.parse().unwrap()), "GPU_ORDER_MAP=0:1.7,1:0\n");
    }
}
