//! Jobs in every state that keeps devices.

use lab::{LabError, User};

use crate::site::{Setup, Site};
use crate::table::{self, Held, Holder};
use crate::verbs::Devices;

/// A partition whose jobs are sent away for those of another, after ten minutes of grace, and as many for jobs
/// that are cancelled: what ends by itself in that time is still held.
const SLURM_CONF: &str = "\
KillWait=600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=low Nodes=n1 PriorityTier=1 PreemptMode=CANCEL GraceTime=600 State=UP
PartitionName=high Nodes=n1 PriorityTier=9 PreemptMode=OFF State=UP";

const LARGE: &str = "--gres=gpu:3g.20gb:1";

#[test]
fn every_state_that_keeps_devices() {
    let setup = Setup { slurm_conf: SLURM_CONF, ..Setup::USUAL };
    table::run(
        &setup,
        &[
            Holder::new("job that was requeued", |site| {
                let id = batch(site, &["--requeue"], "exec lab-witness")?;
                let first: Vec<u32> = site.witnesses()?.iter().map(|task| task.pid).collect();
                site.sh(&format!("scontrol requeue {id}"))?;
                // slurmd takes a start in the second of the end for one of the job that it ended, by times in seconds
                // (src/slurmd/slurmd/cred_context.c, `cred_revoked`).
                std::thread::sleep(std::time::Duration::from_secs(2));
                // A requeued job waits two minutes unless it is told not to.
                site.lab.wait("the job to start again", || {
                    site.lab
                        .command(&["scontrol", "update", &format!("JobId={id}"), "StartTime=now"])
                        .output()?;
                    Ok(site.witnesses()?.iter().any(|task| !first.contains(&task.pid)).then_some(()))
                })?;
                let again = site.witnesses()?.into_iter().filter(|task| !first.contains(&task.pid)).collect();
                Ok(Held::by_tasks(site, again))
            }),
            Holder::new("suspended job", |site| {
                let id = batch(site, &[], "exec lab-witness")?;
                site.sh(&format!("scontrol suspend {id}"))?;
                site.wait_jobs("S", 1)?;
                witnesses(site)
            })
            .let_go(|site| site.sh("scontrol resume $(squeue -h -o %A)").map(drop)),
            Holder::new("stopped job", |site| {
                let id = batch(site, &[], "srun lab-witness")?;
                site.sh(&format!("scancel --signal=STOP {id}"))?;
                witnesses(site)
            })
            .let_go(|site| site.sh("scancel --signal=CONT $(squeue -h -o %A)").map(drop)),
            Holder::new("task that somebody stopped", |site| {
                batch(site, &[], "srun lab-witness")?;
                site.sh("pkill -STOP -x lab-witness")?;
                witnesses(site)
            })
            .let_go(|site| site.sh("pkill -CONT -x lab-witness").map(drop)),
            Holder::new("cancelled job with a task that does not end", |site| {
                let id = batch(site, &[], "exec lab-witness stubborn")?;
                site.sh(&format!("scancel {id}"))?;
                site.wait_jobs("CG", 1)?;
                witnesses(site)
            }),
            Holder::new("cancelled job with a step that does not end", |site| {
                let id = batch(site, &[], "trap '' TERM; srun lab-witness stubborn")?;
                site.sh(&format!("scancel {id}"))?;
                site.wait_jobs("CG", 1)?;
                witnesses(site)
            }),
            Holder::new("preempted job in its time of grace", |site| {
                let id = site.sbatch(&["-plow", LARGE], "exec lab-witness stubborn")?;
                site.sbatch(&["-plow", LARGE], "exec lab-witness stubborn")?;
                site.wait_witnesses(2)?;
                site.sbatch(&["-phigh", "--gres=gpu:3g.20gb:2"], "true")?;
                site.lab.wait("the job to be preempted", || {
                    let job = site.lab.run(&["scontrol", "-o", "show", "job", &id.to_string()])?.stdout;
                    Ok(job.contains("PreemptTime=").then_some(()))
                })?;
                witnesses(site)
            }),
            Holder::new("job of a drained node", |site| {
                batch(site, &[], "exec lab-witness")?;
                site.sh("scontrol update NodeName=n1 State=DRAIN Reason='a broken fan'")?;
                witnesses(site)
            })
            .let_go(|site| {
                // The drain was not gresgen's.
                let state = site.lab.node_state("n1")?;
                assert!(state.contains("DRAIN"), "the drain was lifted: {state}");
                site.sh("scontrol update NodeName=n1 State=RESUME").map(drop)
            }),
            Holder::new("job that has the node to itself", |site| {
                batch(site, &["--exclusive"], "exec lab-witness")?;
                witnesses(site)
            }),
            Holder::new("job that asks for a type by --exclusive", |site| {
                site.sbatch(&["-wn1", "--exclusive", "--gpus-per-node=1g.5gb:1"], "exec lab-witness")?;
                site.wait_witnesses(1)?;
                witnesses(site)
            }),
            Holder::new("allocation without a step", |site| {
                let salloc = ["salloc", "--no-shell", "-wn1", "--gres=gpu:3g.20gb:2"];
                site.begin(site.lab.command(&salloc).user(User::Alice))?;
                site.wait_jobs("R", 1)?;
                let id = site.lab.run(&["squeue", "-h", "-o", "%A"])?.stdout.trim().parse().expect("a job");
                Ok(Held::by_job(id, Devices::large()))
            }),
            Holder::new("job whose step has ended", |site| {
                let id = site.sbatch(
                    &["-wn1", "--gres=gpu:3g.20gb:2"],
                    "srun true; touch /var/lab/out/over; sleep 300",
                )?;
                site.lab.wait("the step to end", || {
                    Ok(site.lab.command(&["cat", "/var/lab/out/over"]).output()?.success().then_some(()))
                })?;
                Ok(Held::by_job(id, Devices::large()))
            }),
            // Slurm never puts two parts of a job on one node.
            Holder::new("heterogeneous job with devices in its second part", |site| {
                site.sbatch(&["-wn2", ":", "-wn1", LARGE], "srun --het-group=1 lab-witness")?;
                site.wait_witnesses(1)?;
                let mut held = witnesses(site)?;
                // A part has a number of its own, which its tasks are not told.
                let parts = site.lab.run(&["squeue", "-h", "-o", "%A %i"])?.stdout;
                for (names, _) in &mut held.holders {
                    names.extend(parts.split_whitespace().map(str::to_owned));
                }
                Ok(held)
            }),
            Holder::new("job beside a slurmd that was stopped", |site| {
                batch(site, &[], "exec lab-witness")?;
                site.lab.stop_slurmd("n1")?;
                witnesses(site)
            })
            .let_go(|site| site.lab.start_slurmd("n1")),
            Holder::new("job while slurmctld does not answer", |site| {
                batch(site, &[], "exec lab-witness")?;
                site.sh("systemctl stop slurmctld")?;
                // Whose it is cannot be told.
                Ok(Held { instead: Some("slurmctld"), ..witnesses(site)? })
            })
            .let_go(|site| site.sh("systemctl start slurmctld").map(drop)),
            Holder::new("job that runs longer than the slurmd", |site| {
                batch(site, &[], "srun lab-witness")?;
                site.lab.restart_slurmd("n1")?;
                witnesses(site)
            }),
            Holder::new("jobs of several users", |site| {
                site.lab.sbatch(User::Root, &["-wn1", "--gres=gpu:1g.5gb:1"], "exec lab-witness")?;
                batch(site, &[], "exec lab-witness")?;
                site.wait_witnesses(2)?;
                Ok(Held { user: "", ..witnesses(site)? })
            }),
        ],
    );
}

/// Starts a batch job with a slice of `3g.20gb` and waits for its witness.
fn batch(site: &Site, arguments: &[&str], script: &str) -> Result<lab::JobId, LabError> {
    let id = site.sbatch(&[&["-wn1", LARGE], arguments].concat(), script)?;
    site.wait_witnesses(1)?;
    Ok(id)
}

fn witnesses(site: &Site) -> Result<Held, LabError> {
    Ok(Held::by_tasks(site, site.witnesses()?))
}
