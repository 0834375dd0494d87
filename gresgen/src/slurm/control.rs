//! Asking and telling slurmctld, through Slurm's own commands as found on `PATH`.
//!
//! Their output is read, not linked: one binary then speaks to every release, and to the cluster of whatever
//! `SLURM_CONF` says.

mod admin_comment;
mod arrays;
mod command;
mod devices;
mod elements;
mod job;
mod listing;
mod node;
mod places;
mod queue;
mod squeue;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) use arrays::{Arrays, Part};
pub use command::{hurry, use_configuration};
pub use devices::Devices;
pub(crate) use elements::{count, spans};
pub(crate) use job::{Record, Records};
pub use listing::Listing;
pub use node::{NodeView, gpus};
pub(crate) use places::{Partition, Reservation};
pub(crate) use queue::{Place, Queued, Request};
pub use waiting::Waiting;
pub(crate) use waiting::{asked, least, listed};

use super::error::SlurmError;
use crate::command::Parts;

/// What a job's record says that it has of a node: GPU devices, and types of them; `None` where it does not say.
pub(crate) type Held = (Option<Devices>, Option<BTreeSet<String>>);
use super::release::Release;
pub(super) use command::within;
use command::{PATIENCE, RECORD, SECONDS, UNCUT, answers, run, run_in};
use squeue::{FIELDS, LETTERS, squeue};

/// How much is read of the nodes that a job names, in bytes, where all of it would be too much: the lines of 150,000 jobs are read with
/// it. slurmctld sets no length (`validate_job_create_req`, src/slurmctld/job_mgr.c), so some thousand jobs could be too many.
const NAMED: usize = 64;

/// A slurmctld that answered.
#[derive(Clone, Copy, Debug)]
pub struct Control(());

impl Control {
    /// Asks whether slurmctld is there (`scontrol ping`), which takes no time where its host refuses; any other
    /// command then tries for nine seconds.
    ///
    /// # Errors
    /// [`SlurmError::Missing`], [`SlurmError::Unreachable`].
    pub fn connect() -> Result<Self, SlurmError> {
        match run("scontrol", &["ping"]) {
            Ok(text) if text.contains(" is UP") => Ok(Control(())),
            Ok(text) | Err(SlurmError::Refused { what: text, .. }) => {
                Err(SlurmError::Unreachable(text.lines().next().unwrap_or_default().to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// The running configuration: keys and values of `scontrol show config`.
    pub fn config(self) -> Result<Config, SlurmError> {
        Ok(Config::parse(&run("scontrol", &["show", "config"])?))
    }

    /// slurmctld's picture of one node, with the devices that jobs hold.
    ///
    /// # Errors
    /// [`SlurmError`]; a node it does not know is [`SlurmError::UnknownNode`].
    pub fn node(self, name: &str) -> Result<NodeView, SlurmError> {
        match run("scontrol", &["--all", "-d", "-o", "show", "node", name]) {
            Ok(text) => NodeView::parse(&text).ok_or_else(|| SlurmError::UnknownNode(name.to_owned())),
            Err(SlurmError::Refused { what, .. }) if what.contains("not found") => {
                Err(SlurmError::UnknownNode(name.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    pub fn nodes(self) -> Result<Vec<NodeView>, SlurmError> {
        Ok(run("scontrol", &["--all", "-o", "show", "node"])?.lines().filter_map(NodeView::parse).collect())
    }

    /// All nodes, with what jobs have of them.
    pub fn nodes_in_use(self) -> Result<Vec<NodeView>, SlurmError> {
        let text = run("scontrol", &["--all", "-d", "-o", "show", "node"])?;
        Ok(text.lines().filter_map(NodeView::parse).collect())
    }

    /// What waiting jobs ask for, each task of an array for itself.
    pub fn waiting(self) -> Result<Waiting, SlurmError> {
        Ok(Waiting::parse(&squeue(run_in, &[], &["-r", "-t", "PD"], (FIELDS, Waiting::FORMAT))?))
    }

    /// Waiting jobs one a line, first those that are to start first; each task of an array for itself. `format` is for
    /// `squeue -O`.
    pub fn queue(self, format: &str) -> Result<String, SlurmError> {
        squeue(run_in, &[], &["-r", "-t", "PD", "--sort=-p,i"], (FIELDS, format))
    }

    /// All jobs, what waits of an array as one, and how many lines are none. Where the list is more than is read, the nodes that jobs name
    /// are cut, and the elements of arrays: a job with more of them than is left says nothing about them then.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn queued(self) -> Result<(Vec<Queued>, u64), SlurmError> {
        let list = |environment: &[(&str, &str)], format: &str| {
            squeue(run_in, environment, &["-t", "all"], (LETTERS, format))
        };
        match list(&[SECONDS, UNCUT], Queued::FORMAT) {
            Err(SlurmError::Long { .. }) => Ok(Queued::parse(&list(&[SECONDS], &Queued::cut(NAMED))?, NAMED)),
            said => Ok(Queued::parse(&said?, usize::MAX)),
        }
    }

    /// What the jobs that wait ask for.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn requests(self) -> Result<Vec<Request>, SlurmError> {
        let format = (FIELDS, Request::FORMAT);
        Ok(Request::parse(&squeue(run_in, &[SECONDS, UNCUT], &["-t", "PD"], format)?))
    }

    /// What the records of jobs say. Nothing is known where they are more than is read: users make them long.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn records(self) -> Result<Records, SlurmError> {
        match run_in(&[SECONDS, UNCUT], "scontrol", &["--all", "-d", "-o", "show", "job"]) {
            Ok(text) => Ok(Records::parse(&text)),
            Err(SlurmError::Long { .. }) => Ok(Default::default()),
            Err(error) => Err(error),
        }
    }

    /// All partitions.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn partitions(self) -> Result<Vec<Partition>, SlurmError> {
        let text = run("scontrol", &["--all", "-o", "show", "partition"])?;
        Ok(text.lines().filter_map(Partition::parse).collect())
    }

    /// Reservations that hold now, or will; one that has ended is there for a moment.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn reservations(self) -> Result<Vec<Reservation>, SlurmError> {
        let text = run_in(&[SECONDS], "scontrol", &["-o", "show", "reservation"])?;
        Ok(text.lines().filter_map(Reservation::parse).collect())
    }

    /// Values of `TRESBillingWeights=`, one of each partition that has some.
    pub fn billing_weights(self) -> Result<Vec<String>, SlurmError> {
        let text = run("scontrol", &["--all", "-o", "show", "partition"])?;
        let weights = text.split_whitespace().filter_map(|word| word.strip_prefix("TRESBillingWeights="));
        Ok(weights.map(str::to_owned).collect())
    }

    /// slurmctld's picture of one node as `scontrol` prints it, on one line.
    pub fn node_text(self, name: &str) -> Result<String, SlurmError> {
        run("scontrol", &["-d", "-o", "show", "node", name])
    }

    /// Makes slurmctld count anew what of the nodes is in use: it drops its counts and adds up what each job has that runs or is
    /// suspended. `scontrol reconfigure` does that, too, and much beside it. No flag is named here, so none changes
    /// (`_slurm_rpc_set_debug_flags` in src/slurmctld/proc_req.c calls `select_g_reconfigure`; `select_p_reconfigure`,
    /// src/plugins/select/cons_common/cons_common.c of 22.05.8, cons_tres/select_cons_tres.c of 24.11.5 and 26.05.3).
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn count_anew(self) -> Result<(), SlurmError> {
        run("scontrol", &["setdebugflags", "+"]).map(drop)
    }

    /// Whether there is a reservation of this name.
    pub fn is_reserved(self, name: &str) -> Result<bool, SlurmError> {
        match run("scontrol", &["-o", "show", "reservation", name]) {
            Ok(text) => Ok(text.contains(&format!("ReservationName={name} "))),
            Err(SlurmError::Refused { what, .. }) if what.contains("not found") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a reservation with the flag MAINT has this node, or may have it, but for the one of this program.
    pub fn is_maintained_by_others(self, node: &str) -> Result<bool, SlurmError> {
        let text = run("scontrol", &["-o", "show", "reservation"])?;
        Ok(text.lines().any(|line| is_maintenance(line, node)))
    }

    /// Jobs that slurmctld has on a node, in any state, the ended ones it still remembers too.
    pub fn jobs(self, node: &str) -> Result<Vec<Listing>, SlurmError> {
        let mut arguments = vec!["--all", "--local", "-h", "-r", "-t", "all", "-w", node];
        arguments.extend(["-o", Listing::FORMAT]);
        let text = run("squeue", &arguments).map_err(|error| match error {
            SlurmError::Refused { what, .. } if what.contains("Invalid node name") => {
                SlurmError::UnknownNode(node.to_owned())
            }
            error => error,
        })?;
        Listing::parse(&text).map_err(|line| SlurmError::refused("squeue", format!("printed {line:?}")))
    }

    /// When jobs on a node began and will have to end, by what they are asked for by, as `11-26 14:10` in the node's time
    /// zone: for a person. A job without a limit ends `never`.
    pub fn times(self, node: &str) -> Result<BTreeMap<String, (String, String)>, SlurmError> {
        let text = run("squeue", &["--all", "--local", "-h", "-r", "-w", node, "-o", "%i|%S|%e|%l"])?;
        // 2026-11-26T14:10:05; N/A or NONE where there is none (squeue(1)).
        let time = |word: &str| match word.len() {
            19 if word.is_ascii() => word[5..16].replace('T', " "),
            _ => "never".to_owned(),
        };
        let line = |line: &str| {
            let mut words = line.split('|');
            let (job, since, until, limit) = (words.next()?, words.next()?, words.next()?, words.next()?);
            // slurmctld lets a job without a limit end a year later (seen on 22.05.8).
            let a_year = since.get(5..16) == until.get(5..16) && since.get(..4) != until.get(..4);
            let until = if a_year || limit == "UNLIMITED" { "" } else { until };
            Some((job.to_owned(), (time(since), time(until))))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    /// What slurmctld says of a node and of each of `jobs` on it, in this order: the devices by the job's record, `None`
    /// where the record does not say. A job that has gone meanwhile has none.
    pub fn allocations(self, node: &str, jobs: &[&Listing]) -> Result<(NodeView, Vec<Held>), SlurmError> {
        // One process for all, which scontrol does line by line from its input. A job is asked for by the id that
        // means it alone: that of an array or of a heterogeneous job would print every part of it.
        let word = secret();
        let mut questions = format!("show node {node}\nshow hostnames {word}\n");
        for job in jobs {
            questions += &format!("show job {}\nshow hostnames {word}\n", job.query);
        }
        let parts = Parts { end: &word, most: RECORD };
        let said = answers("scontrol", &["--all", "-d", "-o"], &questions, parts)?;
        let command = "scontrol -d -o show node, show job";
        let unreadable = || SlurmError::refused(command, "its answers cannot be told apart");
        let records = split(&said, &word, jobs.len() + 1).ok_or_else(unreadable)?;
        let view = records[0].lines().find_map(NodeView::parse);
        let view = view.ok_or_else(|| SlurmError::UnknownNode(node.to_owned()))?;
        let held = |record: &&str| {
            if !record.contains("JobId=") {
                return (Some(Devices::default()), Some(BTreeSet::new()));
            }
            let record = Record::parse(record);
            let record = record.as_ref();
            let devices = record.and_then(|record| record.devices_on(node, view.count()));
            (devices, record.and_then(|record| record.types_on(node)))
        };
        let found = records[1..].iter().map(held).collect();
        Ok((view, found))
    }
}

/// Whether a line of `scontrol -o show reservation` is about maintenance of a node, or may be, and not one of this program.
/// A name may hold anything that the rest of its line says (scontrol(1), ReservationName), so what stands anywhere counts.
fn is_maintenance(line: &str, node: &str) -> bool {
    let values = |key: &'static str| line.split_whitespace().filter_map(move |word| word.strip_prefix(key));
    let maintains = values("Flags=").any(|flags| flags.split(',').any(|flag| flag == "MAINT"));
    let has_node = |list: &str| {
        let names = super::hostlist::expand(list);
        list != "(null)" && names.map_or(true, |names| names.iter().any(|name| name == node))
    };
    let mut nodes = values("Nodes=").peekable();
    let ours = line.starts_with(&format!("ReservationName={} StartTime=", reservation(node)));
    maintains && !ours && (nodes.peek().is_none() || nodes.any(has_node))
}

/// A word that no job's text can hold, because it is chosen after the text was written: `scontrol show hostnames` prints
/// it back, and so separates the answers.
fn secret() -> String {
    use std::hash::{BuildHasher, RandomState};
    // The state is seeded by the kernel's random numbers. Letters alone, as digits at its end would be a host's number.
    let number = RandomState::new().hash_one(0) as u128 | (u128::from(RandomState::new().hash_one(1)) << 64);
    let letter = |at: u32| char::from(b'a' + ((number >> (4 * at)) & 15) as u8);
    (0..32).map(letter).collect()
}

/// The answers, each of which ends with a line that is the word; `None` when there are not `count` of them.
fn split<'a>(said: &'a str, word: &str, count: usize) -> Option<Vec<&'a str>> {
    let end = format!("\n{word}\n");
    let mut answers: Vec<&str> = said.split(&end).collect();
    // What follows the last is the prompt.
    answers.pop();
    (answers.len() == count).then_some(answers)
}

/// Release of the Slurm installed here: `slurm 24.11.5`, on Debian `slurm-wlm 22.05.8`. The daemons are asked where
/// they are, because the commands read slurm.conf first and wait a minute for a file it includes that is not there
/// yet (seen on 22.05.8); slurmctld is not asked.
///
/// # Errors
/// [`SlurmError::Missing`], [`SlurmError::Release`].
pub fn installed_release() -> Result<Release, SlurmError> {
    // A check wants it for its files and for its layout; it is one program for as long as this one runs.
    static KNOWN: OnceLock<Release> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let version = |command, option| within(PATIENCE, command, &[option]);
    let text = version("slurmd", "-V")
        .or_else(|_| version("slurmctld", "-V"))
        .or_else(|_| version("scontrol", "--version"))?;
    let release = text.parse()?;
    Ok(*KNOWN.get_or_init(|| release))
}

/// What `slurmd -C` prints about this host, behind the name: `CPUs=64 Boards=1 … RealMemory=515000`. `None` where it is
/// not installed, or says nothing in time.
pub fn host_hardware() -> Option<String> {
    // Advice is not worth waiting for.
    let text = within(Duration::from_secs(5), "slurmd", &["-C"]).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("NodeName="))?;
    Some(line.split_once(' ')?.1.trim().to_owned())
}

/// Name of the reservation of ours on a node.
pub fn reservation(node: &str) -> String {
    format!("gresgen-{node}")
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
