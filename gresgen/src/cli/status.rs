//! `gresgen status`

mod short;
mod text;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use device_map::{DeviceMap, Record};
use mig::{Demand, Placement, Profile, room};
use schemars::JsonSchema;
use serde::Serialize;

use super::gpus::Only;
use super::paint::Painted;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::{out, picture};
use crate::apply::intent::Intent;
use crate::document::Document;
use crate::holders::{self, Users};
use crate::inventory::{Compute, Gpu, Holder, Instance, Inventory, Mode};
use crate::lock::node_holder;
use crate::node::chosen::ChosenLayout;
use crate::nvml::Load;
use crate::order::heard;
use crate::publish::present_map;
use crate::slurm::slots;

/// What `--json` prints: the inventory, and what this program knows beside the driver. Readers of an inventory
/// ignore the rest.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report<'a> {
    #[serde(flatten)]
    inventory: Document<'a>,
    /// What an apply that was cut off in this boot had set out to do.
    interrupted: Option<&'a str>,
    /// Process that changes the node now.
    running: Option<u32>,
    /// The layout that was last chosen, and what the configuration says.
    layout: Option<&'a LayoutChoice>,
    /// Slurm's device index of each MIG device and whole GPU, by UUID.
    gres_index: BTreeMap<&'a str, usize>,
    /// Its type, which jobs ask for as `gpu:TYPE`, by UUID; those of no type are left out.
    gres_type: BTreeMap<&'a str, &'a str>,
    /// Memory in use, in MiB, by UUID, where the driver tells.
    used_mib: BTreeMap<&'a str, u64>,
    /// Per cent of the time in which a kernel ran, by UUID, where the driver tells: not with MIG on.
    busy_percent: BTreeMap<&'a str, u32>,
    /// Who uses each MIG device, by UUID; those nobody uses are left out.
    users: BTreeMap<&'a str, Vec<Holder>>,
    /// What could still be created on each GPU with MIG on, each profile taken alone, by UUID.
    room: BTreeMap<&'a str, BTreeMap<String, u32>>,
}

/// The layout that a boot restores.
#[derive(Serialize, JsonSchema)]
struct LayoutChoice {
    label: String,
    chosen_by: String,
    chosen_at: String,
    configured: Option<String>,
}

/// What was cut off, by its journal.
struct CutOff {
    what: String,
    /// By a reboot: it is not finished any more.
    before: bool,
}

/// What `status` knows.
pub(super) struct Status {
    layout: Option<LayoutChoice>,
    inventory: Inventory,
    interrupted: Option<CutOff>,
    /// Process that changes the node now: what it has set out to do is not cut off.
    running: Option<u32>,
    map: Option<DeviceMap>,
    users: Users,
    /// By UUID.
    loads: BTreeMap<String, Load>,
    /// GPUs of the node, of which the inventory may show some.
    whole: usize,
    /// NVML indexes of those that take orders.
    ordered: Vec<u32>,
    /// For how long nobody who gives orders was heard, where that is long.
    silence: Option<Duration>,
}

/// Options of the verb.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    only: Only,
    /// One line per GPU
    #[arg(long, conflicts_with = "json")]
    short: bool,
    /// Draw again every so many seconds, until Ctrl-C [default: 2]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
          value_parser = watch::seconds, conflicts_with = "svg")]
    watch: Option<Duration>,
    /// Write the slices as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(super) fn run(session: &Session, args: &Args) -> Outcome {
    if let Some(pause) = args.watch {
        return watch::run(pause, session.global.json, || show(session, args));
    }
    if let Some(path) = &args.svg {
        let status = Status::read(session, &args.only)?;
        picture::write(
            path,
            &picture::of_node(&status.inventory, |gpu, instance| status.is_used(gpu, instance)),
        )?;
        return Ok(Exit::Ok);
    }
    out::painted(&show(session, args)?)?;
    Ok(Exit::Ok)
}

/// What is printed: a picture of the node as it is now.
fn show(session: &Session, args: &Args) -> Result<Painted, Failure> {
    let status = Status::read(session, &args.only)?;
    Ok(if session.global.json {
        Painted::json(&status.report()).map_err(Failure::failed)?
    } else if args.short {
        status.short()
    } else {
        status.text(session.global.verbose, args.only.gpus.is_empty())
    })
}

/// What was cut off, or is running. A journal that cannot be read is one of something.
fn interrupted(session: &Session, boot: &str) -> Option<CutOff> {
    match Intent::load(&session.root) {
        Ok(intent) => intent.map(|intent| CutOff { before: intent.is_of_before(boot), what: intent.what }),
        Err(error) => {
            session.warn(error);
            Some(CutOff { what: "a change whose journal cannot be read".to_owned(), before: false })
        }
    }
}

/// What was chosen, where something was. A configuration that is wrong has been warned of.
fn layout_choice(session: &Session) -> Option<LayoutChoice> {
    let ChosenLayout { label, by: chosen_by, at: chosen_at, .. } =
        ChosenLayout::load(&session.root).ok()??;
    let config = session.config().ok();
    let configured = config.as_ref().and_then(|config| config.choose(None).ok()).map(str::to_owned);
    Some(LayoutChoice { label, chosen_by, chosen_at, configured })
}

impl Status {
    /// Reads the node. The driver is closed again afterwards: an open session would be a client of its GPUs and stand in the way
    /// of whoever changes them.
    pub(super) fn read(session: &Session, only: &Only) -> Result<Self, Failure> {
        let settings = session.settings_if_sound();
        let node = session.node_name_if_known(&settings);
        let driver = session.driver()?;
        // The text says nothing of what a GPU with MIG off could be cut into; who reads the JSON may plan with it.
        let read =
            if session.global.json { driver.inventory(&node) } else { driver.inventory_as_it_is(&node) };
        let mut inventory = read?;
        let whole = inventory.gpus.len();
        only.keep(&mut inventory)?;
        inventory.partial = inventory.gpus.len() < whole;
        let users = holders::annotate(&mut inventory, &session.root);
        slots::complete(&mut inventory, &settings, &session.root);
        let takes_orders = |gpu: &&Gpu| slots::entry(&node, gpu, &settings).is_some_and(|entry| entry.orders);
        let ordered = inventory.gpus.iter().filter(takes_orders).map(|gpu| gpu.index).collect();
        let site = session.site(&settings, node);
        site.annotate(&mut inventory, &site.allocations());
        let running = node_holder(&session.root);
        let interrupted = interrupted(session, &inventory.boot).filter(|_| running.is_none());
        Ok(Status {
            layout: layout_choice(session),
            loads: driver.loads(&inventory),
            inventory,
            interrupted,
            running,
            map: present_map(&session.root),
            users,
            whole,
            ordered,
            silence: heard::silence(&session.root),
        })
    }

    /// What the driver has.
    pub(super) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What is printed of it as JSON.
    pub(super) fn report(&self) -> Report<'_> {
        let records = self.map.iter().flat_map(|map| map.records.iter().enumerate());
        let records = records.filter(|(_, record)| record.no_device().is_none());
        let on = self.inventory.gpus.iter().filter(|gpu| gpu.mode.is_on());
        let names = |room: Demand| room.into_iter().map(|(profile, n)| (profile.to_string(), n)).collect();
        Report {
            inventory: Document::from(&self.inventory),
            interrupted: self.interrupted.as_ref().filter(|it| !it.before).map(|it| &*it.what),
            running: self.running,
            layout: self.layout.as_ref(),
            gres_index: records.clone().map(|(index, record)| (record.uuid.as_str(), index)).collect(),
            gres_type: records.filter_map(|(_, record)| Some((&*record.uuid, gres_type(record)?))).collect(),
            used_mib: self.loads.iter().map(|(uuid, load)| (&**uuid, load.used_mib)).collect(),
            busy_percent: self
                .loads
                .iter()
                .filter_map(|(uuid, l)| Some((&**uuid, l.busy_percent?)))
                .collect(),
            users: self.inventory.devices().filter_map(|(_, i, c)| self.users(i, c)).collect(),
            room: on.map(|gpu| (gpu.uuid.as_str(), names(free(gpu)))).collect(),
        }
    }

    fn users<'a>(&self, instance: &Instance, compute: &'a Compute) -> Option<(&'a str, Vec<Holder>)> {
        let users: Vec<Holder> = self.users.of(instance, compute).into_iter().cloned().collect();
        (!users.is_empty()).then_some((&compute.uuid, users))
    }

    /// Whether somebody uses an instance, or the GPU as a whole.
    fn is_used(&self, gpu: &Gpu, instance: Option<&Instance>) -> bool {
        match instance {
            Some(instance) => {
                !instance.holders.is_empty()
                    || instance.compute.iter().any(|c| !self.users.of(instance, c).is_empty())
            }
            None => !whole_users(gpu).is_empty(),
        }
    }

    /// Slurm's index of a device and its record, where it is a GRES.
    fn gres(&self, uuid: &str) -> Option<(usize, &Record)> {
        self.map.iter().flat_map(|map| &map.records).enumerate().find(|(_, record)| record.uuid == uuid)
    }
}

/// What jobs ask for as `gpu:TYPE`; `-` stands for none in the map.
fn gres_type(record: &Record) -> Option<&str> {
    Some(record.gres_type.as_str()).filter(|name| *name != "-")
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

/// Who uses a GPU as a whole, but for those that are shown with one of its instances.
fn whole_users(gpu: &Gpu) -> Vec<&Holder> {
    let shown = |holder: &&Holder| gpu.instances.iter().any(|instance| instance.holders.contains(holder));
    gpu.holders.iter().filter(|holder| !shown(holder)).collect()
}

/// What could still be created, each profile taken alone.
fn free(gpu: &Gpu) -> Demand {
    let places: Vec<Placement> = gpu.instances.iter().map(|i| i.placement).collect();
    let fits = |(profile, count): (Profile, u32)| (count > 0).then_some((profile, count));
    room::room(&gpu.geometry, &places).into_iter().filter_map(fits).collect()
}
