//! What one GPU can provide: for every combination of counts the cheapest layout with the instances that
//! must stay.

use crate::counts_map::CountsMap;
use crate::geometry::{Placement, Spec};
use crate::goal::{Demand, GpuState};
use crate::lanes::Lanes;
use crate::profile::Profile;

/// How counts and costs of one goal are packed. Both are sums over its GPUs, so lanes are wide enough for
/// the largest sum.
pub(crate) struct Scale {
    /// Profiles wanted, largest first.
    pub(crate) profiles: Vec<Profile>,
    /// How many of each, packed.
    pub(crate) target: u128,
    /// Lanes of [`Scale::profiles`].
    pub(crate) counts: Lanes,
    /// A lower bound on the placement units that one instance of each profile takes on any GPU.
    weights: Vec<u32>,
    /// The same for the whole target.
    pub(crate) weight: u32,
    /// Profiles of any of the GPUs, largest first: the order in which room is compared.
    room: Vec<Profile>,
    /// Destroyed, created, then what each profile of [`Scale::room`] has lost against an empty GPU. With
    /// some four different models in one goal the lanes for the smallest profiles may be missing.
    costs: Lanes,
}

impl Scale {
    /// `None` when the demand names more profiles than can be packed, which takes dozens. Room is not
    /// measured where it does not matter.
    pub(crate) fn new(gpus: &[&GpuState<'_>], demand: &Demand, measure_room: bool) -> Option<Self> {
        let mut most = Demand::new();
        for spec in gpus.iter().flat_map(|g| &g.geometry.specs) {
            *most.entry(spec.profile).or_default() += u32::from(spec.max);
        }
        let held: usize = gpus.iter().map(|g| g.busy.len() + g.idle.len()).sum();
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        // One more than can exist is as impossible as any larger number, and takes fewer bits.
        let limit = |p: &Profile| most.get(p).copied().unwrap_or(0).saturating_add(held).saturating_add(1);
        let profiles: Vec<Profile> = demand.keys().rev().copied().collect();
        let wanted: Vec<u32> = demand.iter().rev().map(|(p, &n)| n.min(limit(p))).collect();
        let counts = Lanes::new(wanted.iter().copied());
        if counts.len() < profiles.len() {
            return None;
        }
        let smallest = |p: &Profile| gpus.iter().filter_map(|g| g.geometry.spec(*p)).map(|s| s.size).min();
        let weights: Vec<u32> = profiles.iter().map(|p| u32::from(smallest(p).unwrap_or(0))).collect();
        let costs = Lanes::new([held, wanted.iter().sum()].into_iter().chain(most.values().rev().copied()));
        if !measure_room {
            most.clear();
        }
        Some(Scale {
            target: counts.pack(wanted.iter().copied()),
            weight: wanted.iter().zip(&weights).map(|(n, w)| n * w).sum(),
            weights,
            costs,
            room: most.into_keys().rev().collect(),
            counts,
            profiles,
        })
    }

    /// A demand for no other profiles, packed; `None` when it asks for more than the scale is made for.
    pub(crate) fn pack(&self, demand: &Demand) -> Option<u128> {
        let count = |p: &Profile| demand.get(p).copied().unwrap_or(0);
        let mut numbered = self.profiles.iter().enumerate();
        let within = numbered.all(|(lane, p)| count(p) <= self.counts.get(self.target, lane));
        within.then(|| self.counts.pack(self.profiles.iter().map(count)))
    }

    /// Packed counts weighed by [`Scale::weights`].
    pub(crate) fn weigh(&self, counts: u128) -> u32 {
        self.weights.iter().enumerate().map(|(lane, weight)| weight * self.counts.get(counts, lane)).sum()
    }

    fn lane(&self, profile: Profile) -> Option<usize> {
        self.profiles.iter().position(|&p| p == profile)
    }
}

/// One thing a GPU can provide, and the cheapest layout that does.
pub(crate) struct Choice {
    /// Instances of each wanted profile, packed.
    pub(crate) counts: u128,
    /// The counts weighed by [`Scale::weights`].
    pub(crate) weight: u32,
    /// What the layout costs, packed.
    pub(crate) cost: u128,
    layout: u128,
}

/// Everything a GPU in one state can provide.
pub(crate) struct Table {
    places: Vec<Placement>,
    pub(crate) choices: Vec<Choice>,
}

impl Table {
    /// Layouts of wanted profiles only, with every instance of `fixed` and those in use; empty when these
    /// cannot stand together or are not all wanted.
    ///
    /// `None` when the profiles wanted have more than 128 places; the eighteen profiles NVML knows have 60
    /// on a GPU of eight units.
    pub(crate) fn new(gpu: &GpuState<'_>, fixed: &[Placement], scale: &Scale) -> Option<Self> {
        let mut places: Vec<Placement> = gpu.geometry.placements().chain(gpu.placed()).collect();
        places.retain(|p| scale.lane(p.profile).is_some());
        // Of equal layouts the first found is taken.
        places.sort_unstable();
        places.dedup();
        if places.len() > 128 {
            return None;
        }
        let required: Vec<Placement> = gpu.busy.iter().chain(fixed).copied().collect();
        let choices = if required.iter().all(|p| places.contains(p)) {
            Search::new(gpu, &places, &required, scale).run()
        } else {
            Vec::new()
        };
        Some(Table { places, choices })
    }

    /// The layout of one of the choices, sorted.
    pub(crate) fn layout(&self, choice: usize) -> Vec<Placement> {
        let mut layout: Vec<Placement> =
            bits(self.choices[choice].layout).map(|place| self.places[place]).collect();
        layout.sort_unstable();
        layout
    }
}

/// Depth-first search over sets of places; a set is a mask with one bit per place.
struct Search<'a> {
    scale: &'a Scale,
    places: Vec<Step>,
    required: u128,
    held: u128,
    idle: u128,
    /// Idle instances that no layout can keep, because their profile is not wanted.
    doomed: u32,
    /// By spec: its places, and what it takes to measure its room.
    specs: Vec<SpecMasks>,
    best: CountsMap<usize>,
    choices: Vec<Choice>,
}

/// One place as the search sees it.
struct Step {
    conflicts: u128,
    counts: u128,
    weight: u32,
}

struct SpecMasks {
    places: u128,
    /// For each start of the spec, where it ends, or where the next one can begin, and the places that stand
    /// in its way.
    starts: Vec<(u8, u8, u128)>,
    /// Lane of the profile in the cost, if it has one, and the most that fit on an empty GPU.
    lane: Option<usize>,
    most: u8,
}

impl<'a> Search<'a> {
    fn new(gpu: &'a GpuState<'_>, places: &[Placement], required: &[Placement], scale: &'a Scale) -> Self {
        let geometry = gpu.geometry;
        let mask = |test: &dyn Fn(Placement) -> bool| {
            places.iter().enumerate().filter(|(_, p)| test(**p)).fold(0u128, |mask, (i, _)| mask | 1 << i)
        };
        let step = |&place: &Placement| {
            let lane = scale.lane(place.profile).unwrap_or_default();
            Step {
                conflicts: mask(&|p| p != place && geometry.conflict(p, place)),
                counts: scale.counts.at(lane, 1),
                weight: scale.weights[lane],
            }
        };
        let spec_masks = |s: &Spec| SpecMasks {
            places: mask(&|p| p.profile == s.profile),
            starts: s
                .placements()
                .map(|place| {
                    let end = if s.profile.is_alone() { u8::MAX } else { geometry.span(place).end };
                    (place.start, end, mask(&|p| geometry.conflict(p, place)))
                })
                .collect(),
            lane: scale
                .room
                .iter()
                .position(|&p| p == s.profile)
                .map(|i| i + 2)
                .filter(|&i| i < scale.costs.len()),
            most: s.max,
        };
        let held = mask(&|p| gpu.busy.contains(&p) || gpu.idle.contains(&p));
        let doomed = gpu.idle.iter().filter(|p| !places.contains(p)).count();
        Search {
            scale,
            places: places.iter().map(step).collect(),
            required: mask(&|p| required.contains(&p)),
            held,
            idle: mask(&|p| gpu.idle.contains(&p)),
            doomed: u32::try_from(doomed).unwrap_or(u32::MAX),
            specs: geometry.specs.iter().map(spec_masks).collect(),
            best: CountsMap::default(),
            choices: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Choice> {
        let (mut counts, mut weight) = (0, 0);
        for place in bits(self.required) {
            let step = &self.places[place];
            counts += step.counts;
            weight += step.weight;
            if step.conflicts & self.required != 0 || !self.scale.counts.within(counts, self.scale.target) {
                return Vec::new();
            }
        }
        self.visit(0, self.required, counts, weight);
        self.choices
    }

    /// Records the layout and every one that adds places from `next` on.
    fn visit(&mut self, next: usize, layout: u128, counts: u128, weight: u32) {
        self.record(layout, counts, weight);
        for place in next..self.places.len() {
            let step = &self.places[place];
            let (counts, weight) = (counts + step.counts, weight + step.weight);
            let free = (step.conflicts | 1 << place) & layout == 0;
            if free && self.scale.counts.within(counts, self.scale.target) && self.allowed(place, layout) {
                self.visit(place + 1, layout | 1 << place, counts, weight);
            }
        }
    }

    /// Whether the profile's own maximum leaves one more of it.
    fn allowed(&self, place: usize, layout: u128) -> bool {
        let Some(spec) = self.specs.iter().find(|s| s.places >> place & 1 == 1) else { return false };
        (spec.places & layout).count_ones() < u32::from(spec.most)
    }

    /// Keeps the layout when it is the cheapest with its counts; of equal ones the first found.
    fn record(&mut self, layout: u128, counts: u128, weight: u32) {
        let destroyed = self.doomed + (self.idle & !layout).count_ones();
        let created = (layout & !self.held).count_ones();
        let changes = self.scale.costs.pack([destroyed, created]);
        let known = self.best.get(&counts).copied();
        // Room is measured last: it decides only between layouts with equal changes.
        let above = |cost: u128| changes > cost;
        if known.is_some_and(|known| above(self.choices[known].cost)) {
            return;
        }
        let choice = Choice { counts, weight, cost: changes + self.lost(layout), layout };
        match known {
            Some(known) if choice.cost < self.choices[known].cost => self.choices[known] = choice,
            Some(_) => {}
            None => {
                self.best.insert(counts, self.choices.len());
                self.choices.push(choice);
            }
        }
    }

    /// How many fewer of each profile fit than on an empty GPU, packed as the low lanes of a cost.
    fn lost(&self, layout: u128) -> u128 {
        let lost = self.specs.iter().filter_map(|spec| {
            let lane = spec.lane?;
            let present = (spec.places & layout).count_ones();
            let room = spec.room(layout).min(u32::from(spec.most).saturating_sub(present));
            Some(self.scale.costs.at(lane, u32::from(spec.most) - room))
        });
        lost.sum()
    }
}

impl SpecMasks {
    /// How many more fit beside the layout: the first free start again and again.
    fn room(&self, layout: u128) -> u32 {
        let mut count = 0;
        let mut end = 0;
        for &(start, after, blockers) in &self.starts {
            if start >= end && blockers & layout == 0 {
                count += 1;
                end = after;
            }
        }
        count
    }
}

/// The positions of the bits set, ascending.
fn bits(mask: u128) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(mask), |&m| Some(m & m.wrapping_sub(1)))
        .take_while(|&m| m != 0)
        .map(|m| m.trailing_zeros() as usize)
}
