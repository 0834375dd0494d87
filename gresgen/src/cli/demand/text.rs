//! What a person reads.

use demand::Verdict;
use mig::Placement;

use super::super::paint::{Cell, Painted, Role, table};
use super::super::screen;
use crate::demand::{Cut, Look, Said, Waiting, Wants};
use crate::slurm::hostlist::fold;
use crate::words::span;

/// What a user understands of a job.
pub(super) fn says(job: &Waiting, said: &Said, now: u64) -> String {
    match said {
        Said::Decided(Verdict::There | Verdict::NotStarted(_)) if job.held => {
            "held by Slurm, though what it names is open again".to_owned()
        }
        _ if job.held => format!("held by Slurm: {}", decided(said, now)),
        _ => decided(said, now),
    }
}

/// What was decided. Nothing is done here, so it says what would be.
fn decided(said: &Said, now: u64) -> String {
    let in_time = |until: &u64| format!("in at most {}", span(until.saturating_sub(now)));
    let verdict = match said {
        Said::Cannot(why) => return why.to_string(),
        Said::Cut { nodes, all } => {
            let some = if *all { "" } else { "some of " };
            return format!("a cut on {} serves {some}it", fold(nodes));
        }
        Said::Kept { nodes, until: Some(until) } => {
            return format!("kept for it on {}, free {}", fold(nodes), in_time(until));
        }
        Said::Kept { nodes, until: None } => {
            return format!("kept for it on {}, free when jobs end", fold(nodes));
        }
        Said::Decided(verdict) => verdict,
    };
    match verdict {
        Verdict::There => "is free: Slurm can start it".to_owned(),
        Verdict::NotStarted(_) => "is free: Slurm lacks something else".to_owned(),
        Verdict::Other(reason) => format!("no cut helps: {reason}"),
        Verdict::Patience(_) => "has just come".to_owned(),
        Verdict::Cut(nodes) => format!("a cut on {} serves it", fold(nodes)),
        Verdict::Opens => "is there, and opens".to_owned(),
        Verdict::Cordon { nodes, until: Some(until) } => {
            format!("a cut on {} {}", fold(nodes), in_time(until))
        }
        Verdict::Cordon { nodes, until: None } => format!("a cut on {} when jobs end", fold(nodes)),
        Verdict::Ends(Some(until)) => format!("is free {}", in_time(until)),
        Verdict::Ends(None) => "is free when a job ends".to_owned(),
        Verdict::Busy(_) => "nothing to be cut is idle".to_owned(),
        Verdict::Behind => "others before it wait for it".to_owned(),
        Verdict::Resources => "no node has the CPUs and memory".to_owned(),
        Verdict::Limit => "its nodes were cut too often".to_owned(),
        Verdict::Refused(nodes) => format!("a cut is refused on {}", fold(nodes)),
        Verdict::Out(nodes) => format!("{}: takes no jobs now", fold(nodes)),
        Verdict::Unseen(nodes) => format!("{}: not known what could be cut", fold(nodes)),
        Verdict::UnderWay => "its nodes are being changed first".to_owned(),
        Verdict::Never => "none of its nodes can be cut so".to_owned(),
        Verdict::Depth => "too many others wait before it".to_owned(),
    }
}

/// Longest name of an array that a row has room for.
const LONG: usize = 12;

pub(super) fn text(look: &Look, now: u64) -> Painted {
    let mut text = Painted::default();
    let mut rows = vec![["JOB", "USER", "WANTS", "WAITED", "VERDICT"].map(Cell::from).to_vec()];
    for (job, said) in &look.jobs {
        let shown =
            if job.shown.chars().count() > LONG { format!("{}_[...]", job.id) } else { job.shown.clone() };
        let role = match said {
            Said::Cut { .. } | Said::Decided(Verdict::There) => Role::Good,
            Said::Kept { .. } | Said::Decided(Verdict::Cordon { .. } | Verdict::Ends(_)) => Role::Busy,
            _ => Role::Plain,
        };
        let cells = [shown, job.user.clone(), wants(&job.wants), span(job.waited)].map(Cell::from);
        rows.push(cells.into_iter().chain([Cell::new(role, says(job, said, now))]).collect());
    }
    if look.jobs.is_empty() {
        text.push("no job waits for GPUs\n");
    } else {
        lines(&mut text, &rows);
    }
    if !look.cuts.is_empty() {
        let mut rows = vec![["NODE", "GPU", "FOR", "GOES", "COMES"].map(Cell::from).to_vec()];
        for Cut { node, gpu, destroy, create, job } in &look.cuts {
            let cells = [node.clone(), gpu.to_string(), job.clone(), places(destroy)].map(Cell::from);
            rows.push(cells.into_iter().chain([Cell::new(Role::New, places(create))]).collect());
        }
        text.push("\nWhat would be cut:\n");
        lines(&mut text, &rows);
    }
    for (why, nodes) in &look.unknown {
        let line = format!("no cut on {}: {why}", fold(nodes));
        text.push(&format!("{}\n", screen::output(&line, 4)));
    }
    if look.unread > 0 {
        text.push(&format!("not read: {} lines of squeue that are no job\n", look.unread));
    }
    text
}

fn lines(text: &mut Painted, rows: &[Vec<Cell>]) {
    for line in table(rows, "", screen::columns()) {
        text.append(&line);
        text.push("\n");
    }
}

/// `3g.20gb`, `2 x 1g.5gb on each of 2 nodes`; `any` of no type.
fn wants(wants: &[Wants]) -> String {
    let kind = |(name, count): &(String, u32)| {
        let name = if name.is_empty() { "any" } else { name };
        if *count == 1 { name.to_owned() } else { format!("{count} x {name}") }
    };
    let part = |wants: &Wants| {
        let types: Vec<String> = wants.types.iter().map(kind).collect();
        let on = if wants.nodes == 1 { String::new() } else { format!(", {} nodes", wants.nodes) };
        types.join(" + ") + &on
    };
    let parts: Vec<String> = wants.iter().map(part).collect();
    if parts.is_empty() { "?".to_owned() } else { parts.join("; ") }
}

/// `1g.5gb at 0, 1 + 3g.20gb at 4`.
fn places(places: &[Placement]) -> String {
    let group = |group: &[Placement]| {
        let starts: Vec<String> = group.iter().map(|place| place.start.to_string()).collect();
        format!("{} at {}", group[0].profile, starts.join(", "))
    };
    let groups: Vec<String> = places.chunk_by(|a, b| a.profile == b.profile).map(group).collect();
    if groups.is_empty() { "-".to_owned() } else { groups.join(" + ") }
}
