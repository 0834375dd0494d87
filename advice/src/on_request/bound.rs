//! How long jobs wait where a GPU has no places, only room.

use mig::Geometry;
use replay::{Job, Recut, Rules, Slots};

use super::{Outcome, replayed};
use crate::demand::{Class, Request};
use crate::kinds::Kinds;
use crate::layout::Fleet;

/// Replays jobs on nodes on which a job starts when a GPU has as many placement units and compute slices left as it asks for,
/// wherever they are: what no cut can better, taking jobs in the same order and the first GPU with room.
///
/// Plans for jobs that wait, unless `rules` have a window of 0, go by what jobs of a kind have and what has room now, as Slurm's go by
/// the records that are open.
pub fn bound(
    geometry: &Geometry,
    kinds: &Kinds,
    rules: Rules,
    fleet: Fleet,
    classes: &[Class],
    jobs: &[Request],
) -> Outcome {
    let sizes = kinds.all.iter().map(|kind| (u32::from(kind.units), u32::from(kind.slices))).collect();
    let whole = (u32::from(kinds.units), u32::from(kinds.slices));
    let fluid =
        Fluid { sizes, free: vec![vec![whole; fleet.gpus as usize]; fleet.nodes as usize], on: Vec::new() };
    replayed(geometry, kinds, rules, fleet, classes, jobs, fluid)
}

/// Units and slices.
type Size = (u32, u32);

struct Fluid {
    sizes: Vec<Size>,
    /// Of each GPU of each node.
    free: Vec<Vec<Size>>,
    /// Number of the job, node, GPU, and what it has there.
    on: Vec<(u32, usize, usize, Size)>,
}

impl Fluid {
    fn publish(&self, node: usize, slots: &mut Slots<'_>) {
        for (pool, size) in self.sizes.iter().enumerate() {
            let fits = |free: &Size| (free.0 / size.0).min(free.1 / size.1);
            let free: u32 = self.free[node].iter().map(fits).sum();
            let held = self.on.iter().filter(|(_, on, _, of)| *on == node && of == size).count() as u32;
            slots.set(pool, node, free + held, free);
        }
    }
}

impl Recut for Fluid {
    fn started(&mut self, _: u32, number: u32, job: &Job, nodes: &[usize], slots: &mut Slots<'_>) {
        let size = self.sizes[usize::from(job.pool)];
        for &node in nodes {
            for _ in 0..job.count {
                let room = |free: &Size| free.0 >= size.0 && free.1 >= size.1;
                let Some(gpu) = self.free[node].iter().position(room) else { continue };
                let free = &mut self.free[node][gpu];
                *free = (free.0 - size.0, free.1 - size.1);
                self.on.push((number, node, gpu, size));
            }
            self.publish(node, slots);
        }
    }

    fn ended(&mut self, _: u32, number: u32, node: usize, slots: &mut Slots<'_>) {
        let free = &mut self.free[node];
        self.on.retain(|&(other, on, gpu, size)| {
            let ends = other == number && on == node;
            if ends {
                free[gpu] = (free[gpu].0 + size.0, free[gpu].1 + size.1);
            }
            !ends
        });
        self.publish(node, slots);
    }

    fn advance(&mut self, now: u32, slots: &mut Slots<'_>) {
        if now == 0 {
            (0..self.free.len()).for_each(|node| self.publish(node, slots));
        }
    }
}
