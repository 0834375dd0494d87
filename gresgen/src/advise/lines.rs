//! Lines of a text of any length, each of bounded length.

use std::io::{self, BufRead};

/// The longest line that is looked at. With jobstats' summary of a large job a line has some ten thousand bytes.
const LONGEST: usize = 1 << 20;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its text, without its end. What is not UTF-8 is replaced.
    Text(std::borrow::Cow<'a, str>),
    /// It is longer than any that means something.
    TooLong,
}

/// Reads line by line into one buffer.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Lines { reader, buffer: Vec::new() }
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
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
        if !any {
            return Ok(None);
        }
        if long {
            return Ok(Some(Line::TooLong));
        }
        let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Ok(Some(Line::Text(String::from_utf8_lossy(text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end_and_long_ones_are_passed_over() {
        let mut text = b"one\r\ntwo \xff\n\n".to_vec();
        text.extend(vec![b'x'; LONGEST + 1]);
        text.extend(b"\nlast");
        let mut lines = Lines::new(io::BufReader::with_capacity(64, &text[..]));
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push(match line {
                Line::Text(text) => text.into_owned(),
                Line::TooLong => "too long".to_owned(),
            });
        }
        assert_eq!(seen, ["one", "two \u{fffd}", "", "too long", "last"]);
    }
}
