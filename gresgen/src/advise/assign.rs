//! From a job as it was read to a request of a group of nodes.

use std::collections::HashMap;

use advice::advise::too_large;
use advice::demand::{Class, Demand, Request};
use advice::kinds::KindIndex;
use mig::Profile;

use super::fleet::Group;
use super::record::{Ask, Reason, Record, Skipped};
use crate::slurm::hostlist;
use crate::slurm::names::{Names, TypeName};

/// Part of its peak memory that a job gets on top, when it is given a slice by what it used.
const HEADROOM: f64 = 1.1;

/// Different names of types that are kept in mind.
const MOST_TYPES: usize = 10_000;

/// Ways to understand the name of a GRES type, the surest first: nodes may have GPUs of several models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// As the configuration spells it.
    Spelled,
    /// It names the model, and ends in a profile or not: `h100_1g.10gb`.
    Model,
    /// It ends in a profile.
    Profile,
    /// A whole GPU, whatever its name, for the job is known to have run there.
    Place,
}

/// Sorts jobs to the groups.
#[derive(Debug)]
pub struct Assign<'a> {
    groups: &'a [Group],
    names: Names<'a>,
    /// Whether jobs whose memory is known are given the smallest slice that holds it.
    fit: bool,
    /// Groups by node.
    nodes: HashMap<&'a str, Vec<usize>>,
    /// What a type means in a group.
    types: HashMap<(usize, Way, String), Option<KindIndex>>,
    /// What jobs asked of each group.
    pub demands: Vec<Demand>,
    /// Jobs that were given a smaller slice than they asked for, because they used no more.
    pub fitted: u64,
    /// Those of them of which it is not known how busy they kept their GPU.
    pub fitted_blindly: u64,
}

impl<'a> Assign<'a> {
    /// Nothing assigned yet.
    pub fn new(groups: &'a [Group], names: Names<'a>, fit: bool) -> Self {
        let mut nodes: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, group) in groups.iter().enumerate() {
            group.nodes.iter().for_each(|node| nodes.entry(node).or_default().push(number));
        }
        let demands = vec![Demand::default(); groups.len()];
        Assign { groups, names, fit, nodes, types: HashMap::new(), demands, fitted: 0, fitted_blindly: 0 }
    }

    pub fn add(&mut self, record: Record, skipped: &mut Skipped) {
        let known = !record.node_list.is_empty();
        let groups: Vec<usize> = if known {
            self.nodes.get(first(&record.node_list).as_str()).cloned().unwrap_or_default()
        } else {
            (0..self.groups.len()).collect()
        };
        if groups.is_empty() {
            return skipped.add(Reason::Elsewhere);
        }
        skipped.parted += u64::from(record.asks.len() > 1);
        for ask in &record.asks {
            let ways = [Way::Spelled, Way::Model, Way::Profile, Way::Place];
            let found = ways[..if known { 4 } else { 3 }]
                .iter()
                .find_map(|&way| groups.iter().find_map(|&group| Some((group, self.need(group, ask, way)?))));
            let Some((group, need)) = found else {
                skipped.add(Reason::Type);
                continue;
            };
            if let Err(reason) = self.request(group, need, ask, &record) {
                skipped.add(reason);
            }
        }
    }

    fn need(&mut self, group: usize, ask: &Ask, way: Way) -> Option<KindIndex> {
        let kinds = &self.groups[group].kinds;
        match ask {
            Ask::Share(share) => Some(kinds.smallest(0, *share)),
            Ask::Type(None, _) => Some(kinds.whole()),
            Ask::Type(Some(name), _) => {
                let key = (group, way, name.clone());
                if let Some(known) = self.types.get(&key) {
                    return *known;
                }
                let need = meaning(&self.groups[group], &self.names, name, way);
                if self.types.len() < MOST_TYPES {
                    self.types.insert(key, need);
                }
                need
            }
        }
    }

    fn request(&mut self, group: usize, need: KindIndex, ask: &Ask, record: &Record) -> Result<(), Reason> {
        let Group { kinds, .. } = &self.groups[group];
        let count = match ask {
            Ask::Type(_, count) => count.div_ceil(record.nodes),
            Ask::Share(_) => 1,
        };
        let mut class = Class { need, count, nodes: record.nodes };
        let (mut run, mut limit) = (record.run, record.limit);
        if let Some(used) =
            record.used.filter(|_| self.fit && record.asks.len() == 1 && count == 1 && record.nodes == 1)
        {
            let smallest = kinds.smallest((used.memory_mib as f64 * HEADROOM) as u64, 0.0);
            if smallest < need {
                // A job that kept more of its GPU busy than the slice has takes longer there.
                let share = f64::from(kinds.all[smallest].slices) / f64::from(kinds.all[need].slices);
                let longer = used.busy.map_or(1.0, |busy| (busy / share).max(1.0));
                (run, limit) = (stretch(run, longer), stretch(limit, longer));
                class.need = smallest;
                self.fitted += 1;
                self.fitted_blindly += u64::from(used.busy.is_none());
            }
        }
        if too_large(self.groups[group].fleet(), &class, kinds) {
            return Err(Reason::TooLarge);
        }
        let demand = &mut self.demands[group];
        let class = demand.class(class).ok_or(Reason::Requests)?;
        demand.jobs.push(Request { submit: record.submit, run, limit, priority: record.priority, class });
        Ok(())
    }
}

fn stretch(seconds: u32, factor: f64) -> u32 {
    (f64::from(seconds) * factor).min(f64::from(u32::MAX)) as u32
}

/// The first node of a host list.
fn first(list: &str) -> String {
    if list.contains('[') {
        hostlist::expand(list).ok().and_then(|names| names.into_iter().next()).unwrap_or_default()
    } else {
        list.split(',').next().unwrap_or_default().to_owned()
    }
}

/// What a GRES type means in a group when it is understood in one way.
fn meaning(group: &Group, names: &Names<'_>, name: &str, way: Way) -> Option<KindIndex> {
    let Group { kinds, geometry, product, .. } = group;
    let spelled = |kind: &advice::kinds::Kind| match kind.profile {
        Some(profile) => names.slice(product, profile),
        None => names.whole(product),
    };
    let ends = name.char_indices().filter(|(_, c)| "_-:".contains(*c)).map(|(at, _)| &name[at + 1..]);
    let mut profiles = std::iter::once(name).chain(ends).filter_map(|end| end.parse::<Profile>().ok());
    let profile = profiles.next();
    match way {
        Way::Spelled => {
            kinds.all.iter().position(|kind| spelled(kind).is_ok_and(|known| known.as_str() == name))
        }
        Way::Model => {
            let named = names.whole(product).is_ok_and(|model| name.contains(model.as_str()));
            named.then(|| profile.map_or(Some(kinds.whole()), |profile| kinds.of(profile, geometry)))?
        }
        Way::Profile => kinds.of(profile?, geometry),
        // A name of the site's own for a whole GPU, if Slurm can have given one out by it.
        Way::Place => (profile.is_none() && TypeName::new(name).is_ok()).then(|| kinds.whole()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advise::record::Use;
    use crate::slurm::Settings;

    fn record(node_list: &str, kind: Option<&str>, count: u32, nodes: u32) -> Record {
        Record {
            submit: 0,
            run: 100,
            limit: 200,
            priority: 0,
            nodes,
            node_list: node_list.to_owned(),
            asks: vec![Ask::Type(kind.map(str::to_owned), count)],
            used: None,
        }
    }

    /// What became of a job: its group, what it needs, how many of it on how many nodes; or why nothing.
    fn assigned(record: Record, fit: bool) -> String {
        let groups =
            [Group::parse("a[1-2]=8xa100-40gb").unwrap(), Group::parse("h[1-4]=4xh100-80gb-sxm").unwrap()];
        let settings = Settings::default();
        let mut assign = Assign::new(&groups, Names::new(&settings.types).unwrap(), fit);
        let mut skipped = Skipped::default();
        assign.add(record, &mut skipped);
        let one = |(group, demand): (&Group, &Demand)| {
            let class = demand.classes.first()?;
            let kind = &group.kinds.all[class.need];
            let name = kind.profile.map_or("whole".to_owned(), |p| p.to_string());
            let job = demand.jobs[0];
            Some(format!("{} {} x {name} on {} for {}", group.nodes[0], class.count, class.nodes, job.run))
        };
        let found: Vec<String> = groups.iter().zip(&assign.demands).filter_map(one).collect();
        if found.is_empty() { skipped.to_string() } else { found.join(", ") }
    }

    #[test]
    fn types_are_understood_as_sites_spell_them() {
        let of = |node: &str, name: &str| assigned(record(node, Some(name), 1, 1), false);
        assert_eq!(of("a1", "1g.5gb"), "a1 1 x 1g.5gb on 1 for 100");
        assert_eq!(of("h3", "h100_1g.10gb"), "h1 1 x 1g.10gb on 1 for 100");
        assert_eq!(of("h[2-3]", "nvidia_h100_80gb_hbm3_2g.20gb"), "h1 1 x 2g.20gb on 1 for 100");
        assert_eq!(of("a2", "7g.40gb"), "a1 1 x whole on 1 for 100");
        assert_eq!(of("a2", "ampere"), "a1 1 x whole on 1 for 100");
        assert_eq!(of("", "h100"), "h1 1 x whole on 1 for 100");
        assert_eq!(of("", "volta"), "1 of a type that these nodes cannot have");
        assert_eq!(of("a1", "1g.24gb"), "1 of a type that these nodes cannot have");
        assert_eq!(of("login", "1g.5gb"), "1 on other nodes");
    }

    #[test]
    fn of_several_models_on_a_node_the_one_that_is_named_counts() {
        let groups = [Group::parse("n1=2xh100-80gb-sxm").unwrap(), Group::parse("n1=2xa100-40gb").unwrap()];
        let settings = Settings::default();
        let mut assign = Assign::new(&groups, Names::new(&settings.types).unwrap(), false);
        let mut skipped = Skipped::default();
        for (node, name) in [("", "x"), ("n1", "a100"), ("n1", "a100_1g.10gb"), ("n1", "1g.5gb"), ("n1", "x")]
        {
            assign.add(record(node, Some(name), 1, 1), &mut skipped);
        }
        // The last is of whatever there is first; the first, of which no place is known, of nothing.
        assert_eq!((assign.demands[0].jobs.len(), assign.demands[1].jobs.len()), (1, 3));
        assert_eq!(skipped.to_string(), "1 of a type that these nodes cannot have");
    }

    #[test]
    fn counts_are_those_of_a_node() {
        assert_eq!(assigned(record("a1", None, 16, 2), false), "a1 8 x whole on 2 for 100");
        assert_eq!(assigned(record("a1", None, 9, 1), false), "1 that ask for more than these nodes have");
        assert_eq!(assigned(record("a1", Some("3g.20gb"), 16, 1), false), "a1 16 x 3g.20gb on 1 for 100");
        assert_eq!(assigned(record("a1", None, 24, 3), false), "1 that ask for more than these nodes have");
    }

    #[test]
    fn what_a_job_used_can_make_it_smaller_and_slower() {
        let used =
            |memory_mib, busy| Record { used: Some(Use { memory_mib, busy }), ..record("a1", None, 1, 1) };
        assert_eq!(assigned(used(4000, Some(0.1)), false), "a1 1 x whole on 1 for 100");
        assert_eq!(assigned(used(4000, Some(0.1)), true), "a1 1 x 1g.5gb on 1 for 100");
        assert_eq!(assigned(used(4000, Some(1.0)), true), "a1 1 x 1g.5gb on 1 for 700");
        assert_eq!(assigned(used(4700, None), true), "a1 1 x 1g.10gb on 1 for 100");
        assert_eq!(assigned(used(39000, None), true), "a1 1 x whole on 1 for 100");
    }
}
