//! What jobs can be given: slices of a model, and whole GPUs.

use mig::{Attribute, Geometry, Profile};

/// What a job is given, or needs at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The profile of a slice; `None` for a GPU outside MIG, which serves jobs that ask for a slice as large as the GPU, too.
    pub profile: Option<Profile>,
    /// Placement units that it takes.
    pub units: u8,
    /// Compute slices.
    pub slices: u8,
    /// Memory, in MiB; of a slice whose memory is not known, by its share of the placement units.
    pub memory_mib: u64,
}

/// A position in [`Kinds::all`].
pub type KindIndex = usize;

/// What GPUs of one model can be given out as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds {
    /// Slices, smallest first, then the whole GPU.
    pub all: Vec<Kind>,
    /// Placement units of a GPU.
    pub units: u8,
    /// Compute slices of a GPU.
    pub slices: u8,
    /// Every way to cut a GPU to which nothing can be added, and the GPU left whole, which is the last one.
    pub cuts: Vec<Cut>,
}

/// What one GPU is cut into: how many of each kind.
pub type Cut = Vec<u32>;

impl Kinds {
    /// Of a model with so much memory. Variants of profiles (`+me` and the like) are left out unless they are `wanted`: they
    /// serve special jobs alone.
    pub fn new(geometry: &Geometry, memory_mib: u64, wanted: &[Profile]) -> Self {
        let is_whole = |slices: u8, size: u8| slices == geometry.slices && size == geometry.units;
        let used = geometry.specs.iter().filter(|spec| {
            let plain = spec.profile.attribute() == Attribute::None;
            (plain || wanted.contains(&spec.profile)) && !is_whole(spec.profile.slices(), spec.size)
        });
        let share = |size: u8| memory_mib * u64::from(size) / u64::from(geometry.units.max(1));
        let mut all: Vec<Kind> = used
            .map(|spec| Kind {
                profile: Some(spec.profile),
                units: spec.size,
                slices: spec.profile.slices(),
                memory_mib: spec.memory_mib.unwrap_or_else(|| share(spec.size)),
            })
            .collect();
        all.sort_by_key(|kind| (kind.slices, kind.memory_mib, kind.profile));
        let Geometry { units, slices, .. } = *geometry;
        all.push(Kind { profile: None, units, slices, memory_mib });
        let mut kinds = Kinds { all, units, slices, cuts: Vec::new() };
        kinds.cuts = kinds.maximal(geometry);
        kinds
    }

    /// The whole GPU.
    pub fn whole(&self) -> KindIndex {
        self.all.len() - 1
    }

    /// The cut that leaves a GPU whole.
    pub fn uncut(&self) -> Cut {
        let mut cut = vec![0; self.all.len()];
        cut[self.whole()] = 1;
        cut
    }

    /// The kind of a profile; the whole GPU for one as large as that, `None` for one that the model has not.
    pub fn of(&self, profile: Profile, geometry: &Geometry) -> Option<KindIndex> {
        let wanted = profile.gpu_instance();
        let known = self.all.iter().position(|kind| kind.profile == Some(wanted));
        known.or_else(|| geometry.spec(wanted).map(|_| self.whole()))
    }

    /// The smallest kind with so much memory, in MiB, and with the `share` of a GPU, 0 to 1, as compute or as memory.
    pub fn smallest(&self, memory_mib: u64, share: f64) -> KindIndex {
        let enough = |kind: &Kind| {
            let part = |part: u8, all: u8| f64::from(part) / f64::from(all.max(1));
            let most = part(kind.slices, self.slices).max(part(kind.units, self.units));
            let plain = kind.profile.is_none_or(|p| p.attribute() == Attribute::None);
            plain && kind.memory_mib >= memory_mib && most >= share
        };
        self.all.iter().position(enough).unwrap_or(self.whole())
    }

    /// Whether a job that needs one kind can do with another.
    pub fn serves(&self, given: KindIndex, need: KindIndex) -> bool {
        let (large, small) = (&self.all[given], &self.all[need]);
        let special = small.profile.is_some_and(|p| p.attribute() != Attribute::None);
        let plain = large.profile.is_none_or(|p| p.attribute() == Attribute::None);
        given == need
            || given == self.whole()
            || (!special && plain && large.slices >= small.slices && large.memory_mib >= small.memory_mib)
    }

    /// Where a job that needs a kind goes, of the kinds on offer: the smallest that will do.
    pub fn given(&self, need: KindIndex, on_offer: impl Fn(KindIndex) -> bool) -> Option<KindIndex> {
        (0..self.all.len()).find(|&kind| on_offer(kind) && self.serves(kind, need))
    }

    /// The cuts that give out none but the kinds on offer and cannot be added to.
    pub fn cuts_of(&self, on_offer: impl Fn(KindIndex) -> bool) -> Vec<Cut> {
        let only = |cut: &Cut| -> Cut {
            cut.iter().enumerate().map(|(kind, &count)| if on_offer(kind) { count } else { 0 }).collect()
        };
        largest(self.cuts.iter().map(only).filter(|cut| cut.iter().any(|&count| count > 0)).collect())
    }

    fn maximal(&self, geometry: &Geometry) -> Vec<Cut> {
        let counts = mig::possible(geometry, &[]).into_iter().filter_map(|demand| {
            let known =
                demand.keys().all(|profile| self.all.iter().any(|kind| kind.profile == Some(*profile)));
            known.then(|| -> Cut {
                let count = |kind: &Kind| kind.profile.and_then(|p| demand.get(&p)).copied().unwrap_or(0);
                self.all.iter().map(count).collect()
            })
        });
        let mut cuts = largest(counts.filter(|cut| cut.iter().any(|&count| count > 0)).collect());
        cuts.push(self.uncut());
        cuts
    }
}

/// Those that no other one exceeds, each once, in order.
fn largest(mut cuts: Vec<Cut>) -> Vec<Cut> {
    cuts.sort_unstable_by(|a, b| b.cmp(a));
    cuts.dedup();
    let within = |a: &Cut, b: &Cut| a.iter().zip(b).all(|(a, b)| a <= b);
    let kept = cuts.iter().filter(|cut| !cuts.iter().any(|other| other != *cut && within(cut, other)));
    kept.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mig::Board;

    fn a100() -> (Geometry, Kinds) {
        let geometry = Board::by_key("a100-40gb").unwrap().geometry();
        let kinds = Kinds::new(&geometry, 40960, &[]);
        (geometry, kinds)
    }

    fn name(kinds: &Kinds, kind: KindIndex) -> String {
        kinds.all[kind].profile.map_or("whole".to_owned(), |p| p.to_string())
    }

    #[test]
    fn kinds_are_in_order_and_the_largest_slice_is_the_whole_gpu() {
        let (geometry, kinds) = a100();
        let names: Vec<_> = (0..kinds.all.len()).map(|kind| name(&kinds, kind)).collect();
        assert_eq!(names, ["1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "whole"]);
        let of = |profile: &str| kinds.of(profile.parse().unwrap(), &geometry);
        assert_eq!(of("7g.40gb"), Some(kinds.whole()));
        assert_eq!((of("1c.3g.20gb"), of("1g.12gb")), (Some(3), None));
    }

    #[test]
    fn cuts_cannot_be_added_to() {
        let (_, kinds) = a100();
        assert_eq!(kinds.cuts.last(), Some(&kinds.uncut()));
        assert!(kinds.cuts.contains(&vec![7, 0, 0, 0, 0, 0]));
        assert!(kinds.cuts.contains(&vec![0, 0, 2, 1, 0, 0]));
        assert!(!kinds.cuts.contains(&vec![6, 0, 0, 0, 0, 0]));
        let usual = kinds.cuts_of(|kind| [0, 3].contains(&kind));
        assert_eq!(usual, [vec![7, 0, 0, 0, 0, 0], vec![4, 0, 0, 1, 0, 0], vec![0, 0, 0, 2, 0, 0]]);
    }

    #[test]
    fn a_job_gets_the_smallest_that_will_do() {
        let (_, kinds) = a100();
        assert_eq!(name(&kinds, kinds.smallest(4000, 0.0)), "1g.5gb");
        assert_eq!(name(&kinds, kinds.smallest(6000, 0.0)), "1g.10gb");
        assert_eq!(name(&kinds, kinds.smallest(0, 0.46)), "3g.20gb");
        assert_eq!(name(&kinds, kinds.smallest(30000, 0.0)), "whole");
        assert_eq!(kinds.given(0, |kind| kind >= 2), Some(2));
        assert_eq!(kinds.given(1, |kind| [0, 3].contains(&kind)), Some(3));
        assert_eq!(kinds.given(4, |kind| kind < 4), None);
    }

    #[test]
    fn variants_are_kinds_where_jobs_want_them_and_serve_no_others() {
        let geometry = Board::by_key("a100-40gb").unwrap().geometry();
        let wanted: Profile = "1g.5gb+me".parse().unwrap();
        let kinds = Kinds::new(&geometry, 40960, &[wanted]);
        let me = kinds.of(wanted, &geometry).unwrap();
        assert_eq!(kinds.all[me].profile, Some(wanted));
        let small = kinds.of("1g.5gb".parse().unwrap(), &geometry).unwrap();
        assert!(!kinds.serves(me, small) && !kinds.serves(small, me) && kinds.serves(kinds.whole(), me));
    }
}
