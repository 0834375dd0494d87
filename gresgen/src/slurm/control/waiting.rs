//! GPUs that waiting jobs ask for, as `squeue` lists them.

use std::collections::BTreeMap;

/// Devices asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// By type.
    pub types: BTreeMap<String, u64>,
    /// Of any type.
    pub any: u64,
    /// Jobs whose request cannot be read.
    pub unread: u64,
}

impl Waiting {
    /// For `squeue -O`: requests for each job, node, socket and task, and how many nodes and tasks there are.
    pub(crate) const FORMAT: &'static str =
        "tres-per-job:|,tres-per-node:|,tres-per-socket:|,tres-per-task:|,NumNodes:|,NumTasks:|";

    /// Reads what squeue printed. The first four fields are the users' texts, as far as slurmctld let them pass: a line with
    /// more fields than it should have is of a job that says nothing here.
    pub(super) fn parse(text: &str) -> Self {
        let mut waiting = Waiting::default();
        for line in text.lines() {
            if waiting.add(line).is_none() {
                waiting.unread += 1;
            }
        }
        waiting
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let fields: Vec<&str> = line.trim_end().strip_suffix('|')?.split('|').collect();
        let found = asked(fields[..].try_into().ok()?)?;
        for (name, count) in found {
            let sum =
                if name.is_empty() { &mut self.any } else { self.types.entry(name.to_owned()).or_default() };
            *sum = sum.saturating_add(count);
        }
        Some(())
    }
}

/// Types, empty without one, and counts on all nodes together of what six fields of [`Waiting::FORMAT`] ask for. `None` where
/// they cannot be read.
pub(crate) fn asked([job, node, socket, task, nodes, tasks]: [&str; 6]) -> Option<Vec<(&str, u64)>> {
    let (nodes, tasks) = (least(nodes)?, least(tasks)?);
    let mut found = Vec::new();
    // How many sockets of a node a job will have is not known yet: one at least.
    for (list, times) in [(job, 1), (node, nodes), (socket, nodes), (task, tasks)] {
        for (name, count) in listed(list)? {
            found.push((name, count.checked_mul(times)?));
        }
    }
    Some(found)
}

/// Types, empty without one, and counts of one field; none of another TRES. `None` where it cannot be read.
pub(crate) fn listed(list: &str) -> Option<Vec<(&str, u64)>> {
    list.split(',').map(|entry| gpus(entry.trim())).collect()
}

/// The number that a field begins with: `2`, or `2-4` where a job takes from two to four.
pub(crate) fn least(field: &str) -> Option<u64> {
    let end = field.find(|c: char| !c.is_ascii_digit()).unwrap_or(field.len());
    field[..end].parse().ok()
}

/// Type, empty without one, and count of `gres/gpu:1g.5gb:2`, `gres:gpu:2` or `gres/gpu=2`; of another TRES, none of any type.
/// `None` for what cannot be read.
fn gpus(entry: &str) -> Option<(&str, u64)> {
    let Some(rest) = entry.strip_prefix("gres/gpu").or_else(|| entry.strip_prefix("gres:gpu")) else {
        return Some(("", 0));
    };
    let Some(rest) = rest.strip_prefix([':', '=']) else {
        // `gres/gpu` is one of any type; `gres/gpu_other:1` another GRES.
        return Some(("", rest.is_empty().into()));
    };
    match rest.rsplit_once([':', '=']) {
        Some((name, count)) => Some((name, count.parse().ok()?)),
        None => Some(rest.parse().map_or((rest, 1), |count| ("", count))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_squeue_prints() {
        let waiting = Waiting::parse(
            "N/A|gres:gpu:1g.5gb:2|N/A|N/A|2|2|\nN/A|N/A|N/A|gres/gpu=1|1|2|\ngres/gpu:1g.5gb:3|N/A|N/A|N/A|1|1|\n\
             N/A|gres/gpu:a100_3g.20gb,gres/shard:2|N/A|N/A|1-4|1|\nN/A|gres/gpu|N/A|N/A|1|1|\nN/A|gres/gpu:4|N/A|N/A|1|1|\n\
             N/A|N/A|N/A|cpu=4,gres/gpu:1g.5gb=1|1|2|\nN/A|N/A|N/A|N/A|1|1|\n",
        );
        let types = [("1g.5gb".to_owned(), 9), ("a100_3g.20gb".to_owned(), 1)];
        assert_eq!(waiting, Waiting { types: types.into(), any: 7, unread: 0 });
    }

    #[test]
    fn what_a_user_wrote_spoils_its_own_line_alone() {
        let hostile = "N/A|gres:gpu:a|b c:1|N/A|N/A|1|1|\nN/A|gres:gpu:1g.5gb:99999999999999999999|N/A|N/A|1|1|\nx\n\n\
                       N/A|gres:gpu:1g.5gb:18446744073709551615|N/A|N/A|2|1|\nN/A|gres:gpu:1g.5gb:1|N/A|N/A|1|1|\n";
        let waiting = Waiting::parse(hostile);
        assert_eq!((waiting.types["1g.5gb"], waiting.unread), (1, 5));
    }
}
