//! A line of slurm.conf as it is written, where it is to be written again.

use super::InitError;
use crate::read;
use crate::slurm::conf::ConfLine;
use crate::slurm::lines::{lines, words};

/// What a line has that must not be lost.
pub(super) struct WrittenLine {
    /// Its words, keys with their operators.
    pub words: Vec<(String, String)>,
    /// Its comments, in any encoding.
    pub comments: Vec<Vec<u8>>,
}

impl WrittenLine {
    /// Reads a line again, as bytes.
    ///
    /// # Errors
    /// [`InitError::Line`] for one whose words cannot all be written again, [`InitError::Io`] for a file that is none any more.
    pub(super) fn read(said: &ConfLine) -> Result<Self, InitError> {
        let io = InitError::io(&said.file);
        let text = read::bytes(&said.file, read::MAX_TEXT).map_err(&io)?;
        let lines = lines(&text);
        let Some(line) = lines.iter().find(|line| line.number == said.number) else {
            return Err(io(std::io::Error::other("has changed meanwhile; try again")));
        };
        let refused = |what: &str| Err(InitError::line(said, what));
        let code = line.code.trim_end();
        // The configuration is YAML, which is UTF-8, and its attributes are words of one line (`NodeEntry::parts`).
        if !line.is_exact() || code.contains(|sign: char| sign.is_control() && sign != '\t') {
            return refused(
                "a word of it has a '\\', a '#', a control character or bytes that are no UTF-8, which gresgen cannot write \
                 again; take the word out, or give the node a line of its own without it",
            );
        }
        if !line.is_read() {
            return refused("Slurm does not read all of it; mend what stands behind its last KEY=VALUE");
        }
        let comments = line.comments().map(<[u8]>::to_vec).collect();
        Ok(WrittenLine { words: words(&line.code), comments })
    }
}
