//! `gresgen status`

use std::collections::BTreeMap;
use std::fmt::Write;

use device_map::DeviceMap;
use mig::{Demand, Placement, Profile, room};
use serde::Serialize;

use super::gpus::Only;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{Global, draw, out};
use crate::apply::intent::Intent;
use crate::apply::lock::node_holder;
use crate::document::Document;
use crate::holders::{self, Users};
use crate::inventory::{Compute, Gpu, Holder, Instance, Inventory, Mode};
use crate::node::chosen::Chosen;
use crate::publish::present_map;

/// What `--json` prints: the inventory, and what this program knows beside the driver. Readers of an inventory
/// ignore the rest.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    inventory: Document<'a>,
    /// What an apply that was cut off had set out to do.
    interrupted: Option<&'a str>,
    /// Process that changes the node now.
    running: Option<u32>,
    /// The layout that was last chosen, and what the configuration says.
    layout: Option<&'a Meant>,
    /// Slurm's device index of each MIG device and whole GPU, by UUID.
    gres_index: BTreeMap<&'a str, usize>,
    /// Who uses each MIG device, by UUID; those nobody uses are left out.
    users: BTreeMap<&'a str, Vec<Holder>>,
    /// What could still be created on each GPU with MIG on, each profile taken alone, by UUID.
    room: BTreeMap<&'a str, BTreeMap<String, u32>>,
}

/// The layout that a boot restores.
#[derive(Serialize)]
struct Meant {
    label: String,
    chosen_by: String,
    chosen_at: String,
    configured: Option<String>,
}

/// What `status` knows.
struct Status {
    layout: Option<Meant>,
    inventory: Inventory,
    interrupted: Option<String>,
    /// Process that changes the node now: what it has set out to do is not cut off.
    running: Option<u32>,
    map: Option<DeviceMap>,
    users: Users,
    /// GPUs of the node, of which the inventory may show some.
    whole: usize,
}

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    only: Only,
}

pub(super) fn run(session: &Session, global: &Global, args: &Args) -> Outcome {
    let settings = session.settings_if_sound(global);
    let node = session.node_name_if_known(&settings, global);
    let driver = session.driver()?;
    // The text says nothing of what a GPU with MIG off could be cut into; who reads the JSON may plan with it.
    let read = if global.json { driver.inventory(&node) } else { driver.inventory_as_it_is(&node) };
    let mut inventory = read?;
    let whole = inventory.gpus.len();
    args.only.keep(&mut inventory)?;
    inventory.partial = inventory.gpus.len() < whole;
    let users = holders::annotate(&mut inventory, &session.root);
    let site = session.site(&settings, node);
    site.annotate(&mut inventory, &site.given());
    let running = node_holder(&session.root);
    let intent = Intent::load(&session.root).map_err(|e| Failure::new(Exit::Failure, e))?;
    let interrupted = intent.map(|i| i.what).filter(|_| running.is_none());
    let status = Status {
        layout: meant(session, global),
        inventory,
        interrupted,
        running,
        map: present_map(&session.root),
        users,
        whole,
    };
    if global.json {
        out::json(&status.report())?
    } else {
        out::text(&status.text(global.verbose))?
    }
    Ok(Exit::Ok)
}

/// What was chosen, where something was. A configuration that is wrong has been warned of.
fn meant(session: &Session, global: &Global) -> Option<Meant> {
    let Chosen { label, by: chosen_by, at: chosen_at, .. } = Chosen::load(&session.root).ok()??;
    let config = session.config(global).ok();
    let configured = config.as_ref().and_then(|config| config.choose(None).ok()).map(str::to_owned);
    Some(Meant { label, chosen_by, chosen_at, configured })
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
            layout: self.layout.as_ref(),
            gres_index: records.map(|(index, record)| (record.uuid.as_str(), index)).collect(),
            users: self.inventory.devices().filter_map(|(_, i, c)| self.users(i, c)).collect(),
            room: on.map(|gpu| (gpu.uuid.as_str(), names(free(gpu)))).collect(),
        }
    }

    fn users<'a>(&self, instance: &Instance, compute: &'a Compute) -> Option<(&'a str, Vec<Holder>)> {
        let users: Vec<Holder> = self.users.of(instance, compute).into_iter().cloned().collect();
        (!users.is_empty()).then_some((&compute.uuid, users))
    }

    /// The node for a person.
    fn text(&self, verbose: bool) -> String {
        let Inventory { node, driver, gpus, .. } = &self.inventory;
        let count = self.whole;
        let plural = if count == 1 { "" } else { "s" };
        let mut out = format!("{node}: {count} GPU{plural}, driver {driver}\n");
        if let Some(pid) = self.running {
            let _ = writeln!(out, "being changed by process {pid}");
        }
        if let Some(Meant { label, chosen_by, chosen_at, configured }) = &self.layout {
            let _ = write!(out, "layout {label}, chosen {chosen_at} by {chosen_by}");
            let _ = match configured {
                Some(configured) if configured == label => writeln!(out),
                Some(configured) => writeln!(out, "; the configuration says {configured}"),
                None => writeln!(out, "; the configuration names none"),
            };
        }
        if let Some(what) = &self.interrupted {
            let _ = writeln!(
                out,
                "interrupted: {what}; finish it with gresgen apply, or go back with gresgen apply --undo"
            );
        }
        for gpu in gpus {
            out.push('\n');
            self.text_gpu(&mut out, gpu, verbose);
        }
        out
    }

    fn text_gpu(&self, out: &mut String, gpu: &Gpu, verbose: bool) {
        let Gpu { index, model, pci, minor, uuid, .. } = gpu;
        let gres = self.gres(uuid).map(|index| format!("  gres {index}")).unwrap_or_default();
        let guest = if gpu.guest { ", vGPU guest" } else { "" };
        let _ = writeln!(out, "GPU {index}  {model}  MIG {}{guest}", mode(gpu.mode));
        let _ = writeln!(out, "  {uuid}  {pci}  /dev/nvidia{minor}{gres}");
        let users: Vec<String> = whole_users(gpu).into_iter().map(ToString::to_string).collect();
        if !users.is_empty() {
            let _ = writeln!(out, "  used by {}", users.join(", "));
        }
        if !gpu.mode.is_on() {
            return;
        }
        let _ = writeln!(out, "  {}", draw::slices(&gpu.geometry, &places(gpu)));
        // In the order of the drawing, which is not that of ids.
        let mut instances: Vec<&Instance> = gpu.instances.iter().collect();
        instances.sort_by_key(|instance| instance.placement.start);
        let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
        let mut files = Vec::new();
        for instance in instances {
            rows.extend(self.rows(instance));
            files.extend(instance.compute.iter().map(|compute| &compute.files[..]));
            files.extend(instance.compute.is_empty().then_some(&[][..]));
        }
        if rows.len() > 1 {
            let table = out::table(&rows);
            let files = std::iter::once(&[][..]).chain(files);
            for (row, files) in table.lines().zip(files) {
                let _ = writeln!(out, "  {row}");
                let paths: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
                if verbose && !paths.is_empty() {
                    let _ = writeln!(out, "    {}", paths.join(" "));
                }
            }
        }
        out.push_str(&out::alternatives("  room for ", &free(gpu)));
    }

    /// A row per MIG device; one for an instance that has none.
    fn rows(&self, instance: &Instance) -> Vec<Vec<String>> {
        let start = instance.placement.start.to_string();
        let row = |profile: Profile, ids: String, uuid: &str, user: String| {
            let gres = self.gres(uuid).map_or_else(|| "-".to_owned(), |index| index.to_string());
            vec![profile.to_string(), start.clone(), ids, uuid.to_owned(), gres, user]
        };
        if instance.compute.is_empty() {
            let nobody = "nobody can: no compute instance".to_owned();
            return vec![row(instance.placement.profile, instance.gi.to_string(), "-", nobody)];
        }
        let device = |compute: &Compute| {
            let users = self.users.of(instance, compute);
            let users: Vec<String> = users.into_iter().map(ToString::to_string).collect();
            let users = if users.is_empty() { "idle".to_owned() } else { users.join(", ") };
            row(compute.profile, format!("{}/{}", instance.gi, compute.ci), &compute.uuid, users)
        };
        instance.compute.iter().map(device).collect()
    }

    /// Slurm's index of a device, where it is a GRES.
    fn gres(&self, uuid: &str) -> Option<usize> {
        self.map.iter().flat_map(|map| &map.records).position(|record| record.uuid == uuid)
    }
}

/// `GI/CI`: ids of GPU instance and compute instance, as in `nvidia-smi`; `AT`: first placement unit.
const HEADINGS: [&str; 6] = ["PROFILE", "AT", "GI/CI", "UUID", "GRES", "USED BY"];

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Unsupported => "not supported",
        Mode::Known { current: true, pending: true } => "on",
        Mode::Known { current: false, pending: false } => "off",
        Mode::Known { current: true, pending: false } => "on, off after a GPU reset",
        Mode::Known { current: false, pending: true } => "off, on after a GPU reset",
    }
}

/// Who uses a GPU as a whole, but for those that are shown with one of its instances.
fn whole_users(gpu: &Gpu) -> Vec<&Holder> {
    let shown = |holder: &&Holder| gpu.instances.iter().any(|instance| instance.holders.contains(holder));
    gpu.holders.iter().filter(|holder| !shown(holder)).collect()
}

fn places(gpu: &Gpu) -> Vec<Placement> {
    gpu.instances.iter().map(|i| i.placement).collect()
}

/// What could still be created, each profile taken alone.
fn free(gpu: &Gpu) -> Demand {
    let fits = |(profile, count): (Profile, u32)| (count > 0).then_some((profile, count));
    room::room(&gpu.geometry, &places(gpu)).into_iter().filter_map(fits).collect()
}
