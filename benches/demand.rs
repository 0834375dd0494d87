//! One look at 1,000 nodes with 8 A100 and 10,000 jobs that wait.

use std::time::Instant;

use demand::{
    Cluster, Gpu, Instance, Job, Memory, Model, Node, Order, Policy, Reason, Resources, Share, State, Want,
};
use mig::{Board, Geometry, Placement, Profile};

const NODES: usize = 1000;
const GPUS: usize = 8;
const JOBS: usize = 10_000;
const NOW: u64 = 1_000_000;

/// Numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn main() {
    let geometry = Board::by_key("a100-40gb").expect("a board of the list").geometry();
    println!(
        "| part of the slices busy | different requests | orders | first look, least, ms | median | ns for a node and job | next look, least, ms | median |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (busy, sets) in [(50, 1), (90, 1), (90, 16), (99, 1), (99, 16)] {
        let mut numbers = Numbers(busy + sets);
        let cluster = cluster(&geometry, busy, sets as usize, &mut numbers);
        let jobs = jobs(sets, &mut numbers);
        let (mut first, mut next) = (Vec::new(), Vec::new());
        let mut orders = 0;
        for _ in 0..9 {
            let mut memory = Memory::default();
            let mut look = || {
                let begun = Instant::now();
                let decision = memory.decide(&cluster, &jobs, &Policy::default(), NOW);
                (begun.elapsed().as_secs_f64() * 1e3, decision)
            };
            let ((time, decision), (again, same)) = (look(), look());
            first.push(time);
            next.push(again);
            assert_eq!((decision.verdicts.len(), &same), (JOBS, &decision));
            orders = decision.orders.iter().filter(|order| !matches!(order, Order::Open(_))).count();
        }
        first.sort_by(f64::total_cmp);
        next.sort_by(f64::total_cmp);
        let ratio = first[4] * 1e6 / (NODES * JOBS) as f64;
        println!(
            "| {busy} % | {} | {orders} | {:.0} | {:.0} | {ratio:.1} | {:.0} | {:.0} |",
            REQUESTS.len() as u64 * sets,
            first[0],
            first[4],
            next[0],
            next[4]
        );
    }
}

/// What jobs ask for: profile, count, nodes.
const REQUESTS: [(&str, u32, u32); 8] = [
    ("1g.5gb", 1, 1),
    ("2g.10gb", 1, 1),
    ("3g.20gb", 1, 1),
    ("7g.40gb", 1, 1),
    ("3g.20gb", 2, 1),
    ("7g.40gb", 8, 1),
    ("3g.20gb", 1, 4),
    ("1g.5gb", 7, 2),
];

fn jobs(sets: u64, numbers: &mut Numbers) -> Vec<Job> {
    let job = |id: usize| {
        let (profile, count, nodes) = REQUESTS[numbers.below(REQUESTS.len() as u64) as usize];
        let want = vec![Want { profile: Some(profile.parse().expect("a profile")), count }];
        let resources = Resources { cpus: 4 * count, memory_mib: 1000 };
        Job {
            id: id.to_string(),
            shares: vec![Share { want, nodes, set: numbers.below(sets) as usize, resources }],
            array: None,
            waited: numbers.below(20_000),
            reason: Reason::Resources,
        }
    };
    (0..JOBS).map(job).collect()
}

fn cluster(geometry: &Geometry, busy: u64, sets: usize, numbers: &mut Numbers) -> Cluster {
    let menu: Vec<Profile> =
        ["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"].map(|name| name.parse().expect("a profile")).to_vec();
    let of = |name: &str, start| Placement { profile: name.parse().expect("a profile"), start };
    let small: Vec<Placement> = (0..7).map(|start| of("1g.5gb", start)).collect();
    let cuts = [
        small.clone(),
        vec![of("3g.20gb", 0), of("3g.20gb", 4)],
        vec![of("7g.40gb", 0)],
        vec![of("2g.10gb", 0), of("2g.10gb", 2), of("2g.10gb", 4), of("1g.5gb", 6)],
        vec![of("3g.20gb", 4), of("2g.10gb", 0), of("1g.5gb", 2), of("1g.5gb", 3)],
    ];
    let mut gpu = || {
        let cut = &cuts[numbers.0 as usize % cuts.len()];
        let mut instance = |placement: Placement| Instance {
            placement,
            state: if numbers.below(100) < busy {
                State::Busy { until: Some(NOW + numbers.below(36_000)) }
            } else {
                State::Idle
            },
            closed: false,
            since: Some(NOW - numbers.below(5000)),
        };
        let instances = cut.iter().map(|&placement| instance(placement)).collect();
        Gpu { model: 0, fixed: false, instances }
    };
    let resources = Resources { cpus: 128, memory_mib: 1_000_000 };
    let nodes = (0..NODES).map(|number| Node {
        name: format!("n{number}"),
        gpus: (0..GPUS).map(|_| gpu()).collect(),
        usable: true,
        free: resources,
        reachable: resources,
        underway: false,
        cuts: 0,
        refuses: false,
    });
    let nodes = nodes.collect();
    // Every set has the nodes but a few.
    let set = |set: usize| (0..NODES).filter(|node| sets == 1 || node % sets != set).collect();
    Cluster {
        models: vec![Model::new(geometry, &menu, &small).expect("an A100")],
        nodes,
        sets: (0..sets).map(set).collect(),
    }
}
