//! What users are told of their jobs: a line in the job's AdminComment, which `scontrol show job` prints.
//!
//! A comment is somebody else's unless it is empty or begins with our name. Nothing that a user wrote is repeated in one.

use std::collections::{BTreeMap, BTreeSet};

use ::demand::Verdict;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::demand::Cannot;
use crate::slurm::hostlist;

/// Begins every comment of ours.
pub(super) const OURS: &str = "gresgen: ";

/// Seconds for which a verdict has to stand before it is told. A cut is told at once.
const STANDS: u64 = 5;

/// Most jobs that are told something in one pass: slurmctld works for each.
const MOST: usize = 8;

/// What was said, by the number of the job.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    jobs: BTreeMap<u32, Remark>,
}

#[derive(Debug, Default)]
struct Remark {
    told: String,
    /// What is to be told, since when.
    next: String,
    since: u64,
    /// The job was cut for, which stays true of it.
    lasting: bool,
}

impl Remarks {
    /// The clock was set back to this time.
    pub(super) fn set_back(&mut self, now: u64) {
        self.jobs.values_mut().for_each(|remark| remark.since = remark.since.min(now));
    }

    /// What is to be told now: job, and text, empty where nothing is true any more. `jobs` are all that wait.
    pub(super) fn due(
        &mut self,
        jobs: &[(u32, &Result<Verdict, Cannot>)],
        now: u64,
        zone: &TimeZone,
    ) -> Vec<(u32, String)> {
        let mut due = Vec::new();
        for (id, said) in jobs {
            let Some((text, at_once)) = says(said, zone) else { continue };
            let remark = self.jobs.entry(*id).or_default();
            if remark.next != text {
                (remark.next, remark.since) = (text, now);
            }
            let stands = at_once || now.saturating_sub(remark.since) >= STANDS;
            if remark.next != remark.told && stands && due.len() < MOST {
                remark.told.clone_from(&remark.next);
                remark.lasting = at_once;
                due.push((*id, format!("{OURS}{}", remark.told)));
            }
        }
        let waits: BTreeSet<u32> = jobs.iter().map(|(id, _)| *id).collect();
        let ended: Vec<u32> = self.jobs.keys().filter(|id| !waits.contains(id)).copied().collect();
        for id in ended {
            if self.jobs.get(&id).is_some_and(|remark| !remark.told.is_empty() && !remark.lasting) {
                if due.len() >= MOST {
                    continue;
                }
                due.push((id, String::new()));
            }
            self.jobs.remove(&id);
        }
        due
    }
}

/// What a user is told, and whether at once; `None` for what passes by itself in a moment.
fn says(said: &Result<Verdict, Cannot>, zone: &TimeZone) -> Option<(String, bool)> {
    let verdict = match said {
        Ok(verdict) => verdict,
        Err(Cannot::Type(_)) => return Some(("no GPU is cut into the type it asks for".to_owned(), false)),
        Err(Cannot::Several(_)) => {
            return Some((
                "the type it asks for is several profiles, so nothing is cut for it".to_owned(),
                false,
            ));
        }
        Err(why) => return Some((format!("nothing is cut for it: {}", unread(why)), false)),
    };
    let nodes = |nodes: &[String]| hostlist::fold(nodes.iter().map(String::as_str));
    let text = match verdict {
        Verdict::Cut(on) => return Some((format!("cut for it on {}", nodes(on)), true)),
        Verdict::Cordon { nodes: on, until: Some(until) } => {
            format!("kept for it on {}, free at {} at the latest", nodes(on), clock(*until, zone))
        }
        Verdict::Cordon { nodes: on, until: None } => {
            format!("kept for it on {}, free when the jobs there end", nodes(on))
        }
        Verdict::Resources => "no node that can be cut so has the CPUs and memory free".to_owned(),
        Verdict::Never => "no node it may use can be cut so".to_owned(),
        Verdict::Behind => "nothing is idle, and jobs before it wait for what falls idle next".to_owned(),
        Verdict::Limit => "the nodes it may use were cut too often this hour".to_owned(),
        Verdict::NotStarted(_) => {
            "what it asks for is free, and Slurm lacks something else for it".to_owned()
        }
        Verdict::There
        | Verdict::Other(_)
        | Verdict::Patience(_)
        | Verdict::Opens
        | Verdict::Ends(_)
        | Verdict::Busy(_)
        | Verdict::UnderWay
        | Verdict::Depth => return None,
    };
    Some((text, false))
}

/// Why a job is not looked at.
fn unread(why: &Cannot) -> &'static str {
    match why {
        Cannot::Request | Cannot::Array | Cannot::Type(_) | Cannot::Several(_) => {
            "its request cannot be read"
        }
        Cannot::Nodes => "which nodes it may use cannot be read",
        Cannot::Socket => "it asks for GPUs per socket",
        Cannot::Whole => "it asks for whole nodes",
        Cannot::Shares => "it asks for shares of GPUs",
    }
}

/// `11-28 14:30`, in the time zone of this host, as squeue has it.
fn clock(at: u64, zone: &TimeZone) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_second(at).ok()).unwrap_or(Timestamp::MAX);
    at.to_zoned_datetime(zone.clone()).strftime("%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(remarks: &mut Remarks, said: &[(u32, Result<Verdict, Cannot>)], now: u64) -> Vec<(u32, String)> {
        let jobs: Vec<_> = said.iter().map(|(id, said)| (*id, said)).collect();
        remarks.due(&jobs, now, &TimeZone::UTC)
    }

    #[test]
    fn a_job_is_told_once_what_stands() {
        let mut remarks = Remarks::default();
        let never = [(7, Ok(Verdict::Never))];
        assert_eq!(due(&mut remarks, &never, 100), []);
        let told = vec![(7, "gresgen: no node it may use can be cut so".to_owned())];
        assert_eq!(due(&mut remarks, &never, 105), told);
        assert_eq!(due(&mut remarks, &never, 106), []);
        // A word in between does not count, one that stands does.
        assert_eq!(due(&mut remarks, &[(7, Ok(Verdict::UnderWay))], 107), []);
        assert_eq!(due(&mut remarks, &never, 120), []);
        let kept =
            [(7, Ok(Verdict::Cordon { nodes: vec!["n1".into(), "n2".into()], until: Some(1_795_743_367) }))];
        assert_eq!(due(&mut remarks, &kept, 121), []);
        let text = "gresgen: kept for it on n[1-2], free at 11-27 01:36 at the latest";
        assert_eq!(due(&mut remarks, &kept, 126), [(7, text.to_owned())]);
        // It runs, elsewhere perhaps.
        assert_eq!(due(&mut remarks, &[], 127), [(7, String::new())]);
        assert_eq!(due(&mut remarks, &[], 128), []);
    }

    #[test]
    fn a_cut_is_told_at_once_and_stays() {
        let mut remarks = Remarks::default();
        let cut = [(7, Ok(Verdict::Cut(vec!["n1".into()])))];
        assert_eq!(due(&mut remarks, &cut, 100), [(7, "gresgen: cut for it on n1".to_owned())]);
        assert_eq!(due(&mut remarks, &[], 101), []);
    }

    #[test]
    fn nothing_that_a_user_wrote_is_repeated_and_nobody_is_flooded() {
        let mut remarks = Remarks::default();
        let hostile: Vec<_> = (0..20).map(|id| (id, Err(Cannot::Type("x AdminComment=y".into())))).collect();
        due(&mut remarks, &hostile, 0);
        let first = due(&mut remarks, &hostile, 10);
        assert_eq!(first.len(), MOST);
        assert!(first.iter().all(|(_, text)| !text.contains('x') || !text.contains("AdminComment")));
        assert_eq!(due(&mut remarks, &hostile, 11).len(), MOST);
        assert_eq!(due(&mut remarks, &hostile, 12).len(), 4);
    }
}
