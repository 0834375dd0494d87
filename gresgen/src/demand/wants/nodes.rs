//! Which nodes a job may have.

use std::collections::HashMap;

use ::demand::{Resources, Share, Want};
use mig::Profile;

use super::reserved::{Last, Reserved};
use super::{Cannot, Wants};
use crate::demand::answers::Answers;
use crate::demand::stock::Kinds;
use crate::slurm::control::{NodeView, Place, Queued, Request};
use crate::slurm::hostlist;

/// Nodes in Slurm's and in the decision's order, and the sets of them that jobs may have. Most jobs ask as others do, and are
/// looked up.
pub(super) struct Nodes<'a> {
    views: Vec<&'a NodeView>,
    numbers: HashMap<&'a str, usize>,
    /// The profiles of a type, and of each node whether the type is that one there.
    types: HashMap<&'a str, Vec<(Profile, Vec<bool>)>>,
    reserved: Reserved<'a>,
    pub(super) sets: Vec<Vec<usize>>,
    known: HashMap<Vec<usize>, usize>,
    open: HashMap<Open<'a>, Vec<Opened>>,
    found: HashMap<(Open<'a>, &'a Place, Vec<String>), Result<Found, Cannot>>,
}

/// What opens nodes to a job: partitions, features, reservation, and the last reservation to come that begins before it would have to end.
type Open<'a> = (&'a [String], &'a str, &'a str, Last);

/// A node, and whether it is reserved for others.
type Opened = (usize, bool);

/// What is left out of a job's nodes because it is reserved for others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    /// There is some.
    pub(super) any: bool,
    /// Without it there are too few nodes.
    pub(super) lacks: bool,
}

/// Nodes of a job.
#[derive(Clone, Debug)]
struct Found {
    /// Of each type that it asks for.
    profiles: Vec<Option<Profile>>,
    /// How many nodes it names.
    named: usize,
    /// The set of those it names, and of the others.
    must: usize,
    may: usize,
    /// How many of each are left out because they are reserved for others.
    reserved: [usize; 2],
}

impl<'a> Nodes<'a> {
    pub(super) fn new(views: Vec<&'a NodeView>, kinds: &'a Kinds, answers: &'a Answers) -> Self {
        let count = views.len();
        let types = kinds.iter().map(|(name, profiles)| {
            let profiles = profiles.iter().map(|(profile, nodes)| {
                let mut has = vec![false; count];
                nodes.iter().for_each(|node| has[*node] = true);
                (*profile, has)
            });
            (name.as_str(), profiles.collect())
        });
        Nodes {
            numbers: views.iter().enumerate().map(|(number, view)| (view.name.as_str(), number)).collect(),
            types: types.collect(),
            views,
            reserved: Reserved::new(answers),
            sets: Vec::new(),
            known: HashMap::new(),
            open: HashMap::new(),
            found: HashMap::new(),
        }
    }

    /// A part of a job: what it wants, of nodes that it may have; and what is left out of these.
    pub(super) fn shares(
        &mut self,
        job: &'a Queued,
        request: &'a Request,
        place: &'a Place,
        asks: &[Wants],
        counts_memory: bool,
    ) -> Result<(Vec<Share>, LeftOut), Cannot> {
        let last = self.reserved.last(job.lasts);
        let open = (&job.partitions[..], request.features.as_str(), place.reservation.as_str(), last);
        let names = asks.iter().flat_map(|wants| &wants.types).map(|(name, _)| name.clone()).collect();
        let key = (open, place, names);
        let found = match self.found.get(&key) {
            Some(found) => found.clone(),
            None => {
                let found = self.find(open, place, &key.2);
                self.found.insert(key, found.clone());
                found
            }
        };
        let Found { profiles, named, must, may, reserved } = found?;
        let all: u32 = asks.iter().map(|wants| wants.nodes).sum::<u32>().max(request.nodes);
        let resources = Resources {
            cpus: request.cpus.div_ceil(all.max(1)),
            memory_mib: if counts_memory { request.memory_mib.div_ceil(u64::from(all.max(1))) } else { 0 },
        };
        let mut profiles = profiles.into_iter();
        // The nodes that it names come first, and have what they are due; others make up the rest.
        let mut left = u32::try_from(named).unwrap_or(u32::MAX);
        let mut shares = Vec::new();
        for wants in asks {
            let want: Vec<Want> = wants
                .types
                .iter()
                .zip(&mut profiles)
                .map(|((_, count), profile)| Want { profile, count: *count })
                .collect();
            let named = wants.nodes.min(left);
            left -= named;
            let share = |(nodes, set)| Share { want: want.clone(), nodes, set, resources };
            shares.extend(
                [(named, must), (wants.nodes - named, may)].into_iter().filter(|(n, _)| *n > 0).map(share),
            );
        }
        let wanted: usize = asks.iter().map(|wants| wants.nodes as usize).sum();
        let mut parts =
            [(named.min(wanted), must), (wanted.saturating_sub(named), may)].into_iter().zip(reserved);
        let is_short = |((wanted, set), reserved): ((usize, usize), usize)| {
            let left = self.sets[set].len();
            left < wanted && left + reserved >= wanted
        };
        Ok((shares, LeftOut { any: reserved != [0, 0], lacks: parts.any(is_short) }))
    }

    /// Types of a request, each on one of the nodes that it names, or on any. None where no node has one of them; `None` where a
    /// count is none.
    pub(super) fn least<'b>(
        &mut self,
        place: &Place,
        types: impl Iterator<Item = (&'b str, u64)>,
    ) -> Option<Vec<Share>> {
        let named = list(&place.required)?;
        let may = if named.is_empty() { vec![true; self.views.len()] } else { self.marked(&named) };
        let mut shares = Vec::new();
        for (name, count) in types {
            let count = u32::try_from(count).ok()?;
            let profiles: Vec<Option<Profile>> = match self.types.get(name) {
                Some(profiles) => profiles.iter().map(|(profile, _)| Some(*profile)).collect(),
                None if name.is_empty() => vec![None],
                None => return Some(Vec::new()),
            };
            let set = self.set((0..may.len()).filter(|node| may[*node]).collect());
            let share = |profile| Share {
                want: vec![Want { profile, count }],
                nodes: 1,
                set,
                resources: Resources::default(),
            };
            shares.extend(profiles.into_iter().map(share));
        }
        Some(shares)
    }

    fn find(&mut self, open: Open<'a>, place: &Place, types: &[String]) -> Result<Found, Cannot> {
        let mut may = self.allowed(open, place)?;
        let mut profiles = Vec::new();
        for name in types {
            profiles.push(if name.is_empty() { None } else { Some(self.profile(name, &mut may)?) });
        }
        let required = list(&place.required).ok_or(Cannot::Nodes)?;
        let must = self.marked(&required);
        let (must, may): (Vec<Opened>, Vec<Opened>) = may.into_iter().partition(|(node, _)| must[*node]);
        let reserved = [&must, &may].map(|nodes| nodes.iter().filter(|(_, reserved)| *reserved).count());
        let free = |nodes: Vec<Opened>| {
            nodes.into_iter().filter(|(_, reserved)| !reserved).map(|(node, _)| node).collect()
        };
        let may = self.set(free(may));
        let must = if required.is_empty() { may } else { self.set(free(must)) };
        Ok(Found { profiles, named: required.len(), must, may, reserved })
    }

    /// Nodes that a job may have, by partition, features, exclusion and reservation.
    fn allowed(&mut self, open: Open<'a>, place: &Place) -> Result<Vec<Opened>, Cannot> {
        let excluded = list(&place.excluded).ok_or(Cannot::Nodes)?;
        let excluded = self.marked(&excluded);
        let nodes = match self.open.get(&open) {
            Some(nodes) => nodes,
            None => {
                let nodes = self.opened(open)?;
                self.open.entry(open).or_insert(nodes)
            }
        };
        Ok(nodes.iter().copied().filter(|(node, _)| !excluded[*node]).collect())
    }

    fn opened(&self, (partitions, features, own, last): Open<'_>) -> Result<Vec<Opened>, Cannot> {
        let features = Features::parse(features).ok_or(Cannot::Nodes)?;
        let opened = |(node, view): (usize, &&NodeView)| {
            let may = partitions.iter().any(|partition| view.partitions.contains(partition))
                && features.fit(&view.features);
            Some((node, self.reserved.takes(&view.name, own, last)?)).filter(|_| may)
        };
        Ok(self.views.iter().enumerate().filter_map(opened).collect())
    }

    /// The profile of a type; only nodes where it is that one are left.
    fn profile(&self, name: &str, may: &mut Vec<Opened>) -> Result<Profile, Cannot> {
        let profiles = self.types.get(name).ok_or_else(|| Cannot::Type(name.to_owned()))?;
        let is_at = |has: &[bool], reserved: bool| may.iter().any(|node| node.1 == reserved && has[node.0]);
        let mut here = profiles.iter().filter(|(_, has)| is_at(has, false));
        let (profile, has) = match (here.next(), here.next()) {
            (Some(one), None) => one,
            (Some(_), Some(_)) => return Err(Cannot::Several(name.to_owned())),
            // None that it may have: that is the decision's to say.
            (None, _) => {
                let reserved = profiles.iter().find(|(_, has)| is_at(has, true));
                reserved.or(profiles.first()).ok_or_else(|| Cannot::Type(name.to_owned()))?
            }
        };
        may.retain(|(node, _)| has[*node]);
        Ok(*profile)
    }

    /// Of each node whether it is one of these.
    fn marked(&self, names: &[String]) -> Vec<bool> {
        let mut marked = vec![false; self.views.len()];
        for number in names.iter().filter_map(|name| self.numbers.get(name.as_str())) {
            marked[*number] = true;
        }
        marked
    }

    fn set(&mut self, nodes: Vec<usize>) -> usize {
        if let Some(number) = self.known.get(&nodes) {
            return *number;
        }
        self.sets.push(nodes.clone());
        self.known.insert(nodes, self.sets.len() - 1);
        self.sets.len() - 1
    }
}

/// The names of a host list, each once; none of an empty one.
fn list(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut names = hostlist::expand(text).ok()?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// Features that a node has to have (sbatch(1), --constraint): all of some, or one of some. Counts, brackets and both
/// together are not read.
#[derive(Debug, PartialEq, Eq)]
struct Features<'a> {
    names: Vec<&'a str>,
    any: bool,
}

impl<'a> Features<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let any = text.contains('|');
        if text.contains(['[', ']', '(', ')', '*']) || any && text.contains(['&', ',']) {
            return None;
        }
        let names = text.split(['&', '|', ',']).map(str::trim).filter(|name| !name.is_empty());
        Some(Features { names: names.collect(), any })
    }

    fn fit(&self, has: &[String]) -> bool {
        let has = |name: &&str| has.iter().any(|feature| feature == name);
        if self.any { self.names.iter().any(has) } else { self.names.iter().all(has) }
    }
}
