//! `gresgen plan`, and the table `apply` shows too.

use std::fmt::Write;

use super::change::{Change, LeftOut};
use super::report::{Exit, Outcome};
use super::session::Session;
use super::{Global, draw, out};
use crate::apply::preview::{Action, GpuPreview, Preview};
use crate::inventory::{Gpu, Inventory};

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    left_out: LeftOut,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let config = session.config(global)?;
    let layout = session.layout(&config, global)?;
    let (inventory, steps) = Change::new(session, &config.slurm)?.prepare(&layout, &args.left_out, global)?;
    let preview = Preview::new(&inventory, &steps);
    if global.json {
        out::json(&preview)?
    } else {
        out::text(&text(&inventory, &preview))?
    }
    Ok(Exit::Ok)
}

/// The change for a person: each GPU now and then, and a line per instance with its reason.
pub(super) fn text(inventory: &Inventory, preview: &Preview) -> String {
    let mut out = String::new();
    for change in &preview.gpus {
        if let Some(gpu) = inventory.gpus.iter().find(|gpu| gpu.uuid == change.uuid) {
            text_gpu(&mut out, gpu, change);
        }
    }
    let [create, destroy, recut] =
        [Action::Create, Action::Destroy, Action::Recut].map(|action| preview.count(action));
    let modes = preview.gpus.iter().filter(|g| g.mode.is_some()).count();
    if !preview.changed {
        out.push_str("nothing to change\n");
        return out;
    }
    let mut parts = Vec::new();
    for (count, what) in [(modes, "MIG mode"), (destroy, "destroy"), (create, "create"), (recut, "recut")] {
        if count > 0 {
            parts.push(format!("{count} x {what}"));
        }
    }
    let _ = writeln!(out, "{}", parts.join(", "));
    out
}

fn text_gpu(out: &mut String, gpu: &Gpu, change: &GpuPreview) {
    let _ = writeln!(out, "GPU {}  {}", gpu.index, gpu.model);
    if let Some(on) = change.mode {
        let word = |on| if on { "on" } else { "off" };
        let _ = writeln!(out, "  MIG {} -> {}", word(!on), word(on));
    }
    let _ = writeln!(out, "  now   {}", draw::slices(&gpu.geometry, &change.before()));
    let _ = writeln!(out, "  then  {}", draw::slices(&gpu.geometry, &change.after()));
    let rows = change.slices.iter().map(|row| {
        let what = format!("{} at {}{}", row.profile, row.start, divided(&row.compute));
        vec![row.action.word().to_owned(), what, row.why.clone()]
    });
    let table = out::table(&rows.collect::<Vec<_>>());
    table.lines().for_each(|line| out.push_str(&format!("  {line}\n")));
    out.push('\n');
}

/// ` as 1 x 2c.3g.20gb, 1 x 1c.3g.20gb`; nothing for an instance in one piece.
fn divided(compute: &[String]) -> String {
    let runs = compute.chunk_by(|a, b| a == b).map(|run| format!("{} x {}", run.len(), run[0]));
    let runs: Vec<String> = runs.collect();
    if runs.is_empty() { String::new() } else { format!(" as {}", runs.join(", ")) }
}
