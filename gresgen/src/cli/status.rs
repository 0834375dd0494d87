//! `gresgen status`

use std::fmt::Write;

use mig::{Demand, Placed, Profile, room};

use super::report::{Exit, Outcome};
use super::session::Session;
use super::{Global, draw, out};
use crate::document::Document;
use crate::holders;
use crate::inventory::{Compute, Gpu, Instance, Inventory, Mode};

pub(super) fn run(session: &Session, global: &Global) -> Outcome {
    let mut inventory = session.driver()?.inventory(&session.node_name(&session.settings(global)?))?;
    holders::annotate(&mut inventory, &session.root);
    match global.json {
        true => out::json(&Document::from(&inventory))?,
        false => out::text(&text(&inventory))?,
    }
    Ok(Exit::Ok)
}

/// The node for a person.
fn text(inventory: &Inventory) -> String {
    let count = inventory.gpus.len();
    let mut out = format!("{}: {count} GPU{}, driver {}\n", inventory.node, plural(count), inventory.driver);
    for gpu in &inventory.gpus {
        out.push('\n');
        text_gpu(&mut out, gpu);
    }
    out
}

fn text_gpu(out: &mut String, gpu: &Gpu) {
    let Gpu { index, model, pci, minor, uuid, .. } = gpu;
    let _ = writeln!(out, "GPU {index}  {model}  {pci}  /dev/nvidia{minor}  MIG {}", mode(gpu.mode));
    let _ = writeln!(out, "  {uuid}");
    if !gpu.mode.is_on() {
        return;
    }
    let placed: Vec<_> = gpu.instances.iter().map(|i| i.placed).collect();
    let _ = writeln!(out, "  {}", draw::slices(&gpu.geometry, &placed));
    for instance in &gpu.instances {
        if instance.compute.is_empty() {
            let profile = gpu.profile(instance);
            let _ = writeln!(
                out,
                "  {profile:<12} gi {:<2} no compute instance: nothing can use it",
                instance.gi
            );
        }
        for compute in &instance.compute {
            text_compute(out, instance, compute);
        }
    }
    let _ = writeln!(out, "  room for {}", mig::shortage::Counted(&free(gpu, &placed)));
}

fn text_compute(out: &mut String, instance: &Instance, compute: &Compute) {
    let holders: Vec<String> = instance.holders.iter().map(ToString::to_string).collect();
    let state = if holders.is_empty() { "idle".to_owned() } else { holders.join(", ") };
    let Compute { profile, ci, uuid, .. } = compute;
    let _ = writeln!(out, "  {profile:<12} gi {:<2} ci {ci}  {uuid}  {state}", instance.gi);
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Unsupported => "not supported",
        Mode::Known { current: true, pending: true } => "on",
        Mode::Known { current: false, pending: false } => "off",
        Mode::Known { current: true, pending: false } => "on, off after a GPU reset",
        Mode::Known { current: false, pending: true } => "off, on after a GPU reset",
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// What could still be created, each profile taken alone.
fn free(gpu: &Gpu, placed: &[Placed]) -> Demand {
    let fits = |(profile, count): (Profile, u32)| (count > 0).then_some((profile, count));
    room::room(&gpu.geometry, placed).into_iter().filter_map(fits).collect()
}
