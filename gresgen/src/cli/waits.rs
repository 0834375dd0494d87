//! Waits on standard error: how long, for whom, until when.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::screen;
use crate::node::Waiting;

/// How often a wait is told where it is not shown as it goes.
const EVERY: Duration = Duration::from_secs(60);

/// What was told last of a wait, where it is told in lines.
#[derive(Default)]
pub(super) struct Waits {
    what: RefCell<String>,
    at: Cell<Duration>,
}

impl Waits {
    /// Whether a wait is to be told now: at its beginning, and every minute.
    pub(super) fn is_due(&self, wait: &Waiting<'_>) -> bool {
        let is_new = *self.what.borrow() != wait.what || wait.since < self.at.get();
        let due = is_new || wait.since >= self.at.get() + EVERY;
        if due {
            self.what.replace(wait.what.to_owned());
            self.at.set(wait.since);
        }
        due
    }

    /// The next wait is another one.
    pub(super) fn forget(&self) {
        self.what.replace(String::new());
    }
}

/// The wait as a line of a log.
pub(super) fn line(wait: &Waiting<'_>) -> String {
    let Waiting { what, since, limit, why } = wait;
    format!("waiting for {what}, {} of {}: {}", clock(*since), clock(*limit), first_line(why))
}

/// The same in one line of the terminal, cut where it ends: a line that wraps cannot be taken back.
pub(super) fn live(wait: &Waiting<'_>) -> String {
    cut(&line(wait), screen::message_columns().saturating_sub(1))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// `0:12`, `1:00:00`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(since: u64) -> Waiting<'static> {
        let (what, why) = ("n1 to have no jobs", "job 15 (alice, since 11-26 13:02, ends 11-26 14:10)\nmore");
        Waiting { what, since: Duration::from_secs(since), limit: Duration::from_secs(3600), why }
    }

    #[test]
    fn a_wait_is_one_line() {
        assert_eq!(
            line(&wait(72)),
            "waiting for n1 to have no jobs, 1:12 of 1:00:00: job 15 (alice, since 11-26 13:02, ends 11-26 14:10)"
        );
        assert_eq!(cut("waiting for n1", 10), "waiting f…");
        assert_eq!(cut("waiting", 7), "waiting");
    }

    #[test]
    fn it_is_told_at_its_beginning_and_every_minute() {
        let waits = Waits::default();
        let told: Vec<u64> = (0..200).step_by(2).filter(|&since| waits.is_due(&wait(since))).collect();
        assert_eq!(told, [0, 60, 120, 180]);
        assert!(waits.is_due(&wait(0)), "another wait for the same");
        let other = Waiting { what: "the driver", ..wait(3) };
        assert!(waits.is_due(&other) && !waits.is_due(&other));
    }
}
