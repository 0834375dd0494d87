//! What users are told of their jobs: a line in the job's AdminComment, which `scontrol show job` prints.
//!
//! A comment is somebody else's unless it is empty or begins with our name. Nothing that a user wrote is repeated in one.

use std::collections::{BTreeMap, BTreeSet};

use ::demand::Verdict;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::demand::Cannot;
use crate::order::Code;
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
    /// Jobs that waited in the last pass.
    waiting: BTreeSet<u32>,
    /// Of these those that are told nothing.
    silent: BTreeSet<u32>,
}

#[derive(Debug, Default)]
struct Remark {
    told: Word,
    /// What is to be told, and since when.
    next: Word,
    since: u64,
    /// Nodes that are being cut for it.
    being_cut: BTreeSet<String>,
    /// Nodes that were, while others still are.
    cut: BTreeSet<String>,
}

/// Something to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Word {
    /// Empty: what was told is taken away.
    text: String,
    /// Without waiting until it has stood for a while.
    at_once: bool,
    /// It stays true of the job when that has started: it was cut for.
    lasting: bool,
}

impl Word {
    fn at_once(text: String) -> Self {
        Word { text, at_once: true, lasting: false }
    }
}

impl Remark {
    fn next(&mut self, word: Word, now: u64) {
        // What is told at once is told before anything else.
        let is_first = self.next.at_once && self.next.text != self.told.text && !word.at_once;
        if self.next.text != word.text && !is_first {
            (self.next, self.since) = (word, now);
        }
    }

    /// What is to be told now. What was cut for a job is told of one that has started on it, too; anything else that it was told is not
    /// true of one that waits no more.
    fn due(&self, waits: bool, now: u64) -> Option<String> {
        let Remark { told, next, .. } = self;
        let stands = next.at_once || now.saturating_sub(self.since) >= STANDS;
        if next.text != told.text && stands && (waits || next.lasting) {
            let ours = |text: &str| if text.is_empty() { String::new() } else { format!("{OURS}{text}") };
            return Some(ours(&next.text));
        }
        let is_over = !waits && self.being_cut.is_empty() && !told.text.is_empty() && !told.lasting;
        is_over.then(String::new)
    }
}

impl Remarks {
    /// The clock was set back to this time.
    pub(super) fn set_back(&mut self, now: u64) {
        self.jobs.values_mut().for_each(|remark| remark.since = remark.since.min(now));
    }

    /// Takes in what is said of all jobs that wait. Of those that slurmctld holds it looks again at the ones that are told something: so
    /// the first of these are told it in any case, and the others nothing.
    pub(super) fn take(
        &mut self,
        jobs: &[(u32, &Result<Verdict, Cannot>)],
        (again, silent): (&[u32], BTreeSet<u32>),
        now: u64,
        zone: &TimeZone,
    ) {
        self.silent = silent;
        for (id, said) in jobs {
            let Some((text, at_once)) = says(said, zone) else {
                // One that was told nothing is told nothing. A cut under way is told of until it is answered.
                let told =
                    self.jobs.get_mut(id).filter(|remark| may_last(said) && remark.being_cut.is_empty());
                told.into_iter().for_each(|remark| remark.next(Word::default(), now));
                continue;
            };
            let remark = self.jobs.entry(*id).or_default();
            match said {
                Ok(Verdict::Cut(nodes)) => {
                    (remark.being_cut, remark.cut) = (nodes.iter().cloned().collect(), BTreeSet::new());
                }
                // It was cut for it, which says more.
                Ok(Verdict::There) if !remark.being_cut.is_empty() || remark.next.lasting => continue,
                _ => {}
            }
            remark.next(Word { text, at_once, lasting: false }, now);
        }
        for job in again {
            let remark = self.jobs.entry(*job).or_default();
            if remark.due(true, now).is_some() {
                remark.next.at_once = true;
            } else {
                remark.told = Word::default();
                remark.next(Word::at_once(AGAIN.to_owned()), now);
            }
        }
        self.waiting = jobs.iter().map(|(id, _)| *id).collect();
        let Remarks { jobs, waiting, .. } = self;
        jobs.retain(|id, remark| {
            let waits = waiting.contains(id);
            waits || !remark.being_cut.is_empty() || remark.due(waits, now).is_some()
        });
    }

    /// What is to be told now: job, and text, empty where nothing is true any more. What is told at once comes first, and then what
    /// has stood for the longest time. It is due again until it was [`told`](Self::told).
    pub(super) fn due(&self, now: u64) -> Vec<(u32, String)> {
        let due = |(id, remark): (&u32, &Remark)| {
            if self.silent.contains(id) {
                return None;
            }
            let text = remark.due(self.waiting.contains(id), now)?;
            Some((!remark.next.at_once, remark.since, *id, text))
        };
        let mut due: Vec<_> = self.jobs.iter().filter_map(due).collect();
        due.sort_unstable();
        due.into_iter().take(MOST).map(|(.., id, text)| (id, text)).collect()
    }

    /// Of what is to be told now that which is told at once: it is true whatever the next pass would say.
    pub(super) fn due_at_once(&self, now: u64) -> Vec<(u32, String)> {
        let mut due = self.due(now);
        due.retain(|(id, _)| self.jobs.get(id).is_some_and(|remark| remark.next.at_once));
        due
    }

    /// A job was told what was due, or will never be.
    pub(super) fn told(&mut self, job: u32, text: &str) {
        if text.is_empty() {
            self.jobs.remove(&job);
        } else if let Some(remark) = self.jobs.get_mut(&job) {
            remark.told.clone_from(&remark.next);
        }
    }

    /// An order to cut a node has ended with this answer, if any came.
    pub(super) fn cut(&mut self, node: &str, answer: Option<Code>, now: u64) {
        // What is told is true no more where it was not carried out, and what comes next may be told only in a while.
        let other = match answer {
            Some(Code::Done | Code::Nothing) => None,
            Some(Code::Pending) => Some(format!("cut for it on {node}, and not yet Slurm's to give out")),
            None | Some(Code::Unknown) => Some(format!("{node} has not said whether it was cut for it")),
            Some(_) => Some(format!("a cut for it on {node} was not carried out")),
        };
        for remark in self.jobs.values_mut() {
            if !remark.being_cut.remove(node) {
                continue;
            }
            if let Some(text) = &other {
                (remark.being_cut, remark.cut) = Default::default();
                remark.next(Word::at_once(text.clone()), now);
                continue;
            }
            remark.cut.insert(node.to_owned());
            if remark.being_cut.is_empty() {
                let on = hostlist::fold(remark.cut.iter().map(String::as_str));
                remark.cut.clear();
                remark.next(Word { lasting: true, ..Word::at_once(format!("cut for it on {on}")) }, now);
            }
        }
    }
}

/// What a user is told, and whether at once; `None` for what passes by itself, or is told by squeue alone.
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
        Verdict::Unseen(on) => format!("what could be cut on {} is not known now", nodes(on)),
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

/// Whether what is said to nobody may last, rather than pass by itself in a moment: what was told before is not true any more.
fn may_last(said: &Result<Verdict, Cannot>) -> bool {
    matches!(said, Ok(Verdict::Other(_) | Verdict::Ends(_) | Verdict::Busy(_) | Verdict::Depth))
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
        remarks.take(&jobs, (&[], BTreeSet::new()), now, &TimeZone::UTC);
        let due = remarks.due(now);
        assert!(due.len() <= MOST, "{due:?}");
        assert_eq!(remarks.due(now), due, "nobody was told yet");
        due.iter().for_each(|(job, text)| remarks.told(*job, text));
        due
    }

    fn told(text: &str) -> Vec<(u32, String)> {
        vec![(7, format!("gresgen: {text}"))]
    }

    const DONE: Option<Code> = Some(Code::Done);
    const IN_USE: Option<Code> = Some(Code::InUse);

    #[test]
    fn a_job_is_told_once_what_stands() {
        let mut remarks = Remarks::default();
        let never = [(7, Ok(Verdict::Never))];
        assert_eq!(due(&mut remarks, &never, 100), []);
        assert_eq!(due(&mut remarks, &never, 105), told("no node it may use can be cut so"));
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
        assert_eq!(due(&mut remarks, &cut, 100), told("is being cut for it on n[1-2]"));
        let waits = [(7, Ok(Verdict::UnderWay))];
        remarks.cut("n1", DONE, 101);
        assert_eq!(due(&mut remarks, &waits, 101), []);
        remarks.cut("n2", DONE, 102);
        assert_eq!(due(&mut remarks, &waits, 102), told("cut for it on n[1-2]"));
        assert_eq!(due(&mut remarks, &[], 103), []);
        // Slurm may have started it before the order was answered.
        assert_eq!(due(&mut remarks, &cut[..], 200).len(), 1);
        remarks.cut("n1", DONE, 201);
        assert_eq!(due(&mut remarks, &[], 202), []);
        remarks.cut("n2", DONE, 203);
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
        remarks.cut("n1", DONE, 112);
        let there = [(8, Ok(Verdict::There))];
        assert_eq!(due(&mut remarks, &there, 112), [(8, "gresgen: cut for it on n1".to_owned())]);
        assert_eq!(due(&mut remarks, &there, 120), []);
    }

    #[test]
    fn a_job_that_slurm_is_to_look_at_again_is_told_something_in_any_case() {
        let mut remarks = Remarks::default();
        let mut told = |said: &Result<Verdict, Cannot>, again: &[u32], now| {
            remarks.take(&[(7, said)], (again, BTreeSet::new()), now, &TimeZone::UTC);
            let due = remarks.due(now);
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

    /// Slurm looks again at one that is told something.
    #[test]
    fn a_job_that_slurm_holds_is_told_nothing_else() {
        let mut remarks = Remarks::default();
        let kept = Ok(Verdict::Cordon { nodes: vec!["n1".into()], until: None });
        let mut told = |said: &Result<Verdict, Cannot>, held: bool, again: &[u32], now| {
            let silent = if held { [7].into() } else { BTreeSet::new() };
            remarks.take(&[(7, said)], (again, silent), now, &TimeZone::UTC);
            let due = remarks.due(now);
            due.iter().for_each(|(job, text)| remarks.told(*job, text));
            due
        };
        assert_eq!(told(&kept, false, &[], 0), []);
        assert_eq!(told(&kept, false, &[], 5).len(), 1);
        for now in [6, 20, 60] {
            assert_eq!(told(&Ok(Verdict::Behind), true, &[], now), []);
            assert_eq!(told(&Ok(Verdict::Other("BadConstraints".into())), true, &[], now + 6), []);
        }
        assert_eq!(told(&Ok(Verdict::There), false, &[7], 80), [(7, "gresgen: ".to_owned() + AGAIN)]);
        assert_eq!(told(&Ok(Verdict::Other("BadConstraints".into())), true, &[], 90), []);
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
        remarks.cut("n1", IN_USE, 101);
        let waits = [(7, Ok(Verdict::UnderWay))];
        assert_eq!(due(&mut remarks, &waits, 101), told("a cut for it on n1 was not carried out"));
        assert_eq!(due(&mut remarks, &waits, 102), []);
        assert_eq!(due(&mut remarks, &cut, 110), told("is being cut for it on n1"));
        remarks.cut("n1", IN_USE, 111);
        assert_eq!(due(&mut remarks, &[], 112), [(7, String::new())]);
        assert_eq!(due(&mut remarks, &[], 113), []);
    }

    /// What was cut on one node is of no use to it without the other, and is not what it waits for.
    #[test]
    fn where_one_of_two_cuts_failed_nothing_was_cut_for_the_job() {
        let mut remarks = Remarks::default();
        due(&mut remarks, &[(7, Ok(Verdict::Cut(vec!["n1".into(), "n2".into()])))], 100);
        remarks.cut("n1", DONE, 101);
        remarks.cut("n2", IN_USE, 102);
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
    fn what_is_no_longer_true_is_taken_away_once_that_lasts() {
        let kept = [(7, Ok(Verdict::Cordon { nodes: vec!["n1".into()], until: None }))];
        let said = told("kept for it on n1, free when the jobs there end");
        let held = Verdict::Other("JobHeldUser".into());
        for lost in [held, Verdict::Ends(None), Verdict::Ends(Some(900)), Verdict::Busy(600), Verdict::Depth]
        {
            let lost = [(7, Ok(lost))];
            let mut remarks = Remarks::default();
            // Who was told nothing is told nothing.
            assert_eq!(due(&mut remarks, &lost, 0), []);
            assert_eq!(due(&mut remarks, &lost, 90), []);
            due(&mut remarks, &kept, 100);
            assert_eq!(due(&mut remarks, &kept, 105), said);
            assert_eq!(due(&mut remarks, &lost, 106), [], "{lost:?}");
            assert_eq!(due(&mut remarks, &lost, 111), [(7, String::new())], "{lost:?}");
            assert_eq!(due(&mut remarks, &lost, 200), []);
            due(&mut remarks, &kept, 201);
            assert_eq!(due(&mut remarks, &kept, 206), said);
            // What passes in a moment makes nobody write.
            assert_eq!(due(&mut remarks, &lost, 207), []);
            assert_eq!(due(&mut remarks, &[(7, Ok(Verdict::UnderWay))], 209), []);
            assert_eq!(due(&mut remarks, &kept, 210), []);
            assert_eq!(due(&mut remarks, &kept, 300), []);
        }
    }

    /// It is held before Slurm has started it, or others were before it.
    #[test]
    fn a_cut_is_told_though_the_job_has_lost_it_already() {
        let mut remarks = Remarks::default();
        let cut = [(7, Ok(Verdict::Cut(vec!["n1".into()])))];
        let lost = [(7, Ok(Verdict::Busy(600)))];
        due(&mut remarks, &cut, 100);
        assert_eq!(due(&mut remarks, &lost, 101), []);
        assert_eq!(due(&mut remarks, &lost, 110), [], "it is being cut");
        remarks.cut("n1", DONE, 111);
        assert_eq!(due(&mut remarks, &lost, 111), told("cut for it on n1"));
        assert_eq!(due(&mut remarks, &lost, 112), []);
        assert_eq!(due(&mut remarks, &lost, 117), [(7, String::new())]);
        // What is told then does not stay when it starts.
        let behind = [(7, Ok(Verdict::Behind))];
        due(&mut remarks, &cut, 200);
        remarks.cut("n1", DONE, 201);
        due(&mut remarks, &behind, 201);
        assert_eq!(due(&mut remarks, &behind, 202), []);
        assert_eq!(due(&mut remarks, &behind, 207).len(), 1);
        assert_eq!(due(&mut remarks, &[], 208), [(7, String::new())]);
    }

    /// The GPUs were cut, or may have been: nobody is told that they were not.
    #[test]
    fn a_cut_that_is_not_answered_for_is_no_failure() {
        for (answer, text) in [
            (Some(Code::Pending), "cut for it on n1, and not yet Slurm's to give out"),
            (None, "n1 has not said whether it was cut for it"),
            (Some(Code::Unknown), "n1 has not said whether it was cut for it"),
            (Some(Code::Failed), "a cut for it on n1 was not carried out"),
        ] {
            let mut remarks = Remarks::default();
            due(&mut remarks, &[(7, Ok(Verdict::Cut(vec!["n1".into(), "n2".into()])))], 100);
            remarks.cut("n1", answer, 400);
            let waits = [(7, Ok(Verdict::UnderWay))];
            assert_eq!(due(&mut remarks, &waits, 400), told(text));
            // The other half alone is not what it waits for.
            remarks.cut("n2", DONE, 401);
            assert_eq!(due(&mut remarks, &waits, 402), []);
            assert_eq!(due(&mut remarks, &[], 403), [(7, String::new())]);
        }
    }

    #[test]
    fn what_came_of_cuts_is_due_without_another_pass() {
        let mut remarks = Remarks::default();
        let said = [(6, Ok(Verdict::There)), (7, Ok(Verdict::Cut(vec!["n1".into()])))];
        assert_eq!(due(&mut remarks, &said, 100), told("is being cut for it on n1"));
        assert_eq!(remarks.due_at_once(110), [], "whether job 6 waits still is not known");
        remarks.cut("n1", DONE, 110);
        assert_eq!(remarks.due_at_once(110), told("cut for it on n1"));
        remarks.told(7, "gresgen: cut for it on n1");
        assert_eq!(remarks.due_at_once(110), []);
    }

    /// A whole queue was told why it waits before anybody was told that he waits no more.
    #[test]
    fn a_cut_is_told_at_once_though_thousands_wait_to_be_told_something() {
        let mut remarks = Remarks::default();
        let mut said: Vec<_> = (1..=5000).map(|id| (id, Ok(Verdict::Behind))).collect();
        due(&mut remarks, &said, 0);
        let first = due(&mut remarks, &said, 10);
        assert_eq!(first.iter().map(|(id, _)| *id).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
        let cut = |number: usize| Ok(Verdict::Cut(vec![format!("n{number}")]));
        for number in 0..3 {
            said[4990 + number].1 = cut(number);
        }
        let second = due(&mut remarks, &said, 11);
        let ids: Vec<u32> = second.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [4991, 4992, 4993, 9, 10, 11, 12, 13]);
        // One that has started on its cut, as another that waits.
        remarks.cut("n0", DONE, 12);
        remarks.cut("n1", DONE, 12);
        said.retain(|(id, _)| *id != 4991);
        said[4990].1 = Ok(Verdict::There);
        let third = due(&mut remarks, &said, 12);
        let due_of = |id: u32| third.iter().find(|(other, _)| *other == id).map(|(_, text)| text.as_str());
        assert_eq!(
            (due_of(4991), due_of(4992)),
            (Some("gresgen: cut for it on n0"), Some("gresgen: cut for it on n1"))
        );
        // What has stood for longest comes next, whoever is new.
        said.insert(0, (0, Ok(Verdict::Behind)));
        due(&mut remarks, &said, 13);
        let ids: Vec<u32> = due(&mut remarks, &said, 20).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, (28..36).collect::<Vec<_>>());
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
        remarks.take(&last, (&[18, 19], BTreeSet::new()), 11, &TimeZone::UTC);
        let ids: Vec<u32> = remarks.due(11).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [18, 19, 8, 9, 10, 11, 12, 13]);
        assert_eq!(due(&mut remarks, &hostile, 11).len(), MOST);
        assert_eq!(due(&mut remarks, &hostile, 12).len(), 4);
    }
}
