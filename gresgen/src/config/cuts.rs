//! GPU instances that hold several compute instances: how many it takes, and which gets which.

use std::collections::BTreeMap;

use mig::{Demand, Profile, Spec};

/// GPU instances that are divided into smaller compute instances: for each of them its compute instances,
/// largest first. GPU instances beyond those listed hold one compute instance that fills them.
pub type Cuts = BTreeMap<Profile, Vec<Vec<Profile>>>;

/// A GPU instance of a wanted layout.
#[derive(Clone, Debug)]
pub struct WantedInstance {
    pub profile: Profile,
    /// Compute instances it has; `None` when it is yet to be created.
    pub compute: Option<Vec<Profile>>,
}

/// The compute instances each GPU instance of one goal shall have, largest first, in the order given.
///
/// Instances that are divided as wanted already stay so; new ones are divided before others are changed.
pub fn divide(cuts: &Cuts, instances: &[WantedInstance]) -> Vec<Vec<Profile>> {
    let mut open: Vec<Option<Vec<Profile>>> = vec![None; instances.len()];
    for (&profile, divisions) in cuts {
        let mut left = divisions.clone();
        let mine: Vec<usize> = (0..instances.len()).filter(|&i| instances[i].profile == profile).collect();
        for &i in &mine {
            let mut compute = instances[i].compute.clone().unwrap_or_default();
            compute.sort_unstable_by(|a, b| b.cmp(a));
            if let Some(same) = left.iter().position(|division| *division == compute) {
                open[i] = Some(left.swap_remove(same));
            }
        }
        let (new, old): (Vec<usize>, Vec<usize>) =
            mine.iter().filter(|&&i| open[i].is_none()).partition(|&&i| instances[i].compute.is_none());
        // What is one whole compute instance now is changed last: the whole ones wanted are to be found there.
        let whole = |&i: &usize| instances[i].compute.as_deref() == Some(&[profile]);
        let (whole, other): (Vec<usize>, Vec<usize>) = old.into_iter().partition(whole);
        for (i, division) in other.into_iter().chain(new).chain(whole).zip(left) {
            open[i] = Some(division);
        }
    }
    open.into_iter().zip(instances).map(|(cut, i)| cut.unwrap_or_else(|| vec![i.profile])).collect()
}

/// The fewest GPU instances of `spec` that hold these compute instances, as one list for each.
///
/// Exact: over the ways to fill one GPU instance, the fewest that cover all counts. Counts beyond what
/// `gpus` GPUs can hold are cut to one more than that, which is as impossible.
pub(super) fn pack(spec: &Spec, counts: &Demand, gpus: usize) -> Vec<Vec<Profile>> {
    let kinds: Vec<Kind> = counts.keys().rev().map(|&p| Kind::of(spec, p)).collect();
    let room = u32::from(spec.max).saturating_mul(u32::try_from(gpus).unwrap_or(u32::MAX));
    let most = kinds.iter().map(|k| k.most.saturating_mul(room).saturating_add(1));
    let mut rest: Vec<u32> = counts.values().rev().zip(most).map(|(&n, most)| n.min(most)).collect();
    let ways = ways(&kinds, spec.profile.slices());
    let mut known = BTreeMap::new();
    let mut packed = Vec::new();
    while rest.iter().any(|&n| n > 0) {
        let Some(best) = ways.iter().min_by_key(|way| fewest(&ways, &less(&rest, way), &mut known)) else {
            break;
        };
        let cut = kinds.iter().zip(best.iter().zip(&rest)).flat_map(|(kind, (&way, &left))| {
            std::iter::repeat_n(kind.profile, usize::try_from(way.min(left)).unwrap_or(0))
        });
        packed.push(cut.collect());
        rest = less(&rest, best);
    }
    packed
}

/// A compute profile and how often it fits in one GPU instance.
struct Kind {
    profile: Profile,
    slices: u8,
    most: u32,
}

impl Kind {
    fn of(spec: &Spec, profile: Profile) -> Self {
        let slices = profile.compute_slices();
        let by_slices = spec.profile.slices() / slices;
        let told = spec.compute.iter().filter(|c| c.slices == slices).map(|c| c.max).max();
        Kind { profile, slices, most: u32::from(told.unwrap_or(by_slices).clamp(1, by_slices.max(1))) }
    }
}

/// Every way to fill a GPU instance of so many slices to which nothing can be added, as counts by kind.
fn ways(kinds: &[Kind], slices: u8) -> Vec<Vec<u32>> {
    let mut all = vec![(Vec::new(), u32::from(slices))];
    for kind in kinds {
        let extend = |(way, free): (Vec<u32>, u32)| {
            let most = kind.most.min(free / u32::from(kind.slices));
            (0..=most).rev().map(move |n| ([&way[..], &[n]].concat(), free - n * u32::from(kind.slices)))
        };
        all = all.into_iter().flat_map(extend).collect();
    }
    let fits = |n: u32, free: u32, kind: &Kind| n < kind.most && u32::from(kind.slices) <= free;
    all.retain(|(way, free)| !way.iter().zip(kinds).any(|(&n, kind)| fits(n, *free, kind)));
    all.into_iter().map(|(way, _)| way).collect()
}

/// How many GPU instances it takes to hold `rest`.
fn fewest(ways: &[Vec<u32>], rest: &[u32], known: &mut BTreeMap<Vec<u32>, u32>) -> u32 {
    if rest.iter().all(|&n| n == 0) {
        return 0;
    }
    if let Some(&count) = known.get(rest) {
        return count;
    }
    let useful = ways.iter().map(|way| less(rest, way)).filter(|after| after != rest);
    let count = useful.map(|after| fewest(ways, &after, known)).min().unwrap_or(u32::MAX - 1) + 1;
    known.insert(rest.to_vec(), count);
    count
}

fn less(rest: &[u32], way: &[u32]) -> Vec<u32> {
    rest.iter().zip(way).map(|(n, w)| n.saturating_sub(*w)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mig::Board;

    fn packed(key: &str, counts: &[(&str, u32)]) -> Vec<String> {
        let counts: Demand = counts.iter().map(|(p, n)| (p.parse().unwrap(), *n)).collect();
        let geometry = Board::by_key(key).unwrap().geometry();
        let first = *counts.keys().next().unwrap();
        let spec = geometry.spec(first).unwrap();
        let show = |cut: &Vec<Profile>| cut.iter().map(|p| format!("{}c", p.compute_slices())).collect();
        pack(spec, &counts, 8)
            .iter()
            .map(|cut| {
                let c: Vec<String> = show(cut);
                c.join(" ")
            })
            .collect()
    }

    #[test]
    fn compute_instances_share_as_few_gpu_instances_as_hold_them() {
        assert_eq!(packed("a100-40gb", &[("1c.3g.20gb", 3)]), ["1c 1c 1c"]);
        assert_eq!(packed("a100-40gb", &[("1c.3g.20gb", 4)]), ["1c 1c 1c", "1c"]);
        assert_eq!(packed("a100-40gb", &[("2c.3g.20gb", 2), ("1c.3g.20gb", 1)]), ["2c 1c", "2c"]);
        assert_eq!(packed("a100-40gb", &[("1c.7g.40gb", 7)]), ["1c 1c 1c 1c 1c 1c 1c"]);
    }

    /// Largest first would put 3 + 3 together and need a third instance.
    #[test]
    fn the_number_is_the_least() {
        let cuts = packed("a100-40gb", &[("3c.7g.40gb", 2), ("2c.7g.40gb", 4)]);
        assert_eq!(cuts, ["3c 2c 2c", "3c 2c 2c"]);
    }

    #[test]
    fn absurd_counts_end() {
        assert_eq!(packed("a100-40gb", &[("1c.3g.20gb", u32::MAX)]).len(), 17);
    }

    #[test]
    fn what_is_divided_as_wanted_stays() {
        let parse = |names: &str| -> Vec<Profile> { names.split(' ').map(|n| n.parse().unwrap()).collect() };
        let (big, thirds) = (parse("3g.20gb"), parse("1c.3g.20gb 1c.3g.20gb 1c.3g.20gb"));
        let cuts = Cuts::from([(big[0], vec![thirds.clone()])]);
        let held =
            |compute: Option<&Vec<Profile>>| WantedInstance { profile: big[0], compute: compute.cloned() };
        let now = [held(Some(&big)), held(Some(&thirds))];
        assert_eq!(divide(&cuts, &now), [big.clone(), thirds.clone()]);
        let now = [held(Some(&big)), held(None)];
        assert_eq!(divide(&cuts, &now), [big.clone(), thirds.clone()]);
        let now = [held(Some(&big)), held(Some(&parse("2c.3g.20gb 1c.3g.20gb")))];
        assert_eq!(divide(&cuts, &now), [big, thirds]);
    }
}
