//! Jobs without pause.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    thread::sleep,
    time::Duration,
};

use lab::{Fleet, JobId, User};

use crate::forms::{self, Form};
use crate::random::Random;

/// Jobs waiting or running at a time, for each node: a few times what its GPUs can take.
const QUEUE: usize = 7;

/// Longest a task keeps what it has, in seconds.
const LONGEST: u64 = 4;

/// Of jobs on one node one in so many names it. Slurm holds some of these, and nobody but the arbiter ends that.
const NAMED: u64 = 3;

/// What Slurm says of a request that the nodes which it may have could never serve as they are.
const NOTHING_OPEN: &str = "Requested node configuration is not available";

/// What Slurm says while it cannot be asked; such a submission is made again.
pub(crate) const AWAY: [&str; 6] = [
    "Unable to contact",
    "Socket timed out",
    "Connection refused",
    "Connection reset by peer",
    "Zero Bytes were transmitted",
    "Transport endpoint",
];

/// Everything that was asked of Slurm.
#[derive(Debug, Default)]
pub(crate) struct Submitted {
    /// By the number that their tasks say, each with the job's number, which a slurmctld that was killed may give for the second time.
    pub(crate) jobs: BTreeMap<u64, (JobId, Form)>,
    pub(crate) rejected: Vec<String>,
    /// Jobs that were cancelled by us, as they were named to scancel.
    pub(crate) cancelled: BTreeSet<JobId>,
}

/// Submits so many jobs, some of which make way for others where `preempt` says so.
pub(crate) fn submit(fleet: &Fleet, preempt: bool, count: u64, seed: u64, submitted: &Mutex<Submitted>) {
    let lab = &fleet.lab;
    let mut random = Random(seed);
    let mut done = 0;
    while done < count {
        let queued = lab.command(&["squeue", "-h", "-r", "-o", "%A"]).output().unwrap();
        if !queued.success() || queued.stdout.lines().count() >= fleet.nodes().len() * QUEUE {
            sleep(Duration::from_millis(200));
            continue;
        }
        let mut form = if done == 0 { forms::first() } else { forms::any(&mut random, LONGEST) };
        if done > 0 && form.is_of_one_node() && random.below(NAMED) == 0 {
            form.arguments.push(format!("--nodelist={}", random.of(fleet.nodes())));
        }
        let low = random.below(3) == 0 && preempt;
        let user = if random.below(3) == 0 { User::Root } else { User::Alice };
        // Also for what PreemptMode=REQUEUE starts again, which would write over what was said before.
        let own = [
            "-t2",
            "--requeue",
            "--open-mode=append",
            if low { "--partition=low" } else { "--partition=lab" },
        ];
        let output = format!("--output=/var/lab/out/{done}.%j");
        let own = own.into_iter().chain([output.as_str()]);
        let arguments: Vec<&str> = form.arguments.iter().map(String::as_str).chain(own).collect();
        let script = form.script.replace("lab-storm-task ", &format!("lab-storm-task {done}/"));
        match lab.submit(lab.submission(&arguments, &script).user(user)) {
            Ok(id) => {
                submitted.lock().unwrap().jobs.insert(done, (id, form));
                done += 1;
            }
            Err(error) if AWAY.iter().any(|away| error.to_string().contains(away)) => {
                sleep(Duration::from_millis(500))
            }
            // One that names a node, of which nothing is open there now.
            Err(error) if form.names_a_node() && error.to_string().contains(NOTHING_OPEN) => {}
            Err(error) => {
                submitted.lock().unwrap().rejected.push(format!("{:?}: {error}", form.arguments));
                done += 1;
            }
        }
    }
}
