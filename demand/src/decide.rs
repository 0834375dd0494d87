//! One look: orders, and a word on every job.

mod idle;
mod serve;
mod steer;
mod unplanned;

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::job::{Job, Reason, Share};
use crate::memory::Memory;
use crate::order::{Order, Verdict};
use crate::policy::Policy;
use crate::shapes::Shapes;
use crate::work::{Taken, Work};

/// What one look ends in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done. A node has one cut at most; what opens or closes beside it is about other instances.
    pub orders: Vec<Order>,
    /// What is said about each job, in the order in which they were given.
    pub verdicts: Vec<Verdict>,
    /// Positions of nodes that have, as they are, what a job waits for that Slurm has looked at and not started.
    pub free: BTreeSet<usize>,
}

/// Decides what to do for jobs that wait, which come in Slurm's order. `now` is on the clock of all times given.
///
/// Orders name only idle instances to be destroyed, and places that are legal beside all that stays. An order may come too late:
/// whoever carries it out closes, looks again, and leaves alone what has been given away meanwhile.
///
/// # Panics
/// When a node's GPU names a model, or a set a node, that the cluster lacks.
pub fn decide(cluster: &Cluster, jobs: &[Job], policy: &Policy, now: u64) -> Decision {
    Memory::default().decide(cluster, jobs, policy, now)
}

impl Memory {
    /// As [`decide()`], and in less time where much is as it was.
    ///
    /// # Panics
    /// As [`decide()`].
    pub fn decide(&mut self, cluster: &Cluster, jobs: &[Job], policy: &Policy, now: u64) -> Decision {
        self.begin(&cluster.models);
        let mut work = Work::new(cluster, policy, now);
        let (mut shapes, numbers) = Shapes::new(jobs, &cluster.models, self);
        let jobs = || jobs.iter().zip(&numbers).map(|(job, numbers)| Asked { job, numbers });
        spare(&mut work, &mut shapes, jobs());
        let mut look = Look { work, shapes, policy, now, orders: Vec::new(), free: BTreeSet::new() };
        let verdicts: Vec<Verdict> = jobs().map(|job| look.job(job)).collect();
        if policy.steer {
            look.unplan(jobs(), &verdicts);
        }
        look.rest();
        if policy.steer {
            look.steer();
        }
        Decision { orders: look.orders, verdicts, free: look.free }
    }
}

/// What Slurm says of an array of which as many elements run as its throttle lets, when it looks next (`job_array_start_test`,
/// src/slurmctld/job_mgr.c).
const ARRAY_LIMIT: &str = "JobArrayTaskLimit";

/// A job, with the numbers of its shares.
#[derive(Clone, Copy)]
struct Asked<'a> {
    job: &'a Job,
    numbers: &'a [usize],
}

impl<'a> Asked<'a> {
    fn shares(self) -> impl Iterator<Item = (usize, &'a Share)> {
        self.numbers.iter().copied().zip(&self.job.shares)
    }
}

/// A look under way.
struct Look<'a> {
    work: Work<'a>,
    shapes: Shapes<'a>,
    policy: &'a Policy,
    now: u64,
    orders: Vec<Order>,
    free: BTreeSet<usize>,
}

impl<'a> Look<'a> {
    /// Looks at one job, element by element.
    fn job(&mut self, asked: Asked<'_>) -> Verdict {
        let Asked { job, numbers } = asked;
        if let Reason::Other(reason) = &job.reason {
            return Verdict::Other(reason.clone());
        }
        let Look { work, shapes, .. } = self;
        if !numbers.iter().all(|&number| shapes.is_possible(number, |share| is_possible(work, share)))
            || !has_nodes(work, job)
        {
            return Verdict::Never;
        }
        if job.may_start() == 0 {
            return Verdict::Other(ARRAY_LIMIT.to_owned());
        }
        let mut last = Verdict::There;
        for _ in 0..job.may_start() {
            let taken = take(&mut self.work, &mut self.shapes, asked);
            if let Some(taken) = taken.as_ref().filter(|_| job.reason == Reason::Resources) {
                self.free.extend(taken.iter().map(|(_, one)| one.node));
            }
            match taken {
                Some(taken) if self.is_ignored(job, &taken) => {
                    for (share, one) in &taken {
                        self.work.give_back(one, share);
                        self.work.claim(one);
                    }
                    return Verdict::NotStarted(self.policy.grace);
                }
                Some(_) => {}
                None if job.waited < self.policy.patience => {
                    return Verdict::Patience(self.policy.patience - job.waited);
                }
                None => {
                    last = self.serve(asked);
                    if !matches!(
                        last,
                        Verdict::Cut(_) | Verdict::Opens | Verdict::Cordon { .. } | Verdict::Ends(_)
                    ) {
                        break;
                    }
                }
            }
        }
        last
    }

    /// Whether Slurm has had the time to start the job on what is there, and has not.
    fn is_ignored(&self, job: &Job, taken: &[(&Share, Taken)]) -> bool {
        let stale =
            |node: usize, gpu: usize, mask: u128| self.work.tables[node].desks[gpu].stale & mask == mask;
        let all_stale = |one: &Taken| one.gpus.iter().all(|&(gpu, mask)| stale(one.node, gpu, mask));
        matches!(job.reason, Reason::Resources | Reason::Held)
            && job.waited >= self.policy.grace
            && taken.iter().all(|(_, one)| all_stale(one))
    }
}

/// Whether as many nodes as it wants could be cut into one of each kind that is wanted, or have it.
fn is_possible(work: &Work<'_>, share: &Share) -> bool {
    let set = work.cluster.sets.get(share.set).map_or(&[][..], Vec::as_slice);
    let wanted = share.nodes as usize;
    let could = |node: usize, profile| {
        work.tables[node].desks.iter().any(|desk| {
            let model = work.model(desk);
            (desk.cuttable && model.menu.contains(&profile)) || model.masks.profile(profile) & desk.held != 0
        })
    };
    set.len() >= wanted
        && share
            .want
            .iter()
            .filter_map(|want| want.profile)
            .all(|profile| set.iter().filter(|&&node| could(node, profile)).take(wanted).count() == wanted)
}

/// Whether all its shares together may have as many nodes as they want: no two are on the same.
fn has_nodes(work: &Work<'_>, job: &Job) -> bool {
    if job.shares.len() < 2 {
        return true;
    }
    let sets = job.shares.iter().filter_map(|share| work.cluster.sets.get(share.set));
    let nodes: BTreeSet<usize> = sets.flatten().copied().collect();
    nodes.len() >= job.nodes() as usize
}

/// What Slurm can give a job of what is open; all of it or nothing, and each share on other nodes. The components of a
/// heterogeneous job never share one: Slurm takes from each the nodes of those before it (`_het_job_start_now` in
/// src/plugins/sched/backfill/backfill.c, `used_bitmap`, of 22.05, 24.11 and 26.05; the other scheduler starts none).
fn take<'a>(
    work: &mut Work<'_>,
    shapes: &mut Shapes<'_>,
    asked: Asked<'a>,
) -> Option<Vec<(&'a Share, Taken)>> {
    let mut all: Vec<(&Share, Taken)> = Vec::new();
    for (number, share) in asked.shares() {
        let mut taken = Vec::new();
        let except: Vec<usize> = all.iter().map(|(_, one)| one.node).collect();
        if !shapes.take(number, work, &except, &mut taken) {
            all.iter().for_each(|(share, one)| work.give_back(one, share));
            if asked.numbers.len() > 1 {
                // It failed beside the others, which says nothing of it alone.
                shapes.forget(number);
            }
            return None;
        }
        all.extend(taken.into_iter().map(|one| (share, one)));
    }
    Some(all)
}

/// Notes which of the instances made a moment ago a job can have as they are: they were made for it, and Slurm may be about to
/// start it, whoever else waits.
fn spare<'a>(work: &mut Work<'_>, shapes: &mut Shapes<'_>, jobs: impl Iterator<Item = Asked<'a>>) {
    if work.tables.iter().all(|table| table.desks.iter().all(|desk| desk.fresh == 0)) {
        return;
    }
    let mut trial = work.fork();
    for asked in jobs.filter(|asked| !matches!(asked.job.reason, Reason::Other(_))) {
        for _ in 0..asked.job.may_start() {
            if take(&mut trial, shapes, asked).is_none() {
                break;
            }
        }
    }
    shapes.begin_again();
    for (table, tried) in work.tables.iter_mut().zip(&trial.tables) {
        for (gpu, tried) in tried.desks.iter().enumerate() {
            table.spare(gpu, table.desks[gpu].fresh & tried.stays);
        }
    }
}
