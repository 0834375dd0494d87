//! Lists of jobs with what users wrote in them.
//!
//! squeue prints such text as it is, with its line ends, and what stands behind one may look like another job's line. slurmctld
//! lets a line end through where it does not look at the text, as in an entry of `--gres` with a count of 0 (`_get_next_gres` in
//! src/common/gres.c of 22.05, `slurm_get_next_tres` in src/common/slurm_protocol_defs.c of 24.11 and 26.05; seen on 22.05.8 and
//! 26.05.5).

use super::secret;
use crate::slurm::SlurmError;

/// The variable of squeue's environment that has the format of `-o`.
pub(super) const LETTERS: &str = "SQUEUE_FORMAT";
/// That of `-O`.
pub(super) const FIELDS: &str = "SQUEUE_FORMAT2";

/// Lists jobs by a format, each line as the format has it; `run` is given the environment and the arguments. Only lines count that begin
/// with a word which nobody could know: it stands in squeue's environment, which the kernel shows to its own user alone
/// (proc(5), `/proc/PID/environ`), and not among its arguments, which everybody may read while squeue waits.
pub(super) fn squeue(
    run: impl FnOnce(&[(&str, &str)], &str, &[&str]) -> Result<String, SlurmError>,
    environment: &[(&str, &str)],
    arguments: &[&str],
    (variable, format): (&str, &str),
) -> Result<String, SlurmError> {
    let word = secret();
    // squeue prints a word of ours behind a field alone.
    let first = if variable == LETTERS { format!("%A|{word}|") } else { format!("JobID:|{word}|,") };
    let format = first + format;
    let environment = [environment, &[(variable, &format)]].concat();
    let said = run(&environment, "squeue", &[&["--all", "--local", "-h"], arguments].concat())?;
    Ok(own_lines(&said, &word))
}

/// The lines that squeue began, without their number and the word.
fn own_lines(said: &str, word: &str) -> String {
    let begin = format!("|{word}|");
    let own = |line: &str| {
        let (number, rest) = line.split_once(&begin)?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("{rest}\n"))
    };
    said.lines().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_a_users_text_is_nobodys() {
        let word = secret();
        let said = format!(
            "2|{word}|2|1|gres/gpu:1,gres/gpu:x|\n42|1|1|\n|{word}x|7|1|\nx:0|N/A|\n\n1|{word}|1|1|N/A|\n"
        );
        assert_eq!(own_lines(&said, &word), "2|1|gres/gpu:1,gres/gpu:x|\n1|1|N/A|\n");
        for (variable, first, format, last) in
            [(FIELDS, "JobID:|", "NumNodes:|", "|,NumNodes:|"), (LETTERS, "%A|", "%D", "|%D")]
        {
            let run = |environment: &[(&str, &str)], command: &str, arguments: &[&str]| {
                assert_eq!((command, arguments), ("squeue", &["--all", "--local", "-h", "-t", "PD"][..]));
                let [("TZ", "UTC"), (name, asked)] = environment else { panic!("{environment:?}") };
                let word = asked.strip_prefix(first).unwrap().strip_suffix(last).unwrap();
                assert_eq!((*name, word.len()), (variable, 32));
                Ok(format!("7|{word}|x|\n8|x|\n"))
            };
            let asked = squeue(run, &[("TZ", "UTC")], &["-t", "PD"], (variable, format));
            assert_eq!(asked.unwrap(), "x|\n");
        }
    }
}
