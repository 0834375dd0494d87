//! The errors of this room: what Slurm has against a change, or against being asked; and what it could not hold.

use std::sync::Arc;

use device_map::MAX_RECORDS;

use super::release::UnknownRelease;
use crate::wait::Ended;

/// Why Slurm gave no answer, forbids a change, or was not told of one.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// The command is not there.
    #[error("{command}: {error}; install Slurm's client commands or add them to PATH")]
    Missing { command: String, error: std::io::Error },
    /// slurmctld does not answer.
    #[error("slurmctld unreachable: {0}")]
    Unreachable(String),
    /// slurmctld or the command refused.
    #[error("{command}: {what}")]
    Refused { command: String, what: String },
    /// The command did not end in time; it was killed.
    #[error("{command}: no answer in {seconds} s")]
    Late {
        command: String,
        /// How long it was waited for, in seconds.
        seconds: u64,
    },
    /// The command printed more than is read; it was killed.
    #[error("{command}: printed more than {limit} bytes")]
    Long {
        command: String,
        /// How much is read, in bytes.
        limit: u64,
    },
    /// slurmctld has no node of this name.
    #[error("node {0}: slurmctld knows no node of this name")]
    UnknownNode(String),
    /// slurmctld knows this host, by another name.
    #[error(
        "node {node}: slurmctld knows no node of this name, and this host as {names}; slurm.node says which it is"
    )]
    OtherName {
        /// The name it was asked for.
        node: String,
        /// The names it has.
        names: String,
    },
    /// The installed Slurm is none this program knows.
    #[error("{0}; set slurm.release")]
    Release(#[from] UnknownRelease),
    /// A slurmd is in service, and its slurm.conf is nowhere to be found.
    #[error("{0}: is Slurm's, and no slurm.conf is found on this host")]
    NoConfiguration(String),
    /// Several nodes are on this host.
    #[error("this host: is more than one node of Slurm: {}", .0.join(", "))]
    Several(Vec<String>),
    /// Slurm would kill or requeue every GPU job of the node.
    #[error(
        "node {node}: {before} devices would become {after}, and Slurm ends every GPU job of a node whose number of \
         devices changes; {jobs} on it: drain the node (--drain) and wait for them"
    )]
    Count {
        node: String,
        before: usize,
        after: usize,
        /// The jobs, in words.
        jobs: String,
    },
    /// Slurm would kill or requeue jobs that asked for GPUs of any type.
    #[error(
        "node {node}: would have no {name} any more, which Slurm keeps count of for {jobs}, as for any job that asked for no \
         type, and ends it then: drain the node (--drain) and wait for them, or leave one {name}"
    )]
    Type {
        node: String,
        /// The type.
        name: String,
        /// The jobs, in words.
        jobs: String,
    },
    /// A job's next step would open another slice than the job was given.
    #[error(
        "node {node}: device {index} ({uuid}) is held by {jobs} and would lose its index; \
         drain the node (--drain) and wait for them"
    )]
    Index {
        node: String,
        /// Its index now.
        index: usize,
        uuid: String,
        /// The jobs, in words.
        jobs: String,
    },
    /// Which devices the node's jobs hold cannot be asked.
    #[error("node {node}: which devices its jobs hold is not known: {error}")]
    Unknown {
        node: String,
        /// Why slurmctld gave no answer.
        error: Arc<SlurmError>,
    },
    /// Which devices a job has cannot be asked.
    #[error("job {job}: which devices it has is not known: {error}")]
    Job { job: u32, error: Arc<SlurmError> },
    /// A job that is not on this node, or has ended.
    #[error("job {0}: is not on this node, or has ended, and no Prolog asked for it")]
    JobGone(u32),
    /// slurmctld does not list the devices of a job.
    #[error("job {0}: slurmctld does not list its devices")]
    JobUnlisted(u32),
    /// Slurm's own variable is no list.
    #[error("SLURM_JOB_GPUS={0:?}: is no list of device indexes")]
    NoList(String),
    /// slurmctld counts devices as given out, and has no job that has them.
    #[error("node {0}: slurmctld counts devices in use that no job on it explains")]
    Unexplained(String),
    /// What is to be done is for a person, or for another host.
    #[error("{0}: has to be done by hand")]
    ByHand(String),
    /// Jobs are still on the node.
    #[error("node {node}: still busy after {seconds} s: {jobs}")]
    Busy {
        node: String,
        /// How long it was waited.
        seconds: u64,
        /// Jobs on it, in words.
        jobs: String,
    },
    /// A signal ended a wait.
    #[error("interrupted by a signal")]
    Stopped,
    /// The daemons were told, and the node is not in service.
    #[error("node {node}: has not registered with its devices after {seconds} s: {what}")]
    Unregistered {
        node: String,
        /// How long it was waited.
        seconds: u64,
        /// What slurmctld says of it.
        what: String,
    },
}

impl SlurmError {
    /// What a command said, or what is wrong with that.
    pub(crate) fn refused(command: impl Into<String>, what: impl Into<String>) -> Self {
        SlurmError::Refused { command: command.into(), what: what.into() }
    }

    /// Whether a job that was to be changed had ended, or is not known any more: ESLURM_JOB_FINISHED of the change of a job,
    /// ESLURM_ALREADY_DONE and ESLURM_INVALID_JOB_ID in src/common/slurm_errno.c of 22.05.8, 24.11.5 and 26.05.3.
    pub(crate) fn is_of_ended_job(&self) -> bool {
        const SIGNS: [&str; 3] = [
            "Job has already finished",
            "Job/step already completing or completed",
            "Invalid job id specified",
        ];
        matches!(self, SlurmError::Refused { what, .. } if SIGNS.iter().any(|sign| what.contains(sign)))
    }

    /// Whether slurmctld will say the same next time: ESLURM_ACCESS_DENIED there.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, SlurmError::Refused { what, .. } if what.contains("denied"))
    }
}

impl From<Ended<SlurmError>> for SlurmError {
    fn from(ended: Ended<SlurmError>) -> Self {
        match ended {
            Ended::Stopped => SlurmError::Stopped,
            Ended::Late(error) => error,
        }
    }
}

/// Why the devices of a node make no table, a text no GRES type, or a type has no weight.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GresError {
    /// A character that Slurm's parsers cut at, or that none of them agrees on.
    #[error(
        "GRES type {name:?}: {character:?} cannot stand in it; use letters, digits, '.', '_', '+' and '-'"
    )]
    Character {
        name: String,
        /// The first one at fault.
        character: char,
    },
    /// slurm.conf reads `gpu:4` as four GPUs and `gpu:1g` as 2^30 of them.
    #[error("GRES type {0:?}: Slurm reads it as a number; begin it with a letter or add what is cut")]
    Number(String),
    /// No name at all.
    #[error("GRES type: a name is empty; mend slurm.types.pattern or slurm.types.aliases")]
    Empty,
    /// `{…}` of another kind in the pattern of names.
    #[error(
        "slurm.types.pattern {0:?}: {{profile}} and {{model}} are all it can hold, and {{profile}} has to be there"
    )]
    Pattern(String),
    /// More devices than Slurm can hold.
    #[error("node {node}: {count} devices are more than the {MAX_RECORDS} that Slurm takes per node")]
    TooMany { node: String, count: usize },
    /// An entry that is about no GPU of a node it is about.
    #[error("node {node}: slurm.on-request.{number}.devices: {what}")]
    OnRequestEntry {
        node: String,
        /// Position of the entry, from 0.
        number: usize,
        /// Why, as a phrase.
        what: String,
    },
    /// A GPU that cannot be on request, or not as it is said.
    #[error("node {node}: slurm.on-request, GPU {gpu}: {what}")]
    OnRequest { node: String, gpu: u32, what: String },
    /// A type that is taken by records nobody is given.
    #[error(
        "node {node}: GRES type {name}: is taken where slurm.on-request is used; rename it in slurm.types"
    )]
    Guard { node: String, name: String },
    /// Two types that differ by upper and lower case alone.
    #[error(
        "node {node}: slurmd takes GRES types {one} and {other} for one, because it ignores their case; rename one in \
         slurm.types"
    )]
    Case { node: String, one: String, other: String },
    /// The driver, or the table of the board, gives no figure to weigh a type by.
    #[error(
        "GRES type {gres_type}: the driver gives no {what} of it or of its whole GPU; set slurm.billing to another rule, or \
         leave it out"
    )]
    NoFigure {
        gres_type: String,
        /// What is missing.
        what: &'static str,
    },
    /// A model that the site gives no weight.
    #[error("GRES type {gres_type}: slurm.billing.{key} has no weight of {model}; add it")]
    NoWeight {
        gres_type: String,
        /// `gpu` or `slice`.
        key: &'static str,
        model: String,
    },
    /// The same type on unlike GPUs.
    #[error(
        "GRES type {gres_type}: weighs {first} on one GPU and {second} on another; \
         tell them apart by \"{{model}}_{{profile}}\" in slurm.types.pattern"
    )]
    Weights {
        gres_type: String,
        /// One weight, as a number.
        first: String,
        second: String,
    },
    /// One device under two records.
    #[error("node {node}: device {device} stands twice in the inventory")]
    Duplicate {
        node: String,
        /// UUID or device file.
        device: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_has_ended_is_told_from_a_slurmctld_that_refuses() {
        let is = |what: &str| {
            let error = SlurmError::refused("scontrol", what);
            (error.is_of_ended_job(), error.is_denied())
        };
        // As scontrol of 24.11.5 and 26.05.5 printed it.
        for ended in ["177_0-1: Job has already finished", "219_[0]: Job has already finished"] {
            assert_eq!(is(ended), (true, false), "{ended}");
        }
        assert_eq!(is("Invalid job id specified for job 9"), (true, false));
        assert_eq!(is("Access/permission denied for job 9"), (false, true));
        assert_eq!(is("slurm_update error: Zero Bytes were transmitted or received"), (false, false));
    }
}
