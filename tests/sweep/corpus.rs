//! The changes that are disturbed.

/// A change of a node.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// What it is about.
    pub(crate) name: &'static str,
    /// The machine, in the simulator's words.
    pub(crate) machine: &'static str,
    /// How it is cut before; empty leaves it as it left the factory.
    pub(crate) before: &'static [Entry],
    /// How it shall be cut.
    pub(crate) after: &'static [Entry],
    /// Instances in use: GPU and first placement unit.
    pub(crate) busy: &'static [(usize, u32)],
    /// A GPU instance without compute instances that stands there before: GPU, profile, first placement unit.
    pub(crate) orphan: Option<(u32, u32, u32)>,
    /// How the change ends when nothing disturbs it.
    pub(crate) exit: i32,
}

/// An entry of a layout.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `devices:`
    pub(crate) gpus: &'static [usize],
    /// What they get.
    pub(crate) cut: Cut,
}

/// What some GPUs get.
#[derive(Debug)]
pub(crate) enum Cut {
    /// MIG off.
    Off,
    /// These instances on each of them; after the name a count, or `at` and places.
    Each(&'static [(&'static str, Amount)]),
    /// These instances over all of them.
    Together(&'static [(&'static str, Amount)]),
}

/// How many of a profile.
#[derive(Debug)]
pub(crate) enum Amount {
    /// Anywhere.
    Count(usize),
    /// At these placement units.
    At(&'static [u32]),
}

use Amount::{At, Count};
use Cut::{Each, Off, Together};

const PLAIN: Scenario =
    Scenario { name: "", machine: "", before: &[], after: &[], busy: &[], orphan: None, exit: 0 };

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "the first cut of two GPUs",
        machine: "a100-40gb:2",
        after: &[Entry { gpus: &[0, 1], cut: Each(&[("4g.20gb", Count(1)), ("1g.5gb", Count(3))]) }],
        ..PLAIN
    },
    Scenario {
        name: "another cut beside a job",
        machine: "a100-40gb",
        before: &[Entry { gpus: &[0], cut: Each(&[("3g.20gb", At(&[4])), ("1g.5gb", At(&[0, 1, 2]))]) }],
        after: &[Entry {
            gpus: &[0],
            cut: Each(&[("3g.20gb", Count(1)), ("2g.10gb", Count(1)), ("1g.5gb", Count(1))]),
        }],
        busy: &[(0, 4)],
        ..PLAIN
    },
    Scenario {
        name: "parts of an instance beside a job",
        machine: "a100-40gb",
        before: &[Entry { gpus: &[0], cut: Each(&[("3g.20gb", At(&[0, 4]))]) }],
        after: &[Entry { gpus: &[0], cut: Each(&[("3g.20gb", Count(1)), ("1c.3g.20gb", Count(3))]) }],
        busy: &[(0, 4)],
        ..PLAIN
    },
    Scenario {
        name: "parts become a whole",
        machine: "h100-80gb-pcie",
        before: &[Entry { gpus: &[0], cut: Each(&[("1c.4g.40gb", Count(2)), ("2c.4g.40gb", Count(1))]) }],
        after: &[Entry { gpus: &[0], cut: Each(&[("4g.40gb", Count(1)), ("1g.10gb+me", Count(1))]) }],
        ..PLAIN
    },
    Scenario {
        name: "a mirrored board",
        machine: "h100-80gb-sxm:1:mirrored",
        before: &[Entry { gpus: &[0], cut: Each(&[("1g.10gb", At(&[0, 1, 2, 3, 4, 5]))]) }],
        after: &[Entry { gpus: &[0], cut: Each(&[("3g.40gb", Count(1)), ("1g.10gb", Count(3))]) }],
        busy: &[(0, 1), (0, 2)],
        ..PLAIN
    },
    Scenario {
        name: "minors against indexes and index gaps",
        machine: "a100-40gb:2:shuffled:gaps",
        before: &[
            Entry { gpus: &[0], cut: Each(&[("2g.10gb", At(&[2])), ("1g.5gb", At(&[6]))]) },
            Entry { gpus: &[1], cut: Each(&[("1g.5gb", At(&[1, 3]))]) },
        ],
        after: &[
            Entry { gpus: &[0], cut: Each(&[("2g.10gb", Count(1)), ("3g.20gb", Count(1))]) },
            Entry { gpus: &[1], cut: Each(&[("1g.5gb", Count(3))]) },
        ],
        busy: &[(1, 3)],
        ..PLAIN
    },
    Scenario {
        name: "a demand of the node",
        machine: "a100-40gb:2",
        before: &[
            Entry { gpus: &[0], cut: Each(&[("7g.40gb", Count(1))]) },
            Entry { gpus: &[1], cut: Each(&[("1g.5gb", At(&[0, 5])), ("2g.10gb", At(&[2]))]) },
        ],
        after: &[Entry {
            gpus: &[0, 1],
            cut: Together(&[("1g.5gb", Count(6)), ("3g.20gb", Count(1)), ("2g.10gb", Count(1))]),
        }],
        busy: &[(1, 5)],
        ..PLAIN
    },
    Scenario {
        name: "an A30",
        machine: "a30-24gb",
        before: &[Entry { gpus: &[0], cut: Each(&[("1g.6gb", At(&[0, 1, 2, 3]))]) }],
        after: &[Entry { gpus: &[0], cut: Each(&[("2g.12gb", Count(1)), ("1g.6gb", Count(2))]) }],
        busy: &[(0, 3)],
        ..PLAIN
    },
    Scenario {
        name: "an RTX PRO 6000 beside an H100",
        machine: "rtx-pro-6000-blackwell-96gb:1,h100-80gb-sxm:1",
        before: &[Entry { gpus: &[1], cut: Each(&[("7g.80gb", Count(1))]) }],
        after: &[
            Entry { gpus: &[0], cut: Each(&[("2g.48gb", Count(1)), ("1g.24gb", Count(2))]) },
            Entry { gpus: &[1], cut: Each(&[("2g.20gb", Count(3))]) },
        ],
        ..PLAIN
    },
    Scenario {
        name: "one GPU leaves MIG, the other stays in use",
        machine: "h100-80gb-sxm:2",
        before: &[Entry { gpus: &[0, 1], cut: Each(&[("3g.40gb", Count(2))]) }],
        after: &[
            Entry { gpus: &[0], cut: Off },
            Entry { gpus: &[1], cut: Each(&[("3g.40gb", Count(1)), ("1g.10gb", Count(2))]) },
        ],
        busy: &[(1, 0)],
        ..PLAIN
    },
    Scenario {
        name: "a mode that waits for a reset",
        machine: "a100-40gb:1:held,a100-40gb:1",
        after: &[Entry { gpus: &[0, 1], cut: Each(&[("3g.20gb", Count(2))]) }],
        exit: 5,
        ..PLAIN
    },
    Scenario {
        name: "an orphan stands in the way",
        machine: "a100-40gb",
        before: &[Entry { gpus: &[0], cut: Each(&[("1g.5gb", At(&[0, 1]))]) }],
        after: &[Entry { gpus: &[0], cut: Each(&[("3g.20gb", Count(1)), ("1g.5gb", Count(2))]) }],
        orphan: Some((0, 14, 4)),
        busy: &[(0, 1)],
        ..PLAIN
    },
    Scenario {
        name: "a job stands in the way",
        machine: "a100-40gb",
        before: &[Entry { gpus: &[0], cut: Each(&[("1g.5gb", At(&[0, 2]))]) }],
        after: &[Entry { gpus: &[0], cut: Each(&[("7g.40gb", Count(1))]) }],
        busy: &[(0, 2)],
        exit: 4,
        ..PLAIN
    },
    Scenario {
        name: "nothing to do",
        machine: "a100-40gb",
        before: &[Entry { gpus: &[0], cut: Each(&[("2g.10gb", At(&[0, 4]))]) }],
        after: &[Entry { gpus: &[0], cut: Each(&[("2g.10gb", Count(2))]) }],
        busy: &[(0, 0)],
        ..PLAIN
    },
];

impl Scenario {
    /// The configuration, with the layouts `before` and `after`.
    pub(crate) fn config(&self) -> String {
        // A stated release spares a run of scontrol; the rest is as any site has it.
        let head = "version: v1\nlayout: after\nslurm:\n  release: \"24.11\"\nmig-configs:\n";
        let label = |name: &str, entries: &[Entry]| match entries {
            [] => String::new(),
            _ => format!("  {name}:\n{}", entries.iter().map(Entry::yaml).collect::<String>()),
        };
        format!("{head}{}{}", label("before", self.before), label("after", self.after))
    }
}

impl Entry {
    fn yaml(&self) -> String {
        let (per, counts) = match self.cut {
            Off => return format!("    - devices: {:?}\n      mig-enabled: false\n", self.gpus),
            Each(counts) => ("", counts),
            Together(counts) => ("      per: node\n", counts),
        };
        let amounts: Vec<String> = counts.iter().map(|(name, a)| format!("{name}: {}", a.yaml())).collect();
        let amounts = amounts.join(", ");
        format!(
            "    - devices: {:?}\n      mig-enabled: true\n{per}      mig-devices: {{{amounts}}}\n",
            self.gpus
        )
    }
}

impl Amount {
    fn yaml(&self) -> String {
        match self {
            Count(count) => count.to_string(),
            At(places) => format!("{{count: {}, at: {places:?}}}", places.len()),
        }
    }

    pub(crate) fn count(&self) -> usize {
        match self {
            Count(count) => *count,
            At(places) => places.len(),
        }
    }
}
