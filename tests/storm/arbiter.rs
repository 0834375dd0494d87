//! `gresgen arbiter` on the controller: started, killed at any moment, and started again.

use lab::{Fleet, LabError};

/// What it says, of all that were started one after the other.
pub(crate) const LOG: &str = "/var/lab/storm/arbiter.log";

const START: &str =
    "setsid gresgen arbiter </dev/null >>/var/lab/storm/arbiter.log 2>&1 & echo $! >/run/arbiter.pid";

/// Ends it, and waits until it is gone; exit code 1 where it had ended before.
const END: &str = r#"pid=$(cat /run/arbiter.pid) && kill -s "$1" "$pid" || exit 1
while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done"#;

pub(crate) fn start(fleet: &Fleet) -> Result<(), LabError> {
    fleet.lab.run(&["sh", "-c", START]).map(drop)
}

/// Whether it was there until now.
pub(crate) fn end(fleet: &Fleet, signal: &str) -> Result<bool, LabError> {
    Ok(fleet.lab.command(&["sh", "-c", END, "sh", signal]).output()?.code == 0)
}
