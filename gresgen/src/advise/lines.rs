//! Lines of a text of any length, each of bounded length.

use std::borrow::Cow;
use std::io::{self, BufRead};

use super::record::{Reason, Skipped};

/// The longest line that is looked at. With jobstats' summary of a large job a line has some ten thousand bytes.
const LONGEST: usize = 1 << 20;

/// Reads line by line into one buffer.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// No line has been read yet.
    first: bool,
}

/// What some programs begin a text in UTF-8 with.
const MARK: &[u8] = "\u{feff}".as_bytes();

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Lines { reader, buffer: Vec::new(), first: true }
    }

    /// The next line with a text, without its end; what is not UTF-8 is replaced. `None` at the end. Lines longer than any
    /// that means something are counted.
    pub(super) fn next(&mut self, skipped: &mut Skipped) -> io::Result<Option<Cow<'_, str>>> {
        while let Some(long) = self.fill()? {
            if std::mem::take(&mut self.first) && self.buffer.starts_with(MARK) {
                self.buffer.drain(..MARK.len());
            }
            if long {
                skipped.add(Reason::Line);
            } else if !self.buffer.trim_ascii().is_empty() {
                let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                return Ok(Some(String::from_utf8_lossy(text)));
            }
        }
        Ok(None)
    }

    /// Fills the buffer with the next line, or says that it is too long; `None` at the end.
    fn fill(&mut self) -> io::Result<Option<bool>> {
        self.buffer.clear();
        let (mut any, mut long) = (false, false);
        loop {
            let part = self.reader.fill_buf()?;
            if part.is_empty() {
                break;
            }
            any = true;
            let end = part.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(part.len(), |end| end + 1);
            long |= self.buffer.len() + taken > LONGEST;
            if !long {
                self.buffer.extend_from_slice(&part[..taken]);
            }
            self.reader.consume(taken);
            if end.is_some() {
                break;
            }
        }
        Ok(any.then_some(long))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end_and_long_ones_are_passed_over() {
        let mut text = b"\xef\xbb\xbfone\r\ntwo \xff\n\n".to_vec();
        text.extend(vec![b'x'; LONGEST + 1]);
        text.extend(b"\nlast");
        let mut lines = Lines::new(io::BufReader::with_capacity(64, &text[..]));
        let (mut seen, mut skipped) = (Vec::new(), Skipped::default());
        while let Some(line) = lines.next(&mut skipped).unwrap() {
            seen.push(line.into_owned());
        }
        assert_eq!(seen, ["one", "two \u{fffd}", "last"]);
        assert_eq!(skipped.by_reason[&Reason::Line], 1);
    }
}
