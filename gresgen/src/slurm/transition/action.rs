//! One thing to do to Slurm.

use std::fmt;
use std::time::Duration;

use crate::slurm::SlurmError;
use crate::slurm::control::{Control, Listing, reservation, within};
use crate::slurm::settings::on_request::GATE;
use crate::wait::{self, Stop};
use crate::words;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take the node out of scheduling.
    Drain {
        node: String,
        /// Why, for `sinfo -R`.
        reason: String,
    },
    /// Wait until slurmctld has heard from the node and reaches it: after its start, and after a reconfigure from
    /// 23.11, it knows no state, gives the node no job and refuses RESUME ("Invalid node state specified").
    WaitRegistered(String),
    /// Bring the new node line to slurmctld's slurm.conf; how, for a person.
    CarryNodeLine(String),
    /// Make plugstack.conf load the plugin; how, for a person.
    LoadPlugin(String),
    /// Make all daemons read their files again.
    Reconfigure,
    /// Restart slurmctld, on its host. Jobs go on.
    RestartSlurmctld,
    /// Restart slurmd, on the node. Jobs go on.
    RestartSlurmd(String),
    /// Make slurmctld read the node's records anew when it registers next, beside the jobs on it: a type of which there is
    /// none does (src/interfaces/gres.c, `_node_config_validate`: `type_cnt_avail`; seen on 22.05.8, 24.11.5 and 26.05.5).
    ReadAnew {
        node: String,
        /// What it has, as before.
        gres: String,
    },
    /// Make slurmd read gres.conf and register, on the node. Jobs and steps go on.
    ReloadSlurmd(String),
    /// Stop slurmd, on the node.
    StopSlurmd(String),
    /// Start slurmd, on the node.
    StartSlurmd(String),
    /// Forget a dynamic node. Slurm drops its reservations with it.
    Delete(String),
    /// Start slurmd as a dynamic node with these attributes.
    StartDynamic {
        node: String,
        /// Value of `--conf`.
        conf: String,
    },
    /// Put the node back into scheduling.
    Resume(String),
    /// Reserve the node for nobody, beside the jobs that run on it.
    Reserve(String),
    /// Take that reservation back.
    Release(String),
    /// Take back a drain and nothing else: a node that is down for another reason stays down.
    Undrain(String),
    /// Say again why a node is out of service.
    Reason { node: String, reason: String },
}

impl Action {
    /// The command that does it; `None` where it takes more than one.
    pub fn command(&self) -> Option<Vec<String>> {
        let words = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect());
        let update = |node: &str, keys: &[&str]| {
            words(&[&["scontrol", "update", &format!("NodeName={node}")], keys].concat())
        };
        match self {
            Action::Drain { node, reason } => update(node, &["State=DRAIN", &format!("Reason={reason}")]),
            Action::Resume(node) => update(node, &["State=RESUME"]),
            Action::Reserve(node) => words(&[
                "scontrol",
                "create",
                "reservation",
                &format!("ReservationName={}", reservation(node)),
                "StartTime=now",
                // It must not end by itself while the node is half cut.
                "Duration=UNLIMITED",
                &format!("Nodes={node}"),
                "Users=root",
                "Flags=MAINT,IGNORE_JOBS",
            ]),
            Action::Release(node) => {
                words(&["scontrol", "delete", &format!("ReservationName={}", reservation(node))])
            }
            Action::Undrain(node) => update(node, &["State=UNDRAIN"]),
            Action::Reason { node, reason } => update(node, &[&format!("Reason={reason}")]),
            Action::ReadAnew { node, gres } => {
                update(node, &[&format!("Gres={gres},gpu:none:0,{GATE}:none:0")])
            }
            Action::ReloadSlurmd(_) => words(&["systemctl", "reload", "slurmd"]),
            Action::Reconfigure => words(&["scontrol", "reconfigure"]),
            Action::Delete(node) => words(&["scontrol", "delete", &format!("NodeName={node}")]),
            Action::RestartSlurmctld => words(&["systemctl", "restart", "slurmctld"]),
            Action::RestartSlurmd(_) => words(&["systemctl", "restart", "slurmd"]),
            Action::StartSlurmd(_) => words(&["systemctl", "start", "slurmd"]),
            Action::StopSlurmd(_) => words(&["systemctl", "stop", "slurmd"]),
            Action::StartDynamic { node, conf } => words(&["slurmd", "-N", node, "-Z", "--conf", conf]),
            Action::WaitRegistered(_) | Action::CarryNodeLine(_) | Action::LoadPlugin(_) => None,
        }
    }

    /// Whether it can be carried out on the node itself. `controller` says whether slurmctld runs there too.
    pub fn is_local(&self, controller: bool) -> bool {
        match self {
            // A slurmd started from here would be a child of this program, outside its unit and in the cgroup of
            // whoever called; the options of its unit are not known here.
            Action::CarryNodeLine(_) | Action::LoadPlugin(_) | Action::StartDynamic { .. } => false,
            Action::RestartSlurmctld => controller,
            _ => true,
        }
    }

    /// Carries it out on this host. A signal ends its waits.
    pub(crate) fn run(&self, stop: &Stop) -> Result<(), SlurmError> {
        const PAUSE: Duration = Duration::from_millis(500);
        if let Action::WaitRegistered(node) = self {
            return Ok(wait::until(REGISTER, PAUSE, stop, || registered(node))?);
        }
        let Some(words) = self.command() else { return Err(SlurmError::ByHand(self.to_string())) };
        let (command, arguments) = words.split_first().expect("a command has a name");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        within(UNIT, command, &arguments)?;
        Ok(())
    }
}

/// States of a node that slurmctld waits to hear from.
const UNHEARD: [&str; 2] = ["UNKNOWN", "NOT_RESPONDING"];

/// How long a slurmd is given to register: it takes seconds, or more while it waits for device files.
const REGISTER: Duration = Duration::from_secs(60);

/// How long a command is given. systemd takes up to 90 s to stop a unit and as long to start it
/// (systemd-system.conf(5), DefaultTimeoutStopSec, DefaultTimeoutStartSec), and a unit may say more.
const UNIT: Duration = Duration::from_secs(300);

/// Whether slurmctld has heard from a node and reaches it.
fn registered(node: &str) -> Result<(), SlurmError> {
    let view = Control::connect()?.node(node)?;
    if !view.registered || UNHEARD.iter().any(|state| view.is(state)) {
        Err(SlurmError::refused(format!("scontrol show node {node}"), "slurmd has not registered yet"))
    } else {
        Ok(())
    }
}

/// Waits until no job is on a node. After each look that finds some, `report` is given how long it has been waited and
/// which they are.
///
/// # Errors
/// [`SlurmError::Busy`], [`SlurmError::Stopped`]; another error where slurmctld gave no answer to the last
/// look.
pub fn wait_idle(
    node: &str,
    limit: Duration,
    stop: &Stop,
    report: &mut dyn FnMut(Duration, &str),
) -> Result<(), SlurmError> {
    const PAUSE: Duration = Duration::from_secs(2);
    let idle = || {
        let control = Control::connect()?;
        let jobs = control.jobs(node)?;
        let jobs: Vec<_> = jobs.iter().filter(|job| job.may_hold()).collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let times = control.times(node).unwrap_or_default();
        let job = |job: &&Listing| {
            let times = times.get(&job.query).map(|(since, until)| format!(", since {since}, ends {until}"));
            format!("{} ({}{})", job.query, job.login, times.unwrap_or_default())
        };
        let words: Vec<String> = jobs.iter().map(job).collect();
        let jobs = few(&words);
        Err(SlurmError::Busy { node: node.to_owned(), seconds: limit.as_secs(), jobs })
    };
    let mut report = |since: Duration, error: &SlurmError| match error {
        SlurmError::Busy { jobs, .. } => report(since, jobs),
        error => report(since, &error.to_string()),
    };
    Ok(wait::until_reporting(limit, PAUSE, stop, &mut report, idle)?)
}

/// Some of the jobs by name, and how many more.
fn few(jobs: &[String]) -> String {
    format!("{} {}", if jobs.len() == 1 { "job" } else { "jobs" }, words::few(jobs, 5))
}

impl fmt::Display for Action {
    /// As a line for a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::WaitRegistered(node) => write!(
                f,
                "until scontrol -o show node {node} | grep State= | grep -Eqv 'State=[^ ]*({})|SlurmdStartTime=None'; do sleep 1; done",
                UNHEARD.join("|")
            ),
            Action::CarryNodeLine(how) | Action::LoadPlugin(how) => write!(f, "# {how}"),
            _ => {
                let words = self.command().unwrap_or_default();
                f.write_str(&words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" "))?;
                match self {
                    Action::RestartSlurmctld => f.write_str("  # on the host of slurmctld"),
                    Action::RestartSlurmd(node)
                    | Action::ReloadSlurmd(node)
                    | Action::StopSlurmd(node)
                    | Action::StartSlurmd(node) => {
                        write!(f, "  # on {node}")
                    }
                    Action::StartDynamic { node, .. } => write!(f, "  # on {node}, as your unit starts it"),
                    Action::Delete(_) => {
                        f.write_str("  # drops reservations, weight and comment of the node")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

fn quoted(word: &str) -> String {
    if word.contains(|c: char| c.is_whitespace() || "'\"$;&|<>()*?[]#~".contains(c)) {
        format!("'{}'", word.replace('\'', "'\\''"))
    } else {
        word.to_owned()
    }
}
