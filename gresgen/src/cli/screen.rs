//! How wide what is printed may be.

use std::io::stdout;

use terminal_size::{Height, Width, terminal_size_of};

/// Columns where nobody says how many there are: in a pipe, a log, a mail.
const USUAL: usize = 80;
/// Fewer are not catered for: no table fits.
const LEAST: usize = 40;

/// Columns of the terminal that standard output is, or of a usual one.
pub(super) fn columns() -> usize {
    size().map_or(USUAL, |(columns, _)| columns.max(LEAST))
}

/// Columns that a line of a table may take. Where no terminal would break it, nothing does: programs read line by line.
pub(super) fn line() -> usize {
    size().map_or(usize::MAX, |(columns, _)| columns.max(LEAST))
}

/// Rows of the terminal that standard output is.
pub(super) fn rows() -> Option<usize> {
    size().map(|(_, rows)| rows)
}

/// A terminal whose size nobody has set says that it is 0 by 0.
fn size() -> Option<(usize, usize)> {
    let (Width(columns), Height(rows)) = terminal_size_of(stdout())?;
    (columns > 0 && rows > 0).then_some((columns.into(), rows.into()))
}
