//! Jobs that slurmctld is made to look at again.
//!
//! It holds a job of which nothing is open on the nodes that it names: it takes it for one that can never run. Any change of such a job
//! ends that (`_update_job` in src/slurmctld/job_mgr.c, `FAIL_BAD_CONSTRAINTS`), and none of a job that somebody holds.
//! A job that is held again, though all that it asks for was open, lacks something else: it is left alone for longer each time.

use std::collections::BTreeMap;

use crate::demand::Waiting;

/// Seconds for which a job is left alone after the first time, and at most.
const PAUSES: (u64, u64) = (8, 600);

/// Most jobs in one pass: slurmctld begins to schedule for each.
const MOST: usize = 4;

/// A job that was held for so long no more is held for another reason than before, in seconds.
const FORGOTTEN: u64 = 120;

/// Those that slurmctld was made to look at, by number.
#[derive(Debug, Default)]
pub(super) struct Recall {
    /// When, and for how long it is left alone from then on.
    jobs: BTreeMap<u32, (u64, u64)>,
}

impl Recall {
    /// The clock was set back to this time.
    pub(super) fn set_back(&mut self, now: u64) {
        self.jobs.values_mut().for_each(|(at, _)| *at = now.min(*at));
    }

    /// Whether a job is left alone now, should it be held.
    pub(super) fn rests(&self, job: u32, now: u64) -> bool {
        self.jobs.get(&job).is_some_and(|(at, pause)| now.saturating_sub(*at) < *pause)
    }

    /// Whether it was held again before, so that nothing says that Slurm, which has yet to look at it, holds it no more.
    pub(super) fn doubts(&self, job: u32, now: u64) -> bool {
        self.rests(job, now) && self.jobs.get(&job).is_some_and(|(_, pause)| *pause > PAUSES.0)
    }

    /// Which of these jobs slurmctld is to look at now, each with its user: those first that it was made to look at least often, and of
    /// each user one before another's second.
    pub(super) fn first(&self, mut jobs: Vec<(String, u32)>) -> Vec<u32> {
        jobs.sort_by_key(|(_, job)| (self.jobs.get(job).map(|(_, pause)| *pause), *job));
        let mut before: BTreeMap<&str, usize> = BTreeMap::new();
        let turns = jobs.iter().map(|(user, job)| {
            let turn = before.entry(user).or_default();
            *turn += 1;
            (*turn, *job)
        });
        let mut turns: Vec<(usize, u32)> = turns.collect();
        turns.sort_by_key(|(turn, _)| *turn);
        turns.into_iter().take(MOST).map(|(_, job)| job).collect()
    }

    /// Slurmctld was made to look at a job.
    pub(super) fn looked(&mut self, job: u32, now: u64) {
        // One that might have been looked at long before was held because nothing was open, which is no fault of it.
        let again = self.jobs.get(&job).filter(|(at, pause)| now.saturating_sub(*at) < pause + FORGOTTEN);
        let pause = again.map_or(PAUSES.0, |(_, pause)| pause.saturating_mul(2).min(PAUSES.1));
        self.jobs.insert(job, (now, pause));
    }

    /// Forgets jobs that wait no more, and those that have long been held no more. `jobs` are all that wait.
    pub(super) fn keep<'a>(&mut self, jobs: impl Iterator<Item = &'a Waiting>, now: u64) {
        let held: BTreeMap<u32, bool> = jobs.map(|job| (job.id, job.held)).collect();
        self.jobs.retain(|job, (at, _)| match held.get(job) {
            Some(held) => *held || now.saturating_sub(*at) < FORGOTTEN,
            None => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_held_again_is_left_alone_for_longer() {
        let mut recall = Recall::default();
        let mut pauses = Vec::new();
        let mut now = 1000;
        for _ in 0..9 {
            assert!(!recall.rests(7, now) && !recall.rests(8, now));
            recall.looked(7, now);
            let begin = now;
            while recall.rests(7, now) {
                recall.keep([Waiting::unread(7, true)].iter(), now);
                now += 1;
            }
            pauses.push(now - begin);
        }
        assert_eq!(pauses, [8, 16, 32, 64, 128, 256, 512, 600, 600]);
        // That it waits for its turn for a moment says nothing, and for longer that it was taken back.
        recall.looked(7, now);
        recall.keep([Waiting::unread(7, false)].iter(), now + 119);
        assert!(recall.rests(7, now + 120));
        recall.set_back(now - 50);
        assert!(recall.rests(7, now + 549) && !recall.rests(7, now + 550));
        recall.keep([Waiting::unread(7, false)].iter(), now + 70);
        assert!(recall.jobs.is_empty());
        for (job, times) in [(7, 2), (8, 1), (9, 3), (10, 1)] {
            (0..times).for_each(|_| recall.looked(job, now));
        }
        let of =
            |user: &str, jobs: &[u32]| jobs.iter().map(|job| (user.to_owned(), *job)).collect::<Vec<_>>();
        assert_eq!(recall.first(of("a", &[7, 8, 9, 10, 11])), [11, 8, 10, 7]);
        // Who has many keeps nobody from his turn.
        let many = [of("a", &[21, 22, 23, 24, 25]), of("b", &[9]), of("c", &[30])].concat();
        assert_eq!(recall.first(many), [21, 30, 9, 22]);
        // It lay for long because nothing was open.
        recall.looked(9, now + 32 + FORGOTTEN);
        assert!(!recall.rests(9, now + 32 + FORGOTTEN + PAUSES.0));
        recall = Recall::default();
        recall.looked(7, now);
        recall.keep([Waiting::unread(8, true)].iter(), now + 1);
        assert!(recall.jobs.is_empty(), "it waits no more");
    }
}
