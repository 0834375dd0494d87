//! How wide what is printed may be.

use std::io::{stderr, stdout};
use std::os::fd::AsFd;

use terminal_size::{Height, Width, terminal_size_of};

/// Columns where nobody says how many there are: in a pipe, a log, a mail.
const USUAL: usize = 80;
/// Fewer are not catered for: no table fits.
const LEAST: usize = 40;

/// Columns of the terminal that standard output is, or of a usual one.
pub(super) fn columns() -> usize {
    size(stdout()).map_or(USUAL, |(columns, _)| columns.max(LEAST))
}

/// Columns that a line of a table may take. Where no terminal would break it, nothing does: programs read line by line.
pub(super) fn line() -> usize {
    size(stdout()).map_or(usize::MAX, |(columns, _)| columns.max(LEAST))
}

/// Columns of the terminal that standard error is, or of a usual one.
pub(super) fn message_columns() -> usize {
    size(stderr()).map_or(USUAL, |(columns, _)| columns)
}

/// A message for standard error, broken between words where its terminal would break it within one. What follows stands behind
/// `indent` blanks.
pub(super) fn message(text: &str, indent: usize) -> String {
    match size(stderr()) {
        Some((columns, _)) => broken(text, columns.max(LEAST), indent),
        None => text.to_owned(),
    }
}

/// The same for standard output.
pub(super) fn output(text: &str, indent: usize) -> String {
    broken(text, line(), indent)
}

/// Lines of at most `columns`, each word whole. A line that begins with a blank is for copying, or points at a place in
/// another, and stays.
fn broken(text: &str, columns: usize, indent: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with(' ') || line.trim_end().chars().count() <= columns {
            out.push_str(line);
            continue;
        }
        let mut at = 0;
        for (number, word) in line.split(' ').enumerate() {
            let wide = word.trim_end().chars().count();
            if number > 0 && at > indent && at + 1 + wide > columns {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                at = indent;
            } else if number > 0 {
                out.push(' ');
                at += 1;
            }
            out.push_str(word);
            at += wide;
        }
    }
    out
}

/// Rows of the terminal that standard output is.
pub(super) fn rows() -> Option<usize> {
    size(stdout()).map(|(_, rows)| rows)
}

/// A terminal whose size nobody has set says that it is 0 by 0.
fn size(of: impl AsFd) -> Option<(usize, usize)> {
    let (Width(columns), Height(rows)) = terminal_size_of(of)?;
    (columns > 0 && rows > 0).then_some((columns.into(), rows.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let text = "error: one two three\n  a line to copy, longer\nshort\nhint: four\n";
        let due = "error: one two\n       three\n  a line to copy, longer\nshort\nhint: four\n";
        assert_eq!(broken(text, 15, 7), due);
        assert_eq!(broken(text, usize::MAX, 7), text);
        // A word that is longer than a line has one.
        assert_eq!(
            broken("a /usr/lib/gresgen/x b", 10, 2),
            "a\n  /usr/lib/gresgen/x\n  b".replacen("a\n  ", "a ", 1)
        );
        assert_eq!(broken("", 10, 2), "");
    }
}
