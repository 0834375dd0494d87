//! Limits that an earlier run of a job has left on its node.
//!
//! On cgroup v1 slurmstepd takes the cgroups of a step away when the step ends, and leaves those that the kernel says are busy: a
//! killed task is in its cgroup until it is reaped (`common_cgroup_delete` in src/plugins/cgroup/common/cgroup_common.c gives up
//! after five tries). They stay as `job_N/step_S/task_T` without a process. A job that is requeued has the same number, and on the
//! same node it is given these: slurmstepd opens the devices that it has now to the job's cgroup, and for a step started by srun to
//! the step's (`task_cgroup_devices_create`), but what is opened to a cgroup of v1 is not opened to those in it that are there
//! already (Documentation/admin-guide/cgroup-v1/devices.rst). So the script of a job that began anew, or a task, was denied what Slurm
//! gave it (seen on 22.05.8). slurmstepd makes them anew where they are not there, and that is before it limits anything
//! (`spank_init` in src/slurmd/slurmstepd/mgr.c comes before `task_g_pre_setuid`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use spank::{Error, Spank, StepKind};

/// Where the controller for devices is mounted: CgroupMountpoint of cgroup.conf by default.
const DEVICES: &str = "/sys/fs/cgroup/devices";

/// How deep below a job Slurm makes cgroups: of a step, of a task. Users may make more in those of their steps.
const DEPTH: usize = 8;

/// How many are looked at. A step has one per task on the node.
const MOST: usize = 4096;

/// Takes away what an earlier run of this step has left, and before the script of a job what any step has: what the job itself was
/// denied is in its own cgroup, which 24.11 does not open anew. The steps of a job come after its script; one that somebody starts with
/// `srun --jobid` in the very moment may fail, and he starts it again. What has a process in it the kernel does not let go.
///
/// # Errors
/// What Slurm does not say of the step. That something cannot be removed is none: a task that is denied its device says so.
pub fn remove(spank: &Spank<'_>, kind: StepKind, node: &str) -> Result<(), Error> {
    let job = format!("uid_{}/job_{}", spank.user()?, spank.job()?);
    let devices = Path::new(DEVICES);
    // A slurmd that shares its host with others has a cgroup of its own (`xcgroup_create_slurm_cg`, MULTIPLE_SLURMD).
    for slurm in ["slurm".to_owned(), format!("slurm_{node}")] {
        remove_in(&devices.join(slurm).join(&job), kind);
    }
    Ok(())
}

fn remove_in(job: &Path, kind: StepKind) {
    let whose = match kind {
        StepKind::Batch => job.to_owned(),
        StepKind::Interactive => job.join("step_interactive"),
        StepKind::Numbered(number) => job.join(format!("step_{number}")),
        StepKind::Extern => return,
    };
    let mut found = Vec::new();
    if below(whose, DEPTH, &mut found).is_ok() {
        // Those inside come last.
        found.iter().rev().for_each(|cgroup| drop(fs::remove_dir(cgroup)));
    }
}

/// A cgroup and those in it, each before what it has.
fn below(cgroup: PathBuf, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if depth == 0 || found.len() >= MOST {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let entries = fs::read_dir(&cgroup)?;
    found.push(cgroup);
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            below(entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(kind: StepKind) -> Vec<&'static str> {
        const ALL: [&str; 6] = [
            "job_1",
            "job_1/step_0",
            "job_1/step_0/task_0",
            "job_1/step_1",
            "job_1/step_batch/task_0",
            "job_2",
        ];
        let directory = tempfile::tempdir().unwrap();
        ALL.iter().for_each(|path| fs::create_dir_all(directory.path().join(path)).unwrap());
        // As a process keeps a cgroup.
        fs::write(directory.path().join("job_1/step_1/process"), "").unwrap();
        remove_in(&directory.path().join("job_1"), kind);
        ALL.into_iter().filter(|path| directory.path().join(path).exists()).collect()
    }

    #[test]
    fn a_step_takes_its_own_away_and_a_script_all_that_nobody_is_in() {
        assert_eq!(left(StepKind::Batch), ["job_1", "job_1/step_1", "job_2"]);
        assert_eq!(left(StepKind::Numbered(1)).len(), 6);
        assert_eq!(
            left(StepKind::Numbered(0)),
            ["job_1", "job_1/step_1", "job_1/step_batch/task_0", "job_2"]
        );
        assert_eq!(left(StepKind::Extern).len(), 6);
    }
}
