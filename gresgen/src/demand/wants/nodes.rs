//! Which nodes a job may have.

use std::collections::{BTreeSet, HashMap};

use ::demand::{Resources, Share, Want};
use mig::Profile;

use super::{Cannot, Wants};
use crate::demand::stock::Kinds;
use crate::slurm::control::{NodeView, Place, Queued, Request, Reservation};
use crate::slurm::hostlist;

/// Nodes in Slurm's and in the decision's order, and the sets of them that jobs may have.
pub(super) struct Nodes<'a> {
    pub(super) views: Vec<&'a NodeView>,
    pub(super) kinds: &'a Kinds,
    pub(super) reservations: &'a [Reservation],
    pub(super) sets: Vec<Vec<usize>>,
    pub(super) known: HashMap<Vec<usize>, usize>,
}

impl Nodes<'_> {
    /// A part of a job: what it wants, of nodes that it may have.
    pub(super) fn shares(
        &mut self,
        job: &Queued,
        request: &Request,
        place: &Place,
        asks: &[Wants],
        counts_memory: bool,
    ) -> Result<Vec<Share>, Cannot> {
        let mut may = self.allowed(job, request, place)?;
        let all: u32 = asks.iter().map(|wants| wants.nodes).sum::<u32>().max(request.nodes);
        let resources = Resources {
            cpus: request.cpus.div_ceil(all.max(1)),
            memory_mib: if counts_memory { request.memory_mib.div_ceil(u64::from(all.max(1))) } else { 0 },
        };
        let mut wanted = Vec::new();
        for wants in asks {
            let mut want = Vec::new();
            for (name, count) in &wants.types {
                let profile = if name.is_empty() { None } else { Some(self.profile(name, &mut may)?) };
                want.push(Want { profile, count: *count });
            }
            wanted.push((want, wants.nodes));
        }
        let required = list(&place.required).ok_or(Cannot::Nodes)?;
        let (must, may): (Vec<usize>, Vec<usize>) =
            may.into_iter().partition(|node| required.contains(&self.views[*node].name));
        if required.is_empty() {
            let set = self.set(may);
            let share = |(want, nodes)| Share { want, nodes, set, resources };
            return Ok(wanted.into_iter().map(share).collect());
        }
        // The nodes that it names come first, and have what they are due; others make up the rest.
        let mut left = u32::try_from(required.len()).unwrap_or(u32::MAX);
        let (must, may) = (self.set(must), self.set(may));
        let mut shares = Vec::new();
        for (want, nodes) in wanted {
            let named = nodes.min(left);
            left -= named;
            let share = |nodes, set| Share { want: want.clone(), nodes, set, resources };
            shares.extend(
                [(named, must), (nodes - named, may)]
                    .into_iter()
                    .filter(|(n, _)| *n > 0)
                    .map(|(n, s)| share(n, s)),
            );
        }
        Ok(shares)
    }

    /// Nodes that a job may have, by partition, features, exclusion and reservation.
    fn allowed(&self, job: &Queued, request: &Request, place: &Place) -> Result<Vec<usize>, Cannot> {
        let excluded = list(&place.excluded).ok_or(Cannot::Nodes)?;
        let features = Features::parse(&request.features).ok_or(Cannot::Nodes)?;
        // Where its nodes cannot be read, any may be one of them.
        let has = |reservation: &Reservation, view: &NodeView| {
            reservation.nodes.as_ref().is_none_or(|nodes| nodes.contains(&view.name))
        };
        let may = |view: &NodeView| {
            let mut reserved = self.reservations.iter().filter(|reservation| has(reservation, view));
            let open = match place.reservation.as_str() {
                "" => reserved.next().is_none(),
                name => reserved.any(|reservation| name.split(',').any(|own| own == reservation.name)),
            };
            open && job.partitions.iter().any(|partition| view.partitions.contains(partition))
                && !excluded.contains(&view.name)
                && features.fit(&view.features)
        };
        Ok((0..self.views.len()).filter(|node| may(self.views[*node])).collect())
    }

    /// The profile of a type; only nodes where it is that one are left.
    fn profile(&self, name: &str, may: &mut Vec<usize>) -> Result<Profile, Cannot> {
        let profiles = self.kinds.get(name).ok_or_else(|| Cannot::Type(name.to_owned()))?;
        let mut here = profiles.iter().filter(|(_, nodes)| may.iter().any(|node| nodes.contains(node)));
        let (profile, nodes) = match (here.next(), here.next()) {
            (Some(one), None) => one,
            (Some(_), Some(_)) => return Err(Cannot::Several(name.to_owned())),
            // None that it may have: that is the decision's to say.
            (None, _) => profiles.iter().next().ok_or_else(|| Cannot::Type(name.to_owned()))?,
        };
        may.retain(|node| nodes.contains(node));
        Ok(*profile)
    }

    fn set(&mut self, nodes: Vec<usize>) -> usize {
        let next = self.sets.len();
        let number = *self.known.entry(nodes.clone()).or_insert(next);
        if number == next {
            self.sets.push(nodes);
        }
        number
    }
}

/// The names of a host list; none of an empty one.
fn list(text: &str) -> Option<BTreeSet<String>> {
    if text.is_empty() {
        Some(BTreeSet::new())
    } else {
        Some(hostlist::expand(text).ok()?.into_iter().collect())
    }
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
