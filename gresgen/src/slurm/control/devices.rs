//! Which GPU devices a list of GRES stands for, as slurmctld prints it of nodes and jobs.
//!
//! The forms, by src/common/gres.c (`_node_gres_used`, `gres_ctld_job_build_details`) of 22.05, from 23.11 in
//! src/interfaces/gres.c and src/stepmgr/gres_stepmgr.c:
//!
//! ```text
//! gpu:1g.5gb:2(IDX:0,4)      indexes of gpu devices
//! gpu:(null):1(IDX:3)        the same without a type
//! shard:2(IDX:0)             up to 23.02: GPUs that shares are on, by the gpu device's index
//! shard:a100:2(2/4,0/4)      later: shares in use and there, one pair for each gpu device in order
//! gpu(CNT:2), gpu:2          a count without indexes
//! ```

use std::collections::BTreeSet;

use device_map::MAX_RECORDS;

/// GPU devices by Slurm's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// These and no other.
    Listed(BTreeSet<usize>),
    /// Some; which is not known, so it may be any.
    Unlisted,
}

impl Default for Devices {
    fn default() -> Self {
        Devices::Listed(BTreeSet::new())
    }
}

impl Devices {
    /// Whether it is known that there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Devices::Listed(indexes) if indexes.is_empty())
    }

    /// Whether the device may be one of them.
    pub fn may_be(&self, index: usize) -> bool {
        match self {
            Devices::Listed(indexes) => indexes.contains(&index),
            Devices::Unlisted => true,
        }
    }

    fn add(&mut self, more: Devices) {
        match (&mut *self, more) {
            (Devices::Listed(all), Devices::Listed(more)) => all.extend(more),
            _ => *self = Devices::Unlisted,
        }
    }
}

/// GRES that sit on GPUs: the GPUs themselves, and the two that share them (gres.conf(5)).
const SHARING: [&str; 2] = ["shard", "mps"];

/// Devices in use by a list of GRES on a node with `gpus` of them. A job's list has every pair of a sharing GRES in
/// one entry; a node's has an entry per type, whose pairs follow each other.
pub(super) fn devices(list: &str, gpus: usize) -> Devices {
    let mut all = Devices::default();
    let mut pairs: Vec<(&str, Vec<bool>)> = Vec::new();
    for entry in entries(list) {
        let Some(entry) = Entry::parse(entry) else { continue };
        match entry.detail {
            _ if entry.name == "gpu" => all.add(entry.indexes(entry.count)),
            Detail::Pairs(used) => match pairs.iter_mut().find(|(name, _)| *name == entry.name) {
                Some((_, known)) => known.extend(used),
                None => pairs.push((entry.name, used)),
            },
            // Shares are counted, not devices: any count fits any list.
            _ => all.add(entry.indexes(None)),
        }
    }
    for (_, used) in pairs {
        let indexes = used.iter().enumerate().filter(|(_, used)| **used).map(|(index, _)| index);
        let indexes: BTreeSet<usize> = indexes.collect();
        // slurmctld keeps a record of the sharing GRES per gpu device (`_sync_node_shared_to_sharing`).
        let one_each = used.len() == gpus || indexes.is_empty();
        all.add(if one_each { Devices::Listed(indexes) } else { Devices::Unlisted });
    }
    all
}

/// How many gpu devices a node's list counts, whichever they are; `None` where it has more than gpu devices in use.
pub(super) fn count(list: &str) -> Option<u64> {
    let entries = entries(list).into_iter().filter_map(Entry::parse);
    entries
        .map(|entry| if entry.name == "gpu" { entry.count } else { Some(0).filter(|_| entry.is_free()) })
        .sum()
}

/// How many GRES that sit on GPUs a list names, of whatever kind; one without a count is one.
pub(super) fn named(list: &str) -> u64 {
    let entries = entries(list).into_iter().filter_map(Entry::parse);
    entries.fold(0, |sum, entry| sum.saturating_add(entry.count.unwrap_or(1)))
}

/// How many a job's total promises: as [`named`], and one where it names some and counts none. So slurmctld does where it
/// cannot count, as 22.05 with a sharing GRES beside slices, and such a job it ends still when the node's count changes
/// (seen on 22.05.8).
pub(super) fn promised(list: &str) -> u64 {
    let entries = entries(list).into_iter().filter_map(Entry::parse);
    entries.fold(0, |sum, entry| sum.saturating_add(entry.count.unwrap_or(1).max(1)))
}

/// The types that a list names of GRES that sit on GPUs, of which it counts none, too.
pub(super) fn types(list: &str) -> BTreeSet<String> {
    let of_entry = |entry: &str| {
        Entry::parse(entry)?;
        let mut words = entry.split(['(', ':']).skip(1);
        let (name, count) = (words.next()?, words.next()?);
        count.parse::<u64>().is_ok().then(|| name.to_owned())
    };
    entries(list).into_iter().filter_map(of_entry).collect()
}

/// One GRES of a list that sits on GPUs.
struct Entry<'a> {
    name: &'a str,
    /// How many; `None` where it says none.
    count: Option<u64>,
    detail: Detail<'a>,
}

/// What stands in parentheses behind it.
enum Detail<'a> {
    Indexes(&'a str),
    Pairs(Vec<bool>),
    None,
}

impl<'a> Entry<'a> {
    fn parse(entry: &'a str) -> Option<Self> {
        let name = entry.split([':', '(']).next().unwrap_or(entry);
        if name != "gpu" && !SHARING.contains(&name) {
            return None;
        }
        // The type may be `(null)`, so what is in parentheses is looked for from the end.
        let (head, inside) = match entry.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
            Some((head, inside)) if !head.is_empty() => (head, inside),
            _ => (entry, ""),
        };
        let count = head.rsplit_once(':').and_then(|(_, count)| count.parse().ok());
        // What is left open is not a count.
        let count = count.filter(|_| !head.replace("(null)", "").contains('('));
        let (count, detail) = match inside.strip_prefix("IDX:") {
            Some(indexes) => (count, Detail::Indexes(indexes)),
            None => match inside.strip_prefix("CNT:") {
                Some(count) => (count.parse().ok(), Detail::None),
                None => (count, pairs(inside).map_or(Detail::None, Detail::Pairs)),
            },
        };
        Some(Entry { name, count, detail })
    }

    fn is_free(&self) -> bool {
        self.count == Some(0) && !matches!(&self.detail, Detail::Pairs(used) if used.contains(&true))
    }

    /// Its devices; `count` is how many there must be.
    fn indexes(&self, count: Option<u64>) -> Devices {
        if self.count == Some(0) {
            return Devices::default();
        }
        let Detail::Indexes(text) = self.detail else { return Devices::Unlisted };
        // Slurm prints a list into 64 or 128 bytes and cuts it where it is longer, in the middle of a number too
        // (`bit_fmt`): one of a length that comes of that is not believed, nor one of another count.
        let cut = [62, 63, 126, 127].contains(&text.len());
        match indexes(text) {
            Some(found) if !cut && count.is_none_or(|count| count == found.len() as u64) => {
                Devices::Listed(found)
            }
            _ => Devices::Unlisted,
        }
    }
}

/// `0-1,4`, no more and no greater than a node can have; `None` for anything else.
fn indexes(text: &str) -> Option<BTreeSet<usize>> {
    let mut all = BTreeSet::new();
    for range in text.split(',') {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (low, high): (usize, usize) = (low.parse().ok()?, high.parse().ok()?);
        if low > high || high >= MAX_RECORDS {
            return None;
        }
        all.extend(low..=high);
    }
    Some(all)
}

/// `2/4,0/4,-/4`, in use and there; `-` where the whole GPU is given out as such (26.05).
fn pairs(text: &str) -> Option<Vec<bool>> {
    let pair = |pair: &str| {
        let (used, there) = pair.split_once('/')?;
        there.parse::<u64>().ok()?;
        if used == "-" { Some(false) } else { used.parse::<u64>().ok().map(|used| used > 0) }
    };
    let used: Option<Vec<bool>> = text.split(',').take(MAX_RECORDS + 1).map(pair).collect();
    used.filter(|used| used.len() <= MAX_RECORDS)
}

/// `gpu:1g.5gb:2(IDX:0-1),gpu:…` in its entries: commas in parentheses do not count.
pub(super) fn entries(list: &str) -> Vec<&str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(indexes: &[usize]) -> Devices {
        Devices::Listed(indexes.iter().copied().collect())
    }

    #[test]
    fn every_form_is_read() {
        for (list, wanted) in [
            ("gpu:1g.5gb:3(IDX:0-1,4),fpga:1(IDX:7)", listed(&[0, 1, 4])),
            ("gpu:1g.5gb:2(IDX:0-1),gpu:3g.20gb:0(IDX:N/A)", listed(&[0, 1])),
            ("gpu:(null):1(IDX:3),gpu:(null):0(IDX:N/A)", listed(&[3])),
            ("gpu:1(IDX:2)", listed(&[2])),
            ("shard:2(IDX:0)", listed(&[0])),
            ("gpu:a100:0(IDX:N/A),shard:(null):2(2/4,0/4)", listed(&[0])),
            ("shard:a100:0(0/4),shard:h100:1(1/4)", listed(&[1])),
            ("mps:100(0/100,100/100)", listed(&[1])),
            ("gpu:1(IDX:0),shard:2(-/4,2/4)", listed(&[0, 1])),
            ("gpu:0,shard:0,fpga:4", listed(&[])),
            ("", listed(&[])),
            ("(null)", listed(&[])),
            ("gpux:1(IDX:1),hbm:gpu:2", listed(&[])),
        ] {
            assert_eq!(devices(list, 2), wanted, "{list}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_be_any() {
        let cut = (0..26).map(|i| (2 * i).to_string()).collect::<Vec<_>>().join(",");
        for list in [
            "gpu:2",
            "gpu(CNT:2)",
            "gpu:a100:1(IDX:N/A)",
            "gpu:1(IDX:0-99999999999)",
            "gpu:1(IDX:0-18446744073709551614)",
            "gpu:1(IDX:4-1)",
            "gpu:1(IDX:1024)",
            "gpu:3(IDX:0-1)",
            "gpu:1(IDX:0",
            "gpu",
            "shard:2",
            "shard:2(2/4)",
            "shard:2(x/4,0/4)",
            "mps:5(1/100,0/100,0/100)",
            &format!("gpu:26(IDX:{})", &cut[..62]),
        ] {
            assert_eq!(devices(list, 2), Devices::Unlisted, "{list}");
        }
    }

    #[test]
    fn devices_are_counted_where_their_list_is_cut() {
        assert_eq!(count("gpu:1g.5gb:26(IDX:0,2,4),gpu:3g.20gb:2(IDX:52-53),fpga:7"), Some(28));
        assert_eq!(count("gpu:1(IDX:0),shard:0(0/4,0/4)"), Some(1));
        assert_eq!(count("gpu:1(IDX:0),shard:1(0/4,1/4)"), None);
        assert_eq!(count("gpu:x(IDX:0)"), None);
    }
}
