//! Which of the idle instances Slurm is let take.

use demand::{Cluster, Decision, Instance, Job, Order, Policy, Reason, State, Verdict, decide};

use super::{at, busy, cluster, idle, job, node, small};

fn policy() -> Policy {
    Policy { linger: u64::MAX, steer: true, ..Policy::default() }
}

const NOW: u64 = 100_000;

/// Two nodes: of the first a GPU is idle, and one has a job at 0 for long; of the second one has a job at 0 for a minute.
fn there() -> Cluster {
    let beside = |until| {
        let mut gpu = small();
        gpu[0] = busy(at("1g.5gb", 0), until);
        gpu
    };
    cluster(vec![node("n1", vec![small(), beside(NOW + 50_000)]), node("n2", vec![beside(NOW + 60)])])
}

fn look(cluster: &Cluster, jobs: &[Job]) -> Decision {
    decide(cluster, jobs, &policy(), NOW)
}

/// Orders in words, and what of the cluster is open when they are carried out.
fn carried(mut cluster: Cluster, decision: &Decision) -> (Cluster, Vec<String>) {
    for order in &decision.orders {
        let (instances, closed) = match order {
            Order::Close(instances) => (instances, true),
            Order::Open(instances) => (instances, false),
            Order::Cut(_) => panic!("{order:?}"),
        };
        for (gpu, placements) in &instances.gpus {
            let all = &mut cluster.nodes[instances.node].gpus[*gpu].instances;
            all.iter_mut().filter(|i| placements.contains(&i.placement)).for_each(|i| i.closed = closed);
        }
    }
    let mut open = Vec::new();
    for node in &cluster.nodes {
        for (number, gpu) in node.gpus.iter().enumerate() {
            let is_open = |i: &&Instance| i.state == State::Idle && !i.closed;
            open.extend(
                gpu.instances
                    .iter()
                    .filter(is_open)
                    .map(|i| format!("{} {number} {}", node.name, i.placement)),
            );
        }
    }
    (cluster, open)
}

/// What Slurm can start as things are it can start when all that closes is closed.
pub(crate) fn delays_nobody(cluster: &Cluster, jobs: &[Job], policy: &Policy, now: u64, decision: &Decision) {
    let mut closed = cluster.clone();
    for order in &decision.orders {
        // What is closed for a job is another matter: it may be others' who come after it.
        let Order::Close(instances) = order else { continue };
        for (gpu, placements) in instances.gpus.iter().filter(|_| instances.job.is_none()) {
            let all = &mut closed.nodes[instances.node].gpus[*gpu].instances;
            all.iter_mut().filter(|i| placements.contains(&i.placement)).for_each(|i| i.closed = true);
        }
    }
    let after = decide(&closed, jobs, policy, now).verdicts;
    for (job, (before, after)) in jobs.iter().zip(decision.verdicts.iter().zip(after)) {
        assert!(
            *before != Verdict::There || after == Verdict::There,
            "job {}: {before:?}, {after:?}",
            job.id
        );
    }
}

/// Slurm may take its time, and would give it what opens as well.
#[test]
fn nothing_opens_while_a_job_waits_that_can_have_what_is_open() {
    let (cluster, open) = carried(there(), &look(&there(), &[]));
    assert_eq!(open.len(), 3);
    let one = |id| Job { waited: 10, ..job(id, "1g.5gb", 1, 1) };
    let waits = [one(1), one(2)];
    let verdicts = vec![Verdict::There, Verdict::There];
    let free = [0].into();
    assert_eq!(look(&cluster, &waits), Decision { orders: vec![], verdicts, free });
    // The fourth of them has to have another one.
    let four: Vec<Job> = (1..=4).map(one).collect();
    let decision = look(&cluster, &four);
    assert_eq!((&decision.verdicts[2], &decision.verdicts[3]), (&Verdict::There, &Verdict::Opens));
    assert_eq!(carried(cluster, &decision).1.len(), 4);
}

/// Beside the job that stays for long: no 3g is blocked there that is not blocked anyway, and at 1 no 2g either. Of equals all.
#[test]
fn what_stands_least_in_the_way_is_open() {
    let (cluster, open) = carried(there(), &look(&there(), &[]));
    assert_eq!(open, ["n1 1 1g.5gb at 1", "n1 1 1g.5gb at 2", "n1 1 1g.5gb at 3"]);
    assert_eq!(look(&cluster, &[]).orders, []);
}

/// The next best one opens when the best has gone, and no sooner does the rest close.
#[test]
fn what_was_taken_is_followed_by_the_next() {
    let (mut cluster, _) = carried(there(), &look(&there(), &[]));
    cluster.nodes[0].gpus[1].instances[1].state = State::Busy { until: Some(NOW + 40_000) };
    let decision = look(&cluster, &[]);
    let (mut cluster, open) = carried(cluster, &decision);
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open.iter().all(|one| one.starts_with("n1 1 ")), "{open:?}");
    // Where all that is better is closed, nothing closes.
    for instance in &mut cluster.nodes[0].gpus[1].instances {
        instance.closed = instance.state == State::Idle;
    }
    cluster.nodes[1].gpus[0].instances[6].closed = false;
    let decision = look(&cluster, &[]);
    assert!(decision.orders.iter().all(|order| matches!(order, Order::Open(_))), "{decision:?}");
}

/// Who waits gets what is closed, as what is open.
#[test]
fn what_is_closed_serves_who_waits() {
    let (cluster, _) = carried(there(), &look(&there(), &[]));
    let waits = [Job { waited: 10, ..job(1, "1g.5gb", 7, 1) }];
    let decision = look(&cluster, &waits);
    assert_eq!(decision.verdicts, [Verdict::Opens]);
    let (cluster, open) = carried(cluster, &decision);
    assert!(open.len() >= 7, "{open:?}");
    // And it stays so for as long as the job has not started.
    let again = look(&cluster, &waits);
    assert_eq!(again.verdicts, [Verdict::There]);
    let (_, after) = carried(cluster, &again);
    assert!(open.iter().filter(|one| after.contains(one)).count() >= 7, "{after:?}");
}

/// What a job that lacks something else could have is not closed and opened by turns.
#[test]
fn who_lacks_something_else_keeps_what_is_open() {
    let mut cluster = there();
    cluster.nodes.truncate(1);
    cluster.sets = vec![vec![0]];
    let decision = look(&cluster, &[job(1, "1g.5gb", 7, 1)]);
    assert_eq!(decision.verdicts, [Verdict::NotStarted(90)]);
    let (_, open) = carried(cluster, &decision);
    assert!((0..7).all(|start| open.contains(&format!("n1 0 1g.5gb at {start}"))), "{open:?}");
}

/// Of whole GPUs one is as good as the other.
#[test]
fn equals_stay_open() {
    let whole = || vec![idle(at("7g.40gb", 0))];
    let cluster = cluster(vec![node("n1", vec![whole(), whole()]), node("n2", vec![whole()])]);
    assert_eq!(look(&cluster, &[]).orders, []);
}

/// Two nodes whose only whole GPUs somebody has, and beside them a GPU of which halves are taken for long.
fn taken() -> Cluster {
    let whole = || vec![busy(at("7g.40gb", 0), NOW + 50_000)];
    let halves = || vec![busy(at("3g.20gb", 0), NOW + 90_000), busy(at("3g.20gb", 4), NOW + 90_000)];
    cluster(vec![node("n1", vec![whole(), halves()]), node("n2", vec![whole()])])
}

/// Places that an answer closes for nobody, by node and GPU.
fn closed(decision: &Decision) -> Vec<String> {
    let mut closed = Vec::new();
    for order in &decision.orders {
        let Order::Close(instances) = order else { continue };
        for (gpu, places) in instances.gpus.iter().filter(|_| instances.job.is_none()) {
            closed.extend(places.iter().map(|place| format!("{} {gpu} {place}", instances.node)));
        }
    }
    closed
}

/// Slurm would plan the job where it could be had as what it is, and close the node to others from then on.
#[test]
fn what_slurm_would_plan_a_job_on_closes_until_nobody_waits_for_it() {
    let waits = |waited| [Job { waited, ..job(1, "7g.40gb", 1, 1) }];
    assert_eq!(closed(&look(&taken(), &waits(299))), [""; 0]);
    let decision = look(&taken(), &waits(300));
    assert_eq!(closed(&decision), ["0 0 7g.40gb at 0", "1 0 7g.40gb at 0"]);
    let (mut cluster, _) = carried(taken(), &decision);
    assert_eq!(look(&cluster, &waits(301)).orders, []);
    // With nobody who waits it opens again, whoever has it.
    let (opened, _) = carried(cluster.clone(), &look(&cluster, &[]));
    assert!(opened.nodes.iter().flat_map(|node| &node.gpus[0].instances).all(|i| !i.closed));
    // What is given back opens for who waits.
    cluster.nodes[1].gpus[0].instances[0].state = State::Idle;
    let decision = look(&cluster, &waits(302));
    assert_eq!(decision.verdicts, [Verdict::Opens]);
    assert_eq!(carried(cluster, &decision).1, ["n2 0 7g.40gb at 0"]);
}

/// Slurm would hold the one that names its nodes, for it could never run there.
#[test]
fn beside_a_job_that_names_nodes_all_is_planned_as_slurm_does() {
    let mut cluster = taken();
    cluster.sets.push(vec![1]);
    let mut named = job(2, "7g.40gb", 1, 1);
    named.shares[0].set = 1;
    assert_eq!(closed(&look(&cluster, &[job(1, "7g.40gb", 1, 1), named])), [""; 0]);
    assert_eq!(closed(&look(&cluster, &[job(1, "7g.40gb", 1, 2)])), [""; 0]);
    // Slurm holds one without a catalog already: for that one nothing stays closed.
    let held = Job { reason: Reason::Held, ..job(1, "7g.40gb", 1, 1) };
    assert_eq!(closed(&look(&cluster, &[held])), [""; 0]);
    // Neither is beside one of which is not known which it may have.
    let other = |profile: &str| {
        let mut job = Job { reason: Reason::Other("x".into()), ..job(2, profile, 1, u32::MAX) };
        job.shares[0].set = usize::MAX;
        job
    };
    let beside = |other| closed(&look(&cluster, &[job(1, "7g.40gb", 1, 1), other])).len();
    assert_eq!((beside(other("7g.40gb")), beside(other("3g.20gb"))), (0, 2));
    let off = Policy { steer: false, ..policy() };
    assert_eq!(closed(&decide(&cluster, &[job(1, "7g.40gb", 1, 1)], &off, NOW)), [""; 0]);
}
