//! What the driver allows, by the ids of GPU instances.
//!
//! The driver never compares spans. Every GPU instance id stands for a fixed share of the memory, and of
//! eight slots each belongs to four ids; two instances that share a slot cannot coexist
//! (open-gpu-kernel-modules, `kmigmgrGetInvalidSwizzIdMask`). Nothing here asks the planner's rules.

use mig::boards::{Architecture, ComputeRow, Row};

use crate::code::{Answer, Code};
use crate::machine::{ComputeInstance, Gpu, GpuInstance};
use crate::sheet::{self, compute_row};
use crate::slots::slots;

/// Compute instances have ids 0 to 7 (open-gpu-kernel-modules, nv-caps.c: eight per GPU instance).
const COMPUTE_IDS: u32 = 8;

/// Media-engine part of a profile, by its constant in nvml.h.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Usual,
    /// `*_REV1`, printed `+me`.
    Me,
    /// `*_NO_ME`, printed `-me`.
    None,
    /// `*_ALL_ME`, printed `+me.all`.
    All,
}

impl Media {
    fn of(row: &Row) -> Media {
        match row.nvml_enum {
            7 | 8 => Media::Me,
            13 | 14 => Media::None,
            15 | 16 => Media::All,
            _ => Media::Usual,
        }
    }

    /// One `+me` per GPU; nvml.h on ALL_ME: it prevents all but the NO_ME profiles.
    fn excludes(self, other: Media) -> bool {
        match (self, other) {
            (Media::Me, Media::Me) => true,
            (Media::All, other) | (other, Media::All) => other != Media::None,
            _ => false,
        }
    }
}

/// Ids and starts that a profile can have on this GPU, by ascending id.
pub fn places(gpu: &Gpu, row: &Row) -> Vec<(u32, u32)> {
    let units = u32::from(gpu.board.units);
    let size = u32::from(row.size);
    let share = units / size;
    let first = share - 1; // 0, 1, 3, 7 for a full, half, quarter, eighth of the memory
    (first..first + share)
        .map(|id| (id, mirror(gpu, (id - first) * size, size)))
        .filter(|(_, start)| row.starts.iter().any(|&s| u32::from(s) == *start))
        .collect()
}

/// On a mirrored board the low and the high half have changed places; the whole has not.
fn mirror(gpu: &Gpu, start: u32, size: u32) -> u32 {
    let units = u32::from(gpu.board.units);
    if gpu.traits.mirrored && size < units { start ^ (units / 2) } else { start }
}

/// Whether two instances cannot exist side by side: a slot in common, or media engines.
pub fn conflict(a: (&Row, u32), b: (&Row, u32)) -> bool {
    slots(a.1) & slots(b.1) != 0 || Media::of(a.0).excludes(Media::of(b.0))
}

/// Places of a profile that are free; none once its maximum is reached.
fn free_places(gpu: &Gpu, row: &Row) -> Vec<(u32, u32)> {
    let present = || gpu.instances.iter().map(|i| (gpu.row(i), i.id));
    if present().filter(|(r, _)| r.id == row.id).count() >= usize::from(row.max) {
        return Vec::new();
    }
    let mut places = places(gpu, row);
    places.retain(|&(id, _)| present().all(|other| !conflict((row, id), other)));
    places
}

/// How many more instances of a profile can be made, each at the driver's choice of place.
pub fn remaining(gpu: &Gpu, row: &Row) -> u32 {
    // Places of one profile are disjoint, so that all free ones can be had together up to the maximum.
    let present = gpu.instances.iter().filter(|i| i.profile == row.id).count();
    let free = free_places(gpu, row).len().min(usize::from(row.max).saturating_sub(present));
    free as u32
}

/// Id and start for a new instance of `row`, at `start` if the caller chose one.
///
/// The driver's own choice is not published. This rule gives the ids of every creation log found: the
/// place that leaves the most (profile, id) pairs still creatable over the profiles without a suffix,
/// and of equals the lowest id. The open driver places compute instances by the same idea
/// (`kmigmgrGetFreeCTSId`) and likens it to that of GPU instances.
pub fn place(gpu: &Gpu, row: &Row, start: Option<(u32, u32)>) -> Answer<(u32, u32)> {
    let mut free = free_places(gpu, row);
    if let Some((start, size)) = start {
        let listed = places(gpu, row).iter().any(|&(_, s)| s == start) && size == u32::from(row.size);
        if !listed {
            return Err(Code::INVALID_ARGUMENT);
        }
        free.retain(|&(_, s)| s == start);
    }
    let base = || gpu.board.rows.iter().filter(|r| matches!(r.nvml_enum, 0..=6 | 9));
    let left = |id: u32| -> usize { base().map(|r| places_left(gpu, r, id)).sum() };
    let best = free.into_iter().min_by_key(|&(id, _)| (std::cmp::Reverse(left(id)), id));
    best.ok_or(Code::INSUFFICIENT_RESOURCES)
}

/// Places of `row` that stay free next to the GPU's instances and the id `taken`; maxima do not count here.
fn places_left(gpu: &Gpu, row: &Row, taken: u32) -> usize {
    let present = gpu.instances.iter().fold(slots(taken), |mask, i| mask | slots(i.id));
    places(gpu, row).iter().filter(|(id, _)| slots(*id) & present == 0).count()
}

/// Starts that a compute instance profile can have in a GPU instance, free or not, in compute slices.
///
/// Ampere takes any start; from Hopper on starts are aligned to the next power of two
/// (open-gpu-kernel-modules, `kmigmgrGetFreeCTSId` against the older span search).
pub fn compute_places(gpu: &Gpu, row: &Row, compute: &ComputeRow) -> Vec<u32> {
    let width = u32::from(compute.slices);
    let step = match gpu.board.architecture {
        Architecture::Ampere => 1,
        Architecture::Hopper | Architecture::Blackwell => width.next_power_of_two(),
    };
    (0..=sheet::slices(row) - width).step_by(step as usize).collect()
}

/// How many more compute instances of a profile can be made in a GPU instance.
pub fn compute_remaining(gpu: &Gpu, instance: &GpuInstance, compute: &ComputeRow) -> u32 {
    let mut filled = instance.clone();
    let mut count = 0;
    while let Ok((id, start)) = compute_place(gpu, &filled, compute, None) {
        filled.compute.push(ComputeInstance { id, profile: compute.id, start, birth: 0 });
        count += 1;
    }
    count
}

/// Id and start for a new compute instance, at `start` if the caller chose one.
///
/// Ampere takes the lowest free run of slices; from Hopper on the place that leaves the most compute
/// instances creatable (same sources as [`compute_places`]). Ids are the lowest free ones.
pub fn compute_place(
    gpu: &Gpu,
    instance: &GpuInstance,
    compute: &ComputeRow,
    start: Option<(u32, u32)>,
) -> Answer<(u32, u32)> {
    let row = gpu.row(instance);
    let mut starts = compute_places(gpu, row, compute);
    if let Some((start, size)) = start {
        if !starts.contains(&start) || size != u32::from(compute.slices) {
            return Err(Code::INVALID_ARGUMENT);
        }
        starts.retain(|&s| s == start);
    }
    let taken = taken_slices(row, instance);
    starts.retain(|&s| run(s, compute) & taken == 0);
    let present = instance.compute.iter().filter(|c| c.profile == compute.id).count();
    let full = present >= sheet::compute_max(compute) as usize;
    if full || !sms_suffice(gpu, instance, compute) {
        starts.clear();
    }
    let id = (0..COMPUTE_IDS).find(|id| instance.compute.iter().all(|c| c.id != *id));
    let left = |start: u32| match gpu.board.architecture {
        Architecture::Ampere => 0,
        Architecture::Hopper | Architecture::Blackwell => starts_left(gpu, row, taken | run(start, compute)),
    };
    let best = starts.into_iter().min_by_key(|&s| (std::cmp::Reverse(left(s)), s));
    id.zip(best).ok_or(Code::INSUFFICIENT_RESOURCES)
}

/// Starts of all compute profiles of `row` that stay free next to the `taken` slices.
fn starts_left(gpu: &Gpu, row: &Row, taken: u32) -> usize {
    let free =
        |c: &ComputeRow| compute_places(gpu, row, c).iter().filter(|&&s| run(s, c) & taken == 0).count();
    row.compute.iter().map(free).sum()
}

/// Whether a GPU instance can hold these compute instances: known profiles at their places, no slice twice,
/// ids ascending.
pub fn compute_is_legal(gpu: &Gpu, row: &Row, all: &[ComputeInstance]) -> bool {
    let mut taken = 0;
    let fits = |instance: &ComputeInstance| {
        let Some(compute) = row.compute.iter().find(|c| c.id == instance.profile) else { return false };
        let slices = run(instance.start, compute);
        let free = taken & slices == 0;
        taken |= slices;
        free && compute_places(gpu, row, compute).contains(&instance.start)
    };
    all.is_sorted_by(|a, b| a.id < b.id) && all.iter().all(fits)
}

/// The `1_SLICE_REV1` profile takes more multiprocessors than its one slice: what is left must do for
/// the others (inferred from the SM counts of `nvidia-smi mig -lcip` on H100).
fn sms_suffice(gpu: &Gpu, instance: &GpuInstance, compute: &ComputeRow) -> bool {
    const REV1: u32 = 7;
    let row = gpu.row(instance);
    let all = || instance.compute.iter().map(|c| compute_row(row, c.profile)).chain([compute]);
    let used: u32 = all().map(|c| sheet::compute_sms(gpu.board, row, c)).sum();
    all().all(|c| c.id != REV1) || used <= sheet::sms(gpu.board, row)
}

fn taken_slices(row: &Row, instance: &GpuInstance) -> u32 {
    instance.compute.iter().fold(0, |mask, c| mask | run(c.start, compute_row(row, c.profile)))
}

fn run(start: u32, compute: &ComputeRow) -> u32 {
    ((1 << compute.slices) - 1) << start
}

#[cfg(test)]
mod tests;
