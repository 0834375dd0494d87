//! What `plan` and the verbs that change GPUs show alike: what becomes of the GPUs, in the order in which it is done, and what is
//! left to do.

use std::collections::BTreeSet;
use std::fmt::Write;

use mig::{Placement, Profile};

use super::paint::{Cell, Painted, Role, table, wrap};
use super::{draw, screen};
use crate::apply::preview::{Action, GpuPreview, Preview, Row};
use crate::cores::ranges;
use crate::inventory::{Gpu, Inventory};

/// Each GPU now and then, those with the same change as one, and a line per kind of instance with its reason.
pub(super) fn gpus(inventory: &Inventory, preview: &Preview) -> Painted {
    let mut groups: Vec<(&Gpu, &GpuPreview, BTreeSet<u32>)> = Vec::new();
    for change in &preview.gpus {
        let Some(gpu) = inventory.gpus.iter().find(|gpu| gpu.uuid == change.uuid) else { continue };
        let alike = |(first, other, _): &&mut (&Gpu, &GpuPreview, BTreeSet<u32>)| {
            first.model == gpu.model
                && first.geometry == gpu.geometry
                && other.mode == change.mode
                && other.slices == change.slices
        };
        match groups.iter_mut().find(alike) {
            Some((.., indexes)) => drop(indexes.insert(gpu.index)),
            None => groups.push((gpu, change, BTreeSet::from([gpu.index]))),
        }
    }
    let mut text = Painted::default();
    for (gpu, change, indexes) in groups {
        one(&mut text, gpu, change, &indexes);
    }
    let [create, destroy, recut] =
        [Action::Create, Action::Destroy, Action::Recut].map(|action| preview.count(action));
    let modes = preview.gpus.iter().filter(|g| g.mode.is_some()).count();
    let counts = [(modes, "MIG mode"), (destroy, "destroy"), (recut, "recut"), (create, "create")];
    let parts =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} x {what}"));
    let _ = writeln!(text, "{}", parts.collect::<Vec<_>>().join(", "));
    text
}

fn one(text: &mut Painted, gpu: &Gpu, change: &GpuPreview, indexes: &BTreeSet<u32>) {
    let several = if indexes.len() == 1 { "GPU" } else { "GPUs" };
    text.paint(Role::Title, &format!("{several} {}", ranges(indexes)));
    let _ = writeln!(text, "  {}", gpu.model);
    if let Some(on) = change.mode {
        let word = |on| if on { "on" } else { "off" };
        let _ = writeln!(text, "  MIG {} -> {}", word(!on), word(on));
    }
    // With MIG off there is nothing to draw, and with no instances nothing to see.
    for (when, other) in [("now ", Action::Create), ("then", Action::Destroy)] {
        let placed: Vec<(Placement, Role)> = change
            .slices
            .iter()
            .filter(|row| row.action != other)
            .map(|row| (row.instance.placement, role(row.action)))
            .collect();
        if !placed.is_empty() {
            let _ = write!(text, "  {when}  ");
            text.append(&draw::slices(&gpu.geometry, &placed, screen::columns() - 8));
            text.push("\n");
        }
    }
    for row in table(&rows(&change.slices), "  ", screen::line()) {
        text.append(&row);
        text.push("\n");
    }
    text.push("\n");
}

/// A row per kind of instance: what is done, to how many where, and why.
fn rows(slices: &[Row]) -> Vec<Vec<Cell>> {
    let mut order: Vec<&Row> = slices.iter().collect();
    order.sort_by_key(|row| (turn(row.action), row.instance.placement.start));
    let mut rows: Vec<(&Row, Vec<u8>)> = Vec::new();
    for row in order {
        let same = |(other, _): &&mut (&Row, Vec<u8>)| {
            let what = |row: &Row| (row.action, row.instance.placement.profile);
            what(other) == what(row) && other.instance.compute == row.instance.compute && other.why == row.why
        };
        match rows.iter_mut().find(same) {
            Some((_, starts)) => starts.push(row.instance.placement.start),
            None => rows.push((row, vec![row.instance.placement.start])),
        }
    }
    let cells = |(row, starts): (&Row, Vec<u8>)| {
        let count = if starts.len() == 1 { String::new() } else { format!("{} x ", starts.len()) };
        let starts: Vec<String> = starts.iter().map(ToString::to_string).collect();
        let what = format!(
            "{count}{} at {}{}",
            row.instance.placement.profile,
            starts.join(", "),
            divided(&row.instance.compute)
        );
        vec![
            Cell::new(role(row.action), format!("{} {}", sign(row.action), row.action.word())),
            what.into(),
            Cell::new(Role::Faint, row.why.clone()),
        ]
    };
    rows.into_iter().map(cells).collect()
}

/// What goes goes first, and what stays comes last: it is not done at all.
fn turn(action: Action) -> u8 {
    match action {
        Action::Destroy => 0,
        Action::Recut => 1,
        Action::Create => 2,
        Action::Keep => 3,
    }
}

fn role(action: Action) -> Role {
    match action {
        Action::Destroy => Role::Gone,
        Action::Recut => Role::Busy,
        Action::Create => Role::New,
        Action::Keep => Role::Plain,
    }
}

/// As in a diff.
fn sign(action: Action) -> char {
    match action {
        Action::Destroy => '-',
        Action::Recut => '~',
        Action::Create => '+',
        Action::Keep => ' ',
    }
}

/// ` as 1 x 2c.3g.20gb, 1 x 1c.3g.20gb`; nothing for an instance in one piece.
fn divided(compute: &[Profile]) -> String {
    let runs = compute.chunk_by(|a, b| a == b).map(|run| format!("{} x {}", run.len(), run[0]));
    let runs: Vec<String> = runs.collect();
    if runs.is_empty() { String::new() } else { format!(" as {}", runs.join(", ")) }
}

/// What is left to do in Slurm, a line each; nothing where nothing is.
pub(super) fn left_to_do(actions: &[String]) -> String {
    let lines: String = actions.iter().map(|action| line_to_do(action)).collect();
    if actions.is_empty() { lines } else { format!("left to do in Slurm:\n{lines}") }
}

/// A line for a shell, which is one line to copy; a comment may be several.
fn line_to_do(action: &str) -> String {
    const COMMENT: &str = "# ";
    let before = format!("  {COMMENT}");
    let room = screen::line().saturating_sub(before.len());
    match action.strip_prefix(COMMENT) {
        Some(comment) if comment.chars().count() > room => {
            wrap(comment, room).iter().map(|line| format!("{before}{line}\n")).collect()
        }
        _ => format!("  {action}\n"),
    }
}
