//! What each typed error means to a person: its exit code, and what to do about it.

use std::io::ErrorKind;

use super::exit::Exit;
use super::report::Failure;
use crate::apply::desired::DesiredStateError;
use crate::apply::ordered::OrderRefused;
use crate::config::{ConfigError, Problem};
use crate::hooks::HookError;
use crate::inventory::Holder;
use crate::lock::LockError;
use crate::node::ApplyError;
use crate::nvml::{Code, DriverError};
use crate::path_error::PathError;
use crate::publish::PublishError;
use crate::render::RenderError;
use crate::root::Root;
use crate::slurm::SlurmError;
use crate::slurm::control::host_hardware;

const END_OR_DRAIN: &str = "end what uses it; for jobs of Slurm, --drain waits until they have ended";
const JOURNAL: &str = "it says what the GPUs were before a change that did not end: read it, and move it away; the GPUs as gresgen \
                       status shows them are then what the next change begins with";
const OFFLINE: &str = "start slurmctld; --offline says that no job of this node holds a slice";
const UNEXPLAINED: &str = "see GresUsed in scontrol -d show node, and squeue --all -t all -w NODE; scontrol setdebugflags + makes slurmctld count anew";

impl Failure {
    /// Adds what this host has, for a line of `slurm.nodes`.
    fn with_hardware(self) -> Self {
        match host_hardware() {
            Some(line) => self.hint(format!("slurmd -C says of this host: {line}")),
            None => self.hint("slurmd -C prints them on the node: attributes: CPUs=... RealMemory=..."),
        }
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        let hint = match &error {
            DriverError::NoLibrary { .. } | DriverError::Call { code: Code::DRIVER_NOT_LOADED, .. } => Some(
                "is the NVIDIA driver installed and loaded? without a GPU, try simulated ones: \
                 gresgen --simulate a100-40gb:2 --root DIR status",
            ),
            DriverError::Unlisted { .. } => Some(
                "try again; if it stays, the GPU needs a reset or the node a reboot: see nvidia-smi mig -lgi and -lci",
            ),
            other => other.code().and_then(Code::hint),
        };
        let exit = if error.code() == Some(Code::IN_USE) { Exit::InUse } else { Exit::Failure };
        Failure { hint: hint.map(str::to_owned), ..Failure::new(exit, error) }
    }
}

impl From<DesiredStateError> for Failure {
    fn from(error: DesiredStateError) -> Self {
        let hint = match &error {
            DesiredStateError::Config(ConfigError { problem: Problem::Slurm(fault), .. })
                if fault.hardware =>
            {
                return Failure::usage(error).with_hardware();
            }
            DesiredStateError::Path(_) => return Failure::failed(error),
            DesiredStateError::Several { uuids, .. } => &format!("say which: {}", uuids.join(", ")),
            DesiredStateError::OnRequest { .. } => {
                "change the layout, or slurm.on-request in the configuration"
            }
            DesiredStateError::Lost { .. } => "--without GPU goes back on the other GPUs alone",
            DesiredStateError::Choice(_) | DesiredStateError::Gone { .. } => {
                "gresgen apply --layout NAME chooses another; or give the configuration that layout back"
            }
            DesiredStateError::Order(OrderRefused::NotThere(_)) => {
                "the order was made from an older picture; look again, and order from what is there"
            }
            DesiredStateError::Order(OrderRefused::TakesNone(_)) => {
                "orders: true, in its entry of slurm.on-request in the node's configuration, lets it"
            }
            DesiredStateError::Order(
                OrderRefused::CutOff(_) | OrderRefused::NotApplied(_) | OrderRefused::ModeOff(_),
            ) => "gresgen apply, on the node",
            _ => return Failure::usage(error),
        };
        Failure::usage(error).hint(hint)
    }
}

impl From<SlurmError> for Failure {
    fn from(error: SlurmError) -> Self {
        let in_use = |error| Failure::new(Exit::InUse, error);
        match &error {
            SlurmError::NoConfiguration(_) => Failure::usage(error).hint(
                "set SLURM_CONF to the slurm.conf that slurmd reads: without it no job of Slurm can be seen",
            ),
            SlurmError::Several(_) => Failure::usage(error)
                .hint("name the one whose GPUs these are: slurm.node in the configuration"),
            SlurmError::Stopped => Failure::new(Exit::Interrupted, error),
            SlurmError::Count { .. } | SlurmError::Type { .. } | SlurmError::Index { .. } => in_use(error),
            SlurmError::Busy { node, .. } => {
                let stays =
                    format!("{node} stays drained until: scontrol update NodeName={node} State=RESUME");
                in_use(error)
                    .hint("nothing was changed; the same command waits again and resumes the node")
                    .also(&stays)
            }
            SlurmError::Unknown { error: why, .. } if matches!(**why, SlurmError::OtherName { .. }) => {
                Failure::usage(error).hint("set slurm.node in the configuration")
            }
            SlurmError::Unknown { .. } => in_use(error).hint(OFFLINE),
            SlurmError::Unexplained(_) => in_use(error).hint(UNEXPLAINED),
            SlurmError::ByHand(_) => Failure::new(Exit::SlurmPending, error),
            _ => Failure::failed(error),
        }
    }
}

/// What a failure behind a fence has to say.
fn takes_no_jobs(release: &str) -> String {
    format!("the node takes no new jobs until gresgen apply, or: {release}")
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Foreign(_) => Failure::usage(error).hint(
                "--adopt takes them over: what gresgen does not write itself stays, and a backup is kept",
            ),
            PublishError::Render(RenderError::Unnamed(_)) => Failure::usage(error).with_hardware(),
            PublishError::File(_) | PublishError::Link(_) => Failure::failed(error),
            _ => Failure::usage(error),
        }
    }
}

impl From<HookError> for Failure {
    fn from(error: HookError) -> Self {
        match error {
            HookError::File { .. } => Failure::usage(error),
            HookError::Stopped(_) => Failure::new(Exit::Interrupted, error).hint("no GPU was changed"),
            _ => Failure::failed(error).hint("no GPU was changed; mend it, or take it out of hooks"),
        }
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Self {
        let journal = error.path.ends_with(Root::INTENT.trim_start_matches('/'));
        let failure = Failure::failed(error);
        if journal { failure.hint(JOURNAL) } else { failure }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => {
                Failure::new(Exit::InUse, error).hint("wait until it is done, then try again")
            }
            LockError::Io { ref source, .. } if source.kind() == ErrorKind::PermissionDenied => {
                Failure::failed(error).hint("it changes GPUs or who has them: run it as root")
            }
            LockError::Io { .. } => Failure::failed(error),
        }
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Slurm(error) => error.into(),
            ApplyError::Untold { ref drained, ref error } => {
                let what = format!("the GPUs and the files are done, but not Slurm: {error}");
                let failure = Failure::new(Exit::SlurmPending, what).hint("gresgen apply says what is left to do");
                drained.iter().fold(failure, |failure, release| failure.also(&takes_no_jobs(release)))
            }
            ApplyError::Drained { release, error } => Failure::from(*error).also(&takes_no_jobs(&release)),
            ApplyError::Lock(error) => error.into(),
            ApplyError::Hook(error) => error.into(),
            ApplyError::Driver(error) => error.into(),
            ApplyError::DesiredState(error) => error.into(),
            ApplyError::Path(error) => error.into(),
            ApplyError::Publish(error) => error.into(),
            ApplyError::Busy(ref held) | ApplyError::InTheWay { ref held, .. } => {
                let by = |holder| held.iter().any(|held| held.holders.contains(&holder));
                let hint = if by(Holder::Unknown) {
                    OFFLINE
                } else if by(Holder::Unexplained) {
                    UNEXPLAINED
                } else {
                    END_OR_DRAIN
                };
                Failure::new(Exit::InUse, error).hint(hint)
            }
            ApplyError::NoMig { .. } | ApplyError::Guest(_) => Failure::usage(error),
            ApplyError::RolledBack { undo: None, error } => {
                // What stood in the way may have a way out of its own.
                let failure = Failure::from(*error);
                Failure { note: Some("the previous layout is back"), ..failure }
            }
            ApplyError::RolledBack { ref undo, .. } => {
                let undo = undo.as_ref().map(ToString::to_string).unwrap_or_default();
                Failure::failed(error).hint(format!(
                    "the previous layout could not be restored ({undo}); see gresgen status, then gresgen apply to \
                     finish or gresgen apply --undo to go back"
                ))
            }
            // Persistence mode alone holds a GPU (NVSentinel#1690), and so does a client of the driver.
            ApplyError::Reset { .. } => Failure::failed(error).hint(
                "a client of the GPU keeps it from being reset: gresgen check names those it knows; nvidia-smi -pm 0 and \
                 systemctl stop nvidia-persistenced end persistence mode",
            ),
            ApplyError::Unfinished(_) => {
                Failure::failed(error).hint("gresgen apply, once the cause is gone, notes it")
            }
            ApplyError::Unpublished(_) => Failure::failed(error).hint(
                "gresgen apply, once the cause is gone, writes the rest; until then gresgen status shows it",
            ),
            error => Failure::failed(error),
        }
    }
}
