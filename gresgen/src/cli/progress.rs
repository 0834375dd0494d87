//! What an apply is doing, on standard error: a line per step; on a terminal each takes the place of the one before.

use std::cell::Cell;
use std::env;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};

use super::clean;
use super::waits::{self, Waits};
use crate::node::{Event, Waiting};

/// Back to the start of the line, and clear it (ECMA-48 EL).
const REWIND: &str = "\r\x1b[K";

/// Writes to standard error, without what a terminal would obey. That nobody reads it any more is no reason to stop, least of all between two changes of a GPU.
pub fn message(text: impl Display) {
    let _ = writeln!(stderr(), "{}", clean::text(&text.to_string()));
}

/// The display of one run. Dropped, it leaves no half line behind.
pub(super) struct Progress {
    quiet: bool,
    terminal: bool,
    /// A step stands on the terminal's current line.
    shown: Cell<bool>,
    waits: Waits,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        Progress {
            quiet,
            terminal: stderr().is_terminal() && !dumb,
            shown: Cell::new(false),
            waits: Waits::default(),
        }
    }

    pub(super) fn show(&self, event: &Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::Begin(number, of, step, gpu) => {
                self.waits.forget();
                let line = format!("[{number}/{of}] {}", step.words(gpu));
                if self.terminal {
                    let _ = write!(stderr(), "{REWIND}{}", clean::text(&line));
                    self.shown.set(true);
                } else {
                    message(line)
                }
            }
            Event::Reset(gpu) => self.line(format_args!("resetting GPU {}", gpu.index)),
            Event::Waiting(wait) => self.wait(wait),
            Event::Warning(text) => self.line(format_args!("warning: {text}")),
            Event::RollingBack(error) => self.line(format_args!("{error}; putting back what was")),
        }
    }

    /// Shows a wait: on a terminal one line that changes, elsewhere a line a minute.
    pub(super) fn wait(&self, wait: &Waiting<'_>) {
        match self.terminal {
            _ if self.quiet => {}
            true => {
                let _ = write!(stderr(), "{REWIND}{}", clean::text(&waits::live(wait)));
                self.shown.set(true);
            }
            false => {
                if self.waits.is_due(wait) {
                    message(waits::line(wait));
                }
            }
        }
    }

    fn line(&self, text: impl Display) {
        self.clear();
        message(text);
    }

    /// Clears the line, for whoever writes to the terminal next.
    pub(super) fn clear(&self) {
        if self.shown.take() {
            let _ = write!(stderr(), "{REWIND}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
