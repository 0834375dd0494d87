//! The call log, `NVML_SIM_CALLS`: one line per NVML call, its name and the id of the calling process.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// An open call log.
#[derive(Debug)]
pub struct CallLog(File);

impl CallLog {
    /// Opens a log to append to it; several processes may share one.
    ///
    /// # Errors
    /// When the file cannot be opened for writing.
    pub fn open(path: &Path) -> io::Result<CallLog> {
        OpenOptions::new().create(true).append(true).open(path).map(CallLog)
    }

    /// Writes the line of a call that is about to happen. A full disk does not change what the call does.
    pub fn record(&mut self, call: &str) {
        let _ = self.0.write_all(format!("{call} {}\n", std::process::id()).as_bytes());
    }
}
