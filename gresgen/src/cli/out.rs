//! Data goes to standard output; a reader that has seen enough (`| head`) is no error.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use super::report::{Exit, Failure};

/// Prints text as it is.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(Exit::Failure, error)),
        _ => Ok(()),
    }
}

/// Prints a value as JSON, one document on its own lines.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let document = serde_json::to_string_pretty(value).map_err(|e| Failure::new(Exit::Failure, e))?;
    text(&format!("{document}\n"))
}

/// Rows in columns as wide as their widest cell, two spaces apart; the last column is not padded.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}
