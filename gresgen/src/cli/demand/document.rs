//! What `--json` says.

use demand::Verdict;
use mig::Placement;
use schemars::JsonSchema;
use serde::Serialize;

use super::text::says;
use crate::demand::{Cut, Look, Said, Waiting};
use crate::slurm::hostlist;

/// The document.
#[derive(Serialize, JsonSchema)]
pub(in crate::cli) struct Report {
    /// In the order in which Slurm looks at them.
    jobs: Vec<JobRow>,
    cuts: Vec<CutRow>,
    /// Nodes that take no cut.
    unknown: Vec<UnknownRow>,
    jobs_not_read: u64,
}

#[derive(Serialize, JsonSchema)]
struct JobRow {
    id: u32,
    /// As squeue shows it.
    name: String,
    user: String,
    wants: Vec<WantRow>,
    /// Seconds for which it could have run.
    waited: u64,
    verdict: &'static str,
    /// Nodes that would be cut for it, or kept.
    nodes: Vec<String>,
    /// When what it waits for is free at the latest, in seconds since 1970.
    until: Option<u64>,
    says: String,
}

#[derive(Serialize, JsonSchema)]
struct WantRow {
    /// GRES type; null where it does not matter.
    r#type: Option<String>,
    /// On each node.
    count: u32,
    nodes: u32,
}

#[derive(Serialize, JsonSchema)]
struct CutRow {
    node: String,
    gpu: u32,
    job: String,
    destroy: Vec<PlaceRow>,
    create: Vec<PlaceRow>,
}

#[derive(Serialize, JsonSchema)]
struct PlaceRow {
    profile: String,
    start: u8,
}

#[derive(Serialize, JsonSchema)]
struct UnknownRow {
    /// Host list.
    nodes: String,
    why: String,
}

pub(super) fn report(look: &Look, now: u64) -> Report {
    let job = |(job, said): &(Waiting, Said)| {
        let wants = job.wants.iter().flat_map(|wants| {
            let row = |(name, count): &(String, u32)| WantRow {
                r#type: Some(name.clone()).filter(|name| !name.is_empty()),
                count: *count,
                nodes: wants.nodes,
            };
            wants.types.iter().map(row)
        });
        let (nodes, until) = match said {
            Said::Cut { nodes, .. } => (nodes.iter().cloned().collect(), None),
            Said::Decided(Verdict::Cut(nodes)) => (nodes.clone(), None),
            Said::Kept { nodes, until } | Said::Decided(Verdict::Cordon { nodes, until }) => {
                (nodes.clone(), *until)
            }
            Said::Decided(Verdict::Ends(until)) => (Vec::new(), *until),
            _ => (Vec::new(), None),
        };
        JobRow {
            id: job.id,
            name: job.shown.clone(),
            user: job.user.clone(),
            wants: wants.collect(),
            waited: job.waited,
            verdict: keyword(said),
            nodes,
            until,
            says: says(job, said, now),
        }
    };
    let places = |places: &[Placement]| {
        places.iter().map(|p| PlaceRow { profile: p.profile.to_string(), start: p.start }).collect()
    };
    let cut = |cut: &Cut| CutRow {
        node: cut.node.clone(),
        gpu: cut.gpu,
        job: cut.job.clone(),
        destroy: places(&cut.destroy),
        create: places(&cut.create),
    };
    let unknown =
        |(why, nodes): &(String, Vec<String>)| UnknownRow { nodes: hostlist::fold(nodes), why: why.clone() };
    Report {
        jobs: look.jobs.iter().map(job).collect(),
        cuts: look.cuts.iter().map(cut).collect(),
        unknown: look.unknown.iter().map(unknown).collect(),
        jobs_not_read: look.unread,
    }
}

/// One word for programs.
fn keyword(said: &Said) -> &'static str {
    match said {
        Said::Cannot(_) => "not-looked-at",
        Said::Cut { .. } => "cut",
        Said::Kept { .. } => "kept",
        // Nothing is kept by who only looks.
        Said::Decided(Verdict::Cordon { .. }) => "later",
        Said::Decided(verdict) => verdict.word(),
    }
}
