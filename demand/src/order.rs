//! What is to be done, and what is said about every job.

use std::fmt;

use mig::Placement;

/// Something to be done on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Cut idle regions anew.
    Cut(Cut),
    /// Let Slurm give these out no more: whoever has them keeps them.
    Close(Instances),
    /// Let Slurm give these out again.
    Open(Instances),
}

/// Instances that are closed or opened together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instances {
    /// Position of the node.
    pub node: usize,
    /// GPUs by position, with the instances.
    pub gpus: Vec<(usize, Vec<Placement>)>,
    /// For which job; `None` where nobody waits for them any more.
    pub job: Option<String>,
}

/// A cut: what goes was idle and is closed, looked at once more, and only then destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Position of the node.
    pub node: usize,
    /// What changes on which GPU.
    pub gpus: Vec<Change>,
    /// For which job; `None`: the default cut.
    pub job: Option<String>,
    /// Open when it is done. Where it is not, the rest of what the job waits for is still being made, and one later order opens
    /// everything at once: a job on several nodes is not overtaken on the first by one that wants no other.
    pub open: bool,
}

/// What changes on a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The GPU's position on the node.
    pub gpu: usize,
    /// Idle instances that go.
    pub destroy: Vec<Placement>,
    /// Instances that come.
    pub create: Vec<Placement>,
    /// Those of them that the job wants; the others fill the rest of the region.
    pub wanted: Vec<Placement>,
}

/// What is said about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What it asks for is there; Slurm can start it.
    There,
    /// It has been there for so many seconds and Slurm has not started the job, which lacks something else.
    NotStarted(u64),
    /// It waits for something that no cut helps against.
    Other(String),
    /// It is looked at in so many seconds.
    Patience(u64),
    /// A cut on these nodes is ordered.
    Cut(Vec<String>),
    /// All of it is there and opens now.
    Opens,
    /// What the node has idle is kept for it; the rest is given back by then at the latest, if known.
    Cordon {
        /// Nodes on which something is closed for it.
        nodes: Vec<String>,
        /// When the last of it will be free at the latest.
        until: Option<u64>,
    },
    /// A job has such slices and gives them back by then at the latest, if known: nothing is better than to wait.
    Ends(Option<u64>),
    /// Nothing that would do is idle; something will be kept for it in so many seconds.
    Busy(u64),
    /// Nothing that would do is idle; other jobs before it have the only regions that could fall idle.
    Behind,
    /// It would be served if its nodes had cores and memory left.
    Resources,
    /// Its nodes have been cut as often as they may be in an hour.
    Limit,
    /// These refused to be cut, and are left alone with it for now.
    Refused(Vec<String>),
    /// These could serve it, and take no jobs now: they are drained, down or do not answer.
    Out(Vec<String>),
    /// These may serve it, and what could be cut there is not known now. Who knows of nodes beside those of a
    /// [`Cluster`](crate::Cluster) says so where all of those are [`Never`](Self::Never).
    Unseen(Vec<String>),
    /// A cut is under way on the nodes that could serve it.
    UnderWay,
    /// None of its nodes can ever be cut so.
    Never,
    /// Too many different requests wait before it.
    Depth,
}

impl Verdict {
    /// In one word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Cut(_) => "cut",
            Verdict::There => "there",
            Verdict::NotStarted(_) => "not-started",
            Verdict::Other(_) => "other-reason",
            Verdict::Patience(_) => "new",
            Verdict::Opens => "opens",
            Verdict::Cordon { .. } => "kept",
            Verdict::Ends(_) => "ends",
            Verdict::Busy(_) => "busy",
            Verdict::Behind => "behind",
            Verdict::Resources => "cpus-or-memory",
            Verdict::Limit => "limit",
            Verdict::Refused(_) => "refused",
            Verdict::Out(_) => "out",
            Verdict::Unseen(_) => "unseen",
            Verdict::UnderWay => "under-way",
            Verdict::Never => "never",
            Verdict::Depth => "depth",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::There => f.write_str("its slices are there: Slurm can start it"),
            Verdict::NotStarted(seconds) => write!(
                f,
                "its slices have been there for {seconds} s and Slurm has not started it: something else is missing"
            ),
            Verdict::Other(reason) => write!(f, "no cut helps: Slurm says {reason}"),
            Verdict::Patience(seconds) => write!(f, "has just come: looked at in {seconds} s"),
            Verdict::Cut(nodes) => write!(f, "being cut on {}", nodes.join(", ")),
            Verdict::Opens => f.write_str("all of its slices are there and open now"),
            Verdict::Cordon { nodes, until: Some(until) } => {
                write!(f, "kept for it on {}: free at {until} at the latest", nodes.join(", "))
            }
            Verdict::Cordon { nodes, until: None } => {
                write!(f, "kept for it on {}: when those who are on it end", nodes.join(", "))
            }
            Verdict::Ends(Some(until)) => {
                write!(f, "waits for slices that a job has until {until} at the latest")
            }
            Verdict::Ends(None) => f.write_str("waits for slices that a job has"),
            Verdict::Busy(0) => f.write_str("nothing is idle, and all that could be kept is busy for long"),
            Verdict::Busy(seconds) => write!(f, "nothing is idle: something is kept for it in {seconds} s"),
            Verdict::Behind => {
                f.write_str("nothing is idle, and jobs before it wait for what falls idle next")
            }
            Verdict::Resources => f.write_str("no node with room for its slices has the cores and memory"),
            Verdict::Limit => f.write_str("the nodes that could serve it were cut too often this hour"),
            Verdict::Refused(nodes) => write!(f, "refused on {}, left alone for a while", nodes.join(", ")),
            Verdict::Out(nodes) => write!(f, "{} could serve it, and take no jobs now", nodes.join(", ")),
            Verdict::Unseen(nodes) => write!(f, "what could be cut on {} is not known now", nodes.join(", ")),
            Verdict::UnderWay => f.write_str("the nodes that could serve it are being cut"),
            Verdict::Never => f.write_str("no node that it may use can be cut so"),
            Verdict::Depth => f.write_str("too many different requests wait before it"),
        }
    }
}

impl Instances {
    /// Which they are, for people.
    pub fn describe(&self) -> String {
        list(self.gpus.iter().map(|(gpu, placements)| (*gpu, placements.as_slice())))
    }
}

impl Cut {
    /// What changes, for people.
    pub fn describe(&self) -> String {
        let side = |of: fn(&Change) -> &[Placement]| list(self.gpus.iter().map(|c| (c.gpu, of(c))));
        format!("{} -> {}", side(|c| &c.destroy), side(|c| &c.create))
    }
}

/// `GPU 0 3g.20gb at 4 + GPU 1 1g.5gb at 0, 1`.
fn list<'a>(gpus: impl Iterator<Item = (usize, &'a [Placement])>) -> String {
    let gpu = |(gpu, placements): (usize, &[Placement])| -> Vec<String> {
        let one = |group: &[Placement]| {
            let starts: Vec<String> = group.iter().map(|p| p.start.to_string()).collect();
            format!("GPU {gpu} {} at {}", group[0].profile, starts.join(", "))
        };
        placements.chunk_by(|a, b| a.profile == b.profile).map(one).collect()
    };
    let parts: Vec<String> = gpus.flat_map(gpu).collect();
    if parts.is_empty() { "nothing".into() } else { parts.join(" + ") }
}
