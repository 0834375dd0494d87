//! Lists of jobs with what users wrote in them.
//!
//! squeue prints such text as it is, with its line ends, and what stands behind one may look like another job's line. slurmctld
//! lets a line end through where it does not look at the text, as in an entry of `--gres` with a count of 0 (`_get_next_gres` in
//! src/common/gres.c of 22.05, `slurm_get_next_tres` in src/common/slurm_protocol_defs.c of 24.11 and 26.05; seen on 22.05.8 and
//! 26.05.5).

use super::secret;
use crate::slurm::SlurmError;

/// Lists jobs by a format for squeue, `-o` or `-O` as `option` says, each line as the format has it. Only lines count that
/// begin with a word which nobody could know.
pub(super) fn squeue(
    run: impl FnOnce(&str, &[&str]) -> Result<String, SlurmError>,
    arguments: &[&str],
    option: &str,
    format: &str,
) -> Result<String, SlurmError> {
    let word = secret();
    // squeue prints a word of ours behind a field alone.
    let first = if option == "-o" { format!("%A|{word}|") } else { format!("JobID:|{word}|,") };
    let format = first + format;
    let said = run("squeue", &[&["--all", "--local", "-h"], arguments, &[option, &format]].concat())?;
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
        let asked = squeue(
            |command, arguments| {
                assert_eq!((command, arguments[3..5].join(" ")), ("squeue", "-t PD".to_owned()));
                let (field, word) = arguments[6].split_once('|').unwrap();
                assert_eq!((arguments[5], field), ("-O", "JobID:"));
                Ok(format!("7|{}|x|\n8|x|\n", word.strip_suffix("|,NumNodes:|").unwrap()))
            },
            &["-t", "PD"],
            "-O",
            "NumNodes:|",
        );
        assert_eq!(asked.unwrap(), "x|\n");
    }
}
