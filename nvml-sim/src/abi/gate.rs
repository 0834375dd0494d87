//! What every call passes through: log, latency, fault, lock, and a net for panics.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::sleep;

use nvml_wrapper_sys::bindings::nvmlReturn_t;
use rustix::process::{Signal, geteuid, getpid, kill_process};

use crate::calls::CallLog;
use crate::code::{Answer, Code};
use crate::faults::{Fate, Faults, Latency, When};
use crate::spec::Spec;
use crate::store::{Snapshot, Store};

/// The session of this process: NVML counts `nvmlInit` against `nvmlShutdown`.
#[derive(Default)]
pub(super) struct Session {
    users: u32,
    store: Option<Store>,
}

/// The test tools that the environment asks for, read once per process.
struct Tools {
    log: Option<Mutex<CallLog>>,
    latency: Latency,
    faults: Mutex<Faults>,
    compute_device: ComputeDevice,
}

/// What the field `device` of `nvmlComputeInstanceInfo_t` holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ComputeDevice {
    /// The parent GPU, as nvml.h says and as the GPU column of `nvidia-smi mig -lci` shows, which is the
    /// index of this handle: 0 on every row of the listings of real boards.
    Parent,
    /// The MIG device, which some clients take the field for. No driver is known to answer so.
    Mig,
}

/// The work of one exported function.
pub(super) trait Call {
    /// Whether it can change the machine: `kill@n` counts these.
    const CHANGES: bool = false;

    fn run(self, session: &mut Session) -> Answer;
}

/// A call that only looks.
pub(super) fn read<F: FnOnce(&Snapshot) -> Answer>(work: F) -> impl Call {
    Read(work)
}

/// A call that may change the machine; root only.
pub(super) fn change<F: FnOnce(&mut Snapshot) -> Answer>(work: F) -> impl Call {
    Change(work)
}

/// A call that needs no machine, and works before `nvmlInit` too.
pub(super) fn always<F: FnOnce() -> Answer>(work: F) -> impl Call {
    Always(work)
}

struct Read<F>(F);

struct Always<F>(F);

struct Change<F>(F);

/// `nvmlInit`
pub(super) struct Init;

/// `nvmlShutdown`
pub(super) struct Shutdown;

impl<F: FnOnce(&Snapshot) -> Answer> Call for Read<F> {
    fn run(self, session: &mut Session) -> Answer {
        let snapshot = session.store()?.read().map_err(|error| complain(&error, Code::OPERATING_SYSTEM))?;
        self.0(&snapshot)
    }
}

impl<F: FnOnce() -> Answer> Call for Always<F> {
    fn run(self, _session: &mut Session) -> Answer {
        self.0()
    }
}

impl<F: FnOnce(&mut Snapshot) -> Answer> Call for Change<F> {
    const CHANGES: bool = true;

    fn run(self, session: &mut Session) -> Answer {
        let store = session.store()?;
        if !geteuid().is_root() {
            return Err(Code::NO_PERMISSION);
        }
        store.call(self.0).map_err(|error| complain(&error, Code::OPERATING_SYSTEM))?
    }
}

impl Call for Init {
    fn run(self, session: &mut Session) -> Answer {
        if session.users == 0 {
            session.store = Some(open().map_err(|error| complain(&error, Code::DRIVER_NOT_LOADED))?);
        }
        session.users += 1;
        Ok(())
    }
}

impl Call for Shutdown {
    fn run(self, session: &mut Session) -> Answer {
        session.store()?;
        session.users -= 1;
        if session.users == 0 {
            session.store = None;
        }
        Ok(())
    }
}

impl Session {
    fn store(&self) -> Answer<&Store> {
        self.store.as_ref().ok_or(Code::UNINITIALIZED)
    }
}

/// Runs a call and gives NVML's return code.
pub(super) fn enter<C: Call>(name: &str, call: C) -> nvmlReturn_t {
    let outcome = catch_unwind(AssertUnwindSafe(|| guarded(name, call)));
    match outcome.unwrap_or(Err(Code::UNKNOWN)) {
        Ok(()) => 0,
        Err(code) => code.number(),
    }
}

fn guarded<C: Call>(name: &str, call: C) -> Answer {
    static SESSION: Mutex<Session> = Mutex::new(Session { users: 0, store: None });
    let tools = tools().as_ref().map_err(|error| complain(error, Code::DRIVER_NOT_LOADED))?;
    if let Some(log) = &tools.log {
        locked(log).record(name);
    }
    sleep(tools.latency.of(name));
    let fate = locked(&tools.faults).meet(name, C::CHANGES);
    let run = || call.run(&mut locked(&SESSION));
    match fate {
        Fate::Proceed => run(),
        Fate::Fail(code, When::Instead) => Err(code),
        Fate::Fail(code, When::After) => run().and(Err(code)),
        Fate::Die(When::Instead) => die(),
        Fate::Die(When::After) => {
            let _ = run();
            die()
        }
    }
}

/// A panic in one call does not take the next ones with it: the state of the machine is on disk.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process as `kill -9` does: nothing is flushed, nothing is unwound.
fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

fn complain(error: &dyn std::fmt::Display, code: Code) -> Code {
    eprintln!("nvml-sim: {error}");
    code
}

/// Opens the machine that the environment names.
fn open() -> Result<Store, String> {
    let root = env::var_os("NVML_SIM_ROOT").filter(|root| !root.is_empty());
    let root = root.ok_or("NVML_SIM_ROOT is not set: name the directory of the simulated machine, and its GPUs in NVML_SIM_GPUS, such as a100-40gb:2")?;
    let spec = match variable("NVML_SIM_GPUS")? {
        Some(text) => Some(text.parse::<Spec>().map_err(|e| format!("NVML_SIM_GPUS: {e}"))?),
        None => None,
    };
    Store::open(Path::new(&root), spec.as_ref()).map_err(|e| e.to_string())
}

/// The form that the environment asks for; without a word of it, that of nvml.h.
pub(super) fn compute_device() -> ComputeDevice {
    tools().as_ref().map_or(ComputeDevice::Parent, |tools| tools.compute_device)
}

fn tools() -> &'static Result<Tools, String> {
    static TOOLS: OnceLock<Result<Tools, String>> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let known = |name: &str| super::names().any(|known| known == name);
        let faults: Faults = parsed("NVML_SIM_FAULTS")?;
        let latency: Latency = parsed("NVML_SIM_LATENCY")?;
        let unknown = faults.unknown_call(known).or_else(|| latency.unknown_call(known));
        if let Some(error) = unknown {
            return Err(error.to_string());
        }
        let compute_device = match variable("NVML_SIM_CI_DEVICE")?.as_deref() {
            None | Some("parent") => ComputeDevice::Parent,
            Some("mig") => ComputeDevice::Mig,
            Some(other) => {
                return Err(format!("NVML_SIM_CI_DEVICE: {other:?}: neither parent nor mig"));
            }
        };
        let log = variable("NVML_SIM_CALLS")?.map(|path| {
            CallLog::open(Path::new(&path))
                .map(Mutex::new)
                .map_err(|e| format!("NVML_SIM_CALLS: {path}: {e}"))
        });
        Ok(Tools { log: log.transpose()?, latency, faults: Mutex::new(faults), compute_device })
    })
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display> + Default>(name: &str) -> Result<T, String> {
    let text = variable(name)?;
    text.map_or_else(|| Ok(T::default()), |text| text.parse().map_err(|e| format!("{name}: {e}")))
}

/// A variable of the environment; set but empty counts as not set.
fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|t| !t.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name}: not a text")),
    }
}
