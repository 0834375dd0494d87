//! What is replayed: jobs on a cluster, and how its scheduler goes about them.

/// A job, as the scheduler sees it, with its real run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// When it may first start, in seconds.
    pub submit: u32,
    /// How long it runs, in seconds.
    pub run: u32,
    /// Its time limit, in seconds; a job that runs longer is expected to end at any moment.
    pub limit: u32,
    /// Higher goes first.
    pub priority: u32,
    /// The pool it asks for.
    pub pool: u16,
    /// Slots on each node.
    pub count: u32,
    /// Nodes.
    pub nodes: u32,
}

/// What jobs run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Of each pool, the slots of each node. All pools have the same nodes.
    pub pools: Vec<Vec<u32>>,
}

/// How the scheduler goes about it; the default is Slurm's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Seconds between passes of backfill; 0: whenever something has changed.
    pub interval: u32,
    /// Jobs that a pass looks at.
    pub depth: usize,
    /// Seconds that it looks ahead.
    pub window: u32,
    /// Seconds that plans are rounded to.
    pub resolution: u32,
    /// Waiting jobs that are planned, 0 for all. With 1 this is EASY backfill.
    pub reserve: u32,
}

impl Default for Rules {
    /// The defaults of `bf_interval`, `bf_max_job_test`, `bf_window`, `bf_resolution` and `bf_job_part_count_reserve`
    /// (slurm.conf(5), SchedulerParameters).
    fn default() -> Self {
        Rules { interval: 30, depth: 500, window: 24 * 3600, resolution: 60, reserve: 0 }
    }
}

/// A node gets other slots: it takes no job from `at` on, and opens with the new slots so many seconds after its last
/// job has ended, as with `gresgen apply --drain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// When it closes, in seconds.
    pub at: u32,
    /// The node.
    pub node: usize,
    /// Its slots of each pool afterwards.
    pub slots: Vec<u32>,
    /// Seconds from its last job's end to its return.
    pub takes: u32,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It started, at this second.
    At(u32),
    /// The cluster has never had room for it.
    Never,
}
