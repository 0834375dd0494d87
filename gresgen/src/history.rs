//! What was changed on a node: a line of JSON per change, and a line for the system's log.
//!
//! Written by whoever holds the node's lock, after a change has ended. One that was killed cannot say so itself: the
//! next change finds its journal and notes that it was cut off.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::path_error::PathError;
use crate::read;
use crate::root::Root;

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ending {
    /// It was carried out and verified.
    Done,
    /// It failed or was interrupted, and what it had done was taken back.
    Undone,
    /// It failed, and GPUs or files are neither what they were nor what they should be.
    Failed,
    /// It was killed, or the machine went down.
    CutOff,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ending::Done => "done",
            Ending::Undone => "undone",
            Ending::Failed => "failed",
            Ending::CutOff => "cut off",
        })
    }
}

/// One change. Keys are added, never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Entry {
    /// Its number: one more than that of the change before.
    pub id: u64,
    /// When it began (RFC 3339, UTC).
    pub at: String,
    /// Who asked for it: the login name behind sudo or of the session, else the user's number.
    pub by: String,
    /// The user id it ran as.
    pub uid: u32,
    /// What was asked for, in words.
    pub what: String,
    /// How it ended.
    pub result: Ending,
    /// Why it did not end well, or what went wrong beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was to be done to the GPUs, in order.
    #[serde(default)]
    pub steps: Vec<String>,
    /// Files that were written.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// The layout that was chosen with it.
    #[serde(default)]
    pub layout: Option<String>,
    /// The one that was chosen before.
    #[serde(default)]
    pub layout_before: Option<String>,
    /// The GPUs as they were, as the journal of a change has them.
    pub before: serde_json::Value,
}

/// Size in bytes at which a file makes way for a new one; one older file is kept. An entry has at most some kB: eight
/// GPUs with seven instances each have about six.
const LIMIT: u64 = 512 << 10;

/// Most bytes of one file that are read, the last ones: whatever made a file longer, the next change makes way for a new one.
const MOST: u64 = 4 * LIMIT;

impl Entry {
    /// Appends it to the history, so that it survives a crash from now on, and tells the system's log. Gives its number.
    pub(crate) fn append(mut self, root: &Root) -> Result<u64, PathError> {
        let path = root.path(Root::HISTORY);
        self.id = read(root)?.last().map_or(1, |last| last.id.saturating_add(1));
        let write = || -> io::Result<()> {
            if let Some(parent) = path.parent() {
                atomic::own_directory(parent)?;
            }
            if path.symlink_metadata().is_ok_and(|status| status.len() >= LIMIT) {
                fs::rename(&path, older(&path))?;
            }
            let mut file = open(&path)?;
            let mut line = serde_json::to_vec(&self)?;
            line.push(b'\n');
            if !ends_a_line(&mut file)? {
                line.insert(0, b'\n');
            }
            file.write_all(&line)?;
            file.sync_all()?;
            File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        write().map_err(PathError::io(&path))?;
        log(root, &self);
        Ok(self.id)
    }
}

/// Mode of a history that is new: users may read it.
const MODE: u32 = 0o644;

/// Opens the file to append to it.
fn open(path: &Path) -> io::Result<File> {
    let file = read::open_own(path, OpenOptions::new().read(true).append(true).create(true).mode(MODE))?;
    if file.metadata()?.len() == 0 {
        // Whatever the umask is.
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

/// Whether what is there ends with a whole line: a crash may have left a part of one.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("1")
}

/// All changes that are remembered, the oldest first. A line that is no entry, as a crash leaves it, is passed over.
///
/// # Errors
/// [`PathError`]; a history that is not there is none.
pub(crate) fn read(root: &Root) -> Result<Vec<Entry>, PathError> {
    let path = root.path(Root::HISTORY);
    let mut entries = Vec::new();
    for path in [older(&path), path] {
        let Some(text) = read::if_there(tail(&path)).map_err(PathError::io(&path))? else { continue };
        entries
            .extend(text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
    }
    Ok(entries)
}

/// The end of a file. A line whose begin is not in it is no entry.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = read::open(path)?;
    file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(MOST)))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Tells the system's log, where there is one: a datagram as of syslog(3), which journald takes as well. Nobody waits
/// for it.
fn log(root: &Root, entry: &Entry) {
    /// LOG_DAEMON and LOG_NOTICE, LOG_WARNING (RFC 5424, 6.2.1).
    const FACILITY: u32 = 3 << 3;
    let level = if entry.result == Ending::Done && entry.error.is_none() { 5 } else { 4 };
    let Entry { id, by, what, result, steps, error, .. } = entry;
    let why = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let text = format!("change {id} by {by}: {what}: {result}, {} steps{why}", steps.len());
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
    let message = format!("<{}>gresgen[{}]: {text}", FACILITY | level, std::process::id());
    let _ = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(message.as_bytes(), root.path("/dev/log"))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: &str) -> Entry {
        Entry {
            id: 0,
            at: "2026-01-02T03:04:05Z".into(),
            by: "ada".into(),
            uid: 0,
            what: what.into(),
            result: Ending::Done,
            error: None,
            steps: vec!["create GPU 0 1g.5gb at 2".into()],
            files: Vec::new(),
            layout: Some("a".into()),
            layout_before: None,
            before: serde_json::json!([{"gpu": "GPU-1", "mig": true, "slices": []}]),
        }
    }

    fn place() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::new(directory.path()).unwrap();
        (directory, root)
    }

    #[test]
    fn changes_are_numbered_and_come_back_as_they_were() {
        let (_directory, root) = place();
        assert_eq!(read(&root).unwrap(), []);
        assert_eq!(entry("one\n\u{1b}[2J").append(&root).unwrap(), 1);
        // Half a line, and one that is no entry.
        let mut file = open(&root.path(Root::HISTORY)).unwrap();
        file.write_all(b"{}\n{\"id\": 7, \"at").unwrap();
        assert_eq!(entry("two").append(&root).unwrap(), 2);
        let all = read(&root).unwrap();
        assert_eq!(all, [Entry { id: 1, ..entry("one\n\u{1b}[2J") }, Entry { id: 2, ..entry("two") }]);
    }

    #[test]
    fn it_does_not_grow_without_end_and_numbers_go_on() {
        let (_directory, root) = place();
        let path = root.path(Root::HISTORY);
        let long = "x".repeat(LIMIT as usize / 4);
        for id in 1..=11 {
            assert_eq!(entry(&long).append(&root).unwrap(), id);
        }
        let sizes = [&path, &older(&path)].map(|path| path.metadata().unwrap().len());
        assert!(sizes.iter().all(|&size| size < 2 * LIMIT), "{sizes:?}");
        let ids: Vec<u64> = read(&root).unwrap().iter().map(|entry| entry.id).collect();
        assert_eq!(ids.last(), Some(&11));
        assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    }

    #[test]
    fn a_file_that_somebody_made_long_makes_way_and_its_last_number_counts() {
        let (_directory, root) = place();
        let path = root.path(Root::HISTORY);
        entry("one").append(&root).unwrap();
        let mut file = open(&path).unwrap();
        file.write_all(&vec![b'x'; 2 * MOST as usize]).unwrap();
        let last = Entry { id: u64::MAX, ..entry("last") };
        file.write_all(format!("\n{}\n", serde_json::to_string(&last).unwrap()).as_bytes()).unwrap();
        assert_eq!(read(&root).unwrap(), std::slice::from_ref(&last));
        assert_eq!(entry("next").append(&root).unwrap(), u64::MAX);
        assert!(path.metadata().unwrap().len() < LIMIT);
        assert_eq!(read(&root).unwrap(), [last, Entry { id: u64::MAX, ..entry("next") }]);
    }

    #[test]
    fn what_is_planted_in_its_place_is_neither_followed_nor_waited_for() {
        let (directory, root) = place();
        let path = root.path(Root::HISTORY);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(entry("x").append(&root).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(read(&root).is_err() && entry("x").append(&root).is_err());
    }

    #[test]
    fn the_system_log_is_told_on_one_line() {
        let (_directory, root) = place();
        fs::create_dir_all(root.path("/dev")).unwrap();
        let socket = UnixDatagram::bind(root.path("/dev/log")).unwrap();
        Entry { result: Ending::Undone, error: Some("no\nroom".into()), ..entry("layout a") }
            .append(&root)
            .unwrap();
        let mut buffer = [0; 2000];
        let length = socket.recv(&mut buffer).unwrap();
        let pid = std::process::id();
        let due = format!("<28>gresgen[{pid}]: change 1 by ada: layout a: undone, 1 steps: no room");
        assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), due);
    }
}
