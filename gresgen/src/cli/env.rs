//! `gresgen env`: variables for the devices this process can open, or for those of a job.
//!
//! A user who comes to a node by ssh is put into the job's cgroup (pam_slurm_adopt) but gets no GPU
//! variables: the extern step has none. What the process can open is what the job was given. Prolog and Epilog run
//! outside of the job, where everything opens, and ask for it by its number.

use std::path::{Path, PathBuf};

use device_map::holding::Holding;
use device_map::{DeviceMap, Record};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use schemars::JsonSchema;
use serde::Serialize;

use super::out;
use super::progress::warning;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use crate::root::Root;
use crate::slurm::control::hurry;
use crate::slurm::here;
use crate::slurm::job_devices::{self, Script};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The devices of this job on this node, for Prolog and Epilog
    #[arg(long, value_name = "ID")]
    job: Option<u32>,
    /// A line per device instead: index, type, UUID, GPU, GPU instance, compute instance, UUID of the GPU, device node
    #[arg(long)]
    devices: bool,
    /// The job has ended: remove what killed steps left for exporters, and what a Prolog kept of it
    #[arg(long, requires = "job")]
    ended: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Variables {
    #[serde(rename = "CUDA_VISIBLE_DEVICES")]
    cuda: String,
    #[serde(rename = "NVIDIA_VISIBLE_DEVICES")]
    nvidia: String,
}

/// One device under each of its names.
#[derive(Serialize, JsonSchema)]
pub(super) struct Device<'a> {
    /// Slurm's index.
    index: usize,
    #[serde(rename = "type")]
    gres_type: &'a str,
    uuid: &'a str,
    /// NVML's index of the GPU; none where the map is of an earlier version.
    gpu: Option<u32>,
    gpu_instance: Option<u32>,
    compute_instance: Option<u32>,
    gpu_uuid: &'a str,
    /// The GPU's device node.
    device: Option<&'a Path>,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    // A Prolog that hangs keeps the job from starting, and one that Slurm has to end drains the node.
    hurry();
    let map = map(&session.root)?;
    let shown = match args.job {
        Some(job) => of_job(session, job, &map),
        None => Ok(map
            .records
            .iter()
            .enumerate()
            .filter(|(_, record)| record.no_device().is_none() && accessible(record))
            .map(|(i, _)| i)
            .collect()),
    };
    if args.ended {
        // Whatever is known of its devices.
        sweep(&session.root, args.job);
    }
    let shown: Vec<Device<'_>> = shown?.into_iter().filter_map(|index| device(&map, index)).collect();
    let list = shown.iter().map(|device| device.uuid).collect::<Vec<_>>().join(",");
    match (args.devices, session.global.json) {
        (true, true) => out::json(&shown)?,
        (true, false) => out::text(&shown.iter().map(line).collect::<String>())?,
        (false, true) => out::json(&Variables { cuda: list.clone(), nvidia: list })?,
        // UUIDs have no character a shell would read.
        (false, false) => {
            out::text(&format!("export CUDA_VISIBLE_DEVICES={list}\nexport NVIDIA_VISIBLE_DEVICES={list}\n"))?
        }
    }
    Ok(Exit::Ok)
}

fn of_job(session: &Session, job: u32, map: &DeviceMap) -> Result<Vec<usize>, Failure> {
    let settings = session.settings_if_sound();
    let ask = || {
        let node = session.node_name_if_known(&settings);
        job_devices::ask(here::reach(&session.root)?, &node, job)
    };
    let devices = job_devices::of(job, &Script::here(), map, &session.root, ask);
    match devices {
        Ok(devices) => match devices.last() {
            // No variable at all, or one that lacks a device, would look like a job without it.
            Some(&index) if index >= map.records.len() => {
                let count = map.records.len();
                let what = format!("job {job}: has index {index}, and the device map ends before it with {count} records");
                Err(Failure::failed(what).hint(
                    "slurmd counts other devices than the map has; gresgen check says where they differ",
                ))
            }
            _ => Ok(devices.into_iter().collect()),
        },
        Err(error) => Err(Failure::failed(error)
            .hint("where the node has devices of several types, the Prolog has to ask as well, while slurmctld answers")),
    }
}

fn sweep(root: &Root, job: Option<u32>) {
    let swept = Holding::as_started(&root.path(Root::DEVICE_MAP)).and_then(|holding| holding.sweep());
    if let Err(error) = swept {
        warning(format_args!("{error}; exporters may take an ended job for one that runs"));
    }
    if let Some(job) = job {
        job_devices::forget(root, job);
    }
}

fn device(map: &DeviceMap, index: usize) -> Option<Device<'_>> {
    let record = map.records.get(index).filter(|record| record.no_device().is_none())?;
    let gpu = map.gpus.iter().find(|(_, uuid)| *uuid == record.parent).map(|(gpu, _)| *gpu);
    Some(Device {
        index,
        gres_type: &record.gres_type,
        uuid: &record.uuid,
        gpu,
        gpu_instance: record.instance.map(|(gi, _)| gi),
        compute_instance: record.instance.map(|(_, ci)| ci),
        gpu_uuid: &record.parent,
        device: record.files.first().map(|file| file.path.as_path()),
    })
}

/// Words apart by blanks, `-` for what there is none of: for `while read` of a shell.
fn line(device: &Device<'_>) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let path = device.device.map_or_else(|| "-".into(), |path| path.display().to_string());
    let Device { index, gres_type, uuid, gpu, gpu_instance, compute_instance, gpu_uuid, .. } = device;
    let (gpu, gi, ci) = (number(*gpu), number(*gpu_instance), number(*compute_instance));
    format!("{index} {gres_type} {uuid} {gpu} {gi} {ci} {gpu_uuid} {path}\n")
}

/// The map slurmd loaded, which is what running jobs were given devices by, or else the present one.
fn map(root: &Root) -> Result<DeviceMap, Failure> {
    let loaded: PathBuf = root.path(Root::LOADED_MAP);
    let path = if loaded.exists() { loaded } else { root.path(Root::DEVICE_MAP) };
    device_map::load(&path)
        .map_err(|error| Failure::failed(error).hint("gresgen apply or gresgen render writes it"))
}

/// Whether the device cgroup lets this process open the record's own node; asked without opening it.
fn accessible(record: &Record) -> bool {
    let path: Option<&Path> = record.own_file().map(|f| f.path.as_path());
    path.is_some_and(|path| accessat(CWD, path, Access::READ_OK, AtFlags::empty()).is_ok())
}
