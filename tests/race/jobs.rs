//! Jobs without pause, and what became of them.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::Duration,
};

use lab::{JobId, Lab, LabError, Probe, Release, User};

use crate::history::{self, Life};
use crate::node::TYPES;
use crate::random::Random;

/// Jobs waiting or running at a time: a few times what the devices can take.
const QUEUE: usize = 12;

/// Longest a task stays, in milliseconds.
const LONGEST_MS: u64 = 800;

/// Submits jobs until `stop`, and returns how many Slurm took. One of a type that the node does not have now may wait or
/// be refused.
pub(crate) fn submit(lab: &Lab, seed: u64, stop: &AtomicBool) -> usize {
    let mut random = Random(seed);
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        let queued = lab.command(&["squeue", "-h", "-r", "-o", "%A"]).output().unwrap();
        // slurmctld is started anew at times.
        let room = if queued.success() { QUEUE.saturating_sub(queued.stdout.lines().count()) } else { 0 };
        for _ in 0..room.min(3) {
            taken += usize::from(lab.submit(job(lab, &mut random)).is_ok());
        }
        sleep(Duration::from_millis(if room == 0 { 100 } else { 10 }));
    }
    taken
}

/// A job that reports what it has when it begins and when it ends, from its script or from a step.
fn job(lab: &Lab, random: &mut Random) -> lab::Invocation {
    let hold = random.below(LONGEST_MS);
    let kind = random.of(&TYPES);
    let gres = match random.below(8) {
        0 => "--gres=gpu:1g.5gb:1,gpu:3g.20gb:1".to_owned(),
        1 => "--gres=gpu:1".to_owned(),
        _ => format!("--gres=gpu:{kind}:1"),
    };
    let script = match random.below(3) {
        0 => format!("srun --quiet sh -c 'lab-probe {hold}; lab-probe'"),
        _ => format!("lab-probe {hold}; lab-probe"),
    };
    let array = if random.below(5) == 0 { "--array=0-2" } else { "--array=0-0" };
    let user = if random.below(2) == 0 { User::Root } else { User::Alice };
    // Nobody asks for a job to be run again.
    lab.submission(&["--no-requeue", &gres, array], &script).user(user)
}

/// What is wrong with the jobs that ran, and how many did.
pub(crate) fn judge(lab: &Lab, lives: &[Life<()>]) -> Result<(usize, Vec<String>), LabError> {
    let text = lab.run(&["scontrol", "--oneliner", "show", "job"])?.stdout;
    let field = |line: &str, key: &str| {
        line.split(' ').find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned()
    };
    let mut states: BTreeMap<JobId, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| line.contains("JobState=")) {
        let (id, state) = (field(line, "JobId="), field(line, "JobState="));
        // One that waits for a type that went may be failed before it has a node ("BadConstraints").
        let began = !["(null)", ""].contains(&field(line, "NodeList=").as_str());
        if began && state != "COMPLETED" && !["PENDING", "CANCELLED"].contains(&state.as_str()) {
            let known = ["Reason=", "ExitCode=", "StartTime=", "EndTime=", "Restarts=", "TresPerNode="]
                .map(|key| field(line, key));
            let log = lab.slurmd_log("n1");
            let about: Vec<&str> = log.lines().filter(|line| line.contains(&format!("[{id}."))).collect();
            wrong.push(format!("job {id} ended {state} {known:?} {about:?}"));
        }
        if let Ok(id) = id.parse() {
            states.insert(id, state);
        }
    }
    let said = lab.run(&["bash", "-c", "cd /var/lab/out && find . -type f -exec cat {} +"])?.stdout;
    // srun of 26.05 says now and then, when it ends, that its own socket is closed already.
    let of_socket =
        |line: &str| lab.release() == Release::Sid && line.starts_with("srun: error: _attempt_accept: ");
    let complaints = said
        .lines()
        .filter(|line| !line.contains("probe begin=") && !line.trim().is_empty() && !of_socket(line));
    wrong.extend(complaints.map(|line| format!("said: {line}")));
    let mut of_job: BTreeMap<(String, String), Vec<Probe>> = BTreeMap::new();
    for probe in Probe::parse_all(&said) {
        of_job.entry((probe.job.clone(), probe.step.clone())).or_default().push(probe);
    }
    let ran = of_job.len();
    for ((id, step), mut probes) in of_job {
        probes.sort_by_key(|probe| probe.begin);
        let [first, .., last] = &probes[..] else {
            wrong.push(format!("job {id}{step}: did not come to its end: {probes:?}"));
            continue;
        };
        if first.cuda_list().is_empty() {
            wrong.push(format!("job {id}: was given nothing: {first:?}"));
        }
        // Slices that came since open to it, too: Slurm denies the devices that it knew when the job began.
        if !first.open.is_subset(&last.open) || first.cuda != last.cuda {
            wrong.push(format!("job {id}: began with {:?}, ended with {:?}", first.open, last.open));
        }
        let faults = first
            .cuda_list()
            .into_iter()
            .filter_map(|uuid| history::fault(lives, uuid, first.begin, last.end));
        wrong.extend(faults.map(|fault| format!("job {id}: {fault}")));
    }
    Ok((ran, wrong))
}
