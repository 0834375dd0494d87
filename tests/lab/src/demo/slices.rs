//! The slices of the node, and whether a task opened those that it was given and no other.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stdout};
use std::path::PathBuf;

use super::{DemoError, say};
use crate::{Lab, LabError, Probe};

/// MIG devices by the node that belongs to each alone: its compute instance's capability. Read from the
/// device map as text, so that judge and judged share no code.
pub(super) struct Slices(BTreeMap<PathBuf, Slice>);

struct Slice {
    kind: String,
    uuid: String,
    /// Minor number of the GPU it is of.
    gpu: String,
    /// Id of its GPU instance, which `nvidia-smi` lists as `GI ID`.
    instance: String,
}

/// What stands above the lines of [`Slices::report`].
pub(super) const HEADING: &str = "    JOB  TYPE     WAS GIVEN       GPU  GI   OPENED         DENIED";

impl Slices {
    pub(super) fn read(lab: &Lab) -> Result<Self, LabError> {
        let map = lab.read_file("/run/gresgen/devices")?;
        Ok(Slices(map.lines().filter_map(row).collect()))
    }

    /// Prints a line for each slice that a task got, and compares what it could open with what it was given.
    pub(super) fn report(&self, probes: &[Probe], tasks: usize) -> Result<(), DemoError> {
        if probes.len() != tasks {
            return Err(DemoError::Wrong(format!("{} of {tasks} tasks reported", probes.len())));
        }
        probes.iter().try_for_each(|probe| self.judge(probe))
    }

    fn judge(&self, probe: &Probe) -> Result<(), DemoError> {
        let opened: Vec<_> = self.0.iter().filter(|(path, _)| probe.open.contains(*path)).collect();
        let denied = self.0.keys().filter(|path| probe.denied.contains(*path)).count();
        let mut open: Vec<&str> = opened.iter().map(|(_, slice)| slice.uuid.as_str()).collect();
        let mut given = probe.cuda_list();
        open.sort_unstable();
        given.sort_unstable();
        let job = &probe.job;
        if open.is_empty() || open != given {
            return Err(DemoError::Wrong(format!("job {job}: opened {open:?}, was given {given:?}")));
        }
        if opened.len() + denied != self.0.len() || denied == 0 {
            let all = self.0.len();
            return Err(DemoError::Wrong(format!("job {job}: of {all} slices {denied} were denied")));
        }
        for (path, slice) in opened {
            let Slice { kind, uuid, gpu, instance } = slice;
            // Of a string a width is kept, of what is displayed it is not.
            let device = path.file_name().unwrap_or_default().to_string_lossy();
            let short = uuid.get(..12).unwrap_or(uuid);
            say(format_args!(
                "  {} {job:<4} {kind:<8} {short}…   {gpu:<4} {instance:<4} {device:<14} {denied} others",
                mark(),
            ))?;
        }
        Ok(())
    }
}

fn row(line: &str) -> Option<(PathBuf, Slice)> {
    let cells: Vec<&str> = line.split(' ').collect();
    let [_, kind, uuid, _, instance, _, files] = cells[..] else { return None };
    // On request, some are no devices.
    if !uuid.starts_with("MIG-") {
        return None;
    }
    let (path, _) = files.rsplit(',').next()?.split_once('=')?;
    let (gpu, _) = files.strip_prefix("/dev/nvidia")?.split_once('=')?;
    let [kind, uuid, gpu, instance] = [kind, uuid, gpu, instance].map(str::to_owned);
    Some((PathBuf::from(path), Slice { kind, uuid, gpu, instance }))
}

/// What stands before a line that was judged, in green where that can be seen (no-color.org).
fn mark() -> &'static str {
    let wanted = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if stdout().is_terminal() && wanted("NO_COLOR") && !dumb { "\x1b[32m✓\x1b[0m" } else { "✓" }
}
