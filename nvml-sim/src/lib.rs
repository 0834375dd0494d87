//! A `libnvidia-ml.so.1` without a driver: GPUs with MIG's real rules, their state in a directory.
//!
//! Built as `libnvml_sim.so` with the SONAME `libnvidia-ml.so.1`, it is what an NVML client loads in the
//! library's stead. The machine it shows is under `NVML_SIM_ROOT` and is made of `NVML_SIM_GPUS`
//! ([`spec`]) by the first client. Every process that loads the library with the same root sees the same
//! machine; changes need root, as with the driver.
//!
//! * [`machine`] is the machine as a value, [`rules`] what may be placed where, [`lifecycle`] what changes it, [`mod@defect`]
//!   what cannot be;
//!   [`sheet`] completes the tables of [`mig::boards`].
//! * [`store`] keeps it on disk, `project` derives the `/dev`, `/proc` and `/sys` files from it, [`clients`] says
//!   which processes use what.
//! * [`ask`] puts questions to any NVML, the driver's or this one, to compare the answers; [`client`] calls it.
//! * [`faults`] and [`calls`] are for tests: errors, kills, latency and a call log on order.
//!
//! The files are under the root at `dev/`, `proc/` and `sys/`. Run as root, the device files are nodes of majors that no
//! driver of the host has, so an allowed open gives ENXIO and one denied by a device cgroup EPERM; without the
//! right to make nodes (and on a file system mounted `nodev` their opening gives EACCES) they are empty files.
#![deny(unsafe_code)]

mod abi;
pub mod ask;
pub mod calls;
pub mod clients;
pub mod code;
pub mod defect;
pub mod faults;
pub mod hardware;
mod host;
pub mod lifecycle;
pub mod machine;
mod node;
mod project;
pub mod rules;
pub mod sheet;
mod slots;
pub mod spec;
pub mod store;
mod sysfs;
pub mod uuid;

use std::io;
use std::path::{Path, PathBuf};

pub use abi::client;
pub use spec::{Spec, SpecError};
pub use store::{Snapshot, Store, StoreError};

/// Name of the built library.
const LIBRARY: &str = "libnvml_sim.so";

/// Makes the machine of `spec` under `root`, or checks that it is the one there.
///
/// # Errors
/// [`StoreError`]; nothing is changed then.
pub fn prepare(root: &Path, spec: &Spec) -> Result<Store, StoreError> {
    Store::open(root, Some(spec))
}

/// The library that Cargo built next to the running test or program.
///
/// Cargo puts the library of a dependency into `deps` of the target directory, where test programs are too.
///
/// # Errors
/// When there is none, naming where it was looked for.
pub fn library_path() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let beside = program.parent().ok_or(io::ErrorKind::NotFound)?;
    let candidates = [beside.join("deps").join(LIBRARY), beside.join(LIBRARY)];
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let what = format!("{LIBRARY}: not in {} nor its deps; build the package nvml-sim", beside.display());
        io::Error::new(io::ErrorKind::NotFound, what)
    })
}
