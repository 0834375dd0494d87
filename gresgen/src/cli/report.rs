//! From a typed error to what a person and a script see: text, hint and exit code, in one place.

use std::error::Error;
use std::fmt;

use super::paint::{Painted, Role};
use super::screen;

pub use super::exit::Exit;

#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    pub error: Box<dyn Error + Send + Sync>,
    /// What became of the node, where that is not what one fears.
    pub note: Option<&'static str>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What every verb returns.
pub type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure with nothing to advise.
    pub fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure { exit, error: error.into(), note: None, hint: None }
    }

    /// What was asked for is wrong, and nothing was changed.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure::new(Exit::Usage, error)
    }

    /// It was tried, and failed.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Failure::new(Exit::Failure, error)
    }

    /// Adds what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// Adds something further to do, or to know.
    pub fn also(self, what: &str) -> Self {
        let hint = self.hint.map_or_else(|| what.to_owned(), |hint| format!("{hint}; {what}"));
        Failure { hint: Some(hint), ..self }
    }

    /// What is said, piece by piece: each with the word that stands before it.
    fn parts(&self) -> Vec<(Role, &'static str, String)> {
        let first = self.error.to_string();
        let mut parts = vec![(Role::Error, "error", without_number(&first))];
        let mut shown = first;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // An error that only passes another on has its words, or ends in them.
            if text != shown && !shown.ends_with(&format!(": {text}")) {
                parts.push((Role::Plain, "caused by", without_number(&text)));
            }
            shown = text;
            cause = error.source();
        }
        parts.extend(self.note.map(|note| (Role::Plain, "note", note.to_owned())));
        parts.extend(self.hint.clone().map(|hint| (Role::Good, "hint", hint)));
        parts
    }

    /// The failure for a terminal.
    pub(super) fn painted(&self) -> Painted {
        let mut text = Painted::default();
        for (number, (role, word, said)) in self.parts().iter().enumerate() {
            text.push(if number == 0 { "" } else { "\n" });
            let begin = word.len() + 1;
            let said = screen::message(&format!("{word}: {said}"), begin + 1);
            text.paint(*role, &said[..begin]);
            text.push(&said[begin..]);
        }
        text
    }
}

/// A text without the number that Rust puts behind the system's words, which say it already.
fn without_number(text: &str) -> String {
    const BEFORE: &str = " (os error ";
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEFORE) {
        left.push_str(before);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match after[digits..].strip_prefix(')').filter(|_| digits > 0) {
            Some(behind) => rest = behind,
            None => {
                left.push_str(BEFORE);
                rest = after;
            }
        }
    }
    left + rest
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (_, word, said)) in self.parts().iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{word}: {said}")?;
        }
        Ok(())
    }
}
