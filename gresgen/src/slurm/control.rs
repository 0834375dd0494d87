//! Asking and telling slurmctld, through Slurm's own commands as found on `PATH`.
//!
//! Their output is read, not linked: one binary then speaks to every release, and to the cluster of whatever
//! `SLURM_CONF` says.

mod node;

use std::collections::BTreeMap;
use std::process::Command;

pub use node::{JobGres, NodeView};

use super::release::{Release, UnknownRelease};

/// Why Slurm gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The command is not there.
    #[error("{command}: {error}; install Slurm's client commands or add them to PATH")]
    Missing {
        /// The command.
        command: String,
        /// Why.
        error: std::io::Error,
    },
    /// slurmctld does not answer.
    #[error("slurmctld unreachable: {0}")]
    Unreachable(String),
    /// It refused.
    #[error("{command}: {what}")]
    Refused {
        /// The command line.
        command: String,
        /// What it said.
        what: String,
    },
    /// The installed Slurm is none this program knows.
    #[error("{0}; set slurm.release")]
    Release(#[from] UnknownRelease),
}

/// A slurmctld that answered.
#[derive(Clone, Copy, Debug)]
pub struct Control(());

impl Control {
    /// Asks whether slurmctld is there (`scontrol ping`), which takes no time where its host refuses; any other
    /// command then tries for nine seconds.
    ///
    /// # Errors
    /// [`ControlError::Missing`], [`ControlError::Unreachable`].
    pub fn connect() -> Result<Self, ControlError> {
        match run("scontrol", &["ping"]) {
            Ok(text) if text.contains(" is UP") => Ok(Control(())),
            Ok(text) | Err(ControlError::Refused { what: text, .. }) => {
                Err(ControlError::Unreachable(text.lines().next().unwrap_or_default().to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// The running configuration: keys and values of `scontrol show config`.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn config(self) -> Result<Config, ControlError> {
        Ok(Config::parse(&run("scontrol", &["show", "config"])?))
    }

    /// slurmctld's picture of one node, with the devices that jobs hold.
    ///
    /// # Errors
    /// [`ControlError`]; a node it does not know is [`ControlError::Refused`].
    pub fn node(self, name: &str) -> Result<NodeView, ControlError> {
        let text = self.node_text(name)?;
        NodeView::parse(&text).ok_or_else(|| ControlError::Refused {
            command: format!("scontrol -d -o show node {name}"),
            what: format!("names no node: {text:?}"),
        })
    }

    /// slurmctld's picture of one node as `scontrol` prints it, on one line.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn node_text(self, name: &str) -> Result<String, ControlError> {
        run("scontrol", &["-d", "-o", "show", "node", name])
    }

    /// GRES types of GPUs on all nodes, each once.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn all_types(self) -> Result<Vec<String>, ControlError> {
        let nodes: Vec<NodeView> =
            run("scontrol", &["-o", "show", "node"])?.lines().filter_map(NodeView::parse).collect();
        let mut types: Vec<String> = nodes.iter().flat_map(NodeView::types).map(str::to_owned).collect();
        types.sort();
        types.dedup();
        Ok(types)
    }

    /// GPU devices that jobs hold on a node: those that run, are suspended, start or end.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn jobs(self, node: &str) -> Result<Vec<JobGres>, ControlError> {
        let ids = run("squeue", &["-h", "-w", node, "-t", "R,S,CG,CF,SO,SI", "-o", "%A"])?;
        let mut jobs = Vec::new();
        for id in ids.lines() {
            match run("scontrol", &["-d", "-o", "show", "job", id]) {
                Ok(text) => jobs.extend(JobGres::parse(&text, node)),
                // It ended in between.
                Err(ControlError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(jobs)
    }
}

/// Runs a command of Slurm and gives what it printed.
fn run(command: &str, arguments: &[&str]) -> Result<String, ControlError> {
    let output = Command::new(command)
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| ControlError::Missing { command: command.to_owned(), error })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let what = said.trim().to_owned();
    let unreachable = ["Unable to contact slurm controller", "DNS SRV lookup failed"];
    match unreachable.iter().any(|sign| what.contains(sign)) {
        true => Err(ControlError::Unreachable(what)),
        false => Err(ControlError::Refused { command: format!("{command} {}", arguments.join(" ")), what }),
    }
}

/// Release of the Slurm installed here: `slurm 24.11.5`, on Debian `slurm-wlm 22.05.8`. The daemons are asked where
/// they are, because the commands read slurm.conf first and wait a minute for a file it includes that is not there
/// yet (seen on 22.05.8); slurmctld is not asked.
///
/// # Errors
/// [`ControlError::Missing`], [`ControlError::Release`].
pub fn installed_release() -> Result<Release, ControlError> {
    let text = run("slurmd", &["-V"])
        .or_else(|_| run("slurmctld", &["-V"]))
        .or_else(|_| run("scontrol", &["--version"]))?;
    Ok(text.parse::<Release>()?)
}

/// `scontrol show config` as keys and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config(BTreeMap<String, String>);

impl Config {
    /// Reads what `scontrol show config` prints.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        Config(lines.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect())
    }

    /// The value of a key, where slurmctld prints one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| *value != "(null)")
    }

    /// Release of the running slurmctld.
    pub fn release(&self) -> Option<Release> {
        self.get("SLURM_VERSION")?.parse().ok()
    }

    /// Hosts of slurmctld: the first and its backups (slurm.conf(5), SlurmctldHost).
    pub fn controllers(&self) -> impl Iterator<Item = &str> {
        let hosts = self.0.iter().filter(|(key, _)| key.starts_with("SlurmctldHost["));
        hosts.map(|(_, host)| host.split('(').next().unwrap_or(host))
    }

    /// Whether a list such as TaskPlugin has this entry.
    pub fn lists(&self, key: &str, entry: &str) -> bool {
        self.get(key).is_some_and(|list| list.split(',').any(|word| word.trim() == entry))
    }
}

#[cfg(test)]
mod tests;
