//! Which of Slurm's device indexes a job has on this node, for Prolog and Epilog.
//!
//! Slurm gives both `SLURM_JOB_GPUS`, which it writes once per GRES record of the job, each over the one before: of a job
//! with devices of several types it names the last type alone (`gres_g_epilog_set_env` of 22.05, `gres_g_prep_set_env`
//! from 23.02, src/interfaces/gres.c; seen on 22.05.8 and 25.05.9). It is believed where the node has one type of
//! device. Elsewhere slurmctld is asked, and the answer kept: once a job ends slurmctld has no list any more.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use device_map::{DeviceMap, MAX_RECORDS};

use super::control::{Control, Devices};
use super::error::SlurmError;
use crate::root::Root;
use crate::{atomic, read};

/// What a script that slurmd runs for a job finds in its environment (slurm.conf(5), "PROLOG AND EPILOG SCRIPTS").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// `SLURM_JOB_ID`.
    pub job: Option<u32>,
    /// `SLURM_JOB_GPUS`; empty where it is not set.
    pub gpus: String,
    /// `SLURM_SCRIPT_CONTEXT`, such as `prolog_slurmd`; empty outside of such a script.
    pub context: String,
}

/// Longest list that is kept, in bytes: that of a job with every device a node can have.
const MAX_KEPT: u64 = 8 << 10;
/// Most jobs that are kept: no node runs as many with devices. One whose Epilog never came goes when it is the oldest.
const MOST_KEPT: usize = MAX_RECORDS;

impl Script {
    /// From this process's environment.
    pub(crate) fn here() -> Self {
        let text = |name| std::env::var(name).unwrap_or_default();
        Script {
            job: text("SLURM_JOB_ID").parse().ok(),
            gpus: text("SLURM_JOB_GPUS"),
            context: text("SLURM_SCRIPT_CONTEXT"),
        }
    }

    /// Whether slurmd runs it for this job, so that what it says is Slurm's word.
    fn is_for(&self, job: u32) -> bool {
        self.job == Some(job) && (self.context == "prolog_slurmd" || self.context == "epilog_slurmd")
    }
}

/// The devices of a job, by the map that slurmd loaded. slurmctld is asked by `ask` where nothing nearer says it.
pub(crate) fn of(
    job: u32,
    script: &Script,
    map: &DeviceMap,
    root: &Root,
    ask: impl FnOnce() -> Result<Option<Devices>, SlurmError>,
) -> Result<BTreeSet<usize>, SlurmError> {
    if script.is_for(job) {
        if script.gpus.is_empty() {
            return Ok(BTreeSet::new());
        }
        let one_type = map.records.windows(2).all(|pair| pair[0].gres_type == pair[1].gres_type);
        if one_type {
            return list(&script.gpus).ok_or_else(|| SlurmError::NoList(script.gpus.clone()));
        }
    }
    let path = kept(root, job);
    let context = if script.is_for(job) { script.context.as_str() } else { "" };
    if context == "prolog_slurmd" {
        // Of an earlier run of a job that was requeued, whose Epilog did not take it away.
        forget(root, job);
    } else if context == "epilog_slurmd"
        && let Some(known) = read::text(&path, MAX_KEPT).ok().and_then(|text| list(text.trim_end()))
    {
        return Ok(known);
    }
    match ask().map_err(|error| SlurmError::Job { job, error: Arc::new(error) })? {
        None => Err(SlurmError::JobGone(job)),
        Some(Devices::Unlisted) => Err(SlurmError::JobUnlisted(job)),
        Some(Devices::Listed(devices)) => {
            if context == "prolog_slurmd" {
                // For the Epilog, which has no other source; a job must not fail for want of it.
                let _ = keep(&path, &devices);
            }
            Ok(devices)
        }
    }
}

/// What slurmctld says of one job on a node; `None` where it has none there.
pub(crate) fn ask(control: Control, node: &str, job: u32) -> Result<Option<Devices>, SlurmError> {
    let listed = control.jobs(node)?;
    let Some(listing) = listed.iter().find(|listing| listing.id == job && listing.may_hold()) else {
        return Ok(None);
    };
    let (_, records) = control.allocations(node, &[listing])?;
    let devices = records.into_iter().next().and_then(|(devices, _)| devices);
    Ok(Some(devices.unwrap_or(Devices::Unlisted)))
}

pub(crate) fn forget(root: &Root, job: u32) {
    let _ = std::fs::remove_file(kept(root, job));
}

fn kept(root: &Root, job: u32) -> PathBuf {
    root.path(Root::JOBS).join(job.to_string())
}

fn keep(path: &Path, devices: &BTreeSet<usize>) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    let mut known: Vec<_> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    known.sort();
    for (_, path) in known.iter().rev().skip(MOST_KEPT - 1) {
        std::fs::remove_file(path)?;
    }
    let list: Vec<String> = devices.iter().map(usize::to_string).collect();
    atomic::replace(path, format!("{}\n", list.join(",")).as_bytes(), 0o644)
}

/// Reads `0,2,13`; `None` for anything else, and for an index that no node has.
fn list(text: &str) -> Option<BTreeSet<usize>> {
    let index = |word: &str| {
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| word.parse().ok())?.filter(|index| *index < MAX_RECORDS)
    };
    if text.is_empty() {
        return Some(BTreeSet::new());
    }
    text.split(',').map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "gresgen-devices 1\ncolumns index type uuid parent gi ci files\n";

    fn map(types: [&str; 2]) -> DeviceMap {
        let row = |(index, name): (usize, &str)| {
            format!("{index} {name} MIG-{index} GPU-a {index} 0 /dev/c{index}=9:{index}\n")
        };
        let rows: String = types.into_iter().enumerate().map(row).collect();
        format!("{HEAD}{rows}end 2\n").parse().unwrap()
    }

    fn prolog(gpus: &str) -> Script {
        Script { job: Some(5), gpus: gpus.into(), context: "prolog_slurmd".into() }
    }

    fn silent() -> Result<Option<Devices>, SlurmError> {
        Err(SlurmError::Unreachable("down".into()))
    }

    fn listed(indexes: &[usize]) -> Result<Option<Devices>, SlurmError> {
        Ok(Some(Devices::Listed(indexes.iter().copied().collect())))
    }

    #[test]
    fn a_prolog_is_believed_where_it_cannot_leave_a_type_out() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::new(place.path()).unwrap();
        let (one, two) = (map(["1g.5gb", "1g.5gb"]), map(["1g.5gb", "3g.20gb"]));
        assert_eq!(of(5, &prolog("0,1"), &one, &root, silent).unwrap(), BTreeSet::from([0, 1]));
        assert_eq!(of(5, &prolog(""), &two, &root, silent).unwrap(), BTreeSet::new(), "no device at all");
        assert!(matches!(of(5, &prolog("1"), &two, &root, silent), Err(SlurmError::Job { job: 5, .. })));
        assert!(matches!(of(5, &prolog("0-1"), &one, &root, silent), Err(SlurmError::NoList(_))));
        // The environment of anything else is somebody's, or of another job.
        for script in
            [Script { context: String::new(), ..prolog("0") }, Script { job: Some(4), ..prolog("0") }]
        {
            assert_eq!(of(5, &script, &one, &root, || listed(&[1])).unwrap(), BTreeSet::from([1]));
        }
    }

    #[test]
    fn what_slurmctld_said_to_the_prolog_is_there_for_the_epilog() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::new(place.path()).unwrap();
        let two = map(["1g.5gb", "3g.20gb"]);
        assert_eq!(of(5, &prolog("1"), &two, &root, || listed(&[0, 1])).unwrap(), BTreeSet::from([0, 1]));
        let epilog = Script { context: "epilog_slurmd".into(), ..prolog("1") };
        assert_eq!(of(5, &epilog, &two, &root, silent).unwrap(), BTreeSet::from([0, 1]));
        // The same job again, on other devices.
        assert_eq!(of(5, &prolog("1"), &two, &root, || listed(&[1])).unwrap(), BTreeSet::from([1]));
        assert!(of(5, &prolog("1"), &two, &root, silent).is_err(), "not what it had before");
        assert!(matches!(of(5, &epilog, &two, &root, || Ok(None)), Err(SlurmError::JobGone(5))));
        let unlisted = of(5, &epilog, &two, &root, || Ok(Some(Devices::Unlisted)));
        assert!(matches!(unlisted, Err(SlurmError::JobUnlisted(5))));
    }

    #[test]
    fn jobs_whose_epilog_never_came_do_not_pile_up() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::new(place.path()).unwrap();
        for job in 0..MOST_KEPT as u32 + 3 {
            let path = kept(&root, job);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "0\n").unwrap();
        }
        keep(&kept(&root, 5000), &BTreeSet::from([0])).unwrap();
        assert_eq!(std::fs::read_dir(root.path(Root::JOBS)).unwrap().count(), MOST_KEPT);
    }
}
