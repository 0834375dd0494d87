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

/// Brings the copy of a running slurmd up to the map at `path`, whose indexes mean what they meant: only what no job has is
/// another device. Up to 23.02 slurmd reads its files again without starting anew, so that the plugin in it does not
/// see it. The copy goes on saying which plugin slurmd loaded; where there is none, none is made.
///
/// # Errors
/// [`LoadError`] of either; the copy is what it was.
pub fn refresh(path: &Path) -> Result<(), LoadError> {
    let copy = kept(path);
    let plugin = match load(&copy) {
        Ok(known) => known.plugin,
        Err(LoadError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let map = load(path).and_then(|map| map.of_this_boot(path))?;
    let text = DeviceMap { plugin, ..map }.to_string();
    replace(&copy, &text).map_err(|error| LoadError::Io(copy, error))
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
