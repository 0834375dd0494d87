//! The record of one step.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::text::{is_gpu_uuid, is_mig_uuid, number};

const MAGIC: &str = "gresgen-step 1";

/// A step with devices on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Job id, of a task of an array or a part of a heterogeneous job its own.
    pub job: u32,
    /// Slurm's number of the step; batch scripts and interactive steps have one above 0xfffffff0 (slurm.h).
    pub step: u32,
    /// Who runs it.
    pub uid: u32,
    /// What Slurm gave it.
    pub devices: Vec<Device>,
}

/// A device as exporters know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Slurm's index.
    pub index: u32,
    /// As [`crate::DeviceMap::place`] says it.
    pub place: Option<String>,
    /// As the device map has it.
    pub uuid: String,
}

impl Step {
    /// A name for its record that no other has, not even one of an earlier run of the same step: `job.step.nanoseconds`.
    pub(super) fn new_name(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        format!("{}.{}.{now}", self.job, self.step)
    }

    /// Whether that is a name of its record: one that is named by job and step alone is an earlier release's.
    pub(super) fn is_name(&self, name: &str) -> bool {
        let own = format!("{}.{}", self.job, self.step);
        let rest = name.strip_prefix(&own);
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(is_digits))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC}\njob {} {} {}", self.job, self.step, self.uid)?;
        for Device { index, place, uuid } in &self.devices {
            writeln!(f, "{index} {} {uuid}", place.as_deref().unwrap_or("-"))?;
        }
        writeln!(f, "end")
    }
}

impl FromStr for Step {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut lines = text.strip_suffix("end\n").ok_or(())?.lines();
        (lines.next() == Some(MAGIC)).then_some(()).ok_or(())?;
        let head = lines.next().and_then(|line| line.strip_prefix("job ")).ok_or(())?;
        let numbers: Option<Vec<u32>> = head.split(' ').map(number).collect();
        let Some([job, step, uid]) = numbers.as_deref() else { return Err(()) };
        let devices: Option<Vec<Device>> = lines.map(device).collect();
        Ok(Step { job: *job, step: *step, uid: *uid, devices: devices.ok_or(())? })
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn device(line: &str) -> Option<Device> {
    let words: Vec<&str> = line.split(' ').collect();
    let [index, place, uuid] = words[..] else { return None };
    let place = (place != "-").then(|| place.to_owned());
    let sound = place.as_deref().is_none_or(is_place) && (is_mig_uuid(uuid) || is_gpu_uuid(uuid));
    sound.then_some(Device { index: number(index)?, place, uuid: uuid.to_owned() })
}

/// Whether a text is `<GPU>` or `<GPU>.<GPU instance>`.
pub(super) fn is_place(text: &str) -> bool {
    let (gpu, instance) = text.split_once('.').unwrap_or((text, "0"));
    number(gpu).is_some() && number(instance).is_some()
}
