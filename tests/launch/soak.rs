//! Soak: every instance of two GPUs contended by jobs of random launch modes.
//!
//! `SOAK_JOBS` (1000) says how many, `SOAK_SEED` repeats a run. Each task tells what it was told, what it can
//! open, and from when to when: no two tasks may hold one device at one time unless Slurm was asked for it.

use std::{collections::BTreeMap, env, time::Instant};

use lab::{FakeGpus, JobId, Lab, Probe, Release, User};

use crate::fixture::{Layout, assert_healthy, options};
use crate::modes::{MODES, Mode, Sharing};

/// Jobs waiting or running at a time: a few times what the devices can take.
const QUEUE: usize = 40;

/// Longest a task stays, in milliseconds. slurmctld starts batch jobs about once a second: shorter tasks would
/// hardly ever meet.
const LONGEST_MS: u64 = 1500;

#[test]
#[ignore = "takes minutes; make soak runs it"]
fn no_device_is_held_twice() {
    let count = number("SOAK_JOBS").unwrap_or(1000) as usize;
    let seed = number("SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    for release in Release::selected() {
        soak(release, count, seed);
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

/// Two A100: seven 1g.5gb on one; 3g.20gb, 2g.10gb and two 1g.5gb on the other.
fn two_gpus() -> Layout {
    let ones = (7..14).map(|gi| (0, gi, 0)).chain([(1, 9, 0), (1, 10, 0)]);
    let instances: Vec<_> = ones.chain([(1, 3, 0), (1, 1, 0)]).collect();
    let types = [&["1g.5gb"; 9][..], &["2g.10gb", "3g.20gb"]].concat();
    Layout { name: "n1", gpus: FakeGpus::new(&instances), types }
}

fn soak(release: Release, count: usize, seed: u64) {
    println!("soak: {release}, {count} jobs, SOAK_SEED={seed}");
    let layout = two_gpus();
    let options =
        options(&[&layout], "notices=off").slurm_conf("MinJobAge=86400\nMaxJobCount=100000\nMaxArraySize=10");
    let Some(lab) = lab::require(Lab::start(release, options)) else { return };
    let begin = Instant::now();
    let modes = submit_all(&lab, count, seed);
    while queued(&lab) > 0 {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let seconds = begin.elapsed().as_secs_f64();

    let states = lab.run(&["scontrol", "--oneliner", "show", "job"]).unwrap().stdout;
    let failed: Vec<_> = states.lines().filter(|line| !line.contains("JobState=COMPLETED")).collect();
    let said = lab.run(&["sh", "-c", "cd /var/lab/out && find . -type f -exec cat {} +"]).unwrap().stdout;
    let complaints: Vec<_> = said.lines().filter(|line| !line.contains("probe begin=")).collect();
    assert!(failed.is_empty() && complaints.is_empty(), "{failed:?} {complaints:?}");

    let probes = Probe::parse_all(&said);
    let wanted: usize = modes.values().map(|mode| mode.tasks).sum();
    assert_eq!(probes.len(), wanted, "tasks that reported");
    let held: Vec<Held> = probes.iter().map(|probe| Held::new(&layout, probe)).collect();
    let met = assert_apart(&held, &array_modes(&states, &modes));
    assert_healthy(&lab, &[&layout]);
    let busy: u64 =
        held.iter().map(|held| (held.probe.end - held.probe.begin) * held.devices.len() as u64).sum();
    println!(
        "soak: {count} jobs, {} tasks in {seconds:.0} s; {met} pairs of tasks at one time",
        probes.len()
    );
    println!(
        "soak: devices held {:.0} % of the time",
        busy as f64 / 10.0 / seconds / layout.types.len() as f64
    );
}

/// Submits `count` jobs, never more than [`QUEUE`] at a time.
fn submit_all(lab: &Lab, count: usize, seed: u64) -> BTreeMap<JobId, &'static Mode> {
    let mut random = Random(seed);
    let mut modes = BTreeMap::new();
    let mut room = 0;
    while modes.len() < count {
        if room == 0 {
            room = QUEUE.saturating_sub(queued(lab));
            std::thread::sleep(std::time::Duration::from_millis(50));
            continue;
        }
        room -= 1;
        let mode = &MODES[random.below(MODES.len() as u64) as usize];
        let user = if random.below(2) == 0 { User::Root } else { User::Alice };
        // srun --quiet says only what is wrong: not that it waits for the end of the step before.
        let script = mode.script.replace("srun ", "srun --quiet ");
        let script = script.replace("HOLD", &random.below(LONGEST_MS).to_string());
        let job = lab.sbatch(user, mode.arguments, &script).unwrap();
        modes.insert(job, mode);
    }
    modes
}

fn queued(lab: &Lab) -> usize {
    lab.run(&["squeue", "--noheader", "--array"]).unwrap().stdout.lines().count()
}

/// The mode of every job; the tasks of an array have numbers of their own.
fn array_modes(states: &str, modes: &BTreeMap<JobId, &'static Mode>) -> BTreeMap<String, &'static Mode> {
    let field = |line: &str, key: &str| -> Option<JobId> {
        line.split(' ').find_map(|word| word.strip_prefix(key))?.parse().ok()
    };
    let of_line = |line: &str| {
        let id = field(line, "JobId=")?;
        let mode = modes.get(&field(line, "ArrayJobId=").unwrap_or(id))?;
        Some((id.to_string(), *mode))
    };
    states.lines().filter_map(of_line).collect()
}

/// A task and the devices it can open.
struct Held<'a> {
    probe: &'a Probe,
    devices: Vec<usize>,
}

impl<'a> Held<'a> {
    /// # Panics
    /// When the task was told anything but what it can open.
    fn new(layout: &Layout, probe: &'a Probe) -> Self {
        let devices = layout.opened(probe);
        assert_eq!(probe.cuda_list(), layout.uuids(&devices), "told and has: {probe:?}");
        Self { probe, devices }
    }

    fn meets(&self, other: &Self) -> bool {
        self.probe.begin < other.probe.end && other.probe.begin < self.probe.end
    }

    fn shares(&self, other: &Self) -> bool {
        self.devices.iter().any(|device| other.devices.contains(device))
    }
}

/// Returns how many pairs of tasks ran at one time.
///
/// # Panics
/// When two of them held one device and their job did not ask for it.
fn assert_apart(held: &[Held<'_>], modes: &BTreeMap<String, &'static Mode>) -> usize {
    let mut met = 0;
    for (position, one) in held.iter().enumerate() {
        for other in held[position + 1..].iter().filter(|other| one.meets(other)) {
            met += 1;
            let mode = modes[&one.probe.job];
            assert!(
                !one.shares(other) || may_share(one.probe, other.probe, mode.sharing),
                "one device, two tasks, {}: {:?} {:?}",
                mode.name,
                one.probe,
                other.probe
            );
        }
    }
    met
}

fn may_share(one: &Probe, other: &Probe, sharing: Sharing) -> bool {
    one.job == other.job
        && match sharing {
            Sharing::Never => false,
            Sharing::InStep => one.step == other.step,
            Sharing::InJob => true,
        }
}

/// Vigna's splitmix64: small, seeded, and good enough to pick launch modes.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
