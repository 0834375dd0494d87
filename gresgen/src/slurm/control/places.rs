//! Partitions and reservations, as far as they say which nodes a job may have. Admins write both.

use crate::slurm::hostlist;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) name: String,
    /// Jobs of a higher one go first, whatever their priority (slurm.conf(5), PriorityTier).
    pub(crate) tier: u32,
}

impl Partition {
    /// Reads a line of `scontrol -o show partition`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?.strip_prefix("PartitionName=")?.to_owned();
        let tier = words.find_map(|word| word.strip_prefix("PriorityTier="))?.parse().ok()?;
        Some(Partition { name, tier })
    }
}

/// A reservation that holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) name: String,
    /// Its nodes; `None` where they cannot be read, so that any may be one.
    pub(crate) nodes: Option<Vec<String>>,
}

impl Reservation {
    /// Reads a line of `scontrol -o show reservation`; `None` for one that does not hold now. A name may hold anything that
    /// the rest of its line says, so what stands anywhere counts.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("ReservationName=")?;
        let name = rest.split(" StartTime=").next().unwrap_or(rest).to_owned();
        let values =
            |key: &'static str| rest.split_whitespace().filter_map(move |word| word.strip_prefix(key));
        let states: Vec<&str> = values("State=").collect();
        if !states.is_empty() && !states.contains(&"ACTIVE") {
            return None;
        }
        let lists: Option<Vec<Vec<String>>> = values("Nodes=")
            .map(|list| if list == "(null)" { Some(Vec::new()) } else { hostlist::expand(list).ok() })
            .collect();
        Some(Reservation { name, nodes: lists.filter(|lists| !lists.is_empty()).map(|lists| lists.concat()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_holds_its_nodes_while_it_is_active() {
        let read = |nodes: &str, state: &str| {
            Reservation::parse(&format!(
                "ReservationName=night shift StartTime=1 EndTime=2 Duration=1 Nodes={nodes} NodeCnt=2 Features=(null) \
                 Flags=SPEC_NODES TRES=cpu=2 Users=ada Groups=(null) State={state} BurstBuffer=(null)"
            ))
        };
        let nodes = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let active = read("n[1-2]", "ACTIVE").unwrap();
        assert_eq!((active.name.as_str(), active.nodes), ("night shift", nodes(&["n1", "n2"])));
        assert_eq!(read("n1", "INACTIVE"), None);
        assert_eq!(read("(null)", "ACTIVE").unwrap().nodes, nodes(&[]));
        assert_eq!(read("n[", "ACTIVE").unwrap().nodes, None);
        assert_eq!(Reservation::parse("No reservations in the system"), None);
    }

    #[test]
    fn a_partition_has_a_tier() {
        let line = "PartitionName=gpu AllowGroups=ALL PriorityJobFactor=1 PriorityTier=7 State=UP";
        assert_eq!(Partition::parse(line), Some(Partition { name: "gpu".into(), tier: 7 }));
        assert_eq!(Partition::parse("No partitions"), None);
    }
}
