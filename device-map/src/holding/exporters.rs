//! Files that exporters of GPU metrics read to label a device with its job.
//!
//! * NVIDIA's dcgm-exporter, `--hpc-job-mapping-dir`: a file per device in use, named `<GPU>` or, from 4.5.3-4.8.2,
//!   `<GPU>.<GPU instance>`, with a job id per line (internal/pkg/transformation/hpc.go, `validGPUFile`, `readFile`). The
//!   GPU is DCGM's number (`metric.GPU`), the position in which DCGM found it through NVML
//!   (dcgmlib/src/DcgmCacheManager.cpp, `AttachGpus`); the instance is NVML's (`NvmlInstanceId`). A file that vanishes
//!   while it reads costs it the job labels of that scrape, no more (internal/pkg/server/server.go).
//! * The GPU exporter of Princeton's jobstats: `/run/gpustat/<UUID>`, or where there is none `/run/gpustat/<ordinal>`
//!   and, from 2025-09, `<ordinal>.<GPU instance>`, with `<job id> <user id>`; the ordinal is NVML's index
//!   (plazonic/nvidia_gpu_prometheus_exporter, main.go). It takes one job per device.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::directory::Directory;
use super::error::{HoldingError, failed};
use super::record::{Device, Step, is_place};
use crate::text::{is_gpu_uuid, is_mig_uuid};

/// Where exporters look; nothing is written for one without a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exporters {
    /// dcgm-exporter's `--hpc-job-mapping-dir`.
    pub dcgm: Option<PathBuf>,
    /// `/run/gpustat`.
    pub gpustat: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Dcgm,
    Gpustat,
}

impl Format {
    /// Names of the files of a device.
    fn names(self, device: &Device) -> impl Iterator<Item = &str> {
        let uuid = match self {
            Format::Dcgm => None,
            Format::Gpustat => Some(device.uuid.as_str()),
        };
        uuid.into_iter().chain(device.place.as_deref())
    }

    /// What a file says of the steps that have its device, of which there is one at least.
    fn text(self, steps: &[&Step]) -> String {
        match self {
            Format::Dcgm => {
                let mut jobs: Vec<u32> = steps.iter().map(|step| step.job).collect();
                jobs.dedup();
                jobs.iter().map(|job| format!("{job}\n")).collect()
            }
            Format::Gpustat => format!("{} {}\n", steps[0].job, steps[0].uid),
        }
    }
}

/// Whether a file can be one that is written here.
fn is_name(name: &str) -> bool {
    is_place(name) || is_mig_uuid(name) || is_gpu_uuid(name)
}

impl Exporters {
    /// Whether there is one.
    pub fn any(&self) -> bool {
        self.dcgm.is_some() || self.gpustat.is_some()
    }

    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.each().map(|(_, path)| path)
    }

    fn each(&self) -> impl Iterator<Item = (Format, &Path)> {
        let dcgm = self.dcgm.as_deref().map(|path| (Format::Dcgm, path));
        dcgm.into_iter().chain(self.gpustat.as_deref().map(|path| (Format::Gpustat, path)))
    }

    /// Opens the directories. One that cannot be is said so by who is to be told in it.
    pub(super) fn open(&self) -> Opened {
        let open = |(format, path): (Format, &Path)| (format, path.to_owned(), Directory::open(path));
        Opened(self.each().map(open).collect())
    }

    /// Those who are told here and not by `now`.
    pub(super) fn without(self, now: &Self) -> Self {
        Exporters {
            dcgm: self.dcgm.filter(|path| Some(path) != now.dcgm.as_ref()),
            gpustat: self.gpustat.filter(|path| Some(path) != now.gpustat.as_ref()),
        }
    }

    /// Reads what [`fmt::Display`] writes; what is not understood is left out.
    pub(super) fn parse(text: &str) -> Self {
        let path = |key: &str| {
            let values = text.lines().filter_map(|line| line.split_once(' '));
            let value = values.filter(|(name, _)| *name == key).map(|(_, path)| PathBuf::from(path)).next();
            value.filter(|path| path.is_absolute())
        };
        Exporters { dcgm: path("dcgm"), gpustat: path("gpustat") }
    }
}

impl fmt::Display for Exporters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.each().try_for_each(|(format, path)| {
            let key = match format {
                Format::Dcgm => "dcgm",
                Format::Gpustat => "gpustat",
            };
            writeln!(f, "{key} {}", path.display())
        })
    }
}

/// The directories of those who are told.
#[derive(Debug)]
pub(super) struct Opened(Vec<(Format, PathBuf, Result<Directory, Errno>)>);

impl Opened {
    /// Tells of a step whose devices nobody else has; `false` where a file of one is there already and says something
    /// else, which may be a job's that shares the device, or one that ended badly.
    pub(super) fn announce(&self, step: &Step) -> Result<bool, HoldingError> {
        let mut alone = true;
        self.each(|format, directory| {
            let text = format.text(&[step]);
            // One file under all its names: a link is one call, and nobody writes into a file that is there.
            let mut first: Option<&str> = None;
            for name in step.devices.iter().flat_map(|device| format.names(device)) {
                let made = match first {
                    Some(first) => directory.link(first, name, &text),
                    None => directory.create(name, &text),
                };
                match made {
                    Err(Errno::EXIST) => alone &= directory.text(name).is_ok_and(|said| said == text),
                    made => {
                        made?;
                        first = first.or(Some(name));
                    }
                }
            }
            Ok(())
        })?;
        Ok(alone)
    }

    /// Tells what holds for the files of some devices.
    pub(super) fn tell_of(&self, living: &[Step], changed: &[&Device]) -> Result<(), HoldingError> {
        self.each(|format, directory| {
            let mut names = changed.iter().flat_map(|device| format.names(device));
            names.try_for_each(|name| tell(directory, format, name, living))
        })
    }

    /// Tells what holds for every device, and removes files that are of none.
    pub(super) fn tell_all(&self, living: &[Step]) -> Result<(), HoldingError> {
        self.each(|format, directory| {
            let mut names = directory.names()?;
            names.retain(|name| is_name(name));
            let devices = living.iter().flat_map(|step| &step.devices);
            names.extend(devices.flat_map(|device| format.names(device)).map(str::to_owned));
            names.iter().try_for_each(|name| tell(directory, format, name, living))
        })
    }

    fn each(
        &self,
        mut work: impl FnMut(Format, &Directory) -> Result<(), Errno>,
    ) -> Result<(), HoldingError> {
        self.0.iter().try_for_each(|(format, path, directory)| {
            let done =
                directory.as_ref().map_err(|error| *error).and_then(|directory| work(*format, directory));
            done.map_err(|error| failed(path, error))
        })
    }
}

/// Makes one file say what holds.
fn tell(directory: &Directory, format: Format, name: &str, living: &[Step]) -> Result<(), Errno> {
    let has = |step: &&Step| step.devices.iter().any(|device| format.names(device).any(|n| n == name));
    let holders: Vec<&Step> = living.iter().filter(has).collect();
    if holders.is_empty() {
        return directory.remove(name);
    }
    let text = format.text(&holders);
    if directory.text(name).is_ok_and(|said| said == text) {
        return Ok(());
    }
    directory.replace(name, &text)
}
