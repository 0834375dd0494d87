//! What ran in a storm, and what was wrong.

use std::collections::BTreeSet;

use lab::JobId;

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
    /// Jobs of which a slurmd that was killed was about to begin a step.
    pub(crate) cut_off: usize,
    /// Jobs that slurmctld started on nodes of which it had not heard since it began itself: it did not know what it gave.
    pub(crate) unheard: usize,
    /// Of these, jobs that failed or had something else than they asked for.
    pub(crate) misled: BTreeSet<JobId>,
    /// Jobs whose srun found no slurmctld, while none was there.
    pub(crate) unreached: usize,
    /// Times that slurmctld held a job, since nothing was open of what it may have.
    pub(crate) held: usize,
}

/// What ran, in words.
impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            jobs,
            completed,
            cancelled,
            restarts,
            tasks,
            whole,
            denied,
            forgotten,
            cut_off,
            unheard,
            misled,
            unreached,
            held,
        } = self;
        let misled = misled.len();
        write!(
            out,
            "{jobs} jobs, {completed} completed, {cancelled} cancelled, {restarts} begun anew, {forgotten} forgotten by a slurmctld \
             that was killed, {cut_off} cut off by a slurmd that was, {unheard} started before their node had registered ({misled} of them misled), {unreached} whose srun found no slurmctld, {held} times one was held; {tasks} tasks, {whole} of them to their end, denied {denied} devices"
        )
    }
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
