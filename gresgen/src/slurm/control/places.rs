//! Partitions and reservations, as far as they say which nodes a job may have. Admins write both.

use crate::slurm::hostlist;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) name: String,
    /// Jobs of a higher one go first, whatever their priority (slurm.conf(5), PriorityTier).
    pub(crate) tier: u32,
    /// Its jobs share their nodes with nobody, or with none of another user, whatever they ask for.
    pub(crate) whole: bool,
}

impl Partition {
    /// Reads a line of `scontrol -o show partition`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?.strip_prefix("PartitionName=")?.to_owned();
        let values =
            |key: &'static str| line.split_whitespace().filter_map(move |word| word.strip_prefix(key));
        let tier = values("PriorityTier=").next()?.parse().ok()?;
        // slurm.conf(5), OverSubscribe, ExclusiveUser, ExclusiveTopo; 26.05 has one word `Exclusive` for all of them.
        let mut alone = ["Exclusive=", "ExclusiveUser=", "ExclusiveTopo="].into_iter().flat_map(values);
        let whole =
            alone.any(|value| value != "NO") || values("OverSubscribe=").any(|value| value == "EXCLUSIVE");
        Some(Partition { name, tier, whole })
    }
}

/// A reservation that holds now, or will.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) name: String,
    /// Its nodes; `None` where they cannot be read, so that any may be one.
    pub(crate) nodes: Option<Vec<String>>,
    /// When it begins, in seconds since 1970; `None` where it holds now, or may.
    pub(crate) begins: Option<u64>,
    /// CPUs that it takes of its nodes together, where that is said.
    pub(crate) cpus: Option<u64>,
    /// Words of `Flags=` (scontrol(1)).
    pub(crate) flags: Vec<String>,
}

impl Reservation {
    /// Reads a line of `scontrol -o show reservation` with times in seconds since 1970. A name may hold anything that the rest of its
    /// line says, so what stands anywhere counts.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("ReservationName=")?;
        let name = rest.split(" StartTime=").next().unwrap_or(rest).to_owned();
        let values =
            |key: &'static str| rest.split_whitespace().filter_map(move |word| word.strip_prefix(key));
        let states: Vec<&str> = values("State=").collect();
        let holds = states.is_empty() || states.contains(&"ACTIVE");
        let begins: Option<Vec<u64>> = values("StartTime=").map(|time| time.parse().ok()).collect();
        let lists: Option<Vec<Vec<String>>> = values("Nodes=")
            .map(|list| if list == "(null)" { Some(Vec::new()) } else { hostlist::expand(list).ok() })
            .collect();
        let cpus = |tres: &str| tres.split(',').find_map(|entry| entry.strip_prefix("cpu=")?.parse().ok());
        Some(Reservation {
            name,
            nodes: lists.filter(|lists| !lists.is_empty()).map(|lists| lists.concat()),
            begins: begins.filter(|_| !holds).and_then(|all| all.into_iter().min()),
            cpus: values("TRES=").map(cpus).max().flatten(),
            flags: values("Flags=").flat_map(|flags| flags.split(',')).map(str::to_owned).collect(),
        })
    }

    pub(crate) fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_holds_its_nodes_from_when_it_begins() {
        let read = |nodes: &str, state: &str| {
            Reservation::parse(&format!(
                "ReservationName=night shift StartTime=1795986632 EndTime=1795990232 Duration=01:00:00 Nodes={nodes} NodeCnt=2 \
                 Features=(null) Flags=MAINT,SPEC_NODES TRES=cpu=32 Users=ada Groups=(null) State={state} BurstBuffer=(null)"
            ))
            .unwrap()
        };
        let nodes = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let active = read("n[1-2]", "ACTIVE");
        assert_eq!((active.name.as_str(), active.nodes.clone()), ("night shift", nodes(&["n1", "n2"])));
        assert_eq!((active.begins, active.cpus), (None, Some(32)));
        assert!(active.is("MAINT") && !active.is("FLEX"));
        assert_eq!(read("n1", "INACTIVE").begins, Some(1_795_986_632));
        assert_eq!(read("n1", "INACTIVE StartTime=x").begins, None);
        assert_eq!(read("n1", "ACTIVE TRES=cpu=64").cpus, Some(64));
        assert_eq!(read("(null)", "ACTIVE").nodes, nodes(&[]));
        assert_eq!(read("n[", "ACTIVE").nodes, None);
        assert_eq!(Reservation::parse("No reservations in the system"), None);
    }

    #[test]
    fn a_partition_has_a_tier() {
        let line = "PartitionName=gpu AllowGroups=ALL PriorityJobFactor=1 PriorityTier=7 State=UP";
        let gpu = Partition { name: "gpu".into(), tier: 7, whole: false };
        assert_eq!(Partition::parse(line), Some(gpu.clone()));
        for (words, whole) in [
            ("ExclusiveUser=NO ExclusiveTopo=NO OverSubscribe=NO", false),
            ("Exclusive=NO OverSubscribe=FORCE:2", false),
            ("ExclusiveUser=NO OverSubscribe=EXCLUSIVE", true),
            ("ExclusiveUser=YES OverSubscribe=NO", true),
            ("ExclusiveTopo=YES OverSubscribe=NO", true),
            ("Exclusive=NODE OverSubscribe=NO", true),
        ] {
            let read = Partition::parse(&format!("{line} {words}"));
            assert_eq!(read, Some(Partition { whole, ..gpu.clone() }), "{words}");
        }
        assert_eq!(Partition::parse("No partitions"), None);
    }
}
