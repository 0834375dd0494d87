//! What `scontrol -d -o show node` prints about a node.

use super::devices::{self, Devices, entries};
use crate::slurm::hardware::Hardware;
use crate::slurm::slots::{Form, NEVER_UP};

/// slurmctld's picture of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    pub name: String,
    /// State words, as `MIXED`, `DRAIN`, `INVALID_REG`, `DYNAMIC_NORM`.
    pub state: Vec<String>,
    /// Why it is drained or down; empty without a reason.
    pub reason: String,
    /// GPUs it is configured with, in the order of `Gres=`: type (empty without one) and count.
    pub gpus: Vec<(String, u32)>,
    /// `Gres=` as it is shown, sockets and all.
    pub listed: String,
    /// Host it runs on; empty where slurmctld does not say.
    pub host: String,
    /// Address slurmd is reached at; empty where slurmctld does not say.
    pub address: String,
    /// GPU devices that slurmctld counts as given out, whoever has them.
    pub used: Devices,
    /// The same by type, in slurmctld's order; empty where it was not asked for details.
    pub used_types: Vec<(String, u32)>,
    /// How many gpu devices those are, where no share of one is given out.
    pub used_count: Option<u64>,
    /// Whether slurmd has registered with this slurmctld, which keeps the time of it in memory alone: after its own
    /// start the node has the state it had, until slurmctld looks for it (src/slurmctld/node_mgr.c,
    /// `_dump_node_state`, `validate_node_specs`).
    pub registered: bool,
    /// Its CPUs and memory.
    pub hardware: Hardware,
    /// CPUs that jobs have; suspended ones leave theirs.
    pub cpus_allocated: u32,
    /// CPUs that jobs can have; those of a core specialisation are not among them.
    pub cpus_usable: u64,
    /// Memory that jobs have, in MiB.
    pub memory_allocated: u64,
    /// Features that it has now.
    pub features: Vec<String>,
    /// Partitions that it is in.
    pub partitions: Vec<String>,
    /// Which form of the records of GPUs on request slurmctld has read; `None` on a node without any.
    pub form: Option<Form>,
}

/// Words of a node's state in which it takes no job (scontrol(1), slurm.conf(5); src/common/slurm_protocol_defs.c,
/// `node_state_base_string` and `node_state_flag_string`).
const OUT: [&str; 14] = [
    "DOWN",
    "DRAIN",
    "DRAINED",
    "DRAINING",
    "ERROR",
    "FAIL",
    "FAILING",
    "FUTURE",
    "INVAL",
    "INVALID_REG",
    "MAINTENANCE",
    "NOT_RESPONDING",
    "POWERING_DOWN",
    "UNKNOWN",
];

impl NodeView {
    /// Reads one line of `scontrol -d -o show node`.
    pub fn parse(line: &str) -> Option<Self> {
        let value = |key: &str| value(line, key);
        // A `*` is a node that does not answer; `-`, `~` and the like are power states.
        let state =
            value("State")?.split('+').map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphabetic()));
        let reason = line.split_once(" Reason=").map(|(_, reason)| reason.trim().to_owned());
        let gpus = gpus(value("Gres").unwrap_or_default());
        let word = |key: &str| value(key).unwrap_or_default().to_owned();
        let number = |key: &str| value(key).and_then(|number| number.parse().ok());
        let list = |key: &str| -> Vec<String> {
            let words = value(key).unwrap_or_default().split(',');
            words.filter(|word| !word.is_empty() && *word != "(null)").map(str::to_owned).collect()
        };
        let hardware = Hardware::read(line);
        // Features stand before it and comments behind it, which admins write.
        let mut used = line.split_whitespace().filter_map(|word| word.strip_prefix("GresUsed="));
        let used = Some(used.next().unwrap_or_default()).filter(|_| used.next().is_none());
        Some(NodeView {
            name: value("NodeName")?.to_owned(),
            state: state.map(str::to_owned).collect(),
            reason: reason.unwrap_or_default(),
            listed: word("Gres"),
            host: word("NodeHostName"),
            address: word("NodeAddr"),
            used: used.map_or(Devices::Unlisted, |used| devices::devices(used, count(&gpus))),
            used_types: self::gpus(&used.unwrap_or_default().replace("(null)", "")),
            used_count: used.and_then(devices::count),
            cpus_allocated: value("CPUAlloc").and_then(|count| count.parse().ok()).unwrap_or_default(),
            registered: value("SlurmdStartTime") != Some("None"),
            cpus_usable: number("CPUEfctv").or(hardware.cpus).unwrap_or_default(),
            memory_allocated: number("AllocMem").unwrap_or_default(),
            features: list("ActiveFeatures"),
            partitions: list("Partitions"),
            hardware,
            form: form(value("Gres").unwrap_or_default()),
            gpus,
        })
    }

    /// How many GPU devices it is configured with.
    pub fn count(&self) -> usize {
        count(&self.gpus)
    }

    /// The form of gres.conf that slurmctld has read from slurmd. Before slurmd has registered with it `Gres=` is slurm.conf's own text, in
    /// which the gate shows no socket, whatever the node has.
    pub(crate) fn form_read(&self) -> Option<Form> {
        self.form.filter(|_| self.registered)
    }

    /// Whether it has a state.
    pub fn is(&self, state: &str) -> bool {
        self.state.iter().any(|s| s == state)
    }

    /// Whether it takes jobs, as its state goes.
    pub fn takes_jobs(&self) -> bool {
        !OUT.iter().any(|state| self.is(state))
    }

    /// Whether it is one of a catalog, which has nothing to be had. slurmctld writes who gave the reason, and when, behind it.
    pub fn is_never_up(&self) -> bool {
        !self.takes_jobs() && self.reason.split_whitespace().next() == Some(NEVER_UP)
    }

    /// Whether the node was registered by `slurmd -Z` and has no line in slurm.conf.
    pub fn is_dynamic(&self) -> bool {
        self.is("DYNAMIC_NORM") || self.is("DYNAMIC_FUTURE")
    }

    /// The GPU part of `Gres=`. Types of which there is none are what makes slurmctld read records anew.
    pub fn gres(&self) -> String {
        let some = self.gpus.iter().filter(|(_, count)| *count > 0);
        let entry = |(name, count): &(String, u32)| {
            if name.is_empty() { format!("gpu:{count}") } else { format!("gpu:{name}:{count}") }
        };
        some.map(entry).collect::<Vec<_>>().join(",")
    }

    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.gpus.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty())
    }
}

/// The gate shows a socket, `gresgen:gate:2(S:0)`, where its records are near a core (`_build_node_gres_str` of 22.05,
/// src/interfaces/gres.c later). Admins alone write a node's GRES.
fn form(gres: &str) -> Option<Form> {
    let gate = entries(gres).into_iter().find_map(|entry| entry.strip_prefix(Form::GATE))?;
    Some(if gate.starts_with("(S:") { Form::Joined } else { Form::Split })
}

fn count(gpus: &[(String, u32)]) -> usize {
    gpus.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count as usize))
}

/// The word after `key=`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// The GPUs of a `Gres=` of slurmctld or slurm.conf, in its order: type (empty without one) and count.
pub fn gpus(gres: &str) -> Vec<(String, u32)> {
    let gpu = |entry: &str| {
        let (type_name, count) = gpu(entry)?;
        Some((type_name, count.parse().ok()?))
    };
    entries(gres).into_iter().filter_map(gpu).collect()
}

/// Type and count of a GPU entry: `gpu:2`, `gpu:1g.5gb:2`, each perhaps with `(…)` behind.
fn gpu(entry: &str) -> Option<(String, &str)> {
    let entry = entry.split('(').next().unwrap_or(entry);
    let rest = entry.strip_prefix("gpu:")?;
    let (name, count) = rest.rsplit_once(':').unwrap_or(("", rest));
    Some((name.to_owned(), count))
}
