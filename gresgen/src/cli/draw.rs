//! What `plan` and the verbs that change GPUs show alike: a GPU's instances as a line of text, what becomes of them,
//! and what is left to do.

use std::fmt::Write;

use mig::{Geometry, Placement, Profile};

use super::out;
use crate::apply::preview::{Action, GpuPreview, Preview};
use crate::inventory::{Gpu, Inventory};

/// Characters of a drawn GPU, split among its placement units (4, 8 or 12).
const WIDTH: usize = 72;

/// A GPU, one cell per placement unit, with a name where an instance lies:
/// `|3g.20gb                           |2g.10gb          |1g.5gb  |        |`
///
/// A name too long for its span is cut; an instance that starts where the one before ends has one bar with it.
pub(super) fn slices(geometry: &Geometry, placed: &[Placement]) -> String {
    let units = usize::from(geometry.units);
    if units == 0 {
        return String::new();
    }
    let cell = WIDTH / units;
    let mut line = String::from("|");
    let mut unit = 0;
    while unit < units {
        let here = placed.iter().find(|p| usize::from(p.start) == unit);
        let (label, width) = match here {
            Some(&p) => (p.profile.to_string(), geometry.span(p).len()),
            None => (String::new(), 1),
        };
        let room = width * cell - 1;
        line.push_str(&format!("{label:<room$.room$}|"));
        unit += width;
    }
    line
}

/// The change of the GPUs: each now and then, and a line per instance with its reason.
pub(super) fn change(inventory: &Inventory, preview: &Preview) -> String {
    let mut out = String::new();
    for change in &preview.gpus {
        if let Some(gpu) = inventory.gpus.iter().find(|gpu| gpu.uuid == change.uuid) {
            text_gpu(&mut out, gpu, change);
        }
    }
    let [create, destroy, recut] =
        [Action::Create, Action::Destroy, Action::Recut].map(|action| preview.count(action));
    let modes = preview.gpus.iter().filter(|g| g.mode.is_some()).count();
    let counts = [(modes, "MIG mode"), (destroy, "destroy"), (create, "create"), (recut, "recut")];
    let parts =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} x {what}"));
    let _ = writeln!(out, "{}", parts.collect::<Vec<_>>().join(", "));
    out
}

fn text_gpu(out: &mut String, gpu: &Gpu, change: &GpuPreview) {
    let _ = writeln!(out, "GPU {}  {}", gpu.index, gpu.model);
    if let Some(on) = change.mode {
        let word = |on| if on { "on" } else { "off" };
        let _ = writeln!(out, "  MIG {} -> {}", word(!on), word(on));
    }
    let _ = writeln!(out, "  now   {}", slices(&gpu.geometry, &change.before()));
    let _ = writeln!(out, "  then  {}", slices(&gpu.geometry, &change.after()));
    let rows = change.slices.iter().map(|row| {
        let what = format!("{}{}", row.instance.placement, divided(&row.instance.compute));
        vec![row.action.word().to_owned(), what, row.why.clone()]
    });
    let table = out::table(&rows.collect::<Vec<_>>());
    table.lines().for_each(|line| out.push_str(&format!("  {line}\n")));
    out.push('\n');
}

/// ` as 1 x 2c.3g.20gb, 1 x 1c.3g.20gb`; nothing for an instance in one piece.
fn divided(compute: &[Profile]) -> String {
    let runs = compute.chunk_by(|a, b| a == b).map(|run| format!("{} x {}", run.len(), run[0]));
    let runs: Vec<String> = runs.collect();
    if runs.is_empty() { String::new() } else { format!(" as {}", runs.join(", ")) }
}

/// What is left to do in Slurm, a line each; nothing where nothing is.
pub(super) fn left_to_do(actions: &[String]) -> String {
    let lines: String = actions.iter().map(|action| format!("  {action}\n")).collect();
    if actions.is_empty() { lines } else { format!("left to do in Slurm:\n{lines}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mig::Board;

    fn draw(key: &str, slices: &[(&str, u8)]) -> String {
        let geometry = Board::by_key(key).unwrap().geometry();
        let placed: Vec<Placement> = slices
            .iter()
            .map(|(name, start)| Placement { profile: name.parse().unwrap(), start: *start })
            .collect();
        super::slices(&geometry, &placed)
    }

    #[test]
    fn instances_are_as_wide_as_their_span() {
        let a100 = draw("a100-40gb", &[("3g.20gb", 0), ("2g.10gb", 4), ("1g.5gb", 6)]);
        insta::assert_snapshot!(a100, @"|3g.20gb                            |2g.10gb          |1g.5gb  |        |");
        let a30 = draw("a30-24gb", &[("2g.12gb", 2)]);
        insta::assert_snapshot!(a30, @"|                 |                 |2g.12gb                            |");
        let rtx = draw("rtx-pro-6000-blackwell-96gb", &[("1g.24gb+me.all", 3)]);
        insta::assert_snapshot!(rtx, @"|     |     |     |1g.24gb+me.all   |     |     |     |     |     |     |");
        assert_eq!(a100.len(), a30.len());
    }
}
