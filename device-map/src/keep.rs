//! The copy of the map that slurmd keeps.
//!
//! An index means what slurmd read in `gres.conf`, not what was applied since. So slurmd, when it starts, copies
//! the map to a name beside it, and tasks are resolved with the copy.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use crate::version::VERSION;
use crate::{DeviceMap, LoadError, load};

/// Where slurmd's copy of the map at `path` stands: `devices.slurmd` beside `devices`.
pub fn kept(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".slurmd");
    PathBuf::from(name)
}

/// Copies the map at `path` to [`kept`], or removes an older copy when there is no map of this boot to trust: tasks
/// must not be resolved with what an earlier slurmd read. The copy says who made it.
///
/// # Errors
/// [`LoadError`] of the map, or of the copy when that cannot be written.
pub fn keep(path: &Path) -> Result<DeviceMap, LoadError> {
    let copy = kept(path);
    match load(path).and_then(|map| map.of_this_boot(path)) {
        Ok(map) => {
            let map = DeviceMap { plugin: Some(VERSION.to_owned()), ..map };
            match replace(&copy, &map.to_string()) {
                Ok(()) => Ok(map),
                Err(error) => {
                    let _ = fs::remove_file(&copy);
                    Err(LoadError::Io(copy, error))
                }
            }
        }
        Err(error) => {
            let _ = fs::remove_file(&copy);
            Err(error)
        }
    }
}

/// Puts `text` in the place of `path` in one step.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = OsString::from(path);
    name.push(format!(".{}", process::id()));
    let temporary = PathBuf::from(name);
    // Left by a process of this number that was killed here.
    let _ = fs::remove_file(&temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests;
