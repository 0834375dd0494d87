//! Data goes to standard output; a reader that has seen enough (`| head`) is no error.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{self, Path};

use mig::Demand;
use mig::shortage::Counted;
use serde::Serialize;

use super::paint::{Cell, Painted, table as columns};
use super::progress::message;
use super::report::Failure;
use super::{clean, screen};
use crate::atomic::{self, Attributes};

/// Prints text, without what a terminal would obey.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    print(&clean::text(text))
}

/// Prints text with its colours, where standard output is to have any.
pub(super) fn painted(text: &Painted) -> Result<(), Failure> {
    written(anstream::stdout().lock().write_all(text.as_ansi().as_bytes()))
}

fn print(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Prints bytes as they are: for programs, not for a terminal.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    written(io::stdout().lock().write_all(bytes))
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON, one document on its own lines.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let document = Painted::json(value).map_err(Failure::failed)?;
    print(document.as_ansi())
}

/// Writes a file that was asked for by name, whole or not at all, and says so; `-` is standard output.
pub(super) fn file(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        return self::text(text);
    }
    // What a link leads to is meant.
    let place = fs::canonicalize(path).or_else(|_| path::absolute(path)).map_err(failed(path))?;
    refuse_other_than_files(path, &place)?;
    atomic::replace(&place, text.as_bytes(), MODE).map_err(failed(path))?;
    message(format_args!("wrote {}", path.display()));
    Ok(())
}

/// The same, without a word, for a file that a timer replaces time and again in a directory that may be another user's: a link
/// there is not followed, it gives way to a new file.
pub(super) fn regular_file(path: &Path, text: &str) -> Result<(), Failure> {
    if path == Path::new("-") {
        return self::text(text);
    }
    let place = path::absolute(path).map_err(failed(path))?;
    refuse_other_than_files(path, &place)?;
    let attributes = if place.is_symlink() { Attributes::new(MODE) } else { Attributes::of(&place, MODE) };
    atomic::replace_as(&place, text.as_bytes(), attributes).map_err(failed(path))
}

/// Mode of files that were asked for by name and are new: whoever looks at graphs or scrapes metrics reads them.
const MODE: u32 = 0o644;

fn failed(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| Failure::failed(format!("{}: {error}", path.display()))
}

/// A device or a pipe must not become a file, and neither must a name that the kernel gives one, as `/dev/stdout`.
fn refuse_other_than_files(path: &Path, place: &Path) -> Result<(), Failure> {
    let kernels = place.is_symlink()
        && place
            .parent()
            .and_then(|parent| fs::canonicalize(parent).ok())
            .is_some_and(|parent| parent.starts_with("/dev") || parent.starts_with("/proc"));
    if kernels || (place.exists() && !place.is_file()) { Err(not_a_file(path)) } else { Ok(()) }
}

fn not_a_file(path: &Path) -> Failure {
    Failure::usage(format!("{}: not a regular file", path.display())).hint("- stands for standard output")
}

/// `room for 1 x 3g.20gb, 2 x 2g.10gb or 4 x 1g.5gb`, largest first, as lines no longer than a terminal's.
pub(super) fn alternatives(before: &str, counts: &Demand) -> String {
    let parts = Counted(counts).parts();
    let words = parts.iter().enumerate().map(|(i, part)| match parts.len() - i {
        1 => part.clone(),
        2 => format!("{part} or"),
        _ => format!("{part},"),
    });
    filled(before, words.chain(parts.is_empty().then(|| "nothing".to_owned())))
}

/// Parts behind a word, as lines no longer than a terminal's, each part whole.
pub(super) fn filled(before: &str, parts: impl IntoIterator<Item = String>) -> String {
    let width = screen::columns();
    let mut lines = vec![before.trim_end().to_owned()];
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + part.chars().count() <= width => {
                line.push(' ');
                line.push_str(&part);
            }
            _ => lines.push(" ".repeat(before.chars().count()) + &part),
        }
    }
    lines.join("\n") + "\n"
}

/// Rows in columns as wide as their widest cell, two spaces apart.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cell>> =
        rows.iter().map(|row| row.iter().map(|text| Cell::from(text.as_str())).collect()).collect();
    columns(&rows, "", usize::MAX).iter().map(|line| format!("{}\n", line.as_ansi().trim_end())).collect()
}
