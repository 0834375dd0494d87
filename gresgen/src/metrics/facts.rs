//! Reading what metrics say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use device_map::holding::Holding;
use device_map::{DeviceMap, Record};
use mig::Profile;

use crate::apply::intent::Intent;
use crate::check::{self, Link, gather};
use crate::devices::boot_id;
use crate::holders::login;
use crate::inventory::Inventory;
use crate::lock::node_holder;
use crate::node::chosen::ChosenLayout;
use crate::root::Root;
use crate::site::{KnownAllocations, Site};
use crate::slurm::control::Devices;

/// What can be said of a node without opening NVML.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The map that Slurm's indexes belong to; `None` on a node without one.
    pub map: Option<DeviceMap>,
    /// Who has its devices; `None` where neither slurmctld nor a record of a step says.
    pub occupancy: Option<Occupancy>,
    /// Whether slurmctld answered; `None` on a node of no cluster.
    pub slurmctld: Option<bool>,
    /// What `check --quick` finds.
    pub links: Vec<Link>,
    /// Label of the layout that was last chosen.
    pub layout: Option<String>,
    /// What is left to do, and whether it is.
    pub pending: Vec<(&'static str, bool)>,
    /// When things happened, in seconds since 1970.
    pub times: Vec<(&'static str, u64)>,
    /// Whether a process changes the node.
    pub running: bool,
}

/// Who has which devices.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupancy {
    /// Jobs and their users, by Slurm's index.
    pub holders: Vec<(usize, (u32, String))>,
    /// Whether any device may be some job's, because its list is not known.
    pub any: bool,
    /// Devices in use that no job explains.
    pub unexplained: bool,
    /// Which those are.
    pub(super) rest: Devices,
}

impl Occupancy {
    /// Whether a job has a device, or may have it.
    pub(crate) fn is_busy(&self, index: usize) -> bool {
        self.any || self.rest.may_be(index) || self.holders.iter().any(|(held, _)| *held == index)
    }

    fn of_slurm(allocations: &crate::slurm::jobs::Allocations) -> Self {
        let mut occupancy = Occupancy {
            unexplained: !allocations.unexplained.is_empty(),
            rest: allocations.unexplained.clone(),
            ..Self::default()
        };
        for job in &allocations.jobs {
            match &job.devices {
                Devices::Listed(indexes) => {
                    let holder = |index: &usize| (*index, (job.id, job.user.clone()));
                    occupancy.holders.extend(indexes.iter().map(holder));
                }
                Devices::Unlisted => occupancy.any = true,
            }
        }
        occupancy.holders.sort();
        occupancy
    }

    /// By the plugin's records of running steps, where it writes them.
    fn of_steps(root: &Root) -> Option<Self> {
        let holding = Holding::as_started(&root.path(Root::DEVICE_MAP)).ok()?;
        if !holding.any() {
            return None;
        }
        let mut holders = Vec::new();
        for step in holding.steps().ok()? {
            let user = login(&step.uid.to_string()).unwrap_or_else(|| step.uid.to_string());
            holders
                .extend(step.devices.iter().map(|device| (device.index as usize, (step.job, user.clone()))));
        }
        holders.sort();
        holders.dedup();
        Some(Occupancy { holders, ..Self::default() })
    }
}

impl Facts {
    /// Reads a node. Returns beside it what could not be known, as phrases.
    pub(crate) fn read(site: &Site<'_>) -> (Self, Vec<String>) {
        let root = site.root;
        let mut missing = Vec::new();
        let present = device_map::load(&root.path(Root::DEVICE_MAP)).ok();
        let loaded = device_map::load(&root.path(Root::LOADED_MAP)).ok();
        let (allocations, slurmctld): (Option<KnownAllocations>, _) =
            site.asks_slurmctld.then(|| site.answered()).unzip();
        let occupancy = match &allocations {
            Some(Ok(allocations)) => Some(Occupancy::of_slurm(allocations)),
            Some(Err(error)) => {
                let steps = Occupancy::of_steps(root);
                let instead = if steps.is_some() {
                    "busy are the devices of running steps"
                } else {
                    "no device is said to be busy or free"
                };
                missing.push(format!("{error}; {instead}"));
                steps
            }
            None => None,
        };
        let chosen = ChosenLayout::load(root).unwrap_or_else(|error| {
            missing.push(error.to_string());
            None
        });
        let running = node_holder(root).is_some();
        let boot = boot_id(root).unwrap_or_default();
        let is_left = |intent: Option<Intent>| intent.is_some_and(|intent| !intent.is_of_before(&boot));
        let interrupted = Intent::load(root).map_or(true, is_left) && !running;
        let times = [
            ("layout_chosen", chosen.as_ref().and_then(|chosen| humantime::parse_rfc3339(&chosen.at).ok())),
            ("map_written", modified(root.path(Root::DEVICE_MAP))),
            ("map_loaded", modified(root.path(Root::LOADED_MAP))),
        ];
        let restart = present.as_ref().map(|map| &map.records) != loaded.as_ref().map(|map| &map.records);
        let facts = Facts {
            occupancy,
            slurmctld,
            links: check::evaluate(&gather::quick(site.settings, root)),
            layout: chosen.map(|chosen| chosen.label),
            pending: vec![
                ("finish_interrupted_apply", interrupted),
                ("restart_slurmd", site.asks_slurmctld && present.is_some() && restart),
            ],
            times: times.into_iter().filter_map(|(event, at)| Some((event, seconds(at?)?))).collect(),
            running,
            map: loaded.or(present),
        };
        (facts, missing)
    }

    /// Devices by Slurm's index.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, &Record)> {
        let records = self.map.iter().flat_map(|map| map.records.iter().enumerate());
        records.filter(|(_, record)| record.no_device().is_none())
    }

    /// NVML's index of a device's GPU and of its GPU instance; empty where there is none or it is not known.
    pub(crate) fn place(&self, record: &Record) -> (String, String) {
        let place = self.map.as_ref().and_then(|map| map.place(record)).unwrap_or_default();
        let (gpu, instance) = place.split_once('.').unwrap_or((&place, ""));
        (gpu.to_owned(), instance.to_owned())
    }

    /// GRES types and how many devices are of each.
    pub(crate) fn types(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, record) in self.records() {
            *counts.entry(&record.gres_type).or_default() += 1;
        }
        counts.into_iter()
    }
}

/// What the GPUs alone know.
#[derive(Debug)]
pub(crate) struct Driver {
    pub inventory: Inventory,
    /// What could still be created: NVML's index of the GPU, profile and count.
    pub room: Vec<(u32, String, u64)>,
    /// How many steps an apply would take; `None` where no layout is meant or it cannot be planned.
    pub drift: Option<u64>,
}

impl Driver {
    /// From the driver's picture.
    pub(crate) fn new(inventory: Inventory, drift: Option<u64>) -> Self {
        let room = |gpu: &crate::inventory::Gpu| {
            let index = gpu.index;
            let counted =
                move |(profile, count): (Profile, u32)| (index, profile.to_string(), u64::from(count));
            let places: Vec<_> = gpu.instances.iter().map(|instance| instance.placement).collect();
            mig::room::room(&gpu.geometry, &places).into_iter().map(counted).collect::<Vec<_>>()
        };
        let on = inventory.gpus.iter().filter(|gpu| gpu.mode.is_on());
        Driver { room: on.flat_map(room).collect(), drift, inventory }
    }
}

fn modified(path: PathBuf) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn seconds(at: SystemTime) -> Option<u64> {
    at.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
