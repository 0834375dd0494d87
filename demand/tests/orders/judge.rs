//! What may be ordered: judged by the simulated driver, which takes no rule from the planner.

use std::collections::HashSet;

use demand::{Cluster, Order, State};
use mig::{Goal, GpuState, Placement, Want};
use nvml_sim::machine::{Gpu, GpuInstance, Machine};
use nvml_sim::rules;

/// Carries the orders out on simulated GPUs.
///
/// # Panics
/// When an order is one that may not be given.
pub(crate) fn orders(key: &str, cluster: &Cluster, orders: &[Order]) {
    let mut cut = HashSet::new();
    for order in orders {
        match order {
            Order::Cut(order) => {
                assert!(cut.insert(order.node), "one cut for a node at a time");
                let mut gpus = HashSet::new();
                for change in &order.gpus {
                    assert!(gpus.insert(change.gpu));
                    let gpu = &cluster.nodes[order.node].gpus[change.gpu];
                    let mut held: Vec<Placement> = gpu.instances.iter().map(|i| i.placement).collect();
                    for gone in &change.destroy {
                        let of = gpu.instances.iter().find(|i| i.placement == *gone).expect("it exists");
                        assert_eq!(of.state, State::Idle, "{order:?}");
                        assert!(
                            order.job.is_none() || change.wanted.iter().any(|p| overlap(key, *p, *gone)),
                            "{order:?}"
                        );
                        held.retain(|p| p != gone);
                    }
                    drive(key, &held, &change.create);
                    planned(key, gpu, &held, &change.create);
                    assert!(change.wanted.iter().all(|p| change.create.contains(p)));
                    assert!(order.job.is_none() || !change.wanted.is_empty());
                }
            }
            Order::Close(instances) | Order::Open(instances) => {
                let closes = matches!(order, Order::Close(_));
                for (gpu, placements) in &instances.gpus {
                    assert!(!placements.is_empty());
                    for placement in placements {
                        let mut all = cluster.nodes[instances.node].gpus[*gpu].instances.iter();
                        let of = all.find(|i| i.placement == *placement).expect("it exists");
                        assert_ne!(of.closed, closes, "{order:?}");
                    }
                }
            }
        }
    }
    // Nothing is given out and destroyed by one look.
    for order in orders {
        let Order::Open(instances) = order else { continue };
        for other in orders {
            let Order::Cut(cut) = other else { continue };
            for change in cut.gpus.iter().filter(|_| cut.node == instances.node) {
                let opened = instances.gpus.iter().filter(|(gpu, _)| *gpu == change.gpu).flat_map(|(_, p)| p);
                assert!(opened.into_iter().all(|p| !change.destroy.contains(p)), "{order:?} {other:?}");
            }
        }
    }
}

/// Makes instances on a simulated GPU beside those it holds.
fn drive(key: &str, held: &[Placement], create: &[Placement]) {
    let mut gpu = Machine::new(&key.parse().unwrap(), None).gpus.remove(0);
    for placement in held.iter().chain(create) {
        make(&mut gpu, *placement);
    }
}

fn make(gpu: &mut Gpu, placement: Placement) {
    let name = placement.profile.to_string();
    let row = gpu.board.rows.iter().find(|row| row.name == name).unwrap();
    let start = u32::from(placement.start);
    let (id, start) = rules::place(gpu, row, Some((start, u32::from(row.size))))
        .unwrap_or_else(|code| panic!("the driver refuses {placement} beside {:?}: {code:?}", gpu.instances));
    gpu.instances.push(GpuInstance { id, profile: row.id, start, birth: 0, compute: Vec::new() });
}

/// The planner reaches the same layout, with as few destroyed.
fn planned(key: &str, gpu: &demand::Gpu, kept: &[Placement], create: &[Placement]) {
    let geometry = super::geometry(key);
    let of = |busy: bool| {
        let all = gpu.instances.iter().filter(|i| matches!(i.state, State::Busy { .. }) == busy);
        all.map(|i| i.placement).collect::<Vec<_>>()
    };
    let state = GpuState { geometry: &geometry, busy: of(true), idle: of(false) };
    let layout: Vec<Placement> = kept.iter().chain(create).copied().collect();
    let goal = Goal { gpus: vec![0], want: Want::At(layout.clone()) };
    let plan = mig::plan(std::slice::from_ref(&state), &[goal]).unwrap();
    let destroyed = gpu.instances.len() - kept.len();
    assert_eq!(plan.cost.destroyed as usize, destroyed, "{layout:?}");
}

fn overlap(key: &str, a: Placement, b: Placement) -> bool {
    super::geometry(key).conflict(a, b)
}
