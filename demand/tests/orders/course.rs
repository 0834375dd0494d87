//! Courses of events: a small scheduler starts jobs on what is open, orders take their time or are lost, and whoever asks knows
//! nothing but what there is.

use std::collections::BTreeMap;

use demand::{Cluster, Instance, Job, Order, Policy, State, decide};
use mig::Placement;
use proptest::prelude::*;

use super::{cluster, idle, job, judge, node, steered};

/// A job of a course: when it comes, what it wants on how many nodes, and how long it runs of its limit.
#[derive(Clone, Debug)]
struct Coming {
    at: u64,
    profile: &'static str,
    count: u32,
    nodes: u32,
    run: u64,
    limit: u64,
}

/// A slice that a job has: node, GPU and place.
type Has = (usize, usize, Placement);

/// What there is in the course.
struct World {
    cluster: Cluster,
    now: u64,
    /// Jobs that wait, by number, and when they came.
    waiting: BTreeMap<u32, (Job, Coming)>,
    /// When a job ends, its number, and what it has.
    running: Vec<(u64, u32, Vec<Has>)>,
    started: BTreeMap<u32, u64>,
    /// Orders under way, and when they are done.
    orders: Vec<(u64, Order)>,
    cuts: Vec<u64>,
}

impl World {
    fn new(nodes: usize, gpus: usize) -> Self {
        let gpu: Vec<Instance> = (0..7).map(|start| idle(super::at("1g.5gb", start))).collect();
        let nodes = (0..nodes).map(|number| node(&format!("n{number}"), vec![gpu.clone(); gpus]));
        World {
            cluster: cluster(nodes.collect()),
            now: 0,
            waiting: BTreeMap::new(),
            running: Vec::new(),
            started: BTreeMap::new(),
            orders: Vec::new(),
            cuts: Vec::new(),
        }
    }

    fn find(&mut self, node: usize, gpu: usize, placement: Placement) -> Option<&mut Instance> {
        self.cluster.nodes[node].gpus[gpu].instances.iter_mut().find(|i| i.placement == placement)
    }

    /// Ends and starts jobs. All jobs that fit start: the hardest case for those that do not.
    fn schedule(&mut self) {
        let now = self.now;
        let (over, on): (Vec<_>, Vec<_>) = self.running.drain(..).partition(|(end, ..)| *end <= now);
        self.running = on;
        for (node, gpu, placement) in over.into_iter().flat_map(|(.., has)| has) {
            let instance = self.find(node, gpu, placement).expect("who has it keeps it");
            (instance.state, instance.since) = (State::Idle, Some(now));
        }
        for (number, (waits, coming)) in std::mem::take(&mut self.waiting) {
            let Some(has) = self.fits(&waits) else {
                self.waiting.insert(number, (waits, coming));
                continue;
            };
            for &(node, gpu, placement) in &has {
                let instance = self.find(node, gpu, placement).unwrap();
                instance.state = State::Busy { until: Some(now + coming.limit) };
            }
            self.running.push((now + coming.run, number, has));
            self.started.insert(number, now);
        }
    }

    fn fits(&self, job: &Job) -> Option<Vec<(usize, usize, Placement)>> {
        let share = &job.shares[0];
        let mut has = Vec::new();
        let mut nodes = 0;
        for (number, node) in self.cluster.nodes.iter().enumerate() {
            let all =
                node.gpus.iter().enumerate().flat_map(|(g, gpu)| gpu.instances.iter().map(move |i| (g, i)));
            let open = all.filter(|(_, i)| {
                i.state == State::Idle && !i.closed && Some(i.placement.profile) == share.want[0].profile
            });
            let got: Vec<_> =
                open.take(share.want[0].count as usize).map(|(g, i)| (number, g, i.placement)).collect();
            if got.len() == share.want[0].count as usize && nodes < share.nodes {
                has.extend(got);
                nodes += 1;
            }
        }
        (nodes == share.nodes).then_some(has)
    }

    /// Begins what was ordered: a cut first closes, and looks again.
    fn begin(&mut self, order: Order, takes: u64) {
        let node = match &order {
            Order::Cut(cut) => cut.node,
            Order::Close(instances) | Order::Open(instances) => instances.node,
        };
        match &order {
            Order::Close(instances) => {
                for (gpu, placement) in
                    instances.gpus.iter().flat_map(|(gpu, all)| all.iter().map(move |p| (*gpu, *p)))
                {
                    self.find(node, gpu, placement).unwrap().closed = true;
                }
                return;
            }
            Order::Cut(cut) => {
                self.cuts.push(self.now);
                for change in &cut.gpus {
                    for &placement in &change.destroy {
                        let at = &mut self.cluster.nodes[node].gpus[change.gpu].instances;
                        assert!(at.iter().any(|i| i.placement == placement && i.state == State::Idle));
                        at.retain(|i| i.placement != placement);
                    }
                    let coming =
                        |&placement: &Placement| Instance { state: State::Coming, ..idle(placement) };
                    self.cluster.nodes[node].gpus[change.gpu]
                        .instances
                        .extend(change.create.iter().map(coming));
                }
            }
            Order::Open(_) => {}
        }
        self.cluster.nodes[node].underway = true;
        self.orders.push((self.now + takes, order));
    }

    /// Ends what was ordered. Killed on the way, whoever made a cut leaves the instances there and closed: the node's journal is
    /// carried through by the node.
    fn end(&mut self, killed: bool) {
        let now = self.now;
        let (done, rest): (Vec<_>, Vec<_>) = self.orders.drain(..).partition(|(at, _)| killed || *at <= now);
        self.orders = rest;
        for (_, order) in done {
            match order {
                Order::Cut(cut) => {
                    for change in &cut.gpus {
                        for &placement in &change.create {
                            let instance = self.find(cut.node, change.gpu, placement).unwrap();
                            (instance.state, instance.since) = (State::Idle, Some(now));
                            instance.closed = killed || !cut.open;
                        }
                    }
                    self.cluster.nodes[cut.node].underway = false;
                }
                Order::Open(instances) => {
                    for (gpu, placement) in
                        instances.gpus.iter().flat_map(|(gpu, all)| all.iter().map(move |p| (*gpu, *p)))
                    {
                        // Killed before it told Slurm.
                        self.find(instances.node, gpu, placement).into_iter().for_each(|i| i.closed = killed);
                    }
                    self.cluster.nodes[instances.node].underway = false;
                }
                Order::Close(_) => {}
            }
        }
        for node in 0..self.cluster.nodes.len() {
            let of = |order: &Order| match order {
                Order::Cut(cut) => cut.node == node,
                Order::Close(instances) | Order::Open(instances) => instances.node == node,
            };
            self.cluster.nodes[node].underway = self.orders.iter().any(|(_, order)| of(order));
        }
    }

    /// Runs the course; whoever asks is killed at the seconds given, with what it was about, and does without a look then.
    fn run(&mut self, jobs: &[Coming], policy: &Policy, killed: &[u64], until: u64) {
        let mut next = 0;
        while self.now < until && (next < jobs.len() || !self.waiting.is_empty() || !self.running.is_empty())
        {
            let dies = killed.contains(&self.now);
            self.end(dies);
            while next < jobs.len() && jobs[next].at <= self.now {
                let coming = jobs[next].clone();
                let waits = job(next as u32, coming.profile, coming.count, coming.nodes);
                self.waiting.insert(next as u32, (waits, coming));
                next += 1;
            }
            self.schedule();
            for (job, coming) in self.waiting.values_mut() {
                job.waited = self.now - coming.at;
            }
            for node in &mut self.cluster.nodes {
                node.cuts = 0;
            }
            if !dies {
                let queue: Vec<Job> = self.waiting.values().map(|(job, _)| job.clone()).collect();
                let decision = decide(&self.cluster, &queue, policy, self.now);
                if !decision.orders.is_empty() {
                    judge::orders("a100-40gb", &self.cluster, &decision.orders);
                    steered::delays_nobody(&self.cluster, &queue, policy, self.now, &decision);
                }
                for (number, order) in decision.orders.into_iter().enumerate() {
                    self.begin(order, 2 + number as u64 % 3);
                }
            }
            self.now += 1;
        }
    }
}

const POLICY: Policy = Policy {
    patience: 2,
    cordon_after: 20,
    reach: 100,
    margin: 5,
    dwell: 10,
    grace: 15,
    linger: 60,
    cuts_per_hour: 1000,
    steer: false,
    depth: 64,
};

/// A little more 1g than there is room for, without end; a large job among them starts within the longest limit and what it takes
/// to see, keep and cut. Without cordons it does not.
#[test]
fn a_large_job_among_small_ones_without_end_is_not_starved() {
    for (profile, count, nodes) in [("7g.40gb", 1, 1), ("3g.20gb", 2, 2), ("7g.40gb", 2, 1)] {
        let small = |at| Coming { at, profile: "1g.5gb", count: 1, nodes: 1, run: 57, limit: 60 };
        let mut jobs: Vec<Coming> = (0..300).map(|n| small(n * 2)).collect();
        jobs.insert(100, Coming { profile, count, nodes, ..small(199) });
        let waited = |policy: &Policy| {
            let mut world = World::new(2, 2);
            world.run(&jobs, policy, &[], 2000);
            assert_eq!(world.started.len(), jobs.len());
            world.started[&100] - jobs[100].at
        };
        let most = POLICY.cordon_after + 60 + 20;
        let (kept, without) = (waited(&POLICY), waited(&Policy { cordon_after: u64::MAX, ..POLICY }));
        assert!(kept < most && without > 2 * most, "{profile} x {count} on {nodes}: {kept} s, {without} s");
    }
}

/// Two sorts of jobs that want each other's regions by turns: no more cuts than jobs, and none for those that find theirs.
#[test]
fn cuts_are_few() {
    let turn = |n: u64| Coming {
        at: n * 5,
        profile: if n.is_multiple_of(2) { "3g.20gb" } else { "2g.10gb" },
        count: 1,
        nodes: 1,
        run: 20,
        limit: 30,
    };
    let jobs: Vec<Coming> = (0..400).map(turn).collect();
    let mut world = World::new(1, 1);
    world.run(&jobs, &POLICY, &[], 20_000);
    assert_eq!(world.started.len(), jobs.len());
    assert!(world.cuts.len() < jobs.len() / 2, "{}", world.cuts.len());
    let mut same = World::new(1, 2);
    let alike: Vec<Coming> = jobs.iter().map(|job| Coming { profile: "2g.10gb", ..job.clone() }).collect();
    same.run(&alike, &Policy { linger: 100_000, ..POLICY }, &[], 20_000);
    assert!(same.cuts.len() <= 6, "{}", same.cuts.len());
}

/// Open and idle, by profile.
fn had(cluster: &Cluster, open: bool) -> BTreeMap<mig::Profile, usize> {
    let mut counts = BTreeMap::new();
    let all = cluster.nodes.iter().flat_map(|n| &n.gpus).flat_map(|g| &g.instances);
    for instance in all.filter(|i| i.state == State::Idle && (!open || !i.closed)) {
        *counts.entry(instance.placement.profile).or_default() += 1;
    }
    counts
}

fn comings() -> impl Strategy<Value = Vec<Coming>> {
    let profile = prop::sample::select(vec!["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"]);
    let one = (0u64..300, profile, 1u32..3, 1u32..3, 1u64..60, 0u64..40).prop_map(
        |(at, profile, count, nodes, run, more)| Coming { at, profile, count, nodes, run, limit: run + more },
    );
    prop::collection::vec(one, 1..40).prop_map(|mut jobs| {
        jobs.sort_by_key(|job| job.at);
        jobs
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_job_runs_and_nothing_stays_closed_whenever_it_is_killed(
        jobs in comings(),
        killed in prop::collection::vec(0u64..600, 0..20),
    ) {
        let mut world = World::new(2, 2);
        world.run(&jobs, &POLICY, &killed, 40_000);
        prop_assert_eq!(world.started.len(), jobs.len());
        // What is left to do is done in two looks: nothing waits, so everything opens.
        let end = world.now + 10;
        while world.now < end {
            world.end(false);
            let decision = decide(&world.cluster, &[], &POLICY, world.now);
            decision.orders.into_iter().for_each(|order| world.begin(order, 2));
            world.now += 1;
        }
        let closed = world.cluster.nodes.iter().flat_map(|n| &n.gpus).flat_map(|g| &g.instances).filter(|i| i.closed);
        prop_assert_eq!(closed.count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn with_steering_every_job_runs_and_something_of_each_sort_is_open(
        jobs in comings(),
        killed in prop::collection::vec(0u64..600, 0..20),
    ) {
        let policy = Policy { steer: true, ..POLICY };
        let mut world = World::new(2, 2);
        world.run(&jobs, &policy, &killed, 40_000);
        prop_assert_eq!(world.started.len(), jobs.len());
        // Then it comes to rest, whatever time it is.
        let end = world.now + 3 * policy.linger;
        let mut last = 0;
        while world.now < end {
            world.end(false);
            let decision = decide(&world.cluster, &[], &policy, world.now);
            judge::orders("a100-40gb", &world.cluster, &decision.orders);
            if !decision.orders.is_empty() {
                last = world.now;
            }
            decision.orders.into_iter().for_each(|order| world.begin(order, 2));
            world.now += 1;
        }
        prop_assert!(last + policy.linger < end);
        let (open, all) = (had(&world.cluster, true), had(&world.cluster, false));
        prop_assert!(all.keys().eq(open.keys()), "{:?} of {:?}", open, all);
    }
}
