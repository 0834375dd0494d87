//! Data goes to standard output; a reader that has seen enough (`| head`) is no error.

use std::io::{self, ErrorKind, Write};

use clap::CommandFactory;
use mig::Demand;
use mig::shortage::Counted;
use serde::Serialize;

use super::report::{Exit, Failure, Outcome};
use super::{Cli, clean};

/// Prints text, without what a terminal would obey.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    print(&clean::text(text))
}

fn print(text: &str) -> Result<(), Failure> {
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
    print(&format!("{}\n", clean::json(&document)))
}

/// The completion script of a shell, from the command line's own definition.
pub(super) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gresgen", &mut script);
    text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// Columns of a line of text.
const WIDTH: usize = 80;

/// `room for 1 x 3g.20gb, 2 x 2g.10gb or 4 x 1g.5gb`, largest first, as lines no longer than a terminal's.
pub(super) fn alternatives(before: &str, counts: &Demand) -> String {
    let parts = Counted(counts).parts();
    let words = parts.iter().enumerate().map(|(i, part)| match parts.len() - i {
        1 => part.clone(),
        2 => format!("{part} or"),
        _ => format!("{part},"),
    });
    let mut lines = vec![before.trim_end().to_owned()];
    for word in words.chain(parts.is_empty().then(|| "nothing".to_owned())) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(" ".repeat(before.chars().count()) + &word),
        }
    }
    lines.join("\n") + "\n"
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
