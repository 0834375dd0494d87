//! From what the GPUs of a node hold to what is wanted, with the fewest changes.
//!
//! The plan is exact. In this order: instances in use stay where they are; the demand is met, no
//! instance more or less; the fewest idle instances are destroyed; the fewest are created; the most room
//! is left (see [`Cost`]). Instances cannot move, so the change from a present layout `S` to a wanted one
//! `T` is always: destroy `S \ T`, create `T \ S`; what is to be found is the best `T` of every GPU.

use std::cmp::Ordering;
use std::ops::AddAssign;

use crate::fold::{Problem, Purpose};
use crate::geometry::Placement;
use crate::goal::{Demand, Goal, GpuState};
use crate::nearest;
use crate::profile::Profile;
use crate::room;
use crate::shortage::Infeasible;

/// The layout each GPU shall have. What to destroy and create follows from the present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Sorted placements, one list per GPU given to [`plan()`].
    pub layouts: Vec<Vec<Placement>>,
    /// What it costs.
    pub cost: Cost,
}

/// What a plan costs. Less is better, field by field in this order, and more room is better.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Idle instances destroyed.
    pub destroyed: u32,
    /// Instances created.
    pub created: u32,
    /// How many more instances of each profile fit afterwards, each profile taken alone, summed over the
    /// goals' GPUs. Compared from the largest profile down.
    pub room: Demand,
}

impl Ord for Cost {
    fn cmp(&self, other: &Self) -> Ordering {
        let mut profiles: Vec<Profile> = self.room.keys().chain(other.room.keys()).copied().collect();
        profiles.sort_unstable_by(|a, b| b.cmp(a));
        let of = |cost: &Cost, profile| cost.room.get(profile).copied().unwrap_or(0);
        let room = || profiles.iter().map(|p| of(other, p).cmp(&of(self, p))).find(|o| o.is_ne());
        (self.destroyed, self.created)
            .cmp(&(other.destroyed, other.created))
            .then_with(|| room().unwrap_or(Ordering::Equal))
    }
}

impl PartialOrd for Cost {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.destroyed += other.destroyed;
        self.created += other.created;
        for (profile, more) in other.room {
            *self.room.entry(profile).or_default() += more;
        }
    }
}

/// What it costs to give one GPU this layout.
pub fn cost(gpu: &GpuState<'_>, layout: &[Placement]) -> Cost {
    let count = |from: &[Placement], without: &[Placement]| {
        u32::try_from(from.iter().filter(|p| !without.contains(p)).count()).unwrap_or(u32::MAX)
    };
    let held = gpu.placed();
    Cost {
        destroyed: count(&held, layout),
        created: count(layout, &held),
        room: room::room(gpu.geometry, layout),
    }
}

/// The best plan, or why there is none. GPUs of no goal stay as they are.
///
/// Equal input gives an equal plan, and GPUs in equal states are interchangeable: listed in another order,
/// every GPU gets the layout it would have got, up to exchanges among those in equal states.
///
/// # Errors
/// The first goal that cannot be met, with what is short, the nearest layout and the instances in the way.
///
/// # Panics
/// When a goal names a GPU that is not in `gpus`.
pub fn plan(gpus: &[GpuState<'_>], goals: &[Goal]) -> Result<Plan, Box<Infeasible>> {
    let mut plan = Plan { layouts: gpus.iter().map(GpuState::placed).collect(), cost: Cost::default() };
    for (index, goal) in goals.iter().enumerate() {
        let layouts = Problem::new(gpus, goal, Purpose::Solve)
            .and_then(|problem| problem.solve().ok_or_else(|| nearest::explain(gpus, goal)))
            .map_err(|shortage| shortage.of(index))?;
        for (&gpu, layout) in goal.gpus.iter().zip(layouts) {
            plan.cost += cost(&gpus[gpu], &layout);
            plan.layouts[gpu] = layout;
        }
    }
    Ok(plan)
}
