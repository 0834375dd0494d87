//! Jobs that Slurm holds because nothing that they name was open.

use demand::{Cluster, Instance, Job, Policy, Reason, State, Verdict, decide, is_open};

use super::{at, busy, cluster, idle, job, node, small};

const NOW: u64 = 100_000;

/// One that names the second node.
fn held() -> Job {
    let mut job = Job { reason: Reason::Held, ..job(1, "3g.20gb", 1, 1) };
    job.shares[0].set = 1;
    job
}

fn there(second: Vec<Instance>) -> Cluster {
    let mut cluster = cluster(vec![node("n1", vec![vec![idle(at("3g.20gb", 4))]]), node("n2", vec![second])]);
    cluster.sets.push(vec![1]);
    cluster
}

#[test]
fn they_are_served_as_others_are() {
    let look = |second| decide(&there(second), &[held()], &Policy::default(), NOW).verdicts.remove(0);
    assert_eq!(look(small()), Verdict::Cut(vec!["n2".into()]));
    let large = || idle(at("3g.20gb", 4));
    assert_eq!(look(vec![Instance { closed: true, ..large() }]), Verdict::Opens);
    assert_eq!(look(vec![Instance { since: Some(NOW - 10), ..large() }]), Verdict::There);
    // Slurm does not take it, and it is kept from nobody for longer than for others.
    assert_eq!(look(vec![Instance { since: Some(NOW - 90), ..large() }]), Verdict::NotStarted(90));
    assert_eq!(look(vec![idle(at("7g.40gb", 0))]), Verdict::Cut(vec!["n2".into()]));
    let verdict = look(vec![busy(at("7g.40gb", 0), NOW + 50)]);
    assert!(matches!(verdict, Verdict::Cordon { .. }), "{verdict:?}");
}

#[test]
fn what_is_open_on_its_nodes_counts_whoever_has_it() {
    let large = || idle(at("3g.20gb", 4));
    let taken = || busy(at("3g.20gb", 0), NOW + 50);
    for (second, due) in [
        (small(), false),
        (vec![large()], true),
        (vec![taken()], true),
        (vec![Instance { closed: true, ..large() }], false),
        (vec![Instance { closed: true, ..taken() }], false),
        (vec![Instance { state: State::Coming, ..large() }], false),
    ] {
        assert_eq!(is_open(&there(second.clone()), &held()), due, "{second:?}");
    }
    let with = |change: &dyn Fn(&mut Cluster, &mut Job)| {
        let (mut cluster, mut job) = (there(vec![large(), taken()]), held());
        change(&mut cluster, &mut job);
        is_open(&cluster, &job)
    };
    assert!(with(&|_, job| job.shares[0].want[0].count = 2));
    assert!(!with(&|_, job| job.shares[0].want[0].count = 3));
    assert!(with(&|_, job| job.shares[0].want[0].profile = None));
    assert!(!with(&|_, job| job.shares[0].nodes = 2));
    assert!(with(&|_, job| (job.shares[0].set, job.shares[0].nodes) = (0, 2)));
    assert!(!with(&|_, job| job.shares[0].set = 2));
    assert!(!with(&|_, job| job.shares.clear()));
    // Where it is being changed Slurm may see another thing, and where it takes no jobs it sees that.
    assert!(!with(&|cluster, _| cluster.nodes[1].underway = true));
    assert!(!with(&|cluster, _| cluster.nodes[1].usable = false));
}
