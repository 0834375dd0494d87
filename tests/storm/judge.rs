//! What was wrong, from an account that nothing of `gresgen` has a part in: what tasks could open, when which device was
//! there, and what Slurm says of jobs and nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lab::{Fleet, JobId, LabError, Probe};

use crate::account::{Faults, Tally};
use crate::away::{self, Away};
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
    /// As slurmctld's log has times, in whole seconds.
    submitted: String,
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
                submitted: field(line, "SubmitTime="),
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
    away: &[Away],
    faults: &mut Faults,
) -> Result<Tally, LabError> {
    let text = fleet.lab.run(&["scontrol", "--oneliner", "show", "job"])?.stdout;
    let records = Record::parse_all(&text);
    let output = fleet
        .lab
        .run(&["bash", "-c", "cd /var/lab/out && find . -type f -exec awk '{print FILENAME \":\" $0}' {} +"])?
        .stdout;
    faults.rejected.extend(submitted.rejected.iter().cloned());
    let mut tally =
        Tally { jobs: submitted.jobs.values().map(|(_, form)| form.jobs).sum(), ..Tally::default() };
    let log = fleet.lab.read_file("/var/log/slurm/slurmctld.log").unwrap_or_default();
    tally.held =
        log.lines().filter(|line| line.contains("schedule: ") && line.contains(" non-runnable: ")).count();
    let mut lost = if ctld_killed { Lost::of(&log) } else { Lost::default() };
    for node in fleet.nodes() {
        lost.cut_off.extend(cut_off(&fleet.lab.read_file(&format!("/var/log/slurm/slurmd-{node}.log"))?));
    }
    lost.unheard = unheard(&log, fleet.nodes());
    lost.beside = leaders(&log, &lost.unheard);
    tally.unheard = lost.unheard.len();
    lost.refused = refused(&output);
    let latest = |record: &Record| {
        let of_record = submitted.jobs.iter().filter(|(_, (id, _))| *id == record.array);
        Some((record.id, *of_record.map(|(number, _)| number).max()?))
    };
    let again = records.iter().filter(|record| !lost.is_orphan(record)).filter_map(latest);
    let again = again.filter(|(job, _)| lost.orphans.contains_key(job)).collect();
    lost.again = again;
    let written =
        fleet.lab.run(&["bash", "-c", "cd /var/lab/out && find . -type f -printf '%T@ %p\\n'"])?.stdout;
    lost.unreached = away::unreached(&output, &written, away);
    let said = said(&output, &(&lost.unheard | &lost.beside), faults);
    states(submitted, &records, &said, ctld_killed, &lost, faults, &mut tally);
    devices(&said, lives, &lost, faults, &mut tally);
    Ok(tally)
}

/// What daemons that were killed have lost. That is Slurm's own: slurmctld saves what it did some seconds later.
#[derive(Debug, Default)]
struct Lost {
    /// Jobs of which it did not know that they ran, and when it last found that: it starts them again or ends them where it finds them,
    /// and may have given away what they have. It gives their numbers again: what is submitted later is none of them.
    orphans: BTreeMap<JobId, String>,
    /// Of those whose number was given again, the submission that has it now.
    again: BTreeMap<JobId, u64>,
    /// Jobs of which it knew that they were done, and later that they ran. Where their node does not register in time it lets them
    /// run out of theirs.
    done: BTreeSet<JobId>,
    /// Jobs that it had requeued, or that had made way for others, and that it knew as running after: what had ended their tasks by
    /// SIGTERM it takes for their end.
    requeued: BTreeSet<JobId>,
    /// Jobs of which slurmd was about to begin a step: srun ends by SIGPIPE then, which the script ends with.
    cut_off: BTreeSet<JobId>,
    /// Jobs that a slurmctld started on a node of which it had not heard since it began itself. See [`unheard`].
    unheard: BTreeSet<JobId>,
    /// Heterogeneous jobs, by their first component, of which one is such a job: their one script ends with its step.
    beside: BTreeSet<JobId>,
    /// Jobs whose srun found no slurmctld, while none was there.
    unreached: BTreeSet<JobId>,
    /// Jobs that were told that they have nothing, or for which no step could be made of what they have.
    refused: BTreeSet<JobId>,
}

impl Lost {
    /// Whether it is a record of such an orphan, as `scontrol` prints it.
    fn is_orphan(&self, record: &Record) -> bool {
        self.orphans.get(&record.id).is_some_and(|found| record.submitted <= *found)
    }

    fn of(log: &str) -> Self {
        let mut lost = Lost::default();
        let (mut done, mut requeued) = (BTreeSet::new(), BTreeSet::new());
        for line in log.lines() {
            if line.ends_with("Terminate signal SIGTERM received") {
                // It saves all before it ends.
                requeued.clear();
            }
            // A number that it has given to no job is named by its step; it gives it to an element of an array that ran under it already.
            let Some(job) = job_of(line).or_else(|| of_orphan(line)) else { continue };
            if ["rphan", "batch script", "Registered PENDING JobId="].iter().any(|found| line.contains(found))
            {
                lost.orphans.insert(job, moment(line));
            } else if line.contains("_job_complete: ") && line.ends_with(" done") {
                done.insert(job);
            } else if line.contains("_job_requeue_op: ") && line.contains(" state 0x8000 ") {
                requeued.insert(job);
            } else if line.contains("Requeuing JobId=") {
                requeued.remove(&job);
            } else if line.contains("Recovered JobId=") && line.contains(" StepId=") {
                lost.done.extend(done.contains(&job).then_some(job));
                lost.requeued.extend(requeued.take(&job));
            }
        }
        lost
    }
}

/// Jobs with a step that slurmd was about to begin when it was killed, by its log.
fn cut_off(log: &str) -> BTreeSet<JobId> {
    unconfirmed(log).union(&not_begun(log)).copied().collect()
}

/// Of which the step could not tell slurmd that it has begun, because slurmd had ended (`_send_ok_to_slurmd` in
/// src/slurmd/slurmstepd/slurmstepd.c): `[2.0] error: Unable to send "ok" to slurmd`, or could not receive
/// the `"ok ack"` to that, `to slurmd` in 22.05 and 24.11 and `from slurmd` in 26.05.
fn unconfirmed(log: &str) -> BTreeSet<JobId> {
    let of_line = |line: &str| {
        let words = ["] error: Unable to send \"ok\" to slurmd", "] error: Unable to receive \"ok ack\" "];
        let (step, _) = words.iter().find_map(|words| line.split_once(words))?;
        step.rsplit_once('[')?.1.split('.').next()?.parse().ok()
    };
    log.lines().filter_map(of_line).collect()
}

/// Of which there is the request for a step, `launch task StepId=1.0 request from UID:0`, a start of a slurmd that none before it
/// announced, and never a word of that step, `[1.0] done with step`.
fn not_begun(log: &str) -> BTreeSet<JobId> {
    let (mut asked, mut lost) = (BTreeSet::new(), BTreeSet::new());
    let mut ends = false;
    for line in log.lines() {
        if let Some((_, step)) = line.split_once("launch task ").and_then(|(_, of)| of.split_once("StepId="))
        {
            asked.extend(step.split([' ', ')']).next());
        } else if line.contains("] Caught SIG") {
            ends = true;
        } else if line.contains("] slurmd version ") && line.ends_with(" started") {
            let before = std::mem::take(&mut asked);
            lost.extend(before.into_iter().filter(|_| !ends));
            ends = false;
        } else if let Some((step, _)) = line.split_once("] [").and_then(|(_, said)| said.split_once(']')) {
            asked.remove(step);
            lost.remove(step);
        }
    }
    lost.into_iter().filter_map(|step| step.split('.').next()?.parse().ok()).collect()
}

/// Jobs that slurmctld started on a node before that node had registered with it. After its own start it goes on with nodes that have
/// jobs at once (`_sync_nodes_to_active_job` in src/slurmctld/read_config.c), and asks them to register after three seconds
/// (`MIN_CHECKIN_TIME` in controller.c). Until then it does not know which types their GRES records are of, nor which are near no core: its
/// state has neither (`gres_node_state_pack` in src/common/gres.c of 22.05). So a job may be given any record that is
/// free, or too few, on every node with GRES of types. 24.11 and 26.05 save both (the same in src/interfaces/gres.c), and one that
/// was not killed saved them last of all: its successor knows. In its log, with `SlurmctldDebug=debug2`:
/// `_slurm_rpc_node_registration complete for n1`.
fn unheard(log: &str, nodes: &[String]) -> BTreeSet<JobId> {
    let (mut heard, mut unheard) = (BTreeSet::new(), BTreeSet::new());
    let mut ended = false;
    for line in log.lines() {
        let started = line.contains("_start_job: Started JobId=").then_some(" on ");
        let started = started.or(line.contains("sched: Allocate JobId=").then_some("NodeList="));
        if line.contains("slurmctld version ") && line.contains(" started on cluster ") {
            heard.clear();
            if ended && !line.contains("slurmctld version 22.05.") {
                heard.extend(nodes.iter().map(String::as_str));
            }
            ended = false;
        } else if line.ends_with("Terminate signal SIGTERM received") {
            ended = true;
        } else if let Some((_, rest)) = line.split_once("_slurm_rpc_node_registration complete for ") {
            heard.extend(rest.split(' ').next());
        } else if let (Some(before), Some(job)) = (started, job_of(line)) {
            let list =
                line.rsplit_once(before).and_then(|(_, list)| list.split(' ').next()).unwrap_or_default();
            // n1, or n[1-2], which is both.
            let is_on = |node: &&String| list == node.as_str() || list.contains('[');
            if nodes.iter().filter(is_on).any(|node| !heard.contains(node.as_str())) {
                unheard.insert(job);
            }
        }
    }
    unheard
}

/// The time of a line of a log, `[2026-11-27T06:09:51.026] ...`, in whole seconds.
fn moment(line: &str) -> String {
    line.trim_start_matches('[').split(['.', ']']).next().unwrap_or_default().to_owned()
}

/// Jobs to which the plugin said that what they were given is not there, or for which srun could make no step: by what they said, each
/// line behind the name of its file.
fn refused(output: &str) -> BTreeSet<JobId> {
    let is_refusal =
        |line: &str| is_void(line) || line.starts_with("srun: error: Unable to create step for job ");
    let of_line = |line: &str| {
        let (file, line) = line.split_once(':')?;
        is_refusal(line).then(|| file.rsplit('.').next()?.parse().ok())?
    };
    output.lines().filter_map(of_line).collect()
}

/// What the plugin says of a record without an instance.
fn is_void(line: &str) -> bool {
    line.starts_with("[mig] ") && line.contains(": no such MIG device is cut now; ")
}

/// Whether a job ended by SIGTERM: its script, or the srun that the script became.
fn by_sigterm(record: &str) -> bool {
    [" ExitCode=0:15 ", " ExitCode=143:0 "].iter().any(|code| record.contains(code))
}

/// The first components of heterogeneous jobs that have one of these: `Started JobId=9+1(10) in lab on n1`.
fn leaders(log: &str, jobs: &BTreeSet<JobId>) -> BTreeSet<JobId> {
    let of_line = |line: &str| {
        let (leader, _) = line.split("JobId=").nth(1)?.split([' ', ',']).next()?.split_once('+')?;
        jobs.contains(&job_of(line)?).then(|| leader.parse().ok())?
    };
    log.lines().filter_map(of_line).collect()
}

/// `Orphan StepId=42.0 reported on node n2`.
fn of_orphan(line: &str) -> Option<JobId> {
    line.split_once("Orphan StepId=")?.1.split(['.', '+']).next()?.parse().ok()
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
        // The script of a heterogeneous job is that of its first component.
        let unreached = |record: &Record| {
            let script = if form.arguments.is_empty() { *id } else { record.id };
            lost.unreached.contains(&script)
        };
        let is_misled = |record: &Record| {
            let is_one = lost.unheard.contains(&record.id) || lost.beside.contains(&record.array);
            is_one && (lost.refused.contains(&record.id) || lost.refused.contains(&record.array))
        };
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
            // Tasks of a heterogeneous job name its first component, in whichever they are.
            let (job, tasks) =
                if form.arguments.is_empty() { (*id, expected) } else { (record.id, form.tasks) };
            let came_to_its_end = whole.iter().filter(|(of, ..)| *of == job).count() >= tasks;
            tally.restarts += record.restarts;
            let cancelled = cancelled || submitted.cancelled.contains(&record.id);
            match record.state.as_str() {
                "COMPLETED" => tally.completed += 1,
                "CANCELLED" if cancelled => tally.cancelled += 1,
                _ if cancelled => {}
                _ if lost.is_orphan(record) => tally.forgotten += 1,
                "FAILED" if lost.cut_off.contains(&record.id) && record.line.contains(" ExitCode=141:0 ") => {
                    tally.cut_off += 1;
                }
                "FAILED" if is_misled(record) => {
                    tally.misled.insert(record.id);
                }
                "FAILED" if unreached(record) && record.line.contains(" ExitCode=1:0 ") => {
                    tally.unreached += 1
                }
                "FAILED" if lost.requeued.contains(&record.id) && by_sigterm(&record.line) => {
                    tally.forgotten += 1;
                }
                "TIMEOUT" if came_to_its_end && lost.done.contains(&record.id) => tally.forgotten += 1,
                _ => faults.failed.push(record.line.clone()),
            }
        }
        // One that began anew may have come to its end more than once: slurmctld did not know it.
        let told = !lost.orphans.contains_key(id) && !lost.unheard.contains(id);
        if complete && whole.len() < expected && told {
            faults.failed.push(format!(
                "job {id} {:?}: {} of {expected} tasks came to their end",
                form.arguments,
                whole.len()
            ));
        }
    }
}

/// What tasks said, each line behind the name of its file, `./NUMBER.said.JOB:` or that of the output, `./NUMBER.JOB:`.
fn said(output: &str, unheard: &BTreeSet<JobId>, faults: &mut Faults) -> Said {
    let mut said = Said::new();
    let lines = output.lines().map(|line| line.split_once(':').unwrap_or(("", line)));
    for (file, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let Some((before, _)) = line.split_once(" probe begin=") else {
            let of_unheard = || file.rsplit('.').next()?.parse().ok().filter(|job| unheard.contains(job));
            let is_known = is_slurms(line) || is_void(line) && of_unheard().is_some();
            if !is_known {
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
    // Of a slurmstepd that opens its log anew, as slurmd tells it to when it reads its files again (`_handle_reconfig` in
    // src/slurmd/slurmstepd/req.c), while it is the user to begin a task. It goes on in the log that it has.
    let of_log = line.contains("log_init: Unable to open logfile `/var/log/slurm/slurmd-")
        && line.ends_with(".log': Permission denied");
    !line.contains("[mig]")
        && (of_log || line.starts_with("srun: ") || line.starts_with("slurmstepd") || of_shell || of_step)
}

fn devices(
    said: &Said,
    lives: &BTreeMap<String, Vec<Life>>,
    lost: &Lost,
    faults: &mut Faults,
    tally: &mut Tally,
) {
    let mut uses: BTreeMap<(&str, &str), Vec<Use<'_>>> = BTreeMap::new();
    for (task, probes) in said {
        tally.tasks += 1;
        tally.whole += usize::from(probes.len() == 2);
        for probe in probes.values() {
            tally.denied += probe.denied.len();
            if look(task, probe, &lives[&task.node], lost.unheard.contains(&task.job), faults) {
                tally.misled.insert(task.job);
            }
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
        if lost.orphans.contains_key(&task.job) && lost.again.get(&task.job) != Some(&task.number) {
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

/// Judges one look of a task at its devices. One of an unheard job may have none, or of another kind; what it is told of has to be
/// there and to be what it can open all the same. Returns whether it has something else than it asked for, which is no fault.
fn look(task: &Task, probe: &Probe, lives: &[Life], unheard: bool, faults: &mut Faults) -> bool {
    let told = probe.cuda_list();
    if unheard && told.is_empty() && !probe.open.iter().any(|file| is_limited(file)) {
        return true;
    }
    let lives: Vec<Option<&Life>> = told.iter().map(|uuid| history::at(lives, uuid, probe.begin)).collect();
    let there: Vec<&Life> = lives.iter().copied().flatten().collect();
    if there.len() != told.len() || told.is_empty() {
        faults.wrong.push(format!("{task:?} was told of what was not there: {probe:?}"));
        return false;
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
    let is_other = kinds.len() != must.len() || must[0] != "any" && kinds != must;
    if is_other && !unheard {
        faults.other.push(format!("{task:?} has {kinds:?}"));
    }
    is_other && unheard
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
                "./1.{job}:{moment} {job}/{must} 0 probe begin={time} job={job} step=0 task=0 node=n1 cuda={UUID} open={open} \
                 denied=/dev/nvidia1, other=/dev/nvidia-caps/nvidia-cap1:13, end={time}\n"
            )
        };
        line("first", begin) + &line("last", end)
    }

    fn counts(text: &str) -> [usize; 5] {
        let (mut faults, mut tally) = (Faults::default(), Tally::default());
        let lost = Lost { unheard: BTreeSet::from([9]), ..Lost::default() };
        let said = said(text, &lost.unheard, &mut faults);
        devices(&said, &lives(), &lost, &mut faults, &mut tally);
        [&faults.failed, &faults.wrong, &faults.other, &faults.shared, &faults.touched].map(Vec::len)
    }

    #[test]
    fn what_a_slurmctld_that_was_killed_forgot_is_in_its_log() {
        let lost = Lost::of(
            "[2026-11-27T06:09:51.026] error: Orphan StepId=42.0 reported on node n2\n\
             [2026-11-27T06:09:52.026] error: Orphan JobId=7 StepId=7.0 reported on node n2\n\
             [2026-11-27T06:09:52.027] error: Registered PENDING JobId=57_3(58) StepId=58.batch on node n2\n\
             [t] _job_complete: JobId=19 done\n\
             [t] _job_complete: JobId=55_2(60) done\n\
             [t] _job_complete: JobId=56 WEXITSTATUS 0\n\
             [t] slurmctld version 24.11.5 started on cluster lab(3209)\n\
             [t] Recovered JobId=19 Assoc=0\n\
             [t] Recovered JobId=55_2(60) StepId=batch\n\
             [t] Recovered JobId=56 StepId=batch\n\
             [t] Recovered JobId=9+1(10) StepId=batch\n",
        );
        assert_eq!(lost.requeued, BTreeSet::new());
        let requeued = |between: &str| {
            let begins = "[t] debug:  _job_requeue_op: JobId=35+1(36) state 0x8000 reason 0 priority 1\n";
            let ends = "[t] slurmctld version 26.05.5 started on cluster lab(3363)\n[t] Recovered JobId=35+1(36) StepId=0\n";
            Lost::of(&format!("{begins}{between}{ends}")).requeued
        };
        assert_eq!(requeued(""), BTreeSet::from([36]));
        assert_eq!(requeued("[t] Requeuing JobId=35+1(36)\n"), BTreeSet::new());
        assert_eq!(requeued("[t] Terminate signal SIGTERM received\n"), BTreeSet::new());
        let orphans = |line: &str| Record::parse_all(line).iter().all(|record| lost.is_orphan(record));
        assert!(orphans("JobId=42 SubmitTime=2026-11-27T06:09:51\nJobId=7 SubmitTime=2026-11-27T06:09:30\n"));
        assert!(orphans("JobId=58 ArrayJobId=57 ArrayTaskId=3 SubmitTime=2026-11-27T06:09:30\n"));
        // Its number was given again.
        assert!(!orphans("JobId=42 SubmitTime=2026-11-27T06:09:52\n") && !orphans("JobId=9 SubmitTime=\n"));
        assert_eq!(lost.done, BTreeSet::from([60]));
        let said = "./1.9:[mig] device 9: no such MIG device is cut now; in a job\n./2.said.8:first\n\
            ./3.7:srun: error: Unable to create step for job 7: Invalid generic resource (gres) specification\n";
        assert_eq!(refused(said), BTreeSet::from([9, 7]));
        let log = "[t] [2.0] error: Unable to send \"ok\" to slurmd\n[t] [3.batch] done with step\n";
        assert_eq!(cut_off(log), BTreeSet::from([2]));
        let log = "[t] [217.0] error: Unable to receive \"ok ack\" from slurmd\n[t] [217.batch] stepd_cleanup: done with step\n";
        assert_eq!(cut_off(log), BTreeSet::from([217]));
        let not_begun = |between: &str| {
            let asks = "[t] launch task StepId=1.0 request from UID:2000 GID:2000 HOST:10.0.0.1 PORT:55612\n";
            let of_parts =
                "[t] launch task 4+4294967295.1 (StepId=5.1) request from UID:0 GID:0 HOST:10.0.0.1 PORT:5\n";
            cut_off(&format!("{asks}{of_parts}[t] [1.batch] x\n{between}"))
        };
        let begins = "[t] [mig] spank_mig 0.2.0\n[t] slurmd version 26.05.5 started\n";
        assert_eq!(not_begun(begins), BTreeSet::from([1, 5]));
        assert_eq!(not_begun(&format!("{begins}[t] [1.0] done with step\n")), BTreeSet::from([5]));
        assert_eq!(not_begun(&format!("[t] [5.1] x\n{begins}")), BTreeSet::from([1]));
        assert_eq!(not_begun(&format!("[t] Caught SIGTERM. Shutting down.\n{begins}")), BTreeSet::new());
        assert_eq!(not_begun(""), BTreeSet::new());
    }

    #[test]
    fn jobs_on_nodes_that_slurmctld_had_not_heard_of_are_in_its_log() {
        let log = "\
            [t] slurmctld version 22.05.8 started on cluster lab\n\
            [t] debug2: _slurm_rpc_node_registration complete for n1 usec=9\n\
            [t] sched: Allocate JobId=1 NodeList=n1 #CPUs=1 Partition=lab\n\
            [t] sched/backfill: _start_job: Started JobId=2 in lab on n[1-2]\n\
            [t] debug2: _slurm_rpc_node_registration complete for n2 usec=9\n\
            [t] sched/backfill: _start_job: Started JobId=3_0(4) in lab on n2\n\
            [t] slurmctld version 22.05.8 started on cluster lab\n\
            [t] sched/backfill: _start_job: Started JobId=5+0(6) in lab on n1\n\
            [t] Terminate signal SIGTERM received\n\
            [t] slurmctld version 22.05.8 started on cluster lab\n\
            [t] sched: Allocate JobId=7 NodeList=n1 #CPUs=1 Partition=lab\n";
        let nodes = ["n1".to_owned(), "n2".to_owned()];
        assert_eq!(unheard(log, &nodes), BTreeSet::from([2, 6, 7]));
        assert_eq!(leaders(log, &BTreeSet::from([2, 6])), BTreeSet::from([5]));
        assert_eq!(leaders(log, &BTreeSet::from([2, 4])), BTreeSet::new());
        // What it saved when it ended has it all; what it saved before it was killed may not.
        assert_eq!(unheard(&log.replace("22.05.8", "24.11.5"), &nodes), BTreeSet::from([2, 6]));
    }

    /// What else is wrong of them is.
    #[test]
    fn a_job_that_slurmctld_gave_what_it_did_not_know_may_have_another_kind_or_none() {
        assert_eq!(counts(&job(9, "2g.10gb", [20, 30], OWN)), [0; 5]);
        assert_eq!(counts(&job(9, "1g.5gb", [5, 30], OWN))[1], 1);
        assert_eq!(counts(&job(9, "1g.5gb", [20, 30], "/dev/nvidia0,")), [0, 2, 0, 0, 0]);
        let void = "[mig] device 9: no such MIG device is cut now; in a job\n";
        assert_eq!(counts(&format!("./1.9:{void}"))[0], 0);
        assert_eq!(counts(&format!("./1.8:{void}"))[0], 1);
    }

    #[test]
    fn what_is_wrong_is_seen() {
        let right = job(1, "1g.5gb", [20, 30], OWN);
        let after = job(2, "any", [31, 40], OWN);
        assert_eq!(counts(&format!("{right}./1.1:srun: error: x\n{after}")), [0; 5]);
        let torn = "./1.3:first 3/any 0 probe begin=20 job=3 open=/dev/nvidia0, end=2";
        assert_eq!(counts(&format!("{torn}srun: error: n1: task 0: Terminated\n"))[0], 1);
        assert_eq!(counts(&format!("{torn}x\n"))[0], 1);
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
        assert_eq!(counts("./1.1:srun: [mig] x\n./1.1:sh: 1: lab-probe: not found\n"), [2, 0, 0, 0, 0]);
        let log = |file: &str, why: &str| {
            format!("./1.1:(null): _log_init: Unable to open logfile `{file}': {why}\n")
        };
        assert_eq!(counts(&log("/var/log/slurm/slurmd-n2.log", "Permission denied"))[0], 0);
        assert_eq!(counts(&log("/var/log/slurm/slurmd-n2.log", "No space left on device"))[0], 1);
        assert_eq!(counts(&log("/var/log/other", "Permission denied"))[0], 1);
    }
}
