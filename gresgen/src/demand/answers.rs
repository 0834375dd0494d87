//! What slurmctld says, asked once for each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::arrays::set_right;
use crate::slurm::SlurmError;
use crate::slurm::control::{
    Control, Devices, NodeView, Partition, Queued, Record, Records, Request, Reservation, reservation,
};
use crate::slurm::hostlist;
use crate::slurm::jobs::Allocations;

/// Everything that is asked of slurmctld.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// Seconds since 1970.
    pub(crate) now: u64,
    /// All jobs.
    pub(crate) queued: Vec<Queued>,
    /// Lines of squeue that are no job.
    pub(crate) unread: u64,
    /// What those that wait ask for.
    pub(crate) requests: Vec<Request>,
    /// What each job has of its nodes, by number; empty where that is not known.
    pub(crate) records: HashMap<u32, Option<Record>>,
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) reservations: Vec<Reservation>,
    /// Whether Slurm gives out memory, too (slurm.conf(5), SelectTypeParameters).
    pub(crate) counts_memory: bool,
}

/// What jobs have of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// The one account of who holds what.
    allocations: Allocations,
    /// Whether it says all, so that what no job explains no job has.
    whole: bool,
    /// When each job ends at the latest, by number.
    ends: BTreeMap<u32, Option<u64>>,
    /// CPUs and memory of jobs with GPUs.
    pub(crate) freed: ::demand::Resources,
}

impl Answers {
    /// Asks slurmctld. Nodes come after jobs and what they have: a job that started meanwhile is seen there as somebody unknown. Who
    /// waits is asked after that, so that such a job is not taken for one that waits for what it has.
    ///
    /// # Errors
    /// [`SlurmError`].
    pub(crate) fn ask(control: Control, now: u64) -> Result<Self, SlurmError> {
        let counts_memory = control.config()?.get("SelectTypeParameters").is_some_and(counts_memory);
        let (mut queued, unread) = control.queued()?;
        let records = complete(&mut queued, control.records()?);
        let (partitions, mut reservations) = (control.partitions()?, control.reservations()?);
        // One that has ended was to begin.
        reservations.retain(|reservation| reservation.begins.is_none_or(|begins| begins > now));
        let nodes = control.nodes_in_use()?;
        let requests = control.requests()?;
        Ok(Answers { now, queued, unread, requests, records, nodes, partitions, reservations, counts_memory })
    }

    /// What slurmctld said elsewhere, on a site that counts no memory.
    #[cfg(test)]
    pub(crate) fn read(
        now: u64,
        queued: &str,
        requests: &str,
        records: &str,
        partitions: &str,
        nodes: &str,
    ) -> Self {
        let (mut queued, unread) = Queued::parse(queued, usize::MAX);
        let records = complete(&mut queued, Records::parse(records));
        Answers {
            now,
            queued,
            unread,
            requests: Request::parse(requests),
            records,
            partitions: partitions.lines().filter_map(Partition::parse).collect(),
            nodes: nodes.lines().filter_map(NodeView::parse).collect(),
            ..Answers::default()
        }
    }

    /// Leaves out the reservations by which this program keeps jobs from a node while it is changed: it is theirs again in a moment. The
    /// nodes that have one, of those that may.
    pub(crate) fn take_fences(&mut self, may: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let names = self.nodes.iter().map(|view| &view.name).filter(|name| may(name));
        let fences: BTreeMap<String, &String> = names.map(|name| (reservation(name), name)).collect();
        let of = |other: &Reservation| fences.get(&other.name).map(|name| (*name).clone());
        let fenced = self.reservations.iter().filter_map(of).collect();
        self.reservations.retain(|other| of(other).is_none());
        fenced
    }

    /// The heterogeneous job that a waiting job is a component of.
    pub(crate) fn group(&self, id: u32) -> Option<u32> {
        self.requests.iter().find(|request| request.id == id)?.group
    }

    /// Jobs that have something of each node, or may have. One whose nodes cannot be read may be on any.
    pub(crate) fn on_nodes(&self) -> HashMap<String, Vec<&Queued>> {
        let mut on: HashMap<String, Vec<&Queued>> = HashMap::new();
        for job in self.queued.iter().filter(|job| job.may_hold()) {
            let names = hostlist::expand(&job.nodes)
                .unwrap_or_else(|_| self.nodes.iter().map(|node| node.name.clone()).collect());
            names.into_iter().for_each(|name| on.entry(name).or_default().push(job));
        }
        on
    }

    /// What jobs have of a node.
    pub(crate) fn held(&self, view: &NodeView, jobs: &[&Queued]) -> Held {
        let record = |job: &Queued| match self.records.get(&job.listing.id) {
            // It ended after it was listed.
            None if !self.records.is_empty() => Some(Devices::default()),
            None => None,
            Some(record) => record.as_ref()?.devices_on(&view.name, view.count()),
        };
        let devices: Vec<Option<Devices>> = jobs.iter().map(|job| record(job)).collect();
        let mut freed = ::demand::Resources::default();
        for (job, devices) in jobs.iter().zip(&devices) {
            let record = self.records.get(&job.listing.id).and_then(Option::as_ref);
            let share = record.filter(|_| devices.as_ref().is_some_and(|devices| !devices.is_empty()));
            let share = share.and_then(|record| record.share_on(&view.name)).unwrap_or_default();
            freed.cpus = freed.cpus.saturating_add(share.cpus);
            freed.memory_mib = freed.memory_mib.saturating_add(share.memory_mib);
        }
        // Of a job that ends slurmctld does not say any more what it has, of one whose record cannot be read it may be anything, and before
        // a node has registered its devices are not known.
        let told = devices.iter().all(|devices| matches!(devices, Some(Devices::Listed(_))));
        let ends = jobs.iter().any(|job| job.listing.ends());
        let hidden = self.unread > 0 || jobs.is_empty() && view.cpus_allocated > 0;
        let listings = jobs.iter().map(|job| &job.listing).zip(devices);
        Held {
            allocations: Allocations::reconcile(view, listings, |_| String::new()),
            whole: view.registered && view.takes_jobs() && told && !ends && !hidden,
            ends: jobs.iter().map(|job| (job.listing.id, job.ends)).collect(),
            freed,
        }
    }
}

/// Completes what squeue says of jobs by their records, and leaves what each has of its nodes.
fn complete(queued: &mut [Queued], records: Records) -> HashMap<u32, Option<Record>> {
    let Records { jobs, arrays, least } = records;
    for job in queued {
        set_right(job, &arrays);
        job.lasts = least.get(&job.listing.id).map_or(job.lasts, |least| job.lasts.min(*least));
    }
    jobs
}

fn counts_memory(parameters: &str) -> bool {
    parameters.to_ascii_uppercase().contains("MEMORY")
}

impl Held {
    /// Who has the device of an index.
    pub(crate) fn state(&self, index: usize) -> ::demand::State {
        let Allocations { jobs, unexplained } = &self.allocations;
        let mut ends = jobs.iter().filter(|job| job.devices.may_be(index)).map(|job| {
            // Which of them it has is not known, so neither is when this one is free.
            let listed = matches!(job.devices, Devices::Listed(_));
            self.ends.get(&job.id).copied().flatten().filter(|_| listed)
        });
        if unexplained.may_be(index) {
            return ::demand::State::Busy { until: None };
        }
        match ends.next() {
            None => ::demand::State::Idle,
            Some(first) => {
                let until = ends.fold(first, |last, end| Some(last?.max(end?)));
                ::demand::State::Busy { until }
            }
        }
    }

    /// Devices that slurmctld counts in use and no job has; `None` where that cannot be said now.
    pub(crate) fn unexplained(&self) -> Option<&Devices> {
        Some(&self.allocations.unexplained).filter(|_| self.whole)
    }

    /// Whether a job surely has the device of an index.
    pub(crate) fn is_named(&self, index: usize) -> bool {
        self.allocations
            .jobs
            .iter()
            .any(|job| matches!(&job.devices, Devices::Listed(all) if all.contains(&index)))
    }
}
