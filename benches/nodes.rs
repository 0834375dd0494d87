//! Random nodes and demands, the same in every run.

use mig::{Board, Demand, Geometry, GpuState, Placement, counts};

/// GPUs of a node.
pub(crate) const GPUS: usize = 8;

/// What jobs ask for: weights of 1g, 1g+me, double-memory 1g, 2g, 3g, 4g and 7g.
pub(crate) const MIXES: [(&str, [u32; 7]); 7] = [
    ("equal", [1, 1, 1, 1, 1, 1, 1]),
    ("small", [6, 1, 2, 3, 1, 0, 0]),
    ("large", [1, 0, 0, 1, 3, 3, 2]),
    ("plain", [3, 0, 0, 2, 2, 1, 1]),
    ("thirds", [2, 0, 0, 2, 4, 0, 0]),
    ("memory", [1, 0, 5, 2, 1, 1, 0]),
    ("ones", [5, 2, 3, 0, 0, 0, 0]),
];

/// A board whose profiles are in the order of [`MIXES`].
pub(crate) fn geometry() -> Geometry {
    let mut geometry = Board::by_key("a100-40gb").expect("a board of the table").geometry();
    geometry.specs.sort_by_key(|s| s.profile);
    let names: Vec<String> = geometry.specs.iter().map(|s| s.profile.to_string()).collect();
    assert_eq!(names, ["1g.5gb", "1g.5gb+me", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]);
    geometry
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((z ^ z >> 31) % u64::from(bound)).unwrap_or_default()
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// A spec drawn by weight.
    pub(crate) fn spec(&mut self, mix: &[u32; 7]) -> u8 {
        let mut draw = self.below(mix.iter().sum());
        let mut spec = 0;
        for &weight in mix {
            if draw < weight {
                break;
            }
            draw -= weight;
            spec += 1;
        }
        spec
    }
}

/// How a node looks after a while of jobs coming and going.
#[derive(Clone, Copy)]
pub(crate) struct Churn {
    pub(crate) name: &'static str,
    /// Of the instances that once filled the GPUs, so many per cent are in use now,
    pub(crate) busy: u32,
    /// and so many are left over without a user; the others are gone.
    pub(crate) idle: u32,
}

pub(crate) const EMPTY: Churn = Churn { name: "empty", busy: 0, idle: 0 };
pub(crate) const PACKED: Churn = Churn { name: "packed", busy: 60, idle: 40 };
pub(crate) const SPREAD: Churn = Churn { name: "spread", busy: 35, idle: 30 };

/// GPUs filled with instances of the mix at random places, of which churn leaves some.
pub(crate) fn node<'a>(
    geometry: &'a Geometry,
    random: &mut Random,
    mix: &[u32; 7],
    churn: Churn,
) -> Vec<GpuState<'a>> {
    (0..GPUS).map(|_| churned(geometry, random, mix, churn)).collect()
}

fn churned<'a>(geometry: &'a Geometry, random: &mut Random, mix: &[u32; 7], churn: Churn) -> GpuState<'a> {
    let mut state = GpuState { geometry, busy: Vec::new(), idle: Vec::new() };
    for placed in filled(geometry, random, mix) {
        if random.chance(churn.busy) {
            state.busy.push(placed);
        } else if random.chance(churn.idle * 100 / (100 - churn.busy)) {
            state.idle.push(placed);
        }
    }
    state
}

/// A layout of the mix to which nothing of it can be added.
fn filled(geometry: &Geometry, random: &mut Random, mix: &[u32; 7]) -> Vec<Placement> {
    let mut layout: Vec<Placement> = Vec::new();
    let mut open = *mix;
    while open.iter().any(|&w| w > 0) {
        let spec = random.spec(&open);
        let places = geometry.specs[usize::from(spec)].placements();
        let free: Vec<Placement> =
            places.filter(|p| layout.iter().all(|&q| !geometry.conflict(*p, q))).collect();
        match free.len() {
            0 => open[usize::from(spec)] = 0,
            n => layout.push(free[random.below(u32::try_from(n).unwrap_or(1)) as usize]),
        }
    }
    layout
}

/// New instances in the order they are asked for, until together with those in use they take `percent`
/// of all placement units.
pub(crate) fn asked(gpus: &[GpuState<'_>], random: &mut Random, mix: &[u32; 7], percent: u32) -> Vec<u8> {
    let geometry = gpus[0].geometry;
    let size = |spec: u8| u32::from(geometry.specs[usize::from(spec)].size);
    let busy: u32 = gpus.iter().flat_map(|g| &g.busy).map(|&p| geometry.span(p).len() as u32).sum();
    let total = u32::from(geometry.units) * u32::try_from(gpus.len()).unwrap_or(0);
    let mut left = (total * percent / 100).saturating_sub(busy);
    let mut new = Vec::new();
    loop {
        let spec = random.spec(mix);
        match left.checked_sub(size(spec)) {
            Some(rest) => left = rest,
            None => return new,
        }
        new.push(spec);
    }
}

/// What the node shall hold: what is in use and what is asked for.
pub(crate) fn demand(gpus: &[GpuState<'_>], new: &[u8]) -> Demand {
    let mut demand = Demand::new();
    let geometry = gpus[0].geometry;
    let new = new.iter().map(|&spec| (geometry.specs[usize::from(spec)].profile, 1));
    let busy = gpus.iter().flat_map(|g| counts(&g.busy));
    for (profile, count) in busy.chain(new) {
        *demand.entry(profile).or_default() += count;
    }
    demand
}
