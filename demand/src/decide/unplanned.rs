//! What Slurm plans no job on. A job that waits for what others have is planned where the first of them ends by his limit, and from
//! then on the node is closed to all jobs, whole (`_add_reservation` in src/plugins/sched/backfill/backfill.c): what is idle of it, or is
//! cut there, goes to hardly anybody. What the job gets in the end is another thing, which this crate decides.
//!
//! What is closed is not planned on, whoever has it, and a job for which nothing is open closes nothing to others (`_pick_best_nodes`
//! in src/slurmctld/node_scheduler.c says that its nodes are not available, which `_schedule` passes over). So all of its profile closes
//! that somebody has; as one is given back it opens for whoever is first, as everything that is closed does.

use mig::Profile;

use super::{Asked, Look};
use crate::job::{Job, Reason, Share};
use crate::order::{Order, Verdict};

/// A job that has waited less is left to Slurm's plans: most get what they wait for sooner, and an order costs something.
const AFTER: u64 = 300;

impl Look<'_> {
    /// After all jobs were looked at, and before what is kept for nobody opens.
    pub(super) fn unplan<'j>(&mut self, jobs: impl Iterator<Item = Asked<'j>> + Clone, verdicts: &[Verdict]) {
        let mut profiles = Vec::new();
        for (Asked { job, .. }, verdict) in jobs.clone().zip(verdicts) {
            let waits = matches!(
                verdict,
                Verdict::Cordon { .. } | Verdict::Ends(_) | Verdict::Busy(_) | Verdict::Behind
            );
            if waits && job.waited >= AFTER {
                profiles.extend(job.shares.iter().flat_map(|share| &share.want).filter_map(|w| w.profile));
            }
        }
        profiles.sort_unstable();
        profiles.dedup();
        for profile in profiles {
            let wants = |share: &&Share| share.want.iter().any(|want| want.profile == Some(profile));
            let mut wanted = jobs
                .clone()
                .map(|asked| asked.job)
                .filter(|job| job.shares.iter().any(|share| wants(&share)));
            let sets: Vec<bool> =
                self.work.cluster.sets.iter().map(|set| self.is_all(set, profile)).collect();
            let of = |share: &Share| self.work.cluster.sets.get(share.set).map_or(0, Vec::len);
            let has_choice = |share: &Share| of(share) > share.nodes as usize && sets[share.set];
            // Slurm holds again what it holds already, while nothing of it is open.
            let may_lose =
                |job: &Job| job.reason != Reason::Held && job.shares.iter().filter(wants).all(has_choice);
            if wanted.all(may_lose) {
                self.close_busy(profile);
            }
        }
    }

    /// Whether these are all nodes of a profile. Of a job that names its nodes Slurm would say that it can never run, as it does where
    /// a job needs all that it may have.
    fn is_all(&self, set: &[usize], profile: Profile) -> bool {
        let has = |node: usize| {
            self.work.tables[node].desks.iter().any(|desk| {
                let model = self.work.model(desk);
                model.menu.contains(&profile) || model.masks.profile(profile) & desk.held != 0
            })
        };
        let all = (0..self.work.tables.len()).filter(|node| has(*node)).count();
        set.iter().filter(|node| has(**node)).count() == all
    }

    /// Closes what somebody has of a profile, unless it is.
    fn close_busy(&mut self, profile: Profile) {
        for node in 0..self.work.tables.len() {
            if self.work.tables[node].underway || !self.work.tables[node].usable {
                continue;
            }
            let mut close = Vec::new();
            for gpu in 0..self.work.tables[node].desks.len() {
                let desk = &self.work.tables[node].desks[gpu];
                if !desk.cuttable {
                    continue;
                }
                let held = desk.ends.iter().fold(0, |held, (bit, _)| held | bit);
                let busy = held & self.work.model(desk).masks.profile(profile);
                close.push((gpu, busy & !(desk.draining | desk.kept)));
                self.work.tables[node].desks[gpu].kept |= busy;
            }
            self.order(node, &close, None, Order::Close);
        }
    }
}
