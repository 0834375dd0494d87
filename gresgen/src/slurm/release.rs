//! Slurm releases, as answers to questions: nothing else in this program compares version numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// A Slurm release such as 22.05, with its maintenance level where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    year: u8,
    month: u8,
    micro: Option<u8>,
}

/// The releases this program knows the behaviour of.
pub const KNOWN: [(u8, u8); 8] = [(22, 5), (23, 2), (23, 11), (24, 5), (24, 11), (25, 5), (25, 11), (26, 5)];

/// A text that names no release this program knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: not a Slurm release from 22.05 to 26.05")]
pub struct UnknownRelease {
    pub text: String,
}

/// What a release does with a key of cgroup.conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupKey {
    /// It is read.
    Read,
    /// It is not: the daemons print a message, or end.
    Gone,
    /// No release reads it.
    Unknown,
}

impl CgroupKey {
    /// Why it cannot be asked for, as a phrase that follows its name; of one that is read, because it is written anyway.
    pub(crate) fn phrase(self, release: impl fmt::Display) -> String {
        match self {
            CgroupKey::Gone => format!("Slurm {release} does not read it; remove it"),
            CgroupKey::Unknown => {
                "no release reads it that gresgen knows; it may stand below the kept line of cgroup.conf"
                    .to_owned()
            }
            CgroupKey::Read => "the renderer writes it".to_owned(),
        }
    }
}

/// Year and month of a release.
type Month = (u8, u8);

/// Keys of cgroup.conf(5) with the first release that reads them and the first one after that does not, as each
/// release's parser lists them (Slurm src/interfaces/cgroup.c, up to 22.05 src/common/cgroup.c); tests/render tries
/// all of them on the slurmd of 22.05, 24.11 and 26.05. The daemons end at a key that they do not know ("Parsing
/// error at unrecognized key").
const CGROUP_KEYS: &[(&str, Month, Month)] = &[
    ("AllowedRAMSpace", (0, 0), (99, 0)),
    ("AllowedSwapSpace", (0, 0), (99, 0)),
    ("CgroupAutomount", (0, 0), (23, 11)),
    ("CgroupJobIdPaths", (26, 5), (99, 0)),
    ("CgroupMountpoint", (0, 0), (99, 0)),
    ("CgroupPlugin", (21, 8), (99, 0)),
    ("CgroupSlice", (25, 11), (99, 0)),
    ("ConstrainCores", (0, 0), (99, 0)),
    ("ConstrainDevices", (0, 0), (99, 0)),
    ("ConstrainRAMSpace", (0, 0), (99, 0)),
    ("ConstrainSwapSpace", (0, 0), (99, 0)),
    ("EnableControllers", (23, 2), (99, 0)),
    ("EnableExtraControllers", (25, 5), (99, 0)),
    ("IgnoreSystemd", (22, 5), (99, 0)),
    ("IgnoreSystemdOnFailure", (22, 5), (99, 0)),
    ("MaxRAMPercent", (0, 0), (99, 0)),
    ("MaxSwapPercent", (0, 0), (99, 0)),
    ("MemorySwappiness", (0, 0), (99, 0)),
    ("MinRAMSpace", (0, 0), (99, 0)),
    ("SignalChildrenProcesses", (23, 11), (99, 0)),
    ("SystemdTimeout", (24, 5), (99, 0)),
    ("AllowedDevicesFile", (0, 0), (22, 5)),
    ("AllowedKmemSpace", (0, 0), (23, 11)),
    ("CgroupReleaseAgentDir", (0, 0), (22, 5)),
    ("ConstrainKmemSpace", (0, 0), (23, 11)),
    ("MaxKmemPercent", (0, 0), (23, 11)),
    ("MinKmemSpace", (0, 0), (23, 11)),
    ("TaskAffinity", (0, 0), (22, 5)),
];

impl Release {
    /// A release without its maintenance level; `None` when this program does not know it.
    pub fn new(year: u8, month: u8) -> Option<Self> {
        KNOWN.contains(&(year, month)).then_some(Release { year, month, micro: None })
    }

    /// The newest release this program knows, for files written where no Slurm is installed.
    pub fn latest() -> Self {
        let (year, month) = KNOWN[KNOWN.len() - 1];
        Release { year, month, micro: None }
    }

    fn since(self, year: u8, month: u8) -> bool {
        (self.year, self.month) >= (year, month)
    }

    /// Whether it is `year.month` from `micro` on, or any later release. An unknown level counts as the oldest.
    fn since_micro(self, year: u8, month: u8, micro: u8) -> bool {
        match (self.year, self.month).cmp(&(year, month)) {
            std::cmp::Ordering::Equal => self.micro.is_some_and(|m| m >= micro),
            order => order.is_gt(),
        }
    }

    /// Whether `scontrol reconfigure` gives idle static nodes another set of types. Before 23.11 slurmctld keeps
    /// the old one ("gres/gpu:2g.10gb count too low (0 < 2)") until it is restarted.
    pub fn retypes_on_reconfigure(self) -> bool {
        self.since(23, 11)
    }

    /// Whether slurmctld ends a job of whose records one is of a type that its node has no more (`_find_invalid_job_gres_on_node` in
    /// src/interfaces/gres.c of 23.11.0, not yet in 23.02.7).
    pub fn ends_jobs_of_lost_types(self) -> bool {
        self.since(23, 11)
    }

    /// Whether a job request for a type that begins with a digit needs its count (`--gres=gpu:1g.5gb:1`): 22.05
    /// refuses it without ("Invalid Trackable RESource").
    pub fn needs_count_in_requests(self) -> bool {
        !self.since(23, 2)
    }

    /// Whether device confinement under cgroup v2 holds on nodes with many devices. Up to 23.02.3 the program
    /// does not load from 11 MIG devices up and Slurm ignores that: every job can open every device.
    pub fn confines_many_devices_on_v2(self) -> bool {
        self.since_micro(23, 2, 4)
    }

    /// Whether slurmctld takes each file of `MultipleFiles=` for a GPU as soon as a sharing GRES is configured (seen on
    /// 22.05.8, not on 24.11.5 and 26.05.5; the releases between were not tried).
    pub fn miscounts_shared_gpus(self) -> bool {
        !self.since(23, 2)
    }

    /// Whether a device can be near a part of a socket. From 24.11 on slurmctld takes such a record for wrong and its node out of
    /// service ("doesn't match socket boundaries"), and newer ones also a record near several sockets but not all
    /// (`_check_core_range_matches_sock` in src/interfaces/gres.c).
    pub fn binds_parts_of_sockets(self) -> bool {
        !self.since(24, 11)
    }

    /// Keys of cgroup.conf that some release reads.
    pub fn cgroup_keys() -> impl Iterator<Item = &'static str> {
        CGROUP_KEYS.iter().map(|(name, ..)| *name)
    }

    /// Those among them that it does not read, in lower case.
    pub fn unread_cgroup_keys(self) -> Vec<String> {
        let unread = Self::cgroup_keys().filter(|key| self.cgroup_key(key) == CgroupKey::Gone);
        unread.map(str::to_lowercase).collect()
    }

    /// What it does with a key of cgroup.conf. Slurm ignores the case of keys.
    pub fn cgroup_key(self, key: &str) -> CgroupKey {
        match CGROUP_KEYS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(key)) {
            None => CgroupKey::Unknown,
            Some((_, first, gone)) if self.since(first.0, first.1) && !self.since(gone.0, gone.1) => {
                CgroupKey::Read
            }
            Some(_) => CgroupKey::Gone,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}.{:02}", self.year, self.month)?;
        self.micro.map_or(Ok(()), |micro| write!(f, ".{micro}"))
    }
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Release {
    type Err = UnknownRelease;

    /// Reads `22.05`, `22.05.8`, and what `slurmd -V` prints (`slurm-wlm 22.05.8`).
    fn from_str(text: &str) -> Result<Self, UnknownRelease> {
        let read = || {
            let word = text.split_whitespace().last()?;
            let mut parts = word.split(['.', '-']);
            let (year, month) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let micro = parts.next().and_then(|m| m.parse().ok());
            Some(Release { micro, ..Release::new(year, month)? })
        };
        read().ok_or_else(|| UnknownRelease { text: text.trim().to_owned() })
    }
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn releases_are_read_as_written_and_as_printed() {
        assert_eq!(release("22.05").to_string(), "22.05");
        assert_eq!(release("slurm-wlm 22.05.8\n").to_string(), "22.05.8");
        assert_eq!(release("slurm 24.11.5").to_string(), "24.11.5");
        assert_eq!(release("slurm 26.05.0-0rc1").to_string(), "26.05.0");
        for text in ["", "21.08", "26.11", "27.05", "22.06", "22", "x.y", "slurm"] {
            assert_eq!(text.parse::<Release>().unwrap_err().text, text);
        }
    }

    #[test]
    fn answers_change_where_slurm_did() {
        assert!(!release("23.02").retypes_on_reconfigure() && release("23.11").retypes_on_reconfigure());
        assert!(!release("23.02").ends_jobs_of_lost_types() && release("23.11").ends_jobs_of_lost_types());
        assert!(!release("22.05.8").confines_many_devices_on_v2());
        assert!(!release("23.02.3").confines_many_devices_on_v2());
        assert!(release("23.02.4").confines_many_devices_on_v2());
        assert!(release("24.11").confines_many_devices_on_v2());
        assert!(!release("23.02").confines_many_devices_on_v2(), "an unknown level counts as the oldest");
    }

    #[test]
    fn keys_of_cgroup_conf_come_and_go() {
        use CgroupKey::{Gone, Read, Unknown};
        for (key, old, new) in [
            ("ConstrainDevices", Read, Read),
            ("constraindevices", Read, Read),
            ("CgroupAutomount", Read, Gone),
            ("EnableControllers", Gone, Read),
            ("SystemdTimeout", Gone, Read),
            ("CgroupSlice", Gone, Read),
            ("AllowedDevicesFile", Gone, Gone),
            ("Colour", Unknown, Unknown),
        ] {
            assert_eq!(
                (release("22.05").cgroup_key(key), release("26.05").cgroup_key(key)),
                (old, new),
                "{key}"
            );
        }
    }
}
