//! `gresgen status --watch`: the same again and again, until somebody has seen enough.

use std::env;
use std::io::{ErrorKind, IsTerminal, Write, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cli::change::stop;
use crate::cli::paint::Painted;
use crate::cli::report::{Exit, Failure, Outcome};
use crate::cli::screen;

/// To the first column of the first row; clear what is right of the text, and what is below (ECMA-48 CUP, EL, ED).
const HOME: &str = "\x1b[H";
const CLEAR_RIGHT: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// A signal does not cut std's sleep short.
const BREATH: Duration = Duration::from_millis(50);

/// Reads `2` or `0.5`.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|pause| (LEAST..=MOST).contains(pause))
        .ok_or_else(|| format!("a number of seconds from {} to {}", LEAST.as_secs_f64(), MOST.as_secs()))
}

/// A picture of a large node takes some 25 ms to read, and the driver is asked each time.
const LEAST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(24 * 3600);

/// Draws until a signal comes or nobody reads any more. Both are how it is meant to end.
pub(super) fn run(
    pause: Duration,
    json: bool,
    mut show: impl FnMut() -> Result<Painted, Failure>,
) -> Outcome {
    let stop = stop()?;
    let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    let terminal = stdout().is_terminal() && !dumb && !json;
    let mut first = true;
    while !stop.is_set() {
        let text = show()?.for_output();
        let text = if terminal { redrawn(&text, first) } else { text };
        let between = if terminal || json || first { "" } else { "\n" };
        let mut out = stdout().lock();
        let written = write!(out, "{between}{text}").and_then(|()| out.flush());
        drop(out);
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            written => written.map_err(|e| Failure::failed(format!("standard output: {e}")))?,
        }
        first = false;
        let next = Instant::now() + pause;
        while let Some(left) = next.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if stop.is_set() {
                break;
            }
            sleep(left.min(BREATH));
        }
    }
    Ok(Exit::Ok)
}

/// The text over the one before, as much of it as the terminal has rows.
fn redrawn(text: &str, first: bool) -> String {
    let rows = screen::rows().unwrap_or(usize::MAX);
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = String::from(HOME);
    if first {
        shown.push_str(CLEAR_BELOW);
    }
    let fits = lines.len() < rows;
    let count = if fits { lines.len() } else { rows.saturating_sub(2) };
    for line in &lines[..count] {
        shown.push_str(&format!("{line}{CLEAR_RIGHT}\n"));
    }
    if !fits {
        shown.push_str(&format!("... {} more lines{CLEAR_RIGHT}\n", lines.len() - count));
    }
    shown + CLEAR_BELOW
}
