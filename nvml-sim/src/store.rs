//! The state on disk: one file, replaced by one rename, under a file lock.
//!
//! A commit is the rename and nothing else, so a process may die at any moment. The tree of device
//! and proc files is derived afterwards under the same lock; who finds it behind the state derives it anew.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

use crate::clients::Clients;
use crate::defect::defect;
use crate::machine::Machine;
use crate::node::{By, make_directory};
use crate::project;
use crate::spec::Spec;

/// Directory of the state, under the simulator's root.
const DIRECTORY: &str = "var/lib/nvml-sim";

/// A simulated machine on disk.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// The state as last read, so that an unchanged file is not parsed again.
    last: Mutex<Option<(String, Arc<Machine>)>>,
    /// Revision that the tree was last seen to show. It never goes back, so a state seen again needs no look.
    shown: AtomicU64,
}

/// No revision: they count from 0.
const NONE: u64 = u64::MAX;

/// A machine at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The machine, shared with the copy that spares reading an unchanged file again.
    pub machine: Arc<Machine>,
    /// Processes on it.
    pub clients: Clients,
}

/// Why there is no machine to work with. Nothing was changed.
#[derive(Debug)]
pub enum StoreError {
    /// A file could not be read, written or locked.
    Io(PathBuf, io::Error),
    /// The state is not what this simulator wrote.
    Damaged(PathBuf, String),
    /// The root holds another machine than the one asked for.
    OtherMachine {
        /// The root.
        root: PathBuf,
        /// What it holds.
        present: Spec,
        /// What was asked for.
        asked: Spec,
    },
    /// The root holds no machine, and none was asked for.
    Absent(PathBuf),
}

impl Store {
    /// The machine under `root`; where there is none yet, a new one of `spec`.
    ///
    /// # Errors
    /// [`StoreError`]; in particular when `spec` is not what the machine was made of.
    pub fn open(root: &Path, spec: Option<&Spec>) -> Result<Store, StoreError> {
        let store = Store { root: root.to_owned(), last: Mutex::default(), shown: AtomicU64::new(NONE) };
        if !store.state_file().exists() {
            let spec = spec.ok_or_else(|| StoreError::Absent(store.state_file()))?;
            store.create(spec)?;
        }
        let machine = store.read()?.machine;
        match spec {
            Some(spec) if *spec != machine.spec => Err(StoreError::OtherMachine {
                root: root.to_owned(),
                present: machine.spec.clone(),
                asked: spec.clone(),
            }),
            _ => Ok(store),
        }
    }

    /// The root that it was opened with.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that says which processes use what.
    pub fn processes_file(&self) -> PathBuf {
        self.file("processes")
    }

    /// The machine as it is, with its tree in step.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn read(&self) -> Result<Snapshot, StoreError> {
        {
            let _lock = self.lock(FlockOperation::LockShared)?;
            let snapshot = self.load()?;
            if self.shows(snapshot.machine.revision) {
                return Ok(snapshot);
            }
        }
        // A process died between its commit and the tree.
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let snapshot = self.load()?;
        match self.project(&snapshot.machine, By::Text) {
            // The state is right all the same; the tree waits for somebody who may mend it.
            Err(_) if !geteuid().is_root() => {}
            result => result?,
        }
        Ok(snapshot)
    }

    /// Changes the machine. What `change` leaves is committed when it gives a value, and dropped when it
    /// gives an error.
    ///
    /// # Errors
    /// [`StoreError`] from here, inside it whatever `change` gives.
    pub fn change<T, E>(
        &self,
        change: impl FnOnce(&mut Snapshot) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        self.commit_by(By::Text, change)
    }

    /// The same for a call of NVML, which makes instances and modes others, and nothing that stands in a file of the tree.
    pub(crate) fn call<T, E>(
        &self,
        change: impl FnOnce(&mut Snapshot) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        self.commit_by(By::Status, change)
    }

    fn commit_by<T, E>(
        &self,
        by: By,
        change: impl FnOnce(&mut Snapshot) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let mut snapshot = self.load()?;
        let before = snapshot.machine.revision;
        let value = match change(&mut snapshot) {
            Ok(value) => value,
            Err(error) => return Ok(Err(error)),
        };
        Arc::make_mut(&mut snapshot.machine).revision += 1;
        // A tree that was not in step has perhaps another machine's files.
        let by = if self.shows(before) { by } else { By::Text };
        self.commit(&snapshot.machine)?;
        self.project(&snapshot.machine, by)?;
        Ok(Ok(value))
    }

    fn create(&self, spec: &Spec) -> Result<(), StoreError> {
        let directory = self.root.join(DIRECTORY);
        make_directory(&directory).map_err(|e| StoreError::Io(directory.clone(), e))?;
        let lock = self.lock(FlockOperation::LockExclusive)?;
        readable(&lock).map_err(|e| StoreError::Io(self.file("lock"), e))?;
        if self.state_file().exists() {
            return Ok(()); // another process was faster
        }
        let machine = Machine::new(spec, project::unused_majors(&directory));
        self.commit(&machine)?;
        self.project(&machine, By::Text)
    }

    fn load(&self) -> Result<Snapshot, StoreError> {
        let path = self.state_file();
        let text = fs::read_to_string(&path).map_err(|e| StoreError::Io(path.clone(), e))?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let machine = match &*last {
            Some((known, machine)) if *known == text => Arc::clone(machine),
            _ => {
                let machine = parse(&text).map_err(|what| StoreError::Damaged(path, what))?;
                Arc::clone(&last.insert((text, Arc::new(machine))).1)
            }
        };
        let processes = self.processes_file();
        let clients = Clients::read(&processes).map_err(|e| StoreError::Io(processes, e))?;
        Ok(Snapshot { machine, clients })
    }

    fn commit(&self, machine: &Machine) -> Result<(), StoreError> {
        let text = serde_json::to_string_pretty(machine).expect("a machine has a JSON form");
        // The name is fixed: writers hold the lock, and what a dead one left is overwritten.
        let (path, next) = (self.state_file(), self.file("state.json.next"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&next)?;
            file.write_all(text.as_bytes())?;
            readable(&file)?;
            file.sync_all()?;
            fs::rename(&next, &path)
        };
        write().map_err(|e| StoreError::Io(path.clone(), e))
    }

    fn project(&self, machine: &Machine, by: By) -> Result<(), StoreError> {
        project::apply(&self.root, machine, by).map_err(|(path, error)| StoreError::Io(path, error))?;
        let stamp = self.file("projected");
        let write = || -> io::Result<()> {
            let mut file = File::create(&stamp)?;
            file.write_all(machine.revision.to_string().as_bytes())?;
            readable(&file)
        };
        write().map_err(|e| StoreError::Io(stamp.clone(), e))
    }

    /// Whether the tree shows this revision.
    fn shows(&self, revision: u64) -> bool {
        if self.shown.load(Ordering::Relaxed) != revision && self.projected() == Some(revision) {
            self.shown.store(revision, Ordering::Relaxed);
        }
        self.shown.load(Ordering::Relaxed) == revision
    }

    /// Revision that the tree shows, if it is known.
    fn projected(&self) -> Option<u64> {
        fs::read_to_string(self.file("projected")).ok()?.parse().ok()
    }

    fn lock(&self, how: FlockOperation) -> Result<File, StoreError> {
        let path = self.file("lock");
        let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let lock = || -> io::Result<File> {
            // Readers without write access still lock: flock wants no more than an open file.
            let file = open().or_else(|_| File::open(&path))?;
            loop {
                match flock(&file, how) {
                    Err(rustix::io::Errno::INTR) => {}
                    result => return result.map(|()| file).map_err(io::Error::from),
                }
            }
        };
        lock().map_err(|e| StoreError::Io(path.clone(), e))
    }

    fn state_file(&self) -> PathBuf {
        self.file("state.json")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join(DIRECTORY).join(name)
    }
}

/// Lets users read a file, whatever the umask is: they ask the driver as root does.
fn readable(file: &File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// Reads a state, or says what is wrong with it.
fn parse(text: &str) -> Result<Machine, String> {
    let machine: Machine = serde_json::from_str(text).map_err(|e| e.to_string())?;
    defect(&machine).map_or(Ok(machine), Err)
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            StoreError::Damaged(path, what) => {
                write!(
                    f,
                    "{}: not a state of this simulator: {what}; remove it to start anew",
                    path.display()
                )
            }
            StoreError::OtherMachine { root, present, asked } => write!(
                f,
                "{}: simulates {present}, not {asked}; use another root or that machine",
                root.display()
            ),
            StoreError::Absent(path) => {
                write!(f, "{}: no simulated machine; say with NVML_SIM_GPUS what to make", path.display())
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
