//! Which running steps hold which devices, as exporters of GPU metrics are told.
//!
//! The plugin writes a record per step in slurmstepd, which alone knows it on the node in every launch mode, and locks
//! it for as long as that process lives: the kernel takes the lock back however it ends. From the records follow the
//! files that exporters read ([`exporters`]). Who finds a record without its lock removes it, with what it had said.

mod directory;
mod error;
pub mod exporters;
mod record;

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use directory::Directory;
pub use error::HoldingError;
use error::failed;
pub use exporters::Exporters;
use exporters::Opened;
pub use record::{Device, Step};

/// Serializes those who read records and write what follows from them. Root's alone, so that no user can hold it.
const LOCK: &str = ".lock";
/// Where the exporters' files are, for those who have no line of plugstack.conf before them.
const EXPORTERS: &str = "exporters";
/// How often the lock is asked for, and the pause between: a job waits no longer than a fifth of a second.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(5);

/// The records of a node and the files that follow from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    steps: PathBuf,
    exporters: Exporters,
}

/// The record of a step, locked until this is dropped or its process ends, and the directories in which it is to be told
/// of. They are open because who tells may be in a job's mount namespace, which can hide them.
#[derive(Debug)]
pub struct Claim {
    step: Step,
    /// The name of its record.
    name: String,
    steps: Directory,
    opened: Opened,
    _lock: OwnedFd,
}

impl Holding {
    /// Those beside the device map at `map`, told to `exporters`.
    pub fn beside(map: &Path, exporters: Exporters) -> Self {
        Holding { steps: map.with_file_name("steps"), exporters }
    }

    /// The same, told to whom the running slurmd was last started with; none where it was started without any.
    ///
    /// # Errors
    /// [`HoldingError`] for a directory that others can write.
    pub fn as_started(map: &Path) -> Result<Self, HoldingError> {
        let steps = map.with_file_name("steps");
        let exporters = match Directory::open(&steps) {
            Err(Errno::NOENT) => Exporters::default(),
            opened => told(&opened.map_err(|error| failed(&steps, error))?),
        };
        Ok(Holding { steps, exporters })
    }

    /// Whether somebody is told, or was when slurmd last started.
    pub fn any(&self) -> bool {
        self.exporters.any() || self.steps.is_dir()
    }

    /// Makes the directories, says where they are, and removes what no running step explains. For slurmd, whose start
    /// finds what an earlier configuration or layout left.
    ///
    /// # Errors
    /// [`HoldingError`]; exporters then know less.
    pub fn begin(&self) -> Result<(), HoldingError> {
        let directories = [self.steps.as_path()].into_iter().chain(self.exporters.directories());
        for path in directories {
            Directory::make(path).map_err(|error| failed(path, error))?;
        }
        let steps = &Directory::open(&self.steps).map_err(|error| failed(&self.steps, error))?;
        self.locked(steps, || {
            let before = told(steps);
            // Those who are told no longer: perhaps their directory is gone too.
            let _ = before.without(&self.exporters).open().tell_all(&[]);
            let written = steps.replace(EXPORTERS, &self.exporters.to_string());
            written.map_err(|error| failed(&self.steps.join(EXPORTERS), error))?;
            let _ = steps.remove_unfinished();
            for name in steps.names().unwrap_or_default() {
                if name != EXPORTERS && steps.is_abandoned(&name) {
                    let _ = steps.remove(&name);
                }
            }
            let living: Vec<Step> = read(steps).into_iter().map(|record| record.step).collect();
            self.exporters.open().tell_all(&living)
        })
    }

    /// Writes the record of a step that begins. The same few calls however many devices it has, because the step waits:
    /// [`Holding::tell`] does the rest.
    ///
    /// # Errors
    /// [`HoldingError`]: there is no record, and nobody will be told.
    pub fn claim(&self, step: Step) -> Result<Claim, HoldingError> {
        let claimed = Directory::open(&self.steps).and_then(|steps| {
            // No other run of the same step has it, so that whoever removes what a killed slurmstepd left removes nothing of the run
            // after it: the job was requeued.
            let name = step.new_name();
            let lock = steps.create_locked(&name, &step.to_string())?;
            Ok((steps, name, lock))
        });
        let (steps, name, lock) = claimed.map_err(|error| failed(&self.steps, error))?;
        Ok(Claim { step, name, steps, opened: self.exporters.open(), _lock: lock })
    }

    /// Tells exporters of a step that was claimed, perhaps by the process that this one is forked from. The first job on
    /// free devices takes a few calls for each; what is in the way is looked into under the lock.
    ///
    /// # Errors
    /// [`HoldingError`]: nobody is told of all its devices. What was written goes with the claim.
    pub fn tell(&self, claim: &Claim) -> Result<(), HoldingError> {
        if claim.opened.announce(&claim.step)? {
            Ok(())
        } else {
            self.refresh(&claim.steps, &claim.opened, &claim.step.devices)
        }
    }

    /// Takes back what was claimed, when the step ends.
    ///
    /// # Errors
    /// [`HoldingError`]; what is left goes with the next record that is found without its lock.
    pub fn release(&self, claim: Claim) -> Result<(), HoldingError> {
        let steps = Directory::open(&self.steps).map_err(|error| failed(&self.steps, error))?;
        steps.remove(&claim.name).map_err(|error| failed(&self.steps, error))?;
        // By their names once more: slurmd may have made them anew since.
        self.refresh(&steps, &self.exporters.open(), &claim.step.devices)
    }

    /// Removes the records of slurmstepds that are no more, with what they had said.
    ///
    /// # Errors
    /// [`HoldingError`].
    pub fn sweep(&self) -> Result<(), HoldingError> {
        match Directory::open(&self.steps) {
            Err(Errno::NOENT) => Ok(()),
            steps => {
                self.refresh(&steps.map_err(|error| failed(&self.steps, error))?, &self.exporters.open(), &[])
            }
        }
    }

    /// The steps that run.
    ///
    /// # Errors
    /// [`HoldingError`] for a directory that is there and cannot be read.
    pub fn steps(&self) -> Result<Vec<Step>, HoldingError> {
        match Directory::open(&self.steps) {
            Err(Errno::NOENT) => Ok(Vec::new()),
            Ok(steps) => {
                Ok(read(&steps).into_iter().filter(|record| !record.dead).map(|record| record.step).collect())
            }
            Err(error) => Err(failed(&self.steps, error)),
        }
    }

    /// Writes anew what exporters are told of some devices, and of those whose steps are found dead.
    fn refresh(&self, steps: &Directory, opened: &Opened, devices: &[Device]) -> Result<(), HoldingError> {
        self.locked(steps, || {
            let (dead, living): (Vec<_>, Vec<_>) = read(steps).into_iter().partition(|record| record.dead);
            for record in &dead {
                let _ = steps.remove(&record.name);
            }
            let living: Vec<Step> = living.into_iter().map(|record| record.step).collect();
            let changed: Vec<&Device> =
                devices.iter().chain(dead.iter().flat_map(|record| &record.step.devices)).collect();
            opened.tell_of(&living, &changed)
        })
    }

    fn locked(
        &self,
        steps: &Directory,
        work: impl FnOnce() -> Result<(), HoldingError>,
    ) -> Result<(), HoldingError> {
        let path = self.steps.join(LOCK);
        let lock = steps.lock_file(LOCK).map_err(|error| failed(&path, error))?;
        for _ in 1..TRIES {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => sleep(PAUSE),
                taken => return taken.map_err(|error| failed(&path, error)).and_then(|()| work()),
            }
        }
        Err(failed(&path, Errno::WOULDBLOCK))
    }
}

/// Replaces a file of the directory `path` is in, which is made where it is not there.
///
/// # Errors
/// [`HoldingError`]; the old content stands then.
pub fn replace(path: &Path, text: &str) -> Result<(), HoldingError> {
    let (parent, name) = (path.parent().unwrap_or(path), path.file_name().and_then(|name| name.to_str()));
    let written = Directory::make(parent)
        .and_then(|()| Directory::open(parent))
        .and_then(|directory| directory.replace(name.ok_or(Errno::INVAL)?, text));
    written.map_err(|error| failed(path, error))
}

/// Who was told when slurmd started.
fn told(steps: &Directory) -> Exporters {
    steps.text(EXPORTERS).map(|text| Exporters::parse(&text)).unwrap_or_default()
}

/// A record that was found.
struct Found {
    name: String,
    step: Step,
    /// Its process is no more.
    dead: bool,
}

/// Every record; what is no record is left alone.
fn read(steps: &Directory) -> Vec<Found> {
    let names = steps.names().unwrap_or_default();
    let record = |name: String| {
        let step: Step = steps.text(&name).ok()?.parse().ok()?;
        step.is_name(&name).then(|| Found { dead: steps.is_abandoned(&name), name, step })
    };
    let mut found: Vec<Found> = names.into_iter().filter_map(record).collect();
    found.sort_by_key(|record| (record.step.job, record.step.step));
    found
}

#[cfg(test)]
mod tests;
