//! What operators write on jobs (scontrol(1), AdminComment), as far as it concerns jobs that wait.

use std::collections::BTreeMap;

use super::Control;
use super::command::{run, run_exact};
use crate::slurm::SlurmError;

impl Control {
    /// The AdminComment of each job that waits, and has not begun since; of an array one for all that waits of it.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn admin_comments(self) -> Result<BTreeMap<u32, String>, SlurmError> {
        let arguments = ["--all", "--local", "-h", "-t", "PD,R,CF", "-O", "JobID:|,AdminComment:|"];
        Ok(parse(&run_exact("squeue", &arguments)?))
    }

    /// Replaces it; empty takes it away.
    ///
    /// # Errors
    /// [`SlurmError`]; slurmctld lets operators alone write it.
    pub(crate) fn set_admin_comment(self, job: u32, text: &str) -> Result<(), SlurmError> {
        run("scontrol", &["update", &format!("JobId={job}"), &format!("AdminComment={text}")]).map(drop)
    }
}

/// Elements of an array share a number: a comment counts where it is the same of all. A line that is none may be the rest of a
/// comment, so the job before it has one that is not known.
fn parse(text: &str) -> BTreeMap<u32, String> {
    let mut comments: BTreeMap<u32, String> = BTreeMap::new();
    let mut last = None;
    for line in text.lines() {
        let read =
            line.split_once('|').and_then(|(id, rest)| Some((id.parse().ok()?, rest.strip_suffix('|')?)));
        match read {
            Some((id, comment)) => {
                let comment = if comment == "(null)" { "" } else { comment };
                let known = comments.entry(id).or_insert_with(|| comment.to_owned());
                if known != comment {
                    UNKNOWN.clone_into(known);
                }
                last = Some(id);
            }
            None => {
                if let Some(known) = last.and_then(|id| comments.get_mut(&id)) {
                    UNKNOWN.clone_into(known);
                }
            }
        }
    }
    comments
}

/// A comment that cannot be told, which nobody wrote.
const UNKNOWN: &str = "?";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_of_several_lines_is_no_other_jobs() {
        let text = "7||\n8|(null)|\n9|gresgen: a|b|\n10|first\nsecond|\n11|a|\n11|b|\nx\n12||\n12||\n";
        let comments = parse(text);
        let due = [(7, ""), (8, ""), (9, "gresgen: a|b"), (10, "?"), (11, "?"), (12, "")];
        assert_eq!(comments, due.map(|(id, comment)| (id, comment.to_owned())).into());
        // A line that looks like another job's makes that one's unknown, not free.
        assert_eq!(parse("7|see ticket|\n8|a\n7||\n")[&7], "?");
    }
}
