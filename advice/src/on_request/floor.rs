//! Nodes that are cut on request, in the replay.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use demand::{
    Change, Cluster, Gpu, Instance, Job, Memory, Model, Node, Order, Reason, Resources, Share, State,
    Verdict, Want,
};
use mig::{Geometry, Placement, Profile};
use replay::{Recut, Slots};

use super::{CutRules, profile};
use crate::demand::Class;
use crate::kinds::Kinds;
use crate::layout::Fleet;

/// What is done when.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// What comes on a node is there.
    Made { node: usize, open: bool },
    /// What was to open is open.
    Opened { node: usize, places: Vec<(usize, Placement)> },
}

pub(super) struct Floor<'a> {
    how: &'a CutRules,
    /// Of each kind.
    profiles: Vec<Option<Profile>>,
    cluster: Cluster,
    /// What a job has on a node.
    on: HashMap<(u32, usize), Vec<(usize, Placement)>>,
    tasks: BinaryHeap<Reverse<(u32, Task)>>,
    /// When each node was cut during the last hour.
    cut: Vec<Vec<u32>>,
    changed: HashSet<usize>,
    memory: Memory,
    counts: &'a mut (u32, u32),
}

impl<'a> Floor<'a> {
    pub(super) fn new(
        geometry: &Geometry,
        kinds: &Kinds,
        fleet: Fleet,
        how: &'a CutRules,
        classes: &[Class],
        counts: &'a mut (u32, u32),
    ) -> Self {
        let profiles: Vec<Option<Profile>> =
            (0..kinds.all.len()).map(|kind| profile(geometry, kinds, kind)).collect();
        let mut menu: Vec<Profile> = classes.iter().filter_map(|class| profiles[class.need]).collect();
        menu.extend(how.default.iter().map(|placement| placement.profile));
        let model = Model::new(geometry, &menu, &how.default).expect("the default cut is the model's");
        let instance =
            |&placement: &Placement| Instance { placement, state: State::Idle, closed: false, since: None };
        let gpu = Gpu { model: 0, fixed: false, instances: how.default.iter().map(instance).collect() };
        let node = |number: u32| Node {
            name: format!("n{number}"),
            gpus: vec![gpu.clone(); fleet.gpus as usize],
            usable: true,
            free: Resources::default(),
            reachable: Resources::default(),
            underway: false,
            cuts: 0,
            refuses: false,
        };
        let nodes = fleet.nodes as usize;
        Floor {
            how,
            profiles,
            cluster: Cluster {
                models: vec![model],
                nodes: (0..fleet.nodes).map(node).collect(),
                sets: vec![(0..nodes).collect()],
            },
            on: HashMap::new(),
            tasks: BinaryHeap::new(),
            cut: vec![Vec::new(); nodes],
            changed: (0..nodes).collect(),
            memory: Memory::default(),
            counts,
        }
    }

    fn find(&mut self, node: usize, gpu: usize, placement: Placement) -> Option<&mut Instance> {
        self.cluster.nodes[node].gpus[gpu].instances.iter_mut().find(|i| i.placement == placement)
    }

    /// Tells the scheduler what has become of nodes.
    fn publish(&mut self, slots: &mut Slots<'_>) {
        for node in self.changed.drain() {
            for (pool, profile) in self.profiles.iter().enumerate() {
                let instances = self.cluster.nodes[node].gpus.iter().flat_map(|gpu| &gpu.instances);
                let open = instances.filter(|i| {
                    Some(i.placement.profile) == *profile && !i.closed && i.state != State::Coming
                });
                let (mut all, mut free) = (0, 0);
                for instance in open {
                    all += 1;
                    free += u32::from(instance.state == State::Idle);
                }
                slots.set(pool, node, all, free);
            }
        }
    }

    fn order(&mut self, now: u32, order: &Order) {
        match order {
            Order::Cut(cut) => {
                self.counts.0 += 1;
                for Change { gpu, destroy, create, .. } in &cut.gpus {
                    let instances = &mut self.cluster.nodes[cut.node].gpus[*gpu].instances;
                    instances.retain(|i| !destroy.contains(&i.placement));
                    let coming = |&placement: &Placement| Instance {
                        placement,
                        state: State::Coming,
                        closed: false,
                        since: None,
                    };
                    instances.extend(create.iter().map(coming));
                }
                self.begin(now + self.how.cut, cut.node, Task::Made { node: cut.node, open: cut.open });
                self.cut[cut.node].push(now);
            }
            Order::Close(instances) => {
                self.counts.1 += 1;
                for (gpu, placements) in &instances.gpus {
                    for &placement in placements {
                        let found = self.find(instances.node, *gpu, placement);
                        found.into_iter().for_each(|instance| instance.closed = true);
                    }
                }
                self.changed.insert(instances.node);
            }
            Order::Open(instances) => {
                let one = |(gpu, placements): &(usize, Vec<Placement>)| -> Vec<(usize, Placement)> {
                    placements.iter().map(|&placement| (*gpu, placement)).collect()
                };
                let places = instances.gpus.iter().flat_map(one).collect();
                let unasked = if instances.job.is_none() { self.how.pass } else { 0 };
                self.begin(
                    now + self.how.open + unasked,
                    instances.node,
                    Task::Opened { node: instances.node, places },
                );
            }
        }
    }

    fn begin(&mut self, at: u32, node: usize, task: Task) {
        self.tasks.push(Reverse((at, task)));
        self.cluster.nodes[node].underway = true;
        self.changed.insert(node);
    }

    fn job(&self, now: u32, number: u32, job: &replay::Job) -> Job {
        let want = Want { profile: self.profiles[usize::from(job.pool)], count: job.count };
        let share = Share { want: vec![want], nodes: job.nodes, set: 0, resources: Resources::default() };
        Job {
            id: number.to_string(),
            shares: vec![share],
            array: None,
            waited: u64::from(now - job.submit),
            reason: Reason::Resources,
        }
    }
}

impl Recut for Floor<'_> {
    fn started(&mut self, now: u32, number: u32, job: &replay::Job, nodes: &[usize], slots: &mut Slots<'_>) {
        let profile = self.profiles[usize::from(job.pool)];
        let until = Some(u64::from(now.saturating_add(job.limit)));
        for &node in nodes {
            let gpus = self.cluster.nodes[node].gpus.iter_mut().enumerate();
            let all = gpus.flat_map(|(gpu, state)| state.instances.iter_mut().map(move |i| (gpu, i)));
            let idle = all
                .filter(|(_, i)| Some(i.placement.profile) == profile && i.state == State::Idle && !i.closed);
            let take = |(gpu, instance): (usize, &mut Instance)| {
                instance.state = State::Busy { until };
                (gpu, instance.placement)
            };
            // In the order of the node's records, which stand by GPU and place (`_set_node_bits` and `_pick_gres_topo` in Slurm's
            // gres_select_filter.c: devices that are near all cores are taken by ascending index).
            let mut idle: Vec<(usize, &mut Instance)> = idle.collect();
            idle.sort_by_key(|(gpu, instance)| (*gpu, instance.placement.start));
            let taken = idle.into_iter().take(job.count as usize).map(take).collect();
            self.on.insert((number, node), taken);
            self.changed.insert(node);
        }
        self.publish(slots);
    }

    fn ended(&mut self, now: u32, number: u32, node: usize, slots: &mut Slots<'_>) {
        for (gpu, placement) in self.on.remove(&(number, node)).unwrap_or_default() {
            if let Some(instance) = self.find(node, gpu, placement) {
                (instance.state, instance.since) = (State::Idle, Some(u64::from(now)));
            }
        }
        self.changed.insert(node);
        self.publish(slots);
    }

    fn advance(&mut self, now: u32, slots: &mut Slots<'_>) {
        while self.tasks.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((_, task))) = self.tasks.pop() else { break };
            let node = match task {
                Task::Made { node, open } => {
                    for gpu in &mut self.cluster.nodes[node].gpus {
                        for instance in gpu.instances.iter_mut().filter(|i| i.state == State::Coming) {
                            instance.state = State::Idle;
                            (instance.closed, instance.since) = (!open, Some(u64::from(now)));
                        }
                    }
                    node
                }
                Task::Opened { node, places } => {
                    for (gpu, placement) in places {
                        self.find(node, gpu, placement).into_iter().for_each(|i| i.closed = false);
                    }
                    node
                }
            };
            let waits = |Reverse((_, task)): &Reverse<(u32, Task)>| {
                let (Task::Made { node: other, .. } | Task::Opened { node: other, .. }) = task;
                *other == node
            };
            self.cluster.nodes[node].underway = self.tasks.iter().any(waits);
            self.changed.insert(node);
        }
        self.publish(slots);
    }

    fn look(
        &mut self,
        now: u32,
        waiting: &mut dyn Iterator<Item = (u32, replay::Job)>,
        slots: &mut Slots<'_>,
    ) -> Option<u32> {
        for (node, cuts) in self.cluster.nodes.iter_mut().zip(&mut self.cut) {
            cuts.retain(|at| at + 3600 > now);
            node.cuts = cuts.len() as u32;
        }
        let jobs: Vec<Job> = waiting.map(|(number, job)| self.job(now, number, &job)).collect();
        let decision = self.memory.decide(&self.cluster, &jobs, &self.how.policy, u64::from(now));
        decision.orders.iter().for_each(|order| self.order(now, order));
        self.publish(slots);
        let soon = |verdict: &Verdict| match verdict {
            Verdict::Patience(seconds) | Verdict::Busy(seconds) => Some(*seconds).filter(|s| *s > 0),
            Verdict::Limit => Some(60),
            _ => None,
        };
        let again = decision.verdicts.iter().filter_map(soon).min();
        let again = again.map(|seconds| now.saturating_add(u32::try_from(seconds).unwrap_or(u32::MAX)));
        let next = self.tasks.peek().map(|Reverse((at, _))| *at);
        [again, next].into_iter().flatten().min()
    }
}
