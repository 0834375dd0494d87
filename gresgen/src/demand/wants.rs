//! What waits, as the decision takes it: in Slurm's order, with the nodes that each job may have.

mod absent;
mod nodes;
mod reserved;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;

use ::demand::{Array, Job, Node, Reason, Share, Verdict};

use super::answers::Answers;
use super::stock::Kinds;
use crate::slurm::control::{Listing, NodeView, Partition, Queued, Request, listed};
use crate::slurm::jobs::user;
pub(crate) use absent::is_on_request;
use absent::{Absent, Others};
use nodes::{LeftOut, Nodes};

/// A job that waits for GPUs. A heterogeneous one is one.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// Its number.
    pub(crate) id: u32,
    /// As squeue names it.
    pub(crate) shown: String,
    pub(crate) user: String,
    /// What it asks for, where that can be read.
    pub(crate) wants: Vec<Wants>,
    /// Seconds for which it could have run.
    pub(crate) waited: u64,
    /// Slurm holds it, or elements of it, because nothing was open of what it names ([`Reason::Held`]).
    pub(crate) held: bool,
    /// As the decision takes it, or why it does not.
    pub(crate) demand: Result<Job, Cannot>,
    /// Of a job that the decision does not take what it needs at least, each type on one node; `None` where that cannot be read.
    pub(crate) least: Option<Vec<Share>>,
    /// Nodes that it may have and the decision does not know.
    absent: Rc<Absent>,
    /// Nodes that it may have are reserved for others before it would have to end.
    reserved: bool,
}

impl Waiting {
    /// What is said where none of the nodes that are known can ever serve it.
    pub(crate) fn never(&self) -> Verdict {
        let reserved = (self.reserved || self.absent.reserved).then(|| Verdict::Other(RESERVED.to_owned()));
        self.absent.verdict().or(reserved).unwrap_or(Verdict::Never)
    }

    /// One of which nothing more is known.
    #[cfg(test)]
    pub(crate) fn unread(id: u32, held: bool) -> Self {
        let (shown, user, wants, demand) = (id.to_string(), String::new(), Vec::new(), Err(Cannot::Request));
        let absent = Rc::default();
        Waiting { id, shown, user, wants, waited: 0, held, demand, least: None, absent, reserved: false }
    }
}

/// What a job wants on each of some nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wants {
    /// GRES types, empty where it does not matter, with how many.
    pub(crate) types: Vec<(String, u32)>,
    pub(crate) nodes: u32,
}

/// Why a job is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cannot {
    /// What it asks for cannot be read.
    Request,
    /// Its nodes or features cannot be read.
    Nodes,
    /// It asks for so many per socket.
    Socket,
    /// It takes nodes for itself alone.
    Whole,
    /// It asks for shares of GPUs.
    Shares,
    /// A type that is no slice of a known node.
    Type(String),
    /// A type that is of several profiles.
    Several(String),
    /// How many elements of its array wait cannot be read.
    Array,
}

impl fmt::Display for Cannot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cannot::Request => f.write_str("not looked at: its request cannot be read"),
            Cannot::Nodes => f.write_str("not looked at: its nodes cannot be read"),
            Cannot::Socket => f.write_str("not looked at: GPUs per socket"),
            Cannot::Whole => f.write_str("not looked at: whole nodes"),
            Cannot::Shares => f.write_str("not looked at: shares of GPUs"),
            Cannot::Type(name) => write!(f, "no known node could have {name}"),
            Cannot::Several(name) => write!(f, "not looked at: {name} is several profiles"),
            Cannot::Array => f.write_str("not looked at: its array cannot be read"),
        }
    }
}

/// Jobs that wait for GPUs in Slurm's order, and the sets of nodes that they name.
pub(crate) fn waiting(answers: &Answers, nodes: &[Node], kinds: &Kinds) -> (Vec<Waiting>, Vec<Vec<usize>>) {
    let by_name: HashMap<&str, &NodeView> =
        answers.nodes.iter().map(|view| (view.name.as_str(), view)).collect();
    let views = nodes.iter().filter_map(|node| by_name.get(node.name.as_str()).copied()).collect();
    let mut places = Nodes::new(views, kinds, answers);
    let (other_views, other_kinds) = Others::listed(answers, nodes);
    let mut others = Others::new(&other_views, &other_kinds, answers);
    let requests: HashMap<u32, &Request> =
        answers.requests.iter().map(|request| (request.id, request)).collect();
    let partitions: HashMap<&str, &Partition> =
        answers.partitions.iter().map(|p| (p.name.as_str(), p)).collect();
    let mut running: HashMap<u32, u32> = HashMap::new();
    // As slurmctld counts them for a throttle: one is none of them from when it begins to complete (`_job_array_comp` in
    // src/slurmctld/job_mgr.c, and src/slurmctld/read_config.c after a start).
    let runs = |job: &&Queued| job.may_hold() && !job.listing.ends();
    for job in answers.queued.iter().filter(runs) {
        *running.entry(job.array).or_default() += 1;
    }
    // Components stand together; a job without a request has started since it was listed.
    let mut groups: BTreeMap<u32, Vec<(&Queued, &Request)>> = BTreeMap::new();
    for job in answers.queued.iter().filter(|job| job.waits()) {
        if let Some(request) = requests.get(&job.listing.id) {
            groups.entry(request.group.unwrap_or(job.listing.id)).or_default().push((job, request));
        }
    }
    let tier = |job: &Queued| {
        let known = job.partitions.iter().filter_map(|name| partitions.get(name.as_str()));
        known.map(|partition| partition.tier).max().unwrap_or_default()
    };
    groups.values_mut().for_each(|parts| parts.sort_by_key(|(job, _)| job.listing.id));
    let mut order: Vec<(u32, Vec<(&Queued, &Request)>)> = groups.into_iter().collect();
    order.sort_by_key(|(id, parts)| {
        let first = parts[0].0;
        (std::cmp::Reverse((tier(first), first.priority)), *id)
    });
    let mut users: HashMap<u32, String> = HashMap::new();
    let mut found = Vec::new();
    for (id, parts) in order {
        let asks = parts.iter().map(|(_, request)| asks(request));
        let asks: Result<Vec<Vec<Wants>>, Cannot> = asks.collect();
        if asks.as_ref().is_ok_and(|asks| asks.iter().all(Vec::is_empty)) {
            continue;
        }
        let demand = asks.clone().and_then(|asks| {
            let alone = |job: &Queued| {
                job.partitions.iter().any(|name| partitions.get(name.as_str()).is_some_and(|p| p.whole))
            };
            if parts.iter().any(|(job, request)| request.whole || alone(job)) {
                return Err(Cannot::Whole);
            }
            job(id, &parts, &asks, &mut places, answers, &running)
        });
        let reserved = demand.as_ref().is_ok_and(|(_, left_out): &(Job, LeftOut)| left_out.any);
        let demand = demand.map(|(job, _)| job);
        let absent = asks.as_ref().map(|asks| others.of(&parts, asks)).unwrap_or_default();
        let least = if demand.is_err() { least(&parts, &mut places) } else { None };
        let (first, request) = parts[0];
        let Listing { uid, .. } = first.listing;
        found.push(Waiting {
            id,
            shown: if request.group.is_some() { id.to_string() } else { first.shown.clone() },
            user: users.entry(uid).or_insert_with(|| user(&first.listing)).clone(),
            wants: asks.map(|asks| asks.concat()).unwrap_or_default(),
            waited: waited(&parts, answers.now),
            held: parts.iter().any(|(job, _)| Reason::says_held(&job.reason)),
            demand,
            absent,
            least,
            reserved,
        });
    }
    (found, places.sets)
}

/// What a job that the decision does not take needs at least.
fn least(parts: &[(&Queued, &Request)], places: &mut Nodes<'_>) -> Option<Vec<Share>> {
    let mut shares = Vec::new();
    for (job, request) in parts {
        let lists: Option<Vec<_>> = request.tres.iter().map(|text| listed(text)).collect();
        let types = lists?.into_iter().flatten().filter(|(_, count)| *count > 0);
        shares.extend(places.least(job.place.as_ref()?, types)?);
    }
    Some(shares)
}

fn waited(parts: &[(&Queued, &Request)], now: u64) -> u64 {
    parts
        .iter()
        .filter_map(|(job, request)| request.eligible.or(job.eligible))
        .max()
        .map_or(0, |since| now.saturating_sub(since))
}

fn job<'a>(
    id: u32,
    parts: &[(&'a Queued, &'a Request)],
    asks: &[Vec<Wants>],
    places: &mut Nodes<'a>,
    answers: &Answers,
    running: &HashMap<u32, u32>,
) -> Result<(Job, LeftOut), Cannot> {
    let (mut shares, mut left_out) = (Vec::new(), LeftOut::default());
    for ((job, request), asks) in parts.iter().zip(asks) {
        let place = job.place.as_ref().ok_or(Cannot::Nodes)?;
        let (more, out) = places.shares(job, request, place, asks, answers.counts_memory)?;
        shares.extend(more);
        left_out = LeftOut { any: left_out.any || out.any, lacks: left_out.lacks || out.lacks };
    }
    let reserved = left_out.lacks.then(|| Reason::Other(RESERVED.to_owned()));
    let reasons: Vec<Reason> = parts.iter().map(|(job, _)| Reason::from(job.reason.as_str())).collect();
    let other = reasons.iter().find(|reason| matches!(reason, Reason::Other(_)));
    let held = reasons.iter().find(|reason| **reason == Reason::Held);
    let lacks = reasons.iter().find(|reason| **reason == Reason::Resources);
    let first = parts[0].0;
    let array = match first.elements {
        Some((waiting, throttle)) => {
            let running = running.get(&first.array).copied().unwrap_or_default();
            Some(Array { waiting, running, throttle })
        }
        None if first.shown.contains('[') => return Err(Cannot::Array),
        None => None,
    };
    let reason = other.or(reserved.as_ref()).or(held).or(lacks).cloned().unwrap_or(Reason::Turn);
    Ok((Job { id: id.to_string(), shares, array, waited: waited(parts, answers.now), reason }, left_out))
}

/// Why a job waits for which there are not nodes enough before a reservation.
const RESERVED: &str = "its nodes are reserved before it would have to end";

/// What a job asks of its nodes. What it asks for together or by task is spread evenly over as few nodes as it takes: Slurm may
/// spread it otherwise, but can start it so.
fn asks(request: &Request) -> Result<Vec<Wants>, Cannot> {
    let [job, node, socket, task] = &request.tres;
    let read = |text: &String| -> Result<Vec<(String, u32)>, Cannot> {
        if text.split(',').any(is_share) {
            return Err(Cannot::Shares);
        }
        let mut sums: Vec<(String, u32)> = Vec::new();
        for (name, count) in listed(text).ok_or(Cannot::Request)?.into_iter().filter(|(_, count)| *count > 0)
        {
            let count = u32::try_from(count).map_err(|_| Cannot::Request)?;
            match sums.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum = sum.checked_add(count).ok_or(Cannot::Request)?,
                None => sums.push((name.to_owned(), count)),
            }
        }
        Ok(sums)
    };
    let (job, node, socket, task) = (read(job)?, read(node)?, read(socket)?, read(task)?);
    if !socket.is_empty() {
        return Err(Cannot::Socket);
    }
    // The first list that says something says how it is spread; what another adds to it would be left out.
    let lists: Vec<_> = [&node, &task, &job].into_iter().filter(|list| !list.is_empty()).collect();
    if let Some((first, others)) = lists.split_first()
        && others.iter().copied().flatten().any(|(name, _)| first.iter().all(|(known, _)| known != name))
    {
        return Err(Cannot::Request);
    }
    let nodes = request.nodes;
    if !node.is_empty() {
        return Ok(vec![Wants { types: node, nodes }]);
    }
    let wants = |types: Vec<(String, u32)>, nodes: u32| Wants { types, nodes };
    if !task.is_empty() {
        let times = |times: u32| {
            let times = |(name, count): &(String, u32)| Some((name.clone(), count.checked_mul(times)?));
            task.iter().map(times).collect::<Option<Vec<_>>>().ok_or(Cannot::Request)
        };
        let (each, more) = (request.tasks / nodes, request.tasks % nodes);
        let most = each.checked_add(1).ok_or(Cannot::Request)?;
        let both = [wants(times(most)?, more), wants(times(each)?, nodes - more)];
        return Ok(both
            .into_iter()
            .filter(|wants| wants.nodes > 0 && wants.types.iter().any(|(_, n)| *n > 0))
            .collect());
    }
    // Of every type each node has its part, the first of them what is left over.
    let part = |at: u32| -> Vec<(String, u32)> {
        let types =
            job.iter().map(|(name, count)| (name.clone(), count / nodes + u32::from(at < count % nodes)));
        types.filter(|(_, count)| *count > 0).collect()
    };
    let mut spread: Vec<Wants> = Vec::new();
    for types in (0..nodes.min(MOST_NODES)).map(part).filter(|types| !types.is_empty()) {
        match spread.last_mut().filter(|last| last.types == types) {
            Some(last) => last.nodes += 1,
            None => spread.push(wants(types, 1)),
        }
    }
    Ok(spread)
}

/// Nodes that one job is spread over, at most.
const MOST_NODES: u32 = 65_536;

/// Whether an entry asks for a part of a GPU (gres.conf(5), shard and mps).
fn is_share(entry: &str) -> bool {
    let name = entry.trim().strip_prefix("gres").and_then(|rest| rest.strip_prefix(['/', ':']));
    name.and_then(|name| name.split([':', '=']).next()).is_some_and(|name| ["shard", "mps"].contains(&name))
}
