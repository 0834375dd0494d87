//! What was wrong, from an account that nothing of `gresgen` has a part in: what tasks could open, when which device was
//! there, and what Slurm says of jobs and nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lab::{Fleet, JobId, LabError, Probe, Release};

use crate::history::{self, Life};
use crate::jobs::Submitted;

/// What ran, in words.
impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { jobs, completed, cancelled, restarts, tasks, whole, denied, forgotten } = self;
        write!(
            out,
            "{jobs} jobs, {completed} completed, {cancelled} cancelled, {restarts} begun anew, {forgotten} forgotten by a slurmctld \
             that was killed; {tasks} tasks, {whole} of them to their end, denied {denied} devices"
        )
    }
}

/// Counts that have to be 0, each with what was seen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Submissions that slurmctld refused.
    pub(crate) rejected: Vec<String>,
    /// Jobs that ended otherwise than they should.
    pub(crate) failed: Vec<String>,
    /// Tasks with another device than one they were told of, or one that was not there.
    pub(crate) wrong: Vec<String>,
    /// Tasks whose devices were not of the kind and number that were asked for.
    pub(crate) other: Vec<String>,
    /// Devices with tasks of two jobs at one time.
    pub(crate) shared: Vec<String>,
    /// Devices destroyed while a task had them.
    pub(crate) touched: Vec<String>,
    /// Drains of the admin that did not last until the admin took them back.
    pub(crate) undrained: Vec<String>,
    /// What was left behind.
    pub(crate) left: Vec<String>,
}

/// What ran.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Jobs by Slurm's count: elements and components are one each.
    pub(crate) jobs: usize,
    pub(crate) completed: usize,
    pub(crate) cancelled: usize,
    /// Times that a job began anew: preempted, or requeued by an admin.
    pub(crate) restarts: u64,
    /// Tasks that began, and said what they could open.
    pub(crate) tasks: usize,
    /// Of these, tasks that came to their end.
    pub(crate) whole: usize,
    /// Devices that a task was denied, all tasks together.
    pub(crate) denied: usize,
    /// Jobs that slurmctld, which was killed, had not yet saved.
    pub(crate) forgotten: usize,
}

impl Faults {
    fn rows(&self) -> [(&'static str, &Vec<String>); 8] {
        [
            ("rejected", &self.rejected),
            ("failed", &self.failed),
            ("wrong", &self.wrong),
            ("of another kind", &self.other),
            ("shared", &self.shared),
            ("touched", &self.touched),
            ("undrained", &self.undrained),
            ("left behind", &self.left),
        ]
    }

    /// `0 rejected, 0 failed, ...`
    pub(crate) fn counts(&self) -> String {
        self.rows().map(|(name, seen)| format!("{} {name}", seen.len())).join(", ")
    }

    /// All that was seen; empty where all was right.
    pub(crate) fn text(&self) -> String {
        let rows = self.rows();
        let lines =
            rows.iter().flat_map(|(name, seen)| seen.iter().map(move |seen| format!("{name}: {seen}\n")));
        lines.collect()
    }
}

/// A task in one run of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
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
    let mut tally = Tally { jobs: submitted.jobs.values().map(|form| form.jobs).sum(), ..Tally::default() };
    let orphans = if ctld_killed { orphans(fleet) } else { BTreeSet::new() };
    let said = said(fleet.lab.release(), &output, faults);
    states(submitted, &records, &said, ctld_killed, &orphans, faults, &mut tally);
    devices(&said, lives, &orphans, faults, &mut tally);
    Ok(tally)
}

/// Jobs of which slurmctld, after it was killed, did not know that they ran: it starts them again or ends them where it finds them,
/// and may have given away what they have. That is Slurm's own: it saves what it decided some seconds later.
fn orphans(fleet: &Fleet) -> BTreeSet<JobId> {
    let log = fleet.lab.read_file("/var/log/slurm/slurmctld.log").unwrap_or_default();
    let of_line = |line: &str| {
        let number = line.split("JobId=").nth(1)?;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    log.lines()
        .filter(|line| line.contains("rphan") || line.contains("batch script"))
        .filter_map(of_line)
        .collect()
}

fn states(
    submitted: &Submitted,
    records: &[Record],
    said: &Said,
    ctld_killed: bool,
    orphans: &BTreeSet<JobId>,
    faults: &mut Faults,
    tally: &mut Tally,
) {
    for (id, form) in &submitted.jobs {
        let own: Vec<&Record> =
            records.iter().filter(|record| record.id == *id || record.array == *id).collect();
        let cancelled = submitted.cancelled.contains(id);
        if own.is_empty() {
            tally.forgotten += 1;
            if !ctld_killed {
                faults.failed.push(format!("job {id}: slurmctld does not know it"));
            }
        }
        for record in own {
            tally.restarts += record.restarts;
            match record.state.as_str() {
                "COMPLETED" => tally.completed += 1,
                "CANCELLED" if cancelled => tally.cancelled += 1,
                _ if cancelled => {}
                _ if orphans.contains(&record.id) => tally.forgotten += 1,
                _ => faults.failed.push(record.line.clone()),
            }
        }
        let complete =
            records.iter().filter(|r| r.id == *id || r.array == *id).all(|r| r.state == "COMPLETED");
        let whole = |job: JobId| {
            let runs = said.iter().filter(|(task, probes)| task.job == job && probes.len() == 2);
            runs.map(|(task, _)| (&task.step, &task.task, &task.must)).collect::<BTreeSet<_>>().len()
        };
        let jobs = records.iter().filter(|r| r.id == *id || r.array == *id).map(|record| record.id);
        let tasks: usize = jobs.map(whole).sum();
        // A heterogeneous job has its tasks in its components together.
        let expected = if form.arguments.is_empty() { form.tasks } else { form.tasks * form.jobs };
        if complete && !cancelled && tasks != expected && tasks > 0 {
            faults.other.push(format!(
                "job {id} {:?}: {tasks} of {expected} tasks came to their end",
                form.arguments
            ));
        }
    }
}

fn said(release: Release, output: &str, faults: &mut Faults) -> Said {
    let mut said = Said::new();
    for line in output.lines().filter(|line| !line.trim().is_empty()) {
        let Some((before, _)) = line.split_once(" probe begin=") else {
            if !is_usual(release, line) {
                faults.failed.push(format!("said: {line}"));
            }
            continue;
        };
        let probe = Probe::parse_all(line).pop().expect("a probe");
        let words: Vec<&str> = before.split(' ').collect();
        let [moment, must, run] = words[..] else {
            faults.failed.push(format!("said: {line}"));
            continue;
        };
        let task = Task {
            job: probe.job.parse().unwrap_or(0),
            step: probe.step.clone(),
            task: probe.task.clone(),
            node: probe.node.clone(),
            run: run.to_owned(),
            must: must.to_owned(),
        };
        said.entry(task).or_default().insert(moment.to_owned(), probe);
    }
    said
}

/// What Slurm says to a job that it ends or to one that waits, none of which is a fault.
fn is_usual(release: Release, line: &str) -> bool {
    const USUAL: [&str; 12] = [
        "CANCELLED",
        "Job step aborted",
        "Force Terminated",
        "forcing job termination",
        "Terminated",
        "Killed",
        "REQUEUE",
        "PREEMPT",
        "Step creation temporarily disabled",
        "Step created for",
        "Job step creation",
        "Unable to contact slurm controller",
    ];
    // srun of 26.05 says now and then, when it ends, that its own socket is closed already.
    let of_socket = release == Release::Sid && line.starts_with("srun: error: _attempt_accept: ");
    of_socket || USUAL.iter().any(|usual| line.contains(usual))
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
            let life = history::at(&lives[&task.node], uuid, begin);
            if let Some(gone) = life.and_then(|life| life.gone).filter(|gone| *gone <= end) {
                faults
                    .touched
                    .push(format!("{uuid} went before {gone}, {task:?} had it from {begin} to {end}"));
            }
        }
        if orphans.contains(&task.job) {
            continue;
        }
        for uuid in first.cuda_list() {
            let (node, _) = lives.get_key_value(&task.node).expect("a node");
            uses.entry((node, uuid)).or_default().push((begin, end, task));
        }
    }
    for ((node, uuid), mut times) in uses {
        times.sort_unstable();
        // The one that ends last of those before may overlap with any that follows.
        let mut longest: Option<Use<'_>> = None;
        for next in times {
            if let Some(before) = longest.filter(|before| before.1 > next.0 && before.2.job != next.2.job) {
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
    let files: BTreeSet<PathBuf> = there.iter().flat_map(|life| life.files.iter().cloned()).collect();
    let open: BTreeSet<PathBuf> = probe.open.iter().filter(|file| is_limited(file)).cloned().collect();
    if open != files {
        faults
            .wrong
            .push(format!("{task:?} was told of {told:?}, which is {files:?}, and could open {open:?}"));
    }
    let mut kinds: Vec<&str> = there.iter().map(|life| life.kind.as_str()).collect();
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
