//! `gresgen status` for a person.

use std::collections::BTreeMap;
use std::fmt::Write;

use device_map::NoDevice;
use mig::{Placement, Profile};

use super::{CutOff, LayoutChoice, Status, free, gres_type, mode, whole_users};
use crate::alike::groups;
use crate::cli::paint::{Cell, Painted, Role, table, wrap};
use crate::cli::{draw, out, screen};
use crate::inventory::{Compute, Gpu, Holder, Instance};
use crate::words::{count, named_gpus, span};

/// Digits of a UUID that tell the devices of a node apart, as a container's id has them.
const SHORT: usize = 8;

impl Status {
    /// The whole node. Idle GPUs that are alike are shown as one, unless more is asked for or they are named.
    pub(super) fn text(&self, verbose: bool, folded: bool) -> Painted {
        let mut text = Painted::default();
        self.node(&mut text);
        for group in self.groups(folded && !verbose) {
            text.push("\n");
            match &group[..] {
                [gpu] => self.gpu(&mut text, gpu, verbose),
                gpus => self.alike(&mut text, gpus),
            }
        }
        text
    }

    /// The lines about the node as a whole.
    fn node(&self, text: &mut Painted) {
        let (node, driver) = (&self.inventory.node, &self.inventory.driver);
        text.paint(Role::Title, node);
        let _ = writeln!(text, ": {}, driver {driver}", count(self.whole, "GPU"));
        for line in self.totals().into_iter().chain(self.on_request()) {
            text.push(&screen::output(&format!("{line}\n"), 2));
        }
        if let Some(pid) = self.running {
            text.paint(Role::Busy, &format!("being changed by process {pid}\n"));
        }
        if let Some(LayoutChoice { label, chosen_by, chosen_at, configured }) = &self.layout {
            let _ = write!(text, "layout {label}, chosen {chosen_at} by {chosen_by}");
            let _ = match configured {
                Some(configured) if configured == label => writeln!(text),
                Some(configured) => writeln!(text, "; the configuration says {configured}"),
                None => writeln!(text, "; the configuration names none"),
            };
        }
        if let Some(CutOff { what, before }) = &self.interrupted {
            text.paint(Role::Warning, if *before { "interrupted by a reboot" } else { "interrupted" });
            let next = if *before { "make what is meant" } else { "finish it" };
            let _ =
                writeln!(text, ": {what}; {next} with gresgen apply, or go back with gresgen apply --undo");
        }
    }

    /// `GPUs 0-1 on request: 8 of 24 possible slices are cut, 1 is closed; GPU 0 takes orders`, by the map and the
    /// configuration.
    fn on_request(&self) -> Option<String> {
        let records = || self.map.iter().flat_map(|map| &map.records);
        let guarded = |uuid: &str| {
            records().any(|record| record.no_device() == Some(NoDevice::Guard) && record.parent == uuid)
        };
        let gpus: Vec<u32> =
            self.inventory.gpus.iter().filter(|gpu| guarded(&gpu.uuid)).map(|gpu| gpu.index).collect();
        let cut = records().filter(|record| record.instance.is_some() && guarded(&record.parent)).count();
        let void = records().filter(|record| record.no_device() == Some(NoDevice::Void)).count();
        let all = cut + void;
        let closed = self.inventory.gpus.iter().flat_map(|gpu| &gpu.instances).filter(|i| i.closed).count();
        let closed = match closed {
            0 => String::new(),
            1 => ", 1 is closed".to_owned(),
            _ => format!(", {closed} are closed"),
        };
        let silence = self.silence.filter(|_| !closed.is_empty());
        let silence = silence.map(|since| format!(", and no order has come for {}", span(since.as_secs())));
        let closed = closed + &silence.unwrap_or_default();
        let orders = match &self.ordered[..] {
            [] => String::new(),
            [gpu] => format!("; GPU {gpu} takes orders"),
            gpus => format!("; {} take orders", named_gpus(gpus.iter().copied())),
        };
        (!gpus.is_empty()).then(|| {
            format!("{} on request: {cut} of {all} possible slices are cut{closed}{orders}", named_gpus(gpus))
        })
    }

    /// `7 slices, 1 in use: 5 x 1g.5gb (1 in use), 1 x 2g.10gb, 1 x 3g.20gb`, and whole GPUs.
    fn totals(&self) -> Vec<String> {
        let mut kinds: BTreeMap<Profile, (usize, usize)> = BTreeMap::new();
        for (_, instance, compute) in self.inventory.devices() {
            let (all, used) = kinds.entry(compute.profile).or_default();
            *all += 1;
            *used += usize::from(!self.users.of(instance, compute).is_empty());
        }
        let (all, used) = kinds.values().fold((0, 0), |(all, used), kind| (all + kind.0, used + kind.1));
        let mut lines = Vec::new();
        match kinds.iter().next() {
            None => {}
            Some((profile, _)) if kinds.len() == 1 => {
                lines.push(format!("{all} x {profile}, {}", in_use(used)))
            }
            Some(_) => {
                let kind = |(profile, (all, used)): (&Profile, &(usize, usize))| match used {
                    0 => format!("{all} x {profile}"),
                    _ => format!("{all} x {profile} ({used} in use)"),
                };
                let kinds: Vec<String> = kinds.iter().map(kind).collect();
                lines.push(format!("{}, {}: {}", count(all, "slice"), in_use(used), kinds.join(", ")));
            }
        }
        let (used, whole): (Vec<_>, Vec<_>) =
            self.inventory.whole_gpus().partition(|gpu| self.is_used(gpu, None));
        if !used.is_empty() || !whole.is_empty() {
            let all = count(used.len() + whole.len(), "whole GPU");
            lines.push(format!("{all}, {}", in_use(used.len())));
        }
        lines
    }

    /// The GPUs, with those that are alike in all that would be said of them together.
    fn groups(&self, folded: bool) -> Vec<Vec<&Gpu>> {
        groups(&self.inventory.gpus, |one, other| folded && self.is_alike(one, other))
    }

    fn is_alike(&self, one: &Gpu, other: &Gpu) -> bool {
        let idle = |gpu: &Gpu| {
            !self.is_used(gpu, None)
                && gpu
                    .instances
                    .iter()
                    .all(|i| !i.compute.is_empty() && !i.closed && !self.is_used(gpu, Some(i)))
        };
        let same = one.model == other.model && one.mode == other.mode && one.guest == other.guest;
        same && one.geometry == other.geometry
            && self.parts(one) == self.parts(other)
            && idle(one)
            && idle(other)
    }

    /// What a GPU offers, by place.
    fn parts<'a>(&'a self, gpu: &'a Gpu) -> Vec<(u8, Profile, Option<&'a str>)> {
        let name = |uuid: &str| self.gres(uuid).and_then(|(_, record)| gres_type(record));
        let mut parts: Vec<_> =
            gpu.devices().map(|(i, c)| (i.placement.start, c.profile, name(&c.uuid))).collect();
        parts.sort_unstable();
        parts
    }

    /// Several GPUs of which the same is to be said.
    fn alike(&self, text: &mut Painted, gpus: &[&Gpu]) {
        let gpu = gpus[0];
        title(text, &named_gpus(gpus.iter().map(|gpu| gpu.index)), gpu);
        text.paint(Role::Good, "  idle");
        text.push("\n");
        if !gpu.mode.is_on() {
            if let Some(name) = self.name(&gpu.uuid) {
                let _ = writeln!(text, "  each {name} of {} MiB", gpu.memory_mib);
            }
            return;
        }
        self.drawing(text, gpu);
        let mut kinds: BTreeMap<(Profile, String), (usize, Option<u64>)> = BTreeMap::new();
        for (instance, compute) in gpu.devices() {
            let name = self.name(&compute.uuid).unwrap_or_else(|| compute.profile.to_string());
            let kind = kinds.entry((compute.profile, name)).or_insert((0, memory(gpu, instance)));
            kind.0 += 1;
        }
        let kind = |((_, name), (count, mib)): (&(Profile, String), &(usize, Option<u64>))| match mib {
            Some(mib) => format!("{count} x {name} of {mib} MiB"),
            None => format!("{count} x {name}"),
        };
        let count = kinds.len();
        let kinds = kinds.iter().map(kind).zip(1..);
        let parts = kinds.map(|(kind, number)| if number < count { format!("{kind},") } else { kind });
        if count > 0 {
            text.push(&out::filled("  each ", parts));
        }
        text.push(&out::alternatives("  room for ", &free(gpu)));
    }

    /// `gpu:1g.5gb`, which is what a job asks for.
    fn name(&self, uuid: &str) -> Option<String> {
        let (_, record) = self.gres(uuid)?;
        Some(gres_type(record).map_or_else(|| "gpu".to_owned(), |name| format!("gpu:{name}")))
    }

    fn gpu(&self, text: &mut Painted, gpu: &Gpu, verbose: bool) {
        let Gpu { index, pci, minor, uuid, .. } = gpu;
        title(text, &format!("GPU {index}"), gpu);
        let names = format!("  {}  {pci}  /dev/nvidia{minor}", shown(uuid, verbose));
        let load = self.loads.get(uuid).map(|load| {
            let busy = load.busy_percent.map(|busy| format!(", {busy} % busy")).unwrap_or_default();
            format!("  {} of {} MiB used{busy}", load.used_mib, gpu.memory_mib)
        });
        let load = load.unwrap_or_default();
        let fits = names.chars().count() + load.chars().count() <= screen::line();
        let _ = writeln!(text, "\n{names}{}{load}", if fits { "" } else { "\n" });
        if let (Some(name), Some((index, _))) = (self.name(uuid), self.gres(uuid)) {
            let _ = writeln!(text, "  {name}, index {index}");
        }
        let users: Vec<String> = whole_users(gpu).into_iter().map(|user| said(user, verbose)).collect();
        if !users.is_empty() {
            text.paint(Role::Busy, &format!("  used by {}\n", users.join(", ")));
        }
        if !gpu.mode.is_on() {
            return;
        }
        self.drawing(text, gpu);
        self.devices(text, gpu, verbose);
        text.push(&out::alternatives("  room for ", &free(gpu)));
    }

    fn drawing(&self, text: &mut Painted, gpu: &Gpu) {
        let role = |i: &Instance| if self.is_used(gpu, Some(i)) { Role::Busy } else { Role::Good };
        let placed: Vec<(Placement, Role)> = gpu.instances.iter().map(|i| (i.placement, role(i))).collect();
        text.push("  ");
        text.append(&draw::slices(&gpu.geometry, &placed, screen::columns() - 2));
        text.push("\n");
    }

    /// A row per MIG device, in the order of the drawing, which is not that of ids.
    fn devices(&self, text: &mut Painted, gpu: &Gpu, verbose: bool) {
        let mut instances: Vec<&Instance> = gpu.instances.iter().collect();
        instances.sort_by_key(|instance| instance.placement.start);
        let mut rows = vec![HEADINGS.map(|heading| Cell::new(Role::Faint, heading)).to_vec()];
        let mut behind: Vec<Option<&Compute>> = vec![None];
        // A whole UUID leaves no room for the rest of its row, so it has a line of its own.
        let inline = verbose && screen::line() >= WIDE;
        for instance in instances {
            rows.extend(self.rows(gpu, instance, verbose, inline));
            behind.extend(instance.compute.iter().map(Some));
            behind.extend(instance.compute.is_empty().then_some(None));
        }
        if rows.len() == 1 {
            return;
        }
        keep_columns(&mut rows, verbose);
        for (row, compute) in table(&rows, "  ", screen::line()).iter().zip(behind) {
            text.append(row);
            text.push("\n");
            let Some(compute) = compute.filter(|_| verbose) else { continue };
            if !inline {
                let _ = writeln!(text, "    {}", compute.uuid);
            }
            let paths: Vec<String> =
                compute.files.iter().map(|file| file.path.display().to_string()).collect();
            for line in wrap(&paths.join(" "), screen::line().saturating_sub(4)) {
                let _ = writeln!(text, "    {line}");
            }
        }
    }

    /// A row per MIG device; one for an instance that has none.
    fn rows(&self, gpu: &Gpu, instance: &Instance, verbose: bool, inline: bool) -> Vec<Vec<Cell>> {
        let start = instance.placement.start.to_string();
        let total = memory(gpu, instance).map(|mib| mib.to_string());
        let row = |profile: Profile, ids: String, uuid: &str, user: Cell| {
            let known = |text: Option<String>| Cell::from(text.unwrap_or_else(|| "-".to_owned()));
            vec![
                profile.to_string().into(),
                start.as_str().into(),
                ids.into(),
                known(total.clone()),
                known(self.loads.get(uuid).map(|load| load.used_mib.to_string())),
                shown(uuid, inline).into(),
                known(self.name(uuid)),
                known(self.gres(uuid).map(|(index, _)| index.to_string())),
                user,
            ]
        };
        if instance.compute.is_empty() {
            let nobody = Cell::new(Role::Warning, "nobody can: no compute instance");
            return vec![row(instance.placement.profile, instance.gi.to_string(), "-", nobody)];
        }
        let device = |compute: &Compute| {
            let users = self.users.of(instance, compute);
            let mut users: Vec<String> = users.into_iter().map(|user| said(user, verbose)).collect();
            users.extend(instance.closed.then(|| CLOSED.to_owned()));
            let user = if users.is_empty() {
                Cell::new(Role::Good, "idle")
            } else {
                Cell::new(Role::Busy, users.join(", "))
            };
            row(compute.profile, format!("{}/{}", instance.gi, compute.ci), &compute.uuid, user)
        };
        instance.compute.iter().map(device).collect()
    }
}

/// `AT`: first placement unit; `GI/CI`: ids of GPU instance and compute instance, as in `nvidia-smi`; `MiB`: memory of the
/// GPU instance, which its compute instances share; `USED`: of it, in MiB; `GRES`, `INDEX`: what Slurm calls it.
const HEADINGS: [&str; 9] = ["PROFILE", "AT", "GI/CI", "MiB", "USED", "UUID", "GRES", "INDEX", "USED BY"];
/// Of an instance that Slurm gives to nobody, beside whoever has it.
const CLOSED: &str = "closed";
/// Columns with which a row has room for a whole UUID.
const WIDE: usize = 120;
/// Where `GI/CI` is, which only those need who go on with nvidia-smi.
const IDS: usize = 2;

/// Leaves out columns in which nothing stands.
fn keep_columns(rows: &mut [Vec<Cell>], verbose: bool) {
    let told = |column: usize| rows[1..].iter().any(|row| row[column].text != "-");
    let keep: Vec<bool> =
        (0..HEADINGS.len()).map(|column| told(column) && (verbose || column != IDS)).collect();
    for row in rows {
        let mut keep = keep.iter();
        row.retain(|_| *keep.next().unwrap_or(&true));
    }
}

fn title(text: &mut Painted, name: &str, gpu: &Gpu) {
    text.paint(Role::Title, name);
    let guest = if gpu.guest { ", vGPU guest" } else { "" };
    let _ = write!(text, "  {}  MIG {}{guest}", gpu.model, mode(gpu.mode));
}

/// Memory of a GPU instance in MiB, where it is known.
fn memory(gpu: &Gpu, instance: &Instance) -> Option<u64> {
    gpu.geometry.spec(instance.placement.profile)?.memory_mib
}

fn in_use(count: usize) -> String {
    if count == 0 { "all free".to_owned() } else { format!("{count} in use") }
}

/// A UUID, or as much of it as tells it apart.
fn shown(uuid: &str, whole: bool) -> String {
    let digits = uuid.find('-').map_or(0, |at| at + 1) + SHORT;
    if whole { uuid.to_owned() } else { uuid.chars().take(digits).collect() }
}

/// Who uses something, in few words or in all.
fn said(holder: &Holder, verbose: bool) -> String {
    match holder {
        Holder::Job { id, user } if !verbose => format!("job {id} {user}"),
        Holder::Process { pid, command, user } if !verbose => format!("pid {pid} {command} {user}"),
        holder => holder.to_string(),
    }
}
