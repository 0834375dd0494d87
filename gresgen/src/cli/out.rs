//! Data goes to standard output; a reader that has seen enough (`| head`) is no error.

use std::io::{self, ErrorKind, Write};

use clap::CommandFactory;
use serde::Serialize;

use super::Cli;
use super::report::{Exit, Failure, Outcome};

/// Prints text as it is.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failure, format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON, one document on its own lines.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let document = serde_json::to_string_pretty(value).map_err(|e| Failure::new(Exit::Failure, e))?;
    text(&format!("{document}\n"))
}

/// The completion script of a shell, from the command line's own definition.
pub(super) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gresgen", &mut script);
    text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// The manual page, from the command line's own definition.
pub(super) fn man() -> Outcome {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(|e| Failure::new(Exit::Failure, e))?;
    text(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Ok)
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
