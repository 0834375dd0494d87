//! The record of one job, as `scontrol -d -o show job` prints it.
//!
//! Users write much of it: name, comment, paths, the command line. slurmctld quotes none of that, and prints it before
//! and behind what it says itself (`slurm_sprint_job_info`, src/api/job_info.c; from 24.11 `_sprint_job_info`, src/scontrol/info_job.c).
//! What is the job's part of the nodes stands between two words that slurmctld writes once:
//!
//! ```text
//! … JOB_GRES=gpu:1   Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0)   Nodes=n2 …  MinCPUsNode=1 …
//! ```
//!
//! A text that holds the first word again makes the record unreadable, and says nothing else.
//!
//! Once a job ends, slurmctld takes its devices for free and leaves `GRES=` empty, on every node and in the node's own sum
//! (seen on 22.05.8, 24.11.5 and 26.05.5), while its last task still runs, or its Epilog. Which devices these are it does
//! not say any more; that there are some, the first word does.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::arrays::{Arrays, Part as OfArray};
use super::devices::{Devices, devices, named, promised, types};
use crate::slurm::{duration, hostlist};

/// Begins a job's part of its nodes.
const BEGIN: &str = "JOB_GRES=";
/// Begins what follows it.
const END: &str = "MinCPUsNode=";

/// What a job has of its nodes, by its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// All GRES of the job on all its nodes.
    promised: u64,
    parts: Vec<Part>,
}

/// What is read of the records of all jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// What each job has of its nodes, by number, as far as its record says it.
    pub(crate) jobs: HashMap<u32, Option<Record>>,
    /// What waits of arrays.
    pub(crate) arrays: Arrays,
    /// Seconds with which each of some jobs would make do (sbatch(1), `--time-min`), by number.
    pub(crate) least: HashMap<u32, u64>,
}

/// What it has of each of some nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    nodes: Vec<String>,
    cpus: String,
    memory: String,
    gres: String,
}

/// CPUs and memory that a job has of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) cpus: u32,
    pub(crate) memory_mib: u64,
}

impl Record {
    /// Reads a record; `None` where it does not say.
    pub(super) fn parse(record: &str) -> Option<Self> {
        let mut parts = record.split(BEGIN);
        let (before, part, None) = (parts.next()?, parts.next()?, parts.next()) else { return None };
        before.ends_with(char::is_whitespace).then_some(())?;
        let mut words = part.split_ascii_whitespace();
        let promised = promised(words.next()?);
        let mut parts = Vec::new();
        loop {
            let word = words.next()?;
            if word.starts_with(END) {
                return Some(Record { promised, parts });
            }
            let nodes = hostlist::expand(word.strip_prefix("Nodes=")?).ok()?;
            let mut value = |key: &str| Some(words.next()?.strip_prefix(key)?.to_owned());
            let (cpus, memory, gres) = (value("CPU_IDs=")?, value("Mem=")?, value("GRES=")?);
            parts.push(Part { nodes, cpus, memory, gres });
        }
    }

    /// The GPU devices on a node with `gpus` of them; `None` where the record does not say.
    pub(crate) fn devices_on(&self, node: &str, gpus: usize) -> Option<Devices> {
        let named = |part: &Part| named(&part.gres).saturating_mul(part.nodes.len() as u64);
        let listed = self.parts.iter().fold(0, |sum: u64, part| sum.saturating_add(named(part)));
        let here = devices(&self.part(node)?.gres, gpus);
        let ends = Devices::is_empty(&here) && listed < self.promised;
        Some(if ends { Devices::Unlisted } else { here })
    }

    /// The types of GPU devices that it names on a node, with a count of 0, too; `None` where the record does not say.
    pub(super) fn types_on(&self, node: &str) -> Option<BTreeSet<String>> {
        let here = types(&self.part(node)?.gres);
        // Of a job that ends slurmctld names none any more.
        (!here.is_empty() || self.promised == 0).then_some(here)
    }

    /// CPUs and memory on a node; `None` where the record does not say.
    pub(crate) fn share_on(&self, node: &str) -> Option<Share> {
        let part = self.part(node)?;
        let cpus = part.cpus.split(',').filter(|range| !range.is_empty()).map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
        });
        let cpus = cpus.sum::<Option<u32>>()?;
        Some(Share { cpus, memory_mib: mib(&part.memory)? })
    }

    /// No node is in two parts.
    fn part(&self, node: &str) -> Option<&Part> {
        let mut here = self.parts.iter().filter(|part| part.nodes.iter().any(|name| name == node));
        here.next().filter(|_| here.next().is_none())
    }
}

impl Records {
    /// Reads what `scontrol -d -o show job` prints. A text with a line's end in it may look like another job's record: a number that
    /// stands there twice is nobody's.
    pub(crate) fn parse(text: &str) -> Self {
        let (mut jobs, mut parts, mut least, mut twice) =
            (HashMap::new(), Vec::new(), HashMap::new(), HashSet::new());
        for line in text.lines() {
            let Some((id, rest)) = line.strip_prefix("JobId=").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            let Ok(id) = id.parse() else { continue };
            match jobs.entry(id) {
                Entry::Vacant(free) => drop(free.insert(Record::parse(line))),
                Entry::Occupied(mut known) => {
                    known.insert(None);
                    twice.insert(id);
                }
            }
            parts.extend(OfArray::parse(rest).map(|part| (id, part)));
            // Who writes another time into a text of his own job says it of that one.
            let times =
                rest.split(" TimeMin=").skip(1).filter_map(|time| duration(time.split(' ').next()?, 1));
            least.extend(times.min().map(|seconds| (id, u64::from(seconds))));
        }
        least.retain(|id, _| !twice.contains(id));
        Records { jobs, arrays: Arrays::new(parts, &twice), least }
    }
}

/// MiB of `4000`, `4000M` or `7.81G`, rounded up (src/common/slurm_protocol_api.c, `convert_num_unit`).
pub(crate) fn mib(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: f64 = match &text[number.len()..] {
        "K" => 1.0 / 1024.0,
        "" | "M" => 1.0,
        "G" => 1024.0,
        "T" => 1024.0 * 1024.0,
        _ => return None,
    };
    let mib = number.parse::<f64>().ok()? * factor;
    (0.0..1e12).contains(&mib).then_some(mib.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A record with a text in each place where users write, those that slurmctld prints first and last.
    fn record(name: &str, free: &str) -> String {
        format!(
            "JobId=2 JobName={name} UserId=ada(1000) GroupId=ada(1000) MCS_label=N/A JobState=RUNNING Reason=None \
             WCKey={free} ReqNodeList=(null) NodeList=n[1-3] NumNodes=3 TRES=cpu=1,mem=1M CoreSpec=* \
             JOB_GRES=gpu:3g.20gb:1,gpu:1g.5gb:2   Nodes=n1 CPU_IDs=7 Mem=1 \
             GRES=gpu:3g.20gb:1(IDX:2),gpu:1g.5gb:2(IDX:0,4)   Nodes=n[2-3] CPU_IDs=7 Mem=1 \
             GRES=gpu:1g.5gb:1(IDX:0),fpga:2(IDX:9) MinCPUsNode=1 Features=(null) Command=/bin/{free} \
             SubmitLine=sbatch -J {name} WorkDir=/home/{free} Comment={free} StdErr=/{free} StdOut=/{free} \
             TresPerNode=gres:gpu:3g.20gb:1"
        )
    }

    fn devices_on(record: &str, node: &str, gpus: usize) -> Option<Devices> {
        Record::parse(record)?.devices_on(node, gpus)
    }

    fn types_on(record: &str, node: &str) -> Option<BTreeSet<String>> {
        Record::parse(record)?.types_on(node)
    }

    fn on(record: &str, node: &str) -> Option<BTreeSet<usize>> {
        match devices_on(record, node, 5)? {
            Devices::Listed(indexes) => Some(indexes),
            Devices::Unlisted => panic!("{record}"),
        }
    }

    #[test]
    fn a_job_is_read_for_one_of_its_nodes() {
        let record = record("wrap", "");
        assert_eq!(on(&record, "n1"), Some(BTreeSet::from([0, 2, 4])));
        assert_eq!(on(&record, "n3"), Some(BTreeSet::from([0])));
        assert_eq!(on(&record, "n4"), None);
    }

    /// As 26.05.5 printed it of a job that asked for any GPU, and 22.05.8 and 24.11.5 of one that asked for a type.
    #[test]
    fn the_types_that_a_job_has_none_of_are_its_types_too() {
        let any = "JobId=1 JOB_GRES=gpu:2g.10gb:1,gpu:h100:0,shard:3g.20gb:0   Nodes=n1 CPU_IDs=0 Mem=0 \
            GRES=gpu:2g.10gb:1(IDX:0),gpu:h100:0(IDX:),shard:3g.20gb:0(-/0),fpga:x:1 MinCPUsNode=1";
        let types =
            |text: &str| types_on(text, "n1").map(|types| types.into_iter().collect::<Vec<_>>().join(" "));
        assert_eq!(types(any).unwrap(), "2g.10gb 3g.20gb h100");
        let one = |gres: &str| {
            format!("JobId=1 JOB_GRES=gpu:1   Nodes=n1 CPU_IDs=0 Mem=0 GRES={gres} MinCPUsNode=1")
        };
        assert_eq!(types(&one("gpu:1g.5gb:1(IDX:0)")).unwrap(), "1g.5gb");
        // One without types says so, one that ends says nothing.
        assert_eq!(types(&one("gpu:1(IDX:0)")), None);
        assert_eq!(types(&one("")), None);
        assert_eq!(types_on(any, "n2"), None);
    }

    #[test]
    fn a_text_that_looks_like_a_record_does_not_count() {
        let hide = "x\nJobId=2 Nodes=n1 CPU_IDs=0 Mem=0 GRES=none MinCPUsNode=1";
        let all = "x Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0-99999999999) y";
        for text in [hide, all, "UserId=root(0)", "\u{fffd}\u{1b}[2J"] {
            assert_eq!(on(&record("a", text), "n1"), Some(BTreeSet::from([0, 2, 4])), "{text:?}");
            assert_eq!(on(&record(text, "a"), "n1"), Some(BTreeSet::from([0, 2, 4])), "{text:?}");
        }
        for text in ["JOB_GRES=gpu:1 Nodes=n1 CPU_IDs=0 Mem=0 GRES= MinCPUsNode=1", "JOB_GRES="] {
            assert_eq!(on(&record("a", text), "n1"), None, "{text:?}");
            assert_eq!(on(&record(text, "a"), "n1"), None, "{text:?}");
        }
    }

    #[test]
    fn cpus_and_memory_of_a_job_are_those_of_the_node() {
        let text = |cpus: &str, memory: &str| {
            format!("JobId=1 JOB_GRES=(null)   Nodes=n[1-2] CPU_IDs={cpus} Mem={memory} GRES= MinCPUsNode=1")
        };
        let share = |cpus: &str, memory: &str| Record::parse(&text(cpus, memory)).unwrap().share_on("n2");
        assert_eq!(share("0-3,7", "1.5G"), Some(Share { cpus: 5, memory_mib: 1536 }));
        assert_eq!(share("2", "0"), Some(Share { cpus: 1, memory_mib: 0 }));
        for (cpus, memory) in [("3-0", "0"), ("x", "0"), ("0-4294967295", "0"), ("0", "NaN"), ("0", "1X")] {
            assert_eq!(share(cpus, memory), None, "{cpus} {memory}");
        }
    }

    #[test]
    fn a_record_in_another_jobs_text_is_nobodys() {
        let line = |id: u32, name: &str| {
            let part = "JOB_GRES=gpu:1   Nodes=n1 CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0)";
            format!(
                "JobId={id} JobName={name} TimeLimit=3-00:00:00 TimeMin=01:00:00 {part} MinCPUsNode=1 Comment=x"
            )
        };
        let forged = format!(
            "{}\n{}\n{}\nJobId=4\n",
            line(1, "a"),
            line(2, &format!("a\n{}", line(1, "b"))),
            line(3, "a TimeMin=1-00:00:00 TimeMin=N/A")
        );
        let Records { jobs, least, .. } = Records::parse(&forged);
        assert_eq!(jobs[&1], None);
        assert_eq!(jobs[&2], None);
        assert!(jobs[&3].is_some() && jobs.len() == 3);
        assert_eq!(least, [(3, 3600)].into());
    }

    #[test]
    fn a_record_without_its_nodes_says_nothing() {
        for part in [
            "",
            "JOB_GRES=",
            "JOB_GRES=gpu:1 ",
            "JOB_GRES=gpu:1 MinCPUsNode=1",
            "JOB_GRES=gpu:1 Nodes=n1 Mem=0",
        ] {
            assert_eq!(devices_on(&format!("JobId=1 {part}"), "n1", 5), None, "{part}");
        }
        let list =
            "JobId=1 JOB_GRES=gpu:1 Nodes=n[0-99999999] CPU_IDs=0 Mem=0 GRES=gpu:1(IDX:0) MinCPUsNode=1";
        assert_eq!(devices_on(list, "n1", 5), None);
    }

    #[test]
    fn the_devices_of_a_job_that_ends_are_some() {
        let record = |total: &str, parts: &str| format!("JobId=1 JOB_GRES={total} {parts} MinCPUsNode=1");
        let part = |node: &str, gres: &str| format!("  Nodes={node} CPU_IDs=0 Mem=1 GRES={gres}");
        for total in ["gpu:1g.5gb:1", "gpu:1", "shard:2", "mps:1g.5gb:100"] {
            let ending = record(total, &part("n1", ""));
            assert_eq!(devices_on(&ending, "n1", 5), Some(Devices::Unlisted), "{total}");
        }
        // As 22.05 says of what it cannot count.
        let uncounted = record("gpu:3g.20gb:0", &part("n1", "gpu:3g.20gb:0(IDX:)"));
        assert_eq!(devices_on(&uncounted, "n1", 5), Some(Devices::Unlisted));
        // None here, all of them there; or no GPUs at all.
        let elsewhere = record("gpu:1g.5gb:1", &(part("n1", "") + &part("n2", "gpu:1g.5gb:1(IDX:0)")));
        assert_eq!(devices_on(&elsewhere, "n1", 5), Some(Devices::default()));
        for total in ["(null)", "fpga:2"] {
            assert_eq!(
                devices_on(&record(total, &part("n1", "")), "n1", 5),
                Some(Devices::default()),
                "{total}"
            );
        }
    }

    /// Texts that are likely to matter, and any other.
    fn text() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just(" Nodes=n1".to_owned()),
            Just(" CPU_IDs=0 Mem=0".to_owned()),
            Just(" GRES=gpu:9(IDX:0-8)".to_owned()),
            Just(" MinCPUsNode=1".to_owned()),
            Just("\nJobId=2 ".to_owned()),
            Just(" JOB_GRES".to_owned()),
            Just("JOB_GRES=".to_owned()),
            "\\PC{0,12}",
            any::<String>(),
        ];
        prop::collection::vec(word, 0..6).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn texts_of_users_change_nothing(name in text(), free in text()) {
            let without = on(&record("wrap", ""), "n1");
            let spoiled = name.contains(BEGIN) || free.contains(BEGIN);
            prop_assert_eq!(on(&record(&name, &free), "n1"), if spoiled { None } else { without });
        }
    }
}
