//! `gresgen history`

use super::report::Outcome;
use super::screen;
use super::session::Session;
use crate::history::{self, Entry};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The last changes, so many of them
    #[arg(short, long, value_name = "NUMBER", default_value_t = 20)]
    number: usize,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    let entries = history::read(&session.root)?;
    let last = &entries[entries.len().saturating_sub(args.number)..];
    session.print(&last, || text(last, session.global.verbose))
}

/// The newest last, as a log; with `steps` what was done to the GPUs.
fn text(entries: &[Entry], steps: bool) -> String {
    if entries.is_empty() {
        return "nothing was changed yet\n".to_owned();
    }
    let width = |of: &dyn Fn(&Entry) -> usize, name: &str| {
        entries.iter().map(of).max().unwrap_or_default().max(name.len())
    };
    let by = width(&|entry| entry.by.chars().count(), "BY");
    let id = width(&|entry| entry.id.to_string().len(), "ID");
    let mut text = format!("{:>id$}  {:20}  {:by$}  {:7}  WHAT\n", "ID", "WHEN", "BY", "RESULT");
    for entry in entries {
        let Entry { id: number, at, by: who, result, what, .. } = entry;
        let count = match entry.steps.len() {
            0 => "files alone".to_owned(),
            1 => "1 step".to_owned(),
            many => format!("{many} steps"),
        };
        let (head, rest) =
            (format!("{number:>id$}  {at:20}  {who:by$}  {result:7}"), format!("{what}, {count}"));
        // A long label has a line of its own.
        if head.chars().count() + 2 + rest.chars().count() <= screen::line() {
            text.push_str(&format!("{head}  {rest}\n"))
        } else {
            text.push_str(&format!("{}\n{:id$}  {rest}\n", head.trim_end(), ""))
        }
        if let Some(error) = &entry.error {
            text.push_str(&format!("{:id$}  {}\n", "", error.lines().next().unwrap_or_default()));
        }
        for step in entry.steps.iter().filter(|_| steps) {
            text.push_str(&format!("{:id$}  {step}\n", ""));
        }
    }
    text
}
