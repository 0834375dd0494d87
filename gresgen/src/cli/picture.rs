//! Slices as a picture: what the GPUs of a node are cut into, and what a change makes of them.

use std::collections::BTreeSet;
use std::path::Path;

use mig::{Geometry, Placement};
use serde::Serialize;

use super::out;
use super::report::Failure;
use crate::apply::preview::{Action, GpuPreview, Preview};
use crate::inventory::{Gpu, Instance, Inventory};
use crate::svg;
use crate::words::{count, named_gpus};

/// A node's slices.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    title: String,
    blocks: Vec<Block>,
    /// What the colours mean that are in it.
    legend: Vec<Meaning>,
    left: f64,
    width: f64,
    height: f64,
}

/// GPUs that are alike.
#[derive(Debug, Serialize)]
struct Block {
    #[serde(skip)]
    gpus: BTreeSet<u32>,
    model: String,
    title: String,
    y: f64,
    bars: Vec<Bar>,
}

/// A GPU at one time.
#[derive(Debug, PartialEq, Serialize)]
struct Bar {
    /// `now` or `then`; nothing where there is one alone.
    when: &'static str,
    y: f64,
    parts: Vec<Part>,
}

/// A slice, or the room for one.
#[derive(Debug, PartialEq, Serialize)]
struct Part {
    x: f64,
    width: f64,
    name: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Free,
    Used,
    Kept,
    Gone,
    New,
    Recut,
    Room,
}

#[derive(Debug, Serialize)]
struct Meaning {
    x: f64,
    state: State,
    words: &'static str,
}

/// In pixels.
const MARGIN: f64 = 12.0;
const LABELS: f64 = 40.0;
/// Divided by 4, 8 and 12, which are the numbers of units that GPUs have.
const LENGTH: f64 = 648.0;
const HEAD: f64 = 34.0;
const TITLE: f64 = 22.0;
const BAR: f64 = 34.0;
const GAP: f64 = 14.0;
const FOOT: f64 = 30.0;
const MEANING: f64 = 108.0;

/// The slices of a node; `is_used` says of an instance, or of a GPU as a whole, whether somebody uses it.
pub(super) fn of_node(inventory: &Inventory, is_used: impl Fn(&Gpu, Option<&Instance>) -> bool) -> Picture {
    let state = |used| if used { State::Used } else { State::Free };
    let block = |gpu: &Gpu| {
        let parts = if gpu.mode.is_on() {
            let slices = gpu.instances.iter().map(|i| (i.placement, state(is_used(gpu, Some(i)))));
            parts(&gpu.geometry, &slices.collect::<Vec<_>>())
        } else {
            whole(state(is_used(gpu, None)))
        };
        Block::new(gpu, vec![("", parts)])
    };
    let title = format!("{}: {}", inventory.node, count(inventory.gpus.len(), "GPU"));
    Picture::new(title, inventory.gpus.iter().map(block).collect())
}

/// GPUs that a change makes others of, before and after it.
pub(super) fn of_change(before: &Inventory, preview: &Preview) -> Picture {
    let block = |change: &GpuPreview| {
        let gpu = before.gpus.iter().find(|gpu| gpu.uuid == change.uuid)?;
        let slices = |left_out: Action, changed: Action, state: State| {
            let rows = change.slices.iter().filter(|row| row.action != left_out);
            let state = |action: Action| match action {
                Action::Recut => State::Recut,
                action if action == changed => state,
                _ => State::Kept,
            };
            parts(
                &gpu.geometry,
                &rows.map(|row| (row.instance.placement, state(row.action))).collect::<Vec<_>>(),
            )
        };
        let now = if gpu.mode.is_on() {
            slices(Action::Create, Action::Destroy, State::Gone)
        } else {
            whole(State::Gone)
        };
        let then = if change.mode.unwrap_or(gpu.mode.is_on()) {
            slices(Action::Destroy, Action::Create, State::New)
        } else {
            whole(State::New)
        };
        Some(Block::new(gpu, vec![("now", now), ("then", then)]))
    };
    let blocks: Vec<Block> = preview.gpus.iter().filter_map(block).collect();
    let what = if blocks.is_empty() { "nothing to change" } else { "what apply changes" };
    Picture::new(format!("{}: {what}", before.node), blocks)
}

/// Writes a picture to a file, or to standard output for `-`.
pub(super) fn write(path: &Path, picture: &Picture) -> Result<(), Failure> {
    let text = svg::render(include_str!("slices.svg.j2"), picture).map_err(Failure::failed)?;
    out::file(path, &text)
}

/// A GPU that is not cut.
fn whole(state: State) -> Vec<Part> {
    vec![Part { x: 0.0, width: LENGTH, name: "whole GPU".to_owned(), state }]
}

/// The slices of a GPU and the room between them, from left to right.
fn parts(geometry: &Geometry, slices: &[(Placement, State)]) -> Vec<Part> {
    let unit = LENGTH / f64::from(geometry.units.max(1));
    let mut parts = Vec::new();
    let mut at = 0;
    while at < geometry.units {
        let slice = slices.iter().find(|(placed, _)| placed.start == at);
        let (name, size, state) = match slice {
            Some(&(placed, state)) => {
                let units = u8::try_from(geometry.span(placed).len()).unwrap_or(u8::MAX);
                (placed.profile.to_string(), units.max(1), state)
            }
            None => (String::new(), 1, State::Room),
        };
        parts.push(Part { x: f64::from(at) * unit, width: f64::from(size) * unit, name, state });
        at = at.saturating_add(size);
    }
    parts
}

impl Block {
    fn new(gpu: &Gpu, bars: Vec<(&'static str, Vec<Part>)>) -> Self {
        let bars = bars.into_iter().map(|(when, parts)| Bar { when, y: 0.0, parts }).collect();
        let (gpus, model) = (BTreeSet::from([gpu.index]), gpu.model.clone());
        Block { gpus, model, title: String::new(), y: 0.0, bars }
    }
}

impl Picture {
    /// Lays the blocks out, those that show the same as one.
    fn new(title: String, blocks: Vec<Block>) -> Self {
        let mut folded: Vec<Block> = Vec::new();
        for block in blocks {
            match folded.iter_mut().find(|b| b.model == block.model && b.bars == block.bars) {
                Some(same) => same.gpus.extend(block.gpus),
                None => folded.push(block),
            }
        }
        let mut y = HEAD;
        let mut used = BTreeSet::new();
        for block in &mut folded {
            block.title = format!("{}  {}", named_gpus(block.gpus.iter().copied()), block.model);
            block.y = y + TITLE - 8.0;
            y += TITLE;
            for bar in &mut block.bars {
                bar.y = y;
                y += BAR + 4.0;
                used.extend(bar.parts.iter().map(|part| part.state));
            }
            y += GAP;
        }
        let left = if folded.iter().any(|block| block.bars.len() > 1) { MARGIN + LABELS } else { MARGIN };
        let legend = used.into_iter().zip(0u16..).map(|(state, number)| Meaning {
            x: left + f64::from(number) * MEANING,
            state,
            words: state.words(),
        });
        let legend = legend.collect();
        Picture { title, blocks: folded, legend, left, width: left + LENGTH + MARGIN, height: y + FOOT }
    }
}

impl State {
    fn words(self) -> &'static str {
        match self {
            State::Free => "free",
            State::Used => "in use",
            State::Kept => "stays",
            State::Gone => "goes",
            State::New => "comes",
            State::Recut => "divided anew",
            State::Room => "room",
        }
    }
}

#[cfg(test)]
mod tests {
    use mig::Board;

    use super::*;

    /// A picture stays a document whatever a driver calls its GPUs.
    #[test]
    fn names_of_others_are_text_and_equal_gpus_one() {
        let geometry = Board::by_key("a100-40gb").unwrap().geometry();
        let placed = |name: &str, start| Placement { profile: name.parse().unwrap(), start };
        let slices = [(placed("3g.20gb", 4), State::Used), (placed("1g.5gb", 0), State::Free)];
        let block = |gpu: u32| Block {
            gpus: BTreeSet::from([gpu]),
            model: "A & <B> \"\u{1b}[2J\u{202e}\u{ffff}".to_owned(),
            title: String::new(),
            y: 0.0,
            bars: vec![Bar { when: "", y: 0.0, parts: parts(&geometry, &slices) }],
        };
        let picture = Picture::new("n1".to_owned(), vec![block(0), block(1), block(3)]);
        insta::assert_snapshot!(svg::render(include_str!("slices.svg.j2"), &picture).unwrap());
    }
}
