//! What `plan` and the verbs that change GPUs show alike: what becomes of the GPUs, in the order in which it is done, and what is
//! left to do.

use std::fmt::Write;

use mig::{Placement, Profile};

use super::paint::{Cell, Painted, Role, table, wrap};
use super::{draw, screen};
use crate::alike::groups;
use crate::apply::preview::{Action, GpuPreview, Preview, Row};
use crate::inventory::{Gpu, Inventory};
use crate::words::named_gpus;

/// Each GPU now and then, those with the same change as one, and a line per kind of instance with its reason.
pub(super) fn gpus(inventory: &Inventory, preview: &Preview) -> Painted {
    let gpu = |change: &GpuPreview| inventory.gpus.iter().find(|gpu| gpu.uuid == change.uuid);
    let changes = preview.gpus.iter().filter_map(|change| Some((gpu(change)?, change)));
    let alike = |(gpu, change): &(&Gpu, &GpuPreview), (other, others): &(&Gpu, &GpuPreview)| {
        gpu.model == other.model
            && gpu.geometry == other.geometry
            && change.mode == others.mode
            && change.slices == others.slices
    };
    let mut text = Painted::default();
    for group in groups(changes, alike) {
        let (gpu, change) = group[0];
        one(&mut text, gpu, change, &named_gpus(group.iter().map(|(gpu, _)| gpu.index)));
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

fn one(text: &mut Painted, gpu: &Gpu, change: &GpuPreview, gpus: &str) {
    text.paint(Role::Title, gpus);
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
    text.append_rows(&table(&rows(&change.slices), "  ", screen::line()));
    text.push("\n");
}

/// A row per kind of instance: what is done, to how many where, and why.
fn rows(slices: &[Row]) -> Vec<Vec<Cell>> {
    let mut order: Vec<&Row> = slices.iter().collect();
    order.sort_by_key(|row| (turn(row.action), row.instance.placement.start));
    let same = |one: &&Row, other: &&Row| {
        let what = |row: &Row| (row.action, row.instance.placement.profile);
        what(one) == what(other) && one.instance.compute == other.instance.compute && one.why == other.why
    };
    let cells = |group: Vec<&Row>| {
        let row = group[0];
        let count = if group.len() == 1 { String::new() } else { format!("{} x ", group.len()) };
        let starts: Vec<String> = group.iter().map(|row| row.instance.placement.start.to_string()).collect();
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
    groups(order, same).into_iter().map(cells).collect()
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

/// What is left to do in Slurm, or was done, a line each below `heading`; nothing where nothing is.
pub(super) fn in_slurm(heading: &str, actions: &[String]) -> String {
    let lines: String = actions.iter().map(|action| line_to_do(action)).collect();
    if actions.is_empty() { lines } else { format!("{heading}:\n{lines}") }
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
