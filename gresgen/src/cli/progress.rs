//! What an apply is doing, on standard error: a line per step, which ends with the time that the step took.

use std::cell::RefCell;
use std::fmt::Display;
use std::io::{Write, stderr};
use std::time::Instant;

use super::clean;
use super::paint::{Painted, Role};
use super::report::Failure;
use crate::apply::name;
use crate::apply::steps::Step;
use crate::node::Event;

/// Writes to standard error, without what a terminal would obey. That nobody reads it any more is no reason to stop, least of
/// all between two changes of a GPU.
pub fn message(text: impl Display) {
    let _ = writeln!(stderr(), "{}", clean::text(&text.to_string()));
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
    let mut line = Painted::new(Role::Warning, "warning:");
    line.push(&format!(" {text}"));
    painted(&line);
}

/// The display of one run. Dropped, it leaves no half line behind.
pub(super) struct Progress {
    quiet: bool,
    steps: RefCell<Steps>,
}

/// Steps of a change, counted through all its rounds.
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
    /// `steps` is how many the change has.
    pub(super) fn new(quiet: bool, steps: usize) -> Self {
        Progress { quiet, steps: RefCell::new(Steps { begun: 0, of: steps, running: None, back: false }) }
    }

    pub(super) fn show(&self, event: &Event<'_>) {
        if self.quiet {
            return;
        }
        match event {
            Event::Begin(number, of, step, gpu) => {
                let what = match step {
                    Step::Mode { on, .. } => {
                        format!("GPU {} MIG mode {}", gpu.index, if *on { "on" } else { "off" })
                    }
                    Step::Destroy { slice, .. } => format!("destroy {}", name(gpu, slice)),
                    Step::Create { slice, .. } => format!("create {}", name(gpu, slice)),
                    Step::Recut { slice, .. } => format!("divide {}", name(gpu, slice)),
                };
                self.end("");
                self.steps.borrow_mut().begin(*number, *of, &what);
            }
            Event::Reset(gpu) => self.line(format_args!("resetting GPU {}", gpu.index)),
            Event::Waiting(node, limit) => self.line(format_args!(
                "{node} is drained; waiting at most {} for its jobs to end",
                humantime::format_duration(*limit)
            )),
            Event::RollingBack(error) => {
                self.end("failed");
                message(format_args!("{error}; putting back what was"));
                *self.steps.borrow_mut() = Steps { begun: 0, of: 0, running: None, back: true };
            }
        }
    }

    fn line(&self, text: impl Display) {
        self.end("");
        message(text);
    }

    /// Ends the line of the step that runs, with how it went and how long it took.
    fn end(&self, how: &str) {
        if let Some(begun) = self.steps.borrow_mut().running.take() {
            let gap = if how.is_empty() { "" } else { "  " };
            let _ = writeln!(stderr(), "{gap}{how}  {:.2} s", begun.elapsed().as_secs_f64());
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
        let mut err = stderr();
        let _ = write!(err, "[{back}{}/{}] {}", self.begun, self.of, clean::text(what));
        let _ = err.flush();
        self.running = Some(Instant::now());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.end("");
    }
}
