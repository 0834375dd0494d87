//! The driver, through NVML: opened once, read whole, told one step at a time.
//!
//! [`Driver`] is a concrete struct, not a trait: what stands in for a driver in tests is another shared
//! library behind the same calls.

mod affinity;
mod answer;
mod code;
mod execute;
mod facts;
mod geometry;
mod identity;
mod instances;
mod load;
mod process_list;
mod processes;
mod raw;
mod read;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mig::Profile;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use thiserror::Error;

use crate::devices::Capabilities;
use crate::inventory::Gpu;
use crate::path_error::PathError;
use crate::root::Root;

use answer::Fault;
pub(crate) use code::Code;
use facts::ComputeProfile;
pub(crate) use load::Load;
pub(crate) use raw::export;
use raw::{GpuInstance, Handle};

/// Name the dynamic loader finds on every node with an NVIDIA driver.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// Why the driver did not do or tell what was asked.
#[derive(Debug, Error)]
pub enum DriverError {
    /// No library under that name or path.
    #[error("{}: cannot be loaded: {reason}", library.display())]
    NoLibrary {
        /// What was to be loaded.
        library: PathBuf,
        /// The dynamic loader's words.
        reason: String,
    },
    /// A call failed: on what, which call, and how.
    #[error("{object}: {call}: {code}")]
    Call { object: String, call: &'static str, code: Code },
    /// The GPU is not there any more.
    #[error("{0}: not on this node")]
    NoGpu(String),
    /// No instance at that place.
    #[error("{0}: not there any more")]
    NoInstance(String),
    /// The driver offers no such compute instance.
    #[error("{object}: it cannot be divided into {profile}")]
    NoComputeProfile {
        /// GPU instance.
        object: String,
        /// The compute instance wanted.
        profile: Profile,
    },
    /// The driver says what cannot be.
    #[error("{object}: {what}")]
    Unexpected { object: String, what: String },
    /// NVML's lists lack an instance that exists.
    #[error("{gpu}: NVML does not list {instance}, which its {has} has")]
    Unlisted {
        gpu: String,
        /// Which one, by its ids.
        instance: String,
        /// Who knows it.
        has: &'static str,
    },
    /// Device files of an instance cannot be determined.
    #[error(transparent)]
    Devices(#[from] PathError),
}

impl DriverError {
    /// The same about a GPU that is named by its index, too.
    pub fn on(mut self, gpu: &Gpu) -> Self {
        if let DriverError::Call { object, .. }
        | DriverError::NoGpu(object)
        | DriverError::NoInstance(object)
        | DriverError::NoComputeProfile { object, .. }
        | DriverError::Unexpected { object, .. } = &mut self
        {
            *object = object.replacen(&gpu.uuid, &gpu.to_string(), 1);
        }
        self
    }

    /// The return code behind it, if a call failed.
    pub fn code(&self) -> Option<Code> {
        match self {
            DriverError::Call { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// Compute instance profiles by GPU (UUID) and GPU instance profile (id).
type ComputeProfiles = BTreeMap<(String, u32), Rc<[ComputeProfile]>>;

/// An open NVML session on this node.
pub(crate) struct Driver {
    /// `None` only inside [`Driver::closed`].
    session: Option<Nvml>,
    library: PathBuf,
    root: Root,
    /// Fixed while the driver is loaded.
    capabilities: OnceCell<Capabilities>,
    /// What instances can be divided into. It does not change while the GPU's MIG mode does not, and takes ten
    /// calls to ask.
    compute: RefCell<ComputeProfiles>,
}

impl Driver {
    /// Loads the library and initialises it (`nvmlInit_v2`), once for the life of the value.
    ///
    /// # Errors
    /// [`DriverError::NoLibrary`] without a driver; [`DriverError::Call`] when it does not start.
    pub(crate) fn open(library: Option<&Path>, root: &Root) -> Result<Self, DriverError> {
        let library = library.unwrap_or(Path::new(LIBRARY));
        Ok(Driver {
            session: Some(session(library)?),
            library: library.to_owned(),
            root: root.clone(),
            capabilities: OnceCell::new(),
            compute: RefCell::default(),
        })
    }

    /// Does something while this program holds no NVML session, which would count as a client of the GPU, and
    /// opens a new one.
    ///
    /// # Errors
    /// As [`Driver::open`].
    pub(crate) fn closed<T>(&mut self, work: impl FnOnce() -> T) -> Result<T, DriverError> {
        self.session = None;
        self.capabilities.take();
        self.compute.take();
        let result = work();
        self.session = Some(session(&self.library)?);
        Ok(result)
    }

    fn capabilities(&self) -> &Capabilities {
        self.capabilities.get_or_init(|| Capabilities::read(&self.root))
    }

    /// Compute instance profiles of a GPU instance on `gpu`.
    fn compute_profiles(
        &self,
        handle: Handle<'_>,
        gpu: &str,
        gi: GpuInstance,
        object: &str,
    ) -> Result<Rc<[ComputeProfile]>, DriverError> {
        let key = (gpu.to_owned(), gi.profile);
        if let Some(known) = self.compute.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let profiles: Rc<[ComputeProfile]> = geometry::compute_profiles(handle, gi, object)?.into();
        self.compute.borrow_mut().insert(key, Rc::clone(&profiles));
        Ok(profiles)
    }

    /// Asks anew what instances of `gpu` can be divided into, when next that matters.
    fn forget_compute_profiles(&self, gpu: &str) {
        self.compute.borrow_mut().retain(|(uuid, _), _| uuid != gpu);
    }

    fn nvml(&self) -> Result<&Nvml, DriverError> {
        let lost = || unexpected(self.library.display(), "the session could not be opened again");
        self.session.as_ref().ok_or_else(lost)
    }

    fn device(&self, uuid: &str) -> Result<Device<'_>, DriverError> {
        self.nvml()?.device_by_uuid(uuid).map_err(|error| match error {
            NvmlError::NotFound | NvmlError::InvalidArg => DriverError::NoGpu(uuid.to_owned()),
            error => failed(uuid, "nvmlDeviceGetHandleByUUID")(error),
        })
    }
}

fn session(library: &Path) -> Result<Nvml, DriverError> {
    Nvml::builder().lib_path(library.as_os_str()).init().map_err(|error| match error {
        NvmlError::LibloadingError(reason) => {
            // The loader says the name first, as we do.
            let reason = reason.to_string();
            let name = format!("{}: ", library.display());
            let reason = reason.strip_prefix(&name).unwrap_or(&reason).to_owned();
            DriverError::NoLibrary { library: library.to_owned(), reason }
        }
        error => failed(&library.display().to_string(), "nvmlInit_v2")(error),
    })
}

/// What cannot be, of an object.
fn unexpected(object: impl ToString, what: impl Into<String>) -> DriverError {
    DriverError::Unexpected { object: object.to_string(), what: what.into() }
}

/// Names the object and the call of a failure.
fn failed<F: Into<Fault>>(object: &str, call: &'static str) -> impl FnOnce(F) -> DriverError {
    let object = object.to_owned();
    move |fault| match fault.into() {
        Fault::Code(code) => DriverError::Call { object, call, code },
        Fault::Contradiction(what) => unexpected(object, format!("{call} gives {what}")),
    }
}
