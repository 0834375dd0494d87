//! The search for why a goal has no plan: what is in the way, and the nearest layout that fits.

use crate::fold::{Problem, Purpose, wanted};
use crate::geometry::Placement;
use crate::goal::{Demand, Goal, GpuState, Want};
use crate::profile::{Attribute, Profile};
use crate::room;
use crate::shortage::{Blocker, Infeasible, Nearest, Reason};

/// Says why a goal that is right in itself has no plan.
pub(crate) fn explain(gpus: &[GpuState<'_>], goal: &Goal) -> Box<Infeasible> {
    let members: Vec<&GpuState<'_>> = goal.gpus.iter().map(|&g| &gpus[g]).collect();
    let blockers = blockers(gpus, goal);
    let reason = match &blockers {
        None => Reason::TooMuch,
        Some(_) if unwanted(&members, &goal.want) => Reason::Unwanted,
        Some(_) => Reason::Blocked,
    };
    let (demand, _) = wanted(&members, &goal.want);
    let holds = nearest(gpus, goal);
    let short = minus(&demand, &holds);
    let distance = total(&short).saturating_add(total(&minus(&holds, &demand)));
    Box::new(Infeasible {
        short,
        nearest: Some(Nearest { holds, distance }),
        blockers: blockers.unwrap_or_default(),
        ..*Infeasible::plain(goal, reason)
    })
}

/// Whether what is in use can be no part of any layout wanted.
fn unwanted(members: &[&GpuState<'_>], want: &Want) -> bool {
    match want {
        Want::At(places) => members.iter().any(|g| g.busy.iter().any(|p| !places.contains(p))),
        Want::Exactly(demand) | Want::Including { demand, .. } => !minus(&busy(members), demand).is_empty(),
    }
}

/// Instances in use whose release makes the goal possible, and no fewer of them do; `None` when not even
/// releasing all does.
fn blockers(gpus: &[GpuState<'_>], goal: &Goal) -> Option<Vec<Blocker>> {
    let mut gpus = gpus.to_vec();
    let mut busy: Vec<(usize, Placement)> = Vec::new();
    for &gpu in &goal.gpus {
        let mut released = std::mem::take(&mut gpus[gpu].busy);
        released.sort_unstable();
        busy.extend(released.iter().map(|&p| (gpu, p)));
        gpus[gpu].idle.extend(released);
    }
    if !possible(&gpus, goal) {
        return None;
    }
    let mut found = Vec::new();
    hold(&mut gpus, goal, &busy, &mut found);
    Some(found)
}

/// Puts instances back into use as far as the goal stays possible, in order; the others are blockers.
/// Few of many are, so a whole run is tried before its halves.
fn hold(gpus: &mut [GpuState<'_>], goal: &Goal, run: &[(usize, Placement)], found: &mut Vec<Blocker>) {
    for &(gpu, placed) in run {
        gpus[gpu].busy.push(placed);
        gpus[gpu].idle.retain(|&p| p != placed);
    }
    if possible(gpus, goal) {
        return;
    }
    for &(gpu, placed) in run {
        gpus[gpu].busy.retain(|&p| p != placed);
        gpus[gpu].idle.push(placed);
    }
    match run {
        [] => {}
        &[(gpu, placement)] => found.push(Blocker { gpu, placement }),
        _ => {
            let (first, second) = run.split_at(run.len() / 2);
            hold(gpus, goal, first, found);
            hold(gpus, goal, second, found);
        }
    }
}

/// The most that can be had of a goal beside what is in use: the fewest instances given up, and among
/// equal numbers larger ones kept where exchanging one instance for another allows it.
///
/// Smallest first serves the most instances, because wherever a larger instance stands a smaller one
/// could. That argument needs GPUs with the same profiles; in a goal over different models the result
/// fits too, but a layout with more instances may exist.
fn nearest(gpus: &[GpuState<'_>], goal: &Goal) -> Demand {
    let members: Vec<&GpuState<'_>> = goal.gpus.iter().map(|&g| &gpus[g]).collect();
    let (mut demand, fixed) = wanted(&members, &goal.want);
    let clashes =
        |p: &Placement| members.iter().any(|g| g.busy.iter().any(|b| b != p && g.geometry.conflict(*b, *p)));
    let (given_up, places): (Vec<Placement>, Vec<Placement>) = fixed.iter().partition(|p| clashes(p));
    // Instances that cannot stand where they were wanted are given up.
    let mut floor = Demand::new();
    for gpu in &members {
        let mut stay: Vec<Placement> = gpu.busy.iter().chain(&places).copied().collect();
        stay.sort_unstable();
        stay.dedup();
        add(&mut floor, room::counts(&stay));
        demand = minus(&demand, &room::counts(&given_up));
    }
    let mut most = demand.clone();
    for (&profile, &count) in &floor {
        let wanted = most.entry(profile).or_default();
        *wanted = (*wanted).max(count);
    }
    let want = Want::Including { places, demand: most };
    // Right in itself, as the goal it comes from is.
    let Ok(problem) = Problem::new(gpus, &Goal { gpus: goal.gpus.clone(), want }, Purpose::Check) else {
        return floor;
    };
    let fits = |demand: &Demand| problem.feasible(demand);
    let mut order: Vec<Profile> = demand.keys().copied().collect();
    order.sort_unstable_by_key(|p| (p.slices(), p.memory_gb(), exclusive(p.attribute()), *p));
    let mut holds = floor.clone();
    for &profile in &order {
        raise(&mut holds, profile, demand[&profile], &fits);
    }
    for &large in order.iter().rev() {
        for &small in order.iter().take_while(|&&small| small != large) {
            while count(&holds, large) < demand[&large] && count(&holds, small) > count(&floor, small) {
                let mut exchanged = holds.clone();
                add(&mut exchanged, Demand::from([(large, 1)]));
                exchanged = minus(&exchanged, &Demand::from([(small, 1)]));
                if !fits(&exchanged) {
                    break;
                }
                holds = exchanged;
            }
        }
    }
    holds
}

/// Raises one count as far as it fits, by bisection: what fits still fits with an instance less.
fn raise(holds: &mut Demand, profile: Profile, limit: u32, fits: &impl Fn(&Demand) -> bool) {
    let (mut fitting, mut tried) = (count(holds, profile), limit.saturating_add(1));
    while fitting + 1 < tried {
        let middle = fitting + (tried - fitting) / 2;
        let mut more = holds.clone();
        more.insert(profile, middle);
        if fits(&more) { fitting = middle } else { tried = middle }
    }
    if fitting > 0 {
        holds.insert(profile, fitting);
    }
}

/// How much a variant of a profile shuts out, for ordering profiles of one size.
fn exclusive(attribute: Attribute) -> u8 {
    match attribute {
        Attribute::NoMe => 0,
        Attribute::None | Attribute::Gfx => 1,
        Attribute::Me => 2,
        Attribute::MeAll => 3,
    }
}

fn possible(gpus: &[GpuState<'_>], goal: &Goal) -> bool {
    Problem::new(gpus, goal, Purpose::Check).is_ok_and(|problem| problem.is_feasible())
}

fn busy(members: &[&GpuState<'_>]) -> Demand {
    let mut all = Demand::new();
    for gpu in members {
        add(&mut all, room::counts(&gpu.busy));
    }
    all
}

fn count(demand: &Demand, profile: Profile) -> u32 {
    demand.get(&profile).copied().unwrap_or(0)
}

fn total(demand: &Demand) -> u32 {
    demand.values().fold(0, |sum, &n| sum.saturating_add(n))
}

fn add(to: &mut Demand, more: Demand) {
    for (profile, n) in more {
        let count = to.entry(profile).or_default();
        *count = count.saturating_add(n);
    }
}

/// Componentwise difference, without what is not positive.
fn minus(from: &Demand, less: &Demand) -> Demand {
    from.iter()
        .map(|(&profile, &n)| (profile, n.saturating_sub(count(less, profile))))
        .filter(|&(_, n)| n > 0)
        .collect()
}
