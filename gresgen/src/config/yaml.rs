//! What the YAML reader says, in words of the file's author.

use serde_saphyr::{Error, UserMessageFormatter};

use crate::words::did_you_mean_of;

/// What a reader of YAML calls things, and what they are called here.
const WORDS: [(&str, &str); 5] = [
    ("expected mapping start", "a map belongs here, as in {key: value}"),
    ("expected sequence start", "a list belongs here, as in [a, b]"),
    ("invalid u32", "a whole number from 0 to 4294967295 belongs here"),
    ("invalid boolean", "true or false belongs here"),
    (
        "tabs disallowed within this context (block indentation)",
        "a tab begins this line; YAML is indented by blanks alone",
    ),
];

/// A message without its place, which stands before it already.
pub(super) fn message(error: &Error, text: &str, line: usize, column: usize) -> String {
    let said = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    let said = said.strip_suffix(&format!(" at line {line}, column {column}")).unwrap_or(&said);
    if let Some((_, words)) = WORDS.iter().find(|(theirs, _)| said == *theirs) {
        return (*words).to_owned();
    }
    if said == "unexpected end of file" && is_empty(text) {
        return "nothing stands in it; it begins with version: v1".to_owned();
    }
    if let Some(key) = said.strip_prefix("duplicate mapping key ").and_then(|rest| rest.split(' ').next()) {
        return format!("{key} stands here for the second time");
    }
    match said.split_once(", expected one of ") {
        Some((unknown, known)) => {
            let word = unknown.split('`').nth(1).unwrap_or_default();
            format!("{unknown}{} expected one of {known}", did_you_mean_of(word, known.split(", ")))
        }
        None => said.to_owned(),
    }
}

/// Whether a text is comments and blanks alone.
fn is_empty(text: &str) -> bool {
    text.lines().all(|line| matches!(line.trim().chars().next(), None | Some('#')))
}
