//! A place in a text file, and the lines that show it with a caret.

use serde_saphyr::Location;

/// Where something stands in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    /// Line, from 1; 0 when unknown.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters.
    pub length: usize,
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Mark {
            line: number(location.line()),
            column: number(location.column()),
            length: number(location.span().len()).max(1),
        }
    }
}

/// A file's name and text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// As the user named it.
    pub name: String,
    pub text: String,
}

impl Source {
    /// The last mention of `word` before `mark` on the same line, or the mark itself: keys of a YAML map
    /// carry no place of their own, their values do.
    pub(super) fn key_before(&self, word: &str, mark: Mark) -> Mark {
        let line = self.line(mark);
        let before: String = line.chars().take(mark.column.saturating_sub(1)).collect();
        match before.rfind(word) {
            Some(byte) => {
                Mark { column: before[..byte].chars().count() + 1, length: word.chars().count(), ..mark }
            }
            None => mark,
        }
    }

    /// `file:line:column`, or the name alone.
    pub(super) fn position(&self, mark: Mark) -> String {
        match mark.line {
            0 => self.name.clone(),
            line => format!("{}:{line}:{}", self.name, mark.column),
        }
    }

    /// The line with a caret under the place; `None` when the place is unknown.
    pub(super) fn snippet(&self, mark: Mark) -> Option<String> {
        if mark.line == 0 {
            return None;
        }
        let (number, line) = (mark.line.to_string(), self.line(mark).trim_end());
        let margin = " ".repeat(number.len());
        let lead = mark.column.saturating_sub(1);
        // Tabs stay tabs, so that the caret lands under its column whatever their width.
        let indent: String = line.chars().take(lead).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let room = line.chars().count().saturating_sub(lead).max(1);
        let carets = "^".repeat(mark.length.clamp(1, room));
        Some(format!(" {margin} |\n {number} | {line}\n {margin} | {indent}{carets}"))
    }

    fn line(&self, mark: Mark) -> &str {
        self.text.lines().nth(mark.line.saturating_sub(1)).unwrap_or_default()
    }
}
