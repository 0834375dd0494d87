//! `gresgen env`: variables for the devices this process can open.
//!
//! A user who comes to a node by ssh is put into the job's cgroup (pam_slurm_adopt) but gets no GPU
//! variables: the extern step has none. What the process can open is what the job was given.

use std::path::{Path, PathBuf};

use device_map::{DeviceMap, Record};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use schemars::JsonSchema;
use serde::Serialize;

use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, out};
use crate::root::Root;

#[derive(Serialize, JsonSchema)]
pub(super) struct Variables {
    #[serde(rename = "CUDA_VISIBLE_DEVICES")]
    cuda: String,
    #[serde(rename = "NVIDIA_VISIBLE_DEVICES")]
    nvidia: String,
}

pub(super) fn run(session: &Session, global: &Global) -> Outcome {
    let map = map(&session.root)?;
    let open: Vec<&str> = map.records.iter().filter(|r| accessible(r)).map(|r| r.uuid.as_str()).collect();
    let list = open.join(",");
    if global.json {
        out::json(&Variables { cuda: list.clone(), nvidia: list })?;
    } else {
        // UUIDs have no character a shell would read.
        out::text(&format!("export CUDA_VISIBLE_DEVICES={list}\nexport NVIDIA_VISIBLE_DEVICES={list}\n"))?;
    }
    Ok(Exit::Ok)
}

/// The map slurmd loaded, which is what running jobs were given devices by, or else the present one.
fn map(root: &Root) -> Result<DeviceMap, Failure> {
    let loaded: PathBuf = root.path(Root::LOADED_MAP);
    let path = if loaded.exists() { loaded } else { root.path(Root::DEVICE_MAP) };
    device_map::load(&path)
        .map_err(|error| Failure::new(Exit::Failure, error).hint("gresgen apply or gresgen render writes it"))
}

/// Whether the device cgroup lets this process open the record's own node; asked without opening it.
fn accessible(record: &Record) -> bool {
    let path: Option<&Path> = record.own_file().map(|f| f.path.as_path());
    path.is_some_and(|path| accessat(CWD, path, Access::READ_OK, AtFlags::empty()).is_ok())
}
