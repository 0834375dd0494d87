//! What was wrong, from an account that nothing of `gresgen` has a part in: what tasks could open, when which device was
//! there, and what Slurm says of jobs and nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lab::{Fleet, JobId, LabError, Probe};

use crate::account::{Faults, Tally};
use crate::devices::Life;
use crate::history;
use crate::jobs::Submitted;

/// A task in one run of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    /// That it was submitted with.
    number: u64,
    job: JobId,
    step: String,
    task: String,
    node: String,
    run: String,
    must: String,
}

/// From when to when a task had a device.
type Use<'a> = (u64, u64, &'a Task);

/// What one task said: at its beginning, and at its end where it came to it.
type Said = BTreeMap<Task, BTreeMap<String, Probe>>;

/// Slurm's record of one job, as far as it is asked.
struct Record {
    id: JobId,
    array: JobId,
    state: String,
    restarts: u64,
    line: String,
}

impl Record {
    fn parse_all(text: &str) -> Vec<Self> {
        let field = |line: &str, key: &str| {
            line.split(' ').find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned()
        };
        let record = |line: &str| {
            let id = field(line, "JobId=").parse().ok()?;
            let group = [field(line, "ArrayJobId="), field(line, "HetJobId=")];
            Some(Record {
                id,
                array: group.iter().find_map(|group| group.parse().ok()).unwrap_or(id),
                state: field(line, "JobState="),
                restarts: field(line, "Restarts=").parse().unwrap_or(0),
                line: line.to_owned(),
            })
        };
        text.lines().filter_map(record).collect()
    }
}

/// Judges all that ran.
pub(crate) fn judge(
    fleet: &Fleet,
    submitted: &Submitted,
    lives: &BTreeMap<String, Vec<Life>>,
    ctld_killed: bool,
    faults: &mut Faults,
) -> Result<Tally, LabError> {
    let text = fleet.lab.run(&["scontrol", "--oneliner", "show", "job"])?.stdout;
    let records = Record::parse_all(&text);
    let output = fleet.lab.run(&["bash", "-c", "cd /var/lab/out && find . -type f -exec cat {} +"])?.stdout;
    faults.rejected.extend(submitted.rejected.iter().cloned());
    let mut tally =
        Tally { jobs: submitted.jobs.values().map(|(_, form)| form.jobs).sum(), ..Tally::default() };
    let log = fleet.lab.read_file("/var/log/slurm/slurmctld.log").unwrap_or_default();
    let lost = if ctld_killed { Lost::of(&log) } else { Lost::default() };
    let said = said(&output, faults);
    states(submitted, &records, &said, ctld_killed, &lost, faults, &mut tally);
    devices(&said, lives, &lost.orphans, faults, &mut tally);
    Ok(tally)
}

/// What a slurmctld that was killed has forgotten. That is Slurm's own: it saves what it did some seconds later.
#[derive(Debug, Default)]
struct Lost {
    /// Jobs of which it did not know that they ran: it starts them again or ends them where it finds them, and may have given away
    /// what they have.
    orphans: BTreeSet<JobId>,
    /// Jobs of which it knew that they were done, and later that they ran. Where their node does not register in time it lets them
    /// run out of theirs.
    done: BTreeSet<JobId>,
}

impl Lost {
    fn of(log: &str) -> Self {
        let mut lost = Lost::default();
        let mut done = BTreeSet::new();
        for line in log.lines() {
            let Some(job) = job_of(line) else { continue };
            if line.contains("rphan") || line.contains("batch script") {
                lost.orphans.insert(job);
            } else if line.contains("_job_complete: ") && line.ends_with(" done") {
                done.insert(job);
            } else if line.contains("Recovered JobId=") && line.contains(" StepId=") && done.contains(&job) {
                lost.done.insert(job);
            }
        }
        lost
    }
}

/// The job that a line of slurmctld's log is about: `JobId=8`, `JobId=55_2(60)` of an array, `JobId=9+1(10)` of a heterogeneous one.
fn job_of(line: &str) -> Option<JobId> {
    let word = line.split("JobId=").nth(1)?.split([' ', ',']).next()?;
    let number = word.split_once('(').map_or(word, |(_, number)| number);
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn states(
    submitted: &Submitted,
    records: &[Record],
    said: &Said,
    ctld_killed: bool,
    lost: &Lost,
    faults: &mut Faults,
    tally: &mut Tally,
) {
    let mut taken = BTreeSet::new();
    for (number, (id, form)) in submitted.jobs.iter().rev() {
        // One that slurmctld has given for the second time is that of the last job which has it, or of an element of another array.
        let is_own = |record: &&Record| record.array == *id;
        let own: Vec<&Record> =
            if taken.insert(*id) { records.iter().filter(is_own).collect() } else { Vec::new() };
        let cancelled = submitted.cancelled.contains(id);
        if own.is_empty() {
            tally.forgotten += form.jobs;
            if !ctld_killed {
                faults.failed.push(format!("job {id}: slurmctld does not know it"));
            }
        }
        let complete = !own.is_empty() && own.iter().all(|record| record.state == "COMPLETED");
        let whole = said.iter().filter(|(task, probes)| task.number == *number && probes.len() == 2);
        let whole: BTreeSet<_> = whole.map(|(task, _)| (task.job, &task.step, &task.task)).collect();
        // A heterogeneous job has its tasks in its components together.
        let expected = if form.arguments.is_empty() { form.tasks } else { form.tasks * form.jobs };
        for record in own {
            let came_to_its_end = whole.iter().filter(|(job, ..)| *job == record.id).count() >= form.tasks;
            tally.restarts += record.restarts;
            let cancelled = cancelled || submitted.cancelled.contains(&record.id);
            match record.state.as_str() {
                "COMPLETED" => tally.completed += 1,
                "CANCELLED" if cancelled => tally.cancelled += 1,
                _ if cancelled => {}
                _ if lost.orphans.contains(&record.id) => tally.forgotten += 1,
                "TIMEOUT" if came_to_its_end && lost.done.contains(&record.id) => tally.forgotten += 1,
                _ => faults.failed.push(record.line.clone()),
            }
        }
        // One that began anew may have come to its end more than once: slurmctld did not know it.
        if complete && whole.len() < expected && !lost.orphans.contains(id) {
            faults.failed.push(format!(
                "job {id} {:?}: {} of {expected} tasks came to their end",
                form.arguments,
                whole.len()
            ));
        }
    }
}

fn said(output: &str, faults: &mut Faults) -> Said {
    let mut said = Said::new();
    for line in output.lines().filter(|line| !line.trim().is_empty()) {
        let Some((before, _)) = line.split_once(" probe begin=") else {
            if !is_slurms(line) {
                faults.failed.push(format!("said: {line}"));
            }
            continue;
        };
        let words: Vec<&str> = before.split(' ').collect();
        let said_so = match &words[..] {
            [moment, must, run] => must.split_once('/').map(|(number, must)| (moment, number, must, run)),
            _ => None,
        };
        let (Some(probe), Some((moment, number, must, run))) = (Probe::parse_all(line).pop(), said_so) else {
            faults.failed.push(format!("said: {line}"));
            continue;
        };
        let task = Task {
            number: number.parse().unwrap_or(u64::MAX),
            job: probe.job.parse().unwrap_or(0),
            step: probe.step.clone(),
            task: probe.task.clone(),
            node: probe.node.clone(),
            run: (*run).to_owned(),
            must: must.to_owned(),
        };
        said.entry(task).or_default().insert((*moment).to_owned(), probe);
    }
    said
}

/// What Slurm or a shell says of a job that is ended, or of a daemon that is away. What becomes of the job tells whether it is a fault;
/// what the plugin says is one.
fn is_slurms(line: &str) -> bool {
    // As newer releases begin what slurmstepd says: [2026-11-27T06:09:51.026] error: *** JOB 19 ON n2 CANCELLED
    let of_step = line.starts_with('[') && line.contains("] error: *** ");
    // Of a script whose part was ended: /var/spool/slurmd-n1/job00007/slurm_script: line 4: 912 Terminated ...; sh says no more than that.
    let signals = ["Terminated", "Killed"];
    let of_shell = signals.contains(&line)
        || line.contains("/slurm_script: line ") && signals.iter().any(|signal| line.contains(signal));
    !line.contains("[mig]")
        && (line.starts_with("srun: ") || line.starts_with("slurmstepd") || of_shell || of_step)
}

fn devices(
    said: &Said,
    lives: &BTreeMap<String, Vec<Life>>,
    orphans: &BTreeSet<JobId>,
    faults: &mut Faults,
    tally: &mut Tally,
) {
    let mut uses: BTreeMap<(&str, &str), Vec<Use<'_>>> = BTreeMap::new();
    for (task, probes) in said {
        tally.tasks += 1;
        tally.whole += usize::from(probes.len() == 2);
        for probe in probes.values() {
            tally.denied += probe.denied.len();
            look(task, probe, &lives[&task.node], faults);
        }
        let (Some(first), last) = (probes.get("first"), probes.get("last")) else {
            faults.wrong.push(format!("{task:?} ended and did not begin: {probes:?}"));
            continue;
        };
        let (begin, end) = (first.begin, last.map_or(first.end, |last| last.end));
        if last.is_some_and(|last| first.cuda != last.cuda || first.open != last.open) {
            faults.wrong.push(format!("{task:?} began with {first:?}, ended with {last:?}"));
        }
        for uuid in first.cuda_list() {
            let lives = &lives[&task.node];
            let fault = history::at(lives, uuid, begin).and_then(|_| history::fault(lives, uuid, begin, end));
            faults.touched.extend(fault.map(|fault| format!("{fault} by {task:?}")));
        }
        if orphans.contains(&task.job) {
            continue;
        }
        for uuid in first.cuda_list() {
            let (node, _) = lives.get_key_value(&task.node).expect("a node");
            uses.entry((node, uuid)).or_default().push((begin, end, task));
        }
    }
    let of = |task: &Task| (task.number, task.job);
    for ((node, uuid), mut times) in uses {
        times.sort_unstable();
        // The one that ends last of those before may overlap with any that follows.
        let mut longest: Option<Use<'_>> = None;
        for next in times {
            if let Some(before) = longest.filter(|before| before.1 > next.0 && of(before.2) != of(next.2)) {
                faults.shared.push(format!("{uuid} of {node}: {before:?} and {next:?}"));
            }
            longest = Some(longest.filter(|before| before.1 > next.1).unwrap_or(next));
        }
    }
}

/// Judges one look of a task at its devices.
fn look(task: &Task, probe: &Probe, lives: &[Life], faults: &mut Faults) {
    let told = probe.cuda_list();
    let lives: Vec<Option<&Life>> = told.iter().map(|uuid| history::at(lives, uuid, probe.begin)).collect();
    let there: Vec<&Life> = lives.iter().copied().flatten().collect();
    if there.len() != told.len() || told.is_empty() {
        faults.wrong.push(format!("{task:?} was told of what was not there: {probe:?}"));
        return;
    }
    let files: BTreeSet<PathBuf> = there.iter().flat_map(|life| life.what.files.iter().cloned()).collect();
    let open: BTreeSet<PathBuf> = probe.open.iter().filter(|file| is_limited(file)).cloned().collect();
    if open != files {
        faults
            .wrong
            .push(format!("{task:?} was told of {told:?}, which is {files:?}, and could open {open:?}"));
    }
    let mut kinds: Vec<&str> = there.iter().map(|life| life.what.kind.as_str()).collect();
    let mut must: Vec<&str> = task.must.split('+').collect();
    kinds.sort_unstable();
    must.sort_unstable();
    if kinds.len() != must.len() || must[0] != "any" && kinds != must {
        faults.other.push(format!("{task:?} has {kinds:?}"));
    }
}

/// Files of which a task may open its own alone: GPUs, and capabilities of instances. Below are those of the whole driver
/// (open-gpu-kernel-modules, nv-caps.c: fabric management, MIG's configuration and monitor).
fn is_limited(file: &std::path::Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let number = |prefix: &str| name.strip_prefix(prefix).and_then(|number| number.parse::<u32>().ok());
    number("nvidia").is_some() || number("nvidia-cap").is_some_and(|minor| minor > 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Device;

    const UUID: &str = "MIG-a";
    const OWN: &str = "/dev/nvidia0,/dev/nvidia-caps/nvidia-cap3,/dev/nvidia-caps/nvidia-cap4,";

    fn lives() -> BTreeMap<String, Vec<Life>> {
        let files = OWN.split(',').filter(|file| !file.is_empty()).map(PathBuf::from).collect();
        let kind = "1g.5gb".to_owned();
        let what = Device { kind, files };
        let life = Life { uuid: UUID.to_owned(), birth: 1, what, from: 10, gone: Some(100) };
        BTreeMap::from([("n1".to_owned(), vec![life])])
    }

    /// What a job that has the device from `begin` to `end` says, where it can open `open`.
    fn job(job: u32, must: &str, [begin, end]: [u64; 2], open: &str) -> String {
        let line = |moment: &str, time: u64| {
            format!(
                "{moment} {job}/{must} 0 probe begin={time} job={job} step=0 task=0 node=n1 cuda={UUID} open={open} \
                 denied=/dev/nvidia1, other=/dev/nvidia-caps/nvidia-cap1:13, end={time}\n"
            )
        };
        line("first", begin) + &line("last", end)
    }

    fn counts(text: &str) -> [usize; 5] {
        let (mut faults, mut tally) = (Faults::default(), Tally::default());
        let said = said(text, &mut faults);
        devices(&said, &lives(), &BTreeSet::new(), &mut faults, &mut tally);
        [&faults.failed, &faults.wrong, &faults.other, &faults.shared, &faults.touched].map(Vec::len)
    }

    #[test]
    fn what_a_slurmctld_that_was_killed_forgot_is_in_its_log() {
        let lost = Lost::of(
            "[t] error: Orphan StepId=42.0 reported on node n2\n\
             [t] error: Orphan JobId=7 StepId=7.0 reported on node n2\n\
             [t] _job_complete: JobId=19 done\n\
             [t] _job_complete: JobId=55_2(60) done\n\
             [t] _job_complete: JobId=56 WEXITSTATUS 0\n\
             [t] slurmctld version 24.11.5 started on cluster lab(3209)\n\
             [t] Recovered JobId=19 Assoc=0\n\
             [t] Recovered JobId=55_2(60) StepId=batch\n\
             [t] Recovered JobId=56 StepId=batch\n\
             [t] Recovered JobId=9+1(10) StepId=batch\n",
        );
        assert_eq!((lost.orphans, lost.done), (BTreeSet::from([7]), BTreeSet::from([60])));
    }

    #[test]
    fn what_is_wrong_is_seen() {
        let right = job(1, "1g.5gb", [20, 30], OWN);
        let after = job(2, "any", [31, 40], OWN);
        assert_eq!(counts(&format!("{right}srun: error: x\n{after}")), [0; 5]);
        assert_eq!(counts(&format!("{right}{}", job(2, "1g.5gb", [29, 40], OWN))), [0, 0, 0, 1, 0]);
        assert_eq!(counts(&job(1, "1g.5gb", [20, 101], OWN))[4], 1);
        assert_eq!(counts(&job(1, "1g.5gb", [5, 30], OWN))[1], 1, "before it was there");
        for open in [
            "",
            "/dev/nvidia0,",
            &format!("{OWN}/dev/nvidia1,"),
            &format!("{OWN}/dev/nvidia-caps/nvidia-cap7,"),
        ] {
            assert_eq!(counts(&job(1, "1g.5gb", [20, 30], open)), [0, 2, 0, 0, 0], "{open}");
        }
        for must in ["2g.10gb", "1g.5gb+1g.5gb", "any+any"] {
            assert_eq!(counts(&job(1, must, [20, 30], OWN)), [0, 0, 2, 0, 0], "{must}");
        }
        assert_eq!(counts("srun: [mig] x\nsh: 1: lab-probe: not found\n"), [2, 0, 0, 0, 0]);
    }
}
