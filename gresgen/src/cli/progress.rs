//! What an apply is doing, on standard error: a line per step, which ends with the time that the step took.

use std::cell::{Cell, RefCell};
use std::env;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

use super::paint::{Painted, Role};
use super::report::Failure;
use super::waits::{self, Waits};
use super::{clean, screen};
use crate::node::{Event, Waiting};

/// Back to the start of the line, and clear it (ECMA-48 EL).
const REWIND: &str = "\r\x1b[K";

/// Writes to standard error, without what a terminal would obey. That nobody reads it any more is no reason to stop, least of
/// all between two changes of a GPU.
pub fn message(text: impl Display) {
    let text = screen::message(&text.to_string(), 2);
    let _ = writeln!(stderr(), "{}", clean::text(&text));
}

/// The same for text with colours, where standard error is to have any.
pub(super) fn painted(text: &Painted) {
    let _ = writeln!(anstream::stderr(), "{}", text.as_ansi());
}

/// An error, in the style of clap's.
pub fn report(failure: &Failure) {
    painted(&failure.painted());
}

/// A warning.
pub(super) fn warning(text: impl Display) {
    const WORD: &str = "warning:";
    let text = screen::message(&format!("{WORD} {text}"), WORD.len() + 1);
    let mut line = Painted::new(Role::Warning, WORD);
    line.push(&text[WORD.len()..]);
    painted(&line);
}

/// The display of one run. Dropped, it leaves no half line behind.
pub(super) struct Progress {
    quiet: bool,
    terminal: bool,
    /// A wait stands on the terminal's current line.
    shown: Cell<bool>,
    waits: Waits,
    steps: RefCell<Steps>,
}

/// Steps of a change, counted through all its rounds.
#[derive(Default)]
struct Steps {
    begun: usize,
    /// How many there are to be, as far as is known.
    of: usize,
    /// When the step began whose line is not ended.
    running: Option<Instant>,
    /// Whether what was done is being undone.
    back: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        Progress {
            quiet,
            terminal: stderr().is_terminal() && !dumb,
            shown: Cell::new(false),
            waits: Waits::default(),
            steps: RefCell::default(),
        }
    }

    /// How many steps are to come.
    pub(super) fn expect(&self, steps: usize) {
        self.steps.borrow_mut().of = steps;
    }

    pub(super) fn show(&self, event: &Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::Begin(number, of, step, gpu) => {
                self.waits.forget();
                self.clear();
                self.steps.borrow_mut().begin(*number, *of, &step.words(gpu));
            }
            Event::End => self.clear(),
            Event::Reset(gpu) => self.line(format_args!("resetting GPU {}", gpu.index)),
            Event::Waiting(wait) => self.wait(wait),
            Event::Warning(text) => {
                self.clear();
                warning(text);
            }
            Event::RollingBack(error) => {
                self.steps.borrow_mut().end("  failed");
                self.line(format_args!("{error}; putting back what was"));
                *self.steps.borrow_mut() = Steps { back: true, ..Steps::default() };
            }
        }
    }

    /// Shows a wait: on a terminal one line that changes, elsewhere a line a minute.
    pub(super) fn wait(&self, wait: &Waiting<'_>) {
        if self.quiet {
            return;
        }
        self.steps.borrow_mut().end("");
        if self.terminal {
            let _ = write!(stderr(), "{REWIND}{}", clean::text(&waits::live(wait)));
            self.shown.set(true);
        } else if self.waits.is_due(wait) {
            message(waits::line(wait));
        }
    }

    fn line(&self, text: impl Display) {
        self.clear();
        message(text);
    }

    /// Ends the line of a step and takes back that of a wait, for whoever writes to the terminal next.
    pub(super) fn clear(&self) {
        self.steps.borrow_mut().end("");
        if self.shown.take() {
            let _ = write!(stderr(), "{REWIND}");
        }
    }
}

impl Steps {
    /// Writes the line of a step, to be ended when the step has: a driver that hangs is seen in it.
    fn begin(&mut self, number: usize, of: usize, what: &str) {
        self.begun += 1;
        // One more round than was foreseen has steps of its own.
        self.of = self.of.max(self.begun + of - number);
        let back = if self.back { "back " } else { "" };
        let _ = write!(stderr(), "[{back}{}/{}] {}", self.begun, self.of, clean::text(what));
        self.running = Some(Instant::now());
    }

    /// Ends the line of the step that runs, with how it went and how long it took.
    fn end(&mut self, how: &str) {
        if let Some(begun) = self.running.take() {
            let _ = writeln!(stderr(), "{how}  {:.2} s", begun.elapsed().as_secs_f64());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
