//! What `scontrol -d -o` prints about nodes and jobs.

use std::collections::BTreeSet;

use crate::slurm::hostlist;

/// slurmctld's picture of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// State words, as `MIXED`, `DRAIN`, `INVALID_REG`, `DYNAMIC_NORM`.
    pub state: Vec<String>,
    /// Why it is drained or down; empty without a reason.
    pub reason: String,
    /// GPUs it is configured with, in the order of `Gres=`: type (empty without one) and count.
    pub gpus: Vec<(String, u32)>,
    /// Indexes of GPU devices that jobs hold.
    pub used: BTreeSet<usize>,
}

impl NodeView {
    /// Reads one line of `scontrol -d -o show node`.
    pub fn parse(line: &str) -> Option<Self> {
        value(line, "State")?;
        Self::parse_line(line)
    }

    /// Reads a NodeName line of slurm.conf, whose words look alike; the name may be a host list.
    pub fn parse_line(line: &str) -> Option<Self> {
        let value = |key: &str| value(line, key);
        // A `*` is a node that does not answer; `-`, `~` and the like are power states.
        let state = value("State")
            .unwrap_or_default()
            .split('+')
            .map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphabetic()));
        let reason = line.split_once(" Reason=").map(|(_, reason)| reason.trim().to_owned());
        let gpu = |entry: &str| {
            let (type_name, count) = gpu(entry)?;
            Some((type_name, count.parse().ok()?))
        };
        Some(NodeView {
            name: value("NodeName")?.to_owned(),
            state: state.map(str::to_owned).collect(),
            reason: reason.unwrap_or_default(),
            gpus: entries(value("Gres").unwrap_or_default()).into_iter().filter_map(gpu).collect(),
            used: indexes(value("GresUsed").unwrap_or_default()),
        })
    }

    /// Whether it has a state.
    pub fn is(&self, state: &str) -> bool {
        self.state.iter().any(|s| s == state)
    }

    /// Whether the node was registered by `slurmd -Z` and has no line in slurm.conf.
    pub fn is_dynamic(&self) -> bool {
        self.is("DYNAMIC_NORM") || self.is("DYNAMIC_FUTURE")
    }

    /// The GPU part of `Gres=`.
    pub fn gres(&self) -> String {
        let entry = |(name, count): &(String, u32)| match name.is_empty() {
            true => format!("gpu:{count}"),
            false => format!("gpu:{name}:{count}"),
        };
        self.gpus.iter().map(entry).collect::<Vec<_>>().join(",")
    }

    /// Its GPU types.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.gpus.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty())
    }
}

/// The GPU devices of one job on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobGres {
    /// Job id.
    pub id: u32,
    /// Login name.
    pub user: String,
    /// Device indexes; empty when it holds no GPU there.
    pub devices: BTreeSet<usize>,
}

impl JobGres {
    /// Reads one line of `scontrol -d -o show job`; `None` when the job is not on the node.
    pub fn parse(line: &str, node: &str) -> Option<Self> {
        let user = value(line, "UserId")?;
        let user = user.split('(').next().unwrap_or(user).to_owned();
        let mut devices = None;
        // One `Nodes=… CPU_IDs=… GRES=…` for every group of nodes alike.
        for part in line.split(" Nodes=").skip(1) {
            let nodes = part.split_whitespace().next().unwrap_or_default();
            if part.contains("CPU_IDs=")
                && hostlist::expand(nodes).is_ok_and(|names| names.iter().any(|n| n == node))
            {
                devices = Some(indexes(value(part, "GRES").unwrap_or_default()));
            }
        }
        Some(JobGres { id: value(line, "JobId")?.parse().ok()?, user, devices: devices? })
    }
}

/// The word after `key=`.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// `gpu:1g.5gb:2(IDX:0-1),gpu:…` in its entries: commas in parentheses do not count.
fn entries(list: &str) -> Vec<&str> {
    let (mut entries, mut start, mut depth) = (Vec::new(), 0, 0u32);
    for (at, c) in list.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                entries.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    entries.push(&list[start..]);
    entries
}

/// Type and count of a GPU entry: `gpu:2`, `gpu:1g.5gb:2`, each perhaps with `(…)` behind.
fn gpu(entry: &str) -> Option<(String, &str)> {
    let entry = entry.split('(').next().unwrap_or(entry);
    let rest = entry.strip_prefix("gpu:")?;
    let (name, count) = rest.rsplit_once(':').unwrap_or(("", rest));
    Some((name.to_owned(), count))
}

/// Device indexes of all GPU entries: `gpu:1g.5gb:3(IDX:0-1,4)`.
fn indexes(list: &str) -> BTreeSet<usize> {
    let gpus =
        entries(list).into_iter().filter(|entry| entry.starts_with("gpu:") || entry.starts_with("gpu("));
    let lists = gpus.filter_map(|entry| entry.split_once("(IDX:")?.1.split(')').next());
    lists
        .flat_map(|list| list.split(','))
        .filter_map(|range| {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            Some(low.parse::<usize>().ok()?..=high.parse().ok()?)
        })
        .flatten()
        .collect()
}
