//! What operators write on jobs (scontrol(1), AdminComment), and changes of jobs that change nothing.

use std::collections::BTreeMap;

use super::command::{answers, run};
use super::{Control, secret, split};
use crate::command::Parts;
use crate::slurm::SlurmError;

/// Most bytes that are read of what there is about a job: some thousand elements of an array that have a record of their own, or a
/// submit line of `max_submit_line_size` (1 MB, slurm.conf(5)), which stands before the comment from 25.11 on. No comment is
/// written where there is more.
const MOST: usize = 4 << 20;

impl Control {
    /// Whether the AdminComment of each of these jobs is empty or begins with `ours`; of an array that of all its elements.
    /// Jobs that have gone are left out, and one of which there is more than is read may not.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn may_comment(self, jobs: &[u32], ours: &str) -> Result<BTreeMap<u32, bool>, SlurmError> {
        let word = secret();
        let question = |job: &u32| format!("show job {job}\nshow hostnames {word}\n");
        let questions: String = jobs.iter().map(question).collect();
        let parts = Parts { end: &word, most: MOST };
        let said = answers("scontrol", &["--all", "-o"], &questions, parts)?;
        let records = split(&said, &word, jobs.len()).unwrap_or_default();
        let records = jobs.iter().zip(records).filter(|(_, record)| record.contains("JobId="));
        Ok(records.map(|(job, record)| (*job, is_free(record, ours))).collect())
    }

    /// Replaces the AdminComment of a job; an empty text takes it away.
    ///
    /// # Errors
    /// [`SlurmError`]; slurmctld lets operators alone write it.
    pub(crate) fn set_admin_comment(self, job: u32, text: &str) -> Result<(), SlurmError> {
        run("scontrol", &["update", &format!("JobId={job}"), &format!("AdminComment={text}")]).map(drop)
    }

    /// Has slurmctld take a job for one that was changed, by giving it the nice value that it has. An array whose elements have several is
    /// left alone.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn touch(self, job: u32) -> Result<(), SlurmError> {
        let id = job.to_string();
        let said = run("squeue", &["--all", "--local", "-h", "-r", "-t", "all", "-j", &id, "-o", "%y"])?;
        match only(&said) {
            Some(nice) => {
                run("scontrol", &["update", &format!("JobId={id}"), &format!("Nice={nice}")]).map(drop)
            }
            None => Ok(()),
        }
    }
}

/// The number that every line is.
fn only(said: &str) -> Option<i64> {
    let mut all = said.lines().map(|line| line.trim().parse::<i64>().ok());
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}

/// A user may write what looks like a comment, so whatever looks like one counts: that makes his own job one that is left alone,
/// and no comment of an operator one that is replaced. Without a comment the key is not printed, or stands before the next.
fn is_free(record: &str, ours: &str) -> bool {
    let is_key = |word: &str| word.split_once('=').is_some_and(|(key, _)| !key.is_empty());
    let is_whole = record.len() < MOST;
    let mut comments = record.split("AdminComment=").skip(1);
    is_whole
        && comments.all(|rest| {
            rest.starts_with(ours)
                || rest.trim().is_empty()
                || rest.starts_with([' ', '\n']) && rest.split_whitespace().next().is_some_and(is_key)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_elements_have_is_theirs() {
        let cases = [("0\n", Some(0)), ("-5\n-5\n", Some(-5)), ("0\n5\n", None), ("\n", None), ("", None)];
        for (said, due) in cases {
            assert_eq!(only(said), due, "{said:?}");
        }
    }

    #[test]
    fn a_comment_of_an_operator_is_seen_whatever_a_user_writes() {
        for (record, due) in [
            ("JobId=7 JobName=x Comment=(null) WorkDir=/", true),
            ("JobId=7 AdminComment= WorkDir=/", true),
            ("JobId=7 AdminComment= \n", true),
            ("JobId=7 AdminComment=gresgen: cut for it on n1 WorkDir=/", true),
            ("JobId=7 AdminComment=see ticket 7 WorkDir=/", false),
            ("JobId=7 AdminComment=gresgen WorkDir=/", false),
            ("JobId=7 AdminComment= see ticket 7 WorkDir=/", false),
            ("JobId=7 JobName=AdminComment=gresgen: x AdminComment=see ticket 7 WorkDir=/", false),
            ("JobId=7 JobName=a\nJobId=8 AdminComment=b WorkDir=/", false),
            ("JobId=7 AdminComment=gresgen: x\nJobId=7 AdminComment=see ticket 7\n", false),
        ] {
            assert_eq!(is_free(record, "gresgen: "), due, "{record:?}");
        }
        let long = |text: usize| format!("JobId=7 SubmitLine={}", "x".repeat(text));
        assert!(is_free(&long(100_000), "gresgen: ") && !is_free(&long(MOST), "gresgen: "));
    }
}
