//! One job as it was read, and what was not.

use std::collections::BTreeMap;
use std::fmt;

/// What a job asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Devices of a GRES type, or of any, on all nodes together.
    Type(Option<String>, u32),
    /// This part of a GPU, 0 to 1.
    Share(f64),
}

/// What was seen of a job's use of its GPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Use {
    /// Peak memory of the GPU that used most, in MiB.
    pub memory_mib: u64,
    /// How busy the GPUs were, 0 to 1; `None` where that is not known.
    pub busy: Option<f64>,
}

/// One job that ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// When it could first have started, in seconds since 1970.
    pub submit: u32,
    /// How long it ran, in seconds.
    pub run: u32,
    /// Its time limit, in seconds.
    pub limit: u32,
    /// Higher goes first.
    pub priority: u32,
    /// Nodes it ran on.
    pub nodes: u32,
    /// Host list of these; empty where it is not known.
    pub node_list: String,
    /// What it asked for.
    pub asks: Vec<Ask>,
    pub used: Option<Use>,
}

/// Why a job, or a line, does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It had no GPU.
    NoGpu,
    /// It has not started.
    NotStarted,
    /// Its times cannot be read.
    Times,
    /// Its line has another number of fields than the heading, or is too long.
    Line,
    /// It ran on other nodes.
    Elsewhere,
    /// It asked for a type that no node has.
    Type,
    /// It asked for more than the nodes have.
    TooLarge,
    /// Too many different requests came before it.
    Requests,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NoGpu => "without a GPU",
            Reason::NotStarted => "not started",
            Reason::Times => "without times that can be read",
            Reason::Line => "lines that are no job",
            Reason::Elsewhere => "on other nodes",
            Reason::Type => "of a type that these nodes cannot have",
            Reason::TooLarge => "that ask for more than these nodes have",
            Reason::Requests => "beyond a thousand different requests",
        })
    }
}

/// How much was not counted, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Jobs or lines by reason.
    pub by_reason: BTreeMap<Reason, u64>,
    /// Jobs that asked for several types at once: each type counts as a job of its own.
    pub parted: u64,
    /// Jobs that still run: their run time is what it is so far.
    pub running: u64,
}

impl Skipped {
    pub fn add(&mut self, reason: Reason) {
        *self.by_reason.entry(reason).or_default() += 1;
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> =
            self.by_reason.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        f.write_str(&parts.join(", "))
    }
}
