//! What exporters of GPU metrics are told: in every launch mode the devices that the job's tasks can open, each under the
//! name its reader looks for; nothing of a job that has ended, however it did; and no job is the worse for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lab::{JobId, Lab, Probe, Release, User};

use crate::cases::{Case, Judge, Launch};
use crate::fixture::{Layout, assert_healthy, on_each_release, options};
use crate::table::slurm_list;

/// Arguments of the plugin; `lab-probe` prints what stands there.
pub(crate) const EXPORTERS: &str = "dcgm=/run/gresgen/dcgm gpustat=/run/gresgen/gpustat";

/// How long an ended job may still be told of.
const GONE: Duration = Duration::from_secs(1);

/// Of each device, what dcgm-exporter and jobstats' exporter look for (the sources stand in device_map::holding), worked
/// out here from the layout and not from the map's own reading.
fn names(layout: &Layout, index: usize) -> (String, String) {
    let gpu = &layout.gpus.gpus[index];
    let (nvml, _) = layout.gpus.indexes().into_iter().find(|(_, uuid)| *uuid == gpu.parent).unwrap();
    let instance = gpu.instance.map(|(gi, _)| format!(".{gi}")).unwrap_or_default();
    (format!("{nvml}{instance}"), gpu.uuid.clone())
}

/// The devices that a job's tasks have on a node, by each exporter's files.
fn told_of(probe: &Probe, layout: &Layout, is_job: impl Fn(&str) -> bool) -> Result<BTreeSet<usize>, String> {
    let mut found = BTreeSet::new();
    let mut wanted = (BTreeMap::new(), BTreeMap::new());
    for index in 0..layout.types.len() {
        let (place, uuid) = names(layout, index);
        let Some([job]) = probe.dcgm.get(&place).map(Vec::as_slice) else { continue };
        wanted.0.insert(place.clone(), vec![job.clone()]);
        let owner = probe.gpustat.get(&uuid).cloned().ok_or(format!("{uuid}: not in gpustat"))?;
        if owner.len() != 2 || owner[0] != *job {
            return Err(format!("{uuid}: dcgm has {job}, gpustat {owner:?}"));
        }
        wanted.1.extend([(place, owner.clone()), (uuid, owner)]);
        if is_job(job) {
            found.insert(index);
        }
    }
    // No file beside those of devices.
    if (&probe.dcgm, &probe.gpustat) == (&wanted.0, &wanted.1) {
        Ok(found)
    } else {
        Err(format!("other files: {:?} {:?}", probe.dcgm, probe.gpustat))
    }
}

/// Judges what each task of the case found told of its job.
pub(crate) fn check(
    case: &Case,
    constrain: bool,
    layouts: &[&Layout],
    holder: JobId,
    said: &str,
) -> Result<(), String> {
    let probes = Probe::parse_all(said);
    let has =
        |probe: &Probe, layout: &Layout| if constrain { layout.opened(probe) } else { slurm_list(probe) };
    for probe in &probes {
        let layout = layouts.iter().find(|layout| layout.name == probe.node).ok_or("a task on no node")?;
        // Tasks of every part of a heterogeneous job have the id of its first in their environment.
        let holder = holder.to_string();
        let part = |job: &str| job != holder && probes.iter().any(|probe| job >= probe.job.as_str());
        let alone = !case.arguments.contains("--array");
        // Elements of an array begin and end while another reads one file after the other. The file of one that begins is empty for a
        // moment: readers see it so or whole (`Directory::create`).
        let is_other = |owner: &[String]| {
            !alone
                && owner.first().is_none_or(|job| *job != probe.job && probes.iter().any(|p| p.job == *job))
        };
        let mut seen = probe.clone();
        seen.dcgm.retain(|_, owner| !is_other(owner));
        seen.gpustat.retain(|_, owner| !is_other(owner));
        let told = told_of(&seen, layout, |job| job == probe.job || (alone && part(job)))?;
        let mates = probes.iter().filter(|other| other.node == probe.node && other.job == probe.job);
        let all: BTreeSet<usize> = mates.flat_map(|mate| has(mate, layout)).collect();
        let right = if all.is_empty() {
            // Of a step without devices the script may have some: then those that Slurm says.
            let script = matches!(case.launch, Launch::Batch(_)) && case.arguments.contains("--gres");
            let job =
                probe.job_gpus.iter().flat_map(|list| list.split(',')).filter_map(|index| index.parse().ok());
            let job: BTreeSet<usize> = if script { job.collect() } else { BTreeSet::new() };
            told == job
        } else if case.judge == Judge::ShareOfStep && !constrain {
            // Some of its tasks are refused, and the others cannot tell what the step has.
            told.is_superset(&all)
        } else if case.arguments.contains("_gpu:") || case.name == "--gpu-bind of a single task" {
            // Tasks are bound to some of the step's devices (from 26.05 a single one, too): it has the others all the same.
            let granted =
                case.arguments.split("--gres=gpu:1g.5gb:").nth(1).and_then(|text| text.chars().next());
            told.is_superset(&all)
                && Some(told.len()) == granted.and_then(|digit| digit.to_digit(10)).map(|n| n as usize)
        } else {
            told == all
        };
        if !right {
            return Err(format!("told of {told:?}, tasks have {all:?}: {probe:?}"));
        }
    }
    Ok(())
}

/// What stands in an exporter's folder of a node.
pub(crate) fn files(lab: &Lab, node: &str, exporter: &str) -> BTreeMap<String, String> {
    let script = "cd \"$1\" && for f in *; do [ ! -f \"$f\" ] || echo \"$f $(cat \"$f\")\"; done";
    let said = lab.run(&["sh", "-c", script, "sh", &lab.run_file(node, exporter)]).unwrap().stdout;
    said.lines().filter_map(|line| line.split_once(' ')).map(|(n, t)| (n.to_owned(), t.to_owned())).collect()
}

/// Only the holder of the first device is left, a second after the case's jobs have ended at most.
pub(crate) fn check_end(lab: &Lab, layouts: &[&Layout], holder: JobId) -> Result<(), String> {
    let mut ended: Option<Instant> = None;
    loop {
        let left: Vec<_> = layouts
            .iter()
            .flat_map(|layout| files(lab, layout.name, "dcgm"))
            .filter(|(_, job)| *job != holder.to_string())
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if ended.is_some_and(|ended| ended.elapsed() > GONE) {
            return Err(format!("still told of {left:?}"));
        }
        // srun and sbatch are back when the job has ended, salloc before.
        let running =
            lab.run(&["squeue", "-h", "-o", "%A", "-t", "R,CG"]).map_err(|error| error.to_string())?;
        if ended.is_none() && running.stdout.lines().all(|job| job == holder.to_string()) {
            ended = Some(Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A job that stays on the first device of `n1`, and its slurmstepd.
fn holder(lab: &Lab) -> JobId {
    let job = lab.sbatch(User::Alice, &["-wn1", "--gres=gpu:1g.5gb:1"], "exec sleep 600").unwrap();
    lab.wait("the job to be told of", || Ok((!files(lab, "n1", "dcgm").is_empty()).then_some(()))).unwrap();
    job
}

/// Kills the slurmstepds of a job as the kernel does when memory is out, and waits until Slurm has cleared up.
fn kill(lab: &Lab, job: JobId) {
    let script = format!(
        "for p in $(grep -slE 'slurmstepd: \\[{job}\\.' /proc/[0-9]*/cmdline); do kill -9 $(echo $p | cut -d/ -f3); done"
    );
    lab.run(&["sh", "-c", &script]).unwrap();
    lab.command(&["scancel", &job.to_string()]).output().unwrap();
    lab.wait("the job to be gone", || {
        let left = lab.command(&["squeue", "-h", "-t", "R,CG", "-j", &job.to_string()]).output()?;
        Ok(left.stdout.trim().is_empty().then_some(()))
    })
    .unwrap();
}

fn start(release: Release, layout: &Layout, arguments: &str) -> Option<Lab> {
    lab::require(Lab::start(release, options(&[layout], arguments)))
}

#[test]
fn a_killed_step_is_told_of_until_the_next_or_a_restart() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = start(release, &n1, &format!("{EXPORTERS} ceems=/run/gresgen/ceems")) else { return };
        let (first, uuid) = names(&n1, 0);
        let job = holder(&lab);
        assert_eq!(
            files(&lab, "n1", "dcgm"),
            BTreeMap::from([(first.clone(), job.to_string())]),
            "{release}"
        );
        let owner = format!("{job} {}", lab.run(&["id", "-u", "alice"]).unwrap().stdout.trim());
        assert_eq!(files(&lab, "n1", "gpustat")[&uuid], owner, "{release}");
        // slurmd restarts beside it: it runs on.
        lab.restart_slurmd("n1").unwrap();
        lab.wait_nodes().unwrap();
        assert_eq!(files(&lab, "n1", "dcgm").len(), 1, "{release}");
        kill(&lab, job);
        lab.run(&["scontrol", "update", "node=n1", "state=resume"]).ok();
        // The next that gets the device.
        let next = lab.srun(&["--gres=gpu:1g.5gb:1", "lab-probe"]).unwrap().probes().remove(0);
        assert_eq!(next.dcgm, BTreeMap::from([(first, vec![next.job.clone()])]), "{release}");
        // srun hears of the end of its task before the plugin does.
        let empty = |exporter: &str| files(&lab, "n1", exporter).is_empty();
        lab.wait("the step to end", || Ok((empty("dcgm") && empty("gpustat")).then_some(()))).unwrap();
        // Or slurmd, when it starts.
        let job = holder(&lab);
        kill(&lab, job);
        lab.restart_slurmd("n1").unwrap();
        lab.wait_nodes().unwrap();
        assert!(files(&lab, "n1", "dcgm").is_empty() && files(&lab, "n1", "gpustat").is_empty(), "{release}");

        let order: Vec<_> =
            (0..n1.types.len()).map(|index| format!("{index}:{}", names(&n1, index).0)).collect();
        let ceems = lab.read_file(&lab.run_file("n1", "ceems")).unwrap();
        assert_eq!(ceems.trim_end(), format!("GPU_ORDER_MAP={}", order.join(",")), "{release}");
    });
}

#[test]
fn a_job_runs_where_nobody_can_be_told() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let Some(lab) = start(release, &n1, EXPORTERS) else { return };
        let dcgm = lab.run_file("n1", "dcgm");
        // Full; gone; in a user's hands; no directory at all; no room for the record itself.
        for (name, break_it, mend) in [
            (
                "steps",
                "mount -t tmpfs -o size=4k,mode=755 lab $1; head -c 4096 /dev/zero >$1/.x || :",
                "umount $1",
            ),
            (
                "dcgm",
                "mount -t tmpfs -o size=4k,nr_inodes=8 lab $1; for i in 1 2 3 4 5 6; do >$1/x$i; done; head -c 4096 /dev/zero >$1/x1 || :",
                "umount $1",
            ),
            ("dcgm", "rmdir $1", "mkdir $1"),
            ("dcgm", "chown alice $1", "chown root $1"),
            ("dcgm", "chmod 777 $1", "chmod 755 $1"),
            ("dcgm", "rmdir $1; mkfifo $1", "rm $1; mkdir $1"),
        ] {
            let place = format!("/run/gresgen/{name}");
            lab.run(&["nsenter", "-t", &daemon(&lab), "-m", "sh", "-c", break_it, "sh", &place]).unwrap();
            let before = lab.slurmd_log("n1");
            let probes = lab.srun(&["-n2", "--gres=gpu:1g.5gb:2", "lab-probe"]).unwrap().probes();
            assert_eq!(probes.len(), 2, "{release} {break_it}");
            assert_eq!(probes[0].cuda_list(), n1.uuids(&[0, 1]), "{release} {break_it}");
            lab.wait("the step to end", || Ok(files(&lab, "n1", "gpustat").is_empty().then_some(())))
                .unwrap();
            let after = lab.slurmd_log("n1");
            let said: Vec<_> =
                after[before.len()..].lines().filter(|line| line.contains("the step runs")).collect();
            assert_eq!(said.len(), 1, "{release} {break_it}: {}", &after[before.len()..]);
            assert!(said[0].contains(&format!("[mig] {place}: ")), "{}", said[0]);
            lab.run(&["nsenter", "-t", &daemon(&lab), "-m", "sh", "-c", mend, "sh", &place]).unwrap();
        }
        lab.srun(&["--gres=gpu:1g.5gb:1", "lab-probe"]).unwrap();
        lab.run(&["test", "-d", &dcgm]).unwrap();
        assert_healthy(&lab, &[&n1]);
    });
}

/// slurmd of `n1`, whose mounts its steps have.
fn daemon(lab: &Lab) -> String {
    lab.run(&["cat", "/run/slurmd-n1.pid"]).unwrap().stdout.trim().to_owned()
}
