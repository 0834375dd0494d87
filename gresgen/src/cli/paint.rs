//! Text for a terminal: what others wrote is cleaned first, so that all a terminal obeys in it are colours of this program.
//!
//! A colour repeats what a word says already. Whether it is shown is decided where the text is printed (`anstream`): not
//! in a pipe, not on a dumb terminal, not with `NO_COLOR`; always with `CLICOLOR_FORCE` or `--color always`.

use std::fmt;

use anstream::{AutoStream, ColorChoice, adapter};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::clean;

/// What a colour says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    #[default]
    Plain,
    /// A failure, in the style of clap's.
    Error,
    /// A warning.
    Warning,
    /// What to do next, and what holds.
    Good,
    /// In use, or about to become another.
    Busy,
    /// About to go.
    Gone,
    /// About to come.
    New,
    /// Of less weight than the text around it.
    Faint,
    /// A title.
    Title,
}

impl Role {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| colour.on_default();
        match self {
            Role::Plain => Style::new(),
            Role::Error => colour(AnsiColor::Red).bold(),
            Role::Warning => colour(AnsiColor::Yellow).bold(),
            Role::Good | Role::New => colour(AnsiColor::Green),
            Role::Busy => colour(AnsiColor::Yellow),
            Role::Gone => colour(AnsiColor::Red),
            Role::Faint => Style::new().dimmed(),
            Role::Title => Style::new().bold(),
        }
    }
}

/// Text with colours in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Painted(String);

impl Painted {
    /// Text in one role.
    pub(super) fn new(role: Role, text: &str) -> Self {
        let mut painted = Painted::default();
        painted.paint(role, text);
        painted
    }

    /// A value as JSON, one document on its own lines. It has no colours: programs read it.
    pub(super) fn json(value: &impl Serialize) -> serde_json::Result<Self> {
        let document = serde_json::to_string_pretty(value)?;
        Ok(Painted(format!("{}\n", clean::json(&document))))
    }

    /// Adds text in a role.
    pub(super) fn paint(&mut self, role: Role, text: &str) {
        let (style, text) = (role.style(), clean::text(text));
        self.0.push_str(&format!("{style}{text}{style:#}"));
    }

    /// Adds text as it is.
    pub(super) fn push(&mut self, text: &str) {
        self.0.push_str(&clean::text(text));
    }

    /// Adds what is painted already.
    pub(super) fn append(&mut self, other: &Painted) {
        self.0.push_str(&other.0);
    }

    /// Adds rows that are painted already, each on a line of its own.
    pub(super) fn append_rows(&mut self, rows: &[Painted]) {
        for row in rows {
            self.append(row);
            self.push("\n");
        }
    }

    /// The text as standard output is to have it, for whoever adds what a terminal obeys himself.
    pub(super) fn for_output(&self) -> String {
        match AutoStream::choice(&std::io::stdout()) {
            ColorChoice::Never => adapter::strip_str(&self.0).to_string(),
            _ => self.0.clone(),
        }
    }

    /// The text with the colours as a terminal takes them.
    pub(super) fn as_ansi(&self) -> &str {
        &self.0
    }
}

impl fmt::Write for Painted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

impl From<String> for Painted {
    fn from(text: String) -> Self {
        Painted::from(text.as_str())
    }
}

impl From<&str> for Painted {
    fn from(text: &str) -> Self {
        Painted::new(Role::Plain, text)
    }
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// What stands in it.
    pub(super) text: String,
    /// What its colour says.
    pub(super) role: Role,
}

impl Cell {
    pub(super) fn new(role: Role, text: impl Into<String>) -> Self {
        Cell { text: text.into(), role }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::new(Role::Plain, text)
    }
}

/// Rows in columns as wide as their widest cell, two spaces apart, each behind `indent`. The last cell of a row is not padded;
/// where it does not fit into `columns`, it stands in lines of its own below.
pub(super) fn table(rows: &[Vec<Cell>], indent: &str, columns: usize) -> Vec<Painted> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |cell: &Cell| cell.text.chars().count();
    let widths: Vec<usize> =
        (0..count).map(|n| rows.iter().filter_map(|row| row.get(n)).map(wide).max().unwrap_or(0)).collect();
    let line = |row: &Vec<Cell>| {
        let mut line = Painted::from(indent);
        let mut at = indent.chars().count();
        for (number, cell) in row.iter().enumerate() {
            if number + 1 == row.len() {
                let fits = at + wide(cell) <= columns;
                let deeper = format!("{indent}    ");
                if fits {
                    line.paint(cell.role, &cell.text);
                } else {
                    let room = columns.saturating_sub(deeper.len()).max(20);
                    for part in wrap(&cell.text, room) {
                        line.push(&format!("\n{deeper}"));
                        line.paint(cell.role, &part);
                    }
                }
                break;
            }
            let width = widths[number];
            // Blanks before a cell that is empty up to the end of the row would be seen when the line is copied.
            if row[number + 1..].iter().all(|cell| cell.text.is_empty()) {
                line.paint(cell.role, &cell.text);
                break;
            }
            line.paint(cell.role, &format!("{:width$}", cell.text));
            line.push("  ");
            at += width + 2;
        }
        line
    };
    rows.iter().map(line).collect()
}

/// Lines of at most `columns`, broken between words; a word that is longer keeps its line.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_colours_reach_a_terminal() {
        let mut text = Painted::new(Role::Error, "a\u{1b}[2Jb");
        text.push("\u{9b}31mc");
        assert_eq!(text.as_ansi(), "\u{1b}[1m\u{1b}[31ma\u{fffd}[2Jb\u{1b}[0m\u{fffd}31mc");
        assert_eq!(anstream::adapter::strip_str(text.as_ansi()).to_string(), "a\u{fffd}[2Jb\u{fffd}31mc");
    }

    #[test]
    fn a_last_cell_that_does_not_fit_stands_below_its_row() {
        let row = |cells: [&str; 3]| cells.map(Cell::from).to_vec();
        let rows =
            [row(["a", "bb", "idle"]), row(["ccc", "d", "process 1 (x, user alice)"]), row(["e", "", ""])];
        let lines: Vec<String> = table(&rows, " ", 24).iter().map(|line| line.as_ansi().to_owned()).collect();
        assert_eq!(lines, [" a    bb  idle", " ccc  d   \n     process 1 (x, user\n     alice)", " e"]);
    }
}
