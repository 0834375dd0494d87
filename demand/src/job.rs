//! What waits.

use mig::Profile;

use crate::cluster::Resources;

/// A job that waits. A heterogeneous one has the shares of all its components, for they start together.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number, as Slurm shows it.
    pub id: String,
    /// What it asks for, together.
    pub shares: Vec<Share>,
    /// For a job array, its elements.
    pub array: Option<Array>,
    /// Seconds for which it could have run.
    pub waited: u64,
    /// Why Slurm has not started it.
    pub reason: Reason,
}

/// Nodes on which a job wants the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// What it wants on each of them. Several of one profile are one entry.
    pub want: Vec<Want>,
    /// How many different nodes.
    pub nodes: u32,
    /// Which it may have: a position in [`Cluster::sets`](crate::Cluster::sets).
    pub set: usize,
    /// Cores and memory on each.
    pub resources: Resources,
}

/// Slices of one kind on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Want {
    /// `None` where it does not matter, as in `--gpus=1`.
    pub profile: Option<Profile>,
    /// How many.
    pub count: u32,
}

/// Elements of a job array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// Elements that wait.
    pub waiting: u32,
    /// Elements that run: the throttle does not count those that are completing.
    pub running: u32,
    /// How many may run at once (`--array=0-99%5`); `None` for all.
    pub throttle: Option<u32>,
}

impl Job {
    /// On how many nodes it runs at once, of an array each element.
    pub fn nodes(&self) -> u32 {
        self.shares.iter().fold(0, |sum, share| sum.saturating_add(share.nodes))
    }

    /// How many of it may start now.
    pub fn may_start(&self) -> u32 {
        self.array.map_or(1, |array| {
            let left = array.throttle.map_or(u32::MAX, |most| most.saturating_sub(array.running));
            array.waiting.min(left)
        })
    }
}

/// Why a job waits, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Slurm has not looked yet, or others go first.
    Turn,
    /// Slurm has looked, and lacks what it asks for.
    Resources,
    /// Slurm has looked while nothing was open of what it names, took it for one that can never run, and holds it until somebody
    /// changes it.
    Held,
    /// Something that no slice helps against: a limit, a hold, a dependency, a licence.
    Other(String),
}

/// Reads the reason as `squeue` and `scontrol` print it (Slurm src/common/slurm_protocol_defs.c, `job_reason_string`). Where all
/// nodes of a partition are down or drained, Slurm has a sentence instead and means `Resources`
/// (src/slurmctld/job_scheduler.c); nodes by name that are not there are `ReqNodeNotAvail` with a list, and a request that only
/// nodes could serve that are never up ends there, too. `BadConstraints` is what Slurm holds because no node that it may have could ever
/// run it (`_schedule` in src/slurmctld/job_scheduler.c).
impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        let text = text.trim();
        let down = |text: &str| {
            text.starts_with("Nodes required for job are DOWN")
                || text.starts_with("Nodes_required_for_job_are_DOWN")
        };
        match text {
            "" | "None" | "Priority" => Reason::Turn,
            "Resources" | "ReqNodeNotAvail" => Reason::Resources,
            HELD => Reason::Held,
            _ if text.starts_with("ReqNodeNotAvail,") || down(text) => Reason::Resources,
            // Elements of an array that wait for different things are one line, with all their reasons (`_merge_job_reason` in
            // src/squeue/print.c): slices help some of them.
            _ if text.split(',').any(|word| ["Resources", "ReqNodeNotAvail"].contains(&word.trim())) => {
                Reason::Resources
            }
            _ if text.split(',').any(|word| ["None", "Priority"].contains(&word.trim())) => Reason::Turn,
            _ if Reason::says_held(text) => Reason::Held,
            _ => Reason::Other(text.to_owned()),
        }
    }
}

/// What Slurm says of a job that it holds for [`Reason::Held`].
pub const HELD: &str = "BadConstraints";

impl Reason {
    /// Whether Slurm says of a job, or of some elements of an array, that it holds it for [`Reason::Held`].
    pub fn says_held(text: &str) -> bool {
        text.split(',').any(|word| word.trim() == HELD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lacks_resources_is_demand() {
        for (text, reason) in [
            ("None", Reason::Turn),
            ("Priority", Reason::Turn),
            ("Resources", Reason::Resources),
            ("ReqNodeNotAvail, UnavailableNodes:mig-cut-on-demand-[1-2]", Reason::Resources),
            (
                "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions",
                Reason::Resources,
            ),
            // An array with one element held and one changed, by squeue of 22.05.8, 24.11.5 and 26.05.5.
            ("Resources,JobHeldAdmin,None", Reason::Resources),
            ("JobHeldAdmin,Priority", Reason::Turn),
            ("JobHeldAdmin,Dependency", Reason::Other("JobHeldAdmin,Dependency".into())),
            ("BadConstraints", Reason::Held),
            ("BadConstraints,JobHeldUser", Reason::Held),
            ("BadConstraints,Resources", Reason::Resources),
            ("ReqNodeNotAvailable", Reason::Other("ReqNodeNotAvailable".into())),
            ("QOSMaxGRESPerUser", Reason::Other("QOSMaxGRESPerUser".into())),
            ("JobHeldUser", Reason::Other("JobHeldUser".into())),
            ("Dependency", Reason::Other("Dependency".into())),
        ] {
            assert_eq!(Reason::from(text), reason);
        }
    }

    #[test]
    fn an_array_starts_up_to_its_throttle() {
        let job = |waiting, running, throttle| Job {
            id: "7_[1-9]".into(),
            shares: Vec::new(),
            array: Some(Array { waiting, running, throttle }),
            waited: 0,
            reason: Reason::Turn,
        };
        assert_eq!(job(9, 0, None).may_start(), 9);
        assert_eq!(job(9, 2, Some(5)).may_start(), 3);
        assert_eq!(job(9, 5, Some(5)).may_start(), 0);
        assert_eq!(job(9, 7, Some(5)).may_start(), 0);
        assert_eq!(Job { array: None, ..job(9, 7, None) }.may_start(), 1);
    }
}
