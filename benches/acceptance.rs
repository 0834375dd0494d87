//! How often a demand that fits is placed, and what it costs, beside the usual ways of doing it:
//! `cargo bench -p mig --bench acceptance`.
//!
//! All start from the same nodes and are asked for the same instances; what is in use stays in all of
//! them. Only demands that fit (the planner finds a layout) are counted.

#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod nodes;

use mig::{Attribute, Geometry, Goal, GpuState, Placement, Plan, Want, plan};
use nodes::{Churn, EMPTY, GPUS, MIXES, PACKED, Random, SPREAD};

/// Nodes for each mix and load.
const NODES: usize = 200;

/// A way to place a demand: idle instances destroyed and instances created, or `None` when some did not fit.
type Method = fn(&[GpuState<'_>], &[u8]) -> Option<(usize, usize)>;

const METHODS: [(&str, Method); 4] = [
    ("free space only", |gpus, new| place(gpus, new, Clear::Nothing, Order::Asked)),
    ("driver default", |gpus, new| place(gpus, new, Clear::Unneeded, Order::Asked)),
    ("driver default, largest first", |gpus, new| place(gpus, new, Clear::Unneeded, Order::Largest)),
    ("clear and recreate", |gpus, new| place(gpus, new, Clear::FreeGpus, Order::Largest)),
];

/// Idle instances destroyed beforehand.
#[derive(Clone, Copy, PartialEq)]
enum Clear {
    /// None.
    Nothing,
    /// Those the demand has no use for.
    Unneeded,
    /// All on GPUs without an instance in use; other GPUs keep theirs and get no new ones. The rule of
    /// tools that reconfigure whole GPUs.
    FreeGpus,
}

/// In which order missing instances are created.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Asked,
    Largest,
}

fn main() {
    let geometry = nodes::geometry();
    check_driver_model(&geometry);
    println!("| state | load | demands that fit | method | placed whole | idle destroyed | created |");
    println!("|---|---|---|---|---|---|---|");
    for churn in [EMPTY, PACKED, SPREAD] {
        for load in [80, 90, 100] {
            study(&geometry, churn, load);
        }
    }
}

/// One state and load over all mixes. Costs are means over the demands that a method places.
fn study(geometry: &Geometry, churn: Churn, load: u32) {
    let mut random = Random(u64::from(load) << 32 | u64::from(churn.busy));
    let mut fit = 0;
    let mut exact = (0, 0);
    let mut results = [(0, 0, 0, 0, 0); METHODS.len()];
    for (_, mix) in &MIXES {
        for _ in 0..NODES {
            let gpus = nodes::node(geometry, &mut random, mix, churn);
            let new = nodes::asked(&gpus, &mut random, mix, load);
            let want = Want::Exactly(nodes::demand(&gpus, &new));
            let goal = Goal { gpus: (0..GPUS).collect(), want };
            let Ok(Plan { cost, .. }) = plan(&gpus, &[goal]) else { continue };
            fit += 1;
            exact = (exact.0 + cost.destroyed as usize, exact.1 + cost.created as usize);
            for ((_, method), sums) in METHODS.iter().zip(&mut results) {
                if let Some((destroyed, created)) = method(&gpus, &new) {
                    *sums = (
                        sums.0 + 1,
                        sums.1 + destroyed,
                        sums.2 + created,
                        sums.3 + cost.destroyed as usize,
                        sums.4 + cost.created as usize,
                    );
                }
            }
        }
    }
    let mean = |sum: usize, n: usize| if n == 0 { 0.0 } else { sum as f64 / n as f64 };
    println!(
        "| {} | {load} % | {fit} | exact | 100.0 % | {:.2} | {:.2} |",
        churn.name,
        mean(exact.0, fit),
        mean(exact.1, fit)
    );
    for ((name, _), (placed, destroyed, created, least, fewest)) in METHODS.iter().zip(results) {
        println!(
            "| | | | {name} | {:.1} % | {:.2} (exact on these: {:.2}) | {:.2} ({:.2}) |",
            100.0 * mean(placed, fit),
            mean(destroyed, placed),
            mean(least, placed),
            mean(created, placed),
            mean(fewest, placed)
        );
    }
}

fn place(gpus: &[GpuState<'_>], new: &[u8], clear: Clear, order: Order) -> Option<(usize, usize)> {
    let geometry = gpus[0].geometry;
    let mut missing = new.to_vec();
    let mut layouts: Vec<Vec<Placement>> = gpus.iter().map(|g| g.busy.clone()).collect();
    let mut destroyed = 0;
    let open = |gpu: usize| clear != Clear::FreeGpus || gpus[gpu].busy.is_empty();
    for (gpu, state) in gpus.iter().enumerate() {
        for &idle in &state.idle {
            let cleared = clear == Clear::FreeGpus && state.busy.is_empty();
            let wanted = missing
                .iter()
                .position(|&spec| geometry.specs[usize::from(spec)].profile == idle.profile)
                .filter(|_| !cleared);
            match wanted {
                Some(at) => {
                    missing.remove(at);
                    layouts[gpu].push(idle);
                }
                None if clear == Clear::Nothing || !open(gpu) => layouts[gpu].push(idle),
                None => destroyed += 1,
            }
        }
    }
    if order == Order::Largest {
        missing.sort_by_key(|&spec| std::cmp::Reverse(geometry.specs[usize::from(spec)].profile));
    }
    for &spec in &missing {
        let fits = |gpu: usize| open(gpu).then(|| driver_default(geometry, &layouts[gpu], spec)).flatten();
        let (gpu, placed) = (0..GPUS).find_map(|gpu| fits(gpu).map(|placed| (gpu, placed)))?;
        layouts[gpu].push(placed);
    }
    Some((destroyed, missing.len()))
}

/// Where the driver puts an instance when it is not told: inferred from published logs of creations, since
/// the choice is made in firmware. Of the free places the one that leaves the most places of plain
/// profiles; the first of equals.
fn driver_default(geometry: &Geometry, layout: &[Placement], spec: u8) -> Option<Placement> {
    let free = |layout: &[Placement], p: Placement| layout.iter().all(|&q| !geometry.conflict(p, q));
    let left = |chosen: Placement| {
        let after = [layout, &[chosen]].concat();
        let plain = |p: &Placement| p.profile.attribute() == Attribute::None;
        geometry.placements().filter(|p| plain(p) && free(&after, *p)).count()
    };
    let places = geometry.specs[usize::from(spec)].placements().filter(|p| free(layout, *p));
    places.min_by_key(|&p| (std::cmp::Reverse(left(p)), p.start))
}

/// The order in which seven 1g instances were seen to be placed on A100 and H100.
fn check_driver_model(geometry: &Geometry) {
    let mut layout = Vec::new();
    while let Some(placed) = driver_default(geometry, &layout, 0) {
        layout.push(placed);
    }
    let starts: Vec<u8> = layout.iter().map(|p| p.start).collect();
    assert_eq!(starts, [6, 4, 5, 0, 1, 2, 3]);
}
