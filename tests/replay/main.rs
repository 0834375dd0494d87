//! The model beside a real slurmctld: the same jobs come and go, and after each of these events the same ones run.
//!
//! A job runs until it is told to end, so that the order of events is that of the model whatever the pace of this
//! machine. Time limits, which alone decide about backfill, are far longer than a test takes.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lab::{FakeGpus, Lab, LabError, Node, Options, Release, User};
use replay::{Cluster, Job, Rules, Start, replay};

/// GRES types: whole GPUs and two kinds of slices.
const POOLS: [&str; 3] = ["a100", "3g.20gb", "1g.5gb"];

/// No waiting for more to schedule.
const SCHEDULER: &str = "batch_sched_delay=0,sched_min_interval=1,bf_interval=1";

/// With that a pass follows every event.
const RULES: Rules = Rules { interval: 0, depth: 500, window: 24 * 3600, resolution: 60, reserve: 0 };

/// What each node has of them.
const NODES: [[u32; 3]; 3] = [[4, 0, 0], [2, 2, 7], [0, 4, 4]];

fn cluster() -> Cluster {
    Cluster { pools: (0..POOLS.len()).map(|pool| NODES.iter().map(|node| node[pool]).collect()).collect() }
}

/// That cluster with the default schedulers of a Slurm.
fn lab(release: Release, reserve: u32) -> Option<Lab> {
    let mut devices = Vec::new();
    let mut gpu = 0;
    let nodes: Vec<Node> = (1..)
        .zip(NODES)
        .map(|(number, has)| {
            let name = format!("n{number}");
            let (mut own, mut types, mut gres) = (FakeGpus::default(), Vec::new(), Vec::new());
            for (pool, count) in (0..).zip(has).filter(|(_, count)| *count > 0) {
                for instance in 0..count {
                    match pool {
                        0 => own.add_whole(gpu),
                        _ => own.add_instance(gpu, instance, 0),
                    };
                    types.push(POOLS[pool]);
                    gpu += u32::from(pool == 0);
                }
                gres.push(format!("gpu:{}:{count}", POOLS[pool]));
                gpu += 1;
            }
            let node = Node::new(&name).gres(&gres.join(",")).gres_conf(&own.gres_conf(&name, &types));
            devices.push(own);
            node
        })
        .collect();
    let mut nodes = nodes.into_iter();
    let mut options = Options::new(nodes.next()?);
    options = nodes.fold(options, Options::node);
    options = devices.iter().fold(options, Options::gpus);
    options = options.slurm_conf(&format!(
        "SchedulerType=sched/backfill\nPriorityType=priority/basic\n\
         SchedulerParameters={SCHEDULER},bf_job_part_count_reserve={reserve}"
    ));
    lab::require(Lab::start(release, options))
}

/// Numbers that only depend on the seed (Steele and others, SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(end)) as u32
    }
}

/// Limits of jobs, in minutes: within bf_window, which is a day.
const LIMITS: [u32; 3] = [60, 180, 540];

/// Jobs that keep the cluster crowded; some ask for several devices or two nodes.
fn trace(seed: u64, jobs: usize) -> Vec<Job> {
    let mut random = Random(seed);
    let mut submit = 0;
    let mut job = || {
        submit += 1 + random.below(40);
        let pool = random.below(3) as u16;
        let (count, nodes) = match random.below(6) {
            0 => (2, 1),
            1 => (3 + random.below(2), 1),
            2 => (1 + random.below(2), 2),
            _ => (1, 1),
        };
        let limit = LIMITS[random.below(3) as usize] * 60;
        Job { submit, run: 60 + random.below(300), limit, priority: 0, pool, count, nodes }
    };
    (0..jobs).map(|_| job()).collect()
}

/// A job comes, or is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    End(usize),
    Submit(usize),
}

/// What Slurm runs: the model's numbers of jobs.
fn running(lab: &Lab, ids: &[u32]) -> Result<BTreeSet<usize>, LabError> {
    let text = lab.run(&["squeue", "--noheader", "--states=RUNNING", "--format=%A"])?.stdout;
    let id = |line: &str| ids.iter().position(|id| line.trim().parse() == Ok(*id));
    Ok(text.lines().filter_map(id).collect())
}

fn submit(lab: &Lab, job: &Job) -> u32 {
    let Job { count, nodes, limit, .. } = job;
    let gres = format!("--gres=gpu:{}:{count}", POOLS[usize::from(job.pool)]);
    let (nodes, limit) = (format!("--nodes={nodes}"), format!("--time={}", limit / 60));
    let script = "until [ -e /var/lab/out/end-$SLURM_JOB_ID ]; do sleep 0.2; done";
    lab.sbatch(User::Root, &[&gres, &nodes, &limit, "--ntasks-per-node=1"], script).unwrap()
}

/// Takes a lab through the events of a trace; what differed, first difference alone.
fn compare(lab: &Lab, reserve: u32, jobs: &[Job]) -> Option<String> {
    let mut starts = vec![None; jobs.len()];
    replay(&cluster(), Rules { reserve, ..RULES }, &[], jobs.iter().copied(), |index, _, start| {
        if let Start::At(at) = start {
            starts[index as usize] = Some(at);
        }
    });
    let mut events: Vec<(u32, Event)> = Vec::new();
    for (number, (job, start)) in jobs.iter().zip(&starts).enumerate() {
        // Slurm refuses at submission what no node has.
        let Some(start) = start else { continue };
        events.extend([(job.submit, Event::Submit(number)), (start + job.run, Event::End(number))]);
    }
    events.sort_unstable();
    let mut ids = vec![0; jobs.len()];
    let mut story = String::new();
    for (number, &(at, event)) in events.iter().enumerate() {
        match event {
            Event::Submit(number) => ids[number] = submit(lab, &jobs[number]),
            Event::End(number) => lab.write_file(&format!("/var/lab/out/end-{}", ids[number]), "").unwrap(),
        }
        let _ = writeln!(story, "{at}: {event:?} {:?}", jobs[event.job()]);
        if events.get(number + 1).is_some_and(|(next, _)| *next == at) {
            continue;
        }
        let runs = |number: &usize| starts[*number].is_some_and(|s| s <= at && at < s + jobs[*number].run);
        let expected: BTreeSet<usize> = (0..jobs.len()).filter(runs).collect();
        if lab.wait("", || Ok((running(lab, &ids)? == expected).then_some(()))).is_err() {
            let seen = running(lab, &ids).unwrap();
            let only =
                |a: &BTreeSet<usize>, b: &BTreeSet<usize>| a.difference(b).copied().collect::<Vec<_>>();
            let (slurm, model) = (only(&seen, &expected), only(&expected, &seen));
            let show = lab.run(&["squeue", "--format=%i %P %T %l %b %D %N %r %S"]).unwrap().stdout;
            return Some(format!("{story}Slurm alone runs {slurm:?}, the model alone {model:?}\n{show}"));
        }
    }
    None
}

impl Event {
    fn job(self) -> usize {
        match self {
            Event::End(job) | Event::Submit(job) => job,
        }
    }
}

/// Traces to try: `REPLAY_SEEDS`, or a few.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("REPLAY_SEEDS").ok();
    0..asked.map_or(2, |text| text.parse().expect("REPLAY_SEEDS is a number of traces"))
}

fn agree(reserve: u32) {
    let mut differences = Vec::new();
    for release in Release::selected() {
        for seed in seeds() {
            let Some(lab) = lab(release, reserve) else { return };
            let difference = compare(&lab, reserve, &trace(seed, 24));
            differences.extend(difference.map(|story| format!("{release}, trace {seed}:\n{story}")));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn slurm_runs_what_the_model_runs() {
    agree(0);
}

/// `bf_job_part_count_reserve=1`.
#[test]
fn with_one_reservation_slurm_runs_what_the_model_runs() {
    agree(1);
}
