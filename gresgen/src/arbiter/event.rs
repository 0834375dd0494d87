//! What the arbiter says while it works: a line each, the object first.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Event {
    /// What sort it is of.
    pub(crate) event: Kind,
    /// The node that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// The job that it is about or for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
    /// What, for a person.
    pub(crate) says: String,
}

/// Sorts of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The arbiter itself: it begins, stands by, ends.
    Arbiter,
    /// slurmctld answers, or no longer.
    Slurmctld,
    /// What is known of a node, or why nothing is.
    Node,
    /// An order was given.
    Order,
    /// An order was answered.
    Answer,
    /// What is said of a job that waits.
    Job,
}

impl Event {
    pub(crate) fn new(event: Kind, says: impl Into<String>) -> Self {
        Event { event, node: None, job: None, says: says.into() }
    }

    pub(super) fn of_node(event: Kind, node: &str, says: impl Into<String>) -> Self {
        Event { node: Some(node.to_owned()), ..Event::new(event, says) }
    }

    pub(super) fn for_job(self, job: Option<&str>) -> Self {
        Event { job: job.map(str::to_owned), ..self }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.event, &self.node, &self.job) {
            (Kind::Arbiter, ..) => f.write_str("arbiter: ")?,
            (Kind::Slurmctld, ..) => f.write_str("slurmctld: ")?,
            _ => {}
        }
        if let Some(node) = &self.node {
            write!(f, "{node}: ")?;
        }
        if let Some(job) = &self.job {
            write!(f, "job {job}: ")?;
        }
        f.write_str(&self.says)
    }
}
