//! `gresgen status`

use std::collections::BTreeMap;
use std::fmt::Write;

use device_map::DeviceMap;
use mig::shortage::Counted;
use mig::{Demand, Placed, Profile, room};
use serde::Serialize;

use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, draw, out};
use crate::apply::intent::Intent;
use crate::apply::lock::node_holder;
use crate::document::Document;
use crate::holders;
use crate::inventory::{Compute, Gpu, Instance, Inventory, Mode};
use crate::publish::present_map;
use crate::site::Site;

/// What `--json` prints: the inventory, and what this program knows beside the driver. Readers of an inventory
/// ignore the rest.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    inventory: Document,
    /// What an apply that was cut off had set out to do.
    interrupted: Option<&'a str>,
    /// Process that changes the node now.
    running: Option<u32>,
    /// Slurm's device index of each MIG device and whole GPU, by UUID.
    gres_index: BTreeMap<&'a str, usize>,
    /// What could still be created on each GPU with MIG on, each profile taken alone, by UUID.
    room: BTreeMap<&'a str, BTreeMap<String, u32>>,
}

/// What `status` knows.
struct Status {
    inventory: Inventory,
    interrupted: Option<String>,
    /// Process that changes the node now: what it has set out to do is not cut off.
    running: Option<u32>,
    map: Option<DeviceMap>,
}

pub(super) fn run(session: &Session, global: &Global) -> Outcome {
    let settings = session.settings_if_sound(global);
    let node = session.node_name(&settings);
    let mut inventory = session.driver()?.inventory(&node)?;
    holders::annotate(&mut inventory, &session.root);
    let site = Site { root: &session.root, settings: &settings, node, asked: session.runs_slurm() };
    site.annotate(&mut inventory);
    let running = node_holder(&session.root);
    let intent = Intent::load(&session.root).map_err(|e| Failure::new(Exit::Failure, e))?;
    let interrupted = intent.map(|i| i.what).filter(|_| running.is_none());
    let status = Status { inventory, interrupted, running, map: present_map(&session.root) };
    if global.json {
        out::json(&status.report())?
    } else {
        out::text(&status.text())?
    }
    Ok(Exit::Ok)
}

impl Status {
    fn report(&self) -> Report<'_> {
        let records = self.map.iter().flat_map(|map| map.records.iter().enumerate());
        let on = self.inventory.gpus.iter().filter(|gpu| gpu.mode.is_on());
        let names = |room: Demand| room.into_iter().map(|(profile, n)| (profile.to_string(), n)).collect();
        Report {
            inventory: Document::from(&self.inventory),
            interrupted: self.interrupted.as_deref(),
            running: self.running,
            gres_index: records.map(|(index, record)| (record.uuid.as_str(), index)).collect(),
            room: on.map(|gpu| (gpu.uuid.as_str(), names(free(gpu)))).collect(),
        }
    }

    /// The node for a person.
    fn text(&self) -> String {
        let Inventory { node, driver, gpus, .. } = &self.inventory;
        let count = gpus.len();
        let plural = if count == 1 { "" } else { "s" };
        let mut out = format!("{node}: {count} GPU{plural}, driver {driver}\n");
        if let Some(pid) = self.running {
            let _ = writeln!(out, "being changed by process {pid}");
        }
        if let Some(what) = &self.interrupted {
            let _ = writeln!(
                out,
                "interrupted: {what}; finish it with gresgen apply, or go back with gresgen apply --undo"
            );
        }
        for gpu in gpus {
            out.push('\n');
            self.text_gpu(&mut out, gpu);
        }
        out
    }

    fn text_gpu(&self, out: &mut String, gpu: &Gpu) {
        let Gpu { index, model, pci, minor, uuid, .. } = gpu;
        let _ = writeln!(out, "GPU {index}  {model}  {pci}  /dev/nvidia{minor}  MIG {}", mode(gpu.mode));
        let _ = writeln!(out, "  {uuid}{}", self.gres(uuid));
        if !gpu.mode.is_on() {
            return;
        }
        let _ = writeln!(out, "  {}", draw::slices(&gpu.geometry, &places(gpu)));
        for instance in &gpu.instances {
            if instance.compute.is_empty() {
                let (profile, gi) = (gpu.profile(instance), instance.gi);
                let _ = writeln!(out, "  {profile:<12} gi {gi:<2} no compute instance: nothing can use it");
            }
            for compute in &instance.compute {
                self.text_compute(out, instance, compute);
            }
        }
        let _ = writeln!(out, "  room for {}", Counted(&free(gpu)));
    }

    fn text_compute(&self, out: &mut String, instance: &Instance, compute: &Compute) {
        let holders: Vec<String> = instance.holders.iter().map(ToString::to_string).collect();
        let state = if holders.is_empty() { "idle".to_owned() } else { holders.join(", ") };
        let Compute { profile, ci, uuid, .. } = compute;
        let (gi, gres) = (instance.gi, self.gres(uuid));
        let _ = writeln!(out, "  {profile:<12} gi {gi:<2} ci {ci}  {uuid}{gres}  {state}");
    }

    /// Slurm's index of a device, where it is a GRES.
    fn gres(&self, uuid: &str) -> String {
        let records = self.map.iter().flat_map(|map| map.records.iter().enumerate());
        let index = records.filter(|(_, record)| record.uuid == uuid).map(|(index, _)| index).next();
        index.map(|index| format!("  gres {index:<2}")).unwrap_or_default()
    }
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

fn places(gpu: &Gpu) -> Vec<Placed> {
    gpu.instances.iter().map(|i| i.placed).collect()
}

/// What could still be created, each profile taken alone.
fn free(gpu: &Gpu) -> Demand {
    let fits = |(profile, count): (Profile, u32)| (count > 0).then_some((profile, count));
    room::room(&gpu.geometry, &places(gpu)).into_iter().filter_map(fits).collect()
}
