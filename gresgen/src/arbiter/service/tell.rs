//! Telling users by the AdminComment of their jobs, which has slurmctld look again at those that it holds. That it fails changes nothing
//! else.

use std::collections::BTreeMap;

use super::{AWAY, Running};
use crate::arbiter::event::{Event, Kind};
use crate::arbiter::remarks::{AGAIN, OURS};
use crate::arbiter::step::Said;
use crate::arbiter::wire::shown;
use crate::demand::Waiting;
use crate::slurm::SlurmError;
use crate::slurm::control::Control;

/// After slurmctld has denied a comment, none is tried for so long, in seconds.
const NO_COMMENTS: u64 = 600;

impl Running<'_, '_> {
    /// Tells what is due, of all jobs that wait, and so has slurmctld look at some `again`.
    pub(super) fn comment(&mut self, jobs: &[(Waiting, Said)], again: &[u32], now: u64) {
        if now < self.silent_until {
            return;
        }
        let due = if self.service.comments {
            let said: Vec<(u32, &Said)> = jobs.iter().map(|(job, said)| (job.id, said)).collect();
            let held = jobs.iter().filter(|(job, _)| job.held && !again.contains(&job.id));
            let held = held.map(|(job, _)| job.id).collect();
            self.remarks.take(&said, (again, held), now, &self.zone);
            self.remarks.due(now)
        } else {
            again.iter().map(|job| (*job, String::new())).collect()
        };
        self.tell_due(&due, again, now);
    }

    /// Tells what has come of cuts since the last pass.
    pub(super) fn comment_on_cuts(&mut self, now: u64) {
        while self.service.comments && now >= self.silent_until {
            let due = self.remarks.due_at_once(now);
            if due.is_empty() {
                break;
            }
            self.tell_due(&due, &[], now);
        }
    }

    /// Where that fails nobody is told anything for a while.
    fn tell_due(&mut self, due: &[(u32, String)], again: &[u32], now: u64) {
        if due.is_empty() {
            return;
        }
        if let Err(error) = self.tell(due, again, now) {
            let pause = if error.is_denied() { NO_COMMENTS } else { AWAY.as_secs() };
            self.silent_until = now + pause;
            let what = shown(&error.to_string());
            self.say(Event::new(
                Kind::Slurmctld,
                format!("takes no AdminComment, none is written for a while: {what}"),
            ));
        }
    }

    /// Those that could not be told for want of slurmctld are due again.
    fn tell(&mut self, due: &[(u32, String)], again: &[u32], now: u64) -> Result<(), SlurmError> {
        let control = Control::connect()?;
        let jobs: Vec<u32> = due.iter().map(|(job, _)| *job).collect();
        let free = if self.service.comments { control.may_comment(&jobs, OURS)? } else { BTreeMap::new() };
        for (job, text) in due {
            let event = |says: &str| Event::new(Kind::Job, says).for_job(Some(&job.to_string()));
            let (done, says) = if free.get(job) == Some(&true) {
                (control.set_admin_comment(*job, text), text.trim_start_matches(OURS))
            } else if again.contains(job) {
                (control.touch(*job), AGAIN)
            } else {
                (Ok(()), "")
            };
            match done {
                Ok(()) if says.is_empty() => {}
                Ok(()) => self.say(event(says)),
                // Elements of an array that wait are told, those that have ended are named (`update_job_str` in
                // src/slurmctld/job_mgr.c).
                Err(error) if error.is_of_ended_job() => {}
                // One that nobody may change, as those of scrontab (`_update_job` there), keeps no other from being told.
                Err(error @ SlurmError::Refused { .. }) if !error.is_denied() => {
                    // One that is ending refuses everybody.
                    Control::connect()?;
                    self.say(event(&format!("is told nothing: {}", shown(&error.to_string()))));
                }
                Err(error) => return Err(error),
            }
            if again.contains(job) {
                self.recall.looked(*job, now);
            }
            self.remarks.told(*job, text);
        }
        Ok(())
    }
}
