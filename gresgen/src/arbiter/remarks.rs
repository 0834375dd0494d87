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

/// What is told of a job that Slurm holds and would not if it looked.
pub(super) const AGAIN: &str = "what it asks for is open again, and Slurm was made to look at it again";

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
    /// What is to be told, since when, and whether without waiting.
    next: String,
    since: u64,
    at_once: bool,
    /// Nodes that are being cut for it.
    being_cut: BTreeSet<String>,
    /// Nodes that were.
    cut: BTreeSet<String>,
    /// What is told stays true of the job: it was cut for.
    lasting: bool,
}

impl Remark {
    fn next(&mut self, text: String, at_once: bool, now: u64) {
        if self.next != text {
            (self.next, self.since, self.at_once) = (text, now, at_once);
        }
    }

    /// Whether there is something to be told now.
    fn is_due(&self, now: u64) -> bool {
        self.next != self.told && (self.at_once || now.saturating_sub(self.since) >= STANDS)
    }
}

impl Remarks {
    /// The clock was set back to this time.
    pub(super) fn set_back(&mut self, now: u64) {
        self.jobs.values_mut().for_each(|remark| remark.since = remark.since.min(now));
    }

    /// What is to be told now: job, and text, empty where nothing is true any more. `jobs` are all that wait, and those in `again` are told
    /// something in any case, which makes slurmctld look at them again. It is due again until it was [`told`](Self::told).
    pub(super) fn due(
        &mut self,
        jobs: &[(u32, &Result<Verdict, Cannot>)],
        again: &[u32],
        now: u64,
        zone: &TimeZone,
    ) -> Vec<(u32, String)> {
        for (id, said) in jobs {
            let Some((text, at_once)) = says(said, zone) else { continue };
            let remark = self.jobs.entry(*id).or_default();
            match said {
                Ok(Verdict::Cut(nodes)) => {
                    (remark.being_cut, remark.cut) = (nodes.iter().cloned().collect(), BTreeSet::new());
                }
                // It was cut for it, which says more.
                Ok(Verdict::There) if !remark.being_cut.is_empty() || !remark.cut.is_empty() => continue,
                _ => {}
            }
            remark.next(text, at_once, now);
        }
        for job in again {
            let remark = self.jobs.entry(*job).or_default();
            if !remark.is_due(now) {
                remark.told.clear();
                remark.next(AGAIN.to_owned(), true, now);
            }
        }
        let waits: BTreeSet<u32> = jobs.iter().map(|(id, _)| *id).collect();
        let mut due = Vec::new();
        self.jobs.retain(|id, remark| {
            let waits = waits.contains(id);
            // There is room for those in any case.
            let room = if again.contains(id) { MOST } else { MOST.saturating_sub(again.len()) };
            if due.len() >= room {
                return true;
            }
            // What is cut for a job is told of one that has started on it, too.
            if remark.is_due(now) && (waits || !remark.cut.is_empty()) {
                due.push((*id, format!("{OURS}{}", remark.next)));
                return true;
            }
            if !waits && remark.being_cut.is_empty() && !remark.told.is_empty() && !remark.lasting {
                due.push((*id, String::new()));
                return true;
            }
            waits || !remark.being_cut.is_empty()
        });
        due
    }

    /// A job was told what was due, or will never be.
    pub(super) fn told(&mut self, job: u32, text: &str) {
        if text.is_empty() {
            self.jobs.remove(&job);
        } else if let Some(remark) = self.jobs.get_mut(&job) {
            remark.told.clone_from(&remark.next);
            remark.lasting = !remark.cut.is_empty() && remark.being_cut.is_empty();
        }
    }

    /// An order to cut a node has ended. `done` says whether it was carried out.
    pub(super) fn cut(&mut self, node: &str, done: bool, now: u64) {
        for remark in self.jobs.values_mut() {
            if !remark.being_cut.remove(node) {
                continue;
            }
            if !done {
                // What is told is true no more, and what comes next may be told only in a while.
                (remark.being_cut, remark.cut) = Default::default();
                remark.next(format!("a cut for it on {node} was not carried out"), true, now);
                continue;
            }
            remark.cut.insert(node.to_owned());
            if remark.being_cut.is_empty() {
                let text = format!("cut for it on {}", hostlist::fold(remark.cut.iter().map(String::as_str)));
                remark.next(text, true, now);
            }
        }
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
        Verdict::Cut(on) => return Some((format!("is being cut for it on {}", nodes(on)), true)),
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
        Verdict::Out(on) => format!("what can be cut so takes no jobs now: {}", nodes(on)),
        Verdict::Refused(on) => {
            format!("a cut was refused on {}, and is asked for again in a while", nodes(on))
        }
        Verdict::NotStarted(_) => {
            "what it asks for is free, and Slurm lacks something else for it".to_owned()
        }
        // To be told so wakes the scheduler: `_slurm_rpc_update_job` calls `queue_job_scheduler` (src/slurmctld/proc_req.c), and
        // records that are opened beside jobs do not.
        Verdict::There => "what it asks for is free: Slurm starts it at its next pass".to_owned(),
        Verdict::Other(_)
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
        let due = remarks.due(&jobs, &[], now, &TimeZone::UTC);
        assert_eq!(remarks.due(&jobs, &[], now, &TimeZone::UTC), due, "nobody was told yet");
        due.iter().for_each(|(job, text)| remarks.told(*job, text));
        due
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
    fn a_cut_is_told_when_it_is_ordered_and_when_it_is_done_and_that_stays() {
        let mut remarks = Remarks::default();
        let cut = [(7, Ok(Verdict::Cut(vec!["n1".into(), "n2".into()])))];
        let told = |text: &str| vec![(7, format!("gresgen: {text}"))];
        assert_eq!(due(&mut remarks, &cut, 100), told("is being cut for it on n[1-2]"));
        let waits = [(7, Ok(Verdict::UnderWay))];
        remarks.cut("n1", true, 101);
        assert_eq!(due(&mut remarks, &waits, 101), []);
        remarks.cut("n2", true, 102);
        assert_eq!(due(&mut remarks, &waits, 102), told("cut for it on n[1-2]"));
        assert_eq!(due(&mut remarks, &[], 103), []);
        // Slurm may have started it before the order was answered.
        assert_eq!(due(&mut remarks, &cut[..], 200).len(), 1);
        remarks.cut("n1", true, 201);
        assert_eq!(due(&mut remarks, &[], 202), []);
        remarks.cut("n2", true, 203);
        assert_eq!(due(&mut remarks, &[], 203), told("cut for it on n[1-2]"));
        assert_eq!(due(&mut remarks, &[], 204), []);
    }

    #[test]
    fn what_is_free_is_told_where_slurm_has_not_seen_it_for_a_while() {
        let mut remarks = Remarks::default();
        let there = [(7, Ok(Verdict::There))];
        assert_eq!(due(&mut remarks, &there, 100), []);
        let text = "gresgen: what it asks for is free: Slurm starts it at its next pass";
        assert_eq!(due(&mut remarks, &there, 105), [(7, text.to_owned())]);
        let cut = [(8, Ok(Verdict::Cut(vec!["n1".into()])))];
        due(&mut remarks, &cut, 110);
        remarks.cut("n1", true, 112);
        let there = [(8, Ok(Verdict::There))];
        assert_eq!(due(&mut remarks, &there, 112), [(8, "gresgen: cut for it on n1".to_owned())]);
        assert_eq!(due(&mut remarks, &there, 120), []);
    }

    #[test]
    fn a_job_that_slurm_is_to_look_at_again_is_told_something_in_any_case() {
        let mut remarks = Remarks::default();
        let mut told = |said: &Result<Verdict, Cannot>, again: &[u32], now| {
            let due = remarks.due(&[(7, said)], again, now, &TimeZone::UTC);
            due.iter().for_each(|(job, text)| remarks.told(*job, text));
            due
        };
        let again = vec![(7, "gresgen: ".to_owned() + AGAIN)];
        let there = Ok(Verdict::There);
        assert_eq!(told(&there, &[7], 100), again);
        assert_eq!(told(&there, &[], 101), []);
        // It is held again, and that is all that is known of it.
        assert_eq!(told(&Ok(Verdict::Other(String::new())), &[7], 102), again);
        assert_eq!(told(&Err(Cannot::Whole), &[], 103), []);
        // What is due says it as well.
        let whole = vec![(7, "gresgen: nothing is cut for it: it asks for whole nodes".to_owned())];
        assert_eq!(told(&Err(Cannot::Whole), &[7], 108), whole);
        assert_eq!(told(&Err(Cannot::Whole), &[7], 109), again);
    }

    #[test]
    fn a_node_that_refuses_is_named() {
        let mut remarks = Remarks::default();
        let refused = [(7, Ok(Verdict::Refused(vec!["n1".into(), "n2".into()])))];
        due(&mut remarks, &refused, 100);
        let text = "gresgen: a cut was refused on n[1-2], and is asked for again in a while";
        assert_eq!(due(&mut remarks, &refused, 105), [(7, text.to_owned())]);
    }

    #[test]
    fn a_cut_that_failed_is_told_no_more_when_the_job_is_gone() {
        let mut remarks = Remarks::default();
        let cut = [(7, Ok(Verdict::Cut(vec!["n1".into()])))];
        due(&mut remarks, &cut, 100);
        remarks.cut("n1", false, 101);
        let told = |text: &str| vec![(7, format!("gresgen: {text}"))];
        let waits = [(7, Ok(Verdict::UnderWay))];
        assert_eq!(due(&mut remarks, &waits, 101), told("a cut for it on n1 was not carried out"));
        assert_eq!(due(&mut remarks, &waits, 102), []);
        assert_eq!(due(&mut remarks, &cut, 110), told("is being cut for it on n1"));
        remarks.cut("n1", false, 111);
        assert_eq!(due(&mut remarks, &[], 112), [(7, String::new())]);
        assert_eq!(due(&mut remarks, &[], 113), []);
    }

    /// What was cut on one node is of no use to it without the other, and is not what it waits for.
    #[test]
    fn where_one_of_two_cuts_failed_nothing_was_cut_for_the_job() {
        let mut remarks = Remarks::default();
        due(&mut remarks, &[(7, Ok(Verdict::Cut(vec!["n1".into(), "n2".into()])))], 100);
        remarks.cut("n1", true, 101);
        remarks.cut("n2", false, 102);
        let told = |text: &str| vec![(7, format!("gresgen: {text}"))];
        let refused = [(7, Ok(Verdict::Refused(vec!["n2".into()])))];
        assert_eq!(
            due(&mut remarks, &[(7, Ok(Verdict::UnderWay))], 102),
            told("a cut for it on n2 was not carried out")
        );
        assert_eq!(due(&mut remarks, &refused, 103), []);
        let text = "a cut was refused on n2, and is asked for again in a while";
        assert_eq!(due(&mut remarks, &refused, 108), told(text));
        assert_eq!(due(&mut remarks, &[], 109), [(7, String::new())]);
    }

    #[test]
    fn nothing_that_a_user_wrote_is_repeated_and_nobody_is_flooded() {
        let mut remarks = Remarks::default();
        let hostile: Vec<_> = (0..20).map(|id| (id, Err(Cannot::Type("x AdminComment=y".into())))).collect();
        due(&mut remarks, &hostile, 0);
        let first = due(&mut remarks, &hostile, 10);
        assert_eq!(first.len(), MOST);
        assert!(first.iter().all(|(_, text)| !text.contains('x') || !text.contains("AdminComment")));
        let last: Vec<_> = hostile.iter().map(|(id, said)| (*id, said)).collect();
        let last = remarks.due(&last, &[18, 19], 11, &TimeZone::UTC);
        assert_eq!(last.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [8, 9, 10, 11, 12, 13, 18, 19]);
        assert_eq!(due(&mut remarks, &hostile, 11).len(), MOST);
        assert_eq!(due(&mut remarks, &hostile, 12).len(), 4);
    }
}
