//! Orders beside the rules of the simulated driver, and courses of events: nothing that somebody has is destroyed, nobody
//! starves, and whoever asks can be killed at any moment.

#[path = "orders/course.rs"]
mod course;
#[path = "orders/held.rs"]
mod held;
#[path = "orders/judge.rs"]
mod judge;
#[path = "orders/steered.rs"]
mod steered;

use std::collections::BTreeMap;

use demand::{
    Array, Cluster, Decision, Gpu, Instance, Job, Memory, Model, Node, Order, Policy, Reason, Resources,
    Share, State, Verdict, Want, decide,
};
use mig::{Board, Geometry, Placement, Profile};
use proptest::prelude::*;

const ROOM: Resources = Resources { cpus: 64, memory_mib: 1 << 20 };

pub(crate) fn geometry(key: &str) -> Geometry {
    Board::by_key(key).unwrap().geometry()
}

pub(crate) fn profile(name: &str) -> Profile {
    name.parse().unwrap()
}

pub(crate) fn at(name: &str, start: u8) -> Placement {
    Placement { profile: profile(name), start }
}

pub(crate) fn idle(placement: Placement) -> Instance {
    Instance { placement, state: State::Idle, closed: false, since: None }
}

pub(crate) fn busy(placement: Placement, until: u64) -> Instance {
    Instance { state: State::Busy { until: Some(until) }, ..idle(placement) }
}

/// The model of the acceptance runs: 1g, 2g, 3g and 7g on offer, seven 1g by default.
pub(crate) fn a100() -> Model {
    let menu = ["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"].map(profile);
    let small: Vec<Placement> = (0..7).map(|start| at("1g.5gb", start)).collect();
    Model::new(&geometry("a100-40gb"), &menu, &small).unwrap()
}

pub(crate) fn node(name: &str, gpus: Vec<Vec<Instance>>) -> Node {
    let gpus = gpus.into_iter().map(|instances| Gpu { model: 0, fixed: false, instances }).collect();
    Node {
        name: name.into(),
        gpus,
        usable: true,
        free: ROOM,
        reachable: ROOM,
        underway: false,
        cuts: 0,
        refuses: false,
    }
}

pub(crate) fn cluster(nodes: Vec<Node>) -> Cluster {
    let sets = vec![(0..nodes.len()).collect()];
    Cluster { models: vec![a100()], nodes, sets }
}

pub(crate) fn job(id: u32, profile: &str, count: u32, nodes: u32) -> Job {
    let want = vec![Want { profile: Some(self::profile(profile)), count }];
    Job {
        id: id.to_string(),
        shares: vec![Share { want, nodes, set: 0, resources: Resources { cpus: 1, memory_mib: 1 } }],
        array: None,
        waited: 1000,
        reason: Reason::Resources,
    }
}

/// Seven idle 1g.
fn small() -> Vec<Instance> {
    (0..7).map(|start| idle(at("1g.5gb", start))).collect()
}

#[test]
fn a_node_that_refuses_is_not_cut_and_is_named_where_no_other_serves() {
    let mut cluster = cluster(vec![node("n1", vec![small()]), node("n2", vec![small()])]);
    cluster.nodes[0].refuses = true;
    let wants = |nodes| decide(&cluster, &[job(1, "3g.20gb", 1, nodes)], &Policy::default(), 5000);
    let one = wants(1);
    assert_eq!(one.verdicts, [Verdict::Cut(vec!["n2".into()])]);
    assert!(one.orders.iter().all(|order| matches!(order, Order::Cut(cut) if cut.node == 1)), "{one:?}");
    // Nothing is kept on the other for what cannot be had.
    let verdicts = vec![Verdict::Refused(vec!["n1".into()])];
    assert_eq!(wants(2), Decision { verdicts, ..Decision::default() });
}

#[test]
fn the_region_with_least_room_to_lose_is_cut() {
    // One GPU is free altogether, the other has room for a 3g beside somebody.
    let mut used = small();
    used[0].state = State::Busy { until: Some(500) };
    let cluster = cluster(vec![node("n1", vec![small(), used])]);
    let decision = decide(&cluster, &[job(1, "3g.20gb", 1, 1)], &Policy::default(), 100);
    let [Order::Cut(cut)] = &decision.orders[..] else { panic!("{decision:?}") };
    assert_eq!(cut.describe(), "GPU 1 1g.5gb at 4, 5, 6 -> GPU 1 3g.20gb at 4");
    assert!(cut.open && cut.job.as_deref() == Some("1"));
    assert_eq!(decision.verdicts, [Verdict::Cut(vec!["n1".into()])]);
    assert_eq!(decision.verdicts[0].to_string(), "being cut on n1");
}

#[test]
fn what_is_left_of_a_region_is_filled_as_the_default_cut_has_it() {
    let cluster = cluster(vec![node("n1", vec![vec![idle(at("7g.40gb", 0))]])]);
    let decision = decide(&cluster, &[job(1, "3g.20gb", 1, 1)], &Policy::default(), 100);
    let [Order::Cut(cut)] = &decision.orders[..] else { panic!("{decision:?}") };
    assert_eq!(cut.describe(), "GPU 0 7g.40gb at 0 -> GPU 0 1g.5gb at 0, 1, 2, 3 + GPU 0 3g.20gb at 4");
    assert_eq!(cut.gpus[0].wanted, [at("3g.20gb", 4)]);
}

#[test]
fn what_the_default_cut_cannot_fill_is_cut_into_the_smallest() {
    let menu = ["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"].map(profile);
    let whole = [at("7g.40gb", 0)];
    let uncut = |default: &[Placement]| Cluster {
        models: vec![Model::new(&geometry("a100-40gb"), &menu, default).unwrap()],
        ..cluster(vec![node("n1", vec![vec![idle(whole[0])]])])
    };
    let policy = Policy { linger: 0, ..Policy::default() };
    for default in [&whole[..], &[]] {
        let decision = decide(&uncut(default), &[job(1, "2g.10gb", 1, 1)], &policy, 100);
        let [Order::Cut(cut)] = &decision.orders[..] else { panic!("{decision:?}") };
        assert_eq!(
            cut.describe(),
            "GPU 0 7g.40gb at 0 -> GPU 0 1g.5gb at 0, 1, 2, 3, 6 + GPU 0 2g.10gb at 4"
        );
        // Where nothing is said about idle GPUs they stay as they are.
        assert_eq!(decide(&uncut(default), &[], &policy, 100).orders, []);
    }
}

#[test]
fn jobs_are_served_in_their_order_and_what_slurm_can_start_is_left_to_it() {
    let gpu = vec![idle(at("3g.20gb", 0)), idle(at("3g.20gb", 4))];
    let cluster = cluster(vec![node("n1", vec![gpu])]);
    let jobs = [job(1, "3g.20gb", 1, 1), job(2, "2g.10gb", 1, 1), job(3, "7g.40gb", 1, 1)];
    // Slurm has just begun to look.
    let jobs = jobs.map(|job| Job { waited: 10, ..job });
    let decision = decide(&cluster, &jobs, &Policy::default(), 100);
    let [Order::Cut(cut)] = &decision.orders[..] else { panic!("{decision:?}") };
    assert_eq!((cut.job.as_deref(), &cut.gpus[0].destroy), (Some("2"), &vec![at("3g.20gb", 4)]));
    assert_eq!(decision.verdicts[0], Verdict::There);
    assert_eq!(decision.verdicts[2], Verdict::Busy(110));
}

/// It was told that Slurm starts it at its next pass, whether anything was free or not.
#[test]
fn an_array_at_its_throttle_is_not_told_that_it_starts() {
    let array = |running| Job {
        array: Some(Array { waiting: 9, running, throttle: Some(2) }),
        ..job(1, "3g.20gb", 1, 1)
    };
    for gpu in [vec![idle(at("3g.20gb", 0)), idle(at("3g.20gb", 4))], vec![busy(at("7g.40gb", 0), 900)]] {
        let cluster = cluster(vec![node("n1", vec![gpu])]);
        let decision = decide(&cluster, &[array(2)], &Policy::default(), 100);
        let verdicts = vec![Verdict::Other("JobArrayTaskLimit".into())];
        assert_eq!(decision, Decision { verdicts, ..Decision::default() });
    }
    let cluster = cluster(vec![node("n1", vec![vec![idle(at("7g.40gb", 0))]])]);
    let one = decide(&cluster, &[array(1)], &Policy::default(), 100);
    assert_eq!(one.verdicts, [Verdict::Cut(vec!["n1".into()])]);
}

#[test]
fn what_slurm_does_not_start_although_it_is_there_keeps_nothing() {
    let cluster = cluster(vec![node("n1", vec![vec![idle(at("7g.40gb", 0))]])]);
    let jobs = [job(1, "7g.40gb", 1, 1), job(2, "3g.20gb", 1, 1)];
    let decision = decide(&cluster, &jobs, &Policy::default(), 100);
    assert_eq!(decision.verdicts, [Verdict::NotStarted(90), Verdict::Cut(vec!["n1".into()])]);
    // Others only go first: its turn comes.
    let waits = [Job { reason: Reason::from("Priority"), ..jobs[0].clone() }, jobs[1].clone()];
    let decision = decide(&cluster, &waits, &Policy { cordon_after: 5000, ..Policy::default() }, 100);
    assert_eq!(decision.verdicts, [Verdict::There, Verdict::Busy(4000)]);
}

#[test]
fn what_was_made_a_moment_ago_stays_for_the_job_that_can_have_it() {
    let fresh =
        |since| vec![Instance { since: Some(since), ..idle(at("3g.20gb", 0)) }, busy(at("3g.20gb", 4), 900)];
    let jobs = [job(1, "2g.10gb", 1, 1), Job { waited: 5, ..job(2, "3g.20gb", 1, 1) }];
    let policy = Policy { cordon_after: 5000, ..Policy::default() };
    let young = cluster(vec![node("n1", vec![fresh(95)])]);
    let decision = decide(&young, &jobs, &policy, 100);
    assert_eq!(decision.verdicts[1], Verdict::There);
    assert!(decision.orders.is_empty());
    // For a while; then the order of jobs counts.
    let old = cluster(vec![node("n1", vec![fresh(20)])]);
    assert_eq!(decide(&old, &jobs, &policy, 100).orders.len(), 1);
    // And only for somebody.
    assert_eq!(decide(&young, &jobs[..1], &policy, 100).orders.len(), 1);
}

#[test]
fn a_cordon_falls_on_what_is_free_first_and_is_lifted_when_nobody_waits() {
    let state = |closed: bool| {
        let hold = |instance: Instance| Instance { closed, ..instance };
        let soon = vec![hold(busy(at("3g.20gb", 0), 300)), hold(idle(at("3g.20gb", 4)))];
        let late = vec![busy(at("3g.20gb", 0), 900), idle(at("3g.20gb", 4))];
        cluster(vec![node("n1", vec![late, soon])])
    };
    let waits = [job(1, "7g.40gb", 1, 1)];
    let decision = decide(&state(false), &waits, &Policy::default(), 100);
    let [Order::Close(instances)] = &decision.orders[..] else { panic!("{decision:?}") };
    assert_eq!(instances.describe(), "GPU 1 3g.20gb at 0, 4");
    assert_eq!(decision.verdicts[0].to_string(), "kept for it on n1: free at 300 at the latest");
    // It stays as it is, and the verdict with it.
    let again = decide(&state(true), &waits, &Policy::default(), 130);
    assert_eq!((again.orders, again.verdicts), (Vec::new(), decision.verdicts));
    let lifted = decide(&state(true), &[], &Policy::default(), 130);
    let [Order::Open(instances)] = &lifted.orders[..] else { panic!("{lifted:?}") };
    assert_eq!((instances.describe(), &instances.job), ("GPU 1 3g.20gb at 0, 4".into(), &None));
}

#[test]
fn a_region_that_is_busy_for_long_is_kept_only_for_one_who_has_waited_long() {
    let cluster =
        cluster(vec![node("n1", vec![vec![busy(at("3g.20gb", 0), 90_000), idle(at("3g.20gb", 4))]])]);
    let decision = decide(&cluster, &[job(1, "7g.40gb", 1, 1)], &Policy::default(), 100);
    assert_eq!((decision.orders.len(), &decision.verdicts[0]), (0, &Verdict::Busy(2600)));
    let long = Job { waited: 4000, ..job(1, "7g.40gb", 1, 1) };
    assert_eq!(decide(&cluster, &[long], &Policy::default(), 100).orders.len(), 1);
}

#[test]
fn what_a_job_on_two_nodes_gets_opens_together() {
    let gpu = || vec![idle(at("7g.40gb", 0))];
    let both = cluster(vec![node("n1", vec![gpu()]), node("n2", vec![gpu()])]);
    let waits = [job(1, "3g.20gb", 1, 2)];
    let decision = decide(&both, &waits, &Policy::default(), 100);
    let [Order::Cut(a), Order::Cut(b)] = &decision.orders[..] else { panic!("{decision:?}") };
    assert!(!a.open && !b.open && (a.node, b.node) == (0, 1));
    // Made on both, and closed: they open by one look, whoever asks.
    let made = || vec![Instance { closed: true, ..idle(at("3g.20gb", 0)) }];
    let done = cluster(vec![node("n1", vec![made()]), node("n2", vec![made()])]);
    let decision = decide(&done, &waits, &Policy::default(), 100);
    assert!(matches!(&decision.orders[..], [Order::Open(_), Order::Open(_)]), "{decision:?}");
    assert_eq!(decision.verdicts, [Verdict::Opens]);
    // Made on one, and the other still to do: the first stays closed, and the last opens with the next look.
    let half = cluster(vec![node("n1", vec![made()]), node("n2", vec![gpu()])]);
    let decision = decide(&half, &waits, &Policy::default(), 100);
    let [Order::Cut(cut)] = &decision.orders[..] else { panic!("{decision:?}") };
    assert!(!cut.open && cut.node == 1);
    // Open on one: nothing else of it may be given away meanwhile, unless the other is the last that lacks.
    let there = cluster(vec![node("n1", vec![vec![idle(at("3g.20gb", 0))]]), node("n2", vec![gpu()])]);
    let decision = decide(&there, &waits, &Policy::default(), 100);
    let [Order::Cut(cut)] = &decision.orders[..] else { panic!("{decision:?}") };
    assert!(cut.open);
}

#[test]
fn several_slices_of_a_node_are_found_over_its_gpus() {
    let used = |start| vec![busy(at("3g.20gb", start), 900)];
    let cluster = cluster(vec![node("n1", vec![used(0), used(4), vec![busy(at("7g.40gb", 0), 900)]])]);
    let decision = decide(&cluster, &[job(1, "3g.20gb", 2, 1)], &Policy::default(), 100);
    let [Order::Cut(cut)] = &decision.orders[..] else { panic!("{decision:?}") };
    assert_eq!(cut.describe(), "nothing -> GPU 0 3g.20gb at 4 + GPU 1 3g.20gb at 0");
    // A third one has a job, and gives it back: nothing is cut for it meanwhile, and nothing is cut away for others.
    let jobs = [job(1, "3g.20gb", 3, 1), Job { waited: 10, ..job(2, "2g.10gb", 1, 1) }];
    let decision = decide(&cluster, &jobs, &Policy::default(), 100);
    assert_eq!(decision.orders.len(), 0);
    assert_eq!(decision.verdicts[0], Verdict::Ends(Some(900)));
}

#[test]
fn what_is_there_of_one_kind_makes_way_for_another() {
    // A 4g stands at 0 alone, where an idle 3g is: that goes, and the other 3g of the GPU serves.
    let mut both = job(1, "3g.20gb", 1, 1);
    both.shares[0].want.push(Want { profile: Some(profile("4g.20gb")), count: 1 });
    let instances = |gpu: &[u8]| gpu.iter().map(|&start| idle(at("3g.20gb", start))).collect();
    for (there, says) in [
        (&[0][..], "GPU 0 3g.20gb at 0 -> GPU 0 3g.20gb at 4 + GPU 0 4g.20gb at 0"),
        (&[0, 4], "GPU 0 3g.20gb at 0 -> GPU 0 4g.20gb at 0"),
    ] {
        let menu = ["3g.20gb", "4g.20gb"].map(profile);
        let models = vec![Model::new(&geometry("a100-40gb"), &menu, &[]).unwrap()];
        let cluster = Cluster { models, ..cluster(vec![node("n1", vec![instances(there)])]) };
        let decision = decide(&cluster, &[both.clone()], &Policy::default(), 100);
        let [Order::Cut(cut)] = &decision.orders[..] else { panic!("{decision:?}") };
        assert_eq!(cut.describe(), says);
    }
}

#[test]
fn what_no_cut_helps_is_said_and_done_nothing_about() {
    let with = |change: fn(&mut Node)| {
        let mut node = node("n1", vec![small()]);
        change(&mut node);
        cluster(vec![node])
    };
    let waits = [job(1, "3g.20gb", 1, 1)];
    for (cluster, jobs, verdict) in [
        (
            with(|_| ()),
            [Job { reason: "QOSGrpGRES".into(), ..waits[0].clone() }],
            Verdict::Other("QOSGrpGRES".into()),
        ),
        (with(|_| ()), [Job { waited: 1, ..waits[0].clone() }], Verdict::Patience(1)),
        (with(|_| ()), [job(1, "4g.20gb", 1, 1)], Verdict::Never),
        (with(|n| n.free.cpus = 0), waits.clone(), Verdict::Resources),
        (with(|n| n.underway = true), waits.clone(), Verdict::UnderWay),
        (with(|n| n.cuts = 120), waits.clone(), Verdict::Limit),
        (with(|n| n.usable = false), waits.clone(), Verdict::Out(vec!["n1".into()])),
        (with(|n| n.gpus[0].fixed = true), waits.clone(), Verdict::Never),
    ] {
        let decision = decide(&cluster, &jobs, &Policy::default(), 100);
        assert_eq!((decision.orders.len(), &decision.verdicts[..]), (0, &[verdict][..]));
    }
}

#[test]
fn others_are_before_a_job_only_where_somebody_is() {
    let said = |cluster: &Cluster, jobs: &[Job]| decide(cluster, jobs, &Policy::default(), 100).verdicts;
    let two = || node("n1", vec![small(), small()]);
    let wants = |id: u32, wants: &[(&str, u32)]| {
        let mut job = job(id, "1g.5gb", 1, 1);
        job.shares[0].want =
            wants.iter().map(|(name, count)| Want { profile: Some(profile(name)), count: *count }).collect();
        job
    };
    // Each kind alone would fit, and all of them on no two GPUs, whoever is there.
    let large = [wants(1, &[("3g.20gb", 3), ("2g.10gb", 4)])];
    assert_eq!(said(&cluster(vec![two()]), &large), [Verdict::Never]);
    let new = [Job { waited: 10, ..large[0].clone() }];
    assert_eq!(said(&cluster(vec![two()]), &new), [Verdict::Never]);
    // More than the GPUs have that take orders.
    let mut one = cluster(vec![two()]);
    one.nodes[0].gpus[1].fixed = true;
    assert_eq!(said(&one, &[wants(1, &[("3g.20gb", 3)])]), [Verdict::Never]);
    // One that takes no jobs is named, and one that could never serve it is not.
    let mut drained = cluster(vec![node("n1", vec![small()]), node("n2", vec![small(), small()])]);
    drained.nodes.iter_mut().for_each(|node| node.usable = false);
    assert_eq!(said(&drained, &[wants(1, &[("3g.20gb", 3)])]), [Verdict::Out(vec!["n2".into()])]);
    // What is not cut by orders falls idle by itself.
    let mut fixed = cluster(vec![node("n1", vec![vec![busy(at("3g.20gb", 0), 500)]])]);
    fixed.nodes[0].gpus[0].fixed = true;
    assert_eq!(said(&fixed, &[wants(1, &[("3g.20gb", 1)])]), [Verdict::Ends(None)]);
    // Somebody is.
    let all = [wants(1, &[("7g.40gb", 2)]), wants(2, &[("3g.20gb", 1)])];
    assert_eq!(said(&cluster(vec![two()]), &all)[1], Verdict::Behind);
}

#[test]
fn components_of_a_heterogeneous_job_are_on_different_nodes() {
    let both = || vec![idle(at("3g.20gb", 0)), idle(at("3g.20gb", 4))];
    let pair = |set| {
        let mut pair = job(1, "3g.20gb", 1, 1);
        pair.shares.push(Share { set, ..pair.shares[0].clone() });
        pair
    };
    let next = job(2, "3g.20gb", 1, 1);
    let policy = Policy { grace: 2000, ..Policy::default() };
    // One node has two, which is no use, and nobody waits for it behind them.
    let one = cluster(vec![node("n1", vec![both()])]);
    let decision = decide(&one, &[pair(0), next.clone()], &policy, 100);
    assert_eq!(decision.verdicts, [Verdict::Never, Verdict::There]);
    let two = cluster(vec![node("n1", vec![both()]), node("n2", vec![both()])]);
    let jobs = [pair(0), next.clone(), next.clone(), next];
    let decision = decide(&two, &jobs, &policy, 100);
    assert_eq!(decision.verdicts[..3], [Verdict::There, Verdict::There, Verdict::There]);
    assert!(!matches!(decision.verdicts[3], Verdict::There));
    assert_eq!(decision.free, [0, 1].into());
    // The second has the node that the first may have, too, alone.
    let mut narrow = cluster(vec![node("n1", vec![both()]), node("n2", vec![small()])]);
    narrow.sets.push(vec![0]);
    let verdicts = decide(&narrow, &[pair(1)], &policy, 100).verdicts;
    assert!(!matches!(verdicts[0], Verdict::There), "{verdicts:?}");
}

#[test]
fn an_idle_gpu_goes_back_to_its_default_cut() {
    let gpu = vec![Instance { since: Some(100), ..idle(at("7g.40gb", 0)) }];
    let cluster = cluster(vec![node("n1", vec![gpu])]);
    let look = |jobs: &[Job], now| decide(&cluster, jobs, &Policy::default(), now).orders;
    assert!(look(&[], 3699).is_empty());
    let orders = look(&[], 3700);
    let [Order::Cut(cut)] = &orders[..] else { panic!("{orders:?}") };
    assert_eq!(
        (cut.describe().as_str(), &cut.job),
        ("GPU 0 7g.40gb at 0 -> GPU 0 1g.5gb at 0, 1, 2, 3, 4, 5, 6", &None)
    );
    assert!(look(&[Job { reason: Reason::Turn, ..job(1, "7g.40gb", 1, 1) }], 3700).is_empty());
}

#[test]
fn an_array_gets_as_much_as_its_throttle_lets_run() {
    let cluster = cluster((0..4).map(|_| node("n", vec![small()])).collect());
    let array = |throttle| Job {
        array: Some(Array { waiting: 100, running: 1, throttle }),
        ..job(1, "7g.40gb", 1, 1)
    };
    let cuts = |job: Job| decide(&cluster, &[job], &Policy::default(), 100).orders.len();
    assert_eq!([None, Some(3), Some(1)].map(|throttle| cuts(array(throttle))), [4, 2, 0]);
}

/// Boards with profiles on offer: all that have the usual attributes.
fn boards() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a100-40gb",
        "h100-80gb-sxm",
        "a30-24gb",
        "rtx-pro-6000-blackwell-96gb",
        "b200-180gb",
    ])
}

/// What a GPU of that geometry may hold, made from any numbers.
fn instances(geometry: &Geometry, picks: &[(u16, u8, bool, u8)], now: u64) -> Vec<Instance> {
    let places: Vec<Placement> = geometry.placements().collect();
    let mut all: Vec<Instance> = Vec::new();
    for &(pick, state, closed, age) in picks {
        let placement = places[usize::from(pick) % places.len()];
        let mut held: Vec<Placement> = all.iter().map(|i| i.placement).collect();
        held.push(placement);
        if geometry.legal(&held) {
            let state = match state % 3 {
                0 => State::Busy { until: (state != 0).then_some(now + u64::from(age)) },
                _ => State::Idle,
            };
            all.push(Instance { placement, state, closed, since: (age > 9).then(|| now - u64::from(age)) });
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn orders_are_what_the_driver_does_and_touch_nothing_that_is_used(
        key in boards(),
        gpus in prop::collection::vec(
            prop::collection::vec((any::<u16>(), any::<u8>(), any::<bool>(), any::<u8>()), 0..8), 1..7,
        ),
        wanted in prop::collection::vec((any::<u16>(), 1u32..4, 1u32..3, 0u64..5000), 0..12),
        default in any::<u16>(),
    ) {
        let geometry = geometry(key);
        let menu: Vec<Profile> = geometry.specs.iter().map(|spec| spec.profile).collect();
        let now = 10_000;
        let default: Vec<Placement> =
            instances(&geometry, &[(default, 1, false, 0), (default / 7, 1, false, 0)], now).iter().map(|i| i.placement).collect();
        let mut nodes = Vec::new();
        for (number, gpus) in gpus.chunks(2).enumerate() {
            let gpus = gpus.iter().map(|picks| instances(&geometry, picks, now)).collect();
            nodes.push(node(&format!("n{number}"), gpus));
        }
        let cluster = Cluster {
            models: vec![Model::new(&geometry, &menu[..menu.len().min(16)], &default).unwrap()],
            sets: vec![(0..nodes.len()).collect(), vec![0]],
            nodes,
        };
        let jobs: Vec<Job> = wanted.iter().zip(0..).map(|(&(kind, count, nodes, waited), id)| {
            let profile = menu[usize::from(kind) % menu.len()];
            let mut job = job(id, "1g.5gb", count, nodes);
            job.shares[0].want[0].profile = (kind % 11 != 0).then_some(profile);
            job.shares[0].set = usize::from(kind % 5 == 0);
            Job { waited, ..job }
        }).collect();
        let decision = decide(&cluster, &jobs, &Policy::default(), now);
        prop_assert_eq!(decision.verdicts.len(), jobs.len());
        prop_assert_eq!(&decide(&cluster, &jobs, &Policy::default(), now), &decision);
        // What is kept of other looks at the same GPUs changes nothing.
        let mut memory = Memory::default();
        for (jobs, now) in [(&jobs[jobs.len() / 2..], now + 37), (&jobs[..], now), (&jobs[..], now)] {
            let looked = memory.decide(&cluster, jobs, &Policy::default(), now);
            prop_assert_eq!(looked, decide(&cluster, jobs, &Policy::default(), now));
        }
        judge::orders(key, &cluster, &decision.orders);
    }

    /// Where nobody is, nothing is in the way.
    #[test]
    fn an_idle_node_serves_what_it_could_ever_serve(
        key in boards(),
        gpus in prop::collection::vec(
            prop::collection::vec((any::<u16>(), 1u8..3, any::<bool>(), any::<u8>()), 0..8), 1..3,
        ),
        wanted in prop::collection::btree_map(any::<u8>(), 1u32..3, 1..4),
    ) {
        let geometry = geometry(key);
        let menu: Vec<Profile> = geometry.specs.iter().map(|spec| spec.profile).take(16).collect();
        let now = 10_000;
        let gpus = gpus.iter().map(|picks| instances(&geometry, picks, now)).collect();
        let cluster = Cluster {
            models: vec![Model::new(&geometry, &menu, &[]).unwrap()],
            sets: vec![vec![0]],
            nodes: vec![node("n1", gpus)],
        };
        let kinds: BTreeMap<Profile, u32> =
            wanted.iter().map(|(&kind, &count)| (menu[usize::from(kind) % menu.len()], count)).collect();
        let mut job = job(1, "1g.5gb", 1, 1);
        job.shares[0].want = kinds.iter().map(|(&profile, &count)| Want { profile: Some(profile), count }).collect();
        let decision = decide(&cluster, &[job], &Policy { grace: 2 * now, ..Policy::default() }, now);
        let verdict = &decision.verdicts[0];
        prop_assert!(matches!(verdict, Verdict::Cut(_) | Verdict::There | Verdict::Opens | Verdict::Never), "{:?}", verdict);
        judge::orders(key, &cluster, &decision.orders);
    }
}
