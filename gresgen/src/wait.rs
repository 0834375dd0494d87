//! Waiting for something that comes about elsewhere: bounded, and over at once when a signal asks for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Whether a signal came that asks to stop, and which. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Set from now on when SIGINT, SIGTERM or SIGHUP comes, which no longer end the process by themselves: a terminal that goes
    /// away must not leave a change half done. Under nohup(1) SIGHUP stays ignored.
    ///
    /// # Errors
    /// The system's.
    pub fn on_signals() -> io::Result<Self> {
        let hangup = (!hangup_is_ignored()).then_some(SIGHUP);
        Self::on([SIGINT, SIGTERM].into_iter().chain(hangup))
    }

    /// The same where who is connected may go: what has begun is carried out, and a hangup (SIGHUP) does nothing.
    ///
    /// # Errors
    /// The system's.
    pub fn on_signals_but_hangup() -> io::Result<Self> {
        signal_hook::flag::register(SIGHUP, Arc::default())?;
        Self::on([SIGINT, SIGTERM])
    }

    fn on(signals: impl IntoIterator<Item = i32>) -> io::Result<Self> {
        let stop = Stop::default();
        for signal in signals {
            signal_hook::flag::register_usize(signal, Arc::clone(&stop.0), signal as usize)?;
        }
        Ok(stop)
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Whether it was a person at a terminal (SIGINT), and not systemd, who has no more patience.
    pub fn is_by_person(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SIGINT as usize
    }
}

/// Whether whoever started this process wants it to outlive a hangup (proc_pid_status(5), `SigIgn`: signal N is bit N - 1).
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Why a wait ended without what was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended<E> {
    /// A signal came.
    Stopped,
    /// Time is up; why the last attempt failed.
    Late(E),
}

/// Tries until it works, `limit` has passed or a signal comes. There is one attempt at least.
pub(crate) fn until<T, E>(
    limit: Duration,
    pause: Duration,
    stop: &Stop,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, Ended<E>> {
    until_reporting(limit, pause, stop, &mut |_, _| {}, attempt)
}

/// The same, and after each attempt that failed somebody is told how long it has been waited, and why it failed.
pub(crate) fn until_reporting<T, E>(
    limit: Duration,
    pause: Duration,
    stop: &Stop,
    report: &mut dyn FnMut(Duration, &E),
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, Ended<E>> {
    /// A signal does not cut std's sleep short.
    const BREATH: Duration = Duration::from_millis(50);
    let start = Instant::now();
    loop {
        let outcome = attempt();
        // A terminal's Ctrl-C ends the command that was asked as well, and its failure says nothing then.
        match outcome {
            Ok(value) => return Ok(value),
            Err(_) if stop.is_set() => return Err(Ended::Stopped),
            Err(error) if start.elapsed() + pause > limit => return Err(Ended::Late(error)),
            Err(error) => report(start.elapsed(), &error),
        }
        let next = Instant::now() + pause;
        while let Some(left) = next.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if stop.is_set() {
                return Err(Ended::Stopped);
            }
            sleep(left.min(BREATH));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(1);

    #[test]
    fn waiting_ends_with_success_or_with_the_limit() {
        let mut tries = 0;
        let third = until(Duration::from_secs(30), PAUSE, &Stop::default(), || {
            tries += 1;
            if tries == 3 { Ok(tries) } else { Err("not yet") }
        });
        assert_eq!(third, Ok(3));
        let never = until::<(), _>(Duration::ZERO, PAUSE, &Stop::default(), || Err("never"));
        assert_eq!(never, Err(Ended::Late("never")));
    }

    #[test]
    fn a_signal_ends_it_but_not_what_is_there_already() {
        let stop = Stop::default();
        let mut tries = 0;
        let stopped = until::<(), _>(Duration::from_secs(3600), Duration::from_secs(600), &stop, || {
            tries += 1;
            stop.0.store(SIGINT as usize, Ordering::Relaxed);
            Err("never")
        });
        assert_eq!((stopped, tries), (Err(Ended::Stopped), 1));
        assert!(stop.is_by_person());
        assert_eq!(until::<_, ()>(Duration::ZERO, PAUSE, &stop, || Ok(1)), Ok(1));
    }
}
